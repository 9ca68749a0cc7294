//! A result with its origin. Usage data depends on both.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

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

/// Carries one outcome from a resolver to the hooks.
#[derive(Debug, Default)]
pub struct OutcomeSlot(Mutex<Filling>);

#[derive(Debug, Default)]
struct Filling {
    outcome: Option<Outcome>,
    is_taken: bool,
}

impl OutcomeSlot {
    /// Stores the outcome.
    pub fn fill(&self, outcome: Outcome) {
        *self.lock() = Filling {
            outcome: Some(outcome),
            is_taken: false,
        };
    }

    /// Reads the outcome, the first time only.
    pub fn read_once<T>(&self, read: impl FnOnce(&Outcome) -> T) -> Option<T> {
        let mut filling = self.lock();
        if std::mem::replace(&mut filling.is_taken, true) {
            return None;
        }
        filling.outcome.as_ref().map(read)
    }

    /// The resolution in the outcome, whether it was read or not.
    #[must_use]
    pub fn resolution(&self) -> Option<Arc<Resolution>> {
        self.lock().outcome.as_ref()?.resolution().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, Filling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_read_once_and_its_resolution_stays() {
        let slot = OutcomeSlot::default();
        assert!(slot.read_once(|_| ()).is_none());
        for _ in 0..2 {
            slot.fill(Outcome::new("flag", Ok(Arc::default()), Origin::Cache));
            assert_eq!(
                slot.read_once(|outcome| outcome.origin),
                Some(Origin::Cache)
            );
            assert_eq!(slot.read_once(|outcome| outcome.origin), None);
            assert!(slot.resolution().is_some());
        }
    }
}
