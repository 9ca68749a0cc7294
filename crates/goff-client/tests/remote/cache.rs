//! The cache: what it holds, for how long, and what a hit looks like.

use std::collections::BTreeSet;
use std::time::Instant;

use goff_client::{
    ChangedFlags, ClientEvent, Reason, RefreshError, Refreshed, Resolution, StreamState,
};
use serde_json::json;

use super::*;

fn metadata() -> Map<String, Value> {
    object(json!({"test": "test1", "test2": false, "test3": 123.3}))
}

fn resolution(value: Value) -> Resolution {
    Resolution::new(value, Reason::TargetingMatch)
        .with_variant("True")
        .with_metadata(metadata())
        .with_version("1.2.3")
        .with_cacheable(true)
}

async fn reason(goff: &GoFeatureFlag, flag_key: &str, user_key: &str) -> Reason {
    goff.evaluate(flag_key, &user(user_key), Value::Null)
        .await
        .reason()
        .clone()
}

fn named(flag_keys: &[&str]) -> BTreeSet<String> {
    flag_keys.iter().map(|key| (*key).to_owned()).collect()
}

/// An equal evaluation is a hit with the whole answer. An unknown flag is a request each time. A
/// change of the flag makes the next evaluation a request; a change of another flag does not.
/// GOFF-CACHE-005, GOFF-EVAL-010; docs/python-parity.md A.6, rows 28 and 41;
/// docs/python-parity.md C27.
#[tokio::test]
async fn python_websocket_scenario() {
    let relay = ScriptedRelay::new()
        .with_answer("bool_targeting_match", Ok(resolution(json!(true))))
        .with_value("string_key", "CC0000");
    let goff = goff(&relay).await;
    let evaluate = || async {
        goff.evaluate("bool_targeting_match", &user("user-1"), false)
            .await
    };
    let check = |details: EvaluationDetails<bool>, reason: Reason| {
        assert!(details.value);
        assert_eq!(*details.reason(), reason);
        assert_eq!(details.variant(), Some("True"));
        assert_eq!(*details.metadata(), metadata());
        assert_eq!(details.version(), Some("1.2.3"));
        assert!(details.error().is_none());
    };
    check(evaluate().await, Reason::TargetingMatch);
    check(evaluate().await, Reason::Cached);
    for _ in 0..2 {
        let unknown = goff
            .evaluate("nonexistent-flag-key", &user("user-1"), false)
            .await;
        assert_eq!(unknown.error().unwrap().code(), ErrorCode::FlagNotFound);
    }
    let sink = goff.invalidation_sink();
    sink.invalidate(change_of("string_key"));
    check(evaluate().await, Reason::Cached);
    sink.invalidate(change_of("bool_targeting_match"));
    check(evaluate().await, Reason::TargetingMatch);
    sink.invalidate(Invalidation::All);
    check(evaluate().await, Reason::TargetingMatch);
    assert_eq!(relay.requests().len(), 5);
    let stats = goff.stats();
    assert_eq!((stats.hits, stats.misses, stats.shared), (2, 5, 0));
}

/// Equal contexts hit in any order of their attributes. Different users do not, nor `1` and `1.0`,
/// nor a number and its text. GOFF-CACHE-004; docs/python-parity.md C5.
#[tokio::test]
async fn only_equal_evaluations_hit() {
    let relay = ScriptedRelay::new().with_value("a", 1).with_value("b", 2);
    let goff = goff(&relay).await;

    let values = json!([1, 1.0, "1", true, [1], {"n": 1}]);
    let values = values.as_array().unwrap().iter();
    let with_values = values.map(|value| having("n", value.clone()));
    let different: Vec<_> = with_values.chain([context(), user("user-2")]).collect();
    for context in &different {
        for flag_key in ["a", "b"] {
            let details = goff.evaluate(flag_key, context, 0).await;
            assert_eq!(*details.reason(), Reason::Static);
            assert_eq!(details.value, if flag_key == "a" { 1 } else { 2 });
        }
    }
    let ab = EvaluationContext::builder()
        .attribute("a", 1)
        .attribute("b", json!({"x": 1, "y": 2}))
        .build();
    let ba = EvaluationContext::builder()
        .attribute("b", json!({"y": 2, "x": 1}))
        .attribute("a", 1)
        .build();
    assert_eq!(*goff.evaluate("a", &ab, 0).await.reason(), Reason::Static);
    assert_eq!(*goff.evaluate("a", &ba, 0).await.reason(), Reason::Cached);
    assert_eq!(relay.requests().len(), different.len() * 2 + 1);
}

