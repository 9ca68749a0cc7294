//! A view of an evaluation context, whatever type holds it.

use std::fmt;
use std::ops::ControlFlow;

use crate::context::{AttributeRef, Unreadable};

/// An evaluation context that is read without being copied. The native
/// [`EvaluationContext`](crate::EvaluationContext) is one, and behind the feature `open-feature` the
/// SDK's context too.
///
/// Requests are written, cached resolutions found and flags evaluated from a view. An
/// implementation returns the same content for as long as it is borrowed and calls a visitor once
/// for each attribute, in any order.
///
/// To change another view, wrap it, delegate the three required methods, and override what differs
/// in both [`attribute`](Self::attribute) and [`visit`](Self::visit).
pub trait ContextView: fmt::Debug + Send + Sync {
    /// The targeting key, if any. An empty one is passed on (GOFF-CTX-003).
    fn targeting_key(&self) -> Option<&str>;

    /// The attribute of that name.
    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>>;

    /// Visits every attribute until the visitor breaks. The targeting key is not an attribute.
    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()>;

    /// The canonical hash, if it is known already: a hash over ten attributes takes as long as the
    /// rest of a cache hit. A wrong one costs cache misses, never a wrong hit, because cache keys
    /// are compared in full.
    #[doc(hidden)]
    fn stored_hash(&self) -> Option<u64> {
        None
    }
}

/// A context that cannot be used: the attribute and the reason. It never contains the attribute's
/// value. As an evaluation error it is `INVALID_CONTEXT`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("attribute `{attribute}` {reason}")]
#[non_exhaustive]
pub struct ContextError {
    /// The attribute's name.
    pub attribute: String,
    /// Why it cannot be read.
    pub reason: Unreadable,
}

impl ContextError {
    /// Creates the error for the attribute of that name.
    pub fn new(attribute: impl Into<String>, reason: Unreadable) -> Self {
        Self {
            attribute: attribute.into(),
            reason,
        }
    }
}
