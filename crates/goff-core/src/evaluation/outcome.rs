//! A result and who evaluated it: what usage data are decided by.

use std::sync::{Arc, Mutex, PoisonError};

use crate::evaluation::{Origin, Resolution, ResolutionError};

/// What an evaluation gave, and where it came from.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Outcome {
    /// The flag's key.
    pub flag_key: Arc<str>,
    /// The resolution, or why there is none: boxed, so that an outcome, which is handed from one to
    /// the next for every evaluation, is small.
    pub result: Result<Arc<Resolution>, Box<ResolutionError>>,
    /// Who evaluated the flag.
    pub origin: Origin,
}

impl Outcome {
    /// A flag's result and its origin.
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

    /// What the flag's answer said, whether it is a value or an error.
    #[must_use]
    pub fn resolution(&self) -> Option<&Arc<Resolution>> {
        match &self.result {
            Ok(resolution) => Some(resolution),
            Err(error) => error.resolution(),
        }
    }
}

/// Carries one outcome from a resolver to a hook. The resolver fills it once; whoever takes it
/// first has it, everybody else finds it empty.
#[derive(Debug, Default)]
pub struct OutcomeSlot(Mutex<Option<Outcome>>);

impl OutcomeSlot {
    /// Puts the outcome in.
    #[inline]
    pub fn fill(&self, outcome: Outcome) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Takes the outcome out.
    #[must_use]
    #[inline]
    pub fn take(&self) -> Option<Outcome> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slot_gives_its_outcome_once() {
        let slot = OutcomeSlot::default();
        assert!(slot.take().is_none());
        slot.fill(Outcome {
            flag_key: "flag".into(),
            result: Ok(Arc::default()),
            origin: Origin::Cache,
        });
        assert_eq!(slot.take().unwrap().origin, Origin::Cache);
        assert!(slot.take().is_none());
    }
}
