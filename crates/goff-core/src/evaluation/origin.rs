//! Who evaluated a flag.

/// Who evaluated a flag, as far as this client can know. The relay proxy records what it
/// evaluated itself, so the origin decides whether this client records it too.
///
/// Exhaustive on purpose: whoever decides by it has decided for every origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// The relay proxy, for this very call.
    Relay,
    /// This client's cache.
    Cache,
    /// The relay proxy, for another caller whose request this one shared.
    Shared,
    /// This process.
    InProcess,
    /// The relay proxy was asked because this process could not.
    Fallback(FallbackOrigin),
    /// Certainly nobody: the evaluation was refused before it was sent, or answered with a status
    /// that evaluates nothing.
    NotEvaluated,
    /// Perhaps the relay proxy: the request was sent and its answer was lost or unreadable.
    Unknown,
}

/// Who evaluated a flag when the relay proxy was asked in place of this process
/// (GOFF-FALLBACK-006).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FallbackOrigin {
    /// The relay proxy answered, be it with an error.
    Answered,
    /// Certainly not the relay proxy, so that only this process tried.
    NotEvaluated,
    /// Perhaps the relay proxy: its answer was lost or unreadable.
    Unknown,
}
