//! Which evaluations are recorded, and as what: the one table.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use goff_core::{
    AttributeRef, ContextKind, ContextView, EvaluationType, EventSink, EventSource, FallbackOrigin,
    FeatureEvent, Origin, Outcome, Resolution, ResolutionError, UNDEFINED_TARGETING_KEY,
};
use serde_json::Value;

/// What usage data make of one evaluation.
#[derive(Debug, Clone, PartialEq)]
pub enum Usage {
    /// It is recorded here, because nobody else does.
    Record(FeatureEvent),
    /// It is not recorded: the relay proxy did, the flag is not tracked, or nothing was evaluated.
    None,
    /// Perhaps the relay proxy recorded it. It is counted, not recorded: a lost event is the
    /// lesser fault than one that is counted twice.
    Unknown,
}

impl Usage {
    /// Hands it to whoever collects usage data.
    pub fn record_in(self, sink: &dyn EventSink) {
        match self {
            Self::Record(event) => sink.record(event.into()),
            Self::None => {}
            Self::Unknown => sink.note_unknown(),
        }
    }
}

/// The usage data of one evaluation. The first row that fits decides (GOFF-COLL-010, -020 to -023,
/// GOFF-FALLBACK-006, Python C15, C47; what the relay proxy records by itself is upstream
/// `variation.go` `notifyVariation`):
///
/// | outcome | event |
/// |---|---|
/// | the flag has `trackEvents: false`, or the client is not ready | none |
/// | from the cache, or from a request shared with another caller | `PROVIDER_CACHE` |
/// | fallback: the relay proxy answered · outcome unknown · certainly not evaluated | none · unknown · `INPROCESS` with `default: true` |
/// | the relay proxy evaluated it, with an error too | none |
/// | evaluated in this process | `INPROCESS` |
/// | certainly not evaluated | `PROVIDER_CACHE`, in-process mode `INPROCESS`; with `default: true` |
/// | unknown | unknown |
///
/// `default: true` otherwise says that the evaluation failed, which a disabled flag and a null
/// value did not. `caller_default` is what the caller was served wherever the flag gave no value;
/// it is called only then. Where it cannot be known, as through the OpenFeature SDK, it is null.
pub fn usage(
    outcome: &Outcome,
    context: &dyn ContextView,
    caller_default: impl FnOnce() -> Value,
    evaluation_type: EvaluationType,
    now_seconds: i64,
) -> Usage {
    match verdict(outcome, evaluation_type) {
        Verdict::Record(recorded) => Usage::Record(recorded.event(
            Whose {
                context_kind: context_kind(context),
                user_key: user_key(context),
                flag_key: outcome.flag_key.clone(),
                resolution: outcome.resolution().cloned(),
            },
            caller_default,
            now_seconds,
        )),
        Verdict::None => Usage::None,
        Verdict::Unknown => Usage::Unknown,
    }
}

/// Records an evaluation of which nobody needs the outcome any more, and without a default that is
/// known: as [`usage`], but nothing is shared that can be handed over.
#[cfg(feature = "open-feature")]
pub(crate) fn record_last(
    outcome: Outcome,
    context_kind: ContextKind,
    user_key: &str,
    evaluation_type: EvaluationType,
    sink: &dyn EventSink,
) {
    match verdict(&outcome, evaluation_type) {
        Verdict::Record(recorded) => {
            let now_seconds = unix_seconds();
            let Outcome {
                flag_key, result, ..
            } = outcome;
            let whose = Whose {
                context_kind,
                user_key,
                flag_key,
                resolution: match result {
                    Ok(resolution) => Some(resolution),
                    Err(error) => error.resolution().cloned(),
                },
            };
            sink.record(recorded.event(whose, || Value::Null, now_seconds).into());
        }
        Verdict::None => {}
        Verdict::Unknown => sink.note_unknown(),
    }
}

/// What is to be recorded of an outcome, before it is.
enum Verdict {
    Record(Recorded),
    None,
    Unknown,
}

/// What an event says of the outcome itself.
struct Recorded {
    source: EventSource,
    failed: bool,
    has_value: bool,
}

