//! One flag configuration, compiled: flags, enrichment and ETag, replaced together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, LazyLock, OnceLock};
use std::time::SystemTime;

use goff_core::{
    AttributeRef, ContextError, ContextView, ErrorCode, Etag, EvaluationFailure, FlagConfiguration,
    GOFEATUREFLAG, Reason, RelayError, Resolution, ResolutionError, SDK_DEFAULT_VARIANT,
};
use goff_engine::{
    Evaluation, EvaluationError, Flag, FlagContext, FlagSet, FlagSetError, Timestamp,
};
use serde_json::Value;

use crate::details::EvaluationDetails;
use crate::in_process::engine_context::EngineContext;

/// A flag configuration that evaluates. It never changes; readers share one until the next takes
/// its place (GOFF-IP-004, GOFF-LIFE-007).
pub(crate) struct Snapshot {
    flags: FlagSet,
    /// By position of the flag in the set.
    prepared: Box<[OnceLock<Prepared>]>,
    /// The enrichment; the default is null, since a caller's own never reaches the engine
    /// (GOFF-IP-014).
    flag_context: FlagContext,
    etag: Option<Etag>,
}

/// What the answers of one flag have in common, and those that were given before.
struct Prepared {
    flag_key: Arc<str>,
    depends_on_time: bool,
    answers: Box<[OnceLock<Arc<Resolution>>]>,
    disabled: OnceLock<Arc<Resolution>>,
}

/// The outcome of an evaluation in this process.
pub(crate) struct Evaluated {
    pub(crate) flag_key: Arc<str>,
    /// Boxed where it failed: a result of two words is handed on in registers.
    pub(crate) result: Result<Arc<Resolution>, Box<Failed>>,
}

/// Why an evaluation in this process gave no value.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) error: ResolutionError,
    /// Whether the relay proxy may know better: the engine's own code was `PARSE_ERROR` or
    /// `GENERAL` (GOFF-FALLBACK-001 to -003).
    pub(crate) may_fall_back: bool,
}

/// What differs between two configurations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Difference {
    pub(crate) added: BTreeSet<String>,
    pub(crate) updated: BTreeSet<String>,
    pub(crate) removed: BTreeSet<String>,
    pub(crate) enrichment: bool,
}

impl Snapshot {
    /// Compiles a configuration as it was received. Absent flags are none.
    ///
    /// # Errors
    /// A text that is no object of flags. A flag that cannot be read is an error of its own
    /// evaluations only.
    pub(crate) fn compile(configuration: FlagConfiguration) -> Result<Self, FlagSetError> {
        let text = configuration.flags.as_deref().unwrap_or("{}");
        let flags = FlagSet::from_json(text.as_bytes())?;
        let mut snapshot = Self::new(flags);
        snapshot.flag_context.enrichment = configuration.enrichment;
        snapshot.etag = configuration.etag;
        Ok(snapshot)
    }

    /// Flags without enrichment and ETag, such as a file's.
    pub(crate) fn new(flags: FlagSet) -> Self {
        Self {
            prepared: (0..flags.len()).map(|_| OnceLock::new()).collect(),
            flags,
            flag_context: FlagContext::default(),
            etag: None,
        }
    }

    /// The configuration as it could have been received: the JSON of each flag is as it was.
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
        FlagConfiguration {
            flags: Some(text.into()),
            enrichment: self.flag_context.enrichment.clone(),
            etag: self.etag.clone(),
        }
    }

    pub(crate) fn etag(&self) -> Option<&Etag> {
        self.etag.as_ref()
    }

    /// Evaluates a flag. It borrows the context, waits for nothing and never panics
    /// (GOFF-IP-013).
    pub(crate) fn evaluate(&self, flag_key: &str, context: &dyn ContextView) -> Evaluated {
        let Some((index, flag)) = self.find(flag_key) else {
            return not_found(flag_key);
        };
        let Some(prepared) = self.prepared(index, flag) else {
            return not_found(flag_key);
        };
        let now = if prepared.depends_on_time {
            SystemTime::now().into()
        } else {
            Timestamp::from_unix_seconds(0)
        };
        let view = EngineContext(context);
        let result = catch_unwind(AssertUnwindSafe(|| {
            let evaluation = flag.evaluate(&view, &self.flag_context, now);
            match &evaluation.error {
                None => Ok(prepared.resolution(&evaluation)),
                Some(error) => Err(failed(flag, &evaluation, error, context)),
            }
        }));
        Evaluated {
            flag_key: Arc::clone(&prepared.flag_key),
            result: result.unwrap_or_else(|_| Err(panicked(flag))),
        }
    }

    /// Evaluates every flag, or those of the context's `gofeatureflag.flagList` that are here.
    pub(crate) fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> BTreeMap<String, EvaluationDetails<Value>> {
        let listed = flag_list(context);
        self.flags
            .iter()
            .map(Flag::key)
            .filter(|key| listed.as_ref().is_none_or(|listed| listed.contains(*key)))
            .map(|key| {
                let result = self.evaluate(key, context).result;
                let result = result.map_err(|failed| failed.error);
                (key.to_owned(), EvaluationDetails::of_bulk(result))
            })
            .collect()
    }

    #[inline]
    fn find(&self, flag_key: &str) -> Option<(usize, &Flag)> {
        let index = self.flags.index_of(flag_key)?;
        Some((index, self.flags.get_index(index)?))
    }

    #[inline]
    fn prepared(&self, index: usize, flag: &Flag) -> Option<&Prepared> {
        let slot = self.prepared.get(index)?;
        Some(slot.get_or_init(|| Prepared::new(flag)))
    }

    /// Compares contents: an ETag can change without a flag having changed (GOFF-EVT-004;
    /// relay-protocol 20.1).
    pub(crate) fn difference(&self, earlier: &Self) -> Difference {
        let mut difference = Difference {
            enrichment: self.flag_context.enrichment != earlier.flag_context.enrichment,
            ..Difference::default()
        };
        for flag in self.flags.iter() {
            match earlier.flags.get(flag.key()) {
                None => {
                    difference.added.insert(flag.key().to_owned());
                }
                Some(before) if !same_json(before.raw_json(), flag.raw_json()) => {
                    difference.updated.insert(flag.key().to_owned());
                }
                Some(_) => {}
            }
        }
        for flag in earlier.flags.iter() {
            if self.flags.get(flag.key()).is_none() {
                difference.removed.insert(flag.key().to_owned());
            }
        }
        difference
    }
}

