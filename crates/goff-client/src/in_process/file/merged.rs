//! The flags of one file, or of several files together.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use goff_engine::FlagSet;

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::file::flag_file::{FlagFile, FlagFileError};
use crate::in_process::file::watcher::Refresh;
use crate::in_process::left_out::{LeftOut, listed, warn_of_left_out};

/// Merges files as the relay proxy merges its retrievers: a flag of a later file replaces the one of
/// the same key, and as long as one of the files is unusable, there is no new configuration.
#[derive(Debug)]
pub(crate) struct MergedFiles {
    names: Vec<String>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The latest look at each file; none before the first one.
    files: Vec<Option<Refresh>>,
    /// The problems of the last warning.
    warned: Vec<String>,
    /// Why the latest looks gave no flags.
    failure: Option<FilesError>,
}

impl MergedFiles {
    pub(crate) fn new(files: &[FlagFile]) -> Self {
        Self {
            names: files.iter().map(ToString::to_string).collect(),
            state: Mutex::new(State {
                files: files.iter().map(|_| None).collect(),
                warned: Vec::new(),
                failure: None,
            }),
        }
    }

    /// Takes a look at one of the files, and serves what all of them give, once each was looked at.
    /// One call at a time.
    pub(crate) fn take(
        &self,
        index: usize,
        refresh: Refresh,
        serve: impl FnOnce(Result<CompiledConfiguration, FilesError>),
    ) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = state.files.get_mut(index) {
            *file = Some(refresh);
        }
        let State {
            files,
            warned,
            failure,
        } = &mut *state;
        let looks: Option<Vec<&Refresh>> = files.iter().map(Option::as_ref).collect();
        let Some(looks) = looks else {
            return;
        };
        let merged = self
            .merged(&looks)
            .and_then(|merged| self.served(warned, merged));
        *failure = merged.as_ref().err().cloned();
        serve(merged);
    }

    /// Why the latest looks gave no flags.
    pub(crate) fn failure(&self) -> Option<FilesError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failure.clone()
    }

    /// All flags, and those that the server would not serve.
    fn merged(&self, looks: &[&Refresh]) -> Result<(FlagSet, Vec<Problem>), FilesError> {
        let mut flags = FlagSet::default();
        let mut problems: Vec<Problem> = Vec::new();
        for (name, look) in self.names.iter().zip(looks) {
            let file = look
                .as_ref()
                .map_err(|error| FilesError::Unusable(error.clone()))?;
            problems.retain(|problem| file.flags.get(&problem.flag).is_none());
            for flag in file.flags.iter() {
                flags.insert(flag.clone());
            }
            problems.extend(file.problems.iter().map(|problem| Problem {
                flag: problem.flag().to_owned(),
                reason: problem.message().to_owned(),
                text: match self.names.len() {
                    1 => problem.to_string(),
                    _ => format!("{name}, {problem}"),
                },
            }));
        }
        Ok((flags, problems))
    }

    /// Leaves out what the server would not serve, with one warning.
    fn served(
        &self,
        warned: &mut Vec<String>,
        (all, problems): (FlagSet, Vec<Problem>),
    ) -> Result<CompiledConfiguration, FilesError> {
        let texts: Vec<String> = problems
            .iter()
            .map(|problem| problem.text.clone())
            .collect();
        let reasons = problems.into_iter();
        let left_out: LeftOut = reasons
            .map(|problem| (problem.flag, problem.reason))
            .collect();
        let served = all.iter();
        let served = served.filter(|flag| left_out.reason(flag.key()).is_none());
        let flags: FlagSet = served.cloned().collect();
        if flags.is_empty() && !all.is_empty() {
            let error = FilesError::NoneLeft {
                files: self.to_string(),
                left_out: listed(&texts),
            };
            tracing::warn!(%error, "flags not loaded");
            return Err(error);
        }
        if *warned != texts {
            warn_of_left_out(self, &texts);
            *warned = texts;
        }
        Ok(CompiledConfiguration::new(flags, left_out))
    }
}

/// A flag that the server would not serve.
struct Problem {
    flag: String,
    reason: String,
    /// With its place.
    text: String,
}

impl fmt::Display for MergedFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.names.join(", "))
    }
}

/// Why files give no flags.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum FilesError {
    #[error(transparent)]
    Unusable(FlagFileError),
    #[error(
        "{files}: no flag passes validation; correct one, or write `{{}}` for no flags: {left_out}"
    )]
    NoneLeft { files: String, left_out: String },
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use super::*;

    /// docs/relay-protocol.md 12: the server does not serve them.
    #[test]
    fn flags_that_fail_validation_are_left_out_with_a_reason() {
        let file = FlagFile::at(Path::new("flags.yaml")).unwrap();
        let merged = MergedFiles::new(std::slice::from_ref(&file));
        let text = "good: {variations: {on: true}, defaultRule: {variation: on}}
bad: {variations: {on: true}, defaultRule: {variation: other}}
";
        let mut served = None;
        let parsed = file.parse(text.as_bytes(), &FlagSet::default());
        merged.take(0, parsed.map(Arc::new), |flags| {
            served = Some(flags.unwrap());
        });
        let compiled = served.unwrap();
        assert_eq!(compiled.left_out().reason("good"), None);
        let reason = "invalid variation: other does not exist";
        assert_eq!(compiled.left_out().reason("bad"), Some(reason));
    }
}
