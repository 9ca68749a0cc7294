//! The four endpoints that evaluate.

use std::time::SystemTime;

use goff_engine::{ErrorCode, Evaluation, FlagContext, Reason, SDK_DEFAULT, Timestamp};
use serde_json::{Map, Value, json};

use super::answer::{Answer, add, object, ofrep_error, text};
use super::context::Context;
use super::date::unix_seconds;
use super::event::server_event;
use super::flag_set::FlagSet;
use super::request_json::{BodyError, Members};

/// The body of the `/v1` endpoints.
#[derive(Debug)]
pub(super) struct GoffRequest {
    context: Context,
    default_value: Value,
}

impl GoffRequest {
    /// The body of an evaluation of one flag.
    pub(super) fn of_one_flag(body: Result<Members<'_>, BodyError>) -> Result<Self, Answer> {
        let read = |body: Members<'_>| {
            let default_value = body.get("defaultValue")?.unwrap_or_default();
            Ok((Self::context(&body)?, default_value))
        };
        Self::new(body.and_then(read))
    }

    /// The body of an evaluation of all flags.
    pub(super) fn of_all_flags(body: Result<Members<'_>, BodyError>) -> Result<Self, Answer> {
        Self::new(body.and_then(|body| Ok((Self::context(&body)?, Value::Null))))
    }

    fn new(read: Result<(Option<Context>, Value), BodyError>) -> Result<Self, Answer> {
        match read {
            Err(error) => Err(Answer::failure(error.status(), error.message())),
            Ok((None, _)) => {
                let message = "assertRequest: impossible to find user in request";
                Err(Answer::failure(400, message))
            }
            Ok((Some(context), default_value)) => Ok(Self {
                context,
                default_value,
            }),
        }
    }

    /// The context in its current form, else in its old one. Both must be well-formed.
    fn context(body: &Members<'_>) -> Result<Option<Context>, BodyError> {
        let mut context = None;
        if let Some(user) = body.object("user")? {
            let anonymous: bool = user.get("anonymous")?.unwrap_or_default();
            let mut custom: Map<String, Value> = user.get("custom")?.unwrap_or_default();
            custom.insert("anonymous".to_owned(), anonymous.into());
            context = Some(Context::new(user.get("key")?, Some(custom)));
        }
        if let Some(current) = body.object("evaluationContext")? {
            context = Some(Context::new(current.get("key")?, current.get("custom")?));
        }
        Ok(context)
    }
}

/// One flag, with the caller's default; and the event to record (docs/relay-protocol.md 7).
pub(super) fn evaluate(
    set: &FlagSet,
    flag_key: &str,
    request: GoffRequest,
) -> (Answer, Option<Value>) {
    let context = request.context;
    let evaluated = Evaluated::of(set, flag_key, &context, request.default_value);
    let mut body = json!({
        "trackEvents": evaluated.track_events,
        "variationType": evaluated.variant,
        "failed": evaluated.is_failed(),
        "version": evaluated.version,
        "reason": evaluated.reason,
        "errorCode": evaluated.error_code,
        "value": evaluated.value,
        "cacheable": evaluated.cacheable,
    });
    add(&mut body, "errorDetails", text(&evaluated.error_details));
    add(&mut body, "metadata", object(evaluated.metadata.clone()));
    (Answer::json(200, body), evaluated.event(flag_key, &context))
}

/// All flags (docs/relay-protocol.md 8).
pub(super) fn evaluate_all(set: &FlagSet, request: GoffRequest) -> Answer {
    let states = flag_states(set, &request.context);
    let now = unix_seconds(SystemTime::now());
    let is_valid = states.iter().all(|(_, state)| !state.is_failed());
    let flags: Map<String, Value> = states
        .into_iter()
        .map(|(key, state)| {
            let mut flag = json!({
                "value": state.value,
                "timestamp": now,
                "variationType": state.variant,
                "trackEvents": state.track_events,
                "errorCode": state.error_code,
                "reason": state.reason,
            });
            add(&mut flag, "errorDetails", text(&state.error_details));
            add(&mut flag, "metadata", object(state.metadata));
            (key, flag)
        })
        .collect();
    let mut body = json!({"valid": is_valid});
    add(&mut body, "flags", object(flags));
    Answer::json(200, body)
}

/// One flag over OFREP, and the event to record (docs/relay-protocol.md 9).
pub(super) fn evaluate_ofrep(
    set: &FlagSet,
    flag_key: &str,
    context: &Context,
) -> (Answer, Option<Value>) {
    let mut evaluated = Evaluated::of(set, flag_key, context, Value::Null);
    let event = evaluated.event(flag_key, context);
    if evaluated.reason == Reason::Error.as_str() {
        let is_unknown = evaluated.error_code == ErrorCode::FlagNotFound.as_str();
        let status = if is_unknown { 404 } else { 400 };
        let details = format!("Error while evaluating the flag: {flag_key}");
        let body = ofrep_error(&evaluated.error_code, &details, Some(flag_key));
        return (Answer::json(status, body), event);
    }
    if evaluated.cacheable {
        let (name, metadata) = ("gofeatureflag_cacheable", &mut evaluated.metadata);
        metadata.insert(name.to_owned(), true.into());
    }
    let body = ofrep_success(flag_key.to_owned(), evaluated);
    (Answer::json(200, body), event)
}