/// Whose evaluation of which flag an event tells of.
struct Whose<'a> {
    context_kind: ContextKind,
    user_key: &'a str,
    flag_key: Arc<str>,
    resolution: Option<Arc<Resolution>>,
}

fn verdict(outcome: &Outcome, evaluation_type: EvaluationType) -> Verdict {
    let (source, failed) = match fate(outcome, evaluation_type) {
        Fate::Record(source) => (source, outcome.result.is_err()),
        Fate::RecordFailure(source) => (source, true),
        Fate::None => return Verdict::None,
        Fate::Unknown => return Verdict::Unknown,
    };
    let resolution = outcome.resolution();
    Verdict::Record(Recorded {
        source,
        failed,
        has_value: !failed && resolution.is_some_and(|resolution| has_value(resolution)),
    })
}

impl Recorded {
    #[inline]
    fn event(
        self,
        whose: Whose<'_>,
        caller_default: impl FnOnce() -> Value,
        now_seconds: i64,
    ) -> FeatureEvent {
        FeatureEvent {
            context_kind: whose.context_kind,
            user_key: whose.user_key.into(),
            creation_date_seconds: now_seconds,
            flag_key: whose.flag_key,
            resolution: whose.resolution,
            default_value: (!self.has_value).then(|| Box::new(caller_default())),
            is_default: self.failed,
            source: self.source,
        }
    }
}

/// Unix time in whole seconds, as events carry it (GOFF-COLL-007).
#[must_use]
pub fn unix_seconds() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|elapsed| i64::try_from(elapsed.as_secs()).ok())
        .unwrap_or_default()
}

/// Only the boolean true makes a user anonymous (GOFF-COLL-005, Python C25).
pub(crate) fn context_kind(context: &dyn ContextView) -> ContextKind {
    kind_by(context.attribute(ANONYMOUS))
}

/// The same, by that attribute.
pub(crate) fn kind_by(anonymous: Option<AttributeRef<'_>>) -> ContextKind {
    match anonymous {
        Some(AttributeRef::Bool(true) | AttributeRef::Json(Value::Bool(true))) => {
            ContextKind::AnonymousUser
        }
        _ => ContextKind::User,
    }
}

/// An empty targeting key is none (GOFF-COLL-006).
pub(crate) fn user_key(context: &dyn ContextView) -> &str {
    context
        .targeting_key()
        .filter(|key| !key.is_empty())
        .unwrap_or(UNDEFINED_TARGETING_KEY)
}

/// The attribute that makes a user anonymous.
pub(crate) const ANONYMOUS: &str = "anonymous";

enum Fate {
    /// With `default: true` if the evaluation failed.
    Record(EventSource),
    /// With `default: true` in any case: nothing was evaluated.
    RecordFailure(EventSource),
    None,
    Unknown,
}

fn fate(outcome: &Outcome, evaluation_type: EvaluationType) -> Fate {
    // A flag of which nothing is known is tracked (GOFF-COLL-020, GOFF-COLL-021).
    if outcome
        .resolution()
        .is_some_and(|resolution| !resolution.track_events)
        || matches!(&outcome.result, Err(error) if matches!(**error, ResolutionError::NotReady { .. }))
    {
        return Fate::None;
    }
    match (outcome.origin, evaluation_type) {
        (Origin::Cache | Origin::Shared, _) => Fate::Record(EventSource::ProviderCache),
        (Origin::Fallback(FallbackOrigin::Answered) | Origin::Relay, _) => Fate::None,
        (Origin::Fallback(FallbackOrigin::NotEvaluated), _)
        | (Origin::NotEvaluated, EvaluationType::InProcess) => {
            Fate::RecordFailure(EventSource::InProcess)
        }
        (Origin::InProcess, _) => Fate::Record(EventSource::InProcess),
        (Origin::NotEvaluated, EvaluationType::Remote) => {
            Fate::RecordFailure(EventSource::ProviderCache)
        }
        (Origin::Fallback(FallbackOrigin::Unknown) | Origin::Unknown, _) => Fate::Unknown,
    }
}

