//! [`CheckError`]: what a check of the client found wrong.

use goff_core::{RelayError, ResolutionError};

use crate::status::error::ClientError;

/// Why a check failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The relay proxy did not answer, or refused the request.
    #[error(transparent)]
    Relay(#[from] RelayError),
    /// The flag file could not be loaded, or after the check the flags of the relay proxy.
    #[error(transparent)]
    Flags(ClientError),
    /// The client is not initialized, or was shut down.
    #[error(transparent)]
    NotReady(ResolutionError),
}
