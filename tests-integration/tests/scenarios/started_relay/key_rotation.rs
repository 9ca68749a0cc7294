//! Keys are replaced, and removed on the relay proxy, while clients run.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, State, StreamState};
use goff_tests_integration::{
    CollectedKind, EVALUATION_KEY, EVALUATION_KEY_TO_ESCAPE, Instance, RelayProxy, TEAM_A_KEY,
    TEAM_B_KEY, own_relay, relay,
};
use tokio::time::{Instant, sleep};

use crate::following::{STATIC_KEY, change_of, static_key_with_b, stream_opens, subscribe};
use crate::surfaces::{Options, Surface, User, in_process_surfaces, remote_surfaces, surfaces};

/// The keys select flag sets: after the change no answer is of the set before, in every mode; what was recorded for
/// the set before is delivered to it. Then the key before is removed, which no client notices.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn clients_follow_a_new_key_to_its_flag_set() {
    let relay = own_relay(Instance::FlagSets);
    let with_key = |options: Options| options.api_key(TEAM_A_KEY);
    let surfaces = surfaces(relay.endpoint(), with_key).await;
    for surface in &surfaces {
        let user = surface.user("rotation");
        stream_opens(&surface.goff, 0).await;
        surface.serves("shared_key", &user, "from team a").await;
        // From the cache, where there is one.
        surface.serves("shared_key", &user, "from team a").await;
        surface.goff.set_api_key(TEAM_B_KEY).await.unwrap();
        follows(surface, &user).await;
        // The set of team B has no exporters.
        let recorded = relay.recorded_events(CollectedKind::Feature);
        let events = recorded.of_user(user.key(), 2).await;
        assert_eq!(events.len(), 2, "{surface}: {events:?}");
        assert!(events.iter().all(|event| event["value"] == "from team a"));
    }
    relay.remove_key(TEAM_A_KEY).unwrap();
    refuses(&relay, TEAM_A_KEY).await;
    for surface in &surfaces {
        let user = surface.user("after the removal");
        surface.serves("shared_key", &user, "from team b").await;
        let check = surface.goff.check(PATIENCE).await;
        assert!(check.is_ok(), "{surface}: {check:?}");
        assert_eq!(check.version.as_deref(), Some(relay.version()));
        // The stream was handed over, not lost.
        let stats = surface.goff.stats();
        assert_eq!((stats.stream, stats.reconnects), (StreamState::Open, 0));
        let report = surface.goff.shutdown(PATIENCE).await;
        assert_eq!((report.pending, report.dropped, report.rejected), (0, 0, 0));
    }
}

/// Waits for the flags of the new key, which in process are fetched in the background; remote evaluation has them at
/// once.
async fn follows(surface: &Surface, user: &User) {
    let give_up = Instant::now() + PATIENCE;
    while surface.is_in_process() {
        let seen = surface.evaluate("shared_key", "default", user).await;
        if seen.value == "from team b" {
            break;
        }
        assert_eq!(seen.value, "from team a", "{surface}: {seen:?}");
        assert!(Instant::now() < give_up, "{surface}: {seen:?}");
        sleep(PAUSE).await;
    }
    surface.serves("shared_key", user, "from team b").await;
    surface.expect("only_in_b", false, user, true).await;
    let code = "FLAG_NOT_FOUND";
    surface.expect_error("only_in_a", false, user, code).await;
}

/// The key of running clients is removed; they are given the other one. Changes and usage data arrive again.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn clients_whose_key_was_removed_go_on_with_another() {
    let relay = own_relay(Instance::Authenticated);
    let with_key = |options: Options| options.api_key(EVALUATION_KEY_TO_ESCAPE);
    let short = |options| with_key(options).reconnect_interval(Duration::from_millis(200));
    let remote = remote_surfaces(relay.endpoint(), short).await;
    let in_process = in_process_surfaces(relay.endpoint(), short).await;
    for surface in remote.iter().chain(&in_process) {
        stream_opens(&surface.goff, 0).await;
    }
    relay.remove_key(EVALUATION_KEY_TO_ESCAPE).unwrap();
    refuses(&relay, EVALUATION_KEY_TO_ESCAPE).await;
    for surface in remote {
        let seen = surface
            .fails("static_key", &surface.user("removed"), "GENERAL")
            .await;
        assert!(seen.message.contains("401"), "{surface}: {seen:?}");
        goes_on(&relay, surface).await;
    }
    for surface in in_process {
        let user = surface.user("removed");
        surface.serves("static_key", &user, "a").await;
        goes_on(&relay, surface).await;
    }
}

