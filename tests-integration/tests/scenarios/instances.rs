//! Every kind of relay proxy answers as its configuration says, asked without our client: what the other
//! modules take for granted.

use goff_tests_integration::{
    Address, Answer, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, EventKind, Instance,
    KEY_WITHOUT_FLAG_SET, StrippingProxy, TEAM_A_KEY, TEAM_B_KEY, relay, relay_under_control,
    request,
};
use serde_json::{Value, json};

#[tokio::test]
async fn open_serves_every_flag_of_the_file() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    let target = "/v1/feature/bool_targeting_match/eval";
    let answer = evaluate(relay.address(), target, "", "instances-open").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["value"], true);
    assert_eq!(answer.json()["reason"], "DEFAULT");

    // The relay proxy leaves a flag out that it finds invalid, and says so only in its log.
    let body = json!({"evaluationContext": {"key": "instances-open"}});
    let all = request(relay.address(), "/v1/allflags", &[], Some(&body))
        .await
        .unwrap()
        .json();
    let served = all["flags"].as_object().unwrap().len();
    let written = include_str!("../../relay/flags.yaml")
        .lines()
        .filter(|line| line.contains(':') && !line.starts_with([' ', '#']))
        .count();
    assert_eq!(served, written);
}

#[tokio::test]
async fn open_records_what_it_evaluates() {
    let Some(relay) = relay_under_control(Instance::Open) else {
        return;
    };
    let target = "/ofrep/v1/evaluate/flags/static_key";
    let answer = evaluate(relay.address(), target, "", "instances-recorded").await;
    assert_eq!(answer.json()["value"], "a");
    let events = relay
        .recorded_events(EventKind::Feature)
        .of_user("instances-recorded", 1)
        .await;
    assert_eq!(events[0]["source"], "SERVER");
    assert_eq!(events[0]["variation"], "A");

    let tracking = json!({"events": [{
        "kind": "tracking", "contextKind": "user", "userKey": "instances-recorded", "creationDate": 1_700_000_000,
        "key": "checkout", "evaluationContext": {}, "trackingEventDetails": {"amount": 3},
    }]});
    let answer = request(relay.address(), "/v1/data/collector", &[], Some(&tracking))
        .await
        .unwrap();
    assert_eq!(answer.json()["ingestedContentCount"], 1);
    let events = relay
        .recorded_events(EventKind::Tracking)
        .of_user("instances-recorded", 1)
        .await;
    assert_eq!(events[0]["trackingEventDetails"], json!({"amount": 3}));
}

#[tokio::test]
async fn authenticated_asks_for_one_of_its_keys() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    let target = "/v1/feature/static_key/eval";
    for (key, status) in [
        (EVALUATION_KEY, 200),
        (EVALUATION_KEY_TO_ESCAPE, 200),
        ("wrong", 401),
        ("", 401),
    ] {
        let answer = evaluate(relay.address(), target, key, "instances-keys").await;
        assert_eq!(answer.status, status, "{key}");
    }
}

#[tokio::test]
async fn flag_sets_are_chosen_by_key() {
    let Some(relay) = relay(Instance::FlagSets) else {
        return;
    };
    let target = "/v1/feature/shared_key/eval";
    for (key, value) in [(TEAM_A_KEY, "from team a"), (TEAM_B_KEY, "from team b")] {
        let answer = evaluate(relay.address(), target, key, "instances-sets").await;
        assert_eq!(answer.json()["value"], value);
    }
    let answer = evaluate(
        relay.address(),
        target,
        KEY_WITHOUT_FLAG_SET,
        "instances-sets",
    )
    .await;
    assert_eq!(answer.status, 400);
    assert_eq!(
        answer.json()["message"],
        "error while getting flagset: flagset not found for API key"
    );
}

#[tokio::test]
async fn debug_indents_its_bodies() {
    let Some(relay) = relay(Instance::Debug) else {
        return;
    };
    let answer = evaluate(
        relay.address(),
        "/v1/feature/static_key/eval",
        "",
        "instances-debug",
    )
    .await;
    assert!(answer.body.starts_with(b"{\n  \""), "{:?}", answer.body);
}

#[tokio::test]
async fn unix_socket_answers() {
    let Some(relay) = relay(Instance::UnixSocket) else {
        return;
    };
    assert!(relay.endpoint().starts_with("unix:///"));
    let answer = evaluate(
        relay.address(),
        "/v1/feature/static_key/eval",
        "",
        "instances-unix",
    )
    .await;
    assert_eq!(answer.json()["value"], "a");
}

#[tokio::test]
async fn the_stripping_proxy_strips_its_prefix_and_nothing_else() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    let authority = proxy
        .endpoint()
        .strip_prefix("http://")
        .unwrap()
        .strip_suffix("/team/flags")
        .unwrap();
    let address = Address::Tcp(authority.parse().unwrap());
    for (target, status) in [
        ("/team/flags/v1/feature/my%20flag%21/eval", 200),
        ("/v1/feature/static_key/eval", 404),
        ("/team/flagsv1/feature/static_key/eval", 404),
        ("/team/flags", 404),
    ] {
        let answer = evaluate(&address, target, "", "instances-prefix").await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.json()["value"] == "found", status == 200, "{target}");
    }
}

async fn evaluate(address: &Address, target: &str, key: &str, user: &str) -> Answer {
    let authorization = format!("Bearer {key}");
    let headers: &[(&str, &str)] = if key.is_empty() {
        &[]
    } else {
        &[("Authorization", &authorization)]
    };
    let body: Value = if target.contains("/ofrep/") {
        json!({"context": {"targetingKey": user}})
    } else {
        json!({"evaluationContext": {"key": user}})
    };
    request(address, target, headers, Some(&body))
        .await
        .unwrap()
}
