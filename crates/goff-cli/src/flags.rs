//! A flag file, read as the relay proxy reads it.

use std::collections::HashSet;
use std::path::Path;

use goff_engine::{FlagFile, FlagFileFormat, FlagProblem, FlagSet};

use crate::failure::Failure;
use crate::file;
use crate::output::{shown, warn};

/// The flags that a relay proxy would serve for a file. It leaves out invalid flags; each of them is a
/// warning here.
///
/// # Errors
/// A file that it would refuse.
pub(crate) fn load(path: &Path) -> Result<FlagSet, Failure> {
    let (flags, warnings) = parse(path, &file::read(path)?)?;
    for warning in warnings {
        warn(&warning);
    }
    Ok(flags)
}

/// The same for the content of a file, with the warnings.
pub(crate) fn parse(path: &Path, content: &[u8]) -> Result<(FlagSet, Vec<String>), Failure> {
    let place = path.display();
    let file = FlagFile::parse(content, format(path)).map_err(|error| {
        let remedy = "correct it: a relay proxy refuses the file";
        Failure::at(&place, format!("{error}; {remedy}"))
    })?;
    let refusing = file.problems.iter().find(|problem| problem.refuses_file());
    if let Some(problem) = refusing {
        let remedy = "correct the flag: a relay proxy refuses the whole file for it";
        return Err(Failure::at(place, format!("{problem}; {remedy}")));
    }
    let left_out: HashSet<&str> = file.problems.iter().map(FlagProblem::flag).collect();
    let mut warnings: Vec<String> = Vec::new();
    for problem in &file.problems {
        warnings.push(format!("{place}: {problem}; a relay proxy leaves it out"));
    }
    let mut flags = FlagSet::default();
    for flag in file.flags.iter() {
        if left_out.contains(flag.key()) {
            continue;
        }
        if flag.needs().len() > 0 {
            let key = shown(flag.key());
            warnings.push(format!(
                "{place}: flag `{key}`: `needs` is ignored, as by the relay proxy up to 1.55; newer ones may \
                 answer differently"
            ));
        }
        flags.insert(flag.clone());
    }
    Ok((flags, warnings))
}

/// The format by the extension; YAML if that is unknown, as for the relay proxy.
pub(crate) fn format(path: &Path) -> FlagFileFormat {
    FlagFileFormat::of_path(path).unwrap_or(FlagFileFormat::Yaml)
}
