//! One flag configuration, compiled: flags, enrichment and ETag, replaced together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

use goff_core::__internal::flag_not_found;
use goff_core::{
    AttributeRef, ContextError, ContextView, ErrorCode, Etag, EvaluationFailure, FlagConfiguration,
    GOFEATUREFLAG, Origin, Outcome, Reason, RelayError, Resolution, ResolutionError,
    SDK_DEFAULT_VARIANT,
};
use goff_engine::{
    __internal, Evaluation, EvaluationError, Flag, FlagContext, FlagSet, FlagSetError, Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

use crate::details::EvaluationDetails;
use crate::in_process::engine_context::EngineContext;
use crate::in_process::left_out::{FlagsError, LeftOut, TextProblem};
use crate::status::events::ChangedFlags;

/// An immutable flag configuration, ready to evaluate. Readers share it until the next one replaces
/// it (GOFF-IP-004, GOFF-LIFE-007).
pub(crate) struct Snapshot {
    flags: FlagSet,
    left_out: LeftOut,
    /// By the flag's index in the set.
    prepared: Box<[OnceLock<Prepared>]>,
    /// The enrichment. The default value is null: the caller's default never reaches the engine
    /// (GOFF-IP-014).
    flag_context: FlagContext,
    etag: Option<Etag>,
    /// The number of the API key with which it was fetched.
    key: u64,
}

/// The resolutions of one flag, each made when it is first served and shared from then on.
struct Prepared {
    flag_key: Arc<str>,
    is_left_out: bool,
    /// Whether the flag depends on others, which the engine does not evaluate.
    has_needs: bool,
    answers: Box<[OnceLock<Arc<Resolution>>]>,
    disabled: OnceLock<Arc<Resolution>>,
}

/// The result of an evaluation in this process.
pub(crate) enum LocalEvaluation {
    /// A value or an error that stands.
    Done(Outcome),
    /// The engine failed with `PARSE_ERROR` or `GENERAL`, so the relay proxy may do better
    /// (GOFF-FALLBACK-001 to -003). The outcome holds unless it does.
    FallBack(Outcome),
}

/// The differences between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) added: BTreeSet<String>,
    pub(crate) updated: BTreeSet<String>,
    pub(crate) removed: BTreeSet<String>,
    pub(crate) enrichment: bool,
}

impl Snapshot {
    /// Compiles a received configuration. Absent `flags` mean no flags.
    ///
    /// # Errors
    /// A text that is no object of flags. A malformed flag only fails its own evaluations.
    pub(crate) fn compile(configuration: FlagConfiguration) -> Result<Self, FlagSetError> {
        let text = configuration.flags.as_deref().unwrap_or("{}");
        let flags = FlagSet::from_json(text.as_bytes())?;
        let left_out = LeftOut::of(&flags);
        let mut snapshot = Self::new(flags, left_out);
        snapshot.flag_context.enrichment = configuration.enrichment;
        snapshot.etag = configuration.etag;
        Ok(snapshot)
    }

    /// Compiles the flags of a text that is part of the program.
    ///
    /// # Errors
    /// A text that is no object of flags, or has a flag that fails validation.
    pub(crate) fn of_text(text: &str) -> Result<Self, FlagsError> {
        let flags = FlagSet::from_json(text.as_bytes())
            .map_err(|error| FlagsError(TextProblem::NoFlags(error)))?;
        FlagsError::check(&flags)?;
        Ok(Self::new(flags, LeftOut::default()))
    }

    /// Flags without enrichment and ETag, as from a file.
    pub(crate) fn new(flags: FlagSet, left_out: LeftOut) -> Self {
        Self {
            prepared: (0..flags.len()).map(|_| OnceLock::new()).collect(),
            flags,
            left_out,
            flag_context: FlagContext::default(),
            etag: None,
            key: 0,
        }
    }

    /// Marks it as fetched with the API key of this number.
    pub(crate) fn of_key(mut self, number: u64) -> Self {
        self.key = number;
        self
    }

