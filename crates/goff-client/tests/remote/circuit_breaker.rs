//! A relay proxy that does not answer: evaluations fail at once, and one request at a time tries
//! again.

use std::collections::BTreeMap;

use goff_client::{ClientError, ClientEvent, EvaluationType, Origin, State, StreamState};
#[cfg(feature = "http")]
use goff_testkit::{Answer, FaultyServer};
use tokio::time::{Instant, advance};

use super::*;

fn timed_out() -> RelayError {
    RelayError::Timeout {
        timeout: secs(10),
        sent: true,
        server: Some("http://relay:1031".into()),
    }
}

/// A relay proxy that fails with `error`, and a client without a cache. It loads no flags, so that
/// only evaluations try again while the circuit is open.
async fn failing(error: RelayError) -> (ScriptedRelay, GoFeatureFlag) {
    let relay = ScriptedRelay::new().with_answer("flag", Err(error));
    let operation = "flag_configuration";
    relay.set_configuration_failure(Some(RelayError::Unsupported { operation }));
    let goff = connect(options(&relay).disable_cache(true)).await;
    (relay, goff)
}

/// `count` evaluations, one each second.
async fn evaluations(goff: &GoFeatureFlag, count: usize) {
    for _ in 0..count {
        evaluate(goff, false).await;
        advance(secs(1)).await;
    }
}

fn is_open(details: &EvaluationDetails<bool>) -> bool {
    let error = details.error().map(ToString::to_string);
    error.is_some_and(|error| error.contains("has not answered for"))
}

/// After the timeout of 10 s, with a failure each second.
async fn open(goff: &GoFeatureFlag) {
    evaluations(goff, 11).await;
    // The first failure was at 0 s; the eleventh opens at 10 s.
    while !is_open(&evaluate(goff, false).await) {
        advance(millis(10)).await;
    }
}

