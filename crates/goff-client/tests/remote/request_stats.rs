//! What `stats()` says of requests.

use goff_client::{RequestResult, Stats};
use goff_testkit::{Answer, FaultyServer};
use serde_json::json;

use crate::*;

fn uncached(url: &str) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new(url)
        .timeout(millis(300))
        .disable_cache(true)
        .disable_cache_invalidation(true)
}

fn answer(error_code: &str) -> Answer {
    let body = json!({
        "value": true, "reason": "STATIC", "variationType": "A", "failed": !error_code.is_empty(),
        "trackEvents": true, "cacheable": true, "errorCode": error_code, "version": "",
    });
    Answer::new(200, body.to_string())
}

/// Each end of a request is counted once, with its error code; only those that were sent and ended
/// have a duration.
#[tokio::test]
async fn requests_are_counted_by_result_and_code() {
    let general = "GENERAL";
    for (answers, flag_key, result, code) in [
        (vec![answer("")], "flag", RequestResult::Answered, None),
        (
            vec![answer("FLAG_CONFIG")],
            "flag",
            RequestResult::EvaluationFailed,
            Some("FLAG_CONFIG"),
        ),
        (
            vec![Answer::new(503, "")],
            "flag",
            RequestResult::Refused,
            Some(general),
        ),
        (
            vec![Answer::new(200, "{")],
            "flag",
            RequestResult::Unreadable,
            Some("PARSE_ERROR"),
        ),
        (
            vec![Answer::nothing().then_reset()],
            "flag",
            RequestResult::Interrupted,
            Some(general),
        ),
        (vec![], "flag", RequestResult::TimedOut, Some(general)),
        (
            vec![answer("")],
            "a/b",
            RequestResult::NotSent,
            Some("FLAG_NOT_FOUND"),
        ),
    ] {
        let server = FaultyServer::start(answers).await.unwrap();
        let goff = connect(uncached(&server.url())).await;
        goff.evaluate(flag_key, &context(), false).await;
        check(&goff.stats(), result, code);
    }
    let refusing = FaultyServer::refusing_url().await.unwrap();
    let goff = connect(uncached(&refusing)).await;
    evaluate(&goff, false).await;
    check(&goff.stats(), RequestResult::NotConnected, Some(general));
}

#[track_caller]
fn check(stats: &Stats, result: RequestResult, code: Option<&str>) {
    let requests = &stats.requests;
    assert_eq!(requests.evaluate.results, [(result, 1)].into());
    let codes = code.map(|code| (code.to_owned(), 1));
    assert_eq!(requests.errors_by_code, codes.into_iter().collect());
    let was_sent = result != RequestResult::NotSent;
    let durations = &requests.evaluate.durations;
    assert_eq!(durations.count(), u64::from(was_sent));
    assert!(durations.sum < TIMEOUT);
    if result == RequestResult::TimedOut {
        // The bucket of 300 ms ends at 500 ms.
        assert_eq!(durations.buckets[..7], [0; 7], "{durations:?}");
    }
}

/// A caller that gives up, and requests that wait for their turn.
#[tokio::test]
async fn given_up_and_waiting_requests_are_counted() {
    let silent = FaultyServer::start([]).await.unwrap();
    let options = uncached(&silent.url()).timeout(TIMEOUT);
    let goff = connect(options.max_requests_in_flight(1)).await;
    let mut evaluations = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let goff = goff.clone();
        evaluations.spawn(async move { drop(evaluate(&goff, false).await) });
    }
    let waiting = || {
        (
            goff.stats().requests_in_flight,
            goff.stats().requests_waiting,
        )
    };
    until(async || waiting() == (1, 2)).await;
    evaluations.shutdown().await;
    let stats = goff.stats();
    assert_eq!((stats.requests_in_flight, stats.requests_waiting), (0, 0));
    let evaluate = &stats.requests.evaluate;
    assert_eq!(evaluate.results, [(RequestResult::GivenUp, 3)].into());
    assert_eq!(evaluate.durations.count(), 0);
}

/// A cache hit is no request; the deliveries of usage data are. Events that the data collector
/// refuses are counted.
#[tokio::test]
async fn deliveries_and_bulk_evaluations_are_counted_apart() {
    let (relay, goff) = serving(true).await;
    evaluate(&goff, false).await;
    evaluate(&goff, false).await;
    goff.evaluate_all(&context()).await.unwrap();
    relay.set_collector_failure(Some(status(400)));
    goff.flush(TIMEOUT).await;
    let stats = goff.stats();
    let requests = &stats.requests;
    let one_answer = [(RequestResult::Answered, 1)].into();
    assert_eq!(requests.evaluate.results, one_answer);
    assert_eq!(requests.evaluate_all.results, one_answer);
    assert_eq!(requests.collect.count(RequestResult::Refused), 1);
    assert_eq!(stats.usage.rejected, 1);
    let json = serde_json::to_value(&stats).unwrap();
    assert_eq!(
        json["requests"]["evaluate"]["results"],
        json!({"answered": 1})
    );
    assert_eq!(json["last_confirmed_at_seconds"], json!(null));
}
