//! The evaluation of a compiled flag for one context at one time.

pub(crate) mod attributes;
pub(crate) mod bucketing;
pub(crate) mod evaluation;
pub(crate) mod flag_context;
pub(crate) mod observer;
pub(crate) mod operand;
pub(crate) mod pipeline;
pub(crate) mod scope;
pub(crate) mod seen;
pub(crate) mod work;
