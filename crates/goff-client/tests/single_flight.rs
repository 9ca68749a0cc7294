//! Single flight: who shares a request, who owns it, and what becomes of those who give up.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::pin::pin;
use std::sync::{Arc, mpsc};
use std::task::{Context, Waker};
use std::time::Duration;

use goff_client::{
    ErrorCode, EvaluationContext, EvaluationDetails, GoFeatureFlag, GoFeatureFlagOptions,
    Invalidation, Reason, RelayError, Resolution,
};
use goff_testkit::ScriptedRelay;
use tokio::task::JoinHandle;

async fn goff(relay: &ScriptedRelay) -> GoFeatureFlag {
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()));
    GoFeatureFlag::connect(options).await.unwrap()
}

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

fn ask(goff: &GoFeatureFlag) -> JoinHandle<EvaluationDetails<i64>> {
    let goff = goff.clone();
    tokio::spawn(async move { goff.evaluate("flag", &context(), 0).await })
}

/// Lets every task that can run, run; the tests that use it are on one thread.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

fn named(flag_key: &str) -> Invalidation {
    Invalidation::Flags([flag_key.to_owned()].into())
}

fn server_error() -> RelayError {
    RelayError::Status {
        status: 503,
        path: "/v1/feature/flag/eval".to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

/// Callers who ask the same at once share one request; exactly one of them owns it.
#[tokio::test]
async fn concurrent_callers_share_one_request() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let callers: Vec<_> = (0..100).map(|_| ask(&goff)).collect();
    settle().await;
    assert_eq!(relay.requests().len(), 1);
    assert!(relay.complete(0));
    let mut reasons = Vec::new();
    for caller in callers {
        let details = caller.await.unwrap();
        assert_eq!((details.value, details.variant()), (7, Some("scripted")));
        reasons.push(details.reason().clone());
    }
    assert_eq!(reasons[0], Reason::Static);
    assert!(reasons[1..].iter().all(|reason| *reason == Reason::Cached));
    assert_eq!(relay.requests().len(), 1);
    let stats = goff.stats();
    assert_eq!((stats.hits, stats.misses, stats.shared), (0, 1, 99));
    assert_eq!(stats.usage.recorded, 99);
}

/// The same on many threads, with nothing arranged: one request for each time the flag changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_callers_on_threads_share_one_request() {
    let relay = ScriptedRelay::new().with_value("flag", 7);
    let goff = goff(&relay).await;
    for round in 1..=50 {
        let callers: Vec<_> = (0..32).map(|_| ask(&goff)).collect();
        let mut owners = 0;
        for caller in callers {
            owners += usize::from(*caller.await.unwrap().reason() == Reason::Static);
        }
        assert_eq!((owners, relay.requests().len()), (1, round));
        goff.invalidation_sink().invalidate(named("flag"));
    }
}

/// Other flags and other users are other requests.
/// GOFF-LIFE-007: nobody waits for the request of another.
#[tokio::test]
async fn different_evaluations_share_nothing() {
    let relay = ScriptedRelay::new()
        .with_value("flag", 7)
        .with_value("other", 8)
        .manual();
    let goff = goff(&relay).await;
    let caller = ask(&goff);
    let others = ["user-1", "user-2"].map(|user| {
        let goff = goff.clone();
        let context = EvaluationContext::builder().targeting_key(user).build();
        tokio::spawn(async move { goff.evaluate("other", &context, 0).await.value })
    });
    relay.wait_for_requests(3).await;
    for index in [2, 1, 0] {
        assert!(relay.complete(index));
    }
    assert_eq!(caller.await.unwrap().value, 7);
    for other in others {
        assert_eq!(other.await.unwrap(), 8);
    }
}

/// The first caller gives up: the next in line owns the request, and its reason is verbatim.
#[tokio::test]
async fn next_in_line_takes_the_place_of_a_caller_that_gave_up() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let callers: Vec<_> = (0..4).map(|_| ask(&goff)).collect();
    settle().await;
    for gone in &callers[..2] {
        gone.abort();
    }
    settle().await;
    assert!(relay.complete(0));
    let mut reasons = Vec::new();
    for caller in callers {
        if let Ok(details) = caller.await {
            assert_eq!(details.value, 7);
            reasons.push(details.reason().clone());
        }
    }
    assert_eq!(reasons, [Reason::Static, Reason::Cached]);
    assert_eq!(relay.requests().len(), 1);
    assert_eq!(goff.stats().usage.recorded, 1);
}

/// Everybody gives up: the request goes on and its answer is kept.
#[tokio::test]
async fn request_without_callers_is_still_kept() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let callers: Vec<_> = (0..3).map(|_| ask(&goff)).collect();
    settle().await;
    for caller in &callers {
        caller.abort();
    }
    settle().await;
    assert_eq!(relay.waiting(), 1);
    assert!(relay.complete(0));
    settle().await;
    let details = goff.evaluate("flag", &context(), 0).await;
    assert_eq!((details.value, details.reason()), (7, &Reason::Cached));
    assert_eq!(relay.requests().len(), 1);
}

