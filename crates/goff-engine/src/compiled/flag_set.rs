//! All flags of a configuration.

use std::{collections::HashMap, fmt, hash::BuildHasher, sync::Arc};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::{
    compiled::{body::Body, flag::Flag, interner::Interner},
    configuration::{
        budget::SharedBudget,
        date::Timestamp,
        json::{SyntaxError, for_each_member, utf8_lossy},
    },
    evaluate::{
        attributes::Attributes,
        evaluation::{Evaluation, EvaluationError},
        flag_context::FlagContext,
        pipeline,
    },
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
        let text = utf8_lossy(json);
        let mut set = Self::default();
        let mut bodies = HashMap::new();
        let mut interner = Interner::default();
        let mut shared = SharedBudget::default();
        for_each_member(&text, |key, json| {
            let body = bodies.entry(json).or_insert_with(|| {
                let mut budget = shared.flag(json.len());
                let body = Body::from_json(json, &mut interner, &mut budget);
                if body.is_ok() {
                    shared.settle(&budget);
                }
                Arc::new(body)
            });
            set.insert(Flag::new(&key, json, Arc::clone(body)));
        })
        .map_err(FlagSetError)?;
        set.flags.shrink_to_fit();
        Ok(set)
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
        let Self { flags, hasher, .. } = self;
        self.by_key.insert_unique(hash, index, |index| {
            flags
                .get(*index as usize)
                .map_or(0, |flag| hasher.hash_one(flag.key()))
        });
    }

    #[inline]
    fn position(&self, hash: u64, key: &str) -> Option<usize> {
        self.by_key
            .find(hash, |index| {
                self.flags
                    .get(*index as usize)
                    .is_some_and(|flag| flag.key() == key)
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
            None => Evaluation {
                value: &flag_context.default_value,
                ..pipeline::without_flag(EvaluationError::FlagNotFound(key))
            },
        }
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
