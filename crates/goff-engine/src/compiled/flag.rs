//! A flag, compiled once and evaluated often.

use std::{fmt, sync::Arc};

#[cfg(feature = "file")]
use crate::configuration::{
    compact_json::CompactJson,
    json::{MAX_NESTING, Node},
};
use crate::{
    compiled::{
        body::{Body, State},
        interner::Interner,
        rule::Serving,
    },
    configuration::{budget::Budget, date::Timestamp, json::utf8_lossy},
    evaluate::{
        attributes::Attributes,
        bucketing::BucketingHash,
        evaluation::{Evaluation, FlagError},
        flag_context::FlagContext,
        observer::Unobserved,
        pipeline,
    },
    explain::{self, explanation::Explanation},
    validation::{self, InvalidFlag},
};

/// A flag of a configuration, compiled.
///
/// Everything that does not depend on the evaluation context is done when the
/// flag is made: queries are parsed, percentages turned into buckets, dates
/// read, scheduled steps ordered and applied. A flag whose configuration
/// cannot be read is kept as well: its [`error`](Self::error) says why, and is
/// the error of each of its evaluations.
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
    /// Contains the key, [`BETWEEN`], and the JSON that the flag was made from; for most flags it is
    /// the text of the whole set.
    text: Arc<String>,
    /// Shared by the flags of a set that have the same JSON, and by later sets.
    body: SharedBody,
    key_at: u32,
    key_length: u32,
    json_length: u32,
    /// State of the bucketing hash after the key.
    hash: BucketingHash,
}

/// What a flag was compiled to, or why it was not.
pub(crate) type SharedBody = Arc<Result<Body, FlagError>>;

/// In JSON without white space, what is between the characters of a member's name and its value.
pub(crate) const BETWEEN: &str = "\":";

impl Flag {
    /// Compiles the flag called `key` from its JSON object.
    ///
    /// Bytes that are not UTF-8 become U+FFFD, as in the official engine.
    #[must_use]
    pub fn from_json(key: &str, json: &[u8]) -> Self {
        let json = utf8_lossy(json);
        let mut budget = Budget::new(json.len());
        let body = Body::from_json(&json, &mut Interner::default(), &mut budget);
        Self::new(key, &json, Arc::new(body))
    }

    pub(crate) fn new(key: &str, json: &str, body: SharedBody) -> Self {
        let text = Arc::new([key, BETWEEN, json].concat());
        Self::at(text, 0, (key, json), body)
    }

    /// The flag that is a member of the text of its set. `at` is where its value is.
    pub(crate) fn in_text(
        text: &Arc<String>,
        at: usize,
        (key, json): (&str, &str),
        body: SharedBody,
    ) -> Self {
        let before = text.get(..at).and_then(|text| text.strip_suffix(BETWEEN));
        match before.and_then(|text| text.strip_suffix(key)) {
            // A name with escapes, or followed by white space.
            None => Self::new(key, json, body),
            Some(before) => Self::at(Arc::clone(text), before.len(), (key, json), body),
        }
    }

    pub(crate) fn at(
        text: Arc<String>,
        key_at: usize,
        (key, json): (&str, &str),
        body: SharedBody,
    ) -> Self {
        // The flags of a text of 4 GiB are not looked up.
        let narrow = |length| u32::try_from(length).unwrap_or(u32::MAX);
        Self {
            text,
            body,
            key_at: narrow(key_at),
            key_length: narrow(key.len()),
            json_length: narrow(json.len()),
            hash: BucketingHash::new().write(key),
        }
    }

    /// Of a later text in which the JSON of this flag is the same.
    pub(crate) fn in_later_text(&self, text: &Arc<String>, at: usize) -> Self {
        let flag = Self::in_text(
            text,
            at,
            (self.key(), self.raw_json()),
            Arc::clone(&self.body),
        );
        debug_assert_eq!(flag.raw_json(), self.raw_json());
        flag
    }

    /// The length of the JSON, if the text begins with it, and if it compiles to the same in every
    /// set.
    pub(crate) fn is_unchanged_in(&self, text: &[u8]) -> Option<usize> {
        let body = self.body.as_ref().as_ref().ok()?;
        let json = self.raw_json().as_bytes();
        (body.is_independent && json.first() == Some(&b'{') && text.starts_with(json))
            .then_some(json.len())
    }

    /// What a flag of a file was compiled to, if JSON and dependencies are the same, and if it
    /// compiles to the same in every file. Of a flag with problems an error is kept instead.
    #[cfg(feature = "file")]
    pub(crate) fn unchanged_body(&self, json: &str, needs: &[Box<str>]) -> Option<SharedBody> {
        let is_same = self.body()?.is_independent
            && self.raw_json() == json
            && self.needs().eq(needs.iter().map(|name| &**name));
        is_same.then(|| Arc::clone(&self.body))
    }

    pub(crate) fn is_part_of(&self, text: &Arc<String>) -> bool {
        Arc::ptr_eq(&self.text, text)
    }

    /// Whether both, which have the same name, are the same compiled flag, and not only equal ones.
    /// What was compiled is not read: when flags are refreshed, hardly any of it is in a cache.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }

    pub(crate) fn body(&self) -> Option<&Body> {
        self.body.as_ref().as_ref().ok()
    }

    /// Whether that is the name of the flag.
    #[inline]
    pub(crate) fn is_called(&self, key: &str) -> bool {
        let start = self.key_at as usize;
        let end = start.saturating_add(self.key_length as usize);
        self.text.as_bytes().get(start..end) == Some(key.as_bytes())
    }