fn has_value(resolution: &Resolution) -> bool {
    !resolution.is_disabled() && !resolution.value.is_null()
}

#[cfg(test)]
mod tests {
    use goff_core::{
        Attribute, ContextError, ErrorCode, EvaluationContext, EvaluationFailure, Reason,
        RelayError, SDK_DEFAULT_VARIANT, Unreadable,
    };
    use proptest::prelude::*;
    use serde_json::json;

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

    const TYPES: [EvaluationType; 2] = [EvaluationType::Remote, EvaluationType::InProcess];

    /// Every kind of result, by name.
    const RESULTS: [&str; 7] = [
        "value", "disabled", "null", "failed", "mismatch", "refused", "notReady",
    ];

    fn resolution(kind: &str, track_events: bool) -> Arc<Resolution> {
        let base = Resolution {
            value: json!("on"),
            reason: Reason::Static,
            variant: Some("on-variant".to_owned()),
            version: Some("1.2.3".to_owned()),
            track_events,
            ..Resolution::default()
        };
        Arc::new(match kind {
            "disabled" => Resolution {
                value: json!(false),
                reason: Reason::Disabled,
                variant: Some(SDK_DEFAULT_VARIANT.to_owned()),
                ..base
            },
            "null" => Resolution {
                value: Value::Null,
                ..base
            },
            "failed" => Resolution {
                value: Value::Null,
                reason: Reason::Error,
                variant: Some(SDK_DEFAULT_VARIANT.to_owned()),
                ..base
            },
            _ => base,
        })
    }

    fn outcome(origin: Origin, kind: &str, track_events: bool) -> Outcome {
        let resolution = resolution(kind, track_events);
        let result = match kind {
            "failed" => Err(RelayError::Evaluation(EvaluationFailure {
                code: ErrorCode::FlagNotFound,
                details: String::new(),
                resolution,
            })
            .into()),
            "mismatch" => Err(ResolutionError::TypeMismatch {
                flag_key: "flag".to_owned(),
                wanted: "a boolean",
                found: "a string".to_owned(),
                resolution,
            }),
            "refused" => Err(RelayError::InvalidContext(ContextError {
                attribute: "rate".to_owned(),
                reason: Unreadable::NotFinite,
            })
            .into()),
            "notReady" => Err(ResolutionError::NotReady { reason: "closed" }),
            _ => Ok(resolution),
        };
        Outcome {
            flag_key: "flag".into(),
            result: result.map_err(Box::new),
            origin,
        }
    }

    fn usage_of(outcome: &Outcome, evaluation_type: EvaluationType) -> Usage {
        let context = EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("anonymous", true)
            .build();
        usage(
            outcome,
            &context,
            || json!("caller's"),
            evaluation_type,
            1_795_333_949,
        )
    }

    /// The event as the collector reads it; null for none, "unknown" for unknown.
    fn wire(origin: Origin, kind: &str, evaluation_type: EvaluationType) -> Value {
        wire_of(&outcome(origin, kind, true), evaluation_type)
    }

    fn wire_of(outcome: &Outcome, evaluation_type: EvaluationType) -> Value {
        match usage_of(outcome, evaluation_type) {
            Usage::Record(event) => serde_json::to_value(event).unwrap(),
            Usage::None => Value::Null,
            Usage::Unknown => json!("unknown"),
        }
    }

    /// (value, variation, default, source).
    fn brief(wire: &Value) -> (&Value, &str, bool, &str) {
        (
            &wire["value"],
            wire["variation"].as_str().unwrap(),
            wire["default"].as_bool().unwrap(),
            wire["source"].as_str().unwrap(),
        )
    }

