//! The blocking client: without a runtime, inside every kind of one, and from many threads.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cell::RefCell;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use goff_client::blocking::GoFeatureFlag;
use goff_client::{
    ClientEvent, ErrorCode, EvaluationContext, EvaluationType, GoFeatureFlagOptions,
    InitializeError, Reason, RefreshError, Refreshed, State,
};
use goff_testkit::EmbeddedRelay;
use serde_json::Map;
use tokio::task::LocalSet;

const TIMEOUT: Duration = Duration::from_secs(20);

const FLAGS: &str = "flag: {variations: {on: 7}, defaultRule: {variation: on}}";
const MODES: [EvaluationType; 2] = [EvaluationType::Remote, EvaluationType::InProcess];

fn relay() -> EmbeddedRelay {
    EmbeddedRelay::builder().flags(FLAGS).start().unwrap()
}

fn options(relay: &EmbeddedRelay) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new(relay.endpoint())
}

fn user(key: &str) -> EvaluationContext {
    EvaluationContext::builder().targeting_key(key).build()
}

fn value(goff: &GoFeatureFlag, user_key: &str) -> i64 {
    goff.evaluate("flag", &user(user_key), 0_i64).value
}

/// Every call, against a relay proxy in other threads. The drop delivers what is left.
fn call_everything() {
    for (mode, disable_cache) in [(MODES[0], false), (MODES[0], true), (MODES[1], false)] {
        let relay = relay();
        let options = options(&relay).evaluation_type(mode);
        let goff = GoFeatureFlag::connect(options.disable_cache(disable_cache)).unwrap();
        assert!(goff.wait_until_ready(TIMEOUT));
        assert_eq!(goff.evaluation_type(), mode);
        assert_eq!(goff.status().state, State::Ready);
        let check = goff.check(TIMEOUT);
        assert!(check.is_ok() && check.reachable == Some(true), "{check:?}");
        assert_eq!(goff.local().is_some(), mode == EvaluationType::InProcess);
        let mut events = goff.subscribe();
        // More polls than tokio grants a task before it has to give way.
        for number in 0..200 {
            assert_eq!(value(&goff, &(number % 150).to_string()), 7);
        }
        let own: u8 = goff.evaluate_as("flag", &user("a"), 0).value;
        assert_eq!(own, 7);
        let unknown = goff.evaluate("unknown", &user("a"), 1.5);
        assert_eq!((unknown.value, unknown.reason()), (1.5, &Reason::Error));
        let code = unknown.error().map(goff_client::ResolutionError::code);
        assert_eq!(code, Some(ErrorCode::FlagNotFound));
        let mut all = goff.evaluate_all(&user("a")).unwrap();
        assert_eq!(all.remove("flag").unwrap().value, 7);
        assert_eq!(goff.snapshot().is_some(), goff.local().is_some());
        let prefetched = goff.prefetch(&user("a"));
        assert_eq!(prefetched.evaluate("flag", &user("a"), 0_i64).value, 7);
        let explanation = goff.explain("flag", &user("a")).unwrap();
        assert_eq!(explanation.value, 7, "{explanation}");
        goff.track("checkout", &user("a"), Map::new()).unwrap();
        let report = goff.flush(TIMEOUT);
        assert_eq!((report.delivered, report.pending), (report.recorded, 0));
        assert!(report.recorded > 0);

        relay.set_flags(&FLAGS.replace('7', "8")).unwrap();
        let refreshed = goff.refresh().unwrap();
        match mode {
            EvaluationType::Remote => assert_eq!(refreshed, Refreshed::CacheCleared),
            // An announcement may have been faster.
            _ => assert!(!matches!(refreshed, Refreshed::CacheCleared)),
        }
        assert_eq!(value(&goff, "a"), 8);
        goff.set_api_key("another").unwrap();
        assert!(goff.set_api_key("a\nb").is_err());
        assert_eq!(value(&goff, "a"), 8);

        goff.track("purchase", &user("a"), Map::new()).unwrap();
        let report = goff.shutdown(TIMEOUT);
        assert_eq!((report.delivered, report.pending), (report.recorded, 0));
        assert_eq!(relay.tracking_events().len(), 2);
        assert_eq!(goff.status().state, State::Closed);
        let mut events_so_far = std::iter::from_fn(|| events.next(TIMEOUT));
        assert!(events_so_far.any(|event| event == ClientEvent::Closed));
        assert_eq!(events.next(Duration::from_millis(20)), None);
        assert_eq!(value(&goff, "a"), 0);
        assert!(goff.evaluate_all(&user("a")).is_err());
        assert!(goff.explain("flag", &user("a")).is_err());
        assert!(goff.prefetch(&user("a")).error().is_some());
        assert!(matches!(goff.refresh(), Err(RefreshError::NotReady(_))));
        assert!(!goff.wait_until_ready(Duration::from_millis(20)));
        goff.shutdown(TIMEOUT);

        goff.initialize().unwrap();
        assert_eq!(value(&goff, "a"), 8);
        goff.track("return", &user("a"), Map::new()).unwrap();
        // Another handle keeps it open.
        drop(goff.clone());
        assert_eq!(value(&goff, "a"), 8);
        let recorded = goff.stats().usage.recorded;
        drop(goff);
        assert_eq!(relay.tracking_events().len(), 3);
        if mode == EvaluationType::InProcess {
            assert_eq!(relay.events().len() as u64, recorded);
        }
    }
}

