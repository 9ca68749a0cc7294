//! The fallback to the relay proxy where the engine fails.

use goff_client::{LocalFlags, Resolution};
use goff_core::{EvaluationFailure, Origin};
use tokio::task::JoinHandle;

use crate::*;

/// A relay proxy that evaluates the flag `broken` as `answer`; the engine gives `PARSE_ERROR`.
fn with_broken(answer: Result<Resolution, RelayError>) -> ScriptedRelay {
    let relay = ScriptedRelay::new().with_answer("broken", answer);
    let flags = json!({"broken": {"disable": "yes"}, "flag": giving(1)});
    relay.set_flags(&flags, None);
    relay
}

fn answer() -> Resolution {
    Resolution::new(json!(7), Reason::Other("REMOTE".into()))
        .with_variant("B")
        .with_cacheable(true)
}

fn failure(code: &str) -> RelayError {
    RelayError::Evaluation(EvaluationFailure::new(code, "remote words", Arc::default()))
}

/// GOFF-FALLBACK-001, -004, -006, -007: each time, never cached, marked, and recorded by the relay
/// proxy alone.
#[tokio::test(start_paused = true)]
async fn parse_error_falls_back() {
    let relay = with_broken(Ok(answer()));
    let goff = goff(&relay).await;
    for round in 1..=3 {
        let details = goff.evaluate("broken", &context(), 0_i64).await;
        assert_eq!((details.value, details.variant()), (7, Some("B")));
        assert_eq!(details.reason(), &Reason::Other("REMOTE".into()));
        assert_eq!(details.metadata()["gofeatureflag_evaluated_remotely"], true);
        assert_eq!(relay.request_count(), round);
        assert_eq!(goff.stats().fallbacks, round as u64);
    }
    assert_eq!(goff.stats().usage.recorded, 0);
    // Other flags are evaluated in process.
    assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
    assert_eq!(relay.request_count(), 3);
}

/// The context stays here, whatever makes the relay proxy evaluate a flag.
#[tokio::test(start_paused = true)]
async fn disabled_fallback_sends_no_context() {
    let relay = with_broken(Ok(answer()));
    let options = options(&relay).disable_fallback(true);
    let goff = connect(options).await;
    let details = goff.evaluate("broken", &context(), 3_i64).await;
    assert_eq!(details.value, 3);
    assert_eq!(code(&details), Some(ErrorCode::ParseError));
    let snapshot = goff.prefetch(&context()).await;
    assert_eq!(snapshot.evaluate("broken", &context(), 3_i64).value, 3);
    assert!(goff.evaluate_all(&context()).await.is_ok());
    assert_eq!(relay.request_count(), 0);
    assert_eq!(goff.stats().fallbacks, 0);
    assert_eq!(goff.stats().usage.recorded, 2);
}

/// GOFF-FALLBACK-002, -003.
#[tokio::test(start_paused = true)]
async fn other_failures_do_not_fall_back() {
    let (relay, goff) = serving(json!({"config": without_answer()})).await;
    for (flag, expected) in [("config", "FLAG_CONFIG"), ("unknown", "FLAG_NOT_FOUND")] {
        let details = goff.evaluate(flag, &context(), 0_i64).await;
        assert_eq!(code(&details).unwrap().as_str(), expected);
    }
    assert_eq!(relay.request_count(), 0);
}

/// GOFF-FALLBACK-005, -006: the caller gets the original error; what is recorded depends on what the
/// relay proxy did.
#[tokio::test(start_paused = true)]
async fn failed_fallback_gives_the_original_error() {
    for (remote, recorded, unknown) in [
        // Answered, with an error: the relay proxy recorded it.
        (failure("FLAG_NOT_FOUND"), 0, 0),
        // May have been evaluated.
        (status(503), 0, 1),
        // Certainly not evaluated.
        (status(404), 1, 0),
        (failure("INVALID_CONTEXT"), 1, 0),
    ] {
        let relay = with_broken(Err(remote.clone()));
        let goff = goff(&relay).await;
        let details = goff.evaluate("broken", &context(), 5_i64).await;
        assert_eq!(details.value, 5);
        assert_eq!(code(&details), Some(ErrorCode::ParseError), "{remote:?}");
        let error = details.error().unwrap().to_string();
        assert!(!error.contains("remote words"));
        let usage = goff.stats().usage;
        assert_eq!(
            (usage.recorded, usage.unknown),
            (recorded, unknown),
            "{remote:?}"
        );
        if recorded == 1 {
            goff.flush(TIMEOUT).await;
            let batch = serde_json::to_value(&relay.batches()[0]).unwrap();
            let event = &batch["events"][0];
            assert_eq!(event["source"], "INPROCESS");
            assert_eq!(event["default"], true);
            assert_eq!(event["value"], 5);
        }
    }
}

