//! What is tested: a mode of evaluation, through an API, against a relay proxy.

use std::fmt;
use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlagOptions, RemoteProtocol};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Configuration {
    pub(crate) relay: String,
    pub(crate) mode: Mode,
    pub(crate) api: Api,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Remote,
    Ofrep,
    InProcess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// The client of the OpenFeature SDK.
    OpenFeature,
    /// The client behind the provider, which has what SDK 0.3 cannot carry.
    Native,
}

impl Configuration {
    pub(crate) fn all(relay: &str) -> Vec<Self> {
        let mut all = Vec::new();
        for mode in [Mode::Remote, Mode::Ofrep, Mode::InProcess] {
            for api in [Api::OpenFeature, Api::Native] {
                let relay = relay.to_owned();
                all.push(Self { relay, mode, api });
            }
        }
        all
    }

    pub(crate) fn file_name(&self) -> String {
        let (relay, mode, api) = (&self.relay, self.mode.name(), self.api.name());
        format!("{relay}-{mode}-{api}").replace(' ', "-")
    }

    pub(crate) fn options(&self, endpoint: &str) -> GoFeatureFlagOptions {
        // The suite waits 12 s for an event.
        const SECOND: Duration = Duration::from_secs(1);
        let options = GoFeatureFlagOptions::new(endpoint)
            .cache_ttl(SECOND)
            .reconnect_interval(SECOND);
        match self.mode {
            Mode::Remote => options,
            Mode::Ofrep => options.remote_protocol(RemoteProtocol::Ofrep),
            Mode::InProcess => options
                .evaluation_type(EvaluationType::InProcess)
                .flag_change_polling_interval(SECOND),
        }
    }
}

impl fmt::Display for Configuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mode, api) = (self.mode.name(), self.api.name());
        write!(f, "{} relay proxy, {mode}, {api}", self.relay)
    }
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Remote => "remote",
            Self::Ofrep => "OFREP",
            Self::InProcess => "in process",
        }
    }
}

impl Api {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::OpenFeature => "OpenFeature",
            Self::Native => "native",
        }
    }
}
