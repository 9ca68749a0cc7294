//! A sink whose calls a test waits for.

use std::sync::Arc;

use goff_core::{Invalidation, InvalidationSink, StreamState};
use tokio::sync::mpsc;

use crate::server::within;

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Invalidate(Invalidation),
    State(StreamState),
}

pub(crate) const ALL: Call = Call::Invalidate(Invalidation::All);
pub(crate) const OPEN: Call = Call::State(StreamState::Open);
pub(crate) const DOWN: Call = Call::State(StreamState::Down);

pub(crate) fn flags(names: &[&str]) -> Call {
    let names = names.iter().map(|name| (*name).to_owned());
    Call::Invalidate(Invalidation::Flags(names.collect()))
}

#[derive(Debug)]
struct Sink(mpsc::UnboundedSender<Call>);

impl InvalidationSink for Sink {
    fn invalidate(&self, invalidation: Invalidation) {
        let _ = self.0.send(Call::Invalidate(invalidation));
    }

    fn stream_state(&self, state: StreamState) {
        let _ = self.0.send(Call::State(state));
    }
}

/// What the sink was told.
pub(crate) struct Calls(mpsc::UnboundedReceiver<Call>);

pub(crate) fn sink() -> (Arc<dyn InvalidationSink>, Calls) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Arc::new(Sink(sender)), Calls(receiver))
}

impl Calls {
    pub(crate) async fn next(&mut self) -> Call {
        within(self.0.recv()).await.expect("the listener lives")
    }

    pub(crate) async fn expect(&mut self, expected: &[Call]) {
        for call in expected {
            assert_eq!(self.next().await, *call);
        }
    }

    /// Whatever was told meanwhile.
    pub(crate) fn so_far(&mut self) -> Vec<Call> {
        std::iter::from_fn(|| self.0.try_recv().ok()).collect()
    }
}
