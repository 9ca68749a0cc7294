//! A flag, compiled once and evaluated often.

use std::{fmt, ops::Range, sync::Arc};

use serde_json::Value;

use crate::{
    compiled::{
        body::{Answer, Body, State},
        interner::Interner,
        rule::Serving,
    },
    configuration::{
        date::Timestamp,
        definition::FlagDefinition,
        json::{Node, utf8_lossy},
        limits,
    },
    evaluate::{
        attributes::Attributes,
        bucketing::BucketingHash,
        evaluation::{Evaluation, FlagError, Reason},
        flag_context::FlagContext,
        pipeline,
    },
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
    /// Holds the key and the JSON; the flags of a set share one.
    text: Arc<Box<str>>,
    key: Part,
    json: Part,
    /// State of the bucketing hash after the key.
    hash: BucketingHash,
    /// Flags that differ in nothing but their keys share one.
    body: Arc<Result<Body, FlagError>>,
}

/// A part of a text.
#[derive(Clone, Copy)]
struct Part {
    start: u32,
    length: u32,
}

impl Part {
    fn new(range: &Range<usize>) -> Self {
        Self {
            start: u32::try_from(range.start).unwrap_or(u32::MAX),
            length: u32::try_from(range.len()).unwrap_or(u32::MAX),
        }
    }

    #[inline]
    fn of(self, text: &str) -> &str {
        let start = self.start as usize;
        text.get(start..start + self.length as usize)
            .unwrap_or_default()
    }
}

impl Flag {
    /// Compiles the flag called `key` from its JSON object.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, as in the official engine.
    #[must_use]
    pub fn from_json(key: &str, json: &[u8]) -> Self {
        let json = utf8_lossy(json);
        let body = compile(&json, &mut Interner::default());
        Self::assembled(key, &json, body)
    }

    /// A flag that has been decoded elsewhere, without a text of its own.
    pub(crate) fn from_definition(key: &str, definition: FlagDefinition<'_>) -> Self {
        Self::assembled(key, "", Body::compile(definition, &mut Interner::default()))
    }

    /// A flag from a file: `node` is what is evaluated, `json` what it is shown as.
    #[cfg(feature = "file")]
    pub(crate) fn from_node(key: &str, node: &Node<'_>, json: &str) -> Self {
        let body = limits::check_input(json, 1)
            .map_err(FlagError::new)
            .and_then(|()| FlagDefinition::decode(node).map_err(FlagError::new))
            .and_then(|definition| Body::compile(definition, &mut Interner::default()));
        Self::assembled(key, json, body)
    }

    fn assembled(key: &str, json: &str, body: Result<Body, FlagError>) -> Self {
        let text: Arc<Box<str>> = Arc::new(format!("{key}{json}").into());
        let (key, json) = (0..key.len(), key.len()..text.len());
        Self::from_parts(&text, &key, &json, Arc::new(body))
    }

    /// A flag whose key and JSON are parts of a text.
    pub(crate) fn from_parts(
        text: &Arc<Box<str>>,
        key: &Range<usize>,
        json: &Range<usize>,
        body: Arc<Result<Body, FlagError>>,
    ) -> Self {
        let (key, json) = (Part::new(key), Part::new(json));
        Self {
            hash: BucketingHash::new().write(key.of(text)),
            text: Arc::clone(text),
            key,
            json,
            body,
        }
    }

    /// The name of the flag.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.of(&self.text)
    }

    /// Whether this is the name of the flag.
    #[inline]
    pub(crate) fn is_called(&self, key: &str) -> bool {
        // Bytes need no look at where characters begin.
        let start = self.key.start as usize;
        let name = self
            .text
            .as_bytes()
            .get(start..start + self.key.length as usize);
        name == Some(key.as_bytes())
    }

    /// The JSON that the flag was made from; for a flag from a file, the JSON
    /// that the relay proxy serves for it.
    #[must_use]
    pub fn raw_json(&self) -> &str {
        self.json.of(&self.text)
    }

    /// Why the flag cannot be evaluated, if its configuration was refused.
    #[must_use]
    pub fn error(&self) -> Option<&FlagError> {
        self.body.as_ref().as_ref().err()
    }

    /// Whether evaluations depend on the time: `now` is ignored where this is false.
    #[must_use]
    pub fn depends_on_time(&self) -> bool {
        let depends = |state: &State| {
            state.window.is_some()
                || state
                    .rules
                    .iter()
                    .map(|rule| &rule.serving)
                    .chain(&state.default_rule)
                    .any(|serving| matches!(serving, Serving::ProgressiveRollout(_)))
        };
        self.body
            .as_ref()
            .as_ref()
            .is_ok_and(|body| body.schedule().is_some() || depends(&body.state))
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
        match &*self.body {
            Ok(body) => pipeline::evaluate(body, self.hash, attributes, flag_context, now),
            Err(error) => pipeline::rejected(error),
        }
    }

    /// Everything that the flag can serve, by the index that [`Evaluation::answer`] gives.
    ///
    /// For callers that prepare something for each answer once, instead of
    /// building it for each evaluation.
    pub fn answers(&self) -> impl ExactSizeIterator<Item = FlagAnswer<'_>> {
        let (body, answers) = match &*self.body {
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

/// Compiles the JSON of a flag.
pub(crate) fn compile(json: &str, interner: &mut Interner) -> Result<Body, FlagError> {
    // A flag stands one level deep in the document that the official engine is given.
    limits::check_input(json, 1).map_err(FlagError::new)?;
    let node = Node::parse(json, limits::MAX_INPUT_NESTING)
        .map_err(|error| FlagError::new(format_args!("{} at byte {}", error.what, error.offset)))?;
    let definition = FlagDefinition::decode(&node).map_err(FlagError::new)?;
    Body::compile(definition, interner)
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
    if flag.is_called(flag_key) {
        return flag.evaluate(attributes, flag_context, now);
    }
    match &*flag.body {
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

impl fmt::Debug for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flag")
            .field("key", &self.key())
            .field("error", &self.error())
            .field("raw_json", &self.raw_json())
            .finish()
    }
}
