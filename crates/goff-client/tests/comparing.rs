//! Where configurations are compared.
//!
//! A separate test binary: the subscriber is that of the whole process, because a subscriber of one
//! thread would not see the others.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use goff_client::{
    ClientEvent, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, Invalidation, Refreshed,
};
use goff_testkit::ScriptedRelay;
use serde_json::json;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// The threads that logged a message.
#[derive(Clone, Default)]
struct Threads(Arc<Mutex<Vec<(String, ThreadId)>>>);

impl Subscriber for Threads {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("goff")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                if field.name() == "message" {
                    self.0 = format!("{value:?}");
                }
            }
        }
        let mut message = Message(String::new());
        event.record(&mut message);
        let line = (message.0, thread::current().id());
        self.0.lock().unwrap().push(line);
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// Comparing large configurations takes long, and would hold up every task of the runtime's thread.
#[tokio::test]
async fn configurations_are_compared_beside_the_runtime_thread() {
    let threads = Threads::default();
    tracing::subscriber::set_global_default(threads.clone()).unwrap();
    let relay = ScriptedRelay::new();
    let flags =
        |value: i64| json!({"f": {"variations": {"a": value}, "defaultRule": {"variation": "a"}}});
    relay.set_flags(&flags(1), Some("\"1\""));
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut events = goff.subscribe();
    relay.set_flags(&flags(2), Some("\"2\""));
    goff.invalidation_sink().invalidate(Invalidation::All);
    while !matches!(
        events.next().await,
        Some(ClientEvent::ConfigurationChanged(_))
    ) {}
    relay.set_flags(&flags(3), Some("\"3\""));
    assert!(matches!(goff.refresh().await, Ok(Refreshed::Changed(_))));

    let lines = threads.0.lock().unwrap().clone();
    let threads_of = |message: &str| -> Vec<ThreadId> {
        let lines = lines.iter().filter(|(line, _)| line == message);
        lines.map(|(_, thread)| *thread).collect()
    };
    // This line is the poller's, whose tasks run on the thread of this test.
    let here = thread::current().id();
    let loaded = threads_of("flag configuration loaded");
    assert!(!loaded.is_empty() && loaded.iter().all(|thread| *thread == here));
    let changed = threads_of("flags changed");
    assert!(
        changed.len() == 2 && changed.iter().all(|thread| *thread != here),
        "{lines:?}"
    );
}
