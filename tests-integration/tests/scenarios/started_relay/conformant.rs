//! The preset `GoFeatureFlagOptions::conformant`: as it is, with remote evaluation, and without the current stream.

use std::collections::BTreeSet;
use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, StreamState};
use goff_tests_integration::{Instance, StrippingProxy, own_relay, relay};
use serde_json::Map;
use tokio::time::{Instant, sleep};

use crate::counting::check;
use crate::following::{STATIC_KEY, change_of, static_key_with_b, stream_opens};
use crate::surfaces::{Options, Surface, User, native, open_feature};

const CURRENT_STREAM: &str = "/stream/v1/ws/flag/change";
const DEPRECATED_STREAM: &str = "/ws/v1/flag/change";

async fn surfaces(options: Options) -> [Surface; 2] {
    [
        native("Conformant", options.clone()).await,
        open_feature("Conformant", options).await,
    ]
    .map(|(surface, started)| {
        started.unwrap();
        surface
    })
}

/// Each kind of request.
fn requests(gateway: &StrippingProxy) -> BTreeSet<String> {
    gateway.requests().into_iter().collect()
}

/// GOFF-CFG-002, GOFF-COLL-022: whatever the client does, no request is for an evaluation, and none for
/// a superseded endpoint.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flags_are_evaluated_in_process() {
    let relay = relay(Instance::Open);
    let gateway = StrippingProxy::lacking(relay, DEPRECATED_STREAM);
    let gateway = gateway.await.unwrap();
    let options = GoFeatureFlagOptions::conformant(gateway.endpoint());
    for surface in surfaces(options).await {
        assert!(surface.is_in_process());
        stream_opens(&surface.goff, 0).await;
        surface.serves("my flag!", &User::john(), "found").await;
        surface.evaluate_all(&User::john()).await.unwrap();
        for (flag, recorded) in [("static_key", &[("A", false)][..]), ("untracked_key", &[])] {
            let user = surface.user(&format!("conformant, {flag}"));
            surface.serves(flag, &user, "a").await;
            let goff = &surface.goff;
            goff.track("bought", &user.native(), Map::new()).unwrap();
            check(&surface.name, goff, relay, &user, &[], recorded).await;
        }
    }
    let expected = [
        format!("GET {CURRENT_STREAM}"),
        "POST /v1/data/collector".to_owned(),
        "POST /v1/flag/configuration".to_owned(),
    ];
    assert_eq!(requests(&gateway), expected.into());
}

/// GOFF-REM-001, GOFF-REM-002, GOFF-REM-003, GOFF-CTX-001, GOFF-CTX-002, GOFF-CTX-003, GOFF-EVAL-010, GOFF-CACHE-005,
/// GOFF-CACHE-007: the relay proxy understands the requests, and what it marks as cacheable is cached.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn remote_evaluation_goes_over_ofrep() {
    let relay = relay(Instance::Open);
    let gateway = StrippingProxy::lacking(relay, DEPRECATED_STREAM);
    let gateway = gateway.await.unwrap();
    // Without a stream, whose opening would clear the cache between two evaluations.
    let options = GoFeatureFlagOptions::conformant(gateway.endpoint())
        .evaluation_type(EvaluationType::Remote)
        .disable_cache_invalidation(true);
    for surface in surfaces(options).await {
        let user = surface.user("conformant, remote");
        let john = user.clone().with("email", "john.doe@gofeatureflag.org");
        for reason in ["TARGETING_MATCH", "CACHED"] {
            let seen = surface.expect_reason("string_key", &john, "CC0000", reason);
            let metadata = seen.await.metadata;
            assert_eq!(metadata["gofeatureflag_cacheable"], true, "{surface}");
        }
        let recorded = &[("True", false)];
        check(
            &surface.name,
            &surface.goff,
            relay,
            &user,
            recorded,
            recorded,
        )
        .await;
        // The rollout is by targeting key.
        let seen = surface.evaluate("split_key", "default", &user).await;
        assert_eq!(seen.reason, "SPLIT", "{surface}: {seen:?}");
        let nameless = User::without_key();
        surface.serves("static_key", &nameless, "a").await;
        surface
            .fails("split_key", &nameless, "TARGETING_KEY_MISSING")
            .await;
        for _ in 0..2 {
            surface.fails("no-such-flag", &john, "FLAG_NOT_FOUND").await;
        }
        surface.evaluate_all(&john).await.unwrap();
        surface.goff.shutdown(Duration::from_secs(10)).await;
    }
    let ofrep = |key: &str| format!("POST /ofrep/v1/evaluate/flags{key}");
    let keys = [
        "",
        "/string_key",
        "/split_key",
        "/static_key",
        "/no-such-flag",
    ];
    let mut expected = keys.map(ofrep).to_vec();
    expected.push("POST /v1/data/collector".to_owned());
    assert_eq!(requests(&gateway), expected.into_iter().collect());
    let count = |key| {
        let requests = gateway.requests().into_iter();
        requests.filter(|request| *request == ofrep(key)).count()
    };
    assert_eq!((count("/string_key"), count("/no-such-flag")), (2, 4));
}

/// As before relay proxy 1.53.0, which had the deprecated address alone.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_deprecated_stream_is_used_by_default_and_never_by_the_preset() {
    let relay = own_relay(Instance::Open);
    let gateway = StrippingProxy::lacking(&relay, CURRENT_STREAM);
    let gateway = gateway.await.unwrap();
    let [current, deprecated] = [CURRENT_STREAM, DEPRECATED_STREAM].map(|it| format!("GET {it}"));

    let preset = GoFeatureFlagOptions::conformant(gateway.endpoint());
    let goff = GoFeatureFlag::connect(preset).await.unwrap();
    let attempts = || {
        let requests = gateway.requests().into_iter();
        requests.filter(|request| *request == current).count()
    };
    let give_up = Instant::now() + Duration::from_secs(20);
    while attempts() < 3 {
        assert!(Instant::now() < give_up, "{:?}", gateway.requests());
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(goff.stats().stream, StreamState::Refused);
    goff.shutdown(Duration::from_secs(10)).await;
    assert!(!requests(&gateway).contains(&deprecated));

    let default = GoFeatureFlagOptions::new(gateway.endpoint());
    let goff = GoFeatureFlag::connect(default).await.unwrap();
    let mut subscription = goff.subscribe();
    stream_opens(&goff, 0).await;
    assert!(requests(&gateway).contains(&deprecated));
    relay.edit_flags(STATIC_KEY, &static_key_with_b()).unwrap();
    change_of("static_key", &mut subscription).await;
}