/// The hit of a disabled flag gives each caller's default, of any type, and keeps variant, metadata
/// and reason. GOFF-CACHE-007; docs/python-parity.md C4; docs/python-parity.md C26.
#[tokio::test]
async fn hit_of_a_disabled_flag_never_serves_its_value() {
    let relay = ScriptedRelay::new().with_answer(
        "flag",
        Ok(resolution(json!(false))
            .with_reason(Reason::Disabled)
            .with_variant("SdkDefault")),
    );
    let goff = goff(&relay).await;
    fn check<T: PartialEq + std::fmt::Debug>(details: &EvaluationDetails<T>, default: &T) {
        assert_eq!(details.value, *default);
        assert_eq!(*details.reason(), Reason::Disabled);
        assert_eq!(details.variant(), Some("SdkDefault"));
        assert_eq!(*details.metadata(), metadata());
        assert!(details.is_disabled());
        assert!(details.error().is_none());
    }
    let context = user("user-1");
    for default in [false, true] {
        check(&goff.evaluate("flag", &context, default).await, &default);
    }
    for default in [7_i64, 8] {
        check(&goff.evaluate("flag", &context, default).await, &default);
    }
    let default = "x".to_owned();
    check(
        &goff.evaluate("flag", &context, default.clone()).await,
        &default,
    );
    assert_eq!(relay.requests().len(), 1);
    assert_eq!(goff.stats().hits, 4);
}

/// A cached null gives each caller's default (GOFF-EVAL-006). The cache key has no type, so a hit
/// with another type is a mismatch, which leaves the entry unchanged (GOFF-EVAL-003).
#[tokio::test]
async fn null_and_a_mismatch_on_a_hit_leave_the_entry_as_it_is() {
    let relay = ScriptedRelay::new()
        .with_answer("null", Ok(resolution(Value::Null)))
        .with_answer("text", Ok(resolution(json!("on"))));
    let goff = goff(&relay).await;
    let context = user("user-1");
    for default in [1_i64, 2] {
        let details = goff.evaluate("null", &context, default).await;
        assert_eq!(details.value, default);
        assert_eq!(details.variant(), Some("True"));
        assert!(details.error().is_none());
    }
    for _ in 0..2 {
        let mismatch = goff.evaluate("text", &context, true).await;
        assert_eq!(mismatch.error().unwrap().code(), ErrorCode::TypeMismatch);
        let text = goff.evaluate("text", &context, String::new()).await;
        assert_eq!((&*text.value, text.reason()), ("on", &Reason::Cached));
    }
    assert_eq!(relay.requests().len(), 2);
}

/// GOFF-CACHE-005; docs/python-parity.md A40.
#[tokio::test]
async fn answers_not_cacheable_and_errors_are_not_cached() {
    let fleeting = resolution(json!(true)).with_cacheable(false);
    let relay = ScriptedRelay::new()
        .with_answer("fleeting", Ok(fleeting))
        .with_answer("broken", Err(status(500)));
    let goff = goff(&relay).await;
    for flag_key in ["fleeting", "broken", "unknown"] {
        for _ in 0..3 {
            assert_ne!(reason(&goff, flag_key, "user-1").await, Reason::Cached);
        }
    }
    assert_eq!(relay.requests().len(), 9);
    assert_eq!(goff.stats().hits, 0);
    relay.set_answer("broken", Ok(resolution(json!(true))));
    for expected in [Reason::TargetingMatch, Reason::Cached] {
        assert_eq!(reason(&goff, "broken", "user-1").await, expected);
    }
}

