//! A flag, compiled once and evaluated often.

use std::{fmt, ops::Range, sync::Arc};

use serde_json::Value;

use crate::{
    attributes::Attributes,
    bucketing::BucketingHash,
    compile::{Answer, Body, Scheduled, State},
    date::Timestamp,
    definition::FlagDefinition,
    evaluation::{Evaluation, FlagError, Reason},
    flag_context::FlagContext,
    guard,
    json::{Node, utf8_lossy},
    pipeline,
};

/// A flag of a configuration, compiled.
///
/// Everything that does not depend on the evaluation context is done when the
/// flag is made: queries are parsed, percentages turned into buckets, dates
/// read, scheduled steps ordered and applied. A flag whose configuration
/// cannot be read is a flag too: it keeps the [`error`](Self::error), and each
/// of its evaluations reports it.
///
/// ```
/// use goff_engine::{Flag, FlagContext, Reason, Timestamp};
/// use serde_json::json;
///
/// let flag = Flag::from_json("banner", br#"{
///     "variations": {"on": true, "off": false},
///     "targeting": [{"name": "staff", "query": "email ew \"@example.com\"", "variation": "on"}],
///     "defaultRule": {"variation": "off"}
/// }"#);
/// assert_eq!(flag.error(), None);
///
/// let context = json!({"targetingKey": "u1", "email": "ada@example.com"});
/// let flag_context = FlagContext::default();
/// let now = Timestamp::from_unix_seconds(0);
/// let answer = flag.evaluate(context.as_object().unwrap(), &flag_context, now);
/// assert_eq!(answer.value, true);
/// assert_eq!(answer.reason, Reason::TargetingMatch);
/// assert_eq!(answer.rule_name, Some("staff"));
/// ```
#[derive(Clone)]
pub struct Flag {
    key: Box<str>,
    /// State of the bucketing hash after the key.
    hash: BucketingHash,
    raw: RawText,
    body: Result<Body, FlagError>,
}

/// A part of a text that flags share.
#[derive(Clone)]
struct RawText {
    text: Arc<str>,
    start: u32,
    end: u32,
}

impl Flag {
    /// Compiles the flag called `key` from its JSON object.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, as in the official engine.
    #[must_use]
    pub fn from_json(key: &str, json: &[u8]) -> Self {
        let text: Arc<str> = utf8_lossy(json).into();
        let range = 0..text.len();
        Self::from_text(key, &text, range)
    }

    /// Compiles a flag from a part of a text that it keeps.
    pub(crate) fn from_text(key: &str, text: &Arc<str>, range: Range<usize>) -> Self {
        let json = text.get(range.clone()).unwrap_or_default();
        // A flag stands one level deep in the document that the official engine is given.
        let body = guard::check_input(json, 1)
            .map_err(FlagError::new)
            .and_then(|()| {
                Node::parse(json, guard::MAX_INPUT_NESTING).map_err(|error| {
                    FlagError::new(format_args!("{} at byte {}", error.what, error.offset))
                })
            })
            .and_then(|node| FlagDefinition::decode(&node).map_err(FlagError::new))
            .and_then(|definition| Body::compile(&definition));
        let raw = RawText {
            text: Arc::clone(text),
            start: u32::try_from(range.start).unwrap_or(u32::MAX),
            end: u32::try_from(range.end).unwrap_or(u32::MAX),
        };
        Self::new(key, raw, body)
    }

    /// A flag that has been decoded elsewhere, without a text of its own.
    pub(crate) fn from_definition(key: &str, definition: &FlagDefinition<'_>) -> Self {
        let raw = RawText {
            text: Arc::from(""),
            start: 0,
            end: 0,
        };
        Self::new(key, raw, Body::compile(definition))
    }

    fn new(key: &str, raw: RawText, body: Result<Body, FlagError>) -> Self {
        Self {
            key: key.into(),
            hash: BucketingHash::new().write(key),
            raw,
            body,
        }
    }

    /// The name of the flag.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The JSON that the flag was made from.
    #[must_use]
    pub fn raw_json(&self) -> &str {
        let range = self.raw.start as usize..self.raw.end as usize;
        self.raw.text.get(range).unwrap_or_default()
    }

    /// Why the flag cannot be evaluated, if its configuration was refused.
    #[must_use]
    pub fn error(&self) -> Option<&FlagError> {
        self.body.as_ref().err()
    }

