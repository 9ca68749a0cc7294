//! A transport that shows what the client asked for and what it got, and can change the latter on its way.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use goff_http::{HttpRequest, HttpResponse, HttpTransport, TransportError};
use goff_tests_integration::{Address, RelayProxy, request};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// One request for the flag configuration, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) body: String,
    pub(crate) if_none_match: Option<String>,
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
}

/// Sends requests to a relay proxy, each on a connection of its own. Clones share what was recorded.
#[derive(Clone, Debug)]
pub(crate) struct RecordingTransport {
    address: Address,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    alter: fn(Value) -> Value,
}

impl RecordingTransport {
    /// With `alter`, the relay proxy's flag configurations arrive as another one might write them.
    pub(crate) fn new(relay: &RelayProxy, alter: fn(Value) -> Value) -> Self {
        Self {
            address: relay.address().clone(),
            exchanges: Arc::default(),
            alter,
        }
    }

    /// The exchanges so far, as soon as one after the first `seen` is `wanted`, with that one last.
    pub(crate) async fn until(
        &self,
        seen: usize,
        wanted: impl Fn(&Exchange) -> bool,
    ) -> Vec<Exchange> {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut exchanges = self.exchanges.lock().unwrap().clone();
            let found = exchanges.iter().skip(seen).position(&wanted);
            if let Some(found) = found {
                exchanges.truncate(seen + found + 1);
                return exchanges;
            }
            assert!(Instant::now() < give_up, "{exchanges:#?}");
            // A relay proxy is polled here; nobody tells when.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl HttpTransport for RecordingTransport {
    async fn send(&self, asked: HttpRequest) -> Result<HttpResponse, TransportError> {
        asked.progress.sending();
        let target = asked.uri.path_and_query().unwrap().as_str();
        let headers: Vec<(&str, &str)> = asked
            .headers
            .iter()
            .filter(|(name, _)| *name != "content-type" && *name != "host")
            .map(|(name, value)| (name.as_str(), value.to_str().unwrap()))
            .collect();
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        let answer = request(&self.address, target, &headers, Some(&body))
            .await
            .map_err(|error| TransportError::Interrupted(Arc::new(error)))?;
        let mut bytes = answer.body.clone();
        if target == "/v1/flag/configuration" {
            let text = |value: &str| value.to_owned();
            let header = |name: &str| Some(text(answer.headers.get(name)?.to_str().unwrap()));
            self.exchanges.lock().unwrap().push(Exchange {
                body: body.to_string(),
                if_none_match: headers
                    .iter()
                    .find(|(name, _)| *name == "if-none-match")
                    .map(|(_, value)| text(value)),
                status: answer.status.as_u16(),
                etag: header("etag"),
            });
            if answer.status == 200 {
                bytes = (self.alter)(answer.json()).to_string().into();
            }
        }
        Ok(HttpResponse {
            status: answer.status,
            headers: answer.headers,
            body: bytes,
        })
    }
}

/// Long enough for a machine that is compiling beside the tests.
const PATIENCE: Duration = Duration::from_secs(20);
