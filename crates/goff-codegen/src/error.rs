//! Why no module can be made.

use std::fmt;

use goff_engine::{FlagFileError, FlagProblem};

use crate::tokens::code;

/// Why a text gives no module. `Debug` is the message too: cargo prints it when a build script
/// returns the error.
#[derive(Clone)]
#[non_exhaustive]
pub enum CodegenError {
    /// The text is not a flag file.
    File(FlagFileError),
    /// A relay proxy would refuse or leave out these flags.
    Problems(Vec<FlagProblem>),
    /// The text is not a manifest.
    #[non_exhaustive]
    Manifest {
        /// What is wrong.
        message: String,
    },
    /// There is no function for a flag.
    #[non_exhaustive]
    Flag {
        /// The key of the flag.
        key: String,
        /// What is wrong with it.
        message: String,
    },
    /// The generated code is not valid Rust, which is a mistake of this crate.
    #[non_exhaustive]
    Code {
        /// What is wrong.
        message: String,
    },
}

impl CodegenError {
    pub(crate) fn manifest(message: impl Into<String>) -> Self {
        Self::Manifest {
            message: message.into(),
        }
    }

    pub(crate) fn flag(key: &str, message: impl Into<String>) -> Self {
        Self::Flag {
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

impl fmt::Display for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(error) => write!(f, "the flag file cannot be read: {error}"),
            Self::Problems(problems) => {
                f.write_str("the flag file has flags that fail validation")?;
                for (index, problem) in problems.iter().take(MOST_SHOWN).enumerate() {
                    let separator = if index == 0 { ": " } else { "; " };
                    write!(f, "{separator}{problem}")?;
                }
                match problems.len().saturating_sub(MOST_SHOWN) {
                    0 => Ok(()),
                    more => write!(f, "; and {more} more"),
                }
            }
            Self::Manifest { message } => write!(f, "the manifest cannot be read: {message}"),
            Self::Flag { key, message } => write!(f, "flag {}: {message}", code(key)),
            Self::Code { message } => write!(
                f,
                "the generated code is not valid Rust: {message}; report it with the flag file"
            ),
        }
    }
}

impl fmt::Debug for CodegenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for CodegenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::File(error) => Some(error),
            _ => None,
        }
    }
}

const MOST_SHOWN: usize = 10;