    /// Whether evaluations depend on the time: `now` is ignored where this is false.
    #[must_use]
    pub fn depends_on_time(&self) -> bool {
        let depends = |state: &State| {
            state.window.is_some()
                || state
                    .rules
                    .iter()
                    .chain(state.default_rule.as_deref())
                    .any(|rule| matches!(rule.serving, crate::rule::Serving::Ramp(_)))
        };
        self.body
            .as_ref()
            .is_ok_and(|body| body.schedule.is_some() || depends(&body.state))
    }

    /// Evaluates the flag for a context at a time.
    ///
    /// The time is that of the caller's clock; a `gofeatureflag.currentDateTime`
    /// in the context replaces it.
    #[must_use]
    #[inline]
    pub fn evaluate<'a, A: Attributes + ?Sized>(
        &'a self,
        attributes: &'a A,
        flag_context: &'a FlagContext,
        now: Timestamp,
    ) -> Evaluation<'a> {
        match &self.body {
            Ok(body) => pipeline::evaluate(body, self.hash, attributes, flag_context, now),
            Err(error) => pipeline::rejected(error),
        }
    }

    /// Everything that the flag can serve, by the index that [`Evaluation::answer`] gives.
    ///
    /// For callers that prepare something for each answer once, instead of
    /// building it for each evaluation.
    pub fn answers(&self) -> impl ExactSizeIterator<Item = FlagAnswer<'_>> {
        let (body, answers) = match &self.body {
            Ok(body) => (Some(body), &*body.answers),
            Err(_) => (None, &[] as &[Answer]),
        };
        answers.iter().map(move |answer| {
            let (variant, value, rule_name) = body
                .and_then(|body| Some(body.state_of(answer)?.resolve(answer)))
                .unwrap_or(("", &Value::Null, None));
            FlagAnswer {
                value,
                variant,
                reason: answer.reason,
                cacheable: answer.cacheable,
                rule_name,
            }
        })
    }
}

/// Evaluates a flag under a name of the caller's choice, which is part of what is hashed.
///
/// [`Flag::evaluate`] does the same under the flag's own key, whose hash is
/// computed when the flag is made.
#[must_use]
#[inline]
pub fn evaluate<'a, A: Attributes + ?Sized>(
    flag: &'a Flag,
    flag_key: &str,
    attributes: &'a A,
    flag_context: &'a FlagContext,
    now: Timestamp,
) -> Evaluation<'a> {
    if flag_key == &*flag.key {
        return flag.evaluate(attributes, flag_context, now);
    }
    match &flag.body {
        Ok(body) => {
            let hash = BucketingHash::new().write(flag_key);
            pipeline::evaluate(body, hash, attributes, flag_context, now)
        }
        Err(error) => pipeline::rejected(error),
    }
}

/// One thing that a flag can serve.
#[derive(Clone, Copy, Debug)]
pub struct FlagAnswer<'a> {
    /// The value of the variation.
    pub value: &'a Value,
    /// The name of the variation.
    pub variant: &'a str,
    /// The reason that is reported with it.
    pub reason: Reason,
    /// Whether it stays the same until the flag changes.
    pub cacheable: bool,
    /// The name of the targeting rule that serves it, if it has one.
    pub rule_name: Option<&'a str>,
}

impl Body {
    fn state_of(&self, answer: &Answer) -> Option<&State> {
        let Some(step) = answer.step else {
            return Some(&self.state);
        };
        match self.schedule.as_ref()?.steps.get(step as usize)? {
            (_, Scheduled::State(state)) => Some(state),
            (_, Scheduled::MissingPart) => None,
        }
    }
}

impl State {
    /// The name and value of an answer's variation, and the name of its rule.
    #[inline]
    pub(crate) fn resolve(&self, answer: &Answer) -> (&str, &Value, Option<&str>) {
        let (variant, value) = self
            .variations
            .get(answer.variation as usize)
            .map_or(("", &Value::Null), |(name, value)| (&**name, value));
        let rule_name = answer
            .rule
            .and_then(|rule| self.rules.get(rule as usize))
            .and_then(|rule| rule.name.as_deref());
        (variant, value, rule_name)
    }
}

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag")
            .field("key", &self.key)
            .field("error", &self.error())
            .field("raw_json", &self.raw_json())
            .finish()
    }
}
