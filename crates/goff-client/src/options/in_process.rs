//! The options of in-process evaluation, and the mode that they select.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use goff_core::EvaluationType;
use tokio::sync::{Semaphore, watch};

use crate::in_process::compiled_configuration::CompiledConfiguration;
#[cfg(feature = "file")]
use crate::in_process::file::flag_file::FlagFile;
use crate::in_process::last_known_good::LastKnownGood;
use crate::in_process::mode::{InProcessMode, RelayMode};
use crate::in_process::source::relay_source::RelaySource;
use crate::in_process::source::source_key::SourceKey;
use crate::options::error::OptionsError;
use crate::remote::bounded_relay::BoundedRelay;

/// `None` means that the option was not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct InProcessOptions {
    pub(crate) evaluation_type: Option<EvaluationType>,
    pub(crate) polling_interval: Option<Duration>,
    pub(crate) flags: Vec<String>,
    pub(crate) last_known_good_file: Option<PathBuf>,
    pub(crate) last_known_good_max_age: Option<Duration>,
    pub(crate) disable_fallback: bool,
}

impl InProcessOptions {
    pub(crate) fn evaluation_type(&self) -> EvaluationType {
        self.evaluation_type.unwrap_or(EvaluationType::Remote)
    }

    /// The mode with a relay proxy; `None` for remote evaluation. `identity` is what the
    /// last-known-good file belongs to.
    pub(crate) fn relay_mode(
        &self,
        relay: BoundedRelay,
        fallback: BoundedRelay,
        identity: &[u8],
    ) -> Result<Option<InProcessMode>, OptionsError> {
        let interval = self.polling_interval.unwrap_or(DEFAULT_POLLING_INTERVAL);
        if interval.is_zero() {
            return Err(OptionsError::new(
                "flag_change_polling_interval",
                "must be longer than zero",
            ));
        }
        if self.flags.iter().any(String::is_empty) {
            return Err(OptionsError::new(
                "evaluation_flag_list",
                "has an empty flag key",
            ));
        }
        let file = self.last_known_good(identity)?;
        if self.evaluation_type() == EvaluationType::Remote {
            return Ok(None);
        }
        Ok(Some(InProcessMode::RelayProxy(RelayMode {
            source: RelaySource {
                relay,
                flags: self.flags.clone().into(),
            },
            interval,
            fallback: (!self.disable_fallback).then_some(fallback),
            key: watch::Sender::new(SourceKey { number: 0, file }),
            compile_permit: Arc::new(Semaphore::new(1)),
        })))
    }

    fn last_known_good(&self, relay: &[u8]) -> Result<Option<LastKnownGood>, OptionsError> {
        let max_age = self.last_known_good_max_age;
        let option = "last_known_good_max_age";
        OptionsError::refuse_zero(option, max_age, "must be longer than zero")?;
        let Some(path) = &self.last_known_good_file else {
            let reason = "has no effect without `last_known_good_file`";
            return match max_age {
                None => Ok(None),
                Some(_) => Err(OptionsError::new(option, reason)),
            };
        };
        if path.file_name().is_none() {
            return Err(OptionsError::new(
                "last_known_good_file",
                "is not the path of a file",
            ));
        }
        let path = std::path::absolute(path)
            .map_err(|error| OptionsError::caused("last_known_good_file", error))?;
        let mut flags = self.flags.clone();
        flags.sort();
        flags.dedup();
        let flags = serde_json::to_vec(&flags).unwrap_or_default();
        let max_age = max_age.unwrap_or(DEFAULT_MAX_AGE);
        Ok(Some(LastKnownGood::new(path, max_age, &flags, relay)))
    }

    /// The mode with flags from a text.
    pub(crate) fn mode_of_flags(&self, text: &str) -> Result<InProcessMode, OptionsError> {
        self.refuse_without_relay_proxy("from_flags")?;
        let compiled = CompiledConfiguration::of_text(text)
            .map_err(|error| OptionsError::new("from_flags", &error.0).caused_by(error))?;
        Ok(InProcessMode::Flags(Arc::new(compiled)))
    }

    /// The mode with flags from files.
    #[cfg(feature = "file")]
    pub(crate) fn mode_of_files(
        &self,
        paths: &[PathBuf],
        constructor: &'static str,
    ) -> Result<InProcessMode, OptionsError> {
        self.refuse_without_relay_proxy(constructor)?;
        if paths.is_empty() {
            return Err(OptionsError::new(constructor, "has no path of a flag file"));
        }
        let files: Result<Vec<_>, _> = paths.iter().map(|path| FlagFile::at(path)).collect();
        let files = files.map_err(|error| OptionsError::caused(constructor, error))?;
        Ok(InProcessMode::Files(files))
    }

    /// Refuses options that would have no effect.
    fn refuse_without_relay_proxy(&self, constructor: &str) -> Result<(), OptionsError> {
        if self.evaluation_type == Some(EvaluationType::Remote) {
            let reason =
                format!("conflicts with `{constructor}`: remote evaluation needs a relay proxy");
            return Err(OptionsError::new("evaluation_type", reason));
        }
        let set = [
            (
                "flag_change_polling_interval",
                self.polling_interval.is_some(),
            ),
            ("evaluation_flag_list", !self.flags.is_empty()),
            ("last_known_good_file", self.last_known_good_file.is_some()),
            (
                "last_known_good_max_age",
                self.last_known_good_max_age.is_some(),
            ),
            ("disable_fallback", self.disable_fallback),
        ];
        OptionsError::refuse_set(&set, constructor)
    }
}

const DEFAULT_POLLING_INTERVAL: Duration = Duration::from_secs(120);
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
