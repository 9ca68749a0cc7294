//! Scenario 12: an outage of the data collector causes no loss, no duplicate and no other order.

use std::sync::Arc;
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{ContextView as _, GoFeatureFlag, GoFeatureFlagOptions};
use goff_tests_integration::{BreakableProxy, CollectedKind, Instance, own_relay};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

const EVALUATIONS: usize = 5_000;
const OUTAGE: Duration = Duration::from_secs(10);
const ROUNDS: usize = 50;

/// GOFF-COLL-018.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn after_an_outage_of_ten_seconds_every_event_arrives_once_and_in_order() {
    let relay = own_relay(Instance::Open);
    let mut collector = BreakableProxy::start(&relay).await.unwrap();
    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .data_collector_base_url(collector.endpoint())
        .data_flush_interval(Duration::from_secs(1))
        // Every evaluation must hit the cache, or there would be fewer events than evaluations.
        .disable_cache_invalidation(true)
        .cache_ttl(None);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    // A user for each event shows the order.
    let keys = (0..EVALUATIONS).map(|number| format!("outage-{number:04}"));
    let users = keys.map(|key| EvaluationContext::builder().targeting_key(key).build());
    let users: Arc<[EvaluationContext]> = users.collect();
    let mut warming = JoinSet::new();
    for share in 0..WARMING {
        let (goff, users) = (goff.clone(), Arc::clone(&users));
        warming.spawn(async move {
            for user in users.iter().skip(share).step_by(WARMING) {
                let details = goff.evaluate("static_key", user, String::new()).await;
                assert_eq!(details.value, "a", "{:?}", details.error());
            }
        });
    }
    while let Some(warmed) = warming.join_next().await {
        warmed.unwrap();
    }
    // A first event arrives, so that the outage also breaks a used connection.
    let early = EvaluationContext::builder().targeting_key("early").build();
    for _ in 0..2 {
        goff.evaluate("static_key", &early, String::new()).await;
    }
    assert_eq!(goff.flush(Duration::from_secs(10)).await.delivered, 1);

    collector.break_off().await;
    let end = Instant::now() + OUTAGE;
    let mut ticks = interval(OUTAGE / ROUNDS as u32);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for users in users.chunks(EVALUATIONS / ROUNDS) {
        ticks.tick().await;
        for user in users {
            let details = goff.evaluate("static_key", user, String::new()).await;
            assert_eq!(details.reason().as_str(), "CACHED");
        }
    }
    tokio::time::sleep_until(end).await;
    let usage = goff.stats().usage;
    let counted = (usage.delivered, usage.dropped);
    assert_eq!(counted, (1, 0), "during the outage: {usage:?}");

    collector.repair().await.unwrap();
    let report = goff.flush(Duration::from_secs(20)).await;
    let all = EVALUATIONS as u64 + 1;
    let delivered = (report.recorded, report.delivered);
    assert_eq!(delivered, (all, all), "{report:?}");
    assert_eq!((report.dropped, report.pending), (0, 0), "{report:?}");
    let is_of_client = |event: &Value| event["source"] == "PROVIDER_CACHE";
    let exported = relay.recorded_events(CollectedKind::Feature);
    let exported = exported.wait_for(EVALUATIONS + 1, is_of_client).await;
    let keys = exported.iter().map(|event| event["userKey"].as_str());
    let exported: Vec<&str> = keys.flatten().collect();
    let all_users = [&early].into_iter().chain(users.iter());
    let expected: Vec<&str> = all_users.filter_map(|user| user.targeting_key()).collect();
    assert_eq!(exported.len(), expected.len());
    assert_eq!(exported, expected);
}

/// The number of tasks that fill the cache.
const WARMING: usize = 32;
