//! The cache key: the flag and the canonical context.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::context::canonical::{canonical_hash, hash_text};
use crate::context::content::{Content, Sealed};
use crate::context::memory_size::text_size;
use crate::context::{ContextError, ContextView, EvaluationContext};

/// The key of a cached resolution: flag key and context, without exporter metadata. The requested
/// type and the caller's default are not part of it, because a cached resolution has no Rust type.
///
/// Equal contexts make equal keys, whatever the order of their attributes. The hash finds a key,
/// full and typed equality decides.
///
/// *Specification*: GOFF-CACHE-004.
#[derive(Clone)]
pub struct CacheKey {
    flag_key: Arc<str>,
    context: Arc<EvaluationContext>,
    /// Of the native context that the key was made from.
    native: Option<Arc<Content>>,
    hash: u64,
}

impl CacheKey {
    /// The flag's key.
    #[must_use]
    pub fn flag_key(&self) -> &Arc<str> {
        &self.flag_key
    }

    /// The context as it is sent, shared with the request.
    #[must_use]
    pub fn context(&self) -> &Arc<EvaluationContext> {
        &self.context
    }

    /// About how many bytes of memory the key keeps.
    #[must_use]
    pub fn memory_size(&self) -> usize {
        let sent = self.context.native(Sealed(())).into_iter();
        let contents = sent
            .chain(&self.native)
            .map(|content| content.memory_size());
        size_of::<Self>() + text_size(&self.flag_key) + contents.sum::<usize>()
    }
}

impl PartialEq for CacheKey {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.flag_key == other.flag_key
            && self.context.is_same(&*other.context)
    }
}

impl Eq for CacheKey {}

impl Hash for CacheKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A [`CacheKey`] that borrows flag key and context, to look one up without a copy.
#[derive(Clone, Copy)]
pub struct CacheKeyRef<'a> {
    flag_key: &'a str,
    context: &'a dyn ContextView,
    hash: u64,
}

impl<'a> CacheKeyRef<'a> {
    /// Creates the key of evaluating `flag_key` for `context`.
    ///
    /// # Errors
    /// An attribute that cannot be read.
    pub fn new(flag_key: &'a str, context: &'a dyn ContextView) -> Result<Self, ContextError> {
        let hash = canonical_hash(context)?.rotate_left(1) ^ hash_text(flag_key);
        Ok(Self {
            flag_key,
            context,
            hash,
        })
    }

    /// Whether this is the key `owned`.
    #[must_use]
    pub fn matches(&self, owned: &CacheKey) -> bool {
        self.hash == owned.hash
            && *self.flag_key == *owned.flag_key
            && (self.is_made_of(owned) || owned.context.is_same(self.context))
    }

    /// Copies flag key and context, once for a miss. `sent` is the context of the request: this
    /// one, with exporter metadata or without.
    #[must_use]
    pub fn to_owned_key(&self, sent: &dyn ContextView) -> CacheKey {
        CacheKey {
            flag_key: self.flag_key.into(),
            context: Arc::new(EvaluationContext::from_view(sent)),
            native: self.context.native(Sealed(())).map(Arc::clone),
            hash: self.hash,
        }
    }

    /// Whether both keys are of one native context, which needs no comparison.
    fn is_made_of(&self, owned: &CacheKey) -> bool {
        match (self.context.native(Sealed(())), &owned.native) {
            (Some(own), Some(theirs)) => Arc::ptr_eq(own, theirs),
            _ => false,
        }
    }
}

impl Hash for CacheKeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKey")
            .field("flag_key", &self.flag_key)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CacheKeyRef<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CacheKeyRef")
            .field("flag_key", &self.flag_key)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;

    use super::*;

    fn context(age: i64) -> EvaluationContext {
        EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("age", age)
            .attribute("pro", true)
            .build()
    }

    /// GOFF-CACHE-004, docs/python-parity.md A.6, row 41: the flag key is part of the key.
    #[test]
    fn flag_key_and_context_count() {
        let (thirty, forty) = (context(30), context(40));
        let key = CacheKeyRef::new("flag", &thirty).unwrap();
        let owned = key.to_owned_key(&thirty);
        assert!(key.matches(&owned));
        assert!(!CacheKeyRef::new("flag", &forty).unwrap().matches(&owned));
        assert!(!CacheKeyRef::new("other", &thirty).unwrap().matches(&owned));
        assert_eq!(&**owned.flag_key(), "flag");
        assert_eq!(**owned.context(), thirty);
    }

    #[test]
    fn borrowed_and_owned_keys_have_the_same_hash() {
        let context = context(30);
        let key = CacheKeyRef::new("flag", &context).unwrap();
        let owned = key.to_owned_key(&context);
        let state = RandomState::new();
        assert_eq!(state.hash_one(key), state.hash_one(&owned));
        assert_eq!(owned, key.to_owned_key(&context));
    }

    #[test]
    fn unreadable_context_has_no_key() {
        let context = EvaluationContext::builder().attribute("rate", f64::INFINITY);
        let error = CacheKeyRef::new("flag", &context.build())
            .unwrap_err()
            .attribute;
        assert_eq!(error, "rate");
    }
}
