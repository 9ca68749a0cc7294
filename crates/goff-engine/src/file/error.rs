//! Errors of flag files, with positions.

use std::{borrow::Cow, fmt};

use super::{
    position::{Lines, Position},
    served::Fault,
};
use crate::presentable::presentable;

/// Why a text is not in its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Malformed {
    offset: usize,
    message: Cow<'static, str>,
}

impl Malformed {
    pub(crate) fn new(offset: usize, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self { offset, message }
    }

    /// The error of a file with this text.
    pub(crate) fn of_file(self, text: &str) -> FlagFileError {
        FlagFileError {
            offset: self.offset,
            position: Lines::new(text).position(self.offset),
            message: presentable(&self.message).into_owned(),
        }
    }
}

impl From<Fault> for Malformed {
    fn from(fault: Fault) -> Self {
        Self::new(fault.offset, fault.message)
    }
}

/// A flag that the server would reject, or that takes too much memory or time.
///
/// Texts of the flag in the message are cut, and have no line breaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagProblem {
    pub(crate) flag: String,
    /// Byte offset in the text.
    pub(crate) offset: usize,
    pub(crate) position: Position,
    pub(crate) message: String,
    pub(crate) kind: ProblemKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ProblemKind {
    /// The server cannot decode the flag, and refuses the file.
    Undecodable,
    /// The server leaves the flag out.
    Invalid,
    /// The flag is beyond a limit that the server does not have.
    TooLarge,
}

impl FlagProblem {
    /// The name of the flag.
    #[must_use]
    pub fn flag(&self) -> &str {
        &self.flag
    }

    /// Whether the server refuses the whole file for it. Otherwise it leaves out the flag, or even
    /// serves it, if the limit is not the server's.
    #[must_use]
    pub fn refuses_file(&self) -> bool {
        self.kind == ProblemKind::Undecodable
    }

    /// What is wrong, in the server's words if it is wrong there.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.position.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.position.column
    }
}

impl fmt::Display for FlagProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (position, flag) = (self.position, presentable(&self.flag));
        write!(f, "{position}: flag `{flag}`: {}", self.message)
    }
}

/// A file that is not a readable object of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagFileError {
    /// Byte offset in the text.
    pub(crate) offset: usize,
    position: Position,
    pub(crate) message: String,
}

impl FlagFileError {
    /// Line in the file, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.position.line
    }

    /// Column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.position.column
    }
}

impl fmt::Display for FlagFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

impl std::error::Error for FlagFileError {}
