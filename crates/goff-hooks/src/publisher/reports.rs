//! What became of the recorded events.

use goff_core::RelayError;
use serde::{Serialize, Serializer};

use super::buffer::EventBuffer;

/// What became of every event since the publisher was created:
/// `recorded = delivered + dropped + rejected + pending`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the data collector accepted, or the event sink that replaces it.
    pub delivered: u64,
    /// Events that were lost: they exceeded the limit of the buffer, or were recorded while the
    /// publisher was not running.
    pub dropped: u64,
    /// Events that the data collector, or a gateway before it, refuses for their content, and those
    /// at which an event sink panicked.
    pub rejected: u64,
    /// Events that are still queued or in flight. A publisher that is started again delivers them.
    pub pending: u64,
    /// Events that sampling or the deduplication window left out; they were not recorded.
    pub left_out: u64,
    /// The same of an event sink beside the data collector.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_sink: Option<UsageStats>,
    /// Why the last batch was not delivered; `None` if it was. Where events are pending because the
    /// runtime of the publisher has ended, it says so.
    #[serde(serialize_with = "as_text")]
    pub error: Option<RelayError>,
}

/// What became of every evaluation and event so far:
/// `recorded = delivered + dropped + rejected + pending`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UsageStats {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the data collector accepted, or the event sink that replaces it.
    pub delivered: u64,
    /// Events that were lost: they exceeded the limit of the buffer, or were recorded while the
    /// publisher was not running.
    pub dropped: u64,
    /// Events that the data collector, or a gateway before it, refuses for their content, and those
    /// at which an event sink panicked.
    pub rejected: u64,
    /// Events that are still queued or in flight.
    pub pending: u64,
    /// The pending events that are in flight: those of the batch being sent.
    pub in_flight: u64,
    /// About how many bytes of memory the pending events keep.
    pub pending_bytes: u64,
    /// Evaluations that were not recorded because the relay proxy may have recorded them.
    pub unknown: u64,
    /// Events that sampling or the deduplication window left out; they were not recorded.
    pub left_out: u64,
}

impl DeliveryReport {
    pub(super) fn of(buffer: &EventBuffer, error: Option<RelayError>) -> Self {
        let stats = UsageStats::of(buffer, 0);
        Self {
            recorded: stats.recorded,
            delivered: stats.delivered,
            dropped: stats.dropped,
            rejected: stats.rejected,
            pending: stats.pending,
            left_out: stats.left_out,
            event_sink: None,
            error,
        }
    }
}

impl UsageStats {
    pub(super) fn of(buffer: &EventBuffer, unknown: u64) -> Self {
        let counts = buffer.counts();
        Self {
            recorded: as_u64(counts.recorded),
            delivered: as_u64(counts.delivered),
            dropped: as_u64(counts.dropped),
            rejected: as_u64(counts.rejected),
            pending: as_u64(buffer.pending()),
            in_flight: as_u64(buffer.in_flight()),
            pending_bytes: as_u64(buffer.weight()),
            unknown,
            left_out: as_u64(counts.left_out),
        }
    }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn as_text<S: Serializer>(error: &Option<RelayError>, serializer: S) -> Result<S::Ok, S::Error> {
    error
        .as_ref()
        .map(ToString::to_string)
        .serialize(serializer)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn report_serializes_with_the_error_as_text() {
        let error = RelayError::UnreachableFlagKey {
            flag_key: "".into(),
            reason: "is empty",
        };
        let report = DeliveryReport {
            recorded: 1,
            pending: 1,
            error: Some(error.clone()),
            ..DeliveryReport::default()
        };
        assert_eq!(
            serde_json::to_value(report).unwrap(),
            json!({
                "recorded": 1, "delivered": 0, "dropped": 0, "rejected": 0, "pending": 1,
                "left_out": 0,
                "error": error.to_string(),
            })
        );
        let report = serde_json::to_value(DeliveryReport::default()).unwrap();
        assert_eq!(report["error"], json!(null));
    }
}
