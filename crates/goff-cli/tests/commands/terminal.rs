//! Colors, on a terminal only.

use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::process::Command;

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::FLAGS;
use crate::goff::{Goff, binary};

/// What a command prints on a terminal.
pub(crate) fn on_terminal(goff: &Goff, arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let side = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let mut command = Command::new(binary());
    command
        .args(arguments)
        .current_dir(goff.path(""))
        .env_clear()
        .env("TERM", "xterm");
    command.envs(environment.iter().copied());
    command.stdout(side.try_clone().unwrap()).stderr(side);
    let mut child = command.spawn().unwrap();
    // The last writer is then the child, whose end ends the reading.
    drop(command);
    let mut printed = Vec::new();
    // The end of a terminal is an error, EIO.
    let _ = File::from(terminal).read_to_end(&mut printed);
    child.wait().unwrap();
    String::from_utf8(printed).unwrap()
}

#[test]
fn colors_are_for_terminals() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let arguments = ["evaluate", "-f", "flags.yaml", "banner"];
    assert!(on_terminal(&goff, &arguments, &[]).contains("\u{1b}["));
    assert!(!on_terminal(&goff, &arguments, &[("NO_COLOR", "1")]).contains('\u{1b}'));
    let never = [&arguments[..], &["--color", "never"]].concat();
    assert!(!on_terminal(&goff, &never, &[]).contains('\u{1b}'));
    let line = arguments.join(" ");
    assert!(!goff.run(&format!("goff {line}")).stdout.contains('\u{1b}'));
    assert!(
        goff.run(&format!("goff {line} --color always"))
            .stdout
            .contains("\u{1b}[")
    );
}

/// Acts on a terminal, reorders what a reviewer sees, or is not to be seen.
const HIDDEN: &str = "\u{1b}[2J\u{7f}\u{9b}2J\u{202e}\u{200b}\u{2028}\u{fe0f}\u{e0041}\u{ffff}";

fn is_harmless(c: char) -> bool {
    matches!(c, '\r' | '\n') || !c.is_control() && !HIDDEN.contains(c) || c.is_ascii_graphic()
}

/// JSON as YAML, which refuses some of these characters as they are.
fn in_yaml(json: &Value) -> String {
    let escaped = |c: char| match matches!(c, ' '..='~') {
        true => c.to_string(),
        false => format!("\\U{:08x}", u32::from(c)),
    };
    json.to_string().chars().map(escaped).collect()
}