/// GOFF-FALLBACK-001, -002.
#[tokio::test(start_paused = true)]
async fn general_falls_back() {
    let relay = ScriptedRelay::new().with_answer("general", Ok(answer()));
    relay.set_flags(&json!({"general": general()}), None);
    let goff = goff(&relay).await;
    let details = goff.evaluate("general", &context(), 0_i64).await;
    assert_eq!(
        (details.value, relay.request_count()),
        (7, 1),
        "{details:?}"
    );
}

/// The OpenFeature provider reads the origin from `resolve`.
#[tokio::test(start_paused = true)]
async fn origin_names_the_evaluator() {
    let relay = with_broken(Ok(answer()));
    let goff = goff(&relay).await;
    let broken = goff.resolve("broken", &context()).await;
    assert!(matches!(broken.origin, Origin::Fallback(_)), "{broken:?}");
    let flag = goff.resolve("flag", &context()).await;
    assert_eq!(flag.origin, Origin::InProcess);
}

/// GOFF-FALLBACK-009: `timeout` bounds it even if the relay client never answers.
#[tokio::test(start_paused = true)]
async fn fallback_is_bounded() {
    let relay = with_broken(Ok(answer())).manual();
    let goff = goff(&relay).await;
    let begun = tokio::time::Instant::now();
    let details = goff.evaluate("broken", &context(), 0_i64).await;
    assert_eq!(code(&details), Some(ErrorCode::ParseError));
    assert!(begun.elapsed() < secs(11));
    assert_eq!(goff.stats().usage.unknown, 1);
}

/// Shutdown waits for a running fallback up to its timeout.
#[tokio::test(start_paused = true)]
async fn shutdown_bounds_a_fallback() {
    let relay = with_broken(Ok(answer())).manual();
    let goff = goff(&relay).await;
    let context = context();
    let (details, ()) = tokio::join!(goff.evaluate("broken", &context, 0_i64), async {
        relay.wait_for_requests(1).await;
        goff.shutdown(secs(1)).await;
    });
    assert_eq!(code(&details), Some(ErrorCode::ProviderNotReady));
}

/// What relay proxies after 1.55.2 add: `needs` (go-feature-flag issue 5567). A flag that may be
/// disabled by another one is not evaluated as if it had no such member.
#[tokio::test(start_paused = true)]
async fn flag_that_needs_others_is_evaluated_by_the_relay_proxy() {
    let one = json!([{"flag": "payments", "value": true}]);
    let several = json!([{"flag": "a"}, {"flag": "b", "value": "x"}]);
    for (member, needs) in [
        ("needs", one),
        ("needs", several),
        ("Needs", json!(["odd"])),
    ] {
        let relay = ScriptedRelay::new().with_answer("needy", Ok(answer()));
        let needy = with(giving(1), member, needs.clone());
        let off = json!(["none"]);
        let other = with(with(giving(2), "needs", json!([])), "wants", off);
        relay.set_flags(&json!({"needy": needy, "other": other}), None);
        let goff = goff(&relay).await;
        let details = goff.evaluate("needy", &context(), 0_i64).await;
        assert_eq!(details.value, 7, "{needs}");
        assert_eq!(details.metadata()["gofeatureflag_evaluated_remotely"], true);
        assert_eq!(relay.request_count(), 1);

        // Where nothing can be asked, it is an error that names the reason.
        let text = json!({"needy": needy}).to_string();
        let fixed = LocalFlags::from_flags(&text).unwrap();
        let without_relay = connect(GoFeatureFlagOptions::from_flags(text)).await;
        let all = goff.evaluate_all(&context()).await.unwrap();
        let local = goff.local().unwrap();
        for details in [
            local.evaluate("needy", &context(), 5_i64),
            fixed.evaluate("needy", &context(), 5_i64),
            without_relay.evaluate("needy", &context(), 5_i64).await,
        ] {
            assert_eq!(
                (details.value, code(&details)),
                (5, Some(ErrorCode::General))
            );
            let error = details.error().unwrap().to_string();
            assert!(
                error.contains("`needs`") && error.contains("`needy`"),
                "{error}"
            );
        }
        assert_eq!(code(&all["needy"]), Some(ErrorCode::General));
        // An empty list, and members that nothing announces.
        assert_eq!(goff.evaluate("other", &context(), 0_i64).await.value, 2);
        assert_eq!(relay.request_count(), 1);
    }
}

fn calls(goff: &GoFeatureFlag, users: impl Iterator<Item = usize>) -> Vec<JoinHandle<i64>> {
    users
        .map(|user| {
            let goff = goff.clone();
            tokio::spawn(async move {
                let user = EvaluationContext::builder().targeting_key(user.to_string());
                goff.evaluate("broken", &user.build(), 0_i64).await.value
            })
        })
        .collect()
}

