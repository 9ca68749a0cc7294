//! Where flags are evaluated.

/// Who evaluates a client's flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EvaluationType {
    /// The relay proxy, asked for every evaluation that no cache answers.
    #[default]
    Remote,
    /// This process, with a configuration that it holds.
    InProcess,
}