    /// Whether it was fetched with the API key of this number.
    pub(crate) fn is_of_key(&self, number: u64) -> bool {
        self.key == number
    }

    /// The configuration as it was received, with the original JSON of each flag.
    pub(crate) fn configuration(&self) -> FlagConfiguration {
        let mut text = String::from("{");
        for flag in self.flags.iter() {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(&Value::from(flag.key()).to_string());
            text.push(':');
            text.push_str(flag.raw_json());
        }
        text.push('}');
        FlagConfiguration::new(text)
            .with_enrichment(self.flag_context.enrichment.clone())
            .with_etag(self.etag.clone())
    }

    /// The number of flags.
    pub(crate) fn len(&self) -> usize {
        self.flags.len()
    }

    pub(crate) fn left_out(&self) -> &LeftOut {
        &self.left_out
    }

    fn served(&self) -> impl Iterator<Item = &Flag> {
        let is_served = |flag: &&Flag| self.left_out.reason(flag.key()).is_none();
        self.flags.iter().filter(is_served)
    }

    pub(crate) fn etag(&self) -> Option<&Etag> {
        self.etag.as_ref()
    }

    /// Evaluates a flag. Borrows the context, never waits and never panics (GOFF-IP-013).
    pub(crate) fn evaluate(&self, flag_key: &str, context: &dyn ContextView) -> LocalEvaluation {
        let Some((flag, prepared)) = self.find(flag_key) else {
            return LocalEvaluation::Done(not_found(flag_key, self.left_out.reason(flag_key)));
        };
        let outcome =
            |result| Outcome::new(Arc::clone(&prepared.flag_key), result, Origin::InProcess);
        if prepared.has_needs {
            let error = needs_other_flags(flag);
            return LocalEvaluation::FallBack(outcome(Err(Box::new(error))));
        }
        let view = EngineContext(context);
        let now = Timestamp::from(SystemTime::now());
        // A panic of the context or the engine costs this evaluation only.
        let evaluated = catch_unwind(AssertUnwindSafe(|| {
            let evaluation = flag.evaluate(&view, &self.flag_context, now);
            match &evaluation.error {
                // A null value is rare, so the next question seldom comes up.
                None if evaluation.value.is_null()
                    && __internal::serves_missing_variation(flag, &evaluation) =>
                {
                    LocalEvaluation::Done(outcome(Err(Box::new(missing(flag, &evaluation)))))
                }
                None => LocalEvaluation::Done(outcome(Ok(prepared.resolution(&evaluation)))),
                Some(error) => {
                    let (error, may_fall_back) = failure(flag, &evaluation, error, context);
                    let outcome = outcome(Err(Box::new(error)));
                    match may_fall_back {
                        true => LocalEvaluation::FallBack(outcome),
                        false => LocalEvaluation::Done(outcome),
                    }
                }
            }
        }));
        evaluated.unwrap_or_else(|_| {
            let details = format!("the evaluation of flag `{flag_key}` panicked");
            let error = error(ErrorCode::General, details);
            LocalEvaluation::FallBack(outcome(Err(Box::new(error))))
        })
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names.
    pub(crate) fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> BTreeMap<String, EvaluationDetails<Value>> {
        let listed = flag_list(context);
        self.served()
            .map(Flag::key)
            .filter(|key| listed.as_ref().is_none_or(|listed| listed.contains(*key)))
            .map(|key| {
                let outcome = self.evaluate(key, context).outcome();
                let result = outcome.result.map_err(|error| *error);
                (key.to_owned(), EvaluationDetails::of_bulk(result))
            })
            .collect()
    }

    fn find(&self, flag_key: &str) -> Option<(&Flag, &Prepared)> {
        let (index, flag) = __internal::get_full(&self.flags, flag_key)?;
        let prepared = self.prepared.get(index)?;
        let prepared = prepared.get_or_init(|| Prepared {
            is_left_out: self.left_out.reason(flag_key).is_some(),
            ..Prepared::new(flag)
        });
        (!prepared.is_left_out).then_some((flag, prepared))
    }

    /// The flag of this key, if it is served.
    fn served_flag(&self, flag_key: &str) -> Option<&Flag> {
        let flag = self.flags.get(flag_key)?;
        self.left_out.reason(flag_key).is_none().then_some(flag)
    }

    /// Compares contents: the ETag may change while every flag stays the same (GOFF-EVT-004,
    /// docs/relay-protocol.md 20).
    pub(crate) fn difference(&self, earlier: &Self) -> Difference {
        let mut difference = Difference {
            enrichment: self.flag_context.enrichment != earlier.flag_context.enrichment,
            ..Difference::default()
        };
        for flag in self.served() {
            match earlier.served_flag(flag.key()) {
                None => {
                    difference.added.insert(flag.key().to_owned());
                }
                Some(before) if !same_json(before.raw_json(), flag.raw_json()) => {
                    difference.updated.insert(flag.key().to_owned());
                }
                Some(_) => {}
            }
        }
        for flag in earlier.served() {
            if self.served_flag(flag.key()).is_none() {
                difference.removed.insert(flag.key().to_owned());
            }
        }
        difference
    }
}

impl LocalEvaluation {
    /// The outcome without the relay proxy's help.
    pub(crate) fn outcome(self) -> Outcome {
        match self {
            Self::Done(outcome) | Self::FallBack(outcome) => outcome,
        }
    }
}

impl Difference {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl From<Difference> for ChangedFlags {
    fn from(difference: Difference) -> Self {
        Self::Compared {
            added: difference.added,
            updated: difference.updated,
            removed: difference.removed,
            enrichment: difference.enrichment,
        }
    }
}

impl Prepared {
    fn new(flag: &Flag) -> Self {
        Self {
            flag_key: flag.key().into(),
            is_left_out: false,
            has_needs: flag.needs().len() > 0,
            answers: (0..__internal::answer_count(flag))
                .map(|_| OnceLock::new())
                .collect(),
            disabled: OnceLock::new(),
        }
    }

