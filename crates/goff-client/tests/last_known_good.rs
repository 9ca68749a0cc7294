//! Starting from the last-known-good file while the relay proxy is down.
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    ClientEvent, ErrorCode, EvaluationContext, EvaluationDetails, EvaluationType, GoFeatureFlag,
    GoFeatureFlagOptions, InitializeError, RelayError, State,
};
use goff_core::{Etag, FlagConfiguration};
use goff_testkit::ScriptedRelay;
use serde_json::{Map, json};

const DEADLINE: Duration = Duration::from_secs(5);

fn relay(value: i64) -> ScriptedRelay {
    let relay = ScriptedRelay::new();
    let flag = |query: &str| {
        json!({
            "variations": {"A": value, "B": 0},
            "targeting": [{"query": query, "variation": "A"}],
            "defaultRule": {"variation": "B"},
        })
    };
    relay.set_configuration(
        FlagConfiguration::new(json!({"fläg/1": flag(r#"env eq "prod""#)}).to_string())
            .with_enrichment(Map::from_iter([("env".to_owned(), json!("prod"))]))
            .with_etag(Etag::from_bytes(b"W/\"1-\xe9\"")),
    );
    relay
}

fn options(relay: &ScriptedRelay, path: &Path) -> GoFeatureFlagOptions {
    GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess)
        .last_known_good_file(path)
}

/// Runs a client until its flags are in the file.
async fn keep(relay: &ScriptedRelay, path: &Path) {
    let goff = GoFeatureFlag::connect(options(relay, path)).await.unwrap();
    goff.shutdown(DEADLINE).await;
}

async fn evaluate(goff: &GoFeatureFlag) -> EvaluationDetails<i64> {
    let context = EvaluationContext::builder().targeting_key("user-1").build();
    goff.evaluate("fläg/1", &context, -1).await
}

fn status(status: u16) -> RelayError {
    RelayError::Status {
        status,
        path: "/v1/flag/configuration".to_owned(),
        message: None,
        code: ErrorCode::General,
    }
}

#[track_caller]
fn assert_state(goff: &GoFeatureFlag, state: State) {
    assert_eq!(goff.status().state, state, "{:?}", goff.status());
}

/// Flags, enrichment and ETag are those of the earlier run until the relay proxy answers.
#[tokio::test(start_paused = true)]
async fn start_without_the_relay_proxy_serves_the_last_known_good_flags() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags");
    keep(&relay(7), &path).await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    let relay = relay(8);
    relay.set_configuration_failure(Some(status(503)));
    let goff = GoFeatureFlag::new(options(&relay, &path)).unwrap();
    let mut events = goff.subscribe();
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Stale);
    assert!(
        goff.status()
            .last_error
            .unwrap()
            .to_string()
            .contains("503")
    );
    assert!(goff.wait_until_ready(Duration::from_millis(1)).await);
    assert_eq!(evaluate(&goff).await.value, 7);
    assert!(matches!(
        events.next().await.unwrap(),
        ClientEvent::Error(_)
    ));
    assert_eq!(events.next().await.unwrap(), ClientEvent::Stale);

    // For as long as it takes.
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_state(&goff, State::Stale);
    assert_eq!(evaluate(&goff).await.value, 7);
    relay.set_configuration_failure(None);
    let asked = relay.configuration_requests().len();
    relay.wait_for_configuration_requests(asked + 1).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // The file keeps the ETag, so the answer is "not modified".
    let held = relay.configuration_requests().pop().unwrap().held;
    assert_eq!(held, Etag::from_bytes(b"W/\"1-\xe9\""));
    assert_state(&goff, State::Ready);
    assert_eq!(evaluate(&goff).await.value, 7);
    goff.shutdown(DEADLINE).await;
}

#[tokio::test(start_paused = true)]
async fn each_load_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags");
    let first = relay(7);
    let goff = GoFeatureFlag::connect(options(&first, &path))
        .await
        .unwrap();
    first.set_flags(
        &json!({"fläg/1": {"variations": {"A": 9}, "defaultRule": {"variation": "A"}}}),
        None,
    );
    first.wait_for_configuration_requests(2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    goff.shutdown(DEADLINE).await;

    let down = relay(8);
    down.set_configuration_failure(Some(status(503)));
    let goff = GoFeatureFlag::connect(options(&down, &path)).await.unwrap();
    assert_eq!(evaluate(&goff).await.value, 9);
}

/// A client that runs for longer than the age limit leaves a file that is not too old.
#[tokio::test(start_paused = true)]
async fn date_is_renewed_while_the_flags_are_current() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags");
    let relay = relay(7);
    let options = options(&relay, &path).last_known_good_max_age(Duration::from_secs(3_600));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut contents = Vec::new();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(3_600)).await;
        contents.push(fs::read(&path).unwrap());
    }
    goff.shutdown(DEADLINE).await;
    contents.dedup();
    assert_eq!(contents.len(), 10, "an hour without a renewal");
}

