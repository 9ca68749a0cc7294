//! The change stream of a session without the feature `ws`: there is none.

use std::sync::Arc;
use std::time::Duration;

use goff_core::{ApiKey, NoRuntimeError, StreamState};
use tokio::time::Instant;

use crate::client::changes::ChangeSink;
use crate::options::settings::StreamSource;
use crate::status::error::ClientError;

#[derive(Debug, Clone)]
pub(crate) struct ChangeStream;

impl ChangeStream {
    #[expect(clippy::unnecessary_wraps, reason = "fails with the feature `ws`")]
    pub(crate) fn open(
        _: Option<&StreamSource>,
        _: Option<ApiKey>,
        _: &Arc<ChangeSink>,
    ) -> Result<Self, NoRuntimeError> {
        Ok(Self)
    }

    #[cfg(feature = "http")]
    pub(crate) fn set_api_key(&self, _: Option<ApiKey>) {}

    pub(crate) fn exists(&self) -> bool {
        false
    }

    pub(crate) fn state(&self) -> StreamState {
        StreamState::Down
    }

    pub(crate) fn last_error(&self) -> Option<(ClientError, Duration)> {
        None
    }

    pub(crate) fn close(&self) {}

    pub(crate) async fn stop(&self, _: Instant) {}
}