/// Identical fallbacks at the same time share one request, which the relay proxy records once: the
/// others are recorded here. The next one is a new request.
#[tokio::test(start_paused = true)]
async fn identical_fallbacks_share_a_request() {
    let relay = with_broken(Ok(answer())).manual();
    let goff = goff(&relay).await;
    let callers = calls(&goff, (0..300).map(|n| n % 3));
    relay.wait_for_requests(3).await;
    tokio::time::sleep(secs(1)).await;
    for request in 0..3 {
        assert!(relay.complete(request));
    }
    for caller in callers {
        assert_eq!(caller.await.unwrap(), 7);
    }
    let stats = goff.stats();
    assert_eq!((relay.request_count(), stats.fallbacks), (3, 300));
    assert_eq!((stats.usage.recorded, stats.failed_fallbacks), (297, 0));
    goff.flush(TIMEOUT).await;
    let batch = serde_json::to_value(&relay.batches()[0]).unwrap();
    assert_eq!(batch["events"][0]["default"], false);
    assert_eq!(batch["events"][0]["value"], 7);

    let again = calls(&goff, 0..1);
    relay.wait_for_requests(4).await;
    assert!(relay.complete(3));
    for caller in again {
        assert_eq!(caller.await.unwrap(), 7);
    }
    assert_eq!(goff.stats().usage.recorded, 297);
}

/// A request from before a change is not shared with evaluations after it, and a request without a
/// caller ends at once, since its answer is of no use.
#[tokio::test(start_paused = true)]
async fn fallback_from_before_a_change_is_not_shared() {
    let relay = with_broken(Ok(answer())).manual();
    let goff = goff(&relay).await;
    let early = calls(&goff, 0..1);
    relay.wait_for_requests(1).await;
    let named = Invalidation::Flags(["broken".to_owned()].into());
    goff.invalidation_sink().invalidate(named);
    let late = calls(&goff, 0..1);
    relay.wait_for_requests(2).await;
    for caller in early.into_iter().chain(late) {
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    tokio::time::sleep(millis(1)).await;
    assert_eq!(relay.waiting(), 0);
}

/// What failed for all is recorded as often as it was evaluated.
#[tokio::test(start_paused = true)]
async fn failure_of_a_shared_fallback_is_recorded_for_each_caller() {
    for (remote, recorded, unknown) in [
        (failure("FLAG_NOT_FOUND"), 4, 0),
        (status(503), 4, 1),
        (status(404), 5, 0),
    ] {
        let relay = with_broken(Err(remote)).manual();
        let goff = goff(&relay).await;
        let callers = calls(&goff, std::iter::repeat_n(0, 5));
        relay.wait_for_requests(1).await;
        tokio::time::sleep(millis(1)).await;
        assert!(relay.complete(0));
        for caller in callers {
            assert_eq!(caller.await.unwrap(), 0);
        }
        let stats = goff.stats();
        assert_eq!((relay.request_count(), stats.failed_fallbacks), (1, 5));
        assert_eq!(
            (stats.usage.recorded, stats.usage.unknown),
            (recorded, unknown)
        );
    }
}

/// Panics when it evaluates.
#[derive(Debug)]
struct Panicking(ScriptedRelay);

#[async_trait::async_trait]
impl RelayClient for Panicking {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn goff_client::ContextView,
    ) -> Result<Resolution, RelayError> {
        let answer = self.0.evaluate(flag_key, context).await;
        assert!(answer.is_err(), "on purpose");
        answer
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&goff_core::Etag>,
    ) -> Result<goff_core::ConfigurationUpdate, RelayError> {
        self.0.flag_configuration(flags, held).await
    }
}

/// For each of the callers that share the request, inside tokio and outside.
#[test]
fn panic_of_the_relay_client_is_a_failed_fallback() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let relay = with_broken(Ok(answer()));
    let goff = runtime.block_on(connect(options_of(Panicking(relay))));
    let calls = async {
        let call = || async { goff.evaluate("broken", &context(), 1_i64).await };
        let (one, other, third) = tokio::join!(call(), call(), call());
        for details in [one, other, third] {
            assert_eq!(details.value, 1);
            assert_eq!(code(&details), Some(ErrorCode::ParseError));
        }
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
    };
    runtime.block_on(calls);
    let stats = goff.stats();
    assert_eq!((stats.fallbacks, stats.failed_fallbacks), (3, 3));
    pollster::block_on(async {
        let details = goff.evaluate("broken", &context(), 1_i64).await;
        assert_eq!(code(&details), Some(ErrorCode::ParseError));
    });
}