impl Failed {
    fn boxed(error: ResolutionError, may_fall_back: bool) -> Box<Self> {
        Box::new(Self {
            error,
            may_fall_back,
        })
    }
}

impl Difference {
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Prepared {
    fn new(flag: &Flag) -> Self {
        Self {
            flag_key: flag.key().into(),
            depends_on_time: flag.depends_on_time(),
            answers: flag.answers().map(|_| OnceLock::new()).collect(),
            disabled: OnceLock::new(),
        }
    }

    /// The answer as it travels from here on, made when it is given for the first time.
    #[inline]
    fn resolution(&self, evaluation: &Evaluation<'_>) -> Arc<Resolution> {
        let slot = match evaluation.answer {
            Some(answer) => self.answers.get(answer),
            // Without an answer or an error the flag is disabled, whose value is no part of it.
            None => Some(&self.disabled),
        };
        match slot {
            Some(slot) => Arc::clone(slot.get_or_init(|| Arc::new(resolution(evaluation)))),
            None => Arc::new(resolution(evaluation)),
        }
    }
}

fn resolution(evaluation: &Evaluation<'_>) -> Resolution {
    Resolution {
        value: evaluation.value.clone(),
        reason: evaluation.reason.as_str().into(),
        variant: (!evaluation.variant.is_empty()).then(|| evaluation.variant.to_owned()),
        metadata: evaluation.metadata_map().into(),
        version: (!evaluation.version.is_empty()).then(|| evaluation.version.to_owned()),
        track_events: evaluation.track_events,
        cacheable: evaluation.cacheable,
    }
}

#[cold]
fn failed(
    flag: &Flag,
    evaluation: &Evaluation<'_>,
    error: &EvaluationError<'_>,
    context: &dyn ContextView,
) -> Box<Failed> {
    let code = ErrorCode::from(error.code().as_str());
    // The decision is taken on the engine's own code (GOFF-FALLBACK-002).
    let may_fall_back = matches!(code, ErrorCode::ParseError | ErrorCode::General);
    if let EvaluationError::UnreadableAttribute(name) = error
        && let Some(error) = unreadable(name, context)
    {
        return Failed::boxed(RelayError::InvalidContext(error).into(), false);
    }
    let mut resolution = resolution(evaluation);
    if matches!(error, EvaluationError::Rejected(_)) {
        // Of a flag that cannot be read this much may be (GOFF-COLL-020, GOFF-IP-016).
        resolution.track_events = is_tracked(flag.raw_json());
    }
    let failure = EvaluationFailure {
        code,
        details: error.to_string(),
        resolution: Arc::new(resolution),
    };
    Failed::boxed(ResolutionError::InProcess(failure), may_fall_back)
}

/// Why an attribute cannot be read, in the words that remote evaluation has for it.
fn unreadable(name: &str, context: &dyn ContextView) -> Option<ContextError> {
    let reason = context.attribute(name)?.to_json().err()?;
    Some(ContextError {
        attribute: name.to_owned(),
        reason,
    })
}

/// The flags that a bulk evaluation is restricted to, if it is (relay-protocol 6.3).
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
    serde_json::from_str::<Value>(flag)
        .ok()
        .and_then(|flag| flag.get("trackEvents")?.as_bool())
        .unwrap_or(true)
}

