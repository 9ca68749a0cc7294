//! What other scenarios take for granted: an open relay proxy, and a gateway in front of it, without this project's
//! client.

use goff_tests_integration::{Address, Instance, StrippingProxy, relay, request};
use serde_json::{Value, json};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn open_serves_every_flag_of_the_file() {
    let relay = relay(Instance::Open);
    let target = "/v1/feature/bool_targeting_match/eval";
    let answer = evaluate(relay.address(), target).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["value"], true);
    assert_eq!(answer.json()["reason"], "DEFAULT");

    // The relay proxy leaves out an invalid flag, which only its log shows.
    let body = json!({"evaluationContext": {"key": "instances-open"}});
    let all = request(relay.address(), "/v1/allflags", &[], Some(&body)).await;
    let all = all.unwrap().json();
    let served = all["flags"].as_object().unwrap().len();
    let written = include_str!("../../../relay/flags.yaml")
        .lines()
        .filter(|line| line.contains(':') && !line.starts_with([' ', '#']))
        .count();
    assert_eq!(served, written);
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_stripping_proxy_strips_its_prefix_and_nothing_else() {
    let relay = relay(Instance::Open);
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    let authority = proxy.endpoint().strip_prefix("http://").unwrap();
    let authority = authority.strip_suffix("/team/flags").unwrap();
    let address = Address::Tcp(authority.parse().unwrap());
    for (target, status) in [
        ("/team/flags/v1/feature/my%20flag%21/eval", 200),
        ("/v1/feature/static_key/eval", 404),
        ("/team/flagsv1/feature/static_key/eval", 404),
        ("/team/flags", 404),
    ] {
        let answer = evaluate(&address, target).await;
        assert_eq!(answer.status, status, "{target}");
        assert_eq!(answer.json()["value"] == "found", status == 200, "{target}");
    }
}

async fn evaluate(address: &Address, target: &str) -> goff_tests_integration::Answer {
    let body: Value = json!({"evaluationContext": {"key": "instances"}});
    request(address, target, &[], Some(&body)).await.unwrap()
}
