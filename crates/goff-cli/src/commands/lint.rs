//! `goff lint`.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Group, Level, Patch, Renderer, Snippet};
use clap::{Args, ValueEnum};
use goff_engine::__internal::is_hidden;
use goff_engine::{LintCode, LintDiagnostic, LintSeverity, Timestamp, lint_allowing};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};
use serde_json::{Value, json};

use crate::arguments::{now, parse_time};
use crate::failure::{Failure, Verdict};
use crate::output::{BOLD, GREEN, Output, escaped, presentable, shown, styled, without_commands};
use crate::{file, flags};

/// Find errors and likely mistakes in flag files.
///
/// Errors are what a relay proxy refuses, warnings what it serves and surprises with. The exit code is 1
/// if there is any of them.
#[derive(Args)]
#[command(after_help = "\
Examples:
  goff lint flags.yaml
  goff lint flags/*.yaml --format github
  goff lint flags.yaml --format sarif --output lint.sarif")]
pub(crate) struct Arguments {
    /// The flag files.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How to print what is found.
    #[arg(long, value_enum, default_value_t = Format::Text, conflicts_with = "json")]
    format: Format,
    /// A code whose warnings to leave out; errors stay. Repeat it for several.
    #[arg(long, value_name = "CODE", value_parser = parse_code)]
    allow: Vec<LintCode>,
    /// For the warnings that depend on the time: RFC 3339, or a date.
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    at: Option<String>,
    /// Write to this file instead of standard output.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// With the lines of the file
    Text,
    Json,
    /// For code scanning
    Sarif,
    /// Annotations of a GitHub workflow
    Github,
}

/// A file, and what is found in it.
struct Linted<'a> {
    path: &'a Path,
    text: String,
    found: Vec<LintDiagnostic>,
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        let at = self
            .at
            .as_deref()
            .and_then(Timestamp::parse)
            .unwrap_or_else(now);
        let mut linted = Vec::new();
        for path in &self.files {
            let content = file::read(path)?;
            let found = lint_allowing(&content, flags::format(path), at, &self.allow);
            linted.push(Linted {
                path,
                text: String::from_utf8_lossy(&content).into_owned(),
                found,
            });
        }
        let format = if output.is_json {
            Format::Json
        } else {
            self.format
        };
        let printed = match format {
            Format::Text => without_commands(&text_of(&linted)),
            Format::Json => pretty(&json(&linted)),
            Format::Sarif => pretty(&sarif(&linted)),
            Format::Github => github(&linted),
        };
        let verdict = Verdict::of(linted.iter().all(|file| file.found.is_empty()));
        verdict.after(match &self.output {
            None => output.text(&printed),
            Some(path) if format == Format::Text => {
                let plain = anstream::adapter::strip_str(&printed).to_string();
                file::replace(path, plain.as_bytes())
            }
            Some(path) => file::replace(path, printed.as_bytes()),
        })
    }
}

impl Linted<'_> {
    /// A span as far as it is one of the text, which can differ in encoding from the file.
    fn span(&self, span: &Range<usize>) -> Range<usize> {
        let within = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        within(span.start)..within(span.end.max(span.start))
    }

    /// Line and column of a place, from 1. Those of what is found there are known.
    fn position(&self, found: &LintDiagnostic, at: usize) -> (usize, usize) {
        let (from, line, column) = match at >= found.span.start {
            true => (found.span.start, found.line, found.column),
            false => (0, 1, 1),
        };
        let between = self.text.get(from..at).unwrap_or_default();
        let line = line + between.matches('\n').count();
        match between.rsplit_once('\n') {
            Some((_, last)) => (line, last.chars().count() + 1),
            None => (line, column + between.chars().count()),
        }
    }

    /// The lines of a span as far as they are near it, and the span in them. The renderer would read
    /// the whole file for each snippet.
    fn near(&self, span: &Range<usize>) -> (String, Range<usize>) {
        let span = self.span(&(span.start..span.end.min(span.start + LONGEST_SPAN)));
        let Range { start, end } = self
            .span(&(span.start.saturating_sub(MOST_BESIDE)..span.end.saturating_add(MOST_BESIDE)));
        let part = |range: Range<usize>| self.text.get(range).unwrap_or_default();
        let (before, after) = (part(start..span.start), part(span.end..end));
        let before = match before.rsplit_once('\n') {
            Some((_, line)) => visible(line),
            None if start == 0 => visible(before.trim_start_matches('\u{feff}')),
            None => Cow::Owned(format!("…{}", visible(before))),
        };
        let after = match after.split_once('\n') {
            Some((line, _)) => visible(line),
            None if end == self.text.len() => visible(after),
            None => Cow::Owned(format!("{}…", visible(after))),
        };
        let within = visible(part(span));
        let span = before.len()..before.len() + within.len();
        (format!("{before}{within}{after}"), span)
    }
}

/// A part of a file with the characters escaped that are not to be seen.
fn visible(text: &str) -> Cow<'_, str> {
    let is_escaped = |c: char| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t');
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut visible = String::new();
    for c in text.chars() {
        match is_escaped(c) {
            true => visible.extend(c.escape_default()),
            false => visible.push(c),
        }
    }
    Cow::Owned(visible)
}

fn text_of(linted: &[Linted<'_>]) -> String {
    let renderer = Renderer::styled();
    let mut text = String::new();
    for file in linted {
        let path = file.path.display().to_string();
        let path = shown(&path);
        for found in &file.found {
            let level = match found.severity {
                LintSeverity::Error => Level::ERROR,
                _ => Level::WARNING,
            };
            let (near, span) = file.near(&found.span);
            let cut = near.get(..span.start).unwrap_or_default();
            let place = |column| format!("{path}:{}:{column}", found.line);
            let (in_near, in_file) = (place(cut.chars().count() + 1), place(found.column));
            let snippet = Snippet::source(near).path(&*path).line_start(found.line);
            let group = level
                .primary_title(found.message.as_str())
                .id(found.code.as_str())
                .element(snippet.annotation(AnnotationKind::Primary.span(span)))
                .element(Level::NOTE.message(found.explanation()));
            let mut report: Vec<Group<'_>> = vec![group];
            if let Some(fix) = &found.fix {
                let (near, span) = file.near(&fix.span);
                let (line, _) = file.position(found, fix.span.start);
                let patch = Patch::new(span, visible(&fix.replacement));
                let snippet = Snippet::source(near).path(&*path).line_start(line);
                let snippet = snippet.patch(patch);
                report.push(Level::HELP.secondary_title("write").element(snippet));
            }
            text += &renderer.render(&report).replacen(&in_near, &in_file, 1);
            text += "\n\n";
        }
    }
    let found = || linted.iter().flat_map(|file| &file.found);
    let errors = found()
        .filter(|it| it.severity == LintSeverity::Error)
        .count();
    let warnings = found().count() - errors;
    let counted = |count: usize, noun: &str| match count {
        1 => format!("1 {noun}"),
        count => format!("{count} {noun}s"),
    };
    let files = counted(linted.len(), "file");
    if errors + warnings == 0 {
        return text + &format!("{} in {files}\n", styled(GREEN, "nothing found"));
    }
    let found = format!(
        "{}, {}",
        counted(errors, "error"),
        counted(warnings, "warning")
    );
    text + &format!("{} in {files}\n", styled(BOLD, found))
}

fn json(linted: &[Linted<'_>]) -> Value {
    let each = |file: &Linted<'_>| -> Vec<Value> {
        let one = |found: &LintDiagnostic| {
            let span = |span: &Range<usize>| json!({"start": span.start, "end": span.end});
            let fix = found.fix.as_ref();
            json!({
                "file": file.path.display().to_string(),
                "line": found.line,
                "column": found.column,
                "span": span(&found.span),
                "severity": found.severity.to_string(),
                "code": found.code.as_str(),
                "flag": found.flag,
                "message": found.message,
                "explanation": found.explanation(),
                "fix": fix.map(|fix| json!({"span": span(&fix.span), "replacement": fix.replacement})),
            })
        };
        file.found.iter().map(one).collect()
    };
    linted.iter().flat_map(each).collect()
}

/// SARIF 2.1.0.
fn sarif(linted: &[Linted<'_>]) -> Value {
    let rule = |code: &LintCode| {
        json!({
            "id": code.as_str(),
            "shortDescription": {"text": code.explanation()},
            "helpUri": format!("{REPOSITORY}/blob/main/docs/lint/{}.md", code.as_str()),
        })
    };
    let region = |file: &Linted<'_>, found: &LintDiagnostic, span: &Range<usize>| {
        let span = file.span(span);
        let ((line, column), (end_line, end_column)) = (
            file.position(found, span.start),
            file.position(found, span.end),
        );
        json!({"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column})
    };
    let mut results = Vec::new();
    for file in linted {
        let artifact = json!({"uri": uri(file.path, cfg!(windows))});
        for found in &file.found {
            let mut result = json!({
                "ruleId": found.code.as_str(),
                "level": found.severity.to_string(),
                "message": {"text": format!("{}. {}", found.message, found.explanation())},
                "locations": [{"physicalLocation": {
                    "artifactLocation": artifact,
                    "region": region(file, found, &found.span),
                }}],
            });
            if let (Some(fix), Some(result)) = (&found.fix, result.as_object_mut()) {
                let change = json!([{"artifactChanges": [{
                    "artifactLocation": artifact,
                    "replacements": [{
                        "deletedRegion": region(file, found, &fix.span),
                        "insertedContent": {"text": fix.replacement},
                    }],
                }]}]);
                result.insert("fixes".to_owned(), change);
            }
            results.push(result);
        }
    }
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "goff lint",
                "version": env!("CARGO_PKG_VERSION"),
                "informationUri": REPOSITORY,
                "rules": LintCode::ALL.iter().map(rule).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// The reference to a file: relative, or `file:` for an absolute path (RFC 3986, 8089).
fn uri(path: &Path, is_windows: bool) -> String {
    let mut path = path.as_os_str().as_encoded_bytes().to_vec();
    if is_windows {
        path.iter_mut()
            .filter(|byte| **byte == b'\\')
            .for_each(|byte| *byte = b'/');
    }
    let is_on_drive = is_windows && path.get(1..3) == Some(b":/");
    let (start, rest) = match path.split_at_checked(2) {
        Some((drive, rest)) if is_on_drive => {
            (format!("file:///{}", String::from_utf8_lossy(drive)), rest)
        }
        // A host.
        Some((b"//", rest)) if is_windows => ("file://".to_owned(), rest),
        _ if path.starts_with(b"/") => ("file://".to_owned(), &*path),
        _ => (String::new(), &*path),
    };
    format!("{start}{}", percent_encode(rest, NOT_IN_PATHS))
}

/// Workflow commands (docs.github.com, "Workflow commands for GitHub Actions").
fn github(linted: &[Linted<'_>]) -> String {
    let message = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| message(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for file in linted {
        for found in &file.found {
            text += &format!(
                "::{} file={},line={},col={},title={}::{}\n",
                found.severity,
                property(&presentable(&file.path.display().to_string())),
                found.line,
                found.column,
                property(found.code.as_str()),
                message(&format!("{}. {}", found.message, found.explanation())),
            );
        }
    }
    text
}

fn pretty(value: &Value) -> String {
    escaped(&format!("{value:#}\n"))
}

fn parse_code(name: &str) -> Result<LintCode, String> {
    let known = LintCode::ALL.iter().find(|code| code.as_str() == name);
    known.copied().ok_or_else(|| {
        let codes: Vec<&str> = LintCode::ALL.iter().map(|code| code.as_str()).collect();
        format!("the codes are {}", codes.join(", "))
    })
}

/// How much of a span, and of the lines before and after it, a snippet has.
const LONGEST_SPAN: usize = 4_000;
const MOST_BESIDE: usize = 1_000;
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");
/// A colon would end a scheme.
const NOT_IN_PATHS: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b':')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use goff_engine::FlagFileFormat;

    use super::*;

    /// Places are found, and lines shown, without reading the file for each of them.
    #[test]
    fn the_size_of_a_file_does_not_count_for_each_finding() {
        let flag = |number| {
            format!(
                "f{number}: {{variations: {{a: 1}}, targeting: [{{query: x eq 1 AND y eq 2, variation: a}}], defaultRule: {{variation: a}}}}\n"
            )
        };
        let small: String = (0..400).map(flag).collect();
        let now = Timestamp::from_unix_seconds(0);
        let found = lint_allowing(small.as_bytes(), FlagFileFormat::Yaml, now, &[]);
        assert!(found.len() >= 400 && found.iter().any(|found| found.fix.is_some()));
        let of = |text: String, found: Vec<LintDiagnostic>| {
            let path = Path::new("flags.yaml");
            let linted = [Linted { path, text, found }];
            let started = Instant::now();
            let printed = (text_of(&linted), pretty(&sarif(&linted)));
            (printed, started.elapsed())
        };
        let ((few, _), _) = of(small.clone(), found.clone());
        // The same after 32 MiB of comments.
        let line = format!("#{}\n", " ".repeat(62));
        let before = line.repeat(1 << 19);
        let moved = found.into_iter().map(|mut found| {
            let forward = |span: &Range<usize>| span.start + before.len()..span.end + before.len();
            found.span = forward(&found.span);
            found.line += 1 << 19;
            if let Some(fix) = &mut found.fix {
                fix.span = forward(&fix.span);
            }
            found
        });
        let moved = moved.collect();
        let ((text, sarif), took) = of(format!("{before}{small}"), moved);
        assert!(took < Duration::from_secs(10), "{took:?}");
        assert_eq!(text.lines().count(), few.lines().count());
        assert!(text.contains(&format!("flags.yaml:{}:", (1 << 19) + 400)));
        assert!(sarif.contains(&format!("\"endLine\": {}", (1 << 19) + 400)));
    }

    #[test]
    fn of_a_long_line_the_part_near_a_finding_is_shown() {
        let flag = "f: {variations: {a: 1}, targeting: [{query: x eq 1 AND y eq 2, variation: a}], defaultRule: {variation: a}}";
        let json = format!("{{\"pad\": null, {}}}", flag.replace("f:", "\"f\":"));
        let text = json.replace(
            "null",
            &format!(
                "{{variations: {{a: \"{}\u{202e}\"}}, defaultRule: {{variation: a}}}}",
                "é".repeat(5_000)
            ),
        );
        let now = Timestamp::from_unix_seconds(0);
        let found = lint_allowing(text.as_bytes(), FlagFileFormat::Yaml, now, &[]);
        let path = Path::new("flags.yaml");
        let column = text.chars().position(|c| c == 'A').unwrap() + 1;
        let linted = [Linted { path, text, found }];
        let (near, span) = linted[0].near(&linted[0].found[0].span);
        assert_eq!(near.get(span), Some("AND"));
        assert!(near.starts_with('…') && near.len() < 2_500, "{near}");
        let shown = text_of(&linted);
        assert!(shown.contains(&format!("flags.yaml:1:{column}")), "{shown}");
        assert!(!shown.contains('\u{202e}'));
    }

    #[test]
    fn files_have_references_on_each_system() {
        for (path, is_windows, expected) in [
            ("flags/a b.yaml", false, "flags/a%20b.yaml"),
            ("../é[1].yaml", false, "../%C3%A9%5B1%5D.yaml"),
            ("a:b\\c.yaml", false, "a%3Ab%5Cc.yaml"),
            ("/srv/100%.yaml", false, "file:///srv/100%25.yaml"),
            ("flags\\a b.yaml", true, "flags/a%20b.yaml"),
            ("C:\\flags\\é.yaml", true, "file:///C:/flags/%C3%A9.yaml"),
            ("\\\\host\\share\\f.yaml", true, "file://host/share/f.yaml"),
        ] {
            assert_eq!(uri(Path::new(path), is_windows), expected, "{path}");
        }
    }
}
