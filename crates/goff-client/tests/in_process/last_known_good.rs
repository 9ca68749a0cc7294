//! Starting from the last-known-good file while the relay proxy is down.

use std::fs;
use std::path::{Path, PathBuf};

use goff_client::InitializeError;
use goff_core::{Etag, FlagConfiguration};
use tempfile::TempDir;

use crate::*;

fn relay(value: i64) -> ScriptedRelay {
    let relay = ScriptedRelay::new();
    let flags = json!({"fläg/1": {
        "variations": {"A": value, "B": 0},
        "targeting": [{"query": r#"env eq "prod""#, "variation": "A"}],
        "defaultRule": {"variation": "B"},
    }});
    relay.set_configuration(
        FlagConfiguration::new(flags.to_string())
            .with_enrichment(Map::from_iter([("env".to_owned(), json!("prod"))]))
            .with_etag(Etag::from_bytes(b"W/\"1-\xe9\"")),
    );
    relay
}

/// A relay proxy that fails with this status.
fn failing(failure: u16) -> ScriptedRelay {
    let relay = relay(8);
    relay.set_configuration_failure(Some(status(failure)));
    relay
}

fn options(relay: &ScriptedRelay, path: &Path) -> GoFeatureFlagOptions {
    crate::options(relay).last_known_good_file(path)
}

fn empty() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags");
    (directory, path)
}

/// A file that a client has written.
async fn kept() -> (TempDir, PathBuf) {
    let (directory, path) = empty();
    let goff = connect(options(&relay(7), &path)).await;
    goff.shutdown(TIMEOUT).await;
    (directory, path)
}

async fn value(goff: &GoFeatureFlag) -> i64 {
    goff.evaluate("fläg/1", &context(), -1).await.value
}

/// Flags, enrichment and ETag are those of the earlier run until the relay proxy answers.
#[tokio::test(start_paused = true)]
async fn start_without_the_relay_proxy_serves_the_last_known_good_flags() {
    let (directory, path) = kept().await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);

    let relay = failing(503);
    let goff = GoFeatureFlag::new(options(&relay, &path)).unwrap();
    let mut events = goff.subscribe();
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Stale);
    assert!(last_error(&goff).contains("503"));
    assert!(goff.wait_until_ready(millis(1)).await);
    assert_eq!(value(&goff).await, 7);
    assert!(matches!(events.next().await, Some(ClientEvent::Error(_))));
    assert_eq!(events.next().await.unwrap(), ClientEvent::Stale);

    // For as long as it takes.
    tokio::time::sleep(secs(3_600)).await;
    assert_state(&goff, State::Stale);
    assert_eq!(value(&goff).await, 7);
    relay.set_configuration_failure(None);
    let asked = relay.configuration_requests().len();
    relay.wait_for_configuration_requests(asked + 1).await;
    tokio::time::sleep(secs(1)).await;
    // The file keeps the ETag, so the answer is "not modified".
    let held = relay.configuration_requests().pop().unwrap().held;
    assert_eq!(held, Etag::from_bytes(b"W/\"1-\xe9\""));
    assert_state(&goff, State::Ready);
    assert_eq!(value(&goff).await, 7);
    goff.shutdown(TIMEOUT).await;
}

#[tokio::test(start_paused = true)]
async fn each_load_is_written() {
    let (_directory, path) = empty();
    let first = relay(7);
    let goff = connect(options(&first, &path)).await;
    first.set_flags(&json!({"fläg/1": giving(9)}), None);
    first.wait_for_configuration_requests(2).await;
    tokio::time::sleep(secs(1)).await;
    goff.shutdown(TIMEOUT).await;

    let goff = connect(options(&failing(503), &path)).await;
    assert_eq!(value(&goff).await, 9);
}

/// A client that runs for longer than the age limit leaves a file that is not too old.
#[tokio::test(start_paused = true)]
async fn date_is_renewed_while_the_flags_are_current() {
    let (_directory, path) = empty();
    let relay = relay(7);
    let options = options(&relay, &path).last_known_good_max_age(secs(3_600));
    let goff = connect(options).await;
    let mut contents = Vec::new();
    for _ in 0..10 {
        tokio::time::sleep(secs(3_600)).await;
        contents.push(fs::read(&path).unwrap());
    }
    goff.shutdown(TIMEOUT).await;
    contents.dedup();
    assert_eq!(contents.len(), 10, "an hour without a renewal");
}

