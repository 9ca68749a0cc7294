//! What a module is made for.

/// The API that generated functions call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Api {
    /// `goff_client::GoFeatureFlag`: `async` functions that take a `&dyn ContextView`.
    #[default]
    Native,
    /// `goff_client::LocalFlags`: the same without `async`.
    Local,
    /// `goff_client::blocking::GoFeatureFlag`: the same without `async`.
    Blocking,
    /// `open_feature::Client`: `async` functions that take an `Option<&EvaluationContext>`. A flag whose
    /// value is an array has none, because the SDK does not evaluate arrays, nor one whose variations have
    /// different types.
    OpenFeature,
}

/// How a module is made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ModuleOptions {
    pub(crate) api: Api,
    pub(crate) enums: bool,
}

impl ModuleOptions {
    /// Options for a module that calls `api`.
    #[must_use]
    pub fn new(api: Api) -> Self {
        Self { api, enums: true }
    }

    /// Whether strings that are words become an enum (default: yes). With an enum, a string that is added
    /// to the flag later is a type mismatch until the module is generated again.
    #[must_use]
    pub fn enums(self, enums: bool) -> Self {
        Self { enums, ..self }
    }
}
