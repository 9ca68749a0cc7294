//! Flag files in YAML, JSON and TOML.

mod error;
mod json;
mod position;
mod scalars;
mod served;
mod toml;
mod tree;
mod validate;
mod yaml;

use std::path::Path;

use crate::{Flag, FlagSet, configuration::definition::FlagDefinition};

pub use error::{FlagFileError, FlagProblem};

use position::Position;

/// A file of flags, loaded and validated.
///
/// The file is an object of flags by name. Each flag is checked as the server
/// checks it when it loads its configuration; what it finds is a
/// [`FlagProblem`] with the place in the file. A flag with problems is in the
/// set all the same, as evaluation does not depend on validation; whether to
/// serve it is the caller's choice.
///
/// As in the server, integers in YAML and TOML are exact up to 64 bits, while
/// JSON has doubles only, and what the server does not know is not in a flag's
/// [`raw_json`](Flag::raw_json).
///
/// ```
/// use goff_engine::{FlagFile, FlagFileFormat};
///
/// let file = FlagFile::parse(
///     "new-checkout:
///   variations:
///     on: true
///     off: false
///   targeting:
///     - query: plan eq \"pro\"
///       variation: enabled
///   defaultRule:
///     variation: off
/// ",
///     FlagFileFormat::Yaml,
/// )?;
/// assert_eq!(file.flags.len(), 1);
/// assert_eq!(
///     file.problems[0].to_string(),
///     "line 7, column 18: flag `new-checkout`: invalid variation: enabled does not exist",
/// );
/// # Ok::<(), goff_engine::FlagFileError>(())
/// ```
#[derive(Clone, Debug)]
pub struct FlagFile {
    /// All flags of the file.
    pub flags: FlagSet,
    /// What the server would refuse, in the order of the file.
    pub problems: Vec<FlagProblem>,
}

/// How a flag file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FlagFileFormat {
    /// YAML 1.2; `yes` and `no` are text.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.0.
    Toml,
}

impl FlagFileFormat {
    /// The format that the extension of a path stands for, in any letter case.
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

impl FlagFile {
    /// Loads a flag file.
    ///
    /// # Errors
    ///
    /// When the text is not of that format, or not an object of flags.
    pub fn parse(text: &str, format: FlagFileFormat) -> Result<Self, FlagFileError> {
        let tree = match format {
            FlagFileFormat::Yaml => yaml::parse(text)?,
            FlagFileFormat::Json => json::parse(text)?,
            FlagFileFormat::Toml => toml::parse(text)?,
        };
        let mut flags = FlagSet::default();
        let mut problems = Vec::new();
        for (key, mut flag) in tree.into_flags()? {
            if format == FlagFileFormat::Yaml {
                scalars::settle(&mut flag);
            }
            let problem = |position: Position, message: String| FlagProblem {
                flag: key.clone(),
                position,
                message,
            };
            let node = flag.to_node();
            match FlagDefinition::decode(&node) {
                Err(error) => problems.push(problem(flag.member(error.member), error.to_string())),
                Ok(definition) => {
                    if let Err(invalid) = validate::flag(&definition) {
                        problems.push(problem(flag.locate(&invalid.path), invalid.message));
                    }
                }
            }
            let compiled = Flag::from_node(&key, &node, &served::to_json(&flag));
            // What the decoder accepts and the size limits refuse.
            if let (Some(error), Ok(_)) = (compiled.error(), FlagDefinition::decode(&node)) {
                problems.push(problem(flag.position, error.to_string()));
            }
            flags.insert(compiled);
        }
        Ok(Self { flags, problems })
    }
}

#[cfg(test)]
mod tests;
