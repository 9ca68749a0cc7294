//! The diagnostics of a file, as they are found.

use std::{collections::HashSet, ops::Range};

use super::{
    code::{LintCode, LintSeverity},
    diagnostic::{LintDiagnostic, LintFix},
};
use crate::{
    file::{
        FlagFileError, FlagProblem,
        error::ProblemKind,
        position::Lines,
        tree::{Content, Tree},
    },
    presentable::presentable,
    validation::Step,
};

/// How many diagnostics a file gets at most.
const MOST_DIAGNOSTICS: usize = 500;

pub(super) struct Report<'t> {
    /// Codes whose warnings are left out.
    allowed: &'t [LintCode],
    text: &'t str,
    lines: Lines<'t>,
    /// Bytes before the text in the file.
    before_text: usize,
    found: Vec<LintDiagnostic>,
    /// A value with an anchor is part of several flags.
    seen: HashSet<(LintCode, usize)>,
    has_more: bool,
    key: String,
    flag: Tree<'t>,
}

impl<'t> Report<'t> {
    pub(super) fn new(text: &'t str, before_text: usize, allowed: &'t [LintCode]) -> Self {
        Self {
            allowed,
            text,
            lines: Lines::new(text),
            before_text,
            found: Vec::new(),
            seen: HashSet::new(),
            has_more: false,
            key: String::new(),
            flag: Tree::new(0, Content::Null),
        }
    }

    /// The flag that the following warnings are about.
    pub(super) fn begin(&mut self, key: &str, flag: &Tree<'t>) {
        key.clone_into(&mut self.key);
        self.flag = flag.clone();
    }

    /// Whether warnings are left out from now on.
    pub(super) fn is_full(&self) -> bool {
        self.has_more
    }

    pub(super) fn malformed(&mut self, error: &FlagFileError) {
        let span = self.word(error.offset);
        self.add(
            LintCode::MalformedFile,
            LintSeverity::Error,
            span,
            (None, &error.message),
            None,
        );
    }

    /// What the checks of the server found.
    pub(super) fn problem(&mut self, problem: &FlagProblem) {
        let (code, severity) = match (problem.kind, &*problem.message) {
            (ProblemKind::Undecodable, _) => (LintCode::UndecodableFlag, LintSeverity::Error),
            (ProblemKind::TooLarge, _) => (LintCode::BeyondLimit, LintSeverity::Warning),
            (ProblemKind::Invalid, "missing default rule") => {
                (LintCode::MissingDefaultRule, LintSeverity::Error)
            }
            (ProblemKind::Invalid, "all variations should have the same type") => {
                (LintCode::MixedVariationTypes, LintSeverity::Error)
            }
            (ProblemKind::Invalid, _) => (LintCode::InvalidFlag, LintSeverity::Error),
        };
        let span = self.word(problem.offset);
        let about = (Some(problem.flag()), problem.message());
        self.add(code, severity, span, about, None);
    }

    /// A warning about a part of the flag.
    pub(super) fn warn(&mut self, code: LintCode, path: &[Step], message: &str) {
        // Finding the part takes time.
        if !self.is_full() && !self.allowed.contains(&code) {
            let span = self.word(self.flag.part(path).offset);
            self.warn_at(code, span, message, None);
        }
    }

    /// A warning about a range of a text of the flag, and what to put there.
    pub(super) fn warn_within(
        &mut self,
        code: LintCode,
        path: &[Step],
        range: Range<usize>,
        (message, replacement): (&str, Option<&str>),
    ) {
        if self.is_full() || self.allowed.contains(&code) {
            return;
        }
        let part = self.flag.part(path);
        let spelled = match &part.content {
            // Its beginning in the file: it is a part of the text.
            Content::Text(text) | Content::Plain(text) => {
                (text.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)
            }
            _ => None,
        };
        match spelled {
            Some(start) => {
                let span = start + range.start..start + range.end;
                self.warn_at(code, span, message, replacement);
            }
            None => self.warn_at(code, self.word(part.offset), message, None),
        }
    }

    /// A warning about a range of the file, and what to put there.
    pub(super) fn warn_at(
        &mut self,
        code: LintCode,
        span: Range<usize>,
        message: &str,
        replacement: Option<&str>,
    ) {
        if self.is_full() {
            return;
        }
        let fix = replacement.map(|replacement| LintFix {
            span: self.in_file(&span),
            replacement: replacement.to_owned(),
        });
        let key = std::mem::take(&mut self.key);
        let about = (Some(&*key), message);
        self.add(code, LintSeverity::Warning, span, about, fix);
        self.key = key;
    }

    fn add(
        &mut self,
        code: LintCode,
        severity: LintSeverity,
        span: Range<usize>,
        (flag, message): (Option<&str>, &str),
        fix: Option<LintFix>,
    ) {
        if severity == LintSeverity::Warning && self.allowed.contains(&code) {
            return;
        }
        if self.found.len() + 1 >= MOST_DIAGNOSTICS {
            self.has_more = true;
            return;
        }
        if severity == LintSeverity::Warning && !self.seen.insert((code, span.start)) {
            return;
        }
        let message = match flag {
            Some(flag) => format!("flag `{}`: {}", presentable(flag), presentable(message)),
            None => presentable(message).into_owned(),
        };
        let position = self.lines.position(span.start);
        self.found.push(LintDiagnostic {
            code,
            severity,
            flag: flag.map(str::to_owned),
            message,
            span: self.in_file(&span),
            line: position.line,
            column: position.column,
            fix,
        });
    }

    fn in_file(&self, span: &Range<usize>) -> Range<usize> {
        span.start + self.before_text..span.end + self.before_text
    }

    /// The word, or the text in quotes, that begins at an offset.
    pub(super) fn word(&self, offset: usize) -> Range<usize> {
        let rest = self.text.get(offset..).unwrap_or_default();
        let cut = rest.char_indices().nth(LONGEST_WORD);
        let rest = cut.and_then(|(at, _)| rest.get(..at)).unwrap_or(rest);
        let first = rest.chars().next();
        let length = match first {
            Some(quote @ ('"' | '\'')) => {
                let inner = rest.get(1..).unwrap_or_default();
                inner.find(quote).map_or(1, |end| end + 2)
            }
            Some(first) => {
                let ends = |char: char| char.is_whitespace() || ",:{}[]".contains(char);
                let end = rest.find(ends).unwrap_or(rest.len());
                end.max(first.len_utf8())
            }
            None => 0,
        };
        offset.min(self.text.len())..(offset + length).min(self.text.len())
    }

    /// All that was found, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<LintDiagnostic> {
        self.found
            .sort_by_key(|found| (found.span.start, found.code));
        if self.has_more && !self.allowed.contains(&LintCode::TooManyDiagnostics) {
            let end = self.text.len();
            let position = self.lines.position(end);
            self.found.push(LintDiagnostic {
                code: LintCode::TooManyDiagnostics,
                severity: LintSeverity::Warning,
                flag: None,
                message: "there is more to say about the file; correct what is listed first"
                    .to_owned(),
                span: self.in_file(&(end..end)),
                line: position.line,
                column: position.column,
                fix: None,
            });
        }
        self.found
    }
}

const LONGEST_WORD: usize = 1_000;
