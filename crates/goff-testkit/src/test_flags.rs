//! [`TestFlags`]: flags that a test sets one by one.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use goff_core::{
    BulkEvaluation, ConfigurationUpdate, ContextError, ContextView, Etag, EvaluationFailure, Event,
    EventBatch, FlagConfiguration, Invalidation, InvalidationSink, Reason, RelayClient, RelayError,
    Resolution,
};
use goff_engine::{
    __internal, Evaluation, Flag, FlagContext, FlagFile, FlagFileFormat, FlagSet, SDK_DEFAULT,
    Timestamp,
};
use serde_json::{Map, Value, json};

/// Flags in memory for tests of an application: pass them to the client as its relay proxy, and
/// change them as the test goes on. Clones share one state.
///
/// Both evaluation types work: `TestFlags` evaluates with `goff-engine`, and serves its flags as
/// a flag configuration for in-process evaluation. Rules work, with
/// [`set_flag`](Self::set_flag). Numbers are doubles, as in the JSON of a relay proxy.
///
/// After [`announce_to`](Self::announce_to), a change is in effect when the call that makes it
/// returns, with remote evaluation. With in-process evaluation the client loads it in a background
/// task: subscribe before the change with `goff.subscribe()`, and wait for
/// `ClientEvent::ConfigurationChanged`.
///
/// It needs no I/O, so it works with tokio's paused clock. Timers of the client follow that clock:
/// timeouts, polling and delivery. The expiry of cached answers (`cache_ttl`), the time of an
/// evaluation, which rollouts depend on, and the dates of usage data follow the system's clock.
///
/// ```
/// use std::sync::Arc;
/// use goff_core::{EvaluationContext, RelayClient};
/// use goff_testkit::TestFlags;
/// use serde_json::json;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let flags = TestFlags::new().with("new-checkout", true).with("banner", "summer");
///
/// // let options = GoFeatureFlagOptions::with_relay_client(Arc::new(flags.clone()));
/// // let goff = GoFeatureFlag::connect(options).await?;
/// // flags.announce_to(goff.invalidation_sink());
/// let relay: Arc<dyn RelayClient> = Arc::new(flags.clone());
/// let user = EvaluationContext::builder()
///     .targeting_key("user-1")
///     .attribute("plan", "pro")
///     .build();
/// assert_eq!(relay.evaluate("new-checkout", &user).await?.value, true);
///
/// flags.set("new-checkout", false);
/// flags.set_flag("banner", json!({
///     "variations": {"pro": "gold", "others": "summer"},
///     "targeting": [{"query": "plan eq \"pro\"", "variation": "pro"}],
///     "defaultRule": {"variation": "others"},
/// }))?;
/// assert_eq!(relay.evaluate("new-checkout", &user).await?.value, false);
/// assert_eq!(relay.evaluate("banner", &user).await?.value, "gold");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct TestFlags(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// Each flag in the form of a flag configuration.
    flags: BTreeMap<String, Value>,
    compiled: Arc<FlagSet>,
    enrichment: Map<String, Value>,
    /// Increases with each change.
    version: u64,
    batches: Vec<EventBatch>,
    sinks: Vec<Arc<dyn InvalidationSink>>,
}

/// A flag definition that a relay proxy would refuse.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagError(String);

impl fmt::Display for FlagError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FlagError {}

impl TestFlags {
    /// No flags: every evaluation is `FLAG_NOT_FOUND`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// As [`set`](Self::set), for chaining.
    #[must_use]
    pub fn with(self, flag_key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.set(flag_key, value);
        self
    }

    /// As [`set_flag`](Self::set_flag), for chaining.
    ///
    /// # Errors
    /// A flag that a relay proxy would refuse.
    pub fn with_flag(self, flag_key: impl Into<String>, flag: Value) -> Result<Self, FlagError> {
        self.set_flag(flag_key, flag)?;
        Ok(self)
    }

    /// Gives a flag one value for every context: variant `value`, reason `STATIC`. A relay proxy
    /// would refuse the value null, so that a flag with it is left out, with a warning.
    pub fn set(&self, flag_key: impl Into<String>, value: impl Into<Value>) {
        self.put(flag_key.into(), with_one_value(value.into()));
    }

    /// Replaces a flag with a definition as in a flag file: variations, rules, rollouts.
    ///
    /// # Errors
    /// A flag that a relay proxy would refuse; the earlier flag stays.
    pub fn set_flag(&self, flag_key: impl Into<String>, flag: Value) -> Result<(), FlagError> {
        let flag_key = flag_key.into();
        let file = json!({&flag_key: flag}).to_string();
        let file = FlagFile::parse(&file, FlagFileFormat::Json)
            .map_err(|error| FlagError(error.to_string()))?;
        if let Some(problem) = file.problems.first() {
            let (key, message) = (problem.flag(), problem.message());
            return Err(FlagError(format!("flag `{key}`: {message}")));
        }
        self.put(flag_key, flag);
        Ok(())
    }

