//! Flag files in YAML, JSON and TOML.

pub(crate) mod error;
mod format;
mod json;
pub(crate) mod known_members;
pub(crate) mod position;
pub(crate) mod scalar;
pub(crate) mod served;
pub(crate) mod text;
mod toml;
pub(crate) mod tree;
mod yaml;

use std::sync::Arc;

use crate::{
    compiled::{
        body::{Body, Needs},
        flag_set::{FlagSet, InOrder},
        interner::Interner,
        text_block::TextBlock,
    },
    configuration::{
        budget::SharedBudget,
        definition::FlagDefinition,
        json::{MAX_NESTING, Node, utf8_lossy},
    },
    evaluate::evaluation::FlagError,
    presentable::presentable,
    validation::{self, Step},
};

pub use error::{FlagFileError, FlagProblem};
pub use format::FlagFileFormat;

use error::{Malformed, ProblemKind};
use position::Lines;
use served::CopyBudget;
use tree::Tree;

/// A file of flags, loaded and validated.
///
/// The file is an object of flags by name. Each flag is checked as the server
/// checks it when it loads its configuration. Each finding is a [`FlagProblem`]
/// with its place in the file. A flag with problems is still in the set, because
/// evaluation does not depend on validation: the caller decides whether to serve
/// it.
///
/// As in the server, integers in YAML and TOML are exact up to 64 bits, numbers
/// in JSON are doubles, and a flag's [`raw_json`](crate::Flag::raw_json) leaves out
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
    /// All flags of the file. One with problems evaluates to an error.
    pub flags: FlagSet,
    /// What the server would reject, in the order of the file.
    pub problems: Vec<FlagProblem>,
}

impl FlagFile {
    /// Loads a flag file: text, or the bytes of a file.
    ///
    /// # Errors
    ///
    /// If the text is not of that format, or not an object of flags.
    pub fn parse(text: impl AsRef<[u8]>, format: FlagFileFormat) -> Result<Self, FlagFileError> {
        Self::refreshed(&FlagSet::default(), text.as_ref(), format)
    }

    /// Loads a flag file like [`parse`](Self::parse). A flag that is as in `earlier`, the flags of an
    /// earlier file, is not compiled and checked again.
    pub(crate) fn refreshed(
        earlier: &FlagSet,
        bytes: &[u8],
        format: FlagFileFormat,
    ) -> Result<Self, FlagFileError> {
        let text = text::decode(bytes, format);
        let text = text.map_err(|error| error.of_file(&utf8_lossy(bytes)))?;
        Self::of_text(earlier, &text, format).map_err(|error| error.of_file(&text))
    }

    fn of_text(earlier: &FlagSet, text: &str, format: FlagFileFormat) -> Result<Self, Malformed> {
        let mut known = InOrder::new(earlier);
        let mut copies = CopyBudget::of(text.len());
        let mut shared = SharedBudget::default();
        let (mut flags, mut block) = (FlagSet::default(), TextBlock::default());
        let mut found = Vec::new();
        // One for all: a file may have many small flags that are invalid.
        let invalid = Arc::new(Err(FlagError::new("the flag is invalid")));
        for (index, (key, tree, is_merged)) in
            read(text, format, &mut copies)?.into_iter().enumerate()
        {
            let mut is_valid = true;
            let mut problem = |place, message: String, kind| {
                is_valid = false;
                found.push((key.clone(), index, place, message, kind));
            };
            let needs = tree.needs(&mut copies.left);
            let json = served::to_json(&tree, is_merged, format, &mut copies);
            if let Ok(json) = &json
                && let Some((_, flag)) = known.find(&key)
                && let Some(body) = flag.unchanged_body(json, &needs)
            {
                block.push(&mut flags, (&key, json), body);
                continue;
            }
            // A large tree is much larger than the JSON, and compiling takes memory too.
            let small = Some(tree).filter(|_| json.as_ref().is_ok_and(|json| json.len() <= SMALL));
            let (json, body) = match json {
                Err(fault) => {
                    let kind = match fault.is_servers {
                        true => ProblemKind::Undecodable,
                        false => ProblemKind::TooLarge,
                    };
                    problem(Place::Offset(fault.offset), fault.message, kind);
                    ("{}".to_owned(), None)
                }
                Ok(json) => {
                    let body = Self::compile(&json, &mut shared, &mut |path, message, kind| {
                        let place = match &small {
                            Some(tree) => Place::Offset(tree.locate(&path)),
                            None => Place::Part(path),
                        };
                        problem(place, message, kind);
                    });
                    let needs = (!needs.is_empty()).then(|| Box::new(Needs(needs.into())));
                    (json, Some(body.map(|body| Body { needs, ..body })))
                }
            };
            let body = body
                .filter(|_| is_valid)
                .map_or_else(|| Arc::clone(&invalid), Arc::new);
            block.push(&mut flags, (&key, &json), body);
        }
        block.move_into(&mut flags);
        let problems = problems(found, text, format)?;
        Ok(Self { flags, problems })
    }

