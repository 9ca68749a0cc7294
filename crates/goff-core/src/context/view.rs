//! Reading an evaluation context in place, whoever owns it.

use std::fmt;
use std::ops::ControlFlow;

use crate::context::{AttributeRef, Unreadable};
use crate::context::{EvaluationContext, canonical};

/// An evaluation context that is read without being copied. This client's
/// [`EvaluationContext`](crate::EvaluationContext) is one, and behind the feature `open-feature`
/// the SDK's context too.
///
/// Requests are written, cache keys compared and flags evaluated from a view. An implementation
/// answers the same for as long as it is borrowed, and calls its visitor once for each attribute,
/// in any order.
pub trait ContextView: fmt::Debug + Send + Sync {
    /// The targeting key, when there is one. An empty one is passed on (GOFF-CTX-003).
    fn targeting_key(&self) -> Option<&str>;

    /// The attribute of that name.
    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>>;

    /// Visits every attribute until the visitor breaks. The targeting key is no attribute.
    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()>;

    /// A hash that equal contexts share, whatever the order of their attributes. It leaves out
    /// `gofeatureflag.exporterMetadata`, which never decides a value.
    ///
    /// # Errors
    /// An attribute that cannot be read.
    fn canonical_hash(&self) -> Result<u64, ContextError> {
        canonical::hash(self)
    }

    /// The built context that this view shows, exporter metadata aside, if there is one: contexts
    /// are compared by it before anything is read.
    fn built(&self) -> Option<&EvaluationContext> {
        None
    }

    /// The view to which this one adds exporter metadata and nothing else, if it does. Whoever has
    /// no use for them reads that one, which is less work.
    fn without_exporter_metadata(&self) -> Option<&dyn ContextView> {
        None
    }
}

/// A context that cannot be used: which attribute, and why. It never shows the attribute's value.
/// As an evaluation error it is `INVALID_CONTEXT`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContextError {
    /// The attribute's name.
    pub attribute: String,
    /// What is wrong with it.
    pub reason: Unreadable,
}

impl ContextError {
    /// The attribute's name and what is wrong with it.
    pub fn new(attribute: impl Into<String>, reason: Unreadable) -> Self {
        Self {
            attribute: attribute.into(),
            reason,
        }
    }
}

impl fmt::Display for ContextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attribute, reason } = self;
        write!(f, "attribute `{attribute}` {reason}")
    }
}

impl std::error::Error for ContextError {}
