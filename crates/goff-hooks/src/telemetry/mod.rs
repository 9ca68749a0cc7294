//! What is emitted of each evaluation: the event `feature_flag.evaluation`, and four metrics.
//!
//! Names and values are those of OpenTelemetry's semantic conventions for feature flags
//! (docs/operating/telemetry.md names the versions).

mod emitter;
mod evaluated;
mod event;
#[cfg_attr(not(feature = "opentelemetry"), path = "no_metrics.rs")]
mod metrics;
mod options;

pub use self::emitter::{ActiveEvaluation, EvaluationTelemetry};
pub use self::evaluated::{Evaluated, FLAG_SET_ID, Failure, VERSION};
pub use self::options::TelemetryOptions;