    /// Disables a flag, so that callers get their default. An unknown flag is added, disabled.
    pub fn disable(&self, flag_key: impl Into<String>) {
        let flag_key = flag_key.into();
        let known = self.lock().flags.get(&flag_key).cloned();
        let mut flag = known.unwrap_or_else(|| with_one_value(true.into()));
        if let Some(members) = flag.as_object_mut() {
            members.insert("disable".to_owned(), true.into());
        }
        self.put(flag_key, flag);
    }

    /// Removes a flag: its evaluation is `FLAG_NOT_FOUND` again.
    pub fn remove(&self, flag_key: &str) {
        self.change([flag_key.to_owned()], |state| {
            state.flags.remove(flag_key);
        });
    }

    /// Adds an attribute to every evaluation context. It overrides an attribute of the caller.
    pub fn enrich(&self, name: impl Into<String>, value: impl Into<Value>) {
        let keys: Vec<String> = self.lock().flags.keys().cloned().collect();
        self.change(keys, |state| {
            state.enrichment.insert(name.into(), value.into());
        });
    }

    /// Announces every later change to a sink, before the call that makes the change returns.
    /// With `goff.invalidation_sink()`, the client then serves no value from before the change.
    pub fn announce_to(&self, sink: Arc<dyn InvalidationSink>) {
        self.lock().sinks.push(sink);
    }

    /// The usage data that clients delivered, in order. With remote evaluation that is answers from the
    /// cache, evaluations that failed before a request, and tracking events; the evaluations that
    /// these flags answered are not in it, as a relay proxy records those itself.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        let state = self.lock();
        let events = state.batches.iter().flat_map(|batch| &batch.events);
        events.cloned().collect()
    }

    /// The collected usage data in their batches, in order.
    #[must_use]
    pub fn batches(&self) -> Vec<EventBatch> {
        self.lock().batches.clone()
    }

    fn put(&self, flag_key: String, flag: Value) {
        let compiled = Flag::from_json(&flag_key, flag.to_string().as_bytes());
        if let Err(invalid) = compiled.validate() {
            tracing::warn!("flag `{flag_key}` fails validation and is left out: {invalid}");
        }
        self.change([flag_key.clone()], |state| {
            state.flags.insert(flag_key, flag);
        });
    }

    fn change(&self, keys: impl IntoIterator<Item = String>, change: impl FnOnce(&mut State)) {
        let sinks = {
            let mut state = self.lock();
            change(&mut state);
            state.version += 1;
            let text = serde_json::to_string(&state.flags).unwrap_or_default();
            // Reading cannot fail: the text is an object of flags.
            let all = FlagSet::from_json(text.as_bytes()).unwrap_or_default();
            let served = all.iter().filter(|flag| flag.validate().is_ok());
            state.compiled = Arc::new(served.cloned().collect());
            state.sinks.clone()
        };
        // After the change, so that a new evaluation sees it; without the lock, because a sink may
        // evaluate.
        let invalidation = Invalidation::Flags(keys.into_iter().collect());
        for sink in sinks {
            sink.invalidate(invalidation.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Flags and enrichment that belong together.
    fn snapshot(&self) -> (Arc<FlagSet>, FlagContext) {
        let state = self.lock();
        let flag_context = FlagContext::default().with_enrichment(state.enrichment.clone());
        (Arc::clone(&state.compiled), flag_context)
    }
}

impl fmt::Debug for TestFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("TestFlags")
            .field("flags", &state.flags)
            .field("enrichment", &state.enrichment)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl RelayClient for TestFlags {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let context = to_map(context).map_err(RelayError::InvalidContext)?;
        let (flags, flag_context) = self.snapshot();
        let now = Timestamp::from(SystemTime::now());
        let evaluation = flags.evaluate(flag_key, &context, &flag_context, now);
        result(flags.get(flag_key), &evaluation).map_err(RelayError::Evaluation)
    }

    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        let context = to_map(context).map_err(RelayError::InvalidContext)?;
        let specifics = context.get("gofeatureflag");
        let listed = specifics.and_then(|goff| goff.get("flagList")?.as_array());
        let listed = listed.filter(|list| !list.is_empty());
        let (flags, flag_context) = self.snapshot();
        let now = Timestamp::from(SystemTime::now());
        let is_listed = |key: &str| listed.is_none_or(|list| list.iter().any(|name| name == key));
        let all = flags.iter().filter(|flag| is_listed(flag.key()));
        let evaluated = all.map(|flag| {
            let evaluation = flag.evaluate(&context, &flag_context, now);
            (flag.key().to_owned(), result(Some(flag), &evaluation))
        });
        Ok(evaluated.collect())
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let state = self.lock();
        let mut requested = DefaultHasher::new();
        flags.hash(&mut requested);
        let etag = format!("\"{}-{:x}\"", state.version, requested.finish());
        let etag = Etag::from_bytes(etag.as_bytes());
        if held.is_some() && etag.as_ref() == held {
            return Ok(ConfigurationUpdate::NotModified);
        }
        let wanted = |(key, _): &(&String, &Value)| {
            (flags.is_empty() || flags.contains(key)) && state.compiled.get(key).is_some()
        };
        let wanted: BTreeMap<_, _> = state.flags.iter().filter(wanted).collect();
        let text = serde_json::to_string(&wanted).unwrap_or_default();
        let configuration = FlagConfiguration::new(text).with_enrichment(state.enrichment.clone());
        Ok(ConfigurationUpdate::Loaded(configuration.with_etag(etag)))
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        self.lock().batches.push(batch.clone());
        Ok(())
    }
}