#[test]
fn without_a_runtime() {
    call_everything();
}

#[tokio::test(flavor = "current_thread")]
async fn inside_a_current_thread_runtime() {
    call_everything();
    tokio::spawn(async { call_everything() }).await.unwrap();
    LocalSet::new().run_until(async { call_everything() }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inside_a_multi_thread_runtime() {
    call_everything();
    let task = tokio::spawn(async { call_everything() });
    let blocking = tokio::task::spawn_blocking(call_everything);
    task.await.unwrap();
    blocking.await.unwrap();
}

/// Where the clock of the caller's runtime stands still, as under a test of the application.
#[tokio::test(start_paused = true)]
async fn inside_a_runtime_with_a_paused_clock() {
    call_everything();
}

#[test]
fn inside_another_executor() {
    pollster::block_on(async { call_everything() });
    let without_timers = tokio::runtime::Builder::new_current_thread().build();
    without_timers
        .unwrap()
        .block_on(async { call_everything() });
}

/// The async client beneath works beside it, and ends with the last handle.
#[tokio::test]
async fn client_beneath_is_shut_down_with_the_last_handle() {
    let relay = relay();
    let goff = GoFeatureFlag::connect(options(&relay)).unwrap();
    let client = goff.client().clone();
    assert_eq!(client.evaluate("flag", &user("a"), 0_i64).await.value, 7);
    drop(goff);
    assert_eq!(client.status().state, State::Closed);
}

/// Nothing is lost or doubled when many threads evaluate.
#[test]
fn many_threads_evaluate_at_once() {
    const THREADS: u64 = 32;
    const EACH: u64 = 100;
    for mode in MODES {
        let relay = relay();
        let goff = GoFeatureFlag::connect(options(&relay).evaluation_type(mode)).unwrap();
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let goff = &goff;
                scope.spawn(move || {
                    for number in 0..EACH {
                        let key = ((thread + number) % 40).to_string();
                        assert_eq!(value(goff, &key), 7);
                    }
                });
            }
        });
        let stats = goff.stats();
        let report = goff.shutdown(TIMEOUT);
        assert_eq!((report.delivered, report.pending), (report.recorded, 0));
        let recorded = match mode {
            EvaluationType::Remote => {
                let all = stats.hits + stats.misses + stats.shared;
                assert_eq!(all, THREADS * EACH);
                // The relay proxy has recorded its own evaluations.
                assert_eq!(relay.events().len() as u64, all);
                stats.hits + stats.shared
            }
            _ => THREADS * EACH,
        };
        assert_eq!(report.recorded, recorded);
    }
}

