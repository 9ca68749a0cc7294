//! The change stream of a session.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goff_core::{ApiKey, InvalidationSink, NoRuntimeError, StreamState};
use goff_ws::{ChangeListener, ListenerError, StreamMonitor};
use tokio::time::Instant;

use crate::client::changes::ChangeSink;
use crate::options::settings::StreamSource;
use crate::status::error::ClientError;

/// A listener to the relay proxy's change stream, if there is one. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct ChangeStream {
    listener: Arc<Mutex<Option<ChangeListener>>>,
    monitor: Option<StreamMonitor>,
}

impl ChangeStream {
    pub(crate) fn open(
        source: Option<&StreamSource>,
        api_key: Option<ApiKey>,
        sink: &Arc<ChangeSink>,
    ) -> Result<Self, NoRuntimeError> {
        let started = source.map(|source| {
            ChangeListener::start(
                &source.options.clone().api_key(api_key),
                Arc::clone(&source.connect),
                Arc::clone(sink) as Arc<dyn InvalidationSink>,
            )
        });
        let listener = match started.transpose() {
            Ok(listener) => listener,
            Err(ListenerError::NoRuntime(error)) => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "change stream unavailable, relying on `cache_ttl` or polling");
                None
            }
        };
        Ok(Self {
            monitor: listener.as_ref().map(ChangeListener::monitor),
            listener: Arc::new(Mutex::new(listener)),
        })
    }

    /// Opens the next stream with this key.
    pub(crate) fn set_api_key(&self, key: Option<ApiKey>) {
        let listener = self.listener.lock();
        let listener = listener.unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = listener.as_ref().map(|it| it.set_api_key(key)) {
            tracing::warn!(%error, "change stream keeps the API key before");
        }
    }

    pub(crate) fn exists(&self) -> bool {
        self.monitor.is_some()
    }

    pub(crate) fn state(&self) -> StreamState {
        self.monitor
            .as_ref()
            .map_or(StreamState::Down, |monitor| monitor.stats().state)
    }

    /// With its age.
    pub(crate) fn last_error(&self) -> Option<(ClientError, Duration)> {
        let stats = self.monitor.as_ref()?.stats();
        stats
            .last_error
            .map(ClientError::Stream)
            .zip(stats.last_error_age)
    }

    /// Closes the stream without waiting.
    pub(crate) fn close(&self) {
        drop(self.take());
    }

    pub(crate) async fn stop(&self, end: Instant) {
        let listener = self.take();
        if let Some(listener) = listener {
            listener
                .shutdown(end.saturating_duration_since(Instant::now()))
                .await;
        }
    }

    fn take(&self) -> Option<ChangeListener> {
        self.listener
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }
}
