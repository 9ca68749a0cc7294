//! Usage data of in-process evaluation.

use crate::*;

async fn events(goff: &GoFeatureFlag, relay: &ScriptedRelay) -> Vec<Value> {
    goff.flush(TIMEOUT).await;
    let batches = relay.batches().into_iter();
    let events = batches.flat_map(|batch| batch.events);
    events
        .map(|event| serde_json::to_value(event).unwrap())
        .collect()
}

/// GOFF-COLL-010, -020, -021, -022: each evaluation once, as `INPROCESS`; `default` only for an error;
/// no event of an untracked flag.
#[tokio::test(start_paused = true)]
async fn evaluations_are_recorded_as_in_process() {
    let untracked = with(giving(1), "trackEvents", false);
    let disabled = with(giving(1), "disable", true);
    let versioned = with(giving(1), "version", "1.2.3");
    let (relay, goff) = serving(json!({
        "flag": versioned, "untracked": untracked, "disabled": disabled,
        "null": null_since_a_step(), "text": giving("é"),
    }))
    .await;
    let nan = having("anonymous", true);
    for flag in ["flag", "untracked", "disabled", "null", "text", "unknown"] {
        goff.evaluate(flag, &nan, 9_i64).await;
    }
    let events = events(&goff, &relay).await;
    let seen: Vec<_> = events
        .iter()
        .map(|event| {
            assert_eq!(event["source"], "INPROCESS");
            assert_eq!(event["contextKind"], "anonymousUser");
            assert_eq!(event["userKey"], "user-1");
            (
                event["key"].as_str().unwrap(),
                event["default"].as_bool().unwrap(),
                event["variation"].as_str().unwrap(),
                event["value"].clone(),
            )
        })
        .collect();
    assert_eq!(
        seen,
        [
            ("flag", false, "A", json!(1)),
            ("disabled", false, "SdkDefault", json!(9)),
            ("null", false, "A", json!(9)),
            ("text", true, "SdkDefault", json!(9)),
            ("unknown", true, "SdkDefault", json!(9)),
        ]
    );
    assert_eq!(events[0]["version"], "1.2.3");
}

/// GOFF-COLL-022, GOFF-IP-016: `trackEvents` counts in a malformed flag too.
#[tokio::test(start_paused = true)]
async fn malformed_untracked_flag_stays_untracked() {
    let relay = ScriptedRelay::new()
        .with_answer("off", Err(status(404)))
        .with_answer("on", Err(status(404)));
    let flags = json!({"off": {"disable": 1, "trackEvents": false}, "on": {"disable": 1}});
    relay.set_flags(&flags, None);
    let goff = goff(&relay).await;
    for flag in ["off", "on"] {
        let details = goff.evaluate(flag, &context(), 0_i64).await;
        assert_eq!(code(&details), Some(ErrorCode::ParseError));
    }
    let events = events(&goff, &relay).await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["key"], "on");
}

/// GOFF-TRACK-002, GOFF-TRACK-003; nothing is recorded before the flags are loaded.
#[tokio::test(start_paused = true)]
async fn tracking_works_in_process() {
    let relay = relay(1);
    relay.set_configuration_failure(Some(unavailable()));
    let goff = goff(&relay).await;
    evaluate(&goff, 0_i64).await;
    assert_eq!(goff.stats().usage.recorded, 0);
    relay.set_configuration_failure(None);
    assert!(goff.wait_until_ready(INTERVAL).await);
    goff.track("checkout", &context(), Map::new()).unwrap();
    let events = events(&goff, &relay).await;
    assert_eq!(events[0]["kind"], "tracking");

    let goff = connect(options(&relay).disable_data_collection(true)).await;
    evaluate(&goff, 0_i64).await;
    goff.track("checkout", &context(), Map::new()).unwrap();
    assert_eq!(goff.shutdown(TIMEOUT).await.recorded, 0);
}
