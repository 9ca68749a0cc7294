use std::sync::Arc;

use goff_core::{
    ContextError, ErrorCode, EvaluationContext, EvaluationFailure, Outcome, Reason, RelayError,
    Resolution, SDK_DEFAULT_VARIANT, Unreadable,
};
use goff_testkit::RecordingSink;
use proptest::prelude::*;
use serde_json::json;

use super::EvaluationType::{InProcess, Remote};
use super::*;

const ORIGINS: [Origin; 9] = [
    Origin::Relay,
    Origin::Cache,
    Origin::Shared,
    Origin::InProcess,
    Origin::Fallback(FallbackOrigin::Answered),
    Origin::Fallback(FallbackOrigin::NotEvaluated),
    Origin::Fallback(FallbackOrigin::Unknown),
    Origin::NotEvaluated,
    Origin::Unknown,
];

const TYPES: [EvaluationType; 2] = [Remote, InProcess];

/// The name of every kind of result.
const RESULTS: [&str; 7] = [
    "value", "disabled", "null", "failed", "mismatch", "refused", "notReady",
];

/// The errors of an evaluation that may not have taken place.
const ERRORS: [&str; 2] = ["failed", "refused"];

fn resolution(kind: &str, track_events: bool) -> Arc<Resolution> {
    let base = Resolution::new(json!("on"), Reason::Static)
        .with_variant("on-variant")
        .with_version("1.2.3")
        .with_track_events(track_events);
    Arc::new(match kind {
        "disabled" => base
            .with_value(json!(false))
            .with_reason(Reason::Disabled)
            .with_variant(SDK_DEFAULT_VARIANT),
        "null" => base.with_value(Value::Null),
        "failed" => base
            .with_value(Value::Null)
            .with_reason(Reason::Error)
            .with_variant(SDK_DEFAULT_VARIANT),
        _ => base,
    })
}

fn outcome(origin: Origin, kind: &str, track_events: bool) -> Outcome {
    let resolution = resolution(kind, track_events);
    let result = match kind {
        "failed" => {
            let failure =
                EvaluationFailure::new(ErrorCode::FlagNotFound, String::new(), resolution);
            Err(RelayError::Evaluation(failure).into())
        }
        "mismatch" => Err(ResolutionError::TypeMismatch {
            flag_key: "flag".to_owned(),
            wanted: "a boolean",
            found: "a string".to_owned(),
            resolution,
        }),
        "refused" => {
            Err(RelayError::InvalidContext(ContextError::new("rate", Unreadable::NotFinite)).into())
        }
        "notReady" => Err(ResolutionError::NotReady { reason: "closed" }),
        _ => Ok(resolution),
    };
    Outcome::new("flag", result.map_err(Box::new), origin)
}

fn decide(outcome: &Outcome, evaluation_type: EvaluationType) -> UsageDecision {
    let context = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("anonymous", true)
        .build();
    let default = || json!("caller's");
    UsageDecision::of(
        outcome.into(),
        &context,
        default,
        evaluation_type,
        1_795_333_949,
    )
}

/// The JSON of the event that is recorded.
fn wire(origin: Origin, kind: &str, evaluation_type: EvaluationType) -> Value {
    match decide(&outcome(origin, kind, true), evaluation_type) {
        UsageDecision::Record(event) => serde_json::to_value(event).unwrap(),
        decision => panic!("{origin:?} {kind}: {decision:?}"),
    }
}

/// Checks that an event is recorded for each of the results.
fn assert_recorded(origin: Origin, kinds: &[&str], evaluation_type: EvaluationType, source: &str) {
    for kind in kinds {
        let (value, variation, is_default) = match *kind {
            "value" => ("on", "on-variant", false),
            "disabled" => ("caller's", "SdkDefault", false),
            "null" => ("caller's", "on-variant", false),
            _ => ("caller's", "SdkDefault", true),
        };
        let event = wire(origin, kind, evaluation_type);
        let fields = ["value", "variation", "default", "source"].map(|field| &event[field]);
        let expected = json!([value, variation, is_default, source]);
        assert_eq!(json!(fields), expected, "{origin:?} {kind}");
    }
}

/// Checks the decision for each of the results of a tracked flag.
fn assert_decision(
    origin: Origin,
    kinds: &[&str],
    evaluation_type: EvaluationType,
    expected: &UsageDecision,
) {
    for kind in kinds {
        let decision = decide(&outcome(origin, kind, true), evaluation_type);
        assert_eq!(decision, *expected, "{origin:?} {kind}");
    }
}

/// GOFF-COLL-003 to -010.
#[test]
fn event_has_every_field_of_the_wire() {
    assert_eq!(
        wire(Origin::Cache, "value", Remote),
        json!({
            "kind": "feature", "contextKind": "anonymousUser", "userKey": "user-1",
            "creationDate": 1_795_333_949, "key": "flag", "variation": "on-variant",
            "value": "on", "default": false, "version": "1.2.3", "source": "PROVIDER_CACHE",
        })
    );
}

