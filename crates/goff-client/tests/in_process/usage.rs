//! Usage data of in-process evaluation.

use serde_json::Map;

use crate::*;

async fn events(goff: &GoFeatureFlag, relay: &ScriptedRelay) -> Vec<Value> {
    goff.flush(DEADLINE).await;
    relay
        .batches()
        .iter()
        .flat_map(|batch| {
            let batch = serde_json::to_value(batch).unwrap();
            batch.get("events").unwrap().as_array().unwrap().clone()
        })
        .collect()
}

/// GOFF-COLL-010, -020, -021, -022: each evaluation once, as `INPROCESS`; `default` only for an error;
/// no event of an untracked flag.
#[tokio::test(start_paused = true)]
async fn evaluations_are_recorded_as_in_process() {
    let relay = ScriptedRelay::new();
    let mut untracked = giving(1);
    untracked["trackEvents"] = json!(false);
    let mut disabled = giving(1);
    disabled["disable"] = json!(true);
    let mut versioned = giving(1);
    versioned["version"] = json!("1.2.3");
    relay.set_flags(
        &json!({
            "flag": versioned, "untracked": untracked, "disabled": disabled,
            "null": giving(Value::Null), "text": giving("é"),
        }),
        None,
    );
    let goff = goff(&relay).await;
    let nan = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("anonymous", true)
        .build();
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
    relay.set_flags(
        &json!({"off": {"disable": 1, "trackEvents": false}, "on": {"disable": 1}}),
        None,
    );
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

    let disabled = options(&relay).disable_data_collection(true);
    let goff = GoFeatureFlag::connect(disabled).await.unwrap();
    evaluate(&goff, 0_i64).await;
    goff.track("checkout", &context(), Map::new()).unwrap();
    assert_eq!(goff.shutdown(DEADLINE).await.recorded, 0);
}
