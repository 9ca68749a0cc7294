//! A transport that records the client's requests for the flag configuration and can alter the answers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use goff_core::Endpoint;
use goff_http::{
    Connector, HttpRequest, HttpResponse, HttpTransport, HyperTransport, TlsOptions, TransportError,
};
use hyper::{HeaderMap, Uri};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// A request for the flag configuration, and its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exchange {
    pub(crate) body: String,
    pub(crate) if_none_match: Option<String>,
    pub(crate) status: u16,
    pub(crate) etag: Option<String>,
}

/// Sends requests as the client's default transport does, and to any host. Clones share the record.
#[derive(Clone, Debug)]
pub(crate) struct RecordingTransport {
    alter: fn(Value) -> Value,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
    transports: Arc<Mutex<BTreeMap<String, Arc<HyperTransport>>>>,
}

impl RecordingTransport {
    /// `alter` changes each flag configuration.
    pub(crate) fn new(alter: fn(Value) -> Value) -> Self {
        Self {
            alter,
            exchanges: Arc::default(),
            transports: Arc::default(),
        }
    }

    fn to(&self, uri: &Uri) -> Arc<HyperTransport> {
        let origin = format!("http://{}", uri.authority().unwrap());
        let mut transports = self.transports.lock().unwrap();
        let transport = transports.entry(origin).or_insert_with_key(|origin| {
            let endpoint: Endpoint = origin.parse().unwrap();
            let connector = Connector::new(&endpoint, &TlsOptions::default()).unwrap();
            Arc::new(HyperTransport::new(Arc::new(connector)))
        });
        Arc::clone(transport)
    }

    /// Waits for a `wanted` exchange after the first `seen`. Returns the exchanges up to it.
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
            // The times of the polls are not known.
            sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
impl HttpTransport for RecordingTransport {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        if request.uri.path() != "/v1/flag/configuration" {
            let transport = self.to(&request.uri);
            return transport.send(request).await;
        }
        let text =
            |headers: &HeaderMap, name: &str| Some(headers.get(name)?.to_str().unwrap().to_owned());
        let body = String::from_utf8(request.body.to_vec()).unwrap();
        let if_none_match = text(&request.headers, "if-none-match");
        let transport = self.to(&request.uri);
        let mut answer = transport.send(request).await?;
        self.exchanges.lock().unwrap().push(Exchange {
            body,
            if_none_match,
            status: answer.status.as_u16(),
            etag: text(&answer.headers, "etag"),
        });
        if answer.status == 200 {
            let configuration = serde_json::from_slice(&answer.body).unwrap();
            answer.body = (self.alter)(configuration).to_string().into();
        }
        Ok(answer)
    }
}

/// Enough for a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(20);