    fn resolution(&self, evaluation: &Evaluation<'_>) -> Arc<Resolution> {
        let slot = match __internal::answer(evaluation) {
            Some(answer) => self.answers.get(answer),
            // No answer and no error: the flag is disabled.
            None => Some(&self.disabled),
        };
        match slot {
            Some(slot) => Arc::clone(slot.get_or_init(|| Arc::new(resolution(evaluation)))),
            None => Arc::new(resolution(evaluation)),
        }
    }
}

fn resolution(evaluation: &Evaluation<'_>) -> Resolution {
    let named = |name: &str| (!name.is_empty()).then(|| name.to_owned());
    let mut resolution =
        Resolution::new(evaluation.value.clone(), evaluation.reason.as_str().into())
            .with_metadata(evaluation.metadata_map())
            .with_track_events(evaluation.track_events)
            .with_cacheable(evaluation.cacheable);
    resolution.variant = named(evaluation.variant);
    resolution.version = named(evaluation.version);
    resolution
}

/// The error of an evaluation, and whether the relay proxy may do better, which the engine's own
/// code decides (GOFF-FALLBACK-002).
#[cold]
fn failure(
    flag: &Flag,
    evaluation: &Evaluation<'_>,
    error: &EvaluationError<'_>,
    context: &dyn ContextView,
) -> (ResolutionError, bool) {
    let code = ErrorCode::from(error.code().as_str());
    let may_fall_back = matches!(code, ErrorCode::ParseError | ErrorCode::General);
    if let EvaluationError::UnreadableAttribute(name) = error
        && let Some(error) = unreadable(name, context)
    {
        return (RelayError::InvalidContext(error).into(), false);
    }
    let mut resolution = resolution(evaluation);
    if matches!(error, EvaluationError::Rejected(_)) {
        // A malformed flag still says whether it is tracked (GOFF-COLL-020, GOFF-IP-016).
        resolution.track_events = is_tracked(flag.raw_json());
    }
    let failure = EvaluationFailure::new(code, error.to_string(), Arc::new(resolution));
    (ResolutionError::InProcess(failure), may_fall_back)
}

/// A flag has `needs`. Relay proxies to come serve it as disabled unless each flag in that list has
/// the expected value (`thomaspoignant/go-feature-flag`, issue 5567 and pull request 5583:
/// `"needs": [{"flag": "payments", "value": true}]`); 1.55.2 ignores the member. Ignoring it here
/// would turn on what the relay proxy has turned off.
#[cold]
fn needs_other_flags(flag: &Flag) -> ResolutionError {
    let key = flag.key();
    let details = format!(
        "flag `{key}` depends on other flags by its member `needs`, which is not evaluated in process; ask the relay proxy for it"
    );
    let mut resolution =
        Resolution::new(Value::Null, Reason::Error).with_variant(SDK_DEFAULT_VARIANT);
    resolution.track_events = is_tracked(flag.raw_json());
    let failure = EvaluationFailure::new(ErrorCode::General, details, Arc::new(resolution));
    ResolutionError::InProcess(failure)
}

/// A flag serves a variation that it does not have. The engine's answer is null.
#[cold]
fn missing(flag: &Flag, evaluation: &Evaluation<'_>) -> ResolutionError {
    let details = format!(
        "flag `{}` serves variation `{}`, which does not exist; correct it in the flag",
        flag.key(),
        evaluation.variant
    );
    let mut resolution = resolution(evaluation);
    resolution.reason = Reason::Error;
    resolution.variant = Some(SDK_DEFAULT_VARIANT.to_owned());
    let failure = EvaluationFailure::new(
        ErrorCode::from("FLAG_CONFIG"),
        details,
        Arc::new(resolution),
    );
    ResolutionError::InProcess(failure)
}

/// Why an attribute cannot be read, worded as in remote evaluation.
fn unreadable(name: &str, context: &dyn ContextView) -> Option<ContextError> {
    let reason = context.attribute(name)?.to_json().err()?;
    Some(ContextError::new(name, reason))
}

/// The flags that the context restricts a bulk evaluation to (docs/relay-protocol.md 6.3).
fn flag_list(context: &dyn ContextView) -> Option<BTreeSet<String>> {
    let goff = context.attribute(GOFEATUREFLAG)?;
    let goff = AttributeRef::into_map(goff)?;
    let listed: BTreeSet<_> = goff
        .get("flagList")?
        .as_array()?
        .iter()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    (!listed.is_empty()).then_some(listed)
}

fn is_tracked(flag: &str) -> bool {
    // The rest, which may be large, is skipped.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Tracked {
        track_events: Option<bool>,
    }
    let tracked = serde_json::from_str::<Tracked>(flag).ok();
    tracked.and_then(|flag| flag.track_events).unwrap_or(true)
}

/// GOFF-IP-012, GOFF-COLL-021.
#[cold]
fn not_found(flag_key: &str, left_out_because: Option<&str>) -> Outcome {
    let details = match left_out_because {
        None => flag_not_found(flag_key),
        Some(reason) => {
            format!("flag `{flag_key}` is left out because it fails validation: {reason}")
        }
    };
    let error = error(ErrorCode::FlagNotFound, details);
    Outcome::new(flag_key, Err(Box::new(error)), Origin::InProcess)
}

fn error(code: ErrorCode, details: String) -> ResolutionError {
    let failure = EvaluationFailure::new(code, details, Arc::clone(&NO_RESOLUTION));
    ResolutionError::InProcess(failure)
}

/// Frees a configuration where that delays no evaluation: waits up to 100 ms for its readers. Blocks.
pub(crate) fn retire(snapshot: Arc<Snapshot>) {
    for _ in 0..100 {
        if Arc::strong_count(&snapshot) == 1 {
            break;
        }
        thread::sleep(Duration::from_millis(1));
    }
    drop(snapshot);
}

static NO_RESOLUTION: LazyLock<Arc<Resolution>> = LazyLock::new(|| {
    Arc::new(Resolution::new(Value::Null, Reason::Error).with_variant(SDK_DEFAULT_VARIANT))
});

/// Whether two texts are the same JSON. The layout differs at the relay proxy's log level debug.
fn same_json(left: &str, right: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text);
    left == right || matches!((parse(left), parse(right)), (Ok(left), Ok(right)) if left == right)
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Snapshot")
            .field("flags", &self.flags.len())
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;