/// The context cannot be sent.
#[tokio::test]
async fn unreadable_context_is_refused_before_the_cache() {
    let (relay, goff) = serving(true).await;
    let context = having("rate", f64::NAN);
    for _ in 0..2 {
        let details = goff.evaluate("flag", &context, false).await;
        assert_eq!(details.error().unwrap().code(), ErrorCode::InvalidContext);
    }
    assert!(relay.requests().is_empty());
    let stats = goff.stats();
    assert_eq!((stats.hits, stats.misses), (0, 0));
}

/// GOFF-CACHE-003, GOFF-CFG-009.
#[tokio::test]
async fn disable_cache_makes_every_evaluation_a_request() {
    for (disable, requests) in [(false, 1), (true, 3)] {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let goff = connect(options(&relay).disable_cache(disable)).await;
        let mut subscription = goff.subscribe();
        for _ in 0..3 {
            assert!(goff.evaluate("flag", &user("user-1"), false).await.value);
        }
        assert_eq!(relay.requests().len(), requests);
        // Subscribers still get changes.
        goff.invalidation_sink().invalidate(change_of("flag"));
        let changed = ClientEvent::ConfigurationChanged(ChangedFlags::Named(named(&["flag"])));
        assert_eq!(subscription.next().await, Some(changed));
    }
}

/// GOFF-CACHE-001, GOFF-CACHE-006, GOFF-CFG-009; docs/python-parity.md A2. moka evicts in the
/// background, driven by use, so the test evaluates until the eviction shows.
#[tokio::test]
async fn cache_size_bounds_the_cache() {
    for (size, kept) in [(Some(10), 10), (None, 10_000)] {
        let relay = ScriptedRelay::new().with_value("flag", true);
        let mut options = options(&relay);
        if let Some(size) = size {
            options = options.cache_size(size);
        }
        let goff = connect(options).await;
        let excess = 100;
        let newest = user(&(kept + excess - 1).to_string());
        for n in 0..kept + excess {
            goff.evaluate("flag", &user(&n.to_string()), false).await;
        }
        let give_up = Instant::now() + secs(10);
        while goff.stats().evictions < excess {
            assert!(Instant::now() < give_up, "{:?}", goff.stats());
            goff.evaluate("flag", &newest, false).await;
        }
        assert_eq!(goff.stats().evictions, excess);
        // The oldest is evicted; the newest is cached.
        let before = relay.requests().len();
        goff.evaluate("flag", &newest, false).await;
        assert_eq!(relay.requests().len(), before);
        goff.evaluate("flag", &user("0"), false).await;
        assert_eq!(relay.requests().len(), before + 1);
    }
}

/// GOFF-CACHE-001, GOFF-CACHE-002, GOFF-CFG-009; docs/python-parity.md C2. moka has its own clock,
/// so the test waits in real time. The default of 60 s is checked in the options.
#[tokio::test]
async fn cache_ttl_bounds_staleness() {
    let relay = ScriptedRelay::new().with_value("flag", 1);
    let ttl = millis(50);
    let brief = connect(options(&relay).cache_ttl(ttl)).await;
    let endless = connect(options(&relay).cache_ttl(None)).await;
    let by_default = goff(&relay).await;
    let context = user("user-1");
    let start = Instant::now();
    for goff in [&brief, &endless, &by_default] {
        assert_eq!(goff.evaluate("flag", &context, 0).await.value, 1);
    }
    let relay = relay.with_value("flag", 2);
    let give_up = start + secs(10);
    while brief.evaluate("flag", &context, 0).await.value != 2 {
        assert!(Instant::now() < give_up, "it never expires");
        tokio::task::yield_now().await;
    }
    // Answers expire up to a third earlier, each at another time.
    assert!(start.elapsed() >= ttl * 6 / 10);
    for goff in [&endless, &by_default] {
        assert_eq!(goff.evaluate("flag", &context, 0).await.value, 1);
    }
    assert_eq!(relay.requests().len(), 4);
    let shown = format!("{:?}", options(&relay));
    for default in [
        "cache_size: 10000",
        "cache_ttl: Some(60s)",
        "disable_cache: false",
    ] {
        assert!(shown.contains(default), "{default} in {shown}");
    }
}

