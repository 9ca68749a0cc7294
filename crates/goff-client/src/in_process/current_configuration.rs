//! Puts new configurations in place, counts them, and reports them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use goff_core::RelayError;

use crate::in_process::InProcessEvaluator;
use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::status::SessionStatus;
use crate::status::error::ClientError;

/// The configuration of one session, and all that depends on it. Configurations that arrive after
/// the session are dropped.
#[derive(Debug, Clone)]
pub(crate) struct CurrentConfiguration {
    pub(crate) evaluator: Arc<InProcessEvaluator>,
    pub(crate) status: SessionStatus,
}

/// How the first attempt to load ended.
#[derive(Debug, Clone)]
pub(crate) enum FirstAttempt {
    /// There are flags.
    Loaded,
    /// Loading is retried (GOFF-EVT-008).
    Failed,
    /// The relay proxy refused the key, and loading is not retried (GOFF-EVT-007).
    Refused(RelayError),
}

impl CurrentConfiguration {
    pub(crate) fn held(&self) -> Option<Arc<CompiledConfiguration>> {
        self.evaluator.current()
    }

    /// A configuration was loaded. Returns the one that is no longer needed; it is large enough to
    /// be freed where that delays no evaluation. Blocks: comparing large configurations takes long.
    pub(crate) fn loaded(
        &self,
        next: Arc<CompiledConfiguration>,
    ) -> Option<Arc<CompiledConfiguration>> {
        if !self.status.is_current() {
            return Some(next);
        }
        let difference = self.held().map(|held| next.difference(&held));
        let replaced = self.evaluator.replace(Some(next));
        self.evaluator
            .counters
            .refreshes
            .fetch_add(1, Ordering::Relaxed);
        self.confirmed();
        // The same content is no change (GOFF-EVT-004).
        if let Some(difference) = difference.filter(|difference| !difference.is_empty()) {
            self.status.changed(difference.into());
        }
        replaced
    }

    /// The configuration that is held is the current one.
    pub(crate) fn confirmed(&self) {
        self.evaluator.counters.confirmed_now();
        self.status.ready();
    }

    /// Serves an earlier configuration until there is a current one.
    pub(crate) fn restored(&self, earlier: Arc<CompiledConfiguration>) {
        if self.status.is_current() {
            self.evaluator.replace(Some(earlier));
            self.status.stale();
        }
    }

    /// A refresh failed. The configuration that is held stays.
    pub(crate) fn failed(&self, error: impl Into<ClientError>) {
        if self.status.is_current() {
            self.evaluator
                .counters
                .failed_refreshes
                .fetch_add(1, Ordering::Relaxed);
            self.status.failed(error.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use goff_core::{EvaluationContext, FlagConfiguration};
    use serde_json::{Value, json};

    use super::*;
    use crate::in_process::now;
    use crate::status::{State, StatusCell};

    fn compiled(value: i64) -> Arc<CompiledConfiguration> {
        let flags =
            json!({"flag": {"variations": {"a": value}, "defaultRule": {"variation": "a"}}});
        let configuration = FlagConfiguration::new(flags.to_string());
        Arc::new(CompiledConfiguration::compile(configuration, None).unwrap())
    }

    fn session(status: &Arc<StatusCell>) -> CurrentConfiguration {
        CurrentConfiguration {
            evaluator: Arc::new(InProcessEvaluator::new(None, Arc::default())),
            status: status.begin(),
        }
    }

    fn value(current: &CurrentConfiguration) -> Option<Value> {
        let compiled = current.held()?;
        let evaluation = compiled.evaluate("flag", &EvaluationContext::default(), now());
        Some(evaluation.outcome.result.unwrap().value.clone())
    }

    /// GOFF-LIFE-004: a configuration that arrives after its session is not served, not by the
    /// next session either.
    #[test]
    fn configuration_belongs_to_its_session() {
        let status = Arc::new(StatusCell::new());
        let first = session(&status);
        assert!(first.loaded(compiled(1)).is_none());
        assert_eq!(value(&first), Some(json!(1)));
        assert!(first.loaded(compiled(2)).is_some());
        status.close();
        assert!(first.loaded(compiled(3)).is_some());
        first.restored(compiled(3));
        assert_eq!(value(&first), Some(json!(2)));
        assert_eq!(status.state(), State::Closed);
        let second = session(&status);
        assert!(first.loaded(compiled(4)).is_some());
        assert_eq!(value(&second), None);
        assert_eq!(status.state(), State::NotReady);
        assert!(second.loaded(compiled(5)).is_none());
        assert_eq!(value(&second), Some(json!(5)));
        assert_eq!(
            first.evaluator.counters.refreshes.load(Ordering::Relaxed),
            2
        );
    }
}
