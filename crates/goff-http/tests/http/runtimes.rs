//! One client in several tokio runtimes, and outside any: a request never depends on the runtime
//! of an earlier one.

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use goff_core::{Connect, EventBatch, RelayClient, RelayError};
use goff_http::{Connector, HttpRequest, HttpResponse, HttpTransport, TlsOptions, TransportError};
use goff_testkit::{Answer, FaultyServer};
use tokio::runtime::{Builder, Runtime};

use crate::fixture::*;

/// Far more than a request takes here, and far less than its timeout.
const USUAL: Duration = Duration::from_secs(5);

fn single_threaded() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_threaded() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn answering(runtime: &Runtime) -> FaultyServer {
    // An answer to every kind of request.
    let answer = r#"{"value":true,"reason":"STATIC","flags":{},"ingestedContentCount":0}"#;
    let started = FaultyServer::start([Answer::new(200, answer)]);
    runtime.block_on(started).unwrap()
}

/// Every kind of request, each in the usual time.
async fn requests_of_each_kind(client: &goff_http::HttpRelayClient) {
    let started = Instant::now();
    evaluate(client).await.unwrap();
    client.flag_configuration(&[], None).await.unwrap();
    let batch = EventBatch::new(goff_core::ExporterMetadata::default(), Vec::new());
    client.collect(&batch).await.unwrap();
    client.evaluate_all(&context()).await.unwrap();
    evaluate(client).await.unwrap();
    assert!(started.elapsed() < USUAL, "{:?}", started.elapsed());
}

#[test]
fn idle_runtime_delays_no_other() {
    let serving = multi_threaded();
    let server = answering(&serving);
    let client = client_of(&server);
    for other in [single_threaded(), multi_threaded()] {
        let idle = single_threaded();
        // Leaves idle connections that are never driven again.
        idle.block_on(async {
            let (one, other) = (evaluate(&client), evaluate(&client));
            let (one, other) = tokio::join!(one, other);
            one.unwrap();
            other.unwrap();
        });
        other.block_on(requests_of_each_kind(&client));
        // The connections of the first runtime still serve it.
        idle.block_on(requests_of_each_kind(&client));
    }
}

#[test]
fn busy_runtime_delays_no_other() {
    let serving = multi_threaded();
    let server = answering(&serving);
    let client = client_of(&server);
    let busy = multi_threaded();
    let used = client.clone();
    let evaluating = busy.spawn(async move { evaluate(&used).await });
    busy.block_on(evaluating).unwrap().unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let (began, beginning) = mpsc::channel();
    let stop = Arc::clone(&done);
    let computing = busy.spawn(async move {
        began.send(()).unwrap();
        let began = Instant::now();
        while !stop.load(Ordering::Acquire) && began.elapsed() < 4 * USUAL {
            std::thread::sleep(Duration::from_millis(1));
        }
    });
    beginning.recv().unwrap();
    single_threaded().block_on(requests_of_each_kind(&client));
    done.store(true, Ordering::Release);
    busy.block_on(computing).unwrap();
}

#[test]
fn runtime_that_is_gone_leaves_no_connection() {
    let serving = multi_threaded();
    let server = answering(&serving);
    let client = client_of(&server);
    let mut opened = 0;
    for _ in 0..20 {
        let passing = single_threaded();
        passing.block_on(requests_of_each_kind(&client));
        drop(passing);
        let all = server.connections();
        assert!(all > opened, "a connection outlived its runtime");
        opened = all;
        serving.block_on(server.wait_for_ended_connections(opened));
    }
}

/// A request that waits for a connection when its runtime is dropped.
#[test]
fn request_in_flight_when_its_runtime_goes_ends_with_it() {
    let serving = multi_threaded();
    let server = serving.block_on(FaultyServer::start([])).unwrap();
    let client = client_of(&server);
    let passing = multi_threaded();
    let used = client.clone();
    let evaluating = passing.spawn(async move { evaluate(&used).await });
    serving.block_on(async {
        while server.requests().is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    drop(passing);
    assert!(serving.block_on(evaluating).unwrap_err().is_cancelled());
    serving.block_on(server.wait_for_ended_connections(1));
}

/// The result of a future under an executor without a tokio runtime.
fn poll_once<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("waits without a runtime"),
    }
}

#[test]
fn outside_a_runtime_requests_fail_without_a_panic() {
    let serving = multi_threaded();
    let server = answering(&serving);
    let client = client_of(&server);
    let fails = |error: RelayError| {
        assert!(error.to_string().contains("tokio runtime"), "{error}");
        assert_eq!(error.origin(), goff_core::Origin::NotEvaluated);
    };
    fails(poll_once(evaluate(&client)).unwrap_err());
    // Also where a runtime has left a connection.
    serving.block_on(evaluate(&client)).unwrap();
    fails(poll_once(evaluate(&client)).unwrap_err());
    fails(poll_once(client.evaluate_all(&context())).unwrap_err());
    fails(poll_once(client.flag_configuration(&[], None)).unwrap_err());
    fails(poll_once(client.check(&[], None)).result.unwrap_err());
    let batch = EventBatch::new(goff_core::ExporterMetadata::default(), Vec::new());
    fails(poll_once(client.collect(&batch)).unwrap_err());
    let endpoint = server.url().parse().unwrap();
    let connector = Connector::new(&endpoint, &TlsOptions::default()).unwrap();
    let error = poll_once(connector.connect()).map(drop).unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}

/// A transport that needs no tokio works outside it, with the timeout of the client.
#[test]
fn custom_transport_works_outside_a_runtime() {
    #[derive(Debug)]
    struct Canned(bool);

    #[async_trait::async_trait]
    impl HttpTransport for Canned {
        async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
            if !self.0 {
                std::future::pending::<()>().await;
            }
            Ok(HttpResponse::new(http::StatusCode::OK, STATIC))
        }
    }

    for answers in [true, false] {
        let options = options("http://relay.example")
            .timeout(Duration::from_millis(20))
            .transport(Arc::new(Canned(answers)));
        let result = pollster::block_on(evaluate(&client(options)));
        match (answers, result) {
            (true, Ok(resolution)) => assert_eq!(resolution.value, true),
            (false, Err(RelayError::Timeout { .. })) => {}
            (_, other) => panic!("{other:?}"),
        }
    }
}

/// A runtime that lacks timers or I/O gives an error, too.
#[test]
fn runtime_without_timers_or_io_is_an_error() {
    let serving = multi_threaded();
    let server = answering(&serving);
    let client = client_of(&server);
    let bare = Builder::new_current_thread().build().unwrap();
    let timers_only = Builder::new_current_thread().enable_time().build().unwrap();
    for runtime in [bare, timers_only] {
        let error = runtime.block_on(evaluate(&client)).unwrap_err();
        assert!(matches!(error, RelayError::NotConnected(_)), "{error:?}");
    }
}
