//! In-process evaluation when the client gets no flags at its start.

use std::time::Duration;

use goff_provider::{ClientEvent, InitializeError, State};
use goff_tests_integration::{
    Instance, KEY_WITHOUT_FLAG_SET, RelayProxy, StrippingProxy, own_relay, relay,
};

use crate::following::event;
use crate::surfaces::{
    Options, Surface, Typed, User, in_process_surfaces, plain, started_in_process,
};

/// Every evaluation is refused, with an error that contains no key.
async fn assert_not_ready(surface: &Surface, place: &str) {
    let user = User::john();
    for default in [Typed::Text("default"), Typed::Bool(true)] {
        let seen = surface
            .expect_error("string_key", default, &user, "PROVIDER_NOT_READY")
            .await;
        assert!(!seen.message.contains("wrong-key"), "{}", seen.message);
    }
    let error = surface.evaluate_all(&user).await.unwrap_err();
    assert_eq!(error.code().as_str(), "PROVIDER_NOT_READY", "{place}");
    assert_eq!(surface.goff.stats().refreshes, 0, "{place}");
}

/// GOFF-EVT-007, GOFF-AUTH-003, GOFF-ERR-004, GOFF-LIFE-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_refused_key_is_fatal() {
    for instance in [Instance::Authenticated, Instance::FlagSets] {
        let relay = relay(instance);
        let with: [fn(Options) -> Options; 4] = [
            plain,
            |options| options.api_key(""),
            |options| options.api_key("wrong-key-0815"),
            |options| options.custom_header("x-api-key", "wrong-key-0815"),
        ];
        for (number, with) in with.into_iter().enumerate() {
            for (surface, started) in started_in_process(relay.endpoint(), with).await {
                let place = format!("{surface}, {instance}, {number}");
                let Err(error) = started else {
                    panic!("{place} started");
                };
                assert!(
                    matches!(error, InitializeError::Refused(ref error) if error.status() == Some(401)),
                    "{place}: {error}"
                );
                let status = surface.goff.status();
                assert_eq!(status.state, State::Fatal, "{place}: {status:?}");
                let shown = format!("{error} {status:?}");
                assert!(!shown.contains("wrong-key"), "{place}: {shown}");
                assert!(!surface.goff.wait_until_ready(PATIENCE).await, "{place}");
                assert_not_ready(&surface, &place).await;
            }
        }
    }
}

/// GOFF-EVT-008, GOFF-LIFE-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn any_other_failure_is_an_error_with_its_cause() {
    let (flag_sets, open) = (relay(Instance::FlagSets), relay(Instance::Open));
    let proxy = StrippingProxy::start(open, "/team/flags").await.unwrap();
    let beside_the_prefix = proxy.endpoint().replace("/team/flags", "/team/other");
    let below_the_relay_proxy = format!("{}/v9", open.endpoint());
    let missing = "flagset not found";
    for (endpoint, key, why) in [
        (flag_sets.endpoint(), KEY_WITHOUT_FLAG_SET, missing),
        (&beside_the_prefix, "", "404"),
        (&below_the_relay_proxy, "", "404"),
    ] {
        let with_key = |options: Options| options.api_key(key);
        for (surface, started) in started_in_process(endpoint, with_key).await {
            let place = format!("{surface} at {endpoint}");
            assert!(started.is_ok(), "{place}: {started:?}");
            let status = surface.goff.status();
            assert_eq!(status.state, State::Error, "{place}: {status:?}");
            let last_error = status.last_error.unwrap().to_string();
            assert!(last_error.contains(why), "{place}: {last_error}");
            assert_not_ready(&surface, &place).await;
        }
    }
}

/// GOFF-EVT-003, GOFF-EVT-008, GOFF-LIFE-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_client_that_started_first_recovers_when_its_relay_proxy_appears() {
    // The first relay proxy only finds a port.
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    let endpoint = relay.endpoint().to_owned();
    drop(relay);
    let mut waiting = Vec::new();
    for (surface, started) in started_in_process(&endpoint, plain).await {
        started.unwrap();
        let status = surface.goff.status();
        assert_eq!(status.state, State::Error, "{surface}: {status:?}");
        assert_not_ready(&surface, &surface.name).await;
        let subscription = surface.goff.subscribe();
        waiting.push((surface, subscription));
    }

    let _appeared = RelayProxy::start_at(port, Instance::Open).unwrap();
    for (surface, subscription) in &mut waiting {
        assert!(surface.goff.wait_until_ready(PATIENCE).await);
        // The first configuration is no change.
        let is_change = |event: &ClientEvent| matches!(event, ClientEvent::ConfigurationChanged(_));
        let first = |event: &ClientEvent| *event == ClientEvent::Ready || is_change(event);
        let first = event(subscription, first).await;
        assert_eq!(first, ClientEvent::Ready, "{surface}");
        surface.serves("static_key", &User::john(), "a").await;
        assert_eq!(surface.goff.status().state, State::Ready);
    }
}

/// The client serves the flags of the file until it reaches the relay proxy.
/// GOFF-EVT-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn with_a_last_known_good_file_a_client_starts_without_its_relay_proxy() {
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    let endpoint = relay.endpoint().to_owned();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("flags");
    let keeping = |options: Options| options.last_known_good_file(file.clone());
    for surface in in_process_surfaces(&endpoint, keeping).await {
        surface.goff.shutdown(PATIENCE).await;
        assert!(file.exists(), "{surface}");
    }
    drop(relay);

    let mut waiting = Vec::new();
    for surface in in_process_surfaces(&endpoint, keeping).await {
        let is_ready = surface.goff.wait_until_ready(Duration::ZERO).await;
        assert!(is_ready, "{surface}");
        let status = surface.goff.status();
        assert_eq!(status.state, State::Stale, "{surface}: {status:?}");
        for (flag, value) in [("static_key", "a"), ("string_key", "CC0000")] {
            surface.serves(flag, &User::john(), value).await;
        }
        // The file has the enrichment too.
        let flag = "flag-use-evaluation-context-enrichment";
        surface.serves(flag, &User::john(), "A").await;
        let subscription = surface.goff.subscribe();
        waiting.push((surface, subscription));
    }

    let flags = "static_key:\n  variations:\n    B: b\n  defaultRule:\n    variation: B\n";
    let _back = RelayProxy::start_at_with_flags(port, Instance::Open, flags).unwrap();
    for (surface, subscription) in &mut waiting {
        event(subscription, |event| *event == ClientEvent::Ready).await;
        assert_eq!(surface.goff.status().state, State::Ready);
        surface.serves("static_key", &User::john(), "b").await;
    }
}

/// Attempts are at most a minute apart, and much closer after an outage of a second or two.
const PATIENCE: Duration = Duration::from_secs(20);