/// Fails at once, sends nothing, says since when and when the next try is, and is recorded here
/// because nothing was evaluated.
#[tokio::test(start_paused = true)]
async fn open_circuit_fails_evaluations_at_once() {
    let (relay, goff) = failing(timed_out()).await;
    let mut events = goff.subscribe();
    evaluations(&goff, 10).await;
    assert_eq!(
        (relay.request_count(), goff.status().state),
        (10, State::Ready)
    );
    let before = goff.stats().usage.recorded;
    evaluate(&goff, false).await;
    let refused = goff.resolve("flag", &context()).await;
    assert_eq!(
        (relay.request_count(), refused.origin),
        (11, Origin::NotEvaluated)
    );
    let text = evaluate(&goff, false).await.error().unwrap().to_string();
    for part in [
        "not answered for 10 s",
        "next try in 1 s",
        "http://relay:1031",
        "10000 ms",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert!(
        goff.evaluate_all(&context())
            .await
            .unwrap_err()
            .to_string()
            .contains("next try")
    );
    assert_eq!(goff.stats().usage.recorded, before + 1);
    assert_eq!((relay.request_count(), goff.stats().circuit_open), (11, 2));

    let Some(ClientEvent::Error(ClientError::Unanswered(_))) = events.next().await else {
        panic!("no event");
    };
    advance(secs(3)).await;
    let status = goff.status();
    assert_eq!(
        (status.state, status.last_error_age),
        (State::Error, Some(secs(3)))
    );
    let error = status.last_error.unwrap().to_string();
    assert!(error.starts_with("requests are not answered: "), "{error}");

    // A probe that is answered closes the circuit.
    relay.set_answer("flag", Err(status_500()));
    evaluate(&goff, false).await;
    assert_eq!(events.next().await, Some(ClientEvent::Ready));
    let status = goff.status();
    assert_eq!(
        (status.state, status.last_error, status.last_error_age),
        (State::Ready, None, None)
    );
    evaluations(&goff, 50).await;
    assert_eq!(relay.request_count(), 62);
}

fn status_500() -> RelayError {
    status(500)
}

/// While one request tries, others fail at once; the pauses grow to ten seconds.
#[tokio::test(start_paused = true)]
async fn one_request_at_a_time_tries_again() {
    let (relay, goff) = failing(timed_out()).await;
    open(&goff).await;
    let relay = relay.manual();
    let mut tries = Vec::new();
    for n in 0..8 {
        let before = relay.request_count();
        let began = Instant::now();
        let mut probe = None;
        while relay.request_count() == before {
            let goff = goff.clone();
            let call = tokio::spawn(async move { evaluate(&goff, false).await });
            tokio::task::yield_now().await;
            if relay.request_count() == before {
                assert!(is_open(&call.await.unwrap()));
                advance(millis(10)).await;
            } else {
                probe = Some(call);
            }
        }
        tries.push(began.elapsed());
        let others = Instant::now();
        for _ in 0..5 {
            let details = evaluate(&goff, false).await;
            let text = details.error().unwrap().to_string();
            assert!(text.contains("tries again at this moment"), "{text}");
        }
        assert_eq!(
            (others.elapsed(), relay.request_count()),
            (Duration::ZERO, before + 1)
        );
        let probe = probe.unwrap();
        if n == 3 {
            // Callers that give up must not make all others try one after the other.
            probe.abort();
            let _ = probe.await;
        } else {
            assert!(relay.complete(before));
            assert!(!is_open(&probe.await.unwrap()));
        }
    }
    assert!(tries.iter().all(|pause| *pause <= secs(10)), "{tries:?}");
    assert!(tries[4] > Duration::ZERO, "{tries:?}");
}

/// Without evaluations too: something that evaluates nothing tries, until the session ends.
#[tokio::test(start_paused = true)]
async fn idle_client_notices_that_the_relay_proxy_answers_again() {
    let (relay, goff) = failing(timed_out()).await;
    relay.set_configuration_failure(Some(timed_out()));
    let mut events = goff.subscribe();
    open(&goff).await;
    let Some(ClientEvent::Error(ClientError::Unanswered(_))) = events.next().await else {
        panic!("no event");
    };
    let (before, recorded) = (relay.request_count(), goff.stats().usage.recorded);
    let probes = || relay.configuration_requests().len();
    tokio::time::sleep(secs(100)).await;
    // Pauses of up to ten seconds, and ten for evaluations that might try.
    assert!((4..30).contains(&probes()), "{}", probes());
    let status = goff.status();
    assert!(
        status.state == State::Error && status.last_error_age < Some(secs(21)),
        "{status:?}"
    );
    relay.set_configuration_failure(None);
    let ready = tokio::time::timeout(secs(21), events.next()).await;
    assert_eq!(ready.unwrap(), Some(ClientEvent::Ready));
    let at_recovery = probes();
    tokio::time::sleep(secs(100)).await;
    assert_eq!(
        (relay.request_count(), goff.stats().usage.recorded, probes()),
        (before, recorded, at_recovery)
    );

    relay.set_configuration_failure(Some(timed_out()));
    open(&goff).await;
    goff.shutdown(TIMEOUT).await;
    let at_end = probes();
    tokio::time::sleep(secs(100)).await;
    assert_eq!(probes(), at_end);
}

/// A gateway may hold back requests for the configuration alone.
#[tokio::test(start_paused = true)]
async fn evaluations_try_before_a_request_that_evaluates_nothing() {
    let (relay, goff) = failing(timed_out()).await;
    relay.set_configuration_failure(None);
    relay.set_configuration_delay(Some(secs(1_000)));
    open(&goff).await;
    tokio::time::sleep(secs(60)).await;
    relay.set_answer(
        "flag",
        Ok(goff_client::Resolution::new(
            true,
            goff_client::Reason::Static,
        )),
    );
    let mut left = 30;
    while !evaluate(&goff, false).await.value {
        left -= 1;
        assert!(left > 0, "{:?}", goff.status());
        tokio::time::sleep(secs(1)).await;
    }
    assert!(goff.wait_until_ready(secs(1)).await);
}

/// Rate limits, answers of any kind, callers that give up, and too few or too brief failures.
#[tokio::test(start_paused = true)]
async fn circuit_stays_closed() {
    let not_found = RelayError::Status {
        status: 404,
        path: String::new(),
        message: None,
        code: ErrorCode::General,
        server: None,
    };
    for error in [rate_limited(), status(503), status(401), not_found] {
        let (relay, goff) = failing(error.clone()).await;
        evaluations(&goff, 100).await;
        assert_eq!(
            (relay.request_count(), goff.status().state),
            (100, State::Ready),
            "{error}"
        );
    }

    let (relay, goff) = failing(timed_out()).await;
    let relay = relay.manual();
    for _ in 0..100 {
        let evaluation = evaluate(&goff, false);
        assert!(tokio::time::timeout(secs(1), evaluation).await.is_err());
    }
    assert_eq!(
        (relay.request_count(), goff.status().state),
        (100, State::Ready)
    );

    // Four failures in 40 s, and many in less than the timeout.
    for (count, pause) in [(4, secs(10)), (1_000, millis(9))] {
        let (relay, goff) = failing(timed_out()).await;
        for _ in 0..count {
            evaluate(&goff, false).await;
            advance(pause).await;
        }
        assert_eq!(relay.request_count(), count);
    }

    // One answer in ten seconds.
    let (relay, goff) = failing(timed_out()).await;
    for _ in 0..10 {
        evaluations(&goff, 9).await;
        relay.set_answer(
            "flag",
            Ok(goff_client::Resolution::new(
                true,
                goff_client::Reason::Static,
            )),
        );
        evaluations(&goff, 1).await;
        relay.set_answer("flag", Err(timed_out()));
    }
    assert_eq!(relay.request_count(), 100);
}

#[tokio::test(start_paused = true)]
async fn circuit_breaker_can_be_switched_off() {
    let relay = ScriptedRelay::new().with_answer("flag", Err(timed_out()));
    let goff = connect(options(&relay).disable_cache(true).circuit_breaker(false)).await;
    evaluations(&goff, 100).await;
    assert_eq!(
        (relay.request_count(), goff.status().state),
        (100, State::Ready)
    );
}

/// A started session knows nothing of the one before.
#[tokio::test(start_paused = true)]
async fn circuit_is_closed_after_a_new_start() {
    let (relay, goff) = failing(timed_out()).await;
    open(&goff).await;
    goff.shutdown(TIMEOUT).await;
    goff.initialize().await.unwrap();
    let before = relay.request_count();
    evaluations(&goff, 3).await;
    assert_eq!(
        (relay.request_count(), goff.status().state),
        (before + 3, State::Ready)
    );
}

/// The handshake of the change stream, answered with 101 or another status, is an answer.
#[tokio::test(start_paused = true)]
async fn answered_handshake_closes_the_circuit() {
    for (state, closes) in [
        (StreamState::Open, true),
        (StreamState::Refused, true),
        (StreamState::Down, false),
    ] {
        let (relay, goff) = failing(timed_out()).await;
        open(&goff).await;
        let before = relay.request_count();
        goff.invalidation_sink().stream_state(state);
        evaluate(&goff, false).await;
        let sent = relay.request_count() - before;
        assert_eq!(sent, usize::from(closes), "{state:?}");
    }
}

/// A cache hit needs no relay proxy; equal evaluations that miss fail at once too.
#[tokio::test(start_paused = true)]
async fn cached_answers_are_served_while_the_circuit_is_open() {
    let relay = ScriptedRelay::new()
        .with_value("cached", true)
        .with_answer("flag", Err(timed_out()));
    let goff = goff(&relay).await;
    goff.evaluate("cached", &context(), false).await;
    open(&goff).await;
    assert_eq!(goff.status().state, State::Error);
    let before = relay.request_count();
    let cached = goff.evaluate("cached", &context(), false).await;
    assert!(cached.value && cached.error().is_none());
    assert!(is_open(&evaluate(&goff, false).await));
    assert_eq!(relay.request_count(), before);
}

/// The fallback of in-process evaluation has no circuit breaker.
#[cfg(feature = "in-process")]
#[tokio::test(start_paused = true)]
async fn fallback_of_in_process_evaluation_always_tries() {
    let relay = ScriptedRelay::new().with_answer("flag", Err(timed_out()));
    let broken = serde_json::json!({"flag": {"disable": "yes"}});
    relay.set_flags(&broken, None);
    let goff = connect(options(&relay).evaluation_type(EvaluationType::InProcess)).await;
    let before = relay.request_count();
    evaluations(&goff, 50).await;
    assert_eq!(relay.request_count() - before, 50, "{:?}", goff.status());
}

/// 500 tasks evaluate for three seconds against a server that accepts and never answers, with a
/// timeout of half a second. From the window on, each evaluation takes no time, and few requests are
/// sent; the first answer ends it, without another evaluation.
#[cfg(feature = "http")]
#[tokio::test]
async fn hanging_server_costs_500_tasks_one_timeout() {
    use std::time::Instant;
    let server = FaultyServer::start([]).await.unwrap();
    let options = GoFeatureFlagOptions::new(server.url())
        .timeout(millis(500))
        .disable_cache(true)
        .disable_data_collection(true);
    #[cfg(feature = "ws")]
    let options = options.disable_cache_invalidation(true);
    let goff = connect(options).await;
    let start = Instant::now();
    let tasks = (0..500).map(|n| {
        let goff = goff.clone();
        tokio::spawn(async move {
            let mut slow = BTreeMap::new();
            while start.elapsed() < secs(4) {
                let began = start.elapsed();
                goff.evaluate("flag", &user(&n.to_string()), false).await;
                if start.elapsed() - began > millis(250) {
                    *slow.entry(began.as_secs()).or_insert(0) += 1;
                }
                tokio::time::sleep(millis(20)).await;
            }
            slow
        })
    });
    let mut slow = BTreeMap::new();
    for task in tasks.collect::<Vec<_>>() {
        for (second, count) in task.await.unwrap() {
            *slow.entry(second).or_insert(0) += count;
        }
    }
    let late: i32 = slow.range(2..).map(|(_, count)| *count).sum();
    assert!(slow.get(&0).is_some_and(|early| *early >= 500), "{slow:?}");
    // A few probes, and one that waited for the machine.
    assert!(late <= 20, "{slow:?}");
    assert!(goff.stats().circuit_open > 5_000, "{:?}", goff.stats());
    assert_eq!(goff.status().state, State::Error);
    server.push(Answer::new(404, "{}"));
    let give_up = Instant::now() + secs(30);
    while goff.status().state != State::Ready {
        assert!(Instant::now() < give_up, "{:?}", goff.status());
        tokio::time::sleep(millis(20)).await;
    }
}

/// A connection that died while it was idle says nothing about the relay proxy, and neither does a
/// request that waits for its turn.
#[cfg(feature = "http")]
#[tokio::test]
async fn waiting_requests_do_not_count() {
    let slow = Answer::new(200, r#"{"value":true,"reason":"STATIC"}"#).after(millis(700));
    let server = FaultyServer::start([slow]).await.unwrap();
    let options = GoFeatureFlagOptions::new(server.url())
        .timeout(secs(1))
        .disable_cache(true)
        .max_requests_in_flight(1);
    #[cfg(feature = "ws")]
    let options = options.disable_cache_invalidation(true);
    let goff = connect(options).await;
    let calls = (0..20).map(|_| {
        let goff = goff.clone();
        tokio::spawn(async move { evaluate(&goff, false).await })
    });
    let mut failed = 0;
    for call in calls.collect::<Vec<_>>() {
        failed += usize::from(call.await.unwrap().error().is_some());
    }
    assert!(failed >= 15, "{failed}");
    assert_eq!(
        (goff.stats().circuit_open, goff.status().state),
        (0, State::Ready)
    );
}
