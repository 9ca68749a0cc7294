//! Options: their defaults, and what is refused before any network use.

use goff_client::{InitializeError, RemoteProtocol};
use goff_testkit::{Answer, FaultyServer};
use serde_json::json;

use super::{
    Duration, EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, ScriptedRelay, connect,
    current_thread, secs,
};

fn options() -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::new("http://localhost:1031")
}

#[track_caller]
fn refused(options: GoFeatureFlagOptions, option: &str, reason: &str) {
    let error = GoFeatureFlag::new(options).unwrap_err();
    assert_eq!(error.option(), option, "{error}");
    assert!(error.reason().contains(reason), "{error}");
    let shown = format!("{error} {error:?}");
    assert!(shown.contains(&format!("`{option}`")), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

/// GOFF-CFG-001.
#[test]
fn endpoint_must_be_a_base_url() {
    for (endpoint, reason) in [
        ("", "is empty"),
        ("localhost", "not an absolute URL"),
        ("/flags", "not an absolute URL"),
        ("ftp://localhost", "not an absolute URL"),
        ("http://localhost?key=s3cret", "query"),
        ("http://localhost#s3cret", "fragment"),
        ("http://user:s3cret@localhost", "user information"),
        ("http://", "valid URL"),
    ] {
        refused(GoFeatureFlagOptions::new(endpoint), "endpoint", reason);
    }
}

#[test]
fn keys_and_headers_that_would_inject_are_refused() {
    let injecting = options().api_key("s3cret\r\nx-admin: 1");
    refused(injecting, "api_key", "control character");
    refused(options().api_key(" s3cret"), "api_key", "white space");
    for (name, value) in [
        ("x-gateway", "s3cret\r\nx-admin: 1"),
        ("x-gateway", "s3cret\n"),
        ("x-gateway", "s3cret\0"),
        ("x-gateway\r\nx-admin", "s3cret"),
        ("x gateway", "s3cret"),
        ("", "s3cret"),
        ("content-length", "s3cret"),
        ("Host", "s3cret"),
    ] {
        let options = options().custom_header(name, value);
        refused(options, "custom_header", "header `");
    }
}

/// GOFF-COLL-013.
#[test]
fn exporter_metadata_is_scalar() {
    for value in [json!(null), json!([1]), json!({"a": 1}), json!(f64::NAN)] {
        let options = options().exporter_metadata("entry", value);
        refused(options, "exporter_metadata", "`entry`");
    }
    let scalars = options()
        .exporter_metadata("text", "x")
        .exporter_metadata("flag", true)
        .exporter_metadata("int", 1)
        .exporter_metadata("float", 1.5);
    assert!(GoFeatureFlag::new(scalars).is_ok());
}

#[test]
fn limits_of_connections_must_allow_requests() {
    let requests = options().max_requests_in_flight(0);
    refused(requests, "max_requests_in_flight", "at least 1");
    let (idle, age) = ("idle_connection_timeout", "max_connection_age");
    let instead = "`max_idle_connections`";
    refused(
        options().idle_connection_timeout(Duration::ZERO),
        idle,
        instead,
    );
    refused(options().max_connection_age(Duration::ZERO), age, instead);
}

#[test]
fn durations_must_be_longer_than_zero() {
    refused(
        options().timeout(Duration::ZERO),
        "timeout",
        "longer than zero",
    );
    let stale = options().stale_if_error(Duration::ZERO);
    refused(stale, "stale_if_error", "leave it out");
}

#[test]
fn responses_may_not_be_limited_to_nothing() {
    for bytes in [0, 1, 1023] {
        let options = options().max_response_size(bytes);
        refused(options, "max_response_size", "1,024");
    }
    for bytes in [1024, usize::MAX] {
        GoFeatureFlag::new(options().max_response_size(bytes)).unwrap();
    }
}

/// GOFF-CFG-009.
#[test]
fn options_without_an_effect_are_refused() {
    let own = || super::options(&ScriptedRelay::new());
    let ofrep = RemoteProtocol::Ofrep;
    for (option, options) in [
        ("api_key", own().api_key("s3cret")),
        ("remote_protocol", own().remote_protocol(ofrep)),
        ("timeout", own().timeout(secs(1))),
        ("max_response_size", own().max_response_size(2048)),
        ("max_requests_in_flight", own().max_requests_in_flight(8)),
        ("max_idle_connections", own().max_idle_connections(8)),
        (
            "idle_connection_timeout",
            own().idle_connection_timeout(secs(1)),
        ),
        ("max_connection_age", own().max_connection_age(secs(1))),
        ("custom_header", own().custom_header("x-gateway", "s3cret")),
    ] {
        refused(options, option, "beside `with_relay_client`");
    }
    assert!(GoFeatureFlag::new(own().exporter_metadata("service", "x")).is_ok());
}

/// GOFF-CFG-004.
#[test]
fn options_are_not_changed_by_use() {
    let options = options().exporter_metadata("provider", "mine");
    let before = format!("{options:?}");
    let client = GoFeatureFlag::new(options.clone()).unwrap();
    assert_eq!(client.exporter_metadata().as_map()["provider"], "rust");
    assert_eq!(format!("{options:?}"), before);
}

/// GOFF-CFG-003.
#[test]
fn defaults_are_those_of_the_specification() {
    let client = GoFeatureFlag::new(options()).unwrap();
    let shown = format!("{client:?}");
    for part in [
        "timeout: 10s",
        "FeatureEval",
        "debug: false",
        "localhost:1031",
    ] {
        assert!(shown.contains(part), "{shown}");
    }
    let metadata = serde_json::to_value(client.exporter_metadata()).unwrap();
    assert_eq!(metadata, json!({"provider": "rust", "openfeature": true}));
}

/// GOFF-CFG-005.
#[test]
fn environment_variables_have_no_effect() {
    // Setting variables is unsafe in a process with threads, so the test runs again in another one.
    const INSIDE: &str = "ENVIRONMENT_IS_SET";
    if std::env::var_os(INSIDE).is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again
            .args(["--exact", "options::environment_variables_have_no_effect"])
            .env(INSIDE, "")
            .env_remove("NO_PROXY")
            .env_remove("no_proxy");
        // The discard port: no process listens there.
        for name in [
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "all_proxy",
            "GOFF_ENDPOINT",
            "GO_FEATURE_FLAG_ENDPOINT",
        ] {
            again.env(name, "http://127.0.0.1:9");
        }
        for name in [
            "GOFF_API_KEY",
            "GO_FEATURE_FLAG_API_KEY",
            "GOFF_PROXY_API_KEY",
        ] {
            again.env(name, "s3cret");
        }
        let output = again.output().unwrap();
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("1 passed"), "{printed}");
        return;
    }
    current_thread().block_on(async {
        let body = r#"{"value":true,"reason":"STATIC"}"#;
        let server = FaultyServer::start([Answer::new(200, body)]).await.unwrap();
        let goff = connect(GoFeatureFlagOptions::new(server.url())).await;
        let context = EvaluationContext::default();
        assert!(goff.evaluate("flag", &context, false).await.value);
        for request in server.requests() {
            assert_eq!(request.header("authorization"), None);
            assert!(!request.path.contains("s3cret"), "{}", request.path);
        }
    });
}

