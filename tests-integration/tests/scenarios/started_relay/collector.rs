//! Scenario 12: what the client records arrives at the relay proxy's exporter.

use std::time::Duration;

use goff_tests_integration::{CollectedKind, Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{Options, remote_surfaces, surfaces};

fn labelled(options: Options) -> Options {
    options
        .exporter_metadata("service", "checkout")
        // Without a stream, whose opening would clear the cache between two evaluations.
        .disable_cache_invalidation(true)
}

/// GOFF-COLL-002 to -008, -010 to -012, GOFF-CACHE-007.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_hit_is_exported_as_the_client_s_beside_the_server_s_miss() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), labelled).await {
        for (anonymous, kind) in [(false, "user"), (true, "anonymousUser")] {
            let user = surface
                .user(&format!("collected {kind}"))
                .with("anonymous", anonymous);
            for _ in 0..2 {
                surface.evaluate("static_key", "default", &user).await;
            }
            let report = surface.goff.flush(Duration::from_secs(10)).await;
            assert_eq!(report.error.map(|error| error.to_string()), None);
            let events = relay.recorded_events(CollectedKind::Feature);
            let events = events.of_user(user.key(), 2).await;
            let place = format!("{surface}: {events:?}");
            assert_eq!(events.len(), 2, "{place}");
            // The two take different ways to the exporter.
            let of = |source: &str| -> &Value {
                let event = events.iter().find(|event| event["source"] == source);
                event.unwrap_or_else(|| panic!("no event from {source}: {place}"))
            };
            let (server, client) = (of("SERVER"), of("PROVIDER_CACHE"));
            for member in "key variation value default contextKind kind".split(' ') {
                assert_eq!(server[member], client[member], "{member}, {place}");
            }
            assert_eq!(client["contextKind"], kind, "{place}");
            assert_eq!(client["value"], "a", "{place}");
            let metadata = json!({"service": "checkout", "provider": "rust", "openfeature": true});
            assert_eq!(client["metadata"], metadata, "{place}");
            let created = |event: &Value| event["creationDate"].as_i64().unwrap();
            let seconds = created(client) - created(server);
            assert!((0..=60).contains(&seconds), "{seconds} s apart: {place}");
        }
    }
}

/// GOFF-TRACK-004, GOFF-TRACK-005.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_tracking_event_is_exported_with_its_context_and_details() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), labelled).await {
        for (anonymous, kind) in [(false, "user"), (true, "anonymousUser")] {
            let user = surface
                .user(&format!("tracked {kind}"))
                .with("anonymous", anonymous)
                .with("plan", "pro");
            let details = json!({"value": 99.5, "items": ["a", "b"]});
            let (context, sent) = (user.native(), details.as_object().unwrap().clone());
            surface.goff.track("checkout", &context, sent).unwrap();
            surface.goff.flush(Duration::from_secs(10)).await;
            let events = relay.recorded_events(CollectedKind::Tracking);
            let events = events.of_user(user.key(), 1).await;
            let place = format!("{surface}: {events:?}");
            assert_eq!(events.len(), 1, "{place}");
            let event = &events[0];
            assert_eq!(event["kind"], "tracking", "{place}");
            assert_eq!(event["key"], "checkout", "{place}");
            assert_eq!(event["contextKind"], kind, "{place}");
            assert_eq!(event["trackingEventDetails"], details, "{place}");
            let context = &event["evaluationContext"];
            assert_eq!(context["targetingKey"], user.key(), "{place}");
            assert_eq!(context["plan"], "pro", "{place}");
            // The metadata of the batch do not reach tracking events, so the context carries them.
            let metadata = &context["gofeatureflag"]["exporterMetadata"];
            assert_eq!(metadata["service"], "checkout", "{place}");
        }
    }
}

/// GOFF-LIFE-004, GOFF-COLL-014.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn shutdown_delivers_pending_events() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), labelled).await {
        let user = surface.user("until shutdown");
        for _ in 0..11 {
            surface.evaluate("static_key", "default", &user).await;
        }
        // The relay proxy records the first evaluation of a remote client.
        let (own, source) = match surface.is_in_process() {
            true => (11_usize, "INPROCESS"),
            false => (10, "PROVIDER_CACHE"),
        };
        assert_eq!(surface.goff.stats().usage.pending, own as u64, "{surface}");
        let report = surface.goff.shutdown(Duration::from_secs(10)).await;
        let delivered = (report.recorded, report.delivered);
        assert_eq!(delivered, (own as u64, own as u64), "{surface}: {report:?}");
        let lost = (report.dropped, report.pending);
        assert_eq!(lost, (0, 0), "{surface}: {report:?}");
        let is_own = |event: &Value| event["userKey"] == user.key() && event["source"] == source;
        let events = relay.recorded_events(CollectedKind::Feature);
        let events = events.wait_for(own, is_own).await;
        assert_eq!(events.len(), own, "{surface}");
        let refused = surface.evaluate("static_key", "default", &user).await;
        assert_eq!(refused.outcome(), "PROVIDER_NOT_READY", "{surface}");
    }
}
