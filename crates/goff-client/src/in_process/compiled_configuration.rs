//! One flag configuration, compiled: flags, enrichment and ETag, replaced together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, LazyLock, OnceLock};

use goff_core::__internal::{FlagKeyRef, flag_not_found};
use goff_core::{
    ContextError, ContextView, ErrorCode, Etag, EvaluationFailure, FlagConfiguration, FlagsJson,
    Origin, Reason, RelayError, Resolution, ResolutionError, SDK_DEFAULT_VARIANT,
};
use goff_engine::__internal::InOrder;
use goff_engine::{
    __internal, Evaluation, EvaluationError, Explanation, Flag, FlagContext, FlagSet, FlagSetError,
    Timestamp,
};
use serde::Deserialize;
use serde_json::Value;

use crate::client::flag_list::flag_list;
use crate::client::panicked::{caught, panicked};
use crate::details::{BorrowedOutcome, EvaluationDetails};
use crate::in_process::engine_context::EngineContext;
use crate::in_process::left_out::{FlagsError, LeftOut, TextProblem};
use crate::in_process::prepared::{CopyBudget, Prepared};
use crate::status::events::ChangedFlags;

/// An immutable flag configuration, ready to evaluate. Readers share it until the next one replaces
/// it (GOFF-IP-004, GOFF-LIFE-007).
pub(crate) struct CompiledConfiguration {
    flags: FlagSet,
    left_out: LeftOut,
    /// By the flag's index in the set. Shared with later configurations in which the flag is the
    /// same.
    prepared: Box<[OnceLock<Arc<Prepared>>]>,
    copies: CopyBudget,
    /// The enrichment. The default value is null: the caller's default never reaches the engine
    /// (GOFF-IP-014).
    flag_context: FlagContext,
    etag: Option<Etag>,
    /// The text of the flags, if it is that of each flag.
    received: Option<FlagsJson>,
    /// The number of the API key with which it was fetched.
    key: u64,
}

/// The result of an evaluation in this process, borrowed from the configuration.
pub(crate) struct LocalEvaluation<'k, 'r> {
    pub(crate) outcome: BorrowedOutcome<'k, 'r>,
    /// Whether the engine failed with `PARSE_ERROR` or `GENERAL`, so that the relay proxy may do
    /// better (GOFF-FALLBACK-001 to -003). The outcome holds unless it does.
    pub(crate) may_fall_back: bool,
}

/// The differences between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) added: BTreeSet<String>,
    pub(crate) updated: BTreeSet<String>,
    pub(crate) removed: BTreeSet<String>,
    pub(crate) enrichment: bool,
}