/// 250 callers of a request that hangs give up one after another: each asks while the one before
/// still waits, as callers with a time limit of their own do. There is one request throughout,
/// nobody panics (moka's own single flight does after 200), and who comes last gets the answer.
#[tokio::test]
async fn hung_request_survives_250_impatient_callers() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let tasks = || {
        tokio::runtime::Handle::current()
            .metrics()
            .num_alive_tasks()
    };
    let mut before = ask(&goff);
    settle().await;
    let at_start = tasks();
    for _ in 0..250 {
        let next = ask(&goff);
        settle().await;
        before.abort();
        assert!(before.await.unwrap_err().is_cancelled());
        before = next;
        assert_eq!(tasks(), at_start);
    }
    assert_eq!(relay.requests().len(), 1);
    assert!(relay.complete(0));
    let details = before.await.unwrap();
    assert_eq!((details.value, details.reason()), (7, &Reason::Static));
}

/// The same within the timeout of the client: a request that never ends is an error to who waits,
/// and the next one asks again.
#[tokio::test(start_paused = true)]
async fn request_that_never_ends_times_out_for_everybody() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let start = tokio::time::Instant::now();
    let callers: Vec<_> = (0..3).map(|_| ask(&goff)).collect();
    for caller in callers {
        let details = caller.await.unwrap();
        assert_eq!(details.error().unwrap().code(), ErrorCode::General);
        assert_eq!(details.value, 0);
    }
    // The timeout that `with_relay_client` cannot change, and the grace over it.
    let took = start.elapsed();
    let bounds = Duration::from_secs(10)..=Duration::from_millis(10_250);
    assert!(bounds.contains(&took), "{took:?}");
    assert_eq!(relay.waiting(), 0);
    let usage = goff.stats().usage;
    assert_eq!((usage.unknown, usage.recorded), (1, 2));
    let again = ask(&goff);
    settle().await;
    assert!(relay.complete(1));
    assert_eq!(again.await.unwrap().value, 7);
}

/// A failed request fails for all who shared it, is not kept, and the next one asks again.
#[tokio::test]
async fn failed_request_fails_for_all_and_is_not_kept() {
    let relay = ScriptedRelay::new()
        .with_answer("flag", Err(server_error()))
        .manual();
    let goff = goff(&relay).await;
    let callers: Vec<_> = (0..5).map(|_| ask(&goff)).collect();
    settle().await;
    assert!(relay.complete(0));
    for caller in callers {
        let details = caller.await.unwrap();
        assert_eq!(details.error().unwrap().code(), ErrorCode::General);
        assert_eq!((details.value, details.reason()), (0, &Reason::Error));
    }
    let relay = relay.with_value("flag", 7);
    let again = ask(&goff);
    settle().await;
    assert!(relay.complete(1));
    let details = again.await.unwrap();
    assert_eq!((details.value, details.reason()), (7, &Reason::Static));
}

/// Python C19: who comes after an invalidation never joins the older request, whichever of the two
/// answers first; who came before gets what it asked for.
#[tokio::test]
async fn late_caller_does_not_join_an_older_request() {
    for old_first in [true, false] {
        for invalidation in [named("flag"), Invalidation::All] {
            let relay = ScriptedRelay::new().with_value("flag", 1).manual();
            let goff = goff(&relay).await;
            let early = ask(&goff);
            settle().await;
            let relay = relay.with_value("flag", 2);
            goff.invalidation_sink().invalidate(invalidation);
            let late = ask(&goff);
            settle().await;
            assert_eq!(relay.requests().len(), 2);
            for index in if old_first { [0, 1] } else { [1, 0] } {
                assert!(relay.complete(index));
                settle().await;
            }
            assert_eq!(early.await.unwrap().value, 1);
            assert_eq!(late.await.unwrap().value, 2);
            let afterwards = goff.evaluate("flag", &context(), 0).await;
            assert_eq!(
                (afterwards.value, afterwards.reason()),
                (2, &Reason::Cached)
            );
        }
    }
}

/// Python C19: a flag that a change does not name keeps its request and its entry.
#[tokio::test]
async fn change_of_another_flag_does_not_split_a_request() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let early = ask(&goff);
    settle().await;
    goff.invalidation_sink().invalidate(named("other"));
    let late = ask(&goff);
    settle().await;
    assert!(relay.complete(0));
    assert_eq!(*early.await.unwrap().reason(), Reason::Static);
    assert_eq!(*late.await.unwrap().reason(), Reason::Cached);
    assert_eq!(*ask(&goff).await.unwrap().reason(), Reason::Cached);
    assert_eq!(relay.requests().len(), 1);
}

