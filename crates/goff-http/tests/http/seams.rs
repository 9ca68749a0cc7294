//! A transport or connector of the caller's own.

use std::io;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::{BodyProblem, ByteStream, Connect, RelayClient, RelayError};
use goff_http::{
    Connector, HttpRequest, HttpResponse, HttpTransport, HyperTransport, MAX_RESPONSE_SIZE,
    TlsOptions, TransportError,
};
use http::{HeaderMap, StatusCode};

use crate::*;

#[derive(Debug)]
struct Scripted {
    outcome: Result<Bytes, TransportError>,
    seen: Mutex<Vec<HttpRequest>>,
}

#[async_trait]
impl HttpTransport for Scripted {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, TransportError> {
        self.seen.lock().unwrap().push(request);
        self.outcome.clone().map(|body| HttpResponse {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body,
        })
    }
}

fn over(outcome: Result<Bytes, TransportError>) -> (HttpRelayClient, Arc<Scripted>) {
    let transport = Arc::new(Scripted {
        outcome,
        seen: Mutex::default(),
    });
    // `https`, which this build may not speak by itself.
    let client = builder("https://relay.example/prefix")
        .transport(transport.clone())
        .build()
        .unwrap();
    (client, transport)
}

#[tokio::test]
async fn transport_is_handed_everything_it_needs() {
    let (client, transport) = over(Ok(STATIC.into()));
    client.evaluate("flag", &context()).await.unwrap();
    let seen = transport.seen.lock().unwrap();
    let [request] = &**seen else {
        panic!("{seen:?}");
    };
    assert_eq!(
        request.uri,
        "https://relay.example/prefix/v1/feature/flag/eval"
    );
    assert_eq!(request.method, "POST");
    assert_eq!(request.headers["content-type"], "application/json");
    assert!(request.body.starts_with(b"{\"evaluationContext\":"));
    assert_eq!(request.max_response_size, MAX_RESPONSE_SIZE);
    assert!(request.may_resend);
}

#[tokio::test]
async fn failures_of_a_transport_keep_their_meaning() {
    let cause = || -> goff_core::Cause { Arc::new(io::Error::other("cable cut")) };
    let (client, _) = over(Err(TransportError::NotConnected(cause())));
    let error = client.evaluate("flag", &context()).await.unwrap_err();
    assert!(matches!(&error, RelayError::NotConnected(cause) if cause.to_string() == "cable cut"));
    let (client, _) = over(Err(TransportError::Interrupted(cause())));
    let error = client.evaluate("flag", &context()).await.unwrap_err();
    assert!(matches!(&error, RelayError::Interrupted(_)), "{error:?}");
}

#[tokio::test]
async fn response_of_a_transport_is_bounded_too() {
    let too_large = Bytes::from(vec![b' '; MAX_RESPONSE_SIZE + 1]);
    for outcome in [
        Ok(too_large),
        Err(TransportError::TooLarge {
            status: StatusCode::OK,
        }),
    ] {
        let (client, _) = over(outcome);
        let error = client.evaluate("flag", &context()).await.unwrap_err();
        assert!(
            matches!(
                error,
                RelayError::Body {
                    problem: BodyProblem::TooLarge {
                        limit: MAX_RESPONSE_SIZE
                    },
                    ..
                }
            ),
            "{error:?}"
        );
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
async fn connector_of_the_callers_own_opens_the_streams() {
    let server = server([Answer::new(200, STATIC)]).await;
    let endpoint = server.url().parse().unwrap();
    let connector = Arc::new(Counting {
        inner: Connector::new(&endpoint, &TlsOptions::default()).unwrap(),
        connections: Mutex::default(),
    });
    let direct = builder(&server.url()).connector(connector.clone());
    let transport = HyperTransport::new(connector.clone());
    let through_transport = builder(&server.url()).transport(Arc::new(transport));
    for builder in [direct, through_transport] {
        let client = builder.build().unwrap();
        client.evaluate("flag", &context()).await.unwrap();
        client.evaluate("flag", &context()).await.unwrap();
    }
    assert_eq!(*connector.connections.lock().unwrap(), 2);
}
