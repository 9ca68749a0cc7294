//! Expired answers while the relay proxy cannot answer. moka's clock cannot be paused.

use goff_client::{Origin, Reason, Resolution};
use serde_json::json;

use super::*;

const TTL: Duration = millis(1);

/// With an answer that has expired.
async fn expired(
    options: impl FnOnce(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
) -> (ScriptedRelay, GoFeatureFlag) {
    let relay = ScriptedRelay::new().with_value("flag", "old");
    let goff = connect(options(super::options(&relay).cache_ttl(TTL))).await;
    evaluate(&goff, String::new()).await;
    // Exact: the answer was cached before.
    tokio::time::sleep(TTL).await;
    (relay, goff)
}

/// GOFF-CACHE-006: off by default.
#[tokio::test]
async fn expired_answer_is_served_with_its_age_while_the_relay_proxy_cannot_answer() {
    let timeout = |sent| RelayError::Timeout {
        timeout: secs(1),
        sent,
        server: None,
    };
    let cause = RelayError::NotConnected(Arc::new(std::io::Error::other("x")));
    for (error, origin) in [
        (cause, Some(Origin::Cache)),
        (timeout(false), Some(Origin::Cache)),
        // The relay proxy may have recorded it.
        (timeout(true), Some(Origin::Unknown)),
        (status(503), Some(Origin::Unknown)),
        (rate_limited(), Some(Origin::Cache)),
        (status(401), None),
        (status(404), None),
    ] {
        for enabled in [true, false] {
            let (relay, goff) = expired(|options| match enabled {
                true => options.stale_if_error(secs(60)),
                false => options,
            })
            .await;
            relay.set_answer("flag", Err(error.clone()));
            let outcome = goff.resolve("flag", &context()).await;
            let Some(origin) = origin.filter(|_| enabled) else {
                assert!(outcome.result.is_err(), "{error}");
                assert_eq!(goff.stats().stale, 0);
                continue;
            };
            assert_eq!(
                (outcome.origin, relay.request_count()),
                (origin, 2),
                "{error}"
            );
            let details = evaluate(&goff, String::new()).await;
            assert_eq!(
                (&*details.value, details.reason()),
                ("old", &Reason::Stale),
                "{error}"
            );
            assert_eq!(details.metadata()["gofeatureflag_age_seconds"], json!(0));
            assert_eq!(goff.stats().stale, 2);

            // The relay proxy answers again.
            let new = Resolution::new("new", Reason::Static).with_cacheable(true);
            relay.set_answer("flag", Ok(new));
            assert_eq!(evaluate(&goff, String::new()).await.value, "new");
        }
    }
}

/// A stale value never survives an invalidation, also one that comes while the request waits.
#[tokio::test]
async fn changed_flag_is_never_stale() {
    for all in [true, false] {
        for during in [true, false] {
            let (relay, goff) = expired(|options| options.stale_if_error(secs(60))).await;
            relay.set_answer("flag", Err(status(503)));
            let change = if all {
                Invalidation::All
            } else {
                change_of("flag")
            };
            let details = if during {
                let relay = relay.manual();
                let before = relay.request_count();
                let call = tokio::spawn({
                    let goff = goff.clone();
                    async move { evaluate(&goff, String::new()).await }
                });
                relay.wait_for_requests(before + 1).await;
                goff.invalidation_sink().invalidate(change);
                while !relay.complete(before) {
                    tokio::task::yield_now().await;
                }
                call.await.unwrap()
            } else {
                goff.invalidation_sink().invalidate(change);
                evaluate(&goff, String::new()).await
            };
            assert!(details.error().is_some(), "{all} {during}: {details:?}");
        }
    }
}

/// Each stale answer of a caller that the relay proxy certainly did not evaluate for is an event.
#[tokio::test]
async fn stale_answers_are_recorded_once() {
    let (relay, goff) = expired(|options| options.stale_if_error(secs(60))).await;
    relay.set_answer("flag", Err(rate_limited()));
    evaluate(&goff, String::new()).await;
    relay.set_answer("flag", Err(status(503)));
    evaluate(&goff, String::new()).await;
    let usage = goff.stats().usage;
    assert_eq!((usage.recorded, usage.unknown), (1, 1), "{usage:?}");
    goff.flush(TIMEOUT).await;
    let event = serde_json::to_value(&relay.batches()[0].events[0]).unwrap();
    assert_eq!(
        (&event["source"], &event["default"]),
        (&json!("PROVIDER_CACHE"), &json!(false))
    );
    assert_eq!(event["value"], "old");
}
