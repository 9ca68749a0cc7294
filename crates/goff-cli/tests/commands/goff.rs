//! Runs `goff`, and keeps the session for `docs/tools.md`.

use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A folder in which commands run, and what they printed so far.
pub(crate) struct Goff {
    directory: TempDir,
    session: String,
    /// Texts of this run, and what the documentation shows for them.
    replaced: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Both outputs have all of `parts`.
    #[track_caller]
    pub(crate) fn has(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            let is_there = self.stdout.contains(part) || self.stderr.contains(part);
            assert!(is_there, "no `{part}` in\n{}{}", self.stdout, self.stderr);
        }
        self
    }
}

impl Goff {
    /// A folder with these files.
    pub(crate) fn with(files: &[(&str, &str)]) -> Self {
        let goff = Self {
            directory: tempfile::tempdir().unwrap(),
            session: String::new(),
            replaced: Vec::new(),
        };
        for (name, content) in files {
            goff.write(name, content);
        }
        goff
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces a file, as an editor does.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let beside = self.path(&format!(".{name}"));
        std::fs::write(&beside, content).unwrap();
        std::fs::rename(beside, self.path(name)).unwrap();
    }

    /// The documentation shows `shown` for `text`.
    pub(crate) fn replace(&mut self, text: impl Into<String>, shown: &str) {
        self.replaced.push((text.into(), shown.to_owned()));
    }

    /// Runs a line of shell, such as `goff evaluate …`.
    pub(crate) fn run(&self, line: &str) -> Ran {
        let output = self.command(line).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ran {
            code: output.status.code().unwrap_or(-1),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Runs a line whose output has no reader, and gives the exit code.
    pub(crate) fn run_without_reader(&self, line: &str) -> Option<i32> {
        let (stdout, reader) = UnixStream::pair().unwrap();
        drop(reader);
        let mut command = self.command(line);
        let stdout = Stdio::from(OwnedFd::from(stdout));
        let ran = command.stdout(stdout).stderr(Stdio::null()).status();
        ran.unwrap().code()
    }

    /// The same, as a part of the session.
    pub(crate) fn show(&mut self, line: &str) -> Ran {
        let ran = self.run(line);
        self.add(line, &format!("{}{}", ran.stderr, ran.stdout));
        if ran.code != 0 {
            self.session.pop();
            self.session += &format!("$ echo $?\n{}\n\n", ran.code);
        }
        ran
    }

    /// Adds a line and what it printed to the session.
    pub(crate) fn add(&mut self, line: &str, printed: &str) {
        let mut text = format!("$ {line}\n{printed}\n");
        for (found, shown) in &self.replaced {
            text = text.replace(found, shown);
        }
        self.session += &text;
    }

    /// Starts a line of shell that runs until it is stopped.
    pub(crate) fn start(&self, line: &str) -> Running {
        let mut command = self.command(&format!("exec {line}"));
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = mpsc::channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = sender.clone();
        std::thread::spawn(move || forward(BufReader::new(out), &sender));
        std::thread::spawn(move || forward(BufReader::new(err), &errors));
        Running {
            child,
            lines,
            read: String::new(),
        }
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        let folder = binary().parent().unwrap().display().to_string();
        let path = format!("{folder}:{}", std::env::var("PATH").unwrap_or_default());
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(&self.directory);
        command.env_clear().env("PATH", path).stdin(Stdio::null());
        command
    }

    /// Compares the session with the section of `docs/tools.md`, or writes it.
    pub(crate) fn document(&self, section: &str) {
        document(
            section,
            &format!("```console\n{}\n```\n", self.session.trim_end()),
        );
    }
}

/// The command under test.
pub(crate) fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_goff"))
}

fn forward(lines: impl BufRead, sender: &mpsc::Sender<String>) {
    for line in lines.lines().map_while(Result::ok) {
        if sender.send(line).is_err() {
            return;
        }
    }
}

/// A command that runs. It is killed when this is dropped.
pub(crate) struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
    read: String,
}

impl Running {
    /// Waits for a line that contains `part`.
    #[track_caller]
    pub(crate) fn line(&mut self, part: &str) -> String {
        let line = self.line_within(part, PATIENCE);
        line.unwrap_or_else(|| panic!("no line with `{part}` after\n{}", self.read))
    }

    pub(crate) fn line_within(&mut self, part: &str, limit: Duration) -> Option<String> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.lines.recv_timeout(left).ok()?;
            self.read += &format!("{line}\n");
            if line.contains(part) {
                return Some(line);
            }
        }
    }

    /// Everything read so far.
    pub(crate) fn read(&self) -> &str {
        &self.read
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let killed = Command::new("kill")
            .args([&format!("-{name}"), &id])
            .status();
        assert!(killed.unwrap().success());
    }

    /// Waits for the end and gives the exit code.
    pub(crate) fn end(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                for line in self.lines.try_iter() {
                    self.read += &format!("{line}\n");
                }
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("still running after\n{}", self.read);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn documentation() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tools.md")
}

/// Compares the text between `<!-- section -->` and `<!-- end -->` with `text`, or replaces it.
pub(crate) fn document(section: &str, text: &str) {
    // Tests of one process write the same file.
    static FILE: Mutex<()> = Mutex::new(());
    let _file = FILE.lock().unwrap_or_else(PoisonError::into_inner);
    let path = documentation();
    let committed = std::fs::read_to_string(&path).unwrap();
    let begin = format!("<!-- {section} -->\n");
    let split = committed.split_once(&begin).and_then(|(before, rest)| {
        let (was, after) = rest.split_once("<!-- end -->")?;
        Some((before, was.trim(), after))
    });
    let Some((before, was, after)) = split else {
        panic!("docs/tools.md has no section `{section}`");
    };
    if std::env::var_os("GOFF_WRITE_DOCS").is_some() {
        let written = format!("{before}{begin}\n{text}\n<!-- end -->{after}");
        std::fs::write(&path, written).unwrap();
    } else if was != text.trim() {
        panic!("docs/tools.md is out of date; set GOFF_WRITE_DOCS=1\nnow:\n{text}\nwas:\n{was}");
    }
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
