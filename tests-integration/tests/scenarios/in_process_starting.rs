//! In process, flags are asked for once, when the client starts: what becomes of one that gets none.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use goff_provider::{ClientEvent, GoFeatureFlagOptions, InitializeError, State};
use goff_tests_integration::{
    Address, Instance, KEY_WITHOUT_FLAG_SET, RelayProxy, StrippingProxy, relay, relay_source,
};

use crate::following::event;
use crate::surfaces::{Asked, Surface, User, in_process_surfaces, plain, started_in_process};

/// Every evaluation is refused, in words that say what to do, and that hold no key.
async fn assert_not_ready(surface: &Surface, place: &str) {
    let user = User::john();
    for asked in [Asked::Text("default"), Asked::Bool(true)] {
        let default = asked.default_value();
        let seen = surface.ask("string_key", asked, &user).await;
        assert_eq!(seen.outcome(), "PROVIDER_NOT_READY", "{place}");
        assert_eq!(seen.value, default, "{place}");
        assert!(!seen.message.contains("wrong-key"), "{}", seen.message);
    }
    let error = surface.ask_all(&user).await.unwrap_err();
    assert_eq!(error.code().as_str(), "PROVIDER_NOT_READY", "{place}");
    assert_eq!(surface.goff.stats().refreshes, 0, "{place}");
}

/// GOFF-EVT-007, GOFF-AUTH-003, GOFF-ERR-004, GOFF-LIFE-006.
#[tokio::test]
async fn a_refused_key_is_fatal() {
    for instance in [Instance::Authenticated, Instance::FlagSets] {
        let Some(relay) = relay(instance) else {
            return;
        };
        let with: [fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions; 4] = [
            plain,
            |options| options.api_key(""),
            |options| options.api_key("wrong-key-0815"),
            |options| options.custom_header("x-api-key", "wrong-key-0815"),
        ];
        for (number, with) in with.into_iter().enumerate() {
            for (surface, started) in started_in_process(relay.endpoint(), with).await {
                let place = format!("{}, {instance}, {number}", surface.name);
                let Err(error) = started else {
                    panic!("{place} started");
                };
                assert!(
                    matches!(error, InitializeError::Refused(ref error) if error.status() == Some(401)),
                    "{place}: {error}"
                );
                let status = surface.goff.status();
                assert_eq!(status.state, State::Fatal, "{place}: {status:?}");
                let told = format!("{error} {status:?}");
                assert!(!told.contains("wrong-key"), "{place}: {told}");
                assert!(!surface.goff.wait_until_ready(PATIENCE).await, "{place}");
                assert_not_ready(&surface, &place).await;
            }
        }
    }
}

/// GOFF-EVT-008, GOFF-LIFE-006.
#[tokio::test]
async fn any_other_failure_is_an_error_that_says_why() {
    let (Some(flag_sets), Some(open)) = (relay(Instance::FlagSets), relay(Instance::Open)) else {
        return;
    };
    let proxy = StrippingProxy::start(open, "/team/flags").await.unwrap();
    let beside_the_prefix = proxy.endpoint().replace("/team/flags", "/team/other");
    let below_the_relay_proxy = format!("{}/v9", open.endpoint());
    for (endpoint, key, why) in [
        (
            flag_sets.endpoint(),
            KEY_WITHOUT_FLAG_SET,
            "flagset not found",
        ),
        (&beside_the_prefix, "", "404"),
        (&below_the_relay_proxy, "", "404"),
    ] {
        let with_key = |options: GoFeatureFlagOptions| options.api_key(key);
        for (surface, started) in started_in_process(endpoint, with_key).await {
            let place = format!("{} at {endpoint}", surface.name);
            assert_eq!(
                started.map_err(|error| error.to_string()),
                Ok(()),
                "{place}"
            );
            let status = surface.goff.status();
            assert_eq!(status.state, State::Error, "{place}: {status:?}");
            let last_error = status.last_error.unwrap();
            assert!(
                last_error.to_string().contains(why),
                "{place}: {last_error}"
            );
            assert_not_ready(&surface, &place).await;
        }
    }
}