    /// The part of the text from `start` on.
    #[inline]
    fn part(&self, start: usize, length: u32) -> &str {
        let end = start.saturating_add(length as usize);
        self.text.get(start..end).unwrap_or_default()
    }

    /// The name of the flag.
    #[must_use]
    #[inline]
    pub fn key(&self) -> &str {
        self.part(self.key_at as usize, self.key_length)
    }

    /// The JSON that the flag was made from; for a flag from a file, the JSON
    /// that the relay proxy serves for it.
    #[must_use]
    pub fn raw_json(&self) -> &str {
        let start = self.key_at as usize + self.key_length as usize + BETWEEN.len();
        self.part(start, self.json_length)
    }

    /// The value of [`raw_json`](Self::raw_json), however deep.
    #[cfg(feature = "file")]
    pub(crate) fn value(&self) -> Option<serde_json::Value> {
        let node = Node::parse_exact(self.raw_json(), MAX_NESTING).ok()?;
        Some(CompactJson::from_node(&node).ok()?.to_value())
    }

    /// Why the flag cannot be evaluated, if its configuration was rejected.
    #[must_use]
    pub fn error(&self) -> Option<&FlagError> {
        self.body.as_ref().as_ref().err()
    }

    /// The names of the flags that this one depends on, by its member `needs`; a
    /// dependency without a name counts with an empty one.
    ///
    /// Evaluation ignores them, as the relay proxy does up to the version that
    /// this engine follows. Newer ones will serve such a flag as disabled
    /// unless each of the others has the expected value (upstream issue 5567), so
    /// do not evaluate a flag here that has any.
    ///
    /// ```
    /// use goff_engine::Flag;
    ///
    /// let flag = Flag::from_json("new-checkout", br#"{
    ///     "needs": [{"flag": "payments", "value": true}],
    ///     "variations": {"on": true, "off": false},
    ///     "defaultRule": {"variation": "on"}
    /// }"#);
    /// assert!(flag.needs().eq(["payments"]));
    /// ```
    pub fn needs(&self) -> impl ExactSizeIterator<Item = &str> {
        let body = self.body.as_ref().as_ref().ok();
        let needs = body.and_then(|body| body.needs.as_deref());
        needs
            .map_or(&[][..], |needs| &*needs.0)
            .iter()
            .map(|name| &**name)
    }

    /// Checks the flag as the server does when it loads a flag: variations that do
    /// not exist, queries that are none, repeated rule names, and the like.
    /// Evaluation does not depend on it: the caller decides whether to serve a
    /// flag that fails. Reads the flag's JSON again.
    ///
    /// ```
    /// use goff_engine::Flag;
    ///
    /// let flag = Flag::from_json("banner", br#"{
    ///     "variations": {"on": true, "off": false},
    ///     "targeting": [{"query": "plan eq \"pro\"", "variation": "onn"}],
    ///     "defaultRule": {"variation": "off"}
    /// }"#);
    /// assert_eq!(
    ///     flag.validate().unwrap_err().to_string(),
    ///     "`targeting[0].variation`: invalid variation: onn does not exist",
    /// );
    /// ```
    ///
    /// # Errors
    ///
    /// The first check that the flag fails, or why it [cannot be
    /// evaluated](Self::error).
    pub fn validate(&self) -> Result<(), InvalidFlag> {
        validation::json(self.raw_json())?;
        match self.error() {
            None => Ok(()),
            Some(error) => Err(InvalidFlag {
                message: error.to_string(),
                path: Vec::new(),
                is_servers: false,
            }),
        }
    }

    /// Whether evaluations depend on the time. If not, `now` is ignored.
    #[must_use]
    pub fn depends_on_time(&self) -> bool {
        let depends = |state: &State| {
            let rules = state.rules.iter().map(|rule| &rule.serving);
            state.window.is_some()
                || rules
                    .chain(&state.default_rule)
                    .any(|serving| matches!(serving, Serving::ProgressiveRollout(_)))
        };
        self.body
            .as_ref()
            .as_ref()
            .is_ok_and(|body| body.schedule.is_some() || body.states.iter().any(depends))
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
            Ok(body) => {
                let hash = self.hash;
                pipeline::evaluate(body, hash, attributes, flag_context, now, Unobserved)
            }
            Err(error) => pipeline::rejected(error),
        }
    }

    /// Evaluates the flag like [`evaluate`](Self::evaluate), and says why it has its result. See
    /// [`FlagSet::explain`](crate::FlagSet::explain).
    #[must_use]
    pub fn explain<A: Attributes + ?Sized>(
        &self,
        attributes: &A,
        flag_context: &FlagContext,
        now: Timestamp,
    ) -> Explanation {
        match &*self.body {
            Ok(body) => {
                let text = (self.key(), self.raw_json());
                explain::explain(text, body, self.hash, attributes, flag_context, now)
            }
            Err(error) => explain::without_flag(self.key(), &pipeline::rejected(error), now),
        }
    }

    /// Whether an evaluation of this flag served a variation that the flag does not
    /// have.
    pub(crate) fn serves_missing_variation(&self, evaluation: &Evaluation<'_>) -> bool {
        let body = self.body.as_ref().as_ref();
        body.is_ok_and(|body| body.serves_missing_variation(evaluation))
    }

    /// How many different results the flag can serve.
    pub(crate) fn answer_count(&self) -> usize {
        self.body
            .as_ref()
            .as_ref()
            .map_or(0, |body| body.answers.len())
    }
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
