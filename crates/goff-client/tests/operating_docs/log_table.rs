//! That the table of `docs/operating/logs.md` has each log line of the sources.

use std::fs;
use std::path::{Path, PathBuf};

/// The message of each log line at INFO and above in the sources of a crate, with its file; `…` for
/// a placeholder.
fn logged(folder: &Path, messages: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            logged(&path, messages);
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        for level in ["info", "warn", "error"] {
            for call in source.split(&format!("tracing::{level}!(")).skip(1) {
                let call = call.split(");").next().unwrap();
                // A literal that goes on in the next line, without its indentation.
                let mut lines = call.split("\\\n");
                let mut text = lines.next().unwrap().to_owned();
                lines.for_each(|line| text += line.trim_start());
                let Some(message) = text.rsplit('"').nth(1) else {
                    continue;
                };
                let mut parts = message.split('{');
                let mut shown = parts.next().unwrap().to_owned();
                for part in parts {
                    shown = shown + "…" + part.split_once('}').unwrap().1;
                }
                messages.push((path.clone(), shown));
            }
        }
    }
}

#[test]
fn every_log_line_is_in_the_table() {
    let crates = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    let document = fs::read_to_string(crates.join("../docs/operating/logs.md")).unwrap();
    let cells = document.lines().filter_map(|line| line.split(" | ").nth(2));
    // Without remarks, and with one message in a cell.
    let known: Vec<&str> = cells.map(|cell| cell.split(" (").next().unwrap()).collect();
    let mut messages = Vec::new();
    for name in [
        "goff-client",
        "goff-core",
        "goff-hooks",
        "goff-http",
        "goff-ws",
    ] {
        logged(&crates.join(name).join("src"), &mut messages);
    }
    assert!(messages.len() > 40, "{messages:?}");
    // The text of a line whose message is a variable is beside it.
    messages.retain(|(_, message)| message != "…");
    for (path, message) in messages {
        let is_known = known.iter().any(|known| match known.split_once('…') {
            Some((start, end)) => message.starts_with(start) && message.ends_with(end),
            None => *known == message,
        });
        assert!(
            is_known,
            "{}: `{message}` is not in logs.md",
            path.display()
        );
    }
}