/// All flags over OFREP (docs/relay-protocol.md 10).
pub(super) fn evaluate_all_ofrep(set: &FlagSet, context: &Context) -> Answer {
    let flags: Vec<Value> = flag_states(set, context)
        .into_iter()
        .map(|(key, state)| {
            let (code, details) = (state.error_code.clone(), state.error_details.clone());
            let mut flag = ofrep_success(key, state);
            add(&mut flag, "errorCode", text(&code));
            add(&mut flag, "errorDetails", text(&details));
            flag
        })
        .collect();
    Answer::json(200, json!({"flags": flags})).with_etag()
}

fn ofrep_success(key: String, evaluated: Evaluated) -> Value {
    let mut body = json!({
        "key": key,
        "value": evaluated.value,
        "reason": evaluated.reason,
        "variant": evaluated.variant,
    });
    add(&mut body, "metadata", object(evaluated.metadata));
    body
}

/// The context of an OFREP request. Errors name `flag_key`.
pub(super) fn ofrep_context(
    body: Result<Members<'_>, BodyError>,
    flag_key: Option<&str>,
) -> Result<Context, Answer> {
    let invalid = |details: &str| {
        let code = ErrorCode::InvalidContext.as_str();
        Answer::json(400, ofrep_error(code, details, flag_key))
    };
    let attributes: Option<Map<String, Value>> = body
        .and_then(|body| body.get("context"))
        .map_err(|error| invalid(&error.to_string()))?;
    let attributes = attributes
        .ok_or_else(|| invalid("GO Feature Flag requires an evaluation context in the request."))?;
    let key = attributes.get("targetingKey").and_then(Value::as_str);
    Ok(Context::new(key.map(ToOwned::to_owned), Some(attributes)))
}

/// The result of an evaluation in the words of the wire.
#[derive(Debug)]
struct Evaluated {
    value: Value,
    variant: String,
    reason: &'static str,
    error_code: String,
    error_details: String,
    track_events: bool,
    version: String,
    cacheable: bool,
    metadata: Map<String, Value>,
}

impl Evaluated {
    fn of(set: &FlagSet, flag_key: &str, context: &Context, default_value: Value) -> Self {
        let flag_context = FlagContext::new(default_value).with_enrichment(set.enrichment.clone());
        let loaded = set.loaded();
        let now = Timestamp::from(SystemTime::now());
        let evaluation = loaded.flags.evaluate(flag_key, context, &flag_context, now);
        Self::from(&evaluation)
    }

    fn is_failed(&self) -> bool {
        !self.error_code.is_empty()
    }

    /// The event that the relay proxy records for this evaluation, if it does.
    fn event(&self, flag_key: &str, context: &Context) -> Option<Value> {
        self.track_events.then(|| {
            let mut event = json!({
                "key": flag_key,
                "value": self.value,
                "variation": self.variant,
                "default": self.is_failed(),
                "version": self.version,
            });
            server_event(&mut event, context);
            event
        })
    }
}

impl From<&Evaluation<'_>> for Evaluated {
    fn from(evaluation: &Evaluation<'_>) -> Self {
        let (code, details) = match &evaluation.error {
            None => ("", String::new()),
            // The relay proxy gives no details for an unknown flag.
            Some(error) if error.code() == ErrorCode::FlagNotFound => {
                (error.code().as_str(), String::new())
            }
            Some(error) => (error.code().as_str(), error.to_string()),
        };
        Self {
            value: evaluation.value.clone(),
            variant: evaluation.variant.to_owned(),
            reason: evaluation.reason.as_str(),
            error_code: code.to_owned(),
            error_details: details,
            // The relay proxy records every evaluation of an unknown flag.
            track_events: evaluation.track_events || code == ErrorCode::FlagNotFound.as_str(),
            version: evaluation.version.to_owned(),
            cacheable: evaluation.cacheable,
            metadata: evaluation.metadata_map(),
        }
    }
}

/// The flags of a bulk evaluation, sorted by key. Unknown names are skipped.
fn flag_states(set: &FlagSet, context: &Context) -> Vec<(String, Evaluated)> {
    let flag_context = FlagContext::default().with_enrichment(set.enrichment.clone());
    let loaded = set.loaded();
    let now = Timestamp::from(SystemTime::now());
    let listed = context.flag_list();
    let is_listed = |key: &str| listed.as_ref().is_none_or(|list| list.contains(&key));
    let flags = loaded.flags.iter().filter(|flag| is_listed(flag.key()));
    let states = flags.map(|flag| {
        let evaluation = flag.evaluate(context, &flag_context, now);
        (
            flag.key().to_owned(),
            bulk_state(Evaluated::from(&evaluation)),
        )
    });
    let mut states: Vec<_> = states.collect();
    states.sort_by(|(one, _), (other, _)| one.cmp(other));
    states
}

/// The form of a flag in a bulk evaluation. A disabled flag and a flag in error have no value. A
/// value of a type that bulk evaluations do not know (null, an integer beyond `i64`) is an error.
fn bulk_state(mut state: Evaluated) -> Evaluated {
    if state.reason == Reason::Disabled.as_str() || state.reason == Reason::Error.as_str() {
        state.value = Value::Null;
        state.variant = String::new();
        return state;
    }
    let is_known = match &state.value {
        Value::Null => false,
        Value::Number(number) => !number.is_u64() || number.is_i64(),
        _ => true,
    };
    if !is_known {
        state.value = Value::Null;
        state.variant = SDK_DEFAULT.to_owned();
        state.reason = Reason::Error.as_str();
        state.error_code = "TYPE_MISMATCH".to_owned();
    }
    state
}