    /// GOFF-COLL-003 to -010: a cache hit, as a whole.
    #[test]
    fn event_carries_what_the_collector_reads() {
        assert_eq!(
            wire(Origin::Cache, "value", EvaluationType::Remote),
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
                    assert_eq!(
                        usage_of(&outcome(origin, kind, false), evaluation_type),
                        Usage::None,
                        "{origin:?} {kind}"
                    );
                }
            }
        }
    }

    /// GOFF-LIFE-006: refused before initialisation and after shutdown, without an event.
    #[test]
    fn client_that_is_not_ready_records_nothing() {
        for origin in ORIGINS {
            for evaluation_type in TYPES {
                assert_eq!(wire(origin, "notReady", evaluation_type), Value::Null);
            }
        }
    }

    /// Second row; Python A50, C15: the server recorded only the caller who asked.
    /// GOFF-COLL-010, GOFF-CACHE-007.
    #[test]
    fn cache_hit_and_follower_are_recorded_as_the_providers_cache() {
        for origin in [Origin::Cache, Origin::Shared] {
            for (kind, value, variation, default) in [
                ("value", json!("on"), "on-variant", false),
                ("disabled", json!("caller's"), "SdkDefault", false),
                ("null", json!("caller's"), "on-variant", false),
                ("failed", json!("caller's"), "SdkDefault", true),
                ("mismatch", json!("caller's"), "SdkDefault", true),
                ("refused", json!("caller's"), "SdkDefault", true),
            ] {
                let event = wire(origin, kind, EvaluationType::Remote);
                assert_eq!(
                    brief(&event),
                    (&value, variation, default, "PROVIDER_CACHE"),
                    "{origin:?} {kind}"
                );
            }
        }
    }

    /// Third row, first case; GOFF-FALLBACK-006, Python C47.
    #[test]
    fn fallback_that_was_answered_is_the_relay_proxys_to_record() {
        for kind in RESULTS {
            assert_eq!(
                wire(
                    Origin::Fallback(FallbackOrigin::Answered),
                    kind,
                    EvaluationType::InProcess
                ),
                Value::Null,
                "{kind}"
            );
        }
    }

    /// Third row, second case.
    #[test]
    fn fallback_with_unknown_outcome_is_only_counted() {
        let origin = Origin::Fallback(FallbackOrigin::Unknown);
        for kind in ["failed", "refused"] {
            assert_eq!(wire(origin, kind, EvaluationType::InProcess), "unknown");
        }
    }

    /// Third row, third case.
    #[test]
    fn fallback_that_reached_nobody_is_a_failure_of_this_process() {
        let origin = Origin::Fallback(FallbackOrigin::NotEvaluated);
        for kind in ["failed", "refused"] {
            let event = wire(origin, kind, EvaluationType::InProcess);
            let value = json!("caller's");
            assert_eq!(brief(&event), (&value, "SdkDefault", true, "INPROCESS"));
        }
    }

    /// Fourth row; GOFF-COLL-023, Python A51, C15: unknown flags and type mismatches too.
    #[test]
    fn what_the_relay_proxy_evaluated_is_not_recorded_again() {
        for kind in RESULTS {
            assert_eq!(
                wire(Origin::Relay, kind, EvaluationType::Remote),
                Value::Null,
                "{kind}"
            );
        }
    }

    /// Fifth row.
    /// GOFF-COLL-008, GOFF-COLL-010.
    #[test]
    fn evaluation_in_this_process_is_recorded_as_such() {
        for (kind, value, variation, default) in [
            ("value", json!("on"), "on-variant", false),
            ("disabled", json!("caller's"), "SdkDefault", false),
            ("null", json!("caller's"), "on-variant", false),
            ("failed", json!("caller's"), "SdkDefault", true),
            ("mismatch", json!("caller's"), "SdkDefault", true),
        ] {
            let event = wire(Origin::InProcess, kind, EvaluationType::InProcess);
            assert_eq!(
                brief(&event),
                (&value, variation, default, "INPROCESS"),
                "{kind}"
            );
        }
    }

    /// Sixth row: the client's record is the only one.
    /// GOFF-COLL-021: one of which nothing is known.
    #[test]
    fn refused_evaluation_is_recorded_as_a_failure() {
        let value = json!("caller's");
        for (evaluation_type, source) in [
            (EvaluationType::Remote, "PROVIDER_CACHE"),
            (EvaluationType::InProcess, "INPROCESS"),
        ] {
            for kind in ["failed", "refused"] {
                let event = wire(Origin::NotEvaluated, kind, evaluation_type);
                assert_eq!(brief(&event), (&value, "SdkDefault", true, source));
                assert_eq!(event.get("version").is_some(), kind == "failed");
            }
        }
    }

    /// Seventh row.
    #[test]
    fn unknown_outcome_is_only_counted() {
        for kind in ["failed", "refused"] {
            for evaluation_type in TYPES {
                assert_eq!(wire(Origin::Unknown, kind, evaluation_type), "unknown");
            }
        }
    }

    /// GOFF-COLL-005, Python C25: not even the text "true".
    #[test]
    fn only_boolean_true_makes_a_user_anonymous() {
        for (anonymous, kind) in [
            (Some(Attribute::from(true)), ContextKind::AnonymousUser),
            (Some(Attribute::from(false)), ContextKind::User),
            (Some(Attribute::from("true")), ContextKind::User),
            (Some(Attribute::from("false")), ContextKind::User),
            (Some(Attribute::from(1)), ContextKind::User),
            (Some(Attribute::from(json!([true]))), ContextKind::User),
            (Some(Attribute::from(f64::NAN)), ContextKind::User),
            (None, ContextKind::User),
        ] {
            let context = anonymous
                .iter()
                .fold(EvaluationContext::builder(), |builder, anonymous| {
                    builder.attribute("anonymous", anonymous.clone())
                })
                .build();
            assert_eq!(context_kind(&context), kind, "{anonymous:?}");
        }
    }

    /// GOFF-COLL-006.
    #[test]
    fn missing_and_empty_targeting_keys_have_the_agreed_user_key() {
        let with = |key| EvaluationContext::builder().targeting_key(key).build();
        for (context, expected) in [
            (with("user-1"), "user-1"),
            (with(""), "undefined-targetingKey"),
            (EvaluationContext::default(), "undefined-targetingKey"),
        ] {
            assert_eq!(user_key(&context), expected);
        }
    }

    /// GOFF-COLL-007.
    #[test]
    fn clock_tells_seconds() {
        assert!((1_700_000_000..9_999_999_999).contains(&unix_seconds()));
    }

    #[test]
    fn sink_is_told_what_it_needs() {
        let sink = goff_testkit::RecordingSink::default();
        for origin in [Origin::Cache, Origin::Relay, Origin::Unknown] {
            usage_of(&outcome(origin, "value", true), EvaluationType::Remote).record_in(&sink);
        }
        assert_eq!(sink.events().len(), 1);
    }

    proptest! {
        /// Every outcome has exactly one fate, whatever the origin and the result: the relay proxy
        /// records it, this client does, nobody may, or nobody can tell.
        #[test]
        fn every_outcome_has_exactly_one_fate(
            origin in prop::sample::select(&ORIGINS),
            kind in prop::sample::select(&RESULTS),
            track_events: bool,
            evaluation_type in prop::sample::select(&TYPES),
        ) {
            let outcome = outcome(origin, kind, track_events);
            let untracked = !track_events && outcome.resolution().is_some();
            let server_records = matches!(
                origin,
                Origin::Relay | Origin::Fallback(FallbackOrigin::Answered)
            );
            let nobody_can_tell = matches!(
                origin,
                Origin::Unknown | Origin::Fallback(FallbackOrigin::Unknown)
            );
            match usage_of(&outcome, evaluation_type) {
                Usage::None => prop_assert!(untracked || kind == "notReady" || server_records),
                Usage::Unknown => prop_assert!(
                    nobody_can_tell && !untracked && kind != "notReady" && !server_records
                ),
                Usage::Record(event) => {
                    prop_assert!(!untracked && kind != "notReady");
                    prop_assert!(!server_records && !nobody_can_tell);
                    prop_assert!(event.is_default || outcome.result.is_ok());
                    prop_assert_eq!(event.value() == "on", event.default_value.is_none());
                    prop_assert!(!event.is_default || event.default_value.is_some());
                }
            }
        }
    }
}
