//! Single flight: which evaluations share a request, and callers that give up.

use std::sync::mpsc;

use goff_client::{Reason, Resolution};
#[cfg(feature = "http")]
use goff_testkit::FaultyServer;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::*;

fn call(goff: &GoFeatureFlag) -> JoinHandle<EvaluationDetails<i64>> {
    let goff = goff.clone();
    tokio::spawn(async move { evaluate(&goff, 0).await })
}

async fn several(goff: &GoFeatureFlag, count: usize) -> Vec<JoinHandle<EvaluationDetails<i64>>> {
    let callers = (0..count).map(|_| call(goff)).collect();
    settle().await;
    callers
}

fn tasks() -> usize {
    let metrics = tokio::runtime::Handle::current().metrics();
    metrics.num_alive_tasks()
}

/// Runs every task that can run; its tests are on one thread.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// Exactly one caller owns the request; the others are followers.
#[tokio::test]
async fn concurrent_callers_share_one_request() {
    let (relay, goff) = serving_manually(7).await;
    let callers = several(&goff, 100).await;
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

/// One request after each change of the flag.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_callers_on_threads_share_one_request() {
    let (relay, goff) = serving(7).await;
    for round in 1..=50 {
        let callers: Vec<_> = (0..32).map(|_| call(&goff)).collect();
        let mut owners = 0;
        for caller in callers {
            owners += usize::from(*caller.await.unwrap().reason() == Reason::Static);
        }
        assert_eq!((owners, relay.requests().len()), (1, round));
        goff.invalidation_sink().invalidate(change_of("flag"));
    }
}

