//! The options of in-process evaluation, and what they make.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{EvaluationType, FlagConfiguration};

use crate::in_process::Fallback;
#[cfg(feature = "file")]
use crate::in_process::file::flag_file::FlagFile;
use crate::in_process::last_known_good::LastKnownGood;
use crate::in_process::snapshot::Snapshot;
use crate::in_process::source::relay_source::{ConfigurationSource, RelaySource};
use crate::options::{Mode, OptionsError, Reached};
use crate::remote::CacheLimits;

/// `None` means that the option was not set.
#[derive(Debug, Clone, Default)]
pub(crate) struct InProcessOptions {
    pub(crate) evaluation_type: Option<EvaluationType>,
    pub(crate) polling_interval: Option<Duration>,
    pub(crate) flags: Vec<String>,
    pub(crate) last_known_good_file: Option<PathBuf>,
    pub(crate) last_known_good_max_age: Option<Duration>,
}

/// In-process evaluation once its options are checked: where its flags come from.
#[derive(Debug)]
pub(crate) enum InProcessMode {
    RelayProxy(Box<RelayMode>),
    /// They never change.
    Flags(Arc<Snapshot>),
    #[cfg(feature = "file")]
    File(FlagFile),
}

/// Flags of a relay proxy.
#[derive(Debug)]
pub(crate) struct RelayMode {
    pub(crate) source: ConfigurationSource,
    /// The flags that are loaded; all if there are none.
    pub(crate) flags: Arc<[String]>,
    pub(crate) interval: Duration,
    pub(crate) fallback: Fallback,
    pub(crate) last_known_good: Option<LastKnownGood>,
}

impl InProcessOptions {
    pub(crate) fn evaluation_type(&self) -> EvaluationType {
        self.evaluation_type.unwrap_or(EvaluationType::Remote)
    }

    /// The mode that these options ask for, with a relay proxy to work with.
    pub(crate) fn mode(
        self,
        reached: &Reached,
        cache: Option<CacheLimits>,
    ) -> Result<Mode, OptionsError> {
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
        let last_known_good = self.last_known_good(&reached.identity)?;
        let relay = Arc::clone(&reached.relay);
        let timeout = reached.timeout;
        if self.evaluation_type() == EvaluationType::Remote {
            return Ok(Mode::Remote {
                relay,
                cache,
                timeout,
            });
        }
        let flags: Arc<[String]> = self.flags.into();
        Ok(Mode::InProcess(InProcessMode::RelayProxy(Box::new(
            RelayMode {
                source: ConfigurationSource::RelayProxy(RelaySource {
                    relay,
                    flags: Arc::clone(&flags),
                    timeout,
                }),
                flags,
                interval,
                fallback: Fallback {
                    relay: Arc::clone(&reached.fallback),
                    timeout,
                },
                last_known_good,
            },
        ))))
    }

    fn last_known_good(&self, relay: &[u8]) -> Result<Option<LastKnownGood>, OptionsError> {
        let max_age = self.last_known_good_max_age;
        if max_age.is_some_and(|max_age| max_age.is_zero()) {
            return Err(OptionsError::new(
                "last_known_good_max_age",
                "must be longer than zero",
            ));
        }
        let Some(path) = &self.last_known_good_file else {
            return match max_age {
                None => Ok(None),
                Some(_) => Err(OptionsError::new(
                    "last_known_good_max_age",
                    "has no effect without `last_known_good_file`",
                )),
            };
        };
        if path.file_name().is_none() {
            return Err(OptionsError::new(
                "last_known_good_file",
                "is not the path of a file",
            ));
        }
        let path = std::path::absolute(path)
            .map_err(|error| OptionsError::new("last_known_good_file", error))?;
        let mut flags = self.flags.clone();
        flags.sort();
        flags.dedup();
        let mut identity = serde_json::to_vec(&flags).unwrap_or_default();
        identity.extend_from_slice(relay);
        Ok(Some(LastKnownGood::new(
            path,
            max_age.unwrap_or(DEFAULT_MAX_AGE),
            &identity,
        )))
    }

    /// The mode of flags that come in a text.
    pub(crate) fn mode_of_flags(&self, text: String) -> Result<InProcessMode, OptionsError> {
        self.refuse_without_relay_proxy("from_flags")?;
        let configuration = FlagConfiguration {
            flags: Some(text.into()),
            ..FlagConfiguration::default()
        };
        let snapshot = Snapshot::compile(configuration).map_err(|error| {
            OptionsError::new(
                "from_flags",
                format_args!("is not a JSON object of flags by key: {error}"),
            )
        })?;
        Ok(InProcessMode::Flags(Arc::new(snapshot)))
    }

    /// The mode of flags that are in a file.
    #[cfg(feature = "file")]
    pub(crate) fn mode_of_file(
        &self,
        path: &std::path::Path,
    ) -> Result<InProcessMode, OptionsError> {
        self.refuse_without_relay_proxy("from_file")?;
        let file = FlagFile::at(path).map_err(|error| OptionsError::new("from_file", error))?;
        Ok(InProcessMode::File(file))
    }

    /// Options that would have no effect.
    fn refuse_without_relay_proxy(&self, constructor: &str) -> Result<(), OptionsError> {
        if self.evaluation_type == Some(EvaluationType::Remote) {
            return Err(OptionsError::new(
                "evaluation_type",
                format_args!("cannot be remote beside `{constructor}`: there is nobody to ask"),
            ));
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
        ];
        match set.into_iter().find(|(_, set)| *set) {
            Some((option, _)) => Err(OptionsError::conflict(option, constructor)),
            None => Ok(()),
        }
    }
}

const DEFAULT_POLLING_INTERVAL: Duration = Duration::from_secs(120);
const DEFAULT_MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