/// GOFF-EVT-003, GOFF-EVT-008, GOFF-LIFE-006.
#[tokio::test]
async fn a_client_that_started_first_heals_when_its_relay_proxy_appears() {
    let Some(source) = relay_source() else { return };
    // For the port, which is free again when this one has ended.
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let Address::Tcp(port) = *relay.address() else {
        panic!("an open relay proxy has a port")
    };
    let endpoint = relay.endpoint().to_owned();
    drop(relay);
    let mut waiting = Vec::new();
    for (surface, started) in started_in_process(&endpoint, plain).await {
        started.unwrap();
        let status = surface.goff.status();
        assert_eq!(status.state, State::Error, "{}: {status:?}", surface.name);
        assert_not_ready(&surface, &surface.name).await;
        let subscription = surface.goff.subscribe();
        waiting.push((surface, subscription));
    }

    let _appeared = RelayProxy::start_at(port, Instance::Open, &source).unwrap();
    for (surface, subscription) in &mut waiting {
        assert!(surface.goff.wait_until_ready(PATIENCE).await);
        // What was not held before cannot have changed.
        let first = event(subscription, |event| {
            matches!(
                event,
                ClientEvent::Ready | ClientEvent::ConfigurationChanged(_)
            )
        })
        .await;
        assert_eq!(first, ClientEvent::Ready, "{}", surface.name);
        let seen = surface
            .ask("static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.value, "a", "{}: {}", surface.name, seen.message);
        assert_eq!(surface.goff.status().state, State::Ready);
    }
}

/// Flags from the file are as good as any until the relay proxy is back, which is asked from the start.
/// GOFF-EVT-006.
#[tokio::test]
async fn with_flags_kept_in_a_file_a_client_starts_without_its_relay_proxy() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let Address::Tcp(port) = *relay.address() else {
        panic!("an open relay proxy has a port")
    };
    let endpoint = relay.endpoint().to_owned();
    let kept = Kept::new();
    let keeping = |options: GoFeatureFlagOptions| options.last_known_good_file(kept.file());
    for surface in in_process_surfaces(&endpoint, keeping).await {
        surface.goff.shutdown(PATIENCE).await;
        assert!(kept.file().exists(), "{}", surface.name);
    }
    drop(relay);

    let mut waiting = Vec::new();
    for surface in in_process_surfaces(&endpoint, keeping).await {
        assert!(
            surface.goff.wait_until_ready(Duration::ZERO).await,
            "{}",
            surface.name
        );
        let status = surface.goff.status();
        assert_eq!(status.state, State::Stale, "{}: {status:?}", surface.name);
        for (flag, value) in [("static_key", "a"), ("string_key", "CC0000")] {
            let seen = surface
                .ask(flag, Asked::Text("default"), &User::john())
                .await;
            assert_eq!(seen.value, value, "{}: {}", surface.name, seen.message);
        }
        // Its enrichment is kept too.
        let flag = "flag-use-evaluation-context-enrichment";
        let seen = surface
            .ask(flag, Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.value, "A", "{}: {}", surface.name, seen.message);
        let subscription = surface.goff.subscribe();
        waiting.push((surface, subscription));
    }

    let flags = "static_key:\n  variations:\n    B: b\n  defaultRule:\n    variation: B\n";
    let _back = RelayProxy::start_at_with_flags(port, Instance::Open, &source, flags).unwrap();
    for (surface, subscription) in &mut waiting {
        event(subscription, |event| *event == ClientEvent::Ready).await;
        assert_eq!(surface.goff.status().state, State::Ready);
        let seen = surface
            .ask("static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.value, "b", "{}: {}", surface.name, seen.message);
    }
}

/// A directory that is removed when dropped.
struct Kept(PathBuf);

impl Kept {
    fn new() -> Self {
        let name = format!("goff-last-known-good-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("flags")
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Left behind, it would be in nobody's way.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Attempts are a minute apart at most; after this outage of a second or two they are not that far yet.
const PATIENCE: Duration = Duration::from_secs(20);
