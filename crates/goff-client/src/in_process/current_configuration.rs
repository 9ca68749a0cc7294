//! What becomes of a configuration, wherever it comes from: it is put in place, counted and told.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::in_process::snapshot::Snapshot;
use crate::in_process::{InProcessEvaluator, Life};
use crate::status::counters::Counters;
use crate::status::events::{Announcer, ChangedFlags, ClientEvent};
use crate::status::{State, StatusCell};

/// The configuration of a client, with all that depends on it.
#[derive(Debug, Clone)]
pub(crate) struct CurrentConfiguration {
    pub(crate) evaluator: Arc<InProcessEvaluator>,
    /// The life for which configurations are brought.
    pub(crate) life: Life,
    pub(crate) status: Arc<StatusCell>,
    pub(crate) announcer: Announcer,
    pub(crate) counters: Arc<Counters>,
}

/// How the first attempt to load ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FirstAttempt {
    /// Flags are held.
    Loaded,
    /// It is tried again (GOFF-EVT-008).
    Failed,
    /// It is not (GOFF-EVT-007).
    Refused { status: u16, reason: String },
}

impl CurrentConfiguration {
    pub(crate) fn held(&self) -> Option<Arc<Snapshot>> {
        self.evaluator.snapshot()
    }

    /// Puts a configuration in place that is the only one.
    pub(crate) fn put(&self, only: Arc<Snapshot>) {
        // The life has just begun, so there is none before it, and it has not ended.
        let _ = self.evaluator.replace(self.life, only);
    }

    /// A configuration was loaded. Gives the one that is not needed any more, which is large enough
    /// to be freed where that keeps nobody waiting.
    pub(crate) fn loaded(&self, next: Arc<Snapshot>) -> Option<Arc<Snapshot>> {
        let held = self.held();
        let difference = held.as_deref().map(|held| next.difference(held));
        drop(held);
        let replaced = match self.evaluator.replace(self.life, next) {
            Ok(replaced) => replaced,
            Err(late) => return Some(late),
        };
        self.counters.refreshes.fetch_add(1, Ordering::Relaxed);
        self.confirmed();
        // The same content is no change (GOFF-EVT-004).
        if let Some(difference) = difference.filter(|difference| !difference.is_empty()) {
            let flags = ChangedFlags::Compared {
                added: difference.added,
                updated: difference.updated,
                removed: difference.removed,
                enrichment: difference.enrichment,
            };
            self.announcer
                .announce(ClientEvent::ConfigurationChanged(flags));
        }
        replaced
    }

    /// The configuration that is held is the current one (GOFF-EVT-006).
    pub(crate) fn confirmed(&self) {
        let not_ready = |state| matches!(state, State::NotReady | State::Error | State::Stale);
        if self.status.set_if(State::Ready, not_ready) {
            self.announcer.announce(ClientEvent::Ready);
        }
    }

    /// A configuration of earlier takes the place of none, until there is a current one.
    pub(crate) fn restored(&self, earlier: Arc<Snapshot>) {
        if self.evaluator.replace(self.life, earlier).is_ok() {
            self.stale();
        }
    }

    /// The configuration that is held may be old (GOFF-EVT-005).
    pub(crate) fn stale(&self) {
        let answered = |state| matches!(state, State::NotReady | State::Error | State::Ready);
        if self.status.set_if(State::Stale, answered) {
            self.announcer.announce(ClientEvent::Stale);
        }
    }

    /// A refresh gave nothing. What is held stays; where nothing is, the client is in error
    /// (GOFF-EVT-008).
    pub(crate) fn failed(&self, error: &dyn fmt::Display) {
        self.counters
            .failed_refreshes
            .fetch_add(1, Ordering::Relaxed);
        self.note(error);
    }

    /// Nothing could be loaded yet.
    pub(crate) fn missing(&self) {
        self.status
            .set_if(State::Error, |state| state == State::NotReady);
    }

    pub(crate) fn note(&self, error: &dyn fmt::Display) {
        let error = error.to_string();
        self.status.note_error(error.clone());
        self.announcer.announce(ClientEvent::Error(error));
    }
}
