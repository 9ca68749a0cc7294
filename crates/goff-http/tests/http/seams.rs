//! Custom transports and connectors.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::__internal::RequestObserver;
use goff_core::{
    BodyProblem, ByteStream, Connect, EventBatch, ExporterMetadata, RelayClient, RelayError,
};
use goff_http::{
    Connector, DEFAULT_MAX_RESPONSE_SIZE, HttpRelayClient, HttpRequest, HttpResponse,
    HttpTransport, HyperTransport, TlsOptions, TransportError,
};
use goff_testkit::{Answer, FaultyServer};
use http::StatusCode;
use tokio::time::Instant;

use crate::fixture::*;

#[derive(Debug)]
struct Scripted {
    outcome: Result<Bytes, TransportError>,
    seen: Mutex<Vec<HttpRequest>>,
}

#[async_trait]
impl HttpTransport for Scripted {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.seen.lock().unwrap().push(request);
        let body = self.outcome.clone()?;
        Ok(HttpResponse::new(StatusCode::OK, body))
    }
}

fn over(outcome: Result<Bytes, TransportError>) -> (HttpRelayClient, Arc<Scripted>) {
    let seen = Mutex::default();
    let transport = Arc::new(Scripted { outcome, seen });
    // `https`, which this build may not support without the transport.
    let options = options("https://relay.example/prefix").transport(transport.clone());
    (client(options), transport)
}

#[tokio::test]
async fn transport_receives_the_complete_request() {
    let (client, transport) = over(Ok(STATIC.into()));
    evaluate(&client).await.unwrap();
    let seen = transport.seen.lock().unwrap();
    let [request] = &**seen else {
        panic!("{seen:?}");
    };
    let uri = "https://relay.example/prefix/v1/feature/flag/eval";
    assert_eq!(request.uri, uri);
    assert_eq!(request.method, "POST");
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(request.body.starts_with(b"{\"evaluationContext\":"));
    assert_eq!(request.max_response_size, DEFAULT_MAX_RESPONSE_SIZE);
    assert!(request.may_resend);
}

#[tokio::test]
async fn transport_errors_become_relay_errors() {
    let cause = || -> goff_core::Cause { Arc::new(io::Error::other("cable cut")) };
    let (client, _) = over(Err(TransportError::NotConnected(cause())));
    let error = evaluate(&client).await.unwrap_err();
    let text = "https://relay.example:443: cable cut";
    assert_matches!(error, RelayError::NotConnected(cause) if cause.to_string() == text);
    let (client, _) = over(Err(TransportError::Interrupted(cause())));
    assert_matches!(
        evaluate(&client).await.unwrap_err(),
        RelayError::Interrupted(_)
    );
}

#[tokio::test]
async fn responses_of_custom_transports_are_bounded() {
    let too_large = Bytes::from(vec![b' '; DEFAULT_MAX_RESPONSE_SIZE + 1]);
    let status = StatusCode::OK;
    let limit = DEFAULT_MAX_RESPONSE_SIZE;
    for outcome in [Ok(too_large), Err(TransportError::TooLarge { status })] {
        let (client, _) = over(outcome);
        let error = evaluate(&client).await.unwrap_err();
        let expected = BodyProblem::TooLarge { limit };
        assert_matches!(error, RelayError::Body { problem, .. } if *problem == expected);
    }
}

#[derive(Debug)]
struct Counting {
    inner: Connector,
    connections: Mutex<usize>,
}

#[async_trait]
impl Connect for Counting {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        *self.connections.lock().unwrap() += 1;
        self.inner.connect().await
    }
}

#[tokio::test]
async fn custom_connector_opens_the_streams() {
    let server = server([Answer::new(200, STATIC)]).await;
    let endpoint = server.url().parse().unwrap();
    let connector = Arc::new(Counting {
        inner: Connector::new(&endpoint, &TlsOptions::default()).unwrap(),
        connections: Mutex::default(),
    });
    let direct = options(&server.url()).connector(connector.clone());
    let transport = HyperTransport::new(connector.clone());
    let through_transport = options(&server.url()).transport(Arc::new(transport));
    for options in [direct, through_transport] {
        let client = client(options);
        evaluate(&client).await.unwrap();
        evaluate(&client).await.unwrap();
    }
    assert_eq!(*connector.connections.lock().unwrap(), 2);
}

#[derive(Debug, Default)]
struct Reports {
    answered: AtomicUsize,
    unanswered: AtomicUsize,
}

impl RequestObserver for Reports {
    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn unanswered(&self, _: Instant, _: &RelayError) {
        self.unanswered.fetch_add(1, Ordering::Relaxed);
    }
}

/// An answer to anything says that the relay proxy answers; only evaluations say that it does not,
/// because the other requests may go elsewhere, and take longer.
#[tokio::test]
async fn every_answer_and_only_failed_evaluations_are_reported() {
    let server = server([Answer::new(503, "{}")]).await;
    let refusing = FaultyServer::refusing_url().await.unwrap();
    for (url, expected) in [(server.url(), (5, 0)), (refusing, (0, 2))] {
        let reports = Arc::new(Reports::default());
        let client = client(options(&url).observer(Some(reports.clone())));
        let batch = EventBatch::new(ExporterMetadata::default(), Vec::new());
        client.collect(&batch).await.unwrap_err();
        client.flag_configuration(&[], None).await.unwrap_err();
        client.check(&[], None).await.result.unwrap_err();
        evaluate(&client).await.unwrap_err();
        client.evaluate_all(&context()).await.unwrap_err();
        let count = |count: &AtomicUsize| count.load(Ordering::Relaxed);
        let seen = (count(&reports.answered), count(&reports.unanswered));
        assert_eq!(seen, expected, "{url}");
    }
}

/// A connection that served others may have died since: only a failure on a fresh one counts.
#[tokio::test]
async fn failures_on_kept_connections_are_not_reported() {
    let silent = Answer::nothing().then_silence();
    let server = server([Answer::new(200, STATIC), silent]).await;
    let reports = Arc::new(Reports::default());
    let options = options(&server.url()).timeout(std::time::Duration::from_secs(1));
    let client = client(options.observer(Some(reports.clone())));
    evaluate(&client).await.unwrap();
    for unanswered in [0, 1, 2] {
        evaluate(&client).await.unwrap_err();
        assert_eq!(reports.unanswered.load(Ordering::Relaxed), unanswered);
    }
    assert_eq!(server.connections(), 3);
}
