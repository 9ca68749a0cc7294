//! All flags of a configuration.

use std::{collections::HashMap, fmt, hash::BuildHasher, ops::Range, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{
    compiled::{body::Body, flag::Flag, interner::Interner},
    configuration::{
        budget::SharedBudget,
        date::Timestamp,
        json::{MemberText, SyntaxError, for_each_member, utf8_lossy},
    },
    evaluate::{
        attributes::Attributes,
        evaluation::{Evaluation, EvaluationError},
        flag_context::FlagContext,
        pipeline,
    },
    explain::{self, explanation::Explanation},
};

/// The flags of a configuration, by name.
///
/// ```
/// use goff_engine::{FlagContext, FlagSet, Timestamp};
/// use serde_json::json;
///
/// let flags = FlagSet::from_json(br#"{
///     "new-checkout": {
///         "variations": {"on": true, "off": false},
///         "defaultRule": {"percentage": {"on": 30, "off": 70}}
///     },
///     "broken": {"defaultRule": 7}
/// }"#)?;
///
/// let context = json!({"targetingKey": "user-1"});
/// let context = context.as_object().unwrap();
/// let now = Timestamp::from_unix_seconds(0);
/// let flag_context = FlagContext::default();
/// assert_eq!(flags.evaluate("new-checkout", context, &flag_context, now).error, None);
/// // A flag that cannot be read does not affect the others.
/// assert!(flags.get("broken").unwrap().error().is_some());
/// # Ok::<(), goff_engine::FlagSetError>(())
/// ```
#[derive(Clone, Default)]
pub struct FlagSet {
    flags: Vec<Flag>,
    by_key: HashTable<u32>,
    hasher: RandomState,
}

impl FlagSet {
    /// Compiles a JSON object of flags by name, as in the member `flags` of
    /// the relay proxy's flag configuration.
    ///
    /// # Errors
    ///
    /// When the text is not an object of that shape. A flag that cannot be
    /// read is kept with its own [`error`](Flag::error) instead; of repeated
    /// names the last one counts.
    pub fn from_json(json: &[u8]) -> Result<Self, FlagSetError> {
        let text = Arc::new(utf8_lossy(json).into_owned());
        Self::default().refreshed(&text, 0..text.len())
    }

    /// Compiles an object of flags, a part of `text`, like [`from_json`](Self::from_json). A flag
    /// whose JSON is that of the flag of the same key in this set is not compiled again.
    pub(crate) fn refreshed(
        &self,
        text: &Arc<String>,
        range: Range<usize>,
    ) -> Result<Self, FlagSetError> {
        let start = range.start;
        let mut set = Self::default();
        set.reserve(self.len());
        let mut bodies = HashMap::new();
        let mut interner = Interner::default();
        let mut shared = SharedBudget::default();
        let (mut known, mut replaced) = (InOrder::new(self), InOrder::new(self));
        let unchanged = |key: &str, json: &[u8]| {
            let (_, flag) = known.find(key)?;
            Some((flag.is_unchanged_in(json)?, flag))
        };
        for_each_member(
            text.get(range).unwrap_or_default(),
            unchanged,
            |MemberText { name, at, value }, unchanged| {
                let at = start + at;
                if let Some(flag) = unchanged {
                    set.insert(flag.in_later_text(text, at));
                    return;
                }
                let body = bodies.entry(value).or_insert_with(|| {
                    let replaced = replaced.find(&name).and_then(|(_, flag)| flag.body());
                    replaced.inspect(|body| interner.keep(body));
                    let mut budget = shared.flag(value.len());
                    let body = Body::from_json(value, &mut interner, &mut budget);
                    if body.is_ok() {
                        shared.settle(&budget);
                    }
                    Arc::new(body)
                });
                set.insert(Flag::in_text(text, at, (&name, value), Arc::clone(body)));
            },
        )
        .map_err(FlagSetError)?;
        set.shrink();
        Ok(set)
    }

    fn reserve(&mut self, additional: usize) {
        let Self {
            flags,
            by_key,
            hasher,
        } = self;
        flags.reserve(additional);
        by_key.reserve(additional, |index| hash_at(flags, hasher, *index));
    }

    fn shrink(&mut self) {
        let Self {
            flags,
            by_key,
            hasher,
        } = self;
        flags.shrink_to_fit();
        by_key.shrink_to_fit(|index| hash_at(flags, hasher, *index));
    }

    /// Adds a flag, or replaces the one of the same name.
    pub fn insert(&mut self, flag: Flag) {
        let hash = self.hasher.hash_one(flag.key());
        if let Some(slot) = self
            .position(hash, flag.key())
            .and_then(|index| self.flags.get_mut(index))
        {
            *slot = flag;
            return;
        }
        let Ok(index) = u32::try_from(self.flags.len()) else {
            return;
        };
        self.flags.push(flag);
        let Self {
            flags,
            by_key,
            hasher,
        } = self;
        by_key.insert_unique(hash, index, |index| hash_at(flags, hasher, *index));
    }

    #[inline]
    fn position(&self, hash: u64, key: &str) -> Option<usize> {
        self.by_key
            .find(hash, |index| {
                self.flags
                    .get(*index as usize)
                    .is_some_and(|flag| flag.is_called(key))
            })
            .map(|index| *index as usize)
    }

    /// The flag called `key` and its index, which stays until the set is changed.
    #[inline]
    pub(crate) fn get_full(&self, key: &str) -> Option<(usize, &Flag)> {
        let index = self.position(self.hasher.hash_one(key), key)?;
        Some((index, self.flags.get(index)?))
    }

    /// The flag called `key`.
    #[must_use]
    #[inline]
    pub fn get(&self, key: &str) -> Option<&Flag> {
        self.get_full(key).map(|(_, flag)| flag)
    }

    /// All flags, in the order in which they were added.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Flag> {
        self.flags.iter()
    }

    /// How many flags there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.flags.len()
    }

    /// Whether there are no flags.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.flags.is_empty()
    }

    /// Evaluates the flag called `key`.
    ///
    /// If there is no such flag, the evaluation has the error
    /// [`FlagNotFound`](EvaluationError::FlagNotFound).
    #[must_use]
    #[inline]
    pub fn evaluate<'a, A: Attributes + ?Sized>(
        &'a self,
        key: &'a str,
        attributes: &'a A,
        flag_context: &'a FlagContext,
        now: Timestamp,
    ) -> Evaluation<'a> {
        match self.get(key) {
            Some(flag) => flag.evaluate(attributes, flag_context, now),
            None => not_found(key, flag_context),
        }
    }

    /// Evaluates the flag called `key` like [`evaluate`](Self::evaluate), and says why it has its
    /// result: for people who debug a flag, not for every request. It takes about as long as loading
    /// the flag.
    ///
    /// ```
    /// use goff_engine::{FlagContext, FlagSet, Timestamp};
    /// use serde_json::json;
    ///
    /// let flags = FlagSet::from_json(br#"{
    ///     "new-checkout": {
    ///         "variations": {"on": true, "off": false},
    ///         "targeting": [{
    ///             "name": "adults",
    ///             "query": "age ge 18 AND plan eq \"pro\"",
    ///             "variation": "on"
    ///         }],
    ///         "defaultRule": {"percentage": {"on": 20, "off": 80}}
    ///     }
    /// }"#)?;
    /// let context = json!({"targetingKey": "user-1", "age": "42", "plan": "pro"});
    /// let now = Timestamp::parse("2026-01-01T00:00:00Z").unwrap();
    /// let flag_context = FlagContext::default();
    /// let explanation =
    ///     flags.explain("new-checkout", context.as_object().unwrap(), &flag_context, now);
    /// assert_eq!(explanation.value, true);
    /// assert_eq!(explanation.to_string(), r#"
    /// flag `new-checkout` at 2026-01-01T00:00:00Z
    /// ├─ bucketing key "user-1", from `targetingKey`
    /// ├─ rule 1 `adults`: not matched, because the query does not match
    /// │  ├─ query age ge 18 AND plan eq "pro"
    /// │  ├─ the engine ignores `AND plan eq "pro"`
    /// │  ├─ `age ge 18` is false: `age` is the string "42", and a string is never at least a number
    /// │  └─ serves `on`
    /// ├─ default rule: matched, because no targeting rule matches
    /// │  └─ splits 100000 buckets, the key is in bucket 11905
    /// │     ├─ `on` 20 %: buckets 0 to 19999, hit
    /// │     └─ `off` 80 %: buckets 20000 to 99999
    /// └─ value true, variant `on`, reason SPLIT
    /// "#.trim());
    /// # Ok::<(), goff_engine::FlagSetError>(())
    /// ```
    #[must_use]
    pub fn explain<A: Attributes + ?Sized>(
        &self,
        key: &str,
        attributes: &A,
        flag_context: &FlagContext,
        now: Timestamp,
    ) -> Explanation {
        match self.get(key) {
            Some(flag) => flag.explain(attributes, flag_context, now),
            None => explain::without_flag(key, &not_found(key, flag_context), now),
        }
    }
}

