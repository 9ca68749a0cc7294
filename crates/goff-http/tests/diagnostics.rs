//! The log lines of requests. A separate test binary: tracing caches whether a log line is enabled,
//! so tests in other threads would interfere.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::sync::Arc;

use goff_core::__internal::RequestObserver;
use goff_core::{EvaluationContext, EventBatch, ExporterMetadata, RelayClient, RelayError};
use goff_http::{HttpRelayClient, HttpRelayClientOptions, ProxyOptions};
use goff_testkit::{Answer, FaultyServer, RecordingLog};
use tokio::time::Instant;
use tracing::Level;

/// The log lines of one successful and one failed request.
async fn lines(debug: bool) -> Vec<(Level, String)> {
    let log = RecordingLog::of("goff_http");
    let _guard = tracing::subscriber::set_default(log.clone());
    let answers = [
        Answer::new(200, r#"{"value":true,"reason":"STATIC"}"#),
        Answer::new(502, ""),
    ];
    let server = FaultyServer::start(answers).await.unwrap();
    let options = HttpRelayClientOptions::new(server.url().parse().unwrap()).debug(debug);
    let client = HttpRelayClient::new(options).unwrap();
    let context = EvaluationContext::default();
    client.evaluate("flag", &context).await.unwrap();
    client.evaluate_all(&context).await.unwrap_err();
    log.lines()
}

/// An API key that crosses a network unencrypted is warned of once for each client.
#[tokio::test]
async fn key_over_plain_http_is_warned_of() {
    let log = RecordingLog::of("goff_http");
    let _guard = tracing::subscriber::set_default(log.clone());
    let key = || Some(goff_core::ApiKey::new("k3y-of-team-a").unwrap());
    let direct = [
        ("http://relay-proxy:1031/flags", key(), true),
        ("http://10.0.0.7", key(), true),
        ("http://[fd00::1]:80", key(), true),
        ("http://localhost.example.com", key(), true),
        ("http://relay-proxy:1031", None, false),
        ("http://localhost:1031", key(), false),
        ("http://relay.localhost", key(), false),
        ("http://LOCALHOST.", key(), false),
        ("http://127.1.2.3", key(), false),
        ("http://[::1]:1031", key(), false),
        ("unix:///run/relay.sock", key(), false),
        #[cfg(feature = "tls-bundled-roots")]
        ("https://relay-proxy", key(), false),
    ];
    let direct = direct.map(|(endpoint, key, warns)| (endpoint, None, key, warns));
    // The host is that of the proxy then.
    let through = [
        ("http://localhost", "http://proxy.example:3128", key(), true),
        ("http://localhost", "http://proxy.example:3128", None, false),
        ("http://relay-proxy", "http://localhost:3128", key(), true),
        ("http://localhost", "http://127.0.0.1:3128", key(), false),
        #[cfg(feature = "tls-bundled-roots")]
        ("http://localhost", "https://proxy.example", key(), false),
        #[cfg(feature = "tls-bundled-roots")]
        ("https://relay-proxy", "http://proxy.example", key(), false),
    ];
    let through = through.map(|(endpoint, proxy, key, warns)| {
        (endpoint, Some(ProxyOptions::new(proxy)), key, warns)
    });
    for (endpoint, proxy, key, warns) in direct.into_iter().chain(through) {
        let before = log.lines().len();
        let options = HttpRelayClientOptions::new(endpoint.parse().unwrap());
        let options = options.api_key(key).proxy(proxy);
        let client = HttpRelayClient::new(options).unwrap();
        let _ = client.with_protocol(goff_http::RemoteProtocol::Ofrep);
        let lines = log.lines();
        let new = lines.get(before..).unwrap();
        assert_eq!(new.len(), usize::from(warns), "{endpoint}: {new:?}");
        for (level, line) in new {
            assert_eq!(*level, Level::WARN);
            assert!(
                line.contains("endpoint=http://") && line.contains("https"),
                "{line}"
            );
            assert!(!line.contains("k3y"), "{line}");
        }
    }
}

/// Usage data that the relay proxy accepted would be delivered twice if it looked as if it had failed.
#[tokio::test]
async fn a_subscriber_that_panics_changes_no_answer() {
    #[derive(Debug)]
    struct Logging;

    impl RequestObserver for Logging {
        fn answered(&self) {
            tracing::debug!(target: "goff_http", "relay proxy answers again");
        }

        fn unanswered(&self, _: Instant, _: &RelayError) {
            tracing::debug!(target: "goff_http", "relay proxy does not answer");
        }
    }

    let log = RecordingLog::of("goff_http");
    let _guard = tracing::subscriber::set_default(log.clone());
    let batch = EventBatch::new(ExporterMetadata::default(), Vec::new());
    for line in ["relay proxy request", "relay proxy answers again"] {
        let answer = Answer::new(200, r#"{"ingestedContentCount":0}"#);
        let server = FaultyServer::start([answer]).await.unwrap();
        let options = HttpRelayClientOptions::new(server.url().parse().unwrap());
        let client = HttpRelayClient::new(options.observer(Some(Arc::new(Logging)))).unwrap();
        log.panic_at(line, 1);
        client.collect(&batch).await.unwrap();
        assert_eq!(log.panics_left(), 0, "{line}");
    }
}

/// The option `debug` logs requests at INFO instead of DEBUG.
#[tokio::test]
async fn every_request_logs_one_line() {
    for (debug, level) in [(false, Level::DEBUG), (true, Level::INFO)] {
        let lines = lines(debug).await;
        let [good, bad] = &*lines else {
            panic!("{lines:?}");
        };
        let path = "path=\"/v1/feature/flag/eval\"";
        let good_parts = [path, "status=200", "duration_ms="];
        let error = "error=the relay proxy at http://127.0.0.1:";
        let bad_parts = ["path=\"/v1/allflags\"", "status=502", error];
        for ((l, line), parts) in [(good, good_parts), (bad, bad_parts)] {
            assert!(line.contains("relay proxy request"), "{line}");
            assert_eq!(*l, level);
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        assert!(!good.1.contains("error="), "{}", good.1);
        let duration = good.1.split("duration_ms=").nth(1);
        let duration = duration.and_then(|rest| rest.split(' ').next());
        assert!(
            duration.is_some_and(|text| text.parse::<u64>().is_ok()),
            "{}",
            good.1
        );
    }
}
