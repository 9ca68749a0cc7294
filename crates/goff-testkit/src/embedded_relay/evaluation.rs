//! The four endpoints that evaluate (sections 6 to 10 of the protocol).

use std::time::SystemTime;

use goff_engine::{
    Attribute, Attributes, ErrorCode, Evaluation, FlagContext, Reason, SDK_DEFAULT, Timestamp,
};
use serde_json::{Map, Value, json};

use super::answer::{Answer, ofrep_error};
use super::collector::server_event;
use super::date::unix_seconds;
use super::flag_set::FlagSet;
use super::request_json::{self, Members, Node, Place};

/// A context as the engine reads it.
#[derive(Debug, Default)]
pub(super) struct Context {
    key: String,
    attributes: Map<String, Value>,
}

impl Context {
    fn new(key: Option<String>, attributes: Option<Map<String, Value>>) -> Self {
        Self {
            key: key.unwrap_or_default(),
            attributes: attributes.unwrap_or_default(),
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.attributes.get("anonymous") == Some(&Value::Bool(true))
    }

    fn specifics(&self, name: &str) -> Option<&Value> {
        self.attributes.get("gofeatureflag")?.as_object()?.get(name)
    }

    pub(super) fn exporter_metadata(&self) -> Option<&Map<String, Value>> {
        self.specifics("exporterMetadata")?.as_object()
    }

    /// The flags that a bulk evaluation is restricted to, if it is.
    fn flag_list(&self) -> Option<Vec<&str>> {
        let list = self.specifics("flagList")?.as_array()?;
        let list: Vec<&str> = list.iter().filter_map(Value::as_str).collect();
        (!list.is_empty()).then_some(list)
    }
}

impl Attributes for Context {
    fn targeting_key(&self) -> Option<&str> {
        Some(&self.key)
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        if name == "targetingKey" {
            return Some(Attribute::Str(&self.key));
        }
        self.attributes.get(name).map(Attribute::Json)
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        visit("targetingKey", Attribute::Str(&self.key));
        for (name, value) in &self.attributes {
            if name != "targetingKey" {
                visit(name, Attribute::Json(value));
            }
        }
    }
}

/// The body of the `/v1` endpoints.
#[derive(Debug, Default)]
pub(super) struct GoffRequest {
    context: Option<Context>,
    default_value: Value,
}

impl GoffRequest {
    /// The body of an evaluation of one flag, which in Go's words has that of all flags inside.
    pub(super) fn of_one_flag(body: Option<&Node>) -> Result<Self, Answer> {
        Self::read(body, "model.EvalFlagRequest", |members, place| Self {
            context: place.inside(ALL_FLAG_REQUEST, |place| Self::context(members, place)),
            default_value: members.any("defaultValue", place),
        })
    }

    /// The body of an evaluation of all flags.
    pub(super) fn of_all_flags(body: Option<&Node>) -> Result<Self, Answer> {
        Self::read(body, "model.AllFlagRequest", |members, place| Self {
            context: Self::context(members, place),
            default_value: Value::Null,
        })
    }