fn with_one_value(value: Value) -> Value {
    json!({"variations": {"value": value}, "defaultRule": {"variation": "value"}})
}

/// The context as the engine reads it: flat, with the targeting key.
fn to_map(context: &dyn ContextView) -> Result<Map<String, Value>, ContextError> {
    let mut map = Map::new();
    let mut failure = None;
    let _ = context.visit(&mut |name, attribute| match attribute.to_json() {
        Ok(value) => {
            map.insert(name.to_owned(), value);
            ControlFlow::Continue(())
        }
        Err(reason) => {
            failure = Some(ContextError::new(name, reason));
            ControlFlow::Break(())
        }
    });
    if let Some(key) = context.targeting_key() {
        map.insert("targetingKey".to_owned(), key.into());
    }
    failure.map_or(Ok(map), Err)
}

fn result(
    flag: Option<&Flag>,
    evaluation: &Evaluation<'_>,
) -> Result<Resolution, EvaluationFailure> {
    // The engine, like the official one, gives null without an error.
    let missing = flag.filter(|flag| __internal::serves_missing_variation(flag, evaluation));
    let missing = missing.map(|flag| {
        let (key, variation) = (flag.key(), evaluation.variant);
        format!("flag `{key}` serves variation `{variation}`, which does not exist")
    });
    let (reason, variant) = match (&evaluation.error, &missing) {
        (None, None) => (Reason::from(evaluation.reason.as_str()), evaluation.variant),
        _ => (Reason::Error, SDK_DEFAULT),
    };
    let resolution = Resolution::new(evaluation.value.clone(), reason)
        .with_variant(variant)
        .with_metadata(evaluation.metadata_map())
        .with_version(evaluation.version)
        .with_track_events(evaluation.track_events)
        .with_cacheable(evaluation.cacheable);
    let (code, details) = match (&evaluation.error, missing) {
        (Some(error), _) => (error.code().as_str(), error.to_string()),
        (None, Some(missing)) => ("FLAG_CONFIG", missing),
        (None, None) => return Ok(resolution),
    };
    Err(EvaluationFailure::new(code, details, Arc::new(resolution)))
}

#[cfg(test)]
mod tests {
    use goff_core::{ErrorCode, EvaluationContext};

    use super::*;
    use crate::RecordingSink;

    fn user() -> EvaluationContext {
        let context = EvaluationContext::builder().targeting_key("user");
        context.attribute("plan", "pro").build()
    }

