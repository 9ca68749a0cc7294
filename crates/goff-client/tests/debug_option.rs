//! The option `debug`: at which level this client's own diagnostics come.
//!
//! A test binary of its own, because what is enabled is cached for the whole process.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::{Debug, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
use goff_testkit::{Answer, FaultyServer};
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

const DEADLINE: Duration = Duration::from_secs(5);

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

/// An answer to an evaluation that the data collector could give too.
fn answer() -> Answer {
    let body = json!({
        "value": true, "reason": "STATIC", "variationType": "A", "failed": false,
        "trackEvents": true, "cacheable": true, "errorCode": "", "version": "",
        "ingestedContentCount": 1,
    });
    Answer::new(200, body.to_string())
}

/// A miss, then `hits` hits, each of which is an event.
async fn hit(goff: &GoFeatureFlag, hits: usize) {
    for _ in 0..=hits {
        let details = goff.evaluate("flag", &context(), false).await;
        assert!(details.error().is_none(), "{:?}", details.error());
    }
}

/// What is logged, with its level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<(Level, String)>>>);

struct Message(String);

impl Visit for Message {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, "{field}={value:?} ").unwrap();
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("goff")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut message = Message(String::new());
        event.record(&mut message);
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.push((*event.metadata().level(), message.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// Python A9, C24: this client's own diagnostics at INFO instead of DEBUG: requests, the stream,
/// deliveries.
/// GOFF-CFG-009.
#[tokio::test]
async fn debug_raises_the_level_of_diagnostics() {
    for debug in [false, true] {
        let log = Log::default();
        let _logging = tracing::subscriber::set_default(log.clone());
        let server = FaultyServer::start([answer()]).await.unwrap();
        let options = GoFeatureFlagOptions::new(server.url()).debug(debug);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        hit(&goff, 1).await;
        goff.shutdown(DEADLINE).await;
        let log = log.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let level_of = |text: &str| {
            let line = log.iter().find(|(_, message)| message.contains(text));
            line.unwrap_or_else(|| panic!("no `{text}` in {log:?}")).0
        };
        let expected = if debug { Level::INFO } else { Level::DEBUG };
        for text in ["usage data delivered", "status=200"] {
            assert_eq!(level_of(text), expected, "{text}");
        }
    }
}
