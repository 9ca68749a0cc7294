//! What became of the recorded events.

use goff_core::RelayError;
use serde::{Serialize, Serializer};

/// What became of every event since the publisher was created:
/// `recorded = delivered + dropped + rejected + pending`.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct DeliveryReport {
    /// Events that were recorded.
    pub recorded: u64,
    /// Events that the data collector accepted.
    pub delivered: u64,
    /// Events that were lost: they exceeded the limit of the buffer, or were recorded while the
    /// publisher was not running.
    pub dropped: u64,
    /// Events that the data collector, or a gateway before it, refuses for their content.
    pub rejected: u64,
    /// Events that are still queued or in flight. A publisher that is started again delivers them.
    pub pending: u64,
    /// Why the last batch was not delivered; `None` if it was.
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
    /// Events that the data collector accepted.
    pub delivered: u64,
    /// Events that were lost: they exceeded the limit of the buffer, or were recorded while the
    /// publisher was not running.
    pub dropped: u64,
    /// Events that the data collector, or a gateway before it, refuses for their content.
    pub rejected: u64,
    /// Events that are still queued or in flight.
    pub pending: u64,
    /// The pending events that are in flight: those of the batch being sent.
    pub in_flight: u64,
    /// About how many bytes of memory the pending events keep.
    pub pending_bytes: u64,
    /// Evaluations that were not recorded because the relay proxy may have recorded them.
    pub unknown: u64,
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
                "error": error.to_string(),
            })
        );
        let report = serde_json::to_value(DeliveryReport::default()).unwrap();
        assert_eq!(report["error"], json!(null));
    }
}
