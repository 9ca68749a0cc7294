//! Why a relay proxy could not be started.

use std::error::Error;
use std::fmt;

/// Why a relay proxy could not be started.
#[derive(Debug)]
pub struct StartError {
    reason: String,
    log: String,
}

impl StartError {
    pub(crate) fn new(reason: impl Into<String>, log: String) -> Self {
        Self {
            reason: reason.into(),
            log,
        }
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "no relay proxy: {}", self.reason)?;
        if !self.log.is_empty() {
            write!(formatter, "\n--- its log ---\n{}\n---", self.log.trim_end())?;
        }
        Ok(())
    }
}

impl Error for StartError {}