#[test]
fn debug_shows_no_secret() {
    let options = GoFeatureFlagOptions::new("http://user:s3cret@localhost")
        .api_key("s3cret-key")
        .custom_header("x-gateway", "s3cret-header");
    let shown = format!("{options:?}");
    assert!(!shown.contains("s3cret"), "{shown}");
    assert!(shown.contains("custom_headers: 1"), "{shown}");
}

#[tokio::test]
async fn connect_reports_the_option() {
    let error = GoFeatureFlag::connect(GoFeatureFlagOptions::new(""))
        .await
        .unwrap_err();
    let InitializeError::Options(cause) = &error else {
        panic!("{error:?}");
    };
    assert_eq!(cause.option(), "endpoint");
    assert_eq!(error.to_string(), "option `endpoint` is empty");
}

/// docs/python-parity.md A22.
#[tokio::test]
async fn unreachable_relay_proxy_fails_the_first_evaluation() {
    let endpoint = FaultyServer::refusing_url().await.unwrap();
    let goff = connect(GoFeatureFlagOptions::new(endpoint)).await;
    let context = EvaluationContext::default();
    let details = goff.evaluate("flag", &context, true).await;
    assert!(details.value);
    let error = details.error().unwrap().to_string();
    assert!(
        error.starts_with("cannot connect to the relay proxy: http://127.0.0.1:"),
        "{error}"
    );
}
