//! A result with its origin. Usage data depends on both.

use std::sync::{Arc, Mutex, PoisonError};

use crate::evaluation::{Origin, Resolution, ResolutionError};

/// The result of an evaluation and its origin.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The flag's key.
    pub flag_key: Arc<str>,
    /// The resolution, or the error, which is boxed to keep the result small.
    pub result: Result<Arc<Resolution>, Box<ResolutionError>>,
    /// Where the flag was evaluated.
    pub origin: Origin,
}

impl Outcome {
    /// Creates the outcome of a flag's evaluation.
    pub fn new(
        flag_key: impl Into<Arc<str>>,
        result: Result<Arc<Resolution>, Box<ResolutionError>>,
        origin: Origin,
    ) -> Self {
        Self {
            flag_key: flag_key.into(),
            result,
            origin,
        }
    }

    /// The resolution, if the flag was resolved or its error contains one.
    #[must_use]
    pub fn resolution(&self) -> Option<&Arc<Resolution>> {
        match &self.result {
            Ok(resolution) => Some(resolution),
            Err(error) => error.resolution(),
        }
    }
}

/// Carries one outcome from a resolver to a hook. The first [`take`](Self::take) empties it.
#[derive(Debug, Default)]
pub struct OutcomeSlot(Mutex<Option<Outcome>>);

impl OutcomeSlot {
    /// Stores the outcome.
    pub fn fill(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Takes the outcome.
    #[must_use]
    pub fn take(&self) -> Option<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_taken_once() {
        let slot = OutcomeSlot::default();
        assert!(slot.take().is_none());
        slot.fill(Outcome::new("flag", Ok(Arc::default()), Origin::Cache));
        assert_eq!(slot.take().unwrap().origin, Origin::Cache);
        assert!(slot.take().is_none());
    }
}
