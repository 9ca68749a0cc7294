//! What is said about a flag file.

use std::{fmt, ops::Range, path::PathBuf};

use super::code::{LintCode, LintSeverity};

/// Something about a flag file that its author should know.
///
/// `Display` is one line: `line:column: severity[code]: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LintDiagnostic {
    /// What kind of thing it is.
    pub code: LintCode,
    /// Whether the relay proxy refuses the file or the flag for it.
    pub severity: LintSeverity,
    /// The key of the flag, unless it is about the file.
    pub flag: Option<String>,
    /// What is the matter, on one line.
    pub message: String,
    /// Where it is: bytes of the text of the file, in UTF-8.
    pub span: Range<usize>,
    /// Line of its beginning, from 1.
    pub line: usize,
    /// Column of its beginning in characters, from 1.
    pub column: usize,
    /// How to correct it, where that is sure.
    pub fix: Option<LintFix>,
}

/// A change of the text that corrects what a diagnostic says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LintFix {
    /// What to replace.
    pub span: Range<usize>,
    /// What to put there.
    pub replacement: String,
}

impl LintDiagnostic {
    /// Why the engine behaves so, and what to do.
    #[must_use]
    pub fn explanation(&self) -> &'static str {
        self.code.explanation()
    }
}

impl fmt::Display for LintDiagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            severity,
            code,
            message,
            ..
        } = self;
        write!(f, "{line}:{column}: {severity}[{code}]: {message}")
    }
}

/// What [`lint`](crate::lint) says about a flag file that is not clean.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlagsNotClean {
    /// The name of the file, as it was given.
    pub file: PathBuf,
    /// At least one, in the order of the file.
    pub diagnostics: Vec<LintDiagnostic>,
}

impl fmt::Display for FlagsNotClean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the flags are not clean:")?;
        for diagnostic in &self.diagnostics {
            write!(f, "\n{}:{diagnostic}", self.file.display())?;
        }
        Ok(())
    }
}

impl fmt::Debug for FlagsNotClean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for FlagsNotClean {}
