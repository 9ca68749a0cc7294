//! The origin of a result.

/// Where a flag was evaluated, as far as this client can know. The relay proxy records its own
/// evaluations, so the origin decides whether this client records usage data.
///
/// Exhaustive on purpose: code that depends on the origin has to handle every one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// On the relay proxy, for this call.
    Relay,
    /// From this client's cache.
    Cache,
    /// On the relay proxy, for another caller whose single-flight request this call joined.
    Shared,
    /// In this process.
    InProcess,
    /// In-process evaluation failed and fell back to the relay proxy.
    Fallback(FallbackOrigin),
    /// Not evaluated: the request was refused before it was sent, or answered with a status that
    /// rules out an evaluation.
    NotEvaluated,
    /// Perhaps on the relay proxy: the request was sent, and the answer was lost or unreadable.
    Unknown,
}

/// Where a flag was evaluated after in-process evaluation fell back to the relay proxy.
///
/// *Specification*: GOFF-FALLBACK-006.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FallbackOrigin {
    /// The relay proxy answered, with a value or an error.
    Answered,
    /// Not on the relay proxy; only this process tried.
    NotEvaluated,
    /// Perhaps on the relay proxy: its answer was lost or unreadable.
    Unknown,
}