    fn read(
        body: Option<&Node>,
        type_name: &'static str,
        decode: impl FnOnce(&Members<'_>, &mut Place) -> Self,
    ) -> Result<Self, Answer> {
        let request = match body {
            None => Self::default(),
            Some(body) => Place::decode(body, type_name, decode)
                .map_err(|error| Answer::unreadable(&error))?,
        };
        if request.context.is_none() {
            let message = "assertRequest: impossible to find user in request";
            return Err(Answer::failure(400, message));
        }
        Ok(request)
    }

    fn context(members: &Members<'_>, place: &mut Place) -> Option<Context> {
        let user = members.structure("user", "model.UserRequest", place, |user, place| {
            let key = user.text("key", place);
            let anonymous = user.boolean("anonymous", place).unwrap_or_default();
            let mut custom = user.object("custom", place).unwrap_or_default();
            custom.insert("anonymous".to_owned(), anonymous.into());
            Context::new(key, Some(custom))
        });
        let type_name = "model.EvaluationContextRequest";
        let context = members.structure("evaluationContext", type_name, place, |context, place| {
            Context::new(context.text("key", place), context.object("custom", place))
        });
        context.or(user)
    }
}

const ALL_FLAG_REQUEST: &str = "AllFlagRequest";

/// Section 7: one flag, with the caller's default. Gives the event to record too.
pub(super) fn evaluate(
    set: &FlagSet,
    flag_key: &str,
    request: GoffRequest,
) -> (Answer, Option<Value>) {
    let context = request.context.unwrap_or_default();
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

/// Section 8: all flags.
pub(super) fn evaluate_all(set: &FlagSet, request: GoffRequest) -> Answer {
    let context = request.context.unwrap_or_default();
    let states = flag_states(set, &context);
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

/// Section 9: one flag over OFREP. Gives the event to record too.
pub(super) fn evaluate_ofrep(
    set: &FlagSet,
    flag_key: &str,
    context: &Context,
) -> (Answer, Option<Value>) {
    let mut evaluated = Evaluated::of(set, flag_key, context, Value::Null);
    let event = evaluated.event(flag_key, context);
    if evaluated.reason == Reason::Error.as_str() {
        let status = if evaluated.error_code == ErrorCode::FlagNotFound.as_str() {
            404
        } else {
            400
        };
        let details = format!("Error while evaluating the flag: {flag_key}");
        let body = ofrep_error(&evaluated.error_code, &details, Some(flag_key));
        return (Answer::json(status, body), event);
    }
    if evaluated.cacheable {
        evaluated
            .metadata
            .insert("gofeatureflag_cacheable".to_owned(), true.into());
    }
    let body = ofrep_success(flag_key.to_owned(), evaluated);
    (Answer::json(200, body), event)
}

/// Section 10: all flags over OFREP.
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
    Answer::json(200, json!({"flags": flags})).validated()
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

/// The context of an OFREP request; `flag_key` is what its errors name.
pub(super) fn ofrep_context(
    body: Result<Option<Node>, request_json::BodyError>,
    flag_key: Option<&str>,
) -> Result<Context, Answer> {
    let invalid = |details: &str| {
        let code = ErrorCode::InvalidContext.as_str();
        Answer::json(400, ofrep_error(code, details, flag_key))
    };
    let decode = |body: Node| {
        Place::decode(&body, "model.OFREPEvalFlagRequest", |members, place| {
            members.object("context", place)
        })
    };
    let attributes = body
        .and_then(|body| body.map_or(Ok(None), decode))
        .map_err(|error| invalid(&error.to_string()))?;
    let Some(attributes) = attributes else {
        return Err(invalid(
            "GO Feature Flag requires an evaluation context in the request.",
        ));
    };
    let key = attributes.get("targetingKey").and_then(Value::as_str);
    Ok(Context::new(key.map(ToOwned::to_owned), Some(attributes)))
}

/// What the engine says, in the words of the wire.
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

    /// What the relay proxy records for an evaluation that it answered (section 19).
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
            // The server does not look further for a flag that is not there.
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
            // Of a flag that is not there the server records every evaluation.
            track_events: evaluation.track_events || code == ErrorCode::FlagNotFound.as_str(),
            version: evaluation.version.to_owned(),
            cacheable: evaluation.cacheable,
            metadata: evaluation.metadata_map(),
        }
    }
}

/// The flags of a bulk evaluation, sorted by key. Names that do not exist are skipped.
fn flag_states(set: &FlagSet, context: &Context) -> Vec<(String, Evaluated)> {
    let flag_context = FlagContext::default().with_enrichment(set.enrichment.clone());
    let loaded = set.loaded();
    let now = Timestamp::from(SystemTime::now());
    let mut flags = Vec::new();
    let listed = context.flag_list();
    let mut add = |flag: &goff_engine::Flag| {
        let evaluation = flag.evaluate(context, &flag_context, now);
        let state = bulk_state(Evaluated::from(&evaluation));
        flags.push((flag.key().to_owned(), state));
    };
    match listed {
        Some(list) => list
            .into_iter()
            .filter_map(|key| loaded.flags.get(key))
            .for_each(&mut add),
        None => loaded.flags.iter().for_each(&mut add),
    }
    flags.sort_by(|(one, _), (other, _)| one.cmp(other));
    flags.dedup_by(|(one, _), (other, _)| one == other);
    flags
}

/// How bulk evaluations show a flag that is disabled or in error, and a value of a type that
/// they do not know: null, or an integer beyond 64 bits with a sign.
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

fn text(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| text.into())
}

fn object(members: Map<String, Value>) -> Option<Value> {
    (!members.is_empty()).then_some(Value::Object(members))
}

/// Adds a member that is left out when empty.
fn add(body: &mut Value, name: &str, value: Option<Value>) {
    if let (Some(value), Some(body)) = (value, body.as_object_mut()) {
        body.insert(name.to_owned(), value);
    }
}
