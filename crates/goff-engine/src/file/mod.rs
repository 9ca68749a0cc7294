//! Flag files in YAML, JSON and TOML.

mod error;
mod json;
mod position;
mod scalars;
mod served;
mod toml;
mod tree;
mod yaml;

use std::{path::Path, sync::Arc};

use crate::{
    compiled::{body::Body, flag::Flag, flag_set::FlagSet, interner::Interner},
    configuration::{budget::SharedBudget, definition::FlagDefinition},
    evaluate::evaluation::FlagError,
    validation,
};

pub use error::{FlagFileError, FlagProblem};

use position::Position;

/// A file of flags, loaded and validated.
///
/// The file is an object of flags by name. Each flag is checked as the server
/// checks it when it loads its configuration. Each finding is a [`FlagProblem`]
/// with its place in the file. A flag with problems is still in the set, because
/// evaluation does not depend on validation: the caller decides whether to serve
/// it.
///
/// As in the server, integers in YAML and TOML are exact up to 64 bits, numbers
/// in JSON are doubles, and a flag's [`raw_json`](Flag::raw_json) leaves out
/// members that the server does not know.
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
#[non_exhaustive]
pub struct FlagFile {
    /// All flags of the file.
    pub flags: FlagSet,
    /// What the server would reject, in the order of the file.
    pub problems: Vec<FlagProblem>,
}

/// The format of a flag file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FlagFileFormat {
    /// YAML 1.2; `yes` and `no` are text.
    Yaml,
    /// JSON.
    Json,
    /// TOML 1.0.
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

impl FlagFile {
    /// Loads a flag file.
    ///
    /// # Errors
    ///
    /// If the text is not of that format, or not an object of flags.
    pub fn parse(text: &str, format: FlagFileFormat) -> Result<Self, FlagFileError> {
        let tree = match format {
            FlagFileFormat::Yaml => yaml::parse(text)?,
            FlagFileFormat::Json => json::parse(text)?,
            FlagFileFormat::Toml => toml::parse(text)?,
        };
        let mut flags = FlagSet::default();
        let mut problems = Vec::new();
        let mut shared = SharedBudget::default();
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
            let json = served::to_json(&flag);
            let mut budget = shared.flag(json.len());
            let body = match FlagDefinition::decode(&node, &mut budget) {
                Err(error) => {
                    problems.push(problem(flag.member(error.member), error.to_string()));
                    Err(FlagError::new(error))
                }
                Ok(definition) => {
                    if let Err(invalid) = validation::flag(&definition) {
                        problems.push(problem(flag.locate(&invalid.path), invalid.message));
                    }
                    let body = Body::compile(definition, &mut Interner::default(), &mut budget);
                    match &body {
                        Ok(_) => shared.settle(&budget),
                        Err(error) => problems.push(problem(flag.position, error.to_string())),
                    }
                    body.map(Arc::new)
                }
            };
            flags.insert(Flag::new(&key, &json, body));
        }
        Ok(Self { flags, problems })
    }
}

#[cfg(test)]
mod tests;
