//! What the log says of the options when a client starts.

use std::fmt::{Debug, Display};
use std::time::Duration;

#[cfg(feature = "http")]
use goff_core::Endpoint;

use crate::options::settings::StartLog;
use crate::options::{self, GoFeatureFlagOptions, Source};

impl GoFeatureFlagOptions {
    pub(super) fn start_log(&self) -> StartLog {
        StartLog {
            endpoint: endpoint(&self.source),
            options: Changed::of(self).0.join(" "),
        }
    }
}

fn endpoint(source: &Source) -> String {
    match source {
        #[cfg(feature = "http")]
        // The text may hold a password, which a valid endpoint does not.
        Source::RelayProxy(url) => url.parse().map_or_else(
            |_| "invalid".to_owned(),
            |endpoint: Endpoint| endpoint.to_string(),
        ),
        Source::RelayClient(_) => "a custom relay client".to_owned(),
        #[cfg(feature = "in-process")]
        Source::Flags(_) => "flags in the program".to_owned(),
        #[cfg(feature = "file")]
        Source::Files { paths, .. } => {
            let paths: Vec<_> = paths
                .iter()
                .map(|path| path.display().to_string())
                .collect();
            paths.join(", ")
        }
    }
}

struct Changed(Vec<String>);

impl Changed {
    fn of(given: &GoFeatureFlagOptions) -> Self {
        let mut changed = Self(Vec::new());
        changed.count("exporter_metadata", given.exporter_metadata.len());
        changed.number("cache_size", given.cache_size, options::DEFAULT_CACHE_SIZE);
        if given.cache_ttl != Some(options::DEFAULT_CACHE_TTL) {
            changed.add(
                "cache_ttl",
                given.cache_ttl.map_or("none".to_owned(), shown),
            );
        }
        let bytes = options::DEFAULT_MAX_CACHE_BYTES;
        changed.number("max_cache_bytes", given.max_cache_bytes, bytes);
        changed.switch("disable_cache", given.disable_cache);
        changed.duration("stale_if_error", given.stale_if_error);
        if !given.circuit_breaker {
            changed.add("circuit_breaker", false);
        }
        changed.switch("disable_data_collection", given.disable_data_collection);
        changed.duration("data_flush_interval", given.data_flush_interval);
        changed.optional("max_pending_events", given.max_pending_events);
        changed.optional("max_pending_bytes", given.max_pending_bytes);
        changed.switch("debug", given.debug);
        changed.switch("own_runtime", given.own_runtime);
        changed.secret("event_sink", given.events.sink.is_some());
        changed.switch("event_sink_only", given.events.sink_only);
        changed.optional("event_sampling_rate", given.events.sampling_rate);
        let window = given.events.deduplication_window;
        changed.duration("event_deduplication_window", window);
        changed.secret("telemetry", given.telemetry.is_some());
        #[cfg(feature = "in-process")]
        changed.of_in_process(given);
        #[cfg(feature = "http")]
        changed.of_http(given);
        changed
    }

    #[cfg(feature = "in-process")]
    fn of_in_process(&mut self, given: &GoFeatureFlagOptions) {
        let given = &given.in_process;
        self.duration("flag_change_polling_interval", given.polling_interval);
        self.count("evaluation_flag_list", given.flags.len());
        self.secret("last_known_good_file", given.last_known_good_file.is_some());
        self.duration("last_known_good_max_age", given.last_known_good_max_age);
    }

    #[cfg(feature = "http")]
    fn of_http(&mut self, given: &GoFeatureFlagOptions) {
        let given = &given.http;
        self.secret(
            "api_key",
            given.api_key.as_ref().is_some_and(|key| !key.is_empty()),
        );
        if let Some(protocol) = given.remote_protocol {
            self.add("remote_protocol", format!("{protocol:?}"));
        }
        self.duration("timeout", given.timeout);
        self.optional("max_response_size", given.max_response_size);
        self.optional("max_requests_in_flight", given.max_requests_in_flight);
        self.optional("max_idle_connections", given.max_idle_connections);
        self.duration("idle_connection_timeout", given.idle_connection_timeout);
        if let Some(age) = given.max_connection_age {
            self.add("max_connection_age", age.map_or("none".to_owned(), shown));
        }
        self.count("custom_headers", given.custom_headers.len());
        let collector = given.data_collector_base_url.as_deref();
        if let Some(Ok(collector)) = collector.map(str::parse::<Endpoint>) {
            self.add("data_collector_base_url", collector);
        }
        self.secret("tls", given.tls.is_some());
        self.secret("proxy", given.proxy.is_some());
        self.secret("connector", given.connector.is_some());
        self.secret("http_transport", given.transport.is_some());
        #[cfg(feature = "ws")]
        {
            self.duration("reconnect_interval", given.reconnect_interval);
            let is_disabled = given.disable_cache_invalidation == Some(true);
            self.switch("disable_cache_invalidation", is_disabled);
        }
    }

    fn add(&mut self, option: &str, value: impl Display) {
        self.0.push(format!("{option}={value}"));
    }

    fn number(&mut self, option: &str, value: u64, default: u64) {
        if value != default {
            self.add(option, value);
        }
    }

    /// How many there are.
    fn count(&mut self, option: &str, count: usize) {
        if count > 0 {
            self.add(option, count);
        }
    }

    fn switch(&mut self, option: &str, value: bool) {
        if value {
            self.add(option, value);
        }
    }

    fn optional(&mut self, option: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.add(option, value);
        }
    }

    fn duration(&mut self, option: &str, value: Option<Duration>) {
        self.optional(option, value.map(shown));
    }

    /// That an option is set, not its value.
    fn secret(&mut self, option: &str, is_set: bool) {
        if is_set {
            self.add(option, "set");
        }
    }
}

fn shown(duration: impl Debug) -> String {
    format!("{duration:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "http")]
    #[test]
    fn only_changed_options_are_shown_and_no_secret() {
        let options = GoFeatureFlagOptions::new("http://relay:1031/ff/");
        let log = options.start_log();
        assert_eq!(
            (&*log.endpoint, &*log.options),
            ("http://relay:1031/ff", "")
        );
        let options = options
            .api_key("s3cret")
            .custom_header("x-gateway", "s3cret")
            .exporter_metadata("app", "s3cret")
            .timeout(Duration::from_secs(1))
            .cache_ttl(None)
            .disable_cache(true)
            .stale_if_error(Duration::from_secs(60))
            .circuit_breaker(false);
        let expected = "exporter_metadata=1 cache_ttl=none disable_cache=true stale_if_error=60s \
                        circuit_breaker=false api_key=set timeout=1s custom_headers=1";
        assert_eq!(options.start_log().options, expected);
        let invalid = GoFeatureFlagOptions::new("http://user:s3cret@relay");
        assert_eq!(invalid.start_log().endpoint, "invalid");
    }
}
