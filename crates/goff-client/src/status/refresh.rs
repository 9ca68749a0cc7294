//! The result of a refresh that the application asked for.

use goff_core::ResolutionError;

use crate::status::error::ClientError;
use crate::status::events::ChangedFlags;

/// What [`GoFeatureFlag::refresh`](crate::GoFeatureFlag::refresh) did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refreshed {
    /// The flags in use were current (in-process evaluation).
    Unchanged,
    /// Other flags are in use now: the difference between those before and after the refresh
    /// (in-process evaluation).
    Changed(ChangedFlags),
    /// No answer from before is served any more (remote evaluation). What has changed only the
    /// relay proxy knows.
    CacheCleared,
}

/// Why the flags were not refreshed. Those in use stay.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The client is not initialized, was shut down, or its key was refused.
    #[error(transparent)]
    NotReady(ResolutionError),
    /// The flags could not be loaded; the cause has the details.
    #[error(transparent)]
    Failed(ClientError),
}
