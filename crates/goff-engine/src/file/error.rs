//! Errors of flag files, with positions.

use std::fmt;

use super::position::Position;

/// A flag that the server would reject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagProblem {
    pub(super) flag: String,
    pub(super) position: Position,
    pub(super) message: String,
}

impl FlagProblem {
    /// The name of the flag.
    #[must_use]
    pub fn flag(&self) -> &str {
        &self.flag
    }

    /// What is wrong, in the server's words.
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
        write!(
            f,
            "{}: flag `{}`: {}",
            self.position, self.flag, self.message
        )
    }
}

/// A file that is not a readable object of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagFileError {
    position: Position,
    message: String,
}

impl FlagFileError {
    pub(super) fn new(position: Position, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
        }
    }

    pub(super) fn at<T>(position: Position, message: impl Into<String>) -> Result<T, Self> {
        Err(Self::new(position, message))
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

impl fmt::Display for FlagFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.position, self.message)
    }
}

impl std::error::Error for FlagFileError {}
