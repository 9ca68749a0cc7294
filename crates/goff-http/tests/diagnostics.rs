//! The log lines of requests. A separate test binary: tracing caches whether a log line is enabled,
//! so tests in other threads would interfere.

#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use goff_core::{EvaluationContext, RelayClient};
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer, RecordingLog};
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
        let error = "error=the relay proxy answered 502";
        let bad_parts = ["path=\"/v1/allflags\"", "status=502", error];
        for ((l, line), parts) in [(good, good_parts), (bad, bad_parts)] {
            assert!(line.contains("relay proxy request"), "{line}");
            assert_eq!(*l, level);
            assert!(parts.iter().all(|part| line.contains(part)), "{line}");
        }
        assert!(!good.1.contains("error="), "{}", good.1);
    }
}