/// An event names the flags of a change; an unreadable change may concern any flag, and names none;
/// a connection is no change. GOFF-EVT-002, GOFF-EVT-003.
#[tokio::test]
async fn invalidations_are_events() {
    let goff = goff(&ScriptedRelay::new()).await;
    let mut subscription = goff.subscribe();
    let sink = goff.invalidation_sink();
    sink.invalidate(Invalidation::All);
    sink.stream_state(StreamState::Open);
    sink.invalidate(Invalidation::Flags(named(&["a", "b"])));
    sink.invalidate(Invalidation::All);
    for changed in [
        ChangedFlags::Named(named(&["a", "b"])),
        ChangedFlags::Unknown,
    ] {
        let changed = ClientEvent::ConfigurationChanged(changed);
        assert_eq!(subscription.next().await, Some(changed));
    }
}

/// docs/python-parity.md C21; docs/python-parity.md C22.
#[tokio::test]
async fn clients_share_no_cache() {
    let relay = ScriptedRelay::new().with_value("flag", true);
    let (first, second) = (goff(&relay).await, goff(&relay).await);
    assert_eq!(reason(&first, "flag", "user-1").await, Reason::Static);
    assert_eq!(reason(&second, "flag", "user-1").await, Reason::Static);
    first.invalidation_sink().invalidate(Invalidation::All);
    assert_eq!(reason(&second, "flag", "user-1").await, Reason::Cached);
    assert_eq!(second.stats().usage.recorded, 1);
    assert_eq!(first.stats().usage.recorded, 0);
}

/// Threads that hit, miss and invalidate concurrently get right answers, and every evaluation is
/// counted once. GOFF-LIFE-007; docs/python-parity.md C20.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_share_one_cache() {
    let relay = ScriptedRelay::new().with_value("a", 1).with_value("b", 2);
    let goff = goff(&relay).await;
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let goff = goff.clone();
            tokio::spawn(async move {
                let sink = goff.invalidation_sink();
                for n in 0..500 {
                    let (flag_key, value) = if n % 2 == 0 { ("a", 1) } else { ("b", 2) };
                    let context = user(&(n % 7).to_string());
                    assert_eq!(goff.evaluate(flag_key, &context, 0).await.value, value);
                    if n % 50 == task {
                        sink.invalidate(change_of(flag_key));
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let stats = goff.stats();
    assert_eq!(stats.hits + stats.misses + stats.shared, 8 * 500);
    assert_eq!(stats.misses, relay.requests().len() as u64);
    assert_eq!(stats.usage.recorded, stats.hits + stats.shared);
}

/// With remote evaluation a refresh drops what is cached, and announces no change.
#[tokio::test]
async fn refresh_drops_cached_answers() {
    let (relay, goff) = serving(1).await;
    let mut events = goff.subscribe();
    for value in [1, 1] {
        assert_eq!(evaluate(&goff, 0_i64).await.value, value);
    }
    relay.set_answer("flag", Ok(resolution(json!(2))));
    assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
    assert_eq!(goff.refresh().await.unwrap(), Refreshed::CacheCleared);
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
    assert_eq!(relay.request_count(), 2);
    // Outside tokio, and a request from before is not joined.
    let manual = relay.manual();
    pollster::block_on(goff.refresh()).unwrap();
    let other = goff.clone();
    let old = tokio::spawn(async move { evaluate(&other, 0_i64).await.value });
    manual.wait_for_requests(3).await;
    goff.refresh().await.unwrap();
    let other = goff.clone();
    let new = tokio::spawn(async move { evaluate(&other, 0_i64).await.value });
    manual.wait_for_requests(4).await;
    assert!(manual.complete(2) && manual.complete(3));
    assert_eq!((old.await.unwrap(), new.await.unwrap()), (2, 2));
    goff.shutdown(TIMEOUT).await;
    let error = goff.refresh().await.unwrap_err();
    assert!(matches!(&error, RefreshError::NotReady(_)), "{error:?}");
    assert!(error.to_string().contains("was shut down"), "{error}");
    assert_eq!(events.next().await, Some(ClientEvent::Closed));
}
