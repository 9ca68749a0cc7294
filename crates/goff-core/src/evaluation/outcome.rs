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
        OutcomeRef::from(self).resolution()
    }
}

/// An [`Outcome`] that borrows its parts, so that no reference is counted.
#[derive(Debug, Clone)]
pub struct OutcomeRef<'a> {
    /// The flag's key.
    pub flag_key: FlagKeyRef<'a>,
    /// The resolution, or the error.
    pub result: Result<&'a Arc<Resolution>, &'a ResolutionError>,
    /// Where the flag was evaluated.
    pub origin: Origin,
}

/// A flag's key, which is copied only where it is kept.
#[derive(Debug, Clone)]
pub enum FlagKeyRef<'a> {
    /// A key that is needed no more.
    Owned(Arc<str>),
    /// A key that can be shared.
    Shared(&'a Arc<str>),
    /// A key that has to be copied.
    Text(&'a str),
}

impl<'a> OutcomeRef<'a> {
    /// The resolution, if the flag was resolved or its error contains one.
    #[must_use]
    pub fn resolution(&self) -> Option<&'a Arc<Resolution>> {
        match self.result {
            Ok(resolution) => Some(resolution),
            Err(error) => error.resolution(),
        }
    }
}

impl<'a> From<&'a Outcome> for OutcomeRef<'a> {
    fn from(outcome: &'a Outcome) -> Self {
        Self {
            flag_key: FlagKeyRef::Shared(&outcome.flag_key),
            result: outcome.result.as_ref().map_err(|error| &**error),
            origin: outcome.origin,
        }
    }
}

impl From<FlagKeyRef<'_>> for Arc<str> {
    fn from(flag_key: FlagKeyRef<'_>) -> Self {
        match flag_key {
            FlagKeyRef::Owned(flag_key) => flag_key,
            FlagKeyRef::Shared(flag_key) => Self::clone(flag_key),
            FlagKeyRef::Text(flag_key) => flag_key.into(),
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

    /// The outcome, whether it was read or not.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        self.lock().outcome.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Filling> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcome_is_read_once_and_stays() {
        let slot = OutcomeSlot::default();
        assert!(slot.read_once(|_| ()).is_none());
        for _ in 0..2 {
            slot.fill(Outcome::new("flag", Ok(Arc::default()), Origin::Cache));
            assert_eq!(
                slot.read_once(|outcome| outcome.origin),
                Some(Origin::Cache)
            );
            assert_eq!(slot.read_once(|outcome| outcome.origin), None);
            assert!(slot.outcome().is_some());
        }
    }
}
