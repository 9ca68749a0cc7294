//! A panic of the application's context as an error of the call that reads it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use goff_core::{
    ErrorCode, EvaluationFailure, Reason, Resolution, ResolutionError, SDK_DEFAULT_VARIANT,
};
use serde_json::Value;

/// Runs code that reads a context for the evaluation of one flag.
pub(crate) fn caught<T>(flag_key: &str, call: impl FnOnce() -> T) -> Result<T, ResolutionError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| panicked(flag_key))
}

/// Runs code that reads a context for a call that is about no single flag.
pub(crate) fn caught_call<T>(what: &str, call: impl FnOnce() -> T) -> Result<T, ResolutionError> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| call_panicked(what))
}

/// The evaluation of all flags, as what panicked.
pub(crate) const BULK: &str = "the evaluation of all flags";

#[cold]
pub(crate) fn panicked(flag_key: &str) -> ResolutionError {
    call_panicked(&format!("the evaluation of flag `{flag_key}`"))
}

#[cold]
pub(crate) fn call_panicked(what: &str) -> ResolutionError {
    let resolution = Resolution::new(Value::Null, Reason::Error).with_variant(SDK_DEFAULT_VARIANT);
    ResolutionError::InProcess(EvaluationFailure::new(
        ErrorCode::General,
        format!("{what} panicked"),
        Arc::new(resolution),
    ))
}