/// GOFF-LIFE-007.
#[tokio::test]
async fn different_evaluations_share_nothing() {
    let relay = ScriptedRelay::new()
        .with_value("flag", 7)
        .with_value("other", 8)
        .manual();
    let goff = goff(&relay).await;
    let caller = call(&goff);
    let others = ["user-1", "user-2"].map(|user| {
        let goff = goff.clone();
        let context = super::user(user);
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

/// The next caller owns the request, and gets the reason unchanged.
#[tokio::test]
async fn next_caller_replaces_one_that_gave_up() {
    let (relay, goff) = serving_manually(7).await;
    let callers = several(&goff, 4).await;
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

#[tokio::test]
async fn answer_is_cached_after_all_callers_gave_up() {
    let (relay, goff) = serving_manually(7).await;
    let callers = several(&goff, 3).await;
    for caller in &callers {
        caller.abort();
    }
    settle().await;
    assert_eq!(relay.waiting(), 1);
    assert!(relay.complete(0));
    settle().await;
    let details = evaluate(&goff, 0).await;
    assert_eq!((details.value, details.reason()), (7, &Reason::Cached));
    assert_eq!(relay.requests().len(), 1);
}

/// Each caller gives up after the next one has joined. There is one request throughout, and the
/// last caller gets the answer. moka's own single flight panics after 200 such callers.
#[tokio::test]
async fn hung_request_survives_250_impatient_callers() {
    let (relay, goff) = serving_manually(7).await;

    let mut before = call(&goff);
    settle().await;
    let at_start = tasks();
    for _ in 0..250 {
        let next = call(&goff);
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

/// An application that bounds each evaluation by a timeout shorter than the client's is left with
/// no task and no request, whatever the relay proxy does. A few requests go on for a moment, for
/// their answers to be cached.
#[tokio::test(start_paused = true)]
async fn requests_end_after_their_last_caller() {
    for (disable_cache, go_on) in [(false, 64), (true, 0)] {
        let relay = ScriptedRelay::new().with_value("flag", 7).manual();
        let goff = connect(options(&relay).disable_cache(disable_cache)).await;
        settle().await;
        let at_start = tasks();
        let users: Vec<_> = (0..1_000).map(|n| user(&n.to_string())).collect();
        let callers: Vec<_> = users
            .into_iter()
            .map(|user| {
                let goff = goff.clone();
                tokio::spawn(async move {
                    let evaluation = goff.evaluate("flag", &user, 0_i64);
                    assert!(timeout(millis(50), evaluation).await.is_err());
                })
            })
            .collect();
        for caller in callers {
            caller.await.unwrap();
        }
        settle().await;
        assert_eq!(relay.waiting(), go_on);
        assert_eq!(tasks() - at_start, go_on);
        tokio::time::sleep(millis(300)).await;
        assert_eq!((relay.waiting(), tasks()), (0, at_start));
        assert_eq!(relay.requests().len(), 1_000);
    }
}

/// As above, in connections.
#[cfg(feature = "http")]
#[tokio::test]
async fn connections_end_after_the_last_caller() {
    let silent = FaultyServer::start([]).await.unwrap();
    let goff = GoFeatureFlagOptions::new(silent.url()).disable_cache_invalidation(true);
    let goff = connect(goff).await;
    let callers: Vec<_> = (0..100)
        .map(|n| {
            let goff = goff.clone();
            tokio::spawn(async move {
                let user = user(&n.to_string());
                let evaluation = goff.evaluate("flag", &user, 0_i64);
                assert!(timeout(millis(200), evaluation).await.is_err());
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let opened = silent.connections();
    assert!(opened > 10, "{opened}");
    let all = silent.wait_for_ended_connections(opened);
    // The timeout of the client is 10 s.
    timeout(secs(5), all).await.unwrap();
}

/// A caller that comes while the request goes on without one joins it, and its time counts anew.
#[tokio::test(start_paused = true)]
async fn request_without_a_caller_can_be_joined() {
    let (relay, goff) = serving_manually(7).await;
    for _ in 0..5 {
        let impatient = timeout(millis(200), evaluate(&goff, 0_i64));
        assert!(impatient.await.is_err());
        tokio::time::sleep(millis(200)).await;
    }
    let patient = call(&goff);
    settle().await;
    assert_eq!(relay.requests().len(), 1);
    tokio::time::sleep(secs(1)).await;
    assert!(relay.complete(0));
    assert_eq!(patient.await.unwrap().value, 7);
}

/// The time until `count` callers have joined one request and given up again.
async fn time_to_join(count: usize) -> Duration {
    let (relay, goff) = serving_manually(7).await;
    let context = context();
    let start = std::time::Instant::now();
    let mut callers: Vec<_> = (0..count)
        .map(|_| Box::pin(goff.evaluate("flag", &context, 0_i64)))
        .collect();
    let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
    for caller in &mut callers {
        assert!(caller.as_mut().poll(&mut waker).is_pending());
    }
    drop(callers);
    let took = start.elapsed();
    settle().await;
    assert_eq!(relay.requests().len(), 1);
    took
}

/// Eight times as many callers take eight times as long; it would be 64 times if each looked at
/// those before it.
#[tokio::test]
async fn joining_takes_time_in_proportion_to_the_callers() {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let few = time_to_join(5_000).await;
        let many = time_to_join(40_000).await;
        best = best.min(many.as_secs_f64() / few.as_secs_f64());
    }
    assert!(best < 24.0, "{best}");
}

/// The next caller sends a new request.
#[tokio::test(start_paused = true)]
async fn request_that_never_ends_times_out_for_all_callers() {
    let (relay, goff) = serving_manually(7).await;
    let start = tokio::time::Instant::now();
    let callers: Vec<_> = (0..3).map(|_| call(&goff)).collect();
    for caller in callers {
        let details = caller.await.unwrap();
        assert_eq!(code(&details), ErrorCode::General);
        assert_eq!(details.value, 0);
    }
    // The default timeout, and the extra time for the relay client's own timeout.
    let took = start.elapsed();
    let bounds = secs(10)..=millis(10_250);
    assert!(bounds.contains(&took), "{took:?}");
    assert_eq!(relay.waiting(), 0);
    let usage = goff.stats().usage;
    assert_eq!((usage.unknown, usage.recorded), (1, 2));
    let again = call(&goff);
    settle().await;
    assert!(relay.complete(1));
    assert_eq!(again.await.unwrap().value, 7);
}

/// The next caller sends a new request.
#[tokio::test]
async fn failed_request_fails_for_all_callers_and_is_not_cached() {
    let relay = ScriptedRelay::new()
        .with_answer("flag", Err(status(503)))
        .manual();
    let goff = goff(&relay).await;
    let callers = several(&goff, 5).await;
    assert!(relay.complete(0));
    for caller in callers {
        let details = caller.await.unwrap();
        assert_eq!(code(&details), ErrorCode::General);
        assert_eq!((details.value, details.reason()), (0, &Reason::Error));
    }
    let relay = relay.with_value("flag", 7);
    let again = call(&goff);
    settle().await;
    assert!(relay.complete(1));
    let details = again.await.unwrap();
    assert_eq!((details.value, details.reason()), (7, &Reason::Static));
}

/// A caller after an invalidation does not join the older request, in whichever order the two are
/// answered. The earlier caller gets the older answer. docs/python-parity.md C19.
#[tokio::test]
async fn late_caller_does_not_join_an_older_request() {
    for old_first in [true, false] {
        for invalidation in [change_of("flag"), Invalidation::All] {
            let (relay, goff) = serving_manually(1).await;
            let early = call(&goff);
            settle().await;
            let relay = relay.with_value("flag", 2);
            goff.invalidation_sink().invalidate(invalidation);
            let late = call(&goff);
            settle().await;
            assert_eq!(relay.requests().len(), 2);
            for index in if old_first { [0, 1] } else { [1, 0] } {
                assert!(relay.complete(index));
                settle().await;
            }
            assert_eq!(early.await.unwrap().value, 1);
            assert_eq!(late.await.unwrap().value, 2);
            let afterwards = evaluate(&goff, 0).await;
            assert_eq!(
                (afterwards.value, afterwards.reason()),
                (2, &Reason::Cached)
            );
        }
    }
}

/// docs/python-parity.md C19.
#[tokio::test]
async fn change_of_another_flag_does_not_split_a_request() {
    let (relay, goff) = serving_manually(7).await;
    let early = call(&goff);
    settle().await;
    goff.invalidation_sink().invalidate(change_of("other"));
    let late = call(&goff);
    settle().await;
    assert!(relay.complete(0));
    assert_eq!(*early.await.unwrap().reason(), Reason::Static);
    assert_eq!(*late.await.unwrap().reason(), Reason::Cached);
    assert_eq!(*call(&goff).await.unwrap().reason(), Reason::Cached);
    assert_eq!(relay.requests().len(), 1);
}

#[tokio::test]
async fn answer_that_is_not_cacheable_is_shared_but_not_cached() {
    let answer = Resolution::new(7, Reason::Split);
    let relay = ScriptedRelay::new()
        .with_answer("flag", Ok(answer))
        .manual();
    let goff = goff(&relay).await;
    let callers = [call(&goff), call(&goff)];
    settle().await;
    assert!(relay.complete(0));
    let mut reasons = Vec::new();
    for caller in callers {
        reasons.push(caller.await.unwrap().reason().clone());
    }
    assert_eq!(reasons, [Reason::Split, Reason::Cached]);
    let _later = call(&goff);
    relay.wait_for_requests(2).await;
}

/// GOFF-CACHE-003.
#[tokio::test]
async fn disable_cache_shares_nothing() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let goff = connect(options(&relay).disable_cache(true)).await;
    let callers: Vec<_> = (0..5).map(|_| call(&goff)).collect();
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

/// A runtime that is not driven answers no caller of another runtime.
#[test]
fn runtimes_do_not_wait_for_each_other() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let idle = current_thread();
    let goff = idle.block_on(goff(&relay));
    let mut stuck = None;
    idle.block_on(async {
        stuck = Some(call(&goff));
        relay.wait_for_requests(1).await;
    });
    // The first runtime is not driven from now on.
    let (done, answer) = mpsc::channel();
    std::thread::spawn({
        let (goff, relay) = (goff.clone(), relay.clone());
        move || {
            let value = current_thread().block_on(async {
                let caller = call(&goff);
                relay.wait_for_requests(2).await;
                assert!(relay.complete(1));
                caller.await.unwrap().value
            });
            done.send(value).unwrap();
        }
    });
    assert_eq!(answer.recv_timeout(secs(10)), Ok(7));
    assert!(relay.complete(0));
    assert_eq!(idle.block_on(stuck.unwrap()).unwrap().value, 7);
}

/// Callers on another runtime send their own request.
#[test]
fn runtime_dropped_in_flight_ends_its_request_only() {
    for doomed in both_runtimes() {
        let relay = ScriptedRelay::new().with_value("flag", 7).manual();
        let survivor = current_thread();
        let goff = survivor.block_on(goff(&relay));
        doomed.block_on(async {
            drop(call(&goff));
            relay.wait_for_requests(1).await;
        });
        drop(doomed);
        assert_eq!(relay.waiting(), 0);
        let value = survivor.block_on(async {
            let caller = call(&goff);
            relay.wait_for_requests(2).await;
            assert!(relay.complete(1));
            caller.await.unwrap().value
        });
        assert_eq!(value, 7);
    }
}

#[tokio::test]
async fn dropping_the_client_ends_superseded_requests_too() {
    let (relay, goff) = serving_manually(7).await;
    let callers = [call(&goff), {
        settle().await;
        goff.invalidation_sink().invalidate(change_of("flag"));
        call(&goff)
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
    assert_eq!(tasks(), 0);
}
