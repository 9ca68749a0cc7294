//! Scenario 14: an endpoint below a path prefix, behind a gateway that strips it (row 33 of the
//! Python provider's tests).

use std::time::Duration;

use goff_tests_integration::{
    EVALUATION_KEY, EventKind, Instance, RelayProxy, StrippingProxy, relay, relay_source,
};

use crate::following::{change_of, stream_opens};
use crate::surfaces::{Asked, User, plain, remote_surfaces, surfaces};

#[tokio::test]
async fn the_prefix_is_kept_with_or_without_a_final_slash() {
    let Some(relay) = relay(Instance::Authenticated) else {
        return;
    };
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    for endpoint in [
        proxy.endpoint().to_owned(),
        format!("{}/", proxy.endpoint()),
    ] {
        for surface in surfaces(&endpoint, |options| options.api_key(EVALUATION_KEY)).await {
            let place = format!("{} at {endpoint}", surface.name);
            for flag in ["my flag!", "team:x", "é"] {
                let seen = surface
                    .ask(flag, Asked::Text("default"), &User::john())
                    .await;
                assert_eq!(
                    (seen.outcome(), seen.value.as_str()),
                    ("ok", Some("found")),
                    "{place}: {}",
                    seen.message
                );
            }
            let seen = surface
                .ask("no-such-flag", Asked::Text("default"), &User::john())
                .await;
            assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{place}");
            let all = surface.ask_all(&User::john()).await.unwrap();
            assert!(all["static_key"].error().is_none(), "{place}");
        }
    }
}

/// The stream and the data collector are reached below the prefix, as evaluations and the configuration are above.
/// GOFF-COLL-001, GOFF-IP-003.
#[tokio::test]
async fn changes_and_usage_data_pass_below_the_prefix() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Authenticated, &source).unwrap();
    let proxy = StrippingProxy::start(&relay, "/team/flags").await.unwrap();
    let surfaces = surfaces(proxy.endpoint(), |options| options.api_key(EVALUATION_KEY)).await;
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        let user = User::of(surface, "prefix");
        for reason in ["STATIC", surface.again("STATIC")] {
            let seen = surface.ask("my flag!", Asked::Text("default"), &user).await;
            assert_eq!(seen.reason, reason, "{}: {}", surface.name, seen.message);
        }
        let report = surface.goff.flush(Duration::from_secs(10)).await;
        let own = if surface.is_in_process() { 2 } else { 1 };
        assert_eq!(report.delivered, own, "{}: {report:?}", surface.name);
        let events = relay
            .recorded_events(EventKind::Feature)
            .of_user(user.key(), 2)
            .await;
        assert_eq!(events.len(), 2, "{}: {events:?}", surface.name);

        subscriptions.push(surface.goff.subscribe());
    }
    relay.edit_flags("\n\"my flag!\": *keyed\n", "\n").unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        change_of("my flag!", subscription).await;
        let user = User::of(surface, "prefix");
        let seen = surface.ask("my flag!", Asked::Text("default"), &user).await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
    }
}

/// In process: [`crate::in_process_starting`].
/// C7 of the Python provider: only an answer that says so means that a flag does not exist.
#[tokio::test]
async fn a_wrong_prefix_is_a_wrong_endpoint_and_not_a_missing_flag() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    let proxy = StrippingProxy::start(relay, "/team/flags").await.unwrap();
    let beside_the_prefix = proxy.endpoint().replace("/team/flags", "/team/other");
    let below_the_relay_proxy = format!("{}/v9", relay.endpoint());
    for endpoint in [beside_the_prefix, below_the_relay_proxy] {
        for surface in remote_surfaces(&endpoint, plain).await {
            let place = format!("{} at {endpoint}", surface.name);
            let seen = surface
                .ask("static_key", Asked::Text("default"), &User::john())
                .await;
            assert_eq!(seen.outcome(), "GENERAL", "{place}");
            assert!(seen.message.contains("404"), "{place}: {}", seen.message);
            let error = surface.ask_all(&User::john()).await.unwrap_err();
            assert!(error.to_string().contains("404"), "{place}: {error}");
        }
    }
}