async fn goes_on(relay: &RelayProxy, surface: Surface) {
    let check = surface.goff.check(PATIENCE).await;
    assert_eq!(
        (check.reachable, check.authorized),
        (Some(true), Some(false))
    );
    surface.goff.set_api_key(EVALUATION_KEY).await.unwrap();
    let check = surface.goff.check(PATIENCE).await;
    assert!(check.is_ok(), "{surface}: {check:?}");
    stream_opens(&surface.goff, 0).await;
    let user = surface.user("another key");
    reads_back(relay, "a").await;
    surface.goff.refresh().await.unwrap();
    surface.serves("static_key", &user, "a").await;
    let surfaces = [surface];
    let mut subscriptions = subscribe(&surfaces);
    relay.edit_flags(STATIC_KEY, &static_key_with_b()).unwrap();
    change_of("static_key", &mut subscriptions[0]).await;
    let [surface] = &surfaces;
    surface.serves("static_key", &user, "b").await;
    surface.goff.flush(PATIENCE).await;
    let events = surface.events(relay, &user, 2).await;
    assert_eq!(events.len(), 2, "{surface}: {events:?}");
    assert_eq!(surface.goff.status().state, State::Ready);
    relay.edit_flags(&static_key_with_b(), STATIC_KEY).unwrap();
    change_of("static_key", &mut subscriptions[0]).await;
}

/// A provider of headers gives the key of each request, and the one that was removed is replaced without a call of the
/// client.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn provided_key_is_that_of_the_moment() {
    let relay = own_relay(Instance::Authenticated);
    let key = Arc::new(Mutex::new(EVALUATION_KEY_TO_ESCAPE));
    let current = Arc::clone(&key);
    let provider = move || {
        let key = *current.lock().unwrap();
        vec![("X-API-Key".to_owned(), key.to_owned())]
    };
    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .header_provider(provider)
        .reconnect_interval(Duration::from_millis(200))
        .disable_cache(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let john = EvaluationContext::builder().targeting_key("john").build();
    let evaluate = || goff.evaluate("static_key", &john, String::new());
    assert_eq!(evaluate().await.value, "a");
    relay.remove_key(EVALUATION_KEY_TO_ESCAPE).unwrap();
    refuses(&relay, EVALUATION_KEY_TO_ESCAPE).await;
    let error = evaluate().await.error().unwrap().to_string();
    assert!(error.contains("401"), "{error}");
    assert_eq!(goff.check(PATIENCE).await.authorized, Some(false));
    *key.lock().unwrap() = EVALUATION_KEY;
    assert_eq!(evaluate().await.value, "a");
    assert!(goff.check(PATIENCE).await.is_ok());
}

/// A check needs no session, and names no flag set: an open relay proxy accepts any key, and one with flag sets says
/// which keys select none.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_check_tells_a_wrong_key_from_an_unreachable_relay_proxy() {
    let (yes, no) = (Some(true), Some(false));
    for (instance, key, authorized) in [
        (Instance::Open, "", yes),
        (Instance::Open, "any", yes),
        (Instance::Authenticated, EVALUATION_KEY, yes),
        (Instance::Authenticated, EVALUATION_KEY_TO_ESCAPE, yes),
        (Instance::Authenticated, "wrong", no),
        (Instance::Authenticated, "", no),
        (Instance::FlagSets, TEAM_A_KEY, yes),
        (Instance::FlagSets, "wrong", no),
    ] {
        let relay = relay(instance);
        let options = GoFeatureFlagOptions::new(relay.endpoint()).api_key(key);
        let check = GoFeatureFlag::new(options.clone())
            .unwrap()
            .check(PATIENCE)
            .await;
        let found = (check.reachable, check.authorized, check.is_ok());
        assert_eq!(
            found,
            (yes, authorized, authorized == yes),
            "{instance}: `{key}`"
        );
        assert_eq!(check.version.as_deref(), Some(relay.version()));
        let connected = GoFeatureFlag::connect_checked(options, PATIENCE).await;
        assert_eq!(connected.is_ok(), authorized == yes, "{instance}: `{key}`");
    }
}

/// Waits until the relay proxy has read that the flag was changed back: it reads the file every second, so that a flag
/// changed twice within one is not announced.
async fn reads_back(relay: &RelayProxy, value: &str) {
    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .api_key(EVALUATION_KEY)
        .disable_cache(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let user = EvaluationContext::builder().targeting_key("reader").build();
    let read = || goff.evaluate("static_key", &user, String::new());
    let give_up = Instant::now() + PATIENCE;
    while read().await.value != value {
        assert!(Instant::now() < give_up, "the flag is not read");
        sleep(PAUSE).await;
    }
}

/// Waits until the relay proxy refuses the key.
async fn refuses(relay: &RelayProxy, key: &str) {
    let options = GoFeatureFlagOptions::new(relay.endpoint()).api_key(key);
    let goff = GoFeatureFlag::new(options).unwrap();
    let give_up = Instant::now() + PATIENCE;
    while goff.check(PATIENCE).await.authorized != Some(false) {
        assert!(Instant::now() < give_up, "the key is still accepted");
        sleep(PAUSE).await;
    }
}

/// Enough for a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(20);
/// The relay proxy reads its configuration, and the client its flags, at times that cannot be awaited.
const PAUSE: Duration = Duration::from_millis(10);
