//! An evaluation that needs the relay proxy.

use std::fmt;
use std::pin::pin;
use std::sync::Arc;

use goff_core::__internal::contained;
use goff_core::{ContextView, Origin, Outcome, ResolutionError};

use crate::client::evaluator::RelayCall;
use crate::client::in_flight::InFlight;
use crate::client::panicked::panicked;
use crate::client::session::Session;

/// An evaluation that needs the relay proxy. Nothing is sent before
/// [`outcome`](Self::outcome) is awaited. Shutdown waits for it from now on.
#[must_use = "nothing is evaluated before the outcome is awaited"]
pub struct PendingEvaluation<'a> {
    session: Arc<Session>,
    in_flight: InFlight,
    call: RelayCall,
    flag_key: &'a str,
    context: &'a dyn ContextView,
}

impl<'a> PendingEvaluation<'a> {
    /// Boxed to keep the `Result` of a look-up small.
    #[cold]
    pub(crate) fn new(
        session: Arc<Session>,
        call: RelayCall,
        flag_key: &'a str,
        context: &'a dyn ContextView,
    ) -> Box<Self> {
        Box::new(Self {
            in_flight: session.enter(),
            session,
            call,
            flag_key,
            context,
        })
    }

    /// Evaluates. The future is large, for it holds a whole request; box it where it is rarely
    /// awaited.
    pub async fn outcome(self: Box<Self>) -> Outcome {
        self.outcome_in_flight().await.0
    }

    /// The outcome, and what keeps shutdown waiting until the evaluation is recorded.
    pub(crate) async fn outcome_in_flight(mut self: Box<Self>) -> (Outcome, InFlight) {
        let flag_key = self.flag_key;
        let outcome = {
            let io = self.session.runtime.io();
            // A future that is passed by value is stored twice: as an argument, and where it is awaited.
            let outcome = pin!(self.call.outcome(flag_key, self.context, io));
            let outcome = contained("the evaluation", outcome);
            self.in_flight.until_cut_off(outcome).await
        };
        let outcome = match outcome {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => {
                let error = Box::new(panicked(flag_key));
                Outcome::new(flag_key, Err(error), Origin::Unknown)
            }
            None => not_evaluated(flag_key, CLOSED),
        };
        (outcome, self.in_flight)
    }
}

impl fmt::Debug for PendingEvaluation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingEvaluation")
            .field("flag_key", &self.flag_key)
            .finish_non_exhaustive()
    }
}

pub(crate) fn not_evaluated(flag_key: &str, error: ResolutionError) -> Outcome {
    Outcome::new(flag_key, Err(Box::new(error)), Origin::NotEvaluated)
}

/// Why a client that was shut down evaluates nothing.
pub(crate) const CLOSED: ResolutionError = ResolutionError::NotReady {
    reason: "the client was shut down; `initialize` starts it again",
};