impl CompiledConfiguration {
    /// Compiles a received configuration. Absent `flags` mean no flags. Flags whose JSON is that of
    /// `earlier` keep their compiled form and their answers.
    ///
    /// # Errors
    /// A text that is no object of flags. A malformed flag only fails its own evaluations.
    pub(crate) fn compile(
        configuration: FlagConfiguration,
        earlier: Option<&Self>,
    ) -> Result<Self, FlagSetError> {
        let received = configuration.flags.unwrap_or_else(|| "{}".into());
        let (text, part) = received.clone().into_parts();
        let no_flags = FlagSet::default();
        let earlier_flags = earlier.map_or(&no_flags, |earlier| &earlier.flags);
        let flags = __internal::refreshed(earlier_flags, &text, part)?;
        let left_out = match earlier {
            None => LeftOut::of(&flags),
            Some(earlier) => earlier.left_out.refreshed(&earlier.flags, &flags),
        };
        let mut compiled = Self::new(flags, left_out);
        if let Some(earlier) = earlier {
            compiled.keep_prepared(earlier);
        }
        // Where flags have copies of their parts, the text would be in memory twice.
        let is_part = |flag| __internal::is_part_of(flag, &text);
        compiled.received = Some(received).filter(|_| compiled.flags.iter().all(is_part));
        compiled.flag_context.enrichment = configuration.enrichment;
        compiled.etag = configuration.etag;
        Ok(compiled)
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
            copies: CopyBudget::default(),
            flags,
            left_out,
            flag_context: FlagContext::default(),
            etag: None,
            received: None,
            key: 0,
        }
    }

    /// Takes over the answers of the flags that are the same in `earlier`.
    pub(crate) fn keep_prepared(&mut self, earlier: &Self) {
        let mut before = InOrder::new(&earlier.flags);
        for (flag, slot) in self.flags.iter().zip(&mut self.prepared) {
            let kept = before
                .find(flag.key())
                .filter(|(_, before)| __internal::is_same(flag, before))
                .and_then(|(index, _)| earlier.prepared.get(index)?.get());
            let is_left_out = self.left_out.reason(flag.key()).is_some();
            if let Some(kept) = kept.filter(|kept| kept.is_left_out == is_left_out) {
                kept.spend_again(&self.copies);
                *slot = OnceLock::from(Arc::clone(kept));
            }
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
        let flags = self.received.clone().unwrap_or_else(|| {
            let mut text = String::from("{");
            for flag in self.flags.iter() {
                if text.len() > 1 {
                    text.push(',');
                }
                text.push_str(&Value::from(flag.key()).to_string());
                text.push(':');
                text.push_str(flag.raw_json());
            }
            (text + "}").into()
        });
        FlagConfiguration::new(flags)
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

    /// Finds served flags whose keys come in about the order of the flags here.
    fn served_in_order<'s>(&'s self) -> impl FnMut(&str) -> Option<&'s Flag> {
        let mut flags = InOrder::new(&self.flags);
        move |key| {
            let (_, flag) = flags.find(key)?;
            self.left_out.reason(key).is_none().then_some(flag)
        }
    }

    pub(crate) fn etag(&self) -> Option<&Etag> {
        self.etag.as_ref()
    }

    /// Evaluates a flag. Borrows the context, never waits and never panics (GOFF-IP-013).
    pub(crate) fn evaluate<'k, 'r: 'k>(
        &'r self,
        flag_key: &'k str,
        context: &dyn ContextView,
        now: Timestamp,
    ) -> LocalEvaluation<'k, 'r> {
        let Some((flag, prepared)) = self.find(flag_key) else {
            let error = not_found(flag_key, self.left_out.reason(flag_key));
            return LocalEvaluation {
                outcome: BorrowedOutcome::failed(flag_key, error, Origin::InProcess),
                may_fall_back: false,
            };
        };
        let answers = prepared.answers(flag, &self.copies);
        let evaluation = |result, may_fall_back| LocalEvaluation {
            outcome: BorrowedOutcome {
                flag_key: FlagKeyRef::Shared(&answers.flag_key),
                result,
                origin: Origin::InProcess,
            },
            may_fall_back,
        };
        let failed = |error, may_fall_back| evaluation(Err(Box::new(error)), may_fall_back);
        if prepared.has_needs {
            return failed(needs_other_flags(flag), true);
        }
        let view = EngineContext(context);
        // A panic of the context or the engine costs this evaluation only.
        let evaluated = caught(flag_key, || {
            let result = flag.evaluate(&view, &self.flag_context, now);
            match &result.error {
                // A null value is rare, so the next question seldom comes up.
                None if result.value.is_null()
                    && __internal::serves_missing_variation(flag, &result) =>
                {
                    failed(missing(flag, &result), false)
                }
                None => match prepared.resolution(answers, &result, &self.copies, resolution) {
                    Some(resolution) => evaluation(Ok(resolution), false),
                    // The engine counts the answers that it gives, so there is a place for each.
                    None => failed(panicked(flag_key), true),
                },
                Some(error) => {
                    let (error, may_fall_back) = failure(flag, &result, error, context);
                    failed(error, may_fall_back)
                }
            }
        });
        evaluated.unwrap_or_else(|error| failed(error, true))
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names.
    pub(crate) fn evaluate_all(
        &self,
        context: &dyn ContextView,
        now: Timestamp,
    ) -> BTreeMap<String, EvaluationDetails<Value>> {
        let listed = flag_list(context);
        self.served()
            .map(Flag::key)
            .filter(|key| listed.as_ref().is_none_or(|listed| listed.contains(*key)))
            .map(|key| {
                let result = self.evaluate(key, context, now).outcome.result;
                let result = result.map(Arc::clone).map_err(|error| *error);
                (key.to_owned(), EvaluationDetails::of_bulk(result))
            })
            .collect()
    }

    /// Explains the evaluation of a flag. It ends as [`evaluate`](Self::evaluate) does without the
    /// relay proxy's help, and panics as little.
    pub(crate) fn explain(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        now: Timestamp,
    ) -> Explanation {
        let explained = match self.find(flag_key) {
            Some((flag, prepared)) if !prepared.has_needs => {
                let view = EngineContext(context);
                caught(flag_key, || flag.explain(&view, &self.flag_context, now)).ok()
            }
            _ => None,
        };
        match explained {
            Some(explained) if explained.error.is_none() && !explained.variant_missing => explained,
            explained => {
                let evaluated = self.evaluate(flag_key, context, now).outcome.result;
                let error = evaluated.map_or_else(|error| *error, |_| panicked(flag_key));
                let (code, message) = (error.code(), error.to_string());
                __internal::failed_explanation(explained, (flag_key, now), code.as_str(), &message)
            }
        }
    }

    fn find(&self, flag_key: &str) -> Option<(&Flag, &Prepared)> {
        let (index, flag) = __internal::get_full(&self.flags, flag_key)?;
        let prepared = self.prepared.get(index)?;
        let prepared = prepared.get_or_init(|| {
            let is_left_out = self.left_out.reason(flag_key).is_some();
            Arc::new(Prepared::new(flag, is_left_out))
        });
        (!prepared.is_left_out).then_some((flag, prepared))
    }

    /// Compares contents: the ETag may change while every flag stays the same (GOFF-EVT-004,
    /// docs/relay-protocol.md 20).
    pub(crate) fn difference(&self, earlier: &Self) -> Difference {
        let mut difference = Difference {
            enrichment: self.flag_context.enrichment != earlier.flag_context.enrichment,
            ..Difference::default()
        };
        let mut served_before = earlier.served_in_order();
        let mut kept = 0;
        for flag in self.served() {
            let Some(before) = served_before(flag.key()) else {
                difference.added.insert(flag.key().to_owned());
                continue;
            };
            kept += 1;
            if !is_same_flag(before, flag) {
                difference.updated.insert(flag.key().to_owned());
            }
        }
        // None was removed, then.
        if kept == earlier.flags.len() {
            return difference;
        }
        let mut served_now = self.served_in_order();
        for flag in earlier.served() {
            if served_now(flag.key()).is_none() {
                difference.removed.insert(flag.key().to_owned());
            }
        }
        difference
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
fn not_found(flag_key: &str, left_out_because: Option<&str>) -> ResolutionError {
    let details = match left_out_because {
        None => flag_not_found(flag_key),
        Some(reason) => {
            format!("flag `{flag_key}` is left out because it fails validation: {reason}")
        }
    };
    error(ErrorCode::FlagNotFound, details)
}

fn error(code: ErrorCode, details: String) -> ResolutionError {
    let failure = EvaluationFailure::new(code, details, Arc::clone(&NO_RESOLUTION));
    ResolutionError::InProcess(failure)
}

static NO_RESOLUTION: LazyLock<Arc<Resolution>> = LazyLock::new(|| {
    Arc::new(Resolution::new(Value::Null, Reason::Error).with_variant(SDK_DEFAULT_VARIANT))
});

fn is_same_flag(left: &Flag, right: &Flag) -> bool {
    __internal::is_same(left, right) || same_json(left.raw_json(), right.raw_json())
}

/// Whether two texts are the same JSON. The layout differs at the relay proxy's log level debug.
fn same_json(left: &str, right: &str) -> bool {
    let parse = |text| serde_json::from_str::<Value>(text);
    left == right || matches!((parse(left), parse(right)), (Ok(left), Ok(right)) if left == right)
}

impl fmt::Debug for CompiledConfiguration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CompiledConfiguration")
            .field("flags", &self.flags.len())
            .field("etag", &self.etag)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::ops::ControlFlow;
    use std::thread;

    use goff_core::{AttributeRef, EvaluationContext};
    use proptest::collection::vec;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn compiled(flags: &Value) -> CompiledConfiguration {
        after(None, &flags.to_string())
    }

    fn after(held: Option<&CompiledConfiguration>, flags: &str) -> CompiledConfiguration {
        let configuration = FlagConfiguration::new(flags.to_owned());
        CompiledConfiguration::compile(configuration, held).unwrap()
    }

    fn resolution(
        compiled: &CompiledConfiguration,
        flag: &str,
        name: &str,
        value: &str,
    ) -> Arc<Resolution> {
        let context = EvaluationContext::builder().attribute(name, value).build();
        let evaluation = compiled.evaluate(flag, &context, Timestamp::from_unix_seconds(0));
        Arc::clone(evaluation.outcome.result.unwrap())
    }

    fn targeted() -> CompiledConfiguration {
        compiled(&json!({"flag": {
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
        let compiled = targeted();
        for _ in 0..2 {
            let evaluation = compiled.evaluate("flag", &Broken, Timestamp::from_unix_seconds(0));
            assert!(evaluation.may_fall_back);
            let error = evaluation.outcome.result.unwrap_err();
            assert_eq!(error.code(), ErrorCode::General);
        }
        assert_eq!(resolution(&compiled, "flag", "plan", "pro").value, true);
    }

    /// Each resolution is made once.
    #[test]
    fn answers_are_shared() {
        let compiled = targeted();
        let of = |plan: &str| resolution(&compiled, "flag", "plan", plan);
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
        let compiled = compiled(&Value::Object(flags));
        thread::scope(|scope| {
            for thread in 0..4 {
                let compiled = &compiled;
                scope.spawn(move || {
                    let (side, sign) = if thread % 2 == 0 { ("a", 1) } else { ("b", -1) };
                    for round in 0..1000 {
                        let n = round % 64;
                        let flag = format!("flag-{n}");
                        let resolution = resolution(compiled, &flag, "side", side);
                        assert_eq!(resolution.value, json!(sign * n));
                    }
                });
            }
        });
    }

    /// A flag that is the same keeps its answers, and what is decided of it beside its JSON.
    #[test]
    fn unchanged_flags_keep_their_answers() {
        let flag = |value: &str| {
            format!(r#"{{"variations":{{"yes":{value}}},"defaultRule":{{"variation":"yes"}}}}"#)
        };
        let (one, two) = (flag("1"), flag("2"));
        let invalid = r#"{"variations":{"a":1},"defaultRule":{"variation":"b"}}"#;
        let held = after(
            None,
            &format!(r#"{{"same":{one},"other":{one},"bad":{invalid}}}"#),
        );
        let of = |compiled: &CompiledConfiguration, flag| resolution(compiled, flag, "plan", "pro");
        let [same, other] = ["same", "other"].map(|flag| of(&held, flag));
        let text = format!(r#"{{"new":{one},"same":{one},"bad":{invalid},"other":{two}}}"#);
        let next = after(Some(&held), &text);
        assert!(Arc::ptr_eq(&same, &of(&next, "same")));
        assert!(!Arc::ptr_eq(&other, &of(&next, "other")));
        assert_eq!(of(&next, "other").value, 2);
        // Flags of one JSON have one compiled form, and each its answers.
        assert!(!Arc::ptr_eq(&same, &of(&next, "new")));
        assert!(next.left_out().reason("bad").is_some());
    }

    const FLAGS: [&str; 7] = [
        r#"{"variations":{"a":1},"defaultRule":{"variation":"a"}}"#,
        r#"{"variations":{"a":2},"defaultRule":{"variation":"a"}}"#,
        // The same JSON as the first one.
        r#"{ "variations":{"a":1},"defaultRule":{"variation":"a"}}"#,
        r#"{"variations":{"a":1},"defaultRule":{"variation":"b"}}"#,
        r#"{"variations":{"a":1},"defaultRule":{"variation":"c"}}"#,
        r#"{"disable":"yes"}"#,
        r#"{"needs":[{"flag":"f0","value":true}],"variations":{"a":1},"defaultRule":{"variation":"a"}}"#,
    ];

    /// Compares every flag with every other, by parsed JSON.
    fn full_difference(
        before: &CompiledConfiguration,
        after: &CompiledConfiguration,
    ) -> Difference {
        let flags = |compiled: &CompiledConfiguration| -> BTreeMap<String, Value> {
            let json = |flag: &Flag| serde_json::from_str(flag.raw_json()).unwrap();
            compiled
                .served()
                .map(|flag| (flag.key().to_owned(), json(flag)))
                .collect()
        };
        let (before, after) = (flags(before), flags(after));
        let (kept, added) = after
            .keys()
            .cloned()
            .partition(|key| before.contains_key(key));
        let kept: BTreeSet<String> = kept;
        Difference {
            added,
            updated: kept
                .into_iter()
                .filter(|key| before[key] != after[key])
                .collect(),
            removed: before
                .into_keys()
                .filter(|key| !after.contains_key(key))
                .collect(),
            enrichment: false,
        }
    }

    proptest! {
        /// Through any sequence of configurations, a refreshed one is as one compiled anew.
        #[test]
        fn refreshed_configurations_are_those_compiled_anew(
            versions in vec(vec((0..5_usize, 0..FLAGS.len()), 0..8), 2..6),
        ) {
            let mut held: Option<CompiledConfiguration> = None;
            for version in versions {
                let flag = |(key, flag): &(usize, usize)| format!(r#""f{key}":{}"#, FLAGS[*flag]);
                let members: Vec<_> = version.iter().map(flag).collect();
                let text = format!("{{{}}}", members.join(","));
                let (next, anew) = (after(held.as_ref(), &text), after(None, &text));
                prop_assert_eq!(next.left_out(), anew.left_out());
                let context = EvaluationContext::default();
                let results = |compiled: &CompiledConfiguration| {
                    format!("{:?}", compiled.evaluate_all(&context, Timestamp::from_unix_seconds(0)))
                };
                prop_assert_eq!(results(&next), results(&anew));
                if let Some(held) = &held {
                    prop_assert_eq!(next.difference(held), full_difference(held, &anew));
                }
                held = Some(next);
            }
        }
    }

    #[test]
    fn difference_names_what_was_added_updated_and_removed() {
        let [one, two] = ["1", "2"].map(|version| {
            json!({
                "version": version, "variations": {"a": 1}, "defaultRule": {"variation": "a"},
            })
        });
        let before = compiled(&json!({"same": one, "gone": one, "é": one, "bad": {}}));
        let after = compiled(&json!({"same": one, "new": one, "é": two, "bad": {"version": "2"}}));
        let difference = after.difference(&before);
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&difference.added), ["new"]);
        assert_eq!(names(&difference.updated), ["é"]);
        assert_eq!(names(&difference.removed), ["gone"]);
        assert!(!difference.enrichment && !difference.is_empty());
        assert!(before.difference(&before).is_empty());
    }
}
