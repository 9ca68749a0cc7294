//! Where flags are evaluated.

/// The place where a client's flags are evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EvaluationType {
    /// The relay proxy, with one request for each evaluation that the cache cannot answer.
    #[default]
    Remote,
    /// This process, with a flag configuration in memory.
    InProcess,
}
