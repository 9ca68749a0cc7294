//! Log lines that options decide: `debug`, and a warning with `proxy`.
//!
//! A separate test binary, because tracing caches per process which callsites are enabled.
#![cfg(feature = "http")]

use std::time::Duration;

use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
use goff_http::ProxyOptions;
use goff_testkit::{Answer, FaultyServer, RecordingLog};
use serde_json::json;
use tracing::Level;

const TIMEOUT: Duration = Duration::from_secs(5);

fn context() -> EvaluationContext {
    EvaluationContext::builder().targeting_key("user-1").build()
}

/// An answer to evaluations and to deliveries of usage data.
fn answer() -> Answer {
    let body = json!({
        "value": true, "reason": "STATIC", "variationType": "A", "failed": false,
        "trackEvents": true, "cacheable": true, "errorCode": "", "version": "",
        "ingestedContentCount": 1,
    });
    Answer::new(200, body.to_string())
}

/// A miss, then `hits` hits; each hit is an event.
async fn hit(goff: &GoFeatureFlag, hits: usize) {
    for _ in 0..=hits {
        let details = goff.evaluate("flag", &context(), false).await;
        assert!(details.error().is_none(), "{:?}", details.error());
    }
}

/// On the way to a proxy a key can be read, even if the relay proxy runs beside that proxy.
#[tokio::test]
async fn key_that_crosses_a_network_to_a_proxy_is_warned_of() {
    for (proxy, lines) in [
        ("http://proxy.invalid:3128", 1),
        ("http://localhost:3128", 0),
    ] {
        let log = RecordingLog::of("goff_http");
        let _logging = tracing::subscriber::set_default(log.clone());
        let options = GoFeatureFlagOptions::new("http://localhost:1031")
            .api_key("k3y")
            .proxy(ProxyOptions::new(proxy));
        let _goff = GoFeatureFlag::new(options).unwrap();
        assert_eq!(log.lines().len(), lines, "{:?}", log.lines());
    }
}

/// GOFF-CFG-009; docs/python-parity.md A9; docs/python-parity.md C24.
#[tokio::test]
async fn debug_raises_the_level_of_diagnostics() {
    for debug in [false, true] {
        let log = RecordingLog::of("goff");
        let _logging = tracing::subscriber::set_default(log.clone());
        let server = FaultyServer::start([answer()]).await.unwrap();
        let options = GoFeatureFlagOptions::new(server.url()).debug(debug);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        hit(&goff, 1).await;
        goff.shutdown(TIMEOUT).await;
        let log = log.lines();
        let level_of = |text: &str| {
            let line = log.iter().find(|(_, message)| message.contains(text));
            line.unwrap_or_else(|| panic!("no `{text}` in {log:?}")).0
        };
        let expected = if debug { Level::INFO } else { Level::DEBUG };
        for text in ["usage data delivered", "status=200"] {
            assert_eq!(level_of(text), expected, "{text}");
        }
    }
}
