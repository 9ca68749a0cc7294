//! Why a query has no result.

use crate::evaluate::{observer::Observer, scope::Unreadable};

/// Why a query has no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The official engine aborts, or a limit is exceeded: no match.
    Abort,
    Unreadable(Unreadable),
}

impl Stop {
    /// What the query matches, if `outcome` is that of its evaluation.
    #[inline]
    pub(crate) fn resolve(
        outcome: Result<bool, Self>,
        observer: impl Observer,
    ) -> Result<bool, Unreadable> {
        match outcome {
            Ok(matches) => Ok(matches),
            Err(Self::Abort) => {
                observer.stopped();
                Ok(false)
            }
            Err(Self::Unreadable(unreadable)) => Err(unreadable),
        }
    }
}

impl From<Unreadable> for Stop {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}
