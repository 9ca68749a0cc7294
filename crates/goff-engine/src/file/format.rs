//! The formats of flag files.

use std::path::Path;

/// The format of a flag file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlagFileFormat {
    /// YAML as Go's `gopkg.in/yaml.v3` reads it: version 1.2, with the numbers of 1.1. `yes` and `no`
    /// are booleans where a boolean is expected, and text elsewhere.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.1.
    Toml,
}

impl FlagFileFormat {
    /// The format for the extension of a path, in any letter case.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        match extension.as_str() {
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            "toml" => Some(Self::Toml),
            _ => None,
        }
    }
}
