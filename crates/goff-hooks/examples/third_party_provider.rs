//! Usage data for a third-party provider: its cache hits and errors reach the relay proxy's data
//! collector.
//!
//! `cargo run -p goff-hooks --example third_party_provider` runs without a relay proxy: a double on
//! loopback takes its place, and the example prints the requests that it received. With
//! `-- http://localhost:1031 [API key]` it evaluates the flag `bool_targeting_match` on a real one.
#![expect(clippy::print_stdout, reason = "the example prints its results")]

use std::collections::HashMap;
use std::env;
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ApiKey, ExporterMetadata, RelayClient};
use goff_hooks::{
    DataCollectorHook, EnrichEvaluationContextHook, EventPublisher, EventPublisherOptions,
};
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer};
use open_feature::provider::{FeatureProvider, ProviderMetadata, ResolutionDetails};
use open_feature::{
    EvaluationContext, EvaluationError, EvaluationErrorCode, EvaluationReason, EvaluationResult,
    OpenFeature, StructValue,
};
use serde_json::Value;

const FLAG: &str = "bool_targeting_match";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let on = r#"{"value":true,"reason":"STATIC","variationType":"on"}"#;
    let ingested = r#"{"ingestedContentCount":3}"#;
    let double = FaultyServer::start([on, ingested].map(|json| Answer::new(200, json))).await?;
    let endpoint = arguments.next().unwrap_or_else(|| double.url());
    let api_key = arguments.next().map(ApiKey::new).transpose()?;
    let options = HttpRelayClientOptions::new(endpoint.parse()?).api_key(api_key);
    let relay_proxy: Arc<dyn RelayClient> = Arc::new(HttpRelayClient::new(options)?);

    // What goff-hooks adds: a label for all events, a publisher and two hooks.
    let metadata = ExporterMetadata::new([("service".to_owned(), "checkout".into())])?;
    let publisher = Arc::new(EventPublisher::new(
        Arc::clone(&relay_proxy),
        EventPublisherOptions::default().exporter_metadata(metadata.clone()),
    ));
    publisher.start()?;
    let mut api = OpenFeature::default();
    api.set_provider(CachingProvider::new(relay_proxy)).await;
    let client = api
        .create_client()
        .with_hook(EnrichEvaluationContextHook::new(&metadata))
        .with_hook(DataCollectorHook::new(publisher.clone()));

    let user = EvaluationContext::default().with_targeting_key("user-1");
    for _ in 0..3 {
        match client.get_bool_details(FLAG, Some(&user), None).await {
            Ok(details) => println!("{} because {:?}", details.value, details.reason),
            Err(error) => println!("{error:?}"),
        }
    }
    let text = client.get_string_value(FLAG, Some(&user), None).await;
    println!("as a string: {:?}", text.map_err(|error| error.code));

    // The relay proxy recorded the first evaluation; the client records two hits and an error.
    let report = publisher.shutdown(Duration::from_secs(5)).await;
    println!("{report:?}");
    for request in double.requests() {
        let body = String::from_utf8_lossy(&request.body);
        println!("{} {body}", request.path);
    }
    Ok(())
}

/// A third-party provider that evaluates on a relay proxy and caches by flag and user.
struct CachingProvider {
    metadata: ProviderMetadata,
    relay_proxy: Arc<dyn RelayClient>,
    cache: Mutex<HashMap<(String, Option<String>), Value>>,
}

type Resolved<T> = EvaluationResult<ResolutionDetails<T>>;

impl CachingProvider {
    fn new(relay_proxy: Arc<dyn RelayClient>) -> Self {
        Self {
            metadata: ProviderMetadata::new("third party"),
            relay_proxy,
            cache: Mutex::default(),
        }
    }

    async fn resolve<T>(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
        read: fn(&Value) -> Option<T>,
    ) -> Resolved<T> {
        let key = (flag_key.to_owned(), context.targeting_key.clone());
        let cached = self.lock().get(&key).cloned();
        let (value, reason) = match cached {
            Some(value) => (value, EvaluationReason::Cached),
            None => {
                let resolution = self
                    .relay_proxy
                    .evaluate(flag_key, context)
                    .await
                    .map_err(|error| failed(EvaluationErrorCode::General(error.to_string())))?;
                self.lock().insert(key, resolution.value.clone());
                (resolution.value, EvaluationReason::TargetingMatch)
            }
        };
        let value = read(&value).ok_or_else(|| failed(EvaluationErrorCode::TypeMismatch))?;
        let details = ResolutionDetails::builder().value(value).reason(reason);
        Ok(details.build())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, Option<String>), Value>> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(code: EvaluationErrorCode) -> EvaluationError {
    EvaluationError::builder().code(code).build()
}

#[async_trait]
impl FeatureProvider for CachingProvider {
    fn metadata(&self) -> &ProviderMetadata {
        &self.metadata
    }

    async fn resolve_bool_value(&self, key: &str, user: &EvaluationContext) -> Resolved<bool> {
        self.resolve(key, user, Value::as_bool).await
    }

    async fn resolve_int_value(&self, key: &str, user: &EvaluationContext) -> Resolved<i64> {
        self.resolve(key, user, Value::as_i64).await
    }

    async fn resolve_float_value(&self, key: &str, user: &EvaluationContext) -> Resolved<f64> {
        self.resolve(key, user, Value::as_f64).await
    }

    async fn resolve_string_value(&self, key: &str, user: &EvaluationContext) -> Resolved<String> {
        let read = |value: &Value| value.as_str().map(str::to_owned);
        self.resolve(key, user, read).await
    }

    async fn resolve_struct_value(&self, _: &str, _: &EvaluationContext) -> Resolved<StructValue> {
        Err(failed(EvaluationErrorCode::TypeMismatch))
    }
}