/// GOFF-IP-012, GOFF-COLL-021.
#[cold]
fn not_found(flag_key: &str) -> Evaluated {
    let failure = EvaluationFailure {
        code: ErrorCode::FlagNotFound,
        details: format!("flag `{flag_key}` was not found"),
        resolution: Arc::clone(&NO_RESOLUTION),
    };
    Evaluated {
        flag_key: flag_key.into(),
        result: Err(Failed::boxed(ResolutionError::InProcess(failure), false)),
    }
}

/// GOFF-IP-013.
#[cold]
fn panicked(flag: &Flag) -> Box<Failed> {
    let failure = EvaluationFailure {
        code: ErrorCode::General,
        details: format!("the evaluation of flag `{}` panicked", flag.key()),
        resolution: Arc::clone(&NO_RESOLUTION),
    };
    Failed::boxed(ResolutionError::InProcess(failure), true)
}

static NO_RESOLUTION: LazyLock<Arc<Resolution>> = LazyLock::new(|| {
    Arc::new(Resolution {
        reason: Reason::Error,
        variant: Some(SDK_DEFAULT_VARIANT.to_owned()),
        ..Resolution::default()
    })
});

/// Whether two texts are the same JSON, however they are laid out: at log level debug a relay
/// proxy indents.
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
        Snapshot::compile(FlagConfiguration {
            flags: Some(flags.to_string().into()),
            ..FlagConfiguration::default()
        })
        .unwrap()
    }

    fn targeted() -> Snapshot {
        snapshot(&json!({"flag": {
            "variations": {"yes": true, "no": false},
            "targeting": [{"query": "plan eq \"pro\"", "variation": "yes"}],
            "defaultRule": {"variation": "no"},
        }}))
    }

    /// A context that breaks its promises.
    #[derive(Debug)]
    struct Broken;

    impl ContextView for Broken {
        fn targeting_key(&self) -> Option<&str> {
            None
        }

        fn attribute(&self, _: &str) -> Option<AttributeRef<'_>> {
            panic!("on purpose")
        }

        fn visit<'s>(
            &'s self,
            _: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
        ) -> ControlFlow<()> {
            ControlFlow::Continue(())
        }
    }

    /// GOFF-IP-013, GOFF-EVAL-011: whatever panics, the caller gets an error, and the next
    /// evaluation its value.
    #[test]
    fn panic_of_an_evaluation_is_general() {
        let snapshot = targeted();
        for _ in 0..2 {
            let evaluated = snapshot.evaluate("flag", &Broken);
            let failed = evaluated.result.unwrap_err();
            assert_eq!(failed.error.code(), ErrorCode::General);
            assert!(failed.may_fall_back);
        }
        let context = EvaluationContext::builder()
            .attribute("plan", "pro")
            .build();
        let evaluated = snapshot.evaluate("flag", &context);
        assert_eq!(evaluated.result.unwrap().value, true);
    }

    /// An answer is made once, however often it is given.
    #[test]
    fn answers_are_shared() {
        let snapshot = targeted();
        let resolution = |plan: &str| {
            let context = EvaluationContext::builder().attribute("plan", plan).build();
            snapshot.evaluate("flag", &context).result.unwrap()
        };
        assert!(Arc::ptr_eq(&resolution("pro"), &resolution("pro")));
        assert!(!Arc::ptr_eq(&resolution("pro"), &resolution("free")));
    }

    /// GOFF-LIFE-007: many threads, one snapshot; each flag gives its own values.
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
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let snapshot = &snapshot;
                scope.spawn(move || {
                    let side = if thread % 2 == 0 { "a" } else { "b" };
                    let sign = if thread % 2 == 0 { 1 } else { -1 };
                    let context = EvaluationContext::builder().attribute("side", side).build();
                    for round in 0..1000 {
                        let n = round % 64;
                        let evaluated = snapshot.evaluate(&format!("flag-{n}"), &context);
                        assert_eq!(evaluated.result.unwrap().value, json!(sign * n));
                    }
                });
            }
        });
    }

    #[test]
    fn difference_names_what_was_added_updated_and_removed() {
        let before =
            snapshot(&json!({"same": {"version": "1"}, "gone": {}, "é": {"version": "1"}}));
        let after = snapshot(&json!({"same": {"version": "1"}, "new": {}, "é": {"version": "2"}}));
        let difference = after.difference(&before);
        let names = |names: &BTreeSet<String>| names.iter().cloned().collect::<Vec<_>>();
        assert_eq!(names(&difference.added), ["new"]);
        assert_eq!(names(&difference.updated), ["é"]);
        assert_eq!(names(&difference.removed), ["gone"]);
        assert!(!difference.enrichment && !difference.is_empty());
        assert!(before.difference(&before).is_empty());
    }
}
