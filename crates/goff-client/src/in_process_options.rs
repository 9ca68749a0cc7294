//! The options of in-process evaluation, and what they make.

use std::sync::Arc;
use std::time::Duration;

use goff_core::{EvaluationType, RelayClient};

use crate::configuration_source::{ConfigurationSource, RelaySource};
use crate::in_process::Fallback;
use crate::options::{Mode, OptionsError};
use crate::remote::CacheLimits;

#[derive(Debug, Clone)]
pub(crate) struct InProcessOptions {
    pub(crate) evaluation_type: EvaluationType,
    pub(crate) polling_interval: Duration,
    pub(crate) flags: Vec<String>,
}

/// In-process evaluation once its options are checked.
#[derive(Debug)]
pub(crate) struct InProcessMode {
    pub(crate) source: ConfigurationSource,
    /// The flags that are loaded; all if there are none.
    pub(crate) flags: Arc<[String]>,
    pub(crate) interval: Duration,
    /// `None` without a relay proxy.
    pub(crate) fallback: Option<Fallback>,
}

impl Default for InProcessOptions {
    fn default() -> Self {
        Self {
            evaluation_type: EvaluationType::Remote,
            polling_interval: DEFAULT_POLLING_INTERVAL,
            flags: Vec::new(),
        }
    }
}

impl InProcessOptions {
    /// The mode that these options ask for, with a relay proxy to work with.
    pub(crate) fn mode(
        self,
        relay: Arc<dyn RelayClient>,
        fallback: Arc<dyn RelayClient>,
        timeout: Duration,
        cache: Option<CacheLimits>,
    ) -> Result<Mode, OptionsError> {
        if self.polling_interval.is_zero() {
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
        if self.evaluation_type == EvaluationType::Remote {
            return Ok(Mode::Remote {
                relay,
                cache,
                timeout,
            });
        }
        let flags: Arc<[String]> = self.flags.into();
        Ok(Mode::InProcess(InProcessMode {
            source: ConfigurationSource::RelayProxy(RelaySource {
                relay,
                flags: Arc::clone(&flags),
                timeout,
            }),
            flags,
            interval: self.polling_interval,
            fallback: Some(Fallback {
                relay: fallback,
                timeout,
            }),
        }))
    }
}

const DEFAULT_POLLING_INTERVAL: Duration = Duration::from_secs(120);
