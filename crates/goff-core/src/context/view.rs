//! A view of an evaluation context, whatever type holds it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::context::content::{Content, Sealed};
use crate::context::{AttributeRef, Unreadable};

/// An evaluation context that is read without being copied. The native
/// [`EvaluationContext`](crate::EvaluationContext) is one, and behind the feature `open-feature` the
/// SDK's context too.
///
/// Requests are written, cached resolutions found and flags evaluated from a view. An
/// implementation returns the same content for as long as it is borrowed and calls a visitor once
/// for each attribute, in any order. Where it panics, the evaluation ends in an error.
///
/// To change another view, wrap it, delegate the three required methods, and override what differs
/// in both [`attribute`](Self::attribute) and [`visit`](Self::visit).
pub trait ContextView: fmt::Debug + Send + Sync {
    /// The targeting key, if any. An empty one is passed on.
    ///
    /// *Specification*: GOFF-CTX-003.
    fn targeting_key(&self) -> Option<&str>;

    /// The attribute of that name.
    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>>;

    /// Visits every attribute until the visitor breaks. The targeting key is not an attribute.
    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()>;

    /// The content of a native context, for which a cached resolution is found without comparing
    /// attributes (bench row "cached, native, one hot key"). Sealed: of a view that wraps a native
    /// context it would be wrong.
    #[doc(hidden)]
    fn native(&self, _: Sealed) -> Option<&Arc<Content>> {
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