    #[tokio::test]
    async fn a_flag_can_be_set_changed_disabled_and_removed() {
        let flags = TestFlags::new().with("bool", true).with("list", vec![1, 2]);
        let value = async |key: &str| flags.evaluate(key, &user()).await;
        assert_eq!(value("bool").await.unwrap().value, true);
        assert_eq!(value("bool").await.unwrap().reason, Reason::Static);
        assert_eq!(value("list").await.unwrap().value, json!([1, 2]));
        flags.set("bool", "text");
        assert_eq!(value("bool").await.unwrap().value, "text");
        flags.disable("bool");
        assert!(value("bool").await.unwrap().is_disabled());
        flags.remove("bool");
        let error = value("bool").await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FlagNotFound);
        let all = flags.evaluate_all(&user()).await.unwrap();
        assert_eq!(all.into_keys().collect::<Vec<_>>(), ["list"]);
    }

    #[tokio::test]
    async fn rules_and_enrichment_decide() {
        let flags = TestFlags::new();
        let flag = json!({
            "variations": {"yes": true, "no": false},
            "targeting": [{"query": "plan eq \"pro\" and region eq \"eu\"", "variation": "yes"}],
            "defaultRule": {"variation": "no"},
        });
        flags.set_flag("flag", flag.clone()).unwrap();
        assert_eq!(flags.evaluate("flag", &user()).await.unwrap().value, false);
        flags.enrich("region", "eu");
        let resolution = flags.evaluate("flag", &user()).await.unwrap();
        assert_eq!(resolution.value, true);
        assert_eq!(resolution.reason, Reason::TargetingMatch);
        let mut broken = flag;
        broken["defaultRule"]["variation"] = "nowhere".into();
        let error = flags.set_flag("flag", broken).unwrap_err().to_string();
        let expected = "flag `flag`: invalid variation: nowhere does not exist";
        assert_eq!(error, expected);
        assert_eq!(flags.evaluate("flag", &user()).await.unwrap().value, true);
    }

    /// What a relay proxy would refuse is left out in both evaluation types; the others serve.
    #[tokio::test]
    async fn an_invalid_flag_is_left_out() {
        let flags = TestFlags::new().with("good", 1).with("bad", Value::Null);
        let error = flags.evaluate("bad", &user()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::FlagNotFound);
        assert_eq!(flags.evaluate("good", &user()).await.unwrap().value, 1);
        let all = flags.evaluate_all(&user()).await.unwrap();
        assert_eq!(all.into_keys().collect::<Vec<_>>(), ["good"]);
        let update = flags.flag_configuration(&[], None).await.unwrap();
        let ConfigurationUpdate::Loaded(configuration) = update else {
            panic!("{update:?}");
        };
        assert!(!configuration.flags.unwrap().contains("bad"));
        flags.set("bad", true);
        assert_eq!(flags.evaluate("bad", &user()).await.unwrap().value, true);
    }

    /// A typo in a scheduled step passes the relay proxy's validation.
    #[tokio::test]
    async fn a_variation_that_does_not_exist_is_an_error() {
        let flags = TestFlags::new();
        let step = json!({"date": "2020-01-01T00:00:00Z", "defaultRule": {"variation": "c"}});
        let flag = json!({
            "variations": {"a": 1}, "defaultRule": {"variation": "a"}, "scheduledRollout": [step],
        });
        flags.set_flag("flag", flag).unwrap();
        let error = flags.evaluate("flag", &user()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::from("FLAG_CONFIG"));
        assert!(error.to_string().contains("`c`"), "{error}");
    }

    #[tokio::test]
    async fn a_percentage_rollout_needs_a_targeting_key() {
        let flags = TestFlags::new();
        let split = json!({
            "variations": {"a": 1, "b": 2}, "defaultRule": {"percentage": {"a": 50, "b": 50}},
        });
        flags.set_flag("flag", split).unwrap();
        let keyless = EvaluationContext::default();
        let error = flags.evaluate("flag", &keyless).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::TargetingKeyMissing);
        let all = flags.evaluate_all(&keyless).await.unwrap();
        assert!(all["flag"].is_err());
    }

    #[tokio::test]
    async fn the_configuration_is_served_once_per_version() {
        let flags = TestFlags::new().with("a", 1).with("b", 2);
        let load = async |wanted: &[&str], held: Option<&Etag>| {
            let wanted: Vec<String> = wanted.iter().map(|key| (*key).to_owned()).collect();
            flags.flag_configuration(&wanted, held).await.unwrap()
        };
        let loaded = |update| match update {
            ConfigurationUpdate::Loaded(configuration) => configuration,
            other => panic!("{other:?}"),
        };
        let all = loaded(load(&[], None).await);
        let set = FlagSet::from_json(all.flags.as_deref().unwrap().as_bytes()).unwrap();
        assert_eq!(set.len(), 2);
        let held = all.etag.as_ref();
        assert_eq!(load(&[], held).await, ConfigurationUpdate::NotModified);
        let one = loaded(load(&["a", "nowhere"], held).await);
        assert!(!one.flags.unwrap().contains("\"b\""));
        flags.set("a", 3);
        assert_ne!(load(&[], held).await, ConfigurationUpdate::NotModified);
    }

    #[test]
    fn changes_are_announced() {
        let flags = TestFlags::new().with("flag", 1);
        let sink = Arc::new(RecordingSink::default());
        flags.announce_to(Arc::clone(&sink) as Arc<dyn InvalidationSink>);
        flags.set("flag", 2);
        flags.remove("flag");
        let announced = Invalidation::Flags(["flag".to_owned()].into());
        assert_eq!(sink.invalidations(), [announced.clone(), announced]);
    }

    #[tokio::test]
    async fn a_context_without_a_json_form_is_refused() {
        let flags = TestFlags::new().with("flag", 1);
        let context = EvaluationContext::builder().attribute("rate", f64::NAN);
        let context = context.build();
        let error = flags.evaluate("flag", &context).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::InvalidContext);
    }
}