fn hash_at(flags: &[Flag], hasher: &RandomState, index: u32) -> u64 {
    flags
        .get(index as usize)
        .map_or(0, |flag| hasher.hash_one(flag.key()))
}

/// Look-ups of keys that come in about the order of the set: one that follows the one found last is
/// found without its hash.
#[derive(Debug)]
pub struct InOrder<'s> {
    set: &'s FlagSet,
    next: usize,
}

impl<'s> InOrder<'s> {
    /// Begins with the first flag of the set.
    #[must_use]
    pub fn new(set: &'s FlagSet) -> Self {
        Self { set, next: 0 }
    }

    /// The flag called `key` and its index.
    pub fn find(&mut self, key: &str) -> Option<(usize, &'s Flag)> {
        let next = self.set.flags.get(self.next);
        let found = match next.filter(|flag| flag.is_called(key)) {
            Some(flag) => (self.next, flag),
            None => self.set.get_full(key)?,
        };
        self.next = found.0 + 1;
        Some(found)
    }
}

fn not_found<'a>(key: &'a str, flag_context: &'a FlagContext) -> Evaluation<'a> {
    Evaluation {
        value: &flag_context.default_value,
        ..pipeline::without_flag(EvaluationError::FlagNotFound(key))
    }
}

impl FromIterator<Flag> for FlagSet {
    fn from_iter<I: IntoIterator<Item = Flag>>(flags: I) -> Self {
        let mut set = Self::default();
        for flag in flags {
            set.insert(flag);
        }
        set
    }
}

