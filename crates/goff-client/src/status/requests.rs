//! The requests to the relay proxy: how they ended, and how long they took.

use std::collections::BTreeMap;
use std::time::Duration;

use goff_core::RelayError;
use serde::Serialize;

/// The requests to the relay proxy so far, retries of the transport not counted. A custom relay
/// client's calls count as requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RequestStats {
    /// Evaluations of one flag.
    pub evaluate: OperationStats,
    /// Evaluations of all flags.
    pub evaluate_all: OperationStats,
    /// Fetches of the flag configuration (in-process evaluation).
    pub flag_configuration: OperationStats,
    /// Deliveries of usage data.
    pub collect: OperationStats,
    /// Requests of [`GoFeatureFlag::check`](crate::GoFeatureFlag::check). A 304 counts as answered.
    pub check: OperationStats,
    /// All requests that failed, by error code. Codes beyond the first 32 count as `OTHER`.
    pub errors_by_code: BTreeMap<String, u64>,
}

/// The requests of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct OperationStats {
    /// How many ended with each result; a result without requests is absent.
    pub results: BTreeMap<RequestResult, u64>,
    /// How long the requests took that were answered or failed. Those given up or not sent are left
    /// out.
    pub durations: DurationHistogram,
}

impl OperationStats {
    /// How many requests ended with `result`.
    #[must_use]
    pub fn count(&self, result: RequestResult) -> u64 {
        self.results.get(&result).copied().unwrap_or(0)
    }
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequestResult {
    /// The answer was used.
    Answered,
    /// 304: the flag configuration that is held is current.
    NotModified,
    /// The relay proxy evaluated the flag, and answered with an error code.
    EvaluationFailed,
    /// Another status, from the relay proxy or a gateway.
    Refused,
    /// The body of the answer could not be read.
    Unreadable,
    /// No complete answer within the option `timeout`.
    TimedOut,
    /// The connection broke before the answer was complete.
    Interrupted,
    /// There was no connection.
    NotConnected,
    /// Not sent: held back after a 429, or the flag key or context cannot be sent.
    NotSent,
    /// Its callers gave up before it ended.
    GivenUp,
}

impl RequestResult {
    pub(crate) const ALL: [Self; 10] = [
        Self::Answered,
        Self::NotModified,
        Self::EvaluationFailed,
        Self::Refused,
        Self::Unreadable,
        Self::TimedOut,
        Self::Interrupted,
        Self::NotConnected,
        Self::NotSent,
        Self::GivenUp,
    ];

    /// The result in lower snake case, as in JSON and in metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::NotModified => "not_modified",
            Self::EvaluationFailed => "evaluation_failed",
            Self::Refused => "refused",
            Self::Unreadable => "unreadable",
            Self::TimedOut => "timed_out",
            Self::Interrupted => "interrupted",
            Self::NotConnected => "not_connected",
            Self::NotSent => "not_sent",
            Self::GivenUp => "given_up",
        }
    }

    pub(crate) fn has_duration(self) -> bool {
        !matches!(self, Self::NotSent | Self::GivenUp)
    }

    pub(crate) fn of(error: &RelayError) -> Self {
        match error {
            RelayError::Evaluation(_) => Self::EvaluationFailed,
            RelayError::Status { .. } => Self::Refused,
            RelayError::Body { .. } => Self::Unreadable,
            RelayError::Timeout { .. } => Self::TimedOut,
            RelayError::Interrupted(_) => Self::Interrupted,
            RelayError::NotConnected(_) => Self::NotConnected,
            _ => Self::NotSent,
        }
    }
}

/// Durations by size.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct DurationHistogram {
    /// How many durations are at most each of [`BOUNDS`](Self::BOUNDS) and above the one before;
    /// the last are above all of them.
    pub buckets: [u64; 15],
    /// The sum of all durations.
    #[serde(rename = "sum_seconds", serialize_with = "super::as_seconds")]
    pub sum: Duration,
}

impl DurationHistogram {
    /// The upper bounds of the buckets: 5 ms to 10 s, those of OpenTelemetry for durations of HTTP
    /// requests.
    pub const BOUNDS: [Duration; 14] = [
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(75),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_millis(750),
        Duration::from_millis(1_000),
        Duration::from_millis(2_500),
        Duration::from_millis(5_000),
        Duration::from_millis(7_500),
        Duration::from_millis(10_000),
    ];

    /// The number of durations.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }
}

/// What a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Evaluate,
    EvaluateAll,
    FlagConfiguration,
    Collect,
    Check,
}

#[cfg(feature = "opentelemetry")]
impl Operation {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Evaluate => "evaluate",
            Self::EvaluateAll => "evaluate_all",
            Self::FlagConfiguration => "flag_configuration",
            Self::Collect => "collect",
            Self::Check => "check",
        }
    }
}
