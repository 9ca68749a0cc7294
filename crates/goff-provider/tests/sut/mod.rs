//! A client of the SDK over a scripted relay proxy.

use std::sync::Arc;
use std::time::Duration;

use goff_provider::{
    ErrorCode, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, RelayError,
};
use goff_testkit::ScriptedRelay;
use open_feature::{Client, EvaluationContext, OpenFeature};
use serde_json::Value;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

pub(crate) struct Sut {
    pub(crate) relay: ScriptedRelay,
    pub(crate) goff: GoFeatureFlag,
    pub(crate) client: Client,
    /// Dropping it drops the provider.
    _api: OpenFeature,
}

pub(crate) fn options(relay: &ScriptedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
}

impl Sut {
    pub(crate) async fn connect(relay: ScriptedRelay, options: GoFeatureFlagOptions) -> Self {
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let mut api = OpenFeature::default();
        api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
        Self {
            relay,
            goff,
            client: api.create_client(),
            _api: api,
        }
    }

    /// The delivered events.
    pub(crate) async fn collected(&self) -> Vec<Value> {
        let report = self.goff.flush(TIMEOUT).await;
        assert_eq!((report.pending, report.dropped), (0, 0));
        let batches = self.relay.batches();
        let events = batches.iter().flat_map(|batch| &batch.events);
        events
            .map(|event| serde_json::to_value(event).unwrap())
            .collect()
    }
}

pub(crate) fn context() -> EvaluationContext {
    EvaluationContext::default().with_targeting_key("user-1")
}

pub(crate) fn status(status: u16) -> RelayError {
    RelayError::Status {
        status,
        path: "/v1/a/path".to_owned(),
        message: None,
        code: ErrorCode::General,
        server: None,
    }
}