impl fmt::Debug for FlagSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.flags).finish()
    }
}

/// A text that is not an object of flags.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlagSetError(SyntaxError);

impl FlagSetError {
    /// Byte offset at which reading stopped.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.0.offset
    }
}

impl fmt::Display for FlagSetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for FlagSetError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_that_cannot_be_read_is_kept_as_its_own_error() {
        let flags = FlagSet::from_json(
            br#"{"good":{"variations":{"A":1},"defaultRule":{"variation":"A"}},"bad":{"disable":"yes"},"worse":{"disable":tru}}"#,
        )
        .unwrap();
        assert_eq!(flags.len(), 3);
        assert_eq!(flags.get("good").unwrap().error(), None);
        assert_eq!(
            flags.get("bad").unwrap().error().unwrap().to_string(),
            "member `disable` is not a boolean"
        );
        assert!(flags.get("worse").unwrap().error().is_some());
        assert_eq!(flags.get("bad").unwrap().raw_json(), r#"{"disable":"yes"}"#);
        assert!(flags.get("absent").is_none());
    }

    #[test]
    fn the_last_of_repeated_names_counts() {
        let flags =
            FlagSet::from_json(br#"{"a":{"version":"1"},"b":{},"a":{"version":"2"}}"#).unwrap();
        assert_eq!(flags.len(), 2);
        assert_eq!(flags.get("a").unwrap().raw_json(), r#"{"version":"2"}"#);
        assert_eq!(flags.get_full("b").map(|(index, _)| index), Some(1));
    }

    #[test]
    fn other_shapes_are_errors_with_a_position() {
        for (text, offset) in [("[]", 0), ("{\"a\" 1}", 5), ("{\"a\":1", 6), ("{} x", 3)] {
            let error = FlagSet::from_json(text.as_bytes()).unwrap_err();
            assert_eq!(error.offset(), offset, "{text}");
        }
    }
}