/// Answers that are not cacheable are shared by those who asked at once, and kept for nobody.
#[tokio::test]
async fn answer_that_is_not_cacheable_is_shared_but_not_kept() {
    let answer = Resolution {
        value: 7.into(),
        reason: Reason::Split,
        ..Resolution::default()
    };
    let relay = ScriptedRelay::new()
        .with_answer("flag", Ok(answer))
        .manual();
    let goff = goff(&relay).await;
    let callers = [ask(&goff), ask(&goff)];
    settle().await;
    assert!(relay.complete(0));
    let mut reasons = Vec::new();
    for caller in callers {
        reasons.push(caller.await.unwrap().reason().clone());
    }
    assert_eq!(reasons, [Reason::Split, Reason::Cached]);
    let _later = ask(&goff);
    relay.wait_for_requests(2).await;
}

/// GOFF-CACHE-003: without a cache nobody shares, and nobody is a follower.
#[tokio::test]
async fn disable_cache_shares_nothing() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let options =
        GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone())).disable_cache(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let callers: Vec<_> = (0..5).map(|_| ask(&goff)).collect();
    relay.wait_for_requests(5).await;
    for index in 0..5 {
        assert!(relay.complete(index));
    }
    for caller in callers {
        assert_eq!(*caller.await.unwrap().reason(), Reason::Static);
    }
    let stats = goff.stats();
    assert_eq!((stats.hits, stats.misses, stats.shared), (0, 5, 0));
    assert_eq!(stats.usage.recorded, 0);
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
}

/// A runtime that is not being driven answers nobody, so callers of another one never wait for a
/// request of its.
#[test]
fn runtimes_do_not_wait_for_each_other() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let idle = current_thread();
    let goff = idle.block_on(goff(&relay));
    let mut stuck = None;
    idle.block_on(async {
        stuck = Some(ask(&goff));
        relay.wait_for_requests(1).await;
    });
    // From here on nobody drives the first runtime.
    let (done, answer) = mpsc::channel();
    std::thread::spawn({
        let (goff, relay) = (goff.clone(), relay.clone());
        move || {
            let value = current_thread().block_on(async {
                let caller = ask(&goff);
                relay.wait_for_requests(2).await;
                assert!(relay.complete(1));
                caller.await.unwrap().value
            });
            done.send(value).unwrap();
        }
    });
    assert_eq!(answer.recv_timeout(Duration::from_secs(10)), Ok(7));
    assert!(relay.complete(0));
    assert_eq!(idle.block_on(stuck.unwrap()).unwrap().value, 7);
}

/// A runtime that goes away takes its request with it: nobody hangs or panics, and callers of
/// another runtime ask for themselves.
#[test]
fn runtime_dropped_in_flight_disturbs_nobody() {
    for multi_thread in [false, true] {
        let relay = ScriptedRelay::new().with_value("flag", 7).manual();
        let survivor = current_thread();
        let goff = survivor.block_on(goff(&relay));
        let doomed = if multi_thread {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(2)
                .enable_all()
                .build()
                .unwrap()
        } else {
            current_thread()
        };
        doomed.block_on(async {
            drop(ask(&goff));
            relay.wait_for_requests(1).await;
        });
        drop(doomed);
        assert_eq!(relay.waiting(), 0);
        let value = survivor.block_on(async {
            let caller = ask(&goff);
            relay.wait_for_requests(2).await;
            assert!(relay.complete(1));
            caller.await.unwrap().value
        });
        assert_eq!(value, 7);
    }
}

/// An evaluation in the context of a runtime that is already gone asks by itself.
#[test]
fn evaluation_on_a_dead_runtime_does_not_hang() {
    let relay = ScriptedRelay::new().with_value("flag", 7);
    let living = current_thread();
    let goff = living.block_on(goff(&relay));
    let dead = current_thread();
    let handle = dead.handle().clone();
    drop(dead);
    let (done, answer) = mpsc::channel();
    std::thread::spawn(move || {
        let _entered = handle.enter();
        let context = context();
        let mut evaluation = pin!(goff.evaluate("flag", &context, 0));
        let polled = evaluation
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()));
        done.send(polled.map(|details| details.value)).unwrap();
    });
    let polled = answer.recv_timeout(Duration::from_secs(10));
    assert_eq!(polled, Ok(std::task::Poll::Ready(7)));
}

/// Dropping the last handle ends every request, one that a change has overtaken included.
#[tokio::test]
async fn dropping_the_client_ends_overtaken_requests_too() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = goff(&relay).await;
    let callers = [ask(&goff), {
        settle().await;
        goff.invalidation_sink().invalidate(named("flag"));
        ask(&goff)
    }];
    settle().await;
    assert_eq!(relay.waiting(), 2);
    for caller in callers {
        caller.abort();
    }
    settle().await;
    drop(goff);
    settle().await;
    assert_eq!(relay.waiting(), 0);
    let alive = tokio::runtime::Handle::current()
        .metrics()
        .num_alive_tasks();
    assert_eq!(alive, 0);
}
