//! What other scenarios take for granted: each relay proxy behaves as configured, without this project's client.

use goff_tests_integration::{
    Address, Answer, CollectedKind, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance,
    KEY_WITHOUT_FLAG_SET, TEAM_A_KEY, TEAM_B_KEY, relay, request,
};
use serde_json::json;

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn open_records_what_it_evaluates() {
    let relay = relay(Instance::Open);
    let target = "/ofrep/v1/evaluate/flags/static_key";
    let answer = evaluate(relay.address(), target, "", "instances-recorded").await;
    assert_eq!(answer.json()["value"], "a");
    let events = relay.recorded_events(CollectedKind::Feature);
    let events = events.of_user("instances-recorded", 1).await;
    assert_eq!(events[0]["source"], "SERVER");
    assert_eq!(events[0]["variation"], "A");

    let tracking = json!({"events": [{
        "kind": "tracking", "contextKind": "user", "userKey": "instances-recorded", "creationDate": 1_700_000_000,
        "key": "checkout", "evaluationContext": {}, "trackingEventDetails": {"amount": 3},
    }]});
    let answer = request(relay.address(), "/v1/data/collector", &[], Some(&tracking)).await;
    assert_eq!(answer.unwrap().json()["ingestedContentCount"], 1);
    let events = relay.recorded_events(CollectedKind::Tracking);
    let events = events.of_user("instances-recorded", 1).await;
    assert_eq!(events[0]["trackingEventDetails"], json!({"amount": 3}));
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn authenticated_requires_one_of_its_keys() {
    let relay = relay(Instance::Authenticated);
    for (key, status) in [
        (EVALUATION_KEY, 200),
        (EVALUATION_KEY_TO_ESCAPE, 200),
        ("wrong", 401),
        ("", 401),
    ] {
        let answer = evaluate(relay.address(), STATIC_KEY, key, "instances-keys").await;
        assert_eq!(answer.status, status, "{key}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flag_sets_are_selected_by_key() {
    let relay = relay(Instance::FlagSets);
    let target = "/v1/feature/shared_key/eval";
    for (key, value) in [(TEAM_A_KEY, "from team a"), (TEAM_B_KEY, "from team b")] {
        let answer = evaluate(relay.address(), target, key, "instances-sets").await;
        assert_eq!(answer.json()["value"], value);
    }
    let (key, user) = (KEY_WITHOUT_FLAG_SET, "instances-sets");
    let answer = evaluate(relay.address(), target, key, user).await;
    assert_eq!(answer.status, 400);
    let message = "error while getting flagset: flagset not found for API key";
    assert_eq!(answer.json()["message"], message);
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn debug_indents_its_bodies() {
    let relay = relay(Instance::Debug);
    let answer = evaluate(relay.address(), STATIC_KEY, "", "instances-debug").await;
    assert!(answer.body.starts_with(b"{\n  \""), "{:?}", answer.body);
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn unix_socket_answers() {
    let relay = relay(Instance::UnixSocket);
    assert!(relay.endpoint().starts_with("unix:///"));
    let answer = evaluate(relay.address(), STATIC_KEY, "", "instances-unix").await;
    assert_eq!(answer.json()["value"], "a");
}

async fn evaluate(address: &Address, target: &str, key: &str, user: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers = [("Authorization", &*authorization)];
    let headers = if key.is_empty() { &[][..] } else { &headers };
    // Each protocol ignores the context of the other.
    let body = json!({"context": {"targetingKey": user}, "evaluationContext": {"key": user}});
    let answer = request(address, target, headers, Some(&body)).await;
    answer.unwrap()
}

const STATIC_KEY: &str = "/v1/feature/static_key/eval";