    /// Compiles a flag as the server serves it, and checks it as the server does.
    fn compile(
        json: &str,
        shared: &mut SharedBudget,
        problem: &mut dyn FnMut(Vec<Step>, String, ProblemKind),
    ) -> Result<Body, FlagError> {
        let mut budget = shared.flag(json.len());
        let node = Node::parse_exact(json, MAX_NESTING).map_err(FlagError::new);
        let definition = node
            .and_then(|node| FlagDefinition::decode(&node, &mut budget).map_err(FlagError::new));
        let definition = match definition {
            Ok(definition) => definition,
            Err(error) => {
                // The types of members have been checked.
                problem(Vec::new(), error.to_string(), ProblemKind::TooLarge);
                return Err(error);
            }
        };
        if let Err(invalid) = validation::flag(&definition) {
            let kind = match invalid.is_servers {
                true => ProblemKind::Invalid,
                false => ProblemKind::TooLarge,
            };
            problem(invalid.path, invalid.message, kind);
        }
        let body = Body::compile(definition, &mut Interner::default(), &mut budget);
        match &body {
            Ok(_) => shared.settle(&budget),
            Err(error) => problem(Vec::new(), error.to_string(), ProblemKind::TooLarge),
        }
        body
    }
}

/// The flags of a text by name, and whether they are merged into it.
fn read<'t>(
    text: &'t str,
    format: FlagFileFormat,
    copies: &mut CopyBudget,
) -> Result<Vec<(String, Tree<'t>, bool)>, Malformed> {
    Ok(served::flags(&root(text, format)?, format, copies)?)
}

/// The contents of a text.
pub(crate) fn root(text: &str, format: FlagFileFormat) -> Result<Tree<'_>, Malformed> {
    match format {
        FlagFileFormat::Yaml => yaml::parse(text),
        FlagFileFormat::Json => json::parse(text),
        FlagFileFormat::Toml => toml::parse(text),
    }
}

/// The JSON of a flag whose tree is kept while it is compiled, in bytes.
const SMALL: usize = 4096;

/// Where a problem is.
enum Place {
    Offset(usize),
    Part(Vec<Step>),
}

/// A problem of a flag, with its name and number in the file.
type Found = (String, usize, Place, String, ProblemKind);

/// Finds the places of problems. For large flags the file is read again.
fn problems(
    found: Vec<Found>,
    text: &str,
    format: FlagFileFormat,
) -> Result<Vec<FlagProblem>, Malformed> {
    let lines = Lines::new(text);
    let is_placed = |(_, _, place, ..): &Found| matches!(place, Place::Offset(_));
    let trees = match found.iter().all(is_placed) {
        true => Vec::new(),
        false => read(text, format, &mut CopyBudget::of(text.len()))?,
    };
    let problem = |(flag, index, place, message, kind): Found| {
        let offset = match place {
            Place::Offset(offset) => offset,
            Place::Part(path) => trees
                .get(index)
                .map_or(0, |(_, tree, _)| tree.locate(&path)),
        };
        FlagProblem {
            flag,
            offset,
            position: lines.position(offset),
            message: presentable(&message).into_owned(),
            kind,
        }
    };
    Ok(found.into_iter().map(problem).collect())
}

#[cfg(test)]
mod tests;
