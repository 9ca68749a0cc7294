//! Custom transports and connectors.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::{BodyProblem, ByteStream, Connect, RelayError};
use goff_http::{
    Connector, DEFAULT_MAX_RESPONSE_SIZE, HttpRelayClient, HttpRequest, HttpResponse,
    HttpTransport, HyperTransport, TlsOptions, TransportError,
};
use goff_testkit::Answer;
use http::StatusCode;

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
