//! The flag configuration of a scripted relay.

use std::time::Duration;

use goff_core::{ConfigurationUpdate, Etag, FlagConfiguration, RelayError};
use serde_json::Value;

use super::ScriptedRelay;

/// What a [`ScriptedRelay`] says of its flag configuration.
#[derive(Debug, Default)]
pub(super) struct ConfigurationScript {
    configuration: FlagConfiguration,
    failure: Option<RelayError>,
    is_always_not_modified: bool,
    delay: Option<Duration>,
    requests: Vec<ConfigurationRequest>,
}

/// One request for the configuration that a [`ScriptedRelay`] got.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigurationRequest {
    /// The flags that were asked for; none means all (GOFF-IP-002).
    pub flags: Vec<String>,
    /// The ETag of what the client said it held.
    pub held: Option<Etag>,
}

/// The flag configuration.
impl ScriptedRelay {
    /// Sets the configuration: the flags as a JSON object, and an ETag if it is to have one.
    pub fn set_flags(&self, flags: &Value, etag: Option<&str>) {
        self.set_configuration(FlagConfiguration {
            flags: Some(flags.to_string().into()),
            etag: etag.and_then(|etag| Etag::from_bytes(etag.as_bytes())),
            ..FlagConfiguration::default()
        });
    }

    /// Sets the configuration as a whole; at first it is empty. A request that names its ETag is
    /// answered with "not modified".
    pub fn set_configuration(&self, configuration: FlagConfiguration) {
        self.lock().configuration.configuration = configuration;
    }

    /// Makes requests for the configuration fail with `failure`, or succeed again.
    pub fn set_configuration_failure(&self, failure: Option<RelayError>) {
        self.lock().configuration.failure = failure;
    }

    /// Makes every request for the configuration that names an ETag be answered with "not
    /// modified", as by an instance that lags behind.
    pub fn set_always_not_modified(&self, always: bool) {
        self.lock().configuration.is_always_not_modified = always;
    }

    /// Makes each later request for the configuration be answered after `delay`, or at once. The
    /// answer is what the script said when the request came.
    pub fn set_configuration_delay(&self, delay: Option<Duration>) {
        self.lock().configuration.delay = delay;
    }

    /// Every request for the configuration so far, in order.
    #[must_use]
    pub fn configuration_requests(&self) -> Vec<ConfigurationRequest> {
        self.lock().configuration.requests.clone()
    }

    /// Waits until the configuration has been asked for that many times.
    pub async fn wait_for_configuration_requests(&self, count: usize) {
        // The sender is in `self`, so the channel is open.
        let mut asked = self.configuration_asked.subscribe();
        let _ = asked.wait_for(|asked| *asked >= count).await;
    }

    pub(super) async fn configuration_update(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let (count, delay, answer) = {
            let script = &mut self.lock().configuration;
            script.requests.push(ConfigurationRequest {
                flags: flags.to_vec(),
                held: held.cloned(),
            });
            (script.requests.len(), script.delay, script.answer(held))
        };
        self.configuration_asked
            .send_modify(|asked| *asked = count.max(*asked));
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
        answer
    }
}

impl ConfigurationScript {
    fn answer(&self, held: Option<&Etag>) -> Result<ConfigurationUpdate, RelayError> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let is_current = held.is_some() && held == self.configuration.etag.as_ref();
        Ok(
            if is_current || (self.is_always_not_modified && held.is_some()) {
                ConfigurationUpdate::NotModified
            } else {
                ConfigurationUpdate::Loaded(self.configuration.clone())
            },
        )
    }
}
