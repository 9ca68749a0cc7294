//! What became of the events: after a flush or shutdown, and at any time.

use goff_core::RelayError;

/// What became of every event since the publisher was made:
/// `recorded = delivered + dropped + buffered`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the collector took.
    pub delivered: u64,
    /// Events that were lost: they exceeded the cap, or came while the publisher did not run.
    pub dropped: u64,
    /// Events that are still here, one batch on its way included. A publisher that is started
    /// again delivers them.
    pub buffered: u64,
    /// Why the last batch was not taken, if so.
    pub error: Option<RelayError>,
}

/// What became of every evaluation and event so far:
/// `recorded = delivered + dropped + in_flight + buffered`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UsageStats {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the collector took.
    pub delivered: u64,
    /// Events that were lost: they exceeded the cap, or came while the publisher did not run.
    pub dropped: u64,
    /// Events that are on their way.
    pub in_flight: u64,
    /// Events that wait.
    pub buffered: u64,
    /// Evaluations that were not recorded because nobody knows whether the relay proxy did.
    pub unknown: u64,
}
