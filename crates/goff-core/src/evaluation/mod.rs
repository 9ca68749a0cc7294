//! The result of an evaluation: the resolution, its conversion to a Rust type, errors and their one
//! table of codes, and the outcome with its origin.

mod error;
mod evaluation_type;
mod flag_not_found;
mod flag_type;
mod origin;
mod outcome;
mod resolution;

pub use error::{BodyProblem, Cause, ErrorCode, EvaluationFailure, RelayError, ResolutionError};
pub use evaluation_type::EvaluationType;
pub use flag_not_found::{flag_not_found, shown_flag_key};
#[cfg(feature = "open-feature")]
pub(crate) use flag_type::found;
pub use flag_type::{FlagType, Projection, project, project_with};
pub use origin::{FallbackOrigin, Origin};
pub use outcome::{Outcome, OutcomeSlot};
pub use resolution::{Reason, Resolution, SDK_DEFAULT_VARIANT};