    use goff_core::EvaluationContext;
    use serde_json::json;

    use super::*;

    fn snapshot(flags: &Value) -> Snapshot {
        Snapshot::compile(FlagConfiguration::new(flags.to_string())).unwrap()
    }

    fn resolution(snapshot: &Snapshot, flag: &str, name: &str, value: &str) -> Arc<Resolution> {
        let context = EvaluationContext::builder().attribute(name, value).build();
        snapshot.evaluate(flag, &context).outcome().result.unwrap()
    }

    fn targeted() -> Snapshot {
        snapshot(&json!({"flag": {
            "variations": {"yes": true, "no": false},
            "targeting": [{"query": "plan eq \"pro\"", "variation": "yes"}],
            "defaultRule": {"variation": "no"},
        }}))
    }

    /// A context that panics.
    #[derive(Debug)]
    struct Broken;

    impl ContextView for Broken {
        fn targeting_key(&self) -> Option<&str> {
            None
        }

        fn attribute(&self, _: &str) -> Option<AttributeRef<'_>> {
            panic!("by design")
        }

        fn visit<'s>(
            &'s self,
            _: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
        ) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    /// GOFF-IP-013, GOFF-EVAL-011: a panic is an error of this evaluation, and the next one works.
    #[test]
    fn panic_of_an_evaluation_is_general() {
        let snapshot = targeted();
        for _ in 0..2 {
            let LocalEvaluation::FallBack(outcome) = snapshot.evaluate("flag", &Broken) else {
                panic!("no fallback");
            };
            assert_eq!(outcome.result.unwrap_err().code(), ErrorCode::General);
        }
        assert_eq!(resolution(&snapshot, "flag", "plan", "pro").value, true);
    }

    /// Each resolution is made once.
    #[test]
    fn answers_are_shared() {
        let snapshot = targeted();
        let of = |plan: &str| resolution(&snapshot, "flag", "plan", plan);
        assert!(Arc::ptr_eq(&of("pro"), &of("pro")));
        assert!(!Arc::ptr_eq(&of("pro"), &of("free")));
    }

    /// GOFF-LIFE-007.
    #[test]
    fn concurrent_evaluations_do_not_mix() {
        let flags: serde_json::Map<_, _> = (0..64)
            .map(|n| {
                let flag = json!({
                    "variations": {"A": n, "B": -n},
                    "targeting": [{"query": "side eq \"b\"", "variation": "B"}],
                    "defaultRule": {"variation": "A"},
                });
                (format!("flag-{n}"), flag)
            })
            .collect();
        let snapshot = snapshot(&Value::Object(flags));
        thread::scope(|scope| {
            for thread in 0..4 {
                let snapshot = &snapshot;
                scope.spawn(move || {
                    let (side, sign) = if thread % 2 == 0 { ("a", 1) } else { ("b", -1) };
                    for round in 0..1000 {
                        let n = round % 64;
                        let flag = format!("flag-{n}");
                        let resolution = resolution(snapshot, &flag, "side", side);
                        assert_eq!(resolution.value, json!(sign * n));
                    }
                });
            }
        });
    }

    #[test]
    fn difference_names_what_was_added_updated_and_removed() {
        let [one, two] = ["1", "2"].map(|version| {
            json!({
                "version": version, "variations": {"a": 1}, "defaultRule": {"variation": "a"},
            })
        });
        let before = snapshot(&json!({"same": one, "gone": one, "é": one, "bad": {}}));
        let after = snapshot(&json!({"same": one, "new": one, "é": two, "bad": {"version": "2"}}));
        let difference = after.difference(&before);
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&difference.added), ["new"]);
        assert_eq!(names(&difference.updated), ["é"]);
        assert_eq!(names(&difference.removed), ["gone"]);
        assert!(!difference.enrichment && !difference.is_empty());
        assert!(before.difference(&before).is_empty());
    }
}