/// A flag file, and its name, may come from anywhere.
#[test]
fn what_is_hidden_in_files_does_not_reach_a_terminal() {
    let key = format!("evil{HIDDEN}");
    let file = |value: &str, share: u32| {
        let flag = json!({
            "variations": {&key: value, "b": "b", "c": "c"},
            "targeting": [{"name": key, "query": format!("x{HIDDEN} eq \"{HIDDEN}\" AND y eq 1"), "variation": "b"}],
            "defaultRule": {"percentage": {&key: share, "b": 100 - share}},
            "metadata": {&key: key, "description": key},
        });
        json!({&key: flag}).to_string()
    };
    let tests = json!({"tests": [{"name": key, "flag": key, "value": key, "variant": key}]});
    let (name, other) = (format!("flags{HIDDEN}.json"), format!("other{HIDDEN}.json"));
    let goff = Goff::with(&[
        (&*name, &*file(HIDDEN, 100)),
        (&*other, &*file("x", 50)),
        (&*format!("tests{HIDDEN}.json"), &*in_yaml(&tests)),
        ("main.rs", "fn main() {}"),
    ]);
    let tests = &*format!("tests{HIDDEN}.json");
    let (name, other) = (&*name, &*other);
    let code = &*format!("code{HIDDEN}.rs");
    let harmless = |arguments: &[&str]| {
        let arguments = [arguments, &["--color", "never"]].concat();
        let printed = on_terminal(&goff, &arguments, &[("NO_COLOR", "1")]);
        let is_harmless = printed.chars().all(is_harmless);
        assert!(is_harmless, "{arguments:?}: {printed:?}");
        printed
    };
    for json in [&[][..], &["--json"]] {
        let harmless = |arguments: &[&str]| harmless(&[arguments, json].concat());
        for command in ["evaluate", "explain"] {
            let printed = harmless(&[command, "-f", name, "--all"]);
            assert!(printed.contains("202e"), "{printed}");
            let printed = harmless(&[command, "-f", &format!("no{HIDDEN}"), "--all"]);
            assert!(printed.contains("202e"), "{printed}");
        }
        harmless(&["lint", name]);
        harmless(&["diff", name, other]);
        harmless(&["test", name, tests, "--junit", "report.xml"]);
        harmless(&["generate", "-f", name]);
        harmless(&["generate", "-f", name, "--output", code]);
        harmless(&["generate", "-f", other, "--output", code, "--check"]);
        harmless(&["generate", "-f", name, "--unused", "."]);
    }
    for format in ["json", "sarif", "github"] {
        harmless(&["lint", name, "--format", format]);
        harmless(&["lint", name, "--format", format, "--output", "report"]);
        let report = std::fs::read_to_string(goff.path("report")).unwrap();
        assert!(
            !report.is_empty() && report.chars().all(is_harmless),
            "{report}"
        );
        // Escapes change no value.
        if format == "json" {
            let report: Value = serde_json::from_str(&report).unwrap();
            assert_eq!(report[0]["flag"], key);
            assert_eq!(report[0]["file"], name);
        }
    }
    let report = std::fs::read_to_string(goff.path("report.xml")).unwrap();
    assert!(
        report.contains("evil") && report.chars().all(is_harmless),
        "{report}"
    );
}

/// In the log of a job, GitHub obeys commands at the start of a line, and older ones anywhere.
#[test]
fn texts_of_files_are_no_workflow_commands() {
    let flags = |value: &str| {
        let flag = json!({
            "variations": {"::debug::a": value, "::debug::b": "##[error]x", "::debug::c": "c"},
            "targeting": [{"name": "::debug::r", "query": "::debug::", "variation": "::debug::b"}],
            "defaultRule": {"variation": "::debug::a"},
            "metadata": {"::debug::m": "##[add-mask]m"},
        });
        json!({"::error file=a::b": flag, " ::stop-commands::x": flag, "##[add-mask]x": flag})
            .to_string()
    };
    let keys = [" ::stop-commands::x", "::error file=a::b", "##[add-mask]x"];
    let test = |key: &&str| json!({"name": key, "flag": key, "variant": "##[error]x"});
    let tests = json!({"tests": keys.iter().map(test).collect::<Vec<_>>()});
    let goff = Goff::with(&[
        ("flags.json", &*flags("a")),
        ("other.json", &*flags("b")),
        ("tests.json", &*tests.to_string()),
        ("no\n::error::x.yaml", "a: ["),
        ("main.rs", "fn main() {}"),
    ]);
    for line in [
        "evaluate -f flags.json --all",
        "evaluate -f flags.json '::error file=a::b'",
        "explain -f flags.json --all",
        "lint flags.json",
        "diff flags.json other.json",
        "diff flags.json tests.json",
        "test flags.json tests.json",
        "generate -f flags.json --unused .",
        "evaluate -f \"$(printf 'no\\n::error::x.yaml')\" a",
        "lint \"$(printf 'no\\n::error::x.yaml')\"",
    ] {
        for json in ["", " --json"] {
            let ran = goff.run(&format!("goff {line}{json}"));
            let printed = format!("{}{}", ran.stdout, ran.stderr);
            let is_command =
                |line: &str| line.trim_start().starts_with("::") || line.contains("##[");
            assert!(
                !printed.is_empty() && !printed.lines().any(is_command),
                "{line}: {printed}"
            );
        }
    }
}
