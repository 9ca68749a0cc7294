//! What a client logs, step by step.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use goff_testkit::RecordingLog;
use tracing::Level;

/// What the client logged in one situation, in steps.
pub(crate) struct Story {
    log: RecordingLog,
    read: usize,
    text: String,
}

impl Story {
    pub(crate) fn begin(log: &RecordingLog) -> Self {
        Self {
            log: log.clone(),
            read: log.targeted_lines().len(),
            text: "```text\n".to_owned(),
        }
    }

    fn new_lines(&self) -> BTreeSet<String> {
        let lines = self.log.targeted_lines();
        let lines = lines.iter().skip(self.read);
        lines
            .filter(|line| line.level <= Level::INFO)
            .map(|line| {
                let krate = line.target.split("::").next().unwrap_or_default();
                normal(&format!("{:5} {krate}: {}", line.level.as_str(), line.text))
            })
            .collect()
    }

    /// Waits until every part is in a new line, and adds the new lines, sorted: tasks log at the same
    /// time.
    pub(crate) async fn step(&mut self, what: &str, parts: &[&str]) {
        let waiting = async {
            loop {
                let lines: Vec<_> = self.new_lines().into_iter().collect();
                let has = |part: &&str| lines.iter().any(|line| line.contains(*part));
                if parts.iter().all(has) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, waiting).await.is_err() {
            panic!("{what}: no {parts:?} in {:#?}", self.new_lines());
        }
        let lines = self.new_lines();
        self.read = self.log.targeted_lines().len();
        writeln!(self.text, "# {what}").unwrap();
        for line in lines {
            writeln!(self.text, "{line}").unwrap();
        }
    }

    pub(crate) fn end(self) -> String {
        self.text + "```\n"
    }
}

/// The text with ports, durations and counts that vary replaced.
pub(crate) fn normal(text: &str) -> String {
    let mut text = text.to_owned();
    for (before, instead) in [
        ("127.0.0.1:", "1031"),
        ("localhost:", "1031"),
        ("duration_ms=", "4"),
        ("outage_ms=", "2817"),
        ("failures=", "3"),
        ("failed=", "1"),
        ("has not answered for ", "5"),
        ("next try in ", "1"),
        ("next request in ", "30"),
    ] {
        let mut rest = text.as_str();
        let mut normal = String::new();
        while let Some(at) = rest.find(before) {
            let (start, end) = rest.split_at(at + before.len());
            normal += start;
            let number = end.trim_start_matches(|c: char| c.is_ascii_digit());
            normal += if number.len() < end.len() {
                instead
            } else {
                ""
            };
            rest = number;
        }
        text = normal + rest;
    }
    text
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
