//! The log lines of requests. A separate test binary: tracing caches whether a log line is enabled,
//! so tests in other threads would interfere.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex};

use goff_core::{EvaluationContext, RelayClient};
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

/// Collects the log lines of this crate.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<(Level, String)>>>);

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("goff_http")
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(String::new());
        event.record(&mut line);
        self.0
            .lock()
            .unwrap()
            .push((*event.metadata().level(), line.0));
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

/// The log lines of one successful and one failed request.
async fn lines(debug: bool) -> Vec<(Level, String)> {
    let lines = Lines::default();
    let _guard = tracing::subscriber::set_default(lines.clone());
    let answers = [
        Answer::new(200, r#"{"value":true,"reason":"STATIC"}"#),
        Answer::new(502, ""),
    ];
    let server = FaultyServer::start(answers).await.unwrap();
    let options = HttpRelayClientOptions::new(server.url().parse().unwrap()).debug(debug);
    let client = HttpRelayClient::new(options).unwrap();
    let context = EvaluationContext::default();
    client.evaluate("flag", &context).await.unwrap();
    client.evaluate_all(&context).await.unwrap_err();
    lines.0.lock().unwrap().clone()
}

/// The option `debug` logs requests at INFO instead of DEBUG.
#[tokio::test]
async fn every_request_logs_one_line() {
    for (debug, level) in [(false, Level::DEBUG), (true, Level::INFO)] {
        let lines = lines(debug).await;
        let [good, bad] = &*lines else {
            panic!("{lines:?}");
        };
        for ((l, line), parts) in [
            (
                good,
                [
                    "relay proxy request",
                    "path=\"/v1/feature/flag/eval\"",
                    "status=200",
                    "duration_ms=",
                ],
            ),
            (
                bad,
                [
                    "relay proxy request",
                    "path=\"/v1/allflags\"",
                    "status=502",
                    "error=the relay proxy answered 502",
                ],
            ),
        ] {
            assert_eq!(*l, level);
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        assert!(!good.1.contains("error="), "{}", good.1);
    }
}