#[tokio::test(start_paused = true)]
async fn invalid_file_is_not_used() {
    let check = async |change: &dyn Fn(&Path), options: &dyn Fn(GoFeatureFlagOptions) -> _| {
        let (_directory, path) = kept().await;
        change(&path);
        let relay = failing(503);
        let goff = connect(options(self::options(&relay, &path))).await;
        assert_state(&goff, State::Error);
        assert_eq!(value(&goff).await, -1);
        // The client recovers with the relay proxy.
        relay.set_configuration_failure(None);
        assert!(goff.wait_until_ready(secs(600)).await);
        assert_state(&goff, State::Ready);
        assert_eq!(value(&goff).await, 8);
        goff.shutdown(TIMEOUT).await;
    };
    let as_it_was = |_: &Path| {};
    let as_usual = |options| options;
    let edit = |path: &Path| {
        let kept = fs::read_to_string(path).unwrap();
        let edited = kept.replace("prod", "prox");
        assert_ne!(kept, edited);
        fs::write(path, edited).unwrap();
    };
    check(&edit, &as_usual).await;
    check(&|path| fs::write(path, "").unwrap(), &as_usual).await;
    check(&|path| fs::remove_file(path).unwrap(), &as_usual).await;
    let with_age = |of: GoFeatureFlagOptions| of.last_known_good_max_age(Duration::from_nanos(1));
    check(&as_it_was, &with_age).await;
    let with_list = |of: GoFeatureFlagOptions| of.evaluation_flag_list(["fläg/1"]);
    check(&as_it_was, &with_list).await;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = fs::Permissions::from_mode(0o602);
        check(
            &|path| fs::set_permissions(path, mode.clone()).unwrap(),
            &as_usual,
        )
        .await;
    }
}

/// GOFF-EVT-007: a refused key gets no flags, from the file neither.
#[tokio::test(start_paused = true)]
async fn refused_key_is_fatal_despite_the_file() {
    let (_directory, path) = kept().await;
    let relay = failing(401);
    let goff = GoFeatureFlag::new(options(&relay, &path)).unwrap();
    let error = goff.initialize().await.unwrap_err();
    assert!(matches!(error, InitializeError::Refused(_)));
    assert_state(&goff, State::Fatal);
    assert_eq!(value(&goff).await, -1);
}

/// A disk failure affects only the next start.
#[tokio::test(start_paused = true)]
async fn unwritable_file_does_not_affect_evaluation() {
    let directory = tempfile::tempdir().unwrap();
    let relay = relay(7);
    let options = options(&relay, &directory.path().join("absent/flags"));
    let goff = connect(options).await;
    tokio::time::sleep(secs(3_600)).await;
    assert_state(&goff, State::Ready);
    assert_eq!(value(&goff).await, 7);
    goff.shutdown(TIMEOUT).await;
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn invalid_options_are_refused() {
    let relay = relay(7);
    let at = |path: &str| options(&relay, Path::new(path));
    assert_refused(
        at("/"),
        "option `last_known_good_file` is not the path of a file",
    );
    assert_refused(
        at("flags").last_known_good_max_age(Duration::ZERO),
        "option `last_known_good_max_age` must be longer than zero",
    );
    assert_refused(
        crate::options(&relay).last_known_good_max_age(TIMEOUT),
        "option `last_known_good_max_age` has no effect without `last_known_good_file`",
    );
}

#[cfg(feature = "http")]
mod over_http {
    use async_trait::async_trait;
    use goff_http::{HttpRequest, HttpResponse, HttpTransport, TransportError};
    use http::StatusCode;

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
        crate::connect(options).await
    }

    /// GOFF-AUTH-001: a key selects a flag set, so another key's file must not be used.
    #[tokio::test(start_paused = true)]
    async fn file_of_another_key_or_endpoint_is_not_used() {
        let (_directory, path) = empty();
        let up = Canned(StatusCode::OK, json!({"flags": {"fläg/1": giving(7)}}));
        let goff = connect("http://relay.example/a/", "secret-key", &path, up).await;
        assert_eq!(value(&goff).await, 7);
        goff.shutdown(TIMEOUT).await;
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
