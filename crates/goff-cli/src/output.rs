//! What a command prints: text with colors on a terminal, or JSON.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write as _;

use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use goff_engine::__internal::is_hidden;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// When to use colors.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless `NO_COLOR` is set
    Auto,
    Always,
    Never,
}

impl Color {
    pub(crate) fn apply(self) {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::AlwaysAnsi,
            Self::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// Standard output.
#[derive(Clone, Copy)]
pub(crate) struct Output {
    pub(crate) is_json: bool,
}

impl Output {
    pub(crate) fn new(is_json: bool) -> Self {
        Self { is_json }
    }

    /// Prints text; colors are removed where there is no terminal.
    pub(crate) fn text(&self, text: &str) -> Result<(), Failure> {
        let mut out = anstream::stdout().lock();
        let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        written.map_err(|error| Failure::of_output(&error))
    }

    /// Prints indented JSON.
    pub(crate) fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(value).unwrap_or_default();
        self.text(&(escaped(&text) + "\n"))
    }

    /// Prints JSON on one line.
    pub(crate) fn json_line(&self, value: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string(value).unwrap_or_default();
        self.text(&(escaped(&text) + "\n"))
    }
}

/// Prints an error or a warning.
pub(crate) fn complain(kind: &str, style: Style, message: &str) {
    // Of several lines only the first begins with the kind, so that no other one is a command.
    let message = presentable(message).replace('\n', "\n  | ");
    // Without standard error the exit code must do.
    let _ = writeln!(anstream::stderr(), "{style}{kind}{style:#}: {message}");
}

pub(crate) fn warn(message: &str) {
    complain("warning", YELLOW, message);
}

/// A text of a file or a server on one line: in quotes if there is anything in it that acts on a
/// terminal or is not to be seen, or that GitHub would take for a workflow command.
pub(crate) fn shown(text: &str) -> Cow<'_, str> {
    let is_command = text.trim_start().starts_with("::") || text.contains(OLD_COMMAND);
    if !text.is_empty() && !is_command && !text.chars().any(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut quoted = String::from('"');
    for c in text.chars() {
        match is_hidden(c) || matches!(c, '"' | '\\') {
            true => quoted.extend(c.escape_default()),
            false => quoted.push(c),
        }
    }
    quoted.push('"');
    Cow::Owned(without_commands(&quoted))
}

/// The same for a text of several lines, without quotes.
pub(crate) fn presentable(text: &str) -> String {
    let mut shown = String::new();
    for c in text.chars() {
        match is_hidden(c) && c != '\n' {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
    }
    without_commands(&shown)
}

/// A text without GitHub's commands in their older form.
pub(crate) fn without_commands(text: &str) -> String {
    text.replace(OLD_COMMAND, "#\\u{23}[")
}

/// The same for JSON, whose value stays.
pub(crate) fn escaped(json: &str) -> String {
    let mut escaped = String::new();
    for c in json.chars() {
        match is_hidden(c) && c != '\n' {
            true => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    escaped += &format!("\\u{unit:04x}");
                }
            }
            false => escaped.push(c),
        }
    }
    // Only texts contain it.
    escaped.replace(OLD_COMMAND, "#\\u0023[")
}

/// A number with separators of thousands.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of things, such as `1 file` or `1,000 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// A text in a style.
pub(crate) fn styled(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}

/// JSON for a reader: on one line, and not longer than a reader wants.
pub(crate) fn brief(value: &Value) -> String {
    brief_from(0, &escaped(&value.to_string()))
}

/// The same for two values, from shortly before the place where they begin to differ if that is far
/// from their beginning.
pub(crate) fn briefly_different(one: &Value, other: &Value) -> (String, String) {
    let (one, other) = (escaped(&one.to_string()), escaped(&other.to_string()));
    let pairs = one.chars().zip(other.chars());
    let same = pairs.take_while(|(one, other)| one == other).count();
    let start = match same < LONGEST {
        true => 0,
        false => same - SHOWN_BEFORE,
    };
    (brief_from(start, &one), brief_from(start, &other))
}

/// A part of a text, from a character on.
fn brief_from(start: usize, text: &str) -> String {
    let mut rest = text.chars().skip(start);
    let mut part: String = rest.by_ref().take(LONGEST).collect();
    if start > 0 {
        part.insert(0, '…');
    }
    if rest.next().is_some() {
        part.push('…');
    }
    part
}

/// GitHub's runner looks for commands in this form anywhere in a line, and for those in the form
/// `::command::` at its start.
const OLD_COMMAND: &str = "##[";

const LONGEST: usize = 120;
/// How much of what two texts share is shown before they differ.
const SHOWN_BEFORE: usize = 20;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const RED: Style = AnsiColor::Red.on_default().bold();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default().bold();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_separated() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn long_values_are_shown_where_they_differ() {
        let long = "x".repeat(200);
        let value = |end: &str| Value::from(format!("{long}{end}"));
        assert_eq!(brief(&value("")), format!("\"{}…", "x".repeat(119)));
        let shared = "x".repeat(20);
        for (one, other, shown) in [
            ("1", "2", ("1\"", "2\"")),
            ("", "2", ("\"", "2\"")),
            ("é1", "é2", ("1\"", "2\"")),
        ] {
            let (left, right) = briefly_different(&value(one), &value(other));
            assert!(left.starts_with('…') && left.ends_with(shown.0), "{left}");
            assert!(
                right.starts_with('…') && right.ends_with(shown.1),
                "{right}"
            );
            assert_ne!(left, right);
        }
        let (left, _) = briefly_different(&value("1"), &value("2"));
        assert_eq!(left, format!("…{shared}1\""));
        let (left, right) = briefly_different(&Value::from(1), &Value::from(1.0));
        assert_eq!((&*left, &*right), ("1", "1.0"));
    }

    #[test]
    fn texts_act_on_no_terminal_and_no_reviewer() {
        for (text, quoted) in [
            ("plain: größe \"quoted\" #[x]", ""),
            ("", r#""""#),
            ("a\u{1b}[31mb", r#""a\u{1b}[31mb""#),
            ("a\n\"\u{9b}\\", r#""a\n\"\u{9b}\\""#),
            ("a\u{202e}b", r#""a\u{202e}b""#),
            (
                "a\u{2028}\u{fe0f}\u{e0041}",
                r#""a\u{2028}\u{fe0f}\u{e0041}""#,
            ),
            (" ::error file=a::b", r#"" ::error file=a::b""#),
            ("a ##[add-mask]b", r##""a #\u{23}[add-mask]b""##),
        ] {
            let expected = if quoted.is_empty() { text } else { quoted };
            assert_eq!(shown(text), expected);
            let json = Value::from(text);
            for written in [json.to_string(), format!("{json:#}")] {
                let shown = escaped(&written);
                assert!(!shown.chars().any(is_hidden) && !shown.contains(OLD_COMMAND));
                assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), json);
            }
        }
    }
}