/// First row; GOFF-COLL-022.
#[test]
fn untracked_flag_is_never_recorded() {
    for origin in ORIGINS {
        for kind in ["value", "disabled", "null", "failed", "mismatch"] {
            for evaluation_type in TYPES {
                let decision = decide(&outcome(origin, kind, false), evaluation_type);
                assert_eq!(decision, UsageDecision::Skip, "{origin:?} {kind}");
            }
        }
    }
}

/// First row; GOFF-LIFE-006: before initialization and after shutdown.
#[test]
fn client_that_is_not_ready_records_nothing() {
    for origin in ORIGINS {
        for evaluation_type in TYPES {
            assert_decision(origin, &["notReady"], evaluation_type, &UsageDecision::Skip);
        }
    }
}

/// Second row; docs/python-parity.md A50; docs/python-parity.md C15; GOFF-COLL-010, GOFF-CACHE-007.
/// The relay proxy recorded only the caller whose request it answered.
#[test]
fn cache_hit_and_follower_are_recorded_as_the_providers_cache() {
    let kinds = ["value", "disabled", "null", "failed", "mismatch", "refused"];
    for origin in [Origin::Cache, Origin::Shared] {
        assert_recorded(origin, &kinds, Remote, "PROVIDER_CACHE");
    }
}

/// Third row, first case; docs/python-parity.md C47; GOFF-FALLBACK-006.
#[test]
fn fallback_that_was_answered_is_recorded_by_the_relay_proxy() {
    let origin = Origin::Fallback(FallbackOrigin::Answered);
    assert_decision(origin, &RESULTS, InProcess, &UsageDecision::Skip);
}

/// Third row, second case.
#[test]
fn fallback_with_unknown_outcome_is_only_counted() {
    let origin = Origin::Fallback(FallbackOrigin::Unknown);
    assert_decision(origin, &ERRORS, InProcess, &UsageDecision::Unknown);
}

/// Third row, third case.
#[test]
fn fallback_that_was_not_evaluated_is_an_in_process_error() {
    let origin = Origin::Fallback(FallbackOrigin::NotEvaluated);
    assert_recorded(origin, &ERRORS, InProcess, "INPROCESS");
}

/// Fourth row; docs/python-parity.md A51; docs/python-parity.md C15; GOFF-COLL-023.
#[test]
fn evaluation_by_the_relay_proxy_is_not_recorded_again() {
    assert_decision(Origin::Relay, &RESULTS, Remote, &UsageDecision::Skip);
}

/// Fifth row; GOFF-COLL-008, GOFF-COLL-010.
#[test]
fn in_process_evaluation_is_recorded() {
    let kinds = ["value", "disabled", "null", "failed", "mismatch"];
    assert_recorded(Origin::InProcess, &kinds, InProcess, "INPROCESS");
}

/// Sixth row; GOFF-COLL-021: an unknown flag is tracked.
#[test]
fn refused_evaluation_is_recorded_as_a_failure() {
    let origin = Origin::NotEvaluated;
    for (evaluation_type, source) in TYPES.into_iter().zip(["PROVIDER_CACHE", "INPROCESS"]) {
        assert_recorded(origin, &ERRORS, evaluation_type, source);
        for kind in ERRORS {
            let event = wire(origin, kind, evaluation_type);
            assert_eq!(event.get("version").is_some(), kind == "failed");
        }
    }
}

/// Seventh row.
#[test]
fn unknown_outcome_is_only_counted() {
    let (origin, unknown) = (Origin::Unknown, UsageDecision::Unknown);
    for evaluation_type in TYPES {
        assert_decision(origin, &ERRORS, evaluation_type, &unknown);
    }
}

#[test]
fn only_events_to_record_reach_the_sink() {
    let sink = RecordingSink::default();
    for origin in [Origin::Cache, Origin::Relay, Origin::Unknown] {
        decide(&outcome(origin, "value", true), Remote).record_in(&sink);
    }
    assert_eq!(sink.events().len(), 1);
}

proptest! {
    /// For any origin and result: the relay proxy records the evaluation, this client does, or it
    /// is unknown.
    #[test]
    fn every_outcome_has_exactly_one_decision(
        origin in prop::sample::select(&ORIGINS),
        kind in prop::sample::select(&RESULTS),
        track_events: bool,
        evaluation_type in prop::sample::select(&TYPES),
    ) {
        let outcome = outcome(origin, kind, track_events);
        let untracked = !track_events && outcome.resolution().is_some();
        use FallbackOrigin::{Answered, Unknown};
        let server_records = matches!(origin, Origin::Relay | Origin::Fallback(Answered));
        let is_unknown = matches!(origin, Origin::Unknown | Origin::Fallback(Unknown));
        match decide(&outcome, evaluation_type) {
            UsageDecision::Skip => {
                prop_assert!(untracked || kind == "notReady" || server_records);
            }
            UsageDecision::Unknown => prop_assert!(
                is_unknown && !untracked && kind != "notReady" && !server_records
            ),
            UsageDecision::Record(event) => {
                prop_assert!(!untracked && kind != "notReady");
                prop_assert!(!server_records && !is_unknown);
                prop_assert!(event.is_default || outcome.result.is_ok());
                prop_assert_eq!(event.value() == "on", event.default_value.is_none());
                prop_assert!(!event.is_default || event.default_value.is_some());
            }
        }
    }
}
