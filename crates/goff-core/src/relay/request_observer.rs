//! [`RequestObserver`]: learns whether a relay proxy answers.

use std::fmt;

use tokio::time::Instant;

use crate::evaluation::RelayError;

/// Learns which requests a relay proxy answers, whatever they are for and whatever it answers, and
/// which evaluations it does not answer. Called concurrently; never waits.
pub trait RequestObserver: fmt::Debug + Send + Sync {
    /// The head of a response has arrived.
    fn answered(&self);

    /// The request for an evaluation that began at `began` failed on a new connection, or did not get
    /// one, before the head of a response arrived. Not called for requests that waited for their turn
    /// until the timeout, that were given up by their caller, or that were not to be sent.
    fn unanswered(&self, began: Instant, error: &RelayError);
}
