//! [`LoadLog`]: what the log says of the configurations that are loaded, and of failures to.

use std::fmt::Display;

use goff_core::__internal::shown_flag_key;
use goff_core::FlagConfiguration;
use tokio::time::Instant;

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::remote::outage_log::whole_ms;

/// One line for each new configuration, one when loading begins to fail, and one when that is over
/// (GOFF-ERR-005).
#[derive(Debug, Default)]
pub(crate) struct LoadLog {
    received: Option<Received>,
    outage: Option<Outage>,
}

/// The configuration that is being compiled.
#[derive(Debug)]
struct Received {
    began: Instant,
    bytes: usize,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    failures: u64,
    has_flags: bool,
}

impl LoadLog {
    /// A configuration arrived, whose request began at `began`.
    pub(crate) fn received(&mut self, began: Instant, configuration: &FlagConfiguration) {
        let bytes = configuration.flags.as_ref().map_or(0, |flags| flags.len());
        self.received = Some(Received { began, bytes });
    }

    /// The configuration that arrived is served.
    pub(crate) fn loaded(&mut self, compiled: &CompiledConfiguration, is_same_version: bool) {
        let Some(Received { began, bytes }) = self.received.take() else {
            return;
        };
        let (flags, duration_ms) = (compiled.len(), whole_ms(began));
        let etag = compiled.etag().map(|etag| {
            let text = String::from_utf8_lossy(etag.as_bytes()).into_owned();
            shown_flag_key(&text).into_owned()
        });
        let text = "flag configuration loaded";
        if is_same_version {
            // From a server that ignores the tag in requests, or sends none.
            tracing::debug!(flags, etag, bytes, duration_ms, "{text}");
        } else {
            tracing::info!(flags, etag, bytes, duration_ms, "{text}");
        }
    }

    /// A request was answered with a configuration, or with "not modified".
    pub(crate) fn succeeded(&mut self) {
        let Some(outage) = self.outage.take() else {
            return;
        };
        let (outage_ms, failures) = (whole_ms(outage.since), outage.failures);
        let served = match outage.has_flags {
            true => "the flags loaded before were served",
            false => "no flags were served",
        };
        tracing::info!(
            outage_ms,
            failures,
            "flag configuration loads again; {served}"
        );
    }

    pub(crate) fn failed(&mut self, error: &dyn Display, has_flags: bool) {
        if let Some(outage) = &mut self.outage {
            outage.failures += 1;
            outage.has_flags |= has_flags;
            tracing::debug!(%error, "flag configuration refresh still failing");
            return;
        }
        self.outage = Some(Outage {
            since: Instant::now(),
            failures: 1,
            has_flags,
        });
        let consequence = match has_flags {
            true => "the flags loaded before are served",
            false => "evaluations fail with PROVIDER_NOT_READY",
        };
        tracing::warn!(
            %error,
            "flag configuration refresh failed, retrying; until then {consequence}"
        );
    }

    /// Flags are served since the last failure.
    pub(crate) fn serves_flags(&mut self) {
        if let Some(outage) = &mut self.outage {
            outage.has_flags = true;
        }
    }
}