/// A client with an event that is not delivered yet.
fn with_event(relay: &EmbeddedRelay) -> GoFeatureFlag {
    let goff = GoFeatureFlag::connect(options(relay)).unwrap();
    goff.track("event", &user("a"), Map::new()).unwrap();
    goff
}

/// The drop delivers within 5 s, or gives up.
fn drop_within(relay: &EmbeddedRelay, shortest: Duration, longest: Duration) {
    let goff = with_event(relay);
    let _ = value(&goff, "a");
    let begun = Instant::now();
    drop(goff);
    let took = begun.elapsed();
    assert!((shortest..longest).contains(&took), "{took:?}");
}

#[test]
fn drop_without_a_relay_proxy_gives_up_in_time() {
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let relay = relay();
        relay.stop().unwrap();
        drop_within(&relay, Duration::ZERO, Duration::from_secs(4));
        tokio::runtime::Runtime::new()
            .unwrap()
            .block_on(async { drop_within(&relay, Duration::ZERO, Duration::from_secs(4)) });
        done.send(()).unwrap();
    });
    finished.recv_timeout(3 * TIMEOUT).unwrap();
}

/// The relay proxy accepts connections, and answers nothing.
#[tokio::test]
async fn drop_with_a_relay_proxy_that_hangs_gives_up_in_time() {
    let relay = relay();
    let goff = with_event(&relay);
    relay.pause().unwrap();
    let begun = Instant::now();
    drop(goff);
    let took = begun.elapsed();
    let limits = Duration::from_secs(4)..Duration::from_secs(9);
    assert!(limits.contains(&took), "{took:?}");
    relay.resume();
}

/// Destructors of thread-locals run where tokio's own are gone.
#[test]
fn drop_at_the_end_of_a_thread_delivers() {
    thread_local! {
        static CLIENT: RefCell<Option<GoFeatureFlag>> = const { RefCell::new(None) };
    }
    let relay = relay();
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let goff = with_event(&relay);
            CLIENT.with_borrow_mut(|client| *client = Some(goff));
        });
        thread.join().unwrap();
    });
    let give_up = Instant::now() + TIMEOUT;
    while relay.tracking_events().is_empty() {
        assert!(Instant::now() < give_up);
        thread::yield_now();
    }
}

/// A panic of the caller delivers too.
#[test]
fn drop_in_a_panic_delivers() {
    let relay = relay();
    thread::scope(|scope| {
        let panicking = scope.spawn(|| {
            let _goff = with_event(&relay);
            panic!("on purpose");
        });
        assert!(panicking.join().is_err());
    });
    assert_eq!(relay.tracking_events().len(), 1);
}

#[test]
fn connect_fails_as_the_async_client_does() {
    let relay = EmbeddedRelay::builder().flags(FLAGS).api_key("key");
    let relay = relay.start().unwrap();
    let error = GoFeatureFlag::connect(options(&relay).cache_size(0)).unwrap_err();
    assert!(matches!(error, InitializeError::Options(_)), "{error:?}");
    let in_process = options(&relay).evaluation_type(EvaluationType::InProcess);
    let error = GoFeatureFlag::connect(in_process).unwrap_err();
    assert!(matches!(error, InitializeError::Refused(_)), "{error:?}");
    let error = GoFeatureFlag::connect_checked(options(&relay), TIMEOUT).unwrap_err();
    assert!(matches!(error, InitializeError::Unusable(_)), "{error:?}");
    let checked = options(&relay).api_key("key");
    let goff = GoFeatureFlag::connect_checked(checked, TIMEOUT).unwrap();
    assert_eq!(value(&goff, "a"), 7);
}
