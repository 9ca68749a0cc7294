//! How a command ends.

use std::fmt::Display;
use std::io;

/// The outcome of a command that did its work.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    /// Exit code 1.
    Findings,
}

impl Verdict {
    pub(crate) fn of(is_good: bool) -> Self {
        match is_good {
            true => Self::Good,
            false => Self::Findings,
        }
    }

    /// The verdict after printing: that nothing reads the output does not change it.
    pub(crate) fn after(self, printed: Result<(), Failure>) -> Result<Self, Failure> {
        match printed {
            Ok(()) | Err(Failure::OutputClosed) => Ok(self),
            Err(failure) => Err(failure),
        }
    }
}

/// Why a command could not do its work.
pub(crate) enum Failure {
    /// Exit code 2: what was tried, what is wrong, and what to do.
    Message(String),
    /// The reader of the output has enough, as in `goff … | head`.
    OutputClosed,
}

impl Failure {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self::Message(message.into())
    }

    /// A failure at a place: a file, or an argument.
    pub(crate) fn at(place: impl Display, message: impl Display) -> Self {
        Self::Message(format!("{place}: {message}"))
    }

    pub(crate) fn of_output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::new(format!(
                "the output cannot be written: {error}; check where it is redirected to"
            )),
        }
    }
}