#[tokio::test(start_paused = true)]
async fn invalid_file_is_not_used() {
    let check = async |change: &dyn Fn(&Path), options: &dyn Fn(GoFeatureFlagOptions) -> _| {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags");
        keep(&relay(7), &path).await;
        change(&path);
        let relay = relay(8);
        relay.set_configuration_failure(Some(status(503)));
        let options = options(self::options(&relay, &path));
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        assert_state(&goff, State::Error);
        assert_eq!(evaluate(&goff).await.value, -1);
        // The client recovers with the relay proxy.
        relay.set_configuration_failure(None);
        assert!(goff.wait_until_ready(Duration::from_secs(600)).await);
        assert_state(&goff, State::Ready);
        assert_eq!(evaluate(&goff).await.value, 8);
        goff.shutdown(DEADLINE).await;
    };
    let as_it_was = |_: &Path| {};
    let as_usual = |options| options;
    check(
        &|path| {
            let kept = fs::read_to_string(path).unwrap();
            let edited = kept.replace("prod", "prox");
            assert_ne!(kept, edited);
            fs::write(path, edited).unwrap();
        },
        &as_usual,
    )
    .await;
    check(&|path| fs::write(path, "").unwrap(), &as_usual).await;
    check(&|path| fs::remove_file(path).unwrap(), &as_usual).await;
    check(&as_it_was, &|options: GoFeatureFlagOptions| {
        options.last_known_good_max_age(Duration::from_nanos(1))
    })
    .await;
    check(&as_it_was, &|options: GoFeatureFlagOptions| {
        options.evaluation_flag_list(["fläg/1"])
    })
    .await;
    #[cfg(unix)]
    check(
        &|path| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(0o602)).unwrap();
        },
        &as_usual,
    )
    .await;
}

/// GOFF-EVT-007: a refused key gets no flags, from the file neither.
#[tokio::test(start_paused = true)]
async fn refused_key_is_fatal_despite_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags");
    keep(&relay(7), &path).await;
    let relay = relay(8);
    relay.set_configuration_failure(Some(status(401)));
    let goff = GoFeatureFlag::new(options(&relay, &path)).unwrap();
    let error = goff.initialize().await.unwrap_err();
    assert!(matches!(error, InitializeError::Refused(_)));
    assert_state(&goff, State::Fatal);
    assert_eq!(evaluate(&goff).await.value, -1);
}

/// A disk failure affects only the next start.
#[tokio::test(start_paused = true)]
async fn unwritable_file_does_not_affect_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    let relay = relay(7);
    let options = options(&relay, &directory.path().join("absent/flags"));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_state(&goff, State::Ready);
    assert_eq!(evaluate(&goff).await.value, 7);
    goff.shutdown(DEADLINE).await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn invalid_options_are_refused() {
    let relay = relay(7);
    let in_process = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()))
        .evaluation_type(EvaluationType::InProcess);
    for (options, message) in [
        (
            options(&relay, Path::new("/")),
            "option `last_known_good_file` is not the path of a file",
        ),
        (
            options(&relay, Path::new("flags")).last_known_good_max_age(Duration::ZERO),
            "option `last_known_good_max_age` must be longer than zero",
        ),
        (
            in_process.last_known_good_max_age(DEADLINE),
            "option `last_known_good_max_age` has no effect without `last_known_good_file`",
        ),
    ] {
        let error = GoFeatureFlag::new(options).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

#[cfg(feature = "http")]
mod over_http {
    use async_trait::async_trait;
    use goff_http::{HttpRequest, HttpResponse, HttpTransport, TransportError};
    use http::StatusCode;
    use serde_json::Value;

    use super::*;

    /// Gives every request the same answer.
    #[derive(Debug)]
    struct Canned(StatusCode, Value);

    #[async_trait]
    impl HttpTransport for Canned {
        async fn send(&self, _: HttpRequest) -> Result<HttpResponse, TransportError> {
            Ok(HttpResponse::new(self.0, self.1.to_string()))
        }
    }

    async fn connect(endpoint: &str, key: &str, path: &Path, answer: Canned) -> GoFeatureFlag {
        let options = GoFeatureFlagOptions::new(endpoint)
            .api_key(key)
            .evaluation_type(EvaluationType::InProcess)
            .http_transport(answer)
            .last_known_good_file(path);
        GoFeatureFlag::connect(options).await.unwrap()
    }

    /// GOFF-AUTH-001: a key selects a flag set, so another key's file must not be used.
    #[tokio::test(start_paused = true)]
    async fn file_of_another_key_or_endpoint_is_not_used() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("flags");
        let flags = json!({"flags": {
            "fläg/1": {"variations": {"A": 7}, "defaultRule": {"variation": "A"}},
        }});
        let up = Canned(StatusCode::OK, flags);
        let goff = connect("http://relay.example/a/", "secret-key", &path, up).await;
        assert_eq!(evaluate(&goff).await.value, 7);
        goff.shutdown(DEADLINE).await;
        let kept = fs::read_to_string(&path).unwrap();
        assert!(!kept.contains("secret-key"), "{kept}");

        for (endpoint, key, state) in [
            ("http://relay.example/a", "secret-key", State::Stale),
            ("http://relay.example/a", "other-key", State::Error),
            ("http://relay.example/a", "", State::Error),
            ("http://relay.example/b", "secret-key", State::Error),
            ("https://relay.example/a", "secret-key", State::Error),
        ] {
            let down = Canned(StatusCode::BAD_GATEWAY, json!({}));
            let goff = connect(endpoint, key, &path, down).await;
            assert_state(&goff, state);
        }
    }
}
