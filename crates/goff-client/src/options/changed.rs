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
        self.switch("disable_fallback", given.disable_fallback);
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
        self.secret("header_provider", given.header_provider.is_some());
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
            let is_disabled = given.disable_deprecated_stream == Some(true);
            self.switch("disable_deprecated_stream", is_disabled);
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

    /// Every option, set or not, is in one of the two texts; the endpoint in the other one.
    #[cfg(all(feature = "in-process", feature = "ws"))]
    #[test]
    fn conformant_sets_three_options_and_nothing_else() {
        use goff_core::EvaluationType::InProcess;
        use goff_http::RemoteProtocol::Ofrep;

        let shown = |options: GoFeatureFlagOptions| {
            let StartLog {
                endpoint,
                options: changed,
            } = options.start_log();
            (format!("{options:?}"), endpoint, changed)
        };
        let endpoint = "http://relay:1031/ff";
        let preset = GoFeatureFlagOptions::conformant(endpoint);
        let one_by_one = GoFeatureFlagOptions::new(endpoint)
            .evaluation_type(InProcess)
            .remote_protocol(Ofrep)
            .disable_deprecated_stream(true);
        assert_eq!(shown(preset.clone()), shown(one_by_one));
        let changed = "remote_protocol=Ofrep disable_deprecated_stream=true";
        assert_eq!(shown(preset).2, changed);
    }

    /// Also one that is added later: the names are read from the source.
    #[cfg(all(feature = "in-process", feature = "ws"))]
    #[test]
    fn every_option_is_shown_that_is_set() {
        use std::collections::BTreeSet;
        use std::sync::Arc;

        use goff_core::EvaluationType;
        use goff_hooks::TelemetryOptions;
        use goff_http::{Connector, HyperTransport, ProxyOptions, RemoteProtocol, TlsOptions};
        use goff_testkit::RecordingSink;

        type Set = fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions;
        fn connector() -> Connector {
            let endpoint = "http://relay".parse().unwrap();
            Connector::new(&endpoint, &TlsOptions::default()).unwrap()
        }
        const SECOND: Duration = Duration::from_secs(1);
        let setters: [(&str, Set); 42] = [
            ("api_key", |it| it.api_key("s3cret")),
            ("cache_size", |it| it.cache_size(7)),
            ("cache_ttl", |it| it.cache_ttl(SECOND)),
            ("circuit_breaker", |it| it.circuit_breaker(false)),
            ("connector", |it| it.connector(connector())),
            ("custom_header", |it| it.custom_header("x-a", "s3cret")),
            ("data_collector_base_url", |it| {
                it.data_collector_base_url("http://other")
            }),
            ("data_flush_interval", |it| it.data_flush_interval(SECOND)),
            ("debug", |it| it.debug(true)),
            ("disable_cache", |it| it.disable_cache(true)),
            ("disable_cache_invalidation", |it| {
                it.disable_cache_invalidation(true)
            }),
            ("disable_deprecated_stream", |it| {
                it.disable_deprecated_stream(true)
            }),
            ("disable_data_collection", |it| {
                it.disable_data_collection(true)
            }),
            ("disable_fallback", |it| it.disable_fallback(true)),
            ("evaluation_flag_list", |it| it.evaluation_flag_list(["a"])),
            ("evaluation_type", |it| {
                it.evaluation_type(EvaluationType::InProcess)
            }),
            ("event_deduplication_window", |it| {
                it.event_deduplication_window(SECOND)
            }),
            ("event_sampling_rate", |it| it.event_sampling_rate(0.5)),
            ("event_sink", |it| {
                it.event_sink(Arc::new(RecordingSink::default()))
            }),
            ("event_sink_only", |it| it.event_sink_only(true)),
            ("exporter_metadata", |it| {
                it.exporter_metadata("app", "s3cret")
            }),
            ("flag_change_polling_interval", |it| {
                it.flag_change_polling_interval(SECOND)
            }),
            ("header_provider", |it| it.header_provider(Vec::new)),
            ("http_transport", |it| {
                it.http_transport(HyperTransport::new(Arc::new(connector())))
            }),
            ("idle_connection_timeout", |it| {
                it.idle_connection_timeout(SECOND)
            }),
            ("last_known_good_file", |it| {
                it.last_known_good_file("s3cret")
            }),
            ("last_known_good_max_age", |it| {
                it.last_known_good_max_age(SECOND)
            }),
            ("max_cache_bytes", |it| it.max_cache_bytes(7)),
            ("max_connection_age", |it| it.max_connection_age(None)),
            ("max_idle_connections", |it| it.max_idle_connections(7)),
            ("max_pending_bytes", |it| it.max_pending_bytes(7)),
            ("max_pending_events", |it| it.max_pending_events(7)),
            ("max_requests_in_flight", |it| it.max_requests_in_flight(7)),
            ("max_response_size", |it| it.max_response_size(7)),
            ("own_runtime", |it| it.own_runtime(true)),
            ("proxy", |it| it.proxy(ProxyOptions::new("http://s3cret"))),
            ("reconnect_interval", |it| it.reconnect_interval(SECOND)),
            ("remote_protocol", |it| {
                it.remote_protocol(RemoteProtocol::Ofrep)
            }),
            ("stale_if_error", |it| it.stale_if_error(SECOND)),
            ("telemetry", |it| it.telemetry(TelemetryOptions::new())),
            ("timeout", |it| it.timeout(SECOND)),
            ("tls", |it| it.tls(TlsOptions::default())),
        ];
        let source = concat!(
            include_str!("mod.rs"),
            include_str!("event_setters.rs"),
            include_str!("http_setters.rs"),
            include_str!("in_process_setters.rs"),
        );
        let functions = source.split("    pub fn ").skip(1);
        let declared: BTreeSet<&str> = functions
            .filter_map(|function| function.split_once('('))
            .filter(|(_, parameters)| parameters.trim_start().starts_with("mut self"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(declared, setters.iter().map(|(name, _)| *name).collect());
        for (name, set) in setters {
            let options = set(GoFeatureFlagOptions::new("http://relay"));
            let shown = options.start_log().options;
            // The log line has the mode beside the options.
            let is_shown = shown.starts_with(name) || name == "evaluation_type";
            assert!(is_shown && !shown.contains("s3cret"), "{name}: {shown}");
        }
    }
}
