//! Keys that change while a client runs, and the check of reachability and key.
#![cfg(all(feature = "in-process", feature = "ws"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    ChangedFlags, ClientEvent, EvaluationContext, EvaluationType, GoFeatureFlag,
    GoFeatureFlagOptions, InitializeError, Invalidation, RelayError, RequestResult, State,
};
use goff_client::{Check, CheckError};
use goff_http::{Connector, HyperTransport, TlsOptions};
use goff_testkit::{Answer, EmbeddedRelay, FaultyServer, FlagSetOptions, ScriptedRelay};
use serde_json::json;
use tokio::time::Instant;

const TIMEOUT: Duration = Duration::from_secs(20);
const OLD: &str = "old-k3y";
const NEW: &str = "new-k3y";

async fn server(answers: impl IntoIterator<Item = Answer>) -> FaultyServer {
    FaultyServer::start(answers).await.unwrap()
}

/// Options for a client without a change stream.
fn options(server: &FaultyServer) -> GoFeatureFlagOptions {
    let endpoint = server.url().parse().unwrap();
    let connector = Connector::new(&endpoint, &TlsOptions::default()).unwrap();
    GoFeatureFlagOptions::new(server.url())
        .api_key(OLD)
        .http_transport(HyperTransport::new(Arc::new(connector)))
}

fn in_process(server: &FaultyServer) -> GoFeatureFlagOptions {
    options(server).evaluation_type(EvaluationType::InProcess)
}

async fn connect(options: GoFeatureFlagOptions) -> GoFeatureFlag {
    GoFeatureFlag::connect(options).await.unwrap()
}

async fn value(goff: &GoFeatureFlag) -> i64 {
    let context = EvaluationContext::builder().targeting_key("user-1").build();
    goff.evaluate("flag", &context, 0).await.value
}

fn evaluation(value: i64) -> Answer {
    let body = json!({
        "value": value, "reason": "STATIC", "variationType": "A", "failed": false,
        "trackEvents": true, "cacheable": true, "errorCode": "", "version": "",
    });
    Answer::new(200, body.to_string())
}

fn configuration(value: i64) -> Answer {
    let flag = json!({"variations": {"A": value}, "defaultRule": {"variation": "A"}});
    let body = json!({"flags": {"flag": flag}}).to_string();
    Answer::with_headers(200, &[("etag", "\"1\"")], body)
}

fn collected() -> Answer {
    Answer::new(200, r#"{"ingestedContentCount":1}"#)
}

/// The path and the key of each request, without the parts that all have.
fn seen(server: &FaultyServer) -> Vec<(String, String)> {
    let requests = server.requests().into_iter();
    let seen = requests.map(|request| {
        let key = request.header("authorization").unwrap_or_default();
        let path = request.path.rsplit('/').next().unwrap_or_default();
        (path.to_owned(), key.replace("Bearer ", ""))
    });
    seen.collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(path, key): &(&str, &str)| (str::to_owned(path), str::to_owned(key));
    expected.iter().map(owned).collect()
}

/// What was recorded with the old key is delivered with it, and nothing that was answered to it is
/// served to the new one.
#[tokio::test]
async fn new_key_is_a_new_source_of_answers() {
    let server = server([
        evaluation(1),
        collected(),
        evaluation(2),
        collected(),
        evaluation(3),
    ])
    .await;
    let goff = connect(options(&server)).await;
    let mut events = goff.subscribe();
    assert_eq!((value(&goff).await, value(&goff).await), (1, 1));
    goff.set_api_key(NEW).await.unwrap();
    assert_eq!((value(&goff).await, value(&goff).await), (2, 2));
    // The same key again is no change.
    goff.set_api_key(NEW).await.unwrap();
    assert_eq!(value(&goff).await, 2);
    goff.set_api_key("").await.unwrap();
    assert_eq!(value(&goff).await, 3);
    let expected = [
        ("eval", OLD),
        ("collector", OLD),
        ("eval", NEW),
        ("collector", NEW),
        ("eval", ""),
    ];
    assert_eq!(seen(&server), pairs(&expected));
    let changed = ClientEvent::ConfigurationChanged(ChangedFlags::Unknown);
    for _ in 0..2 {
        assert_eq!(events.next().await, Some(changed.clone()));
    }
}

/// What was recorded with the old key is no repetition for the new one, whose flag set is another.
#[tokio::test]
async fn new_key_begins_the_window_without_repetitions_anew() {
    let server = server([evaluation(1), collected(), evaluation(1), collected()]).await;
    let window = Duration::from_secs(3600);
    let goff = connect(options(&server).event_deduplication_window(window)).await;
    for (key, recorded) in [(NEW, 1), ("third", 2)] {
        for _ in 0..3 {
            assert_eq!(value(&goff).await, 1);
        }
        let usage = goff.stats().usage;
        assert_eq!((usage.recorded, usage.left_out), (recorded, recorded));
        goff.set_api_key(key).await.unwrap();
    }
    let expected = [
        ("eval", OLD),
        ("collector", OLD),
        ("eval", NEW),
        ("collector", NEW),
    ];
    assert_eq!(seen(&server), pairs(&expected));
}

/// Every caller gets the answer to its own key, also those that evaluate at the same time.
#[tokio::test]
async fn evaluation_with_the_new_key_joins_no_request_of_the_old_one() {
    let server = server([evaluation(1).held(), evaluation(2).held()]).await;
    let goff = connect(options(&server)).await;
    let evaluating = || {
        tokio::spawn({
            let goff = goff.clone();
            async move { value(&goff).await }
        })
    };
    let old = evaluating();
    server.wait_for_requests(1).await;
    goff.set_api_key(NEW).await.unwrap();
    let new = evaluating();
    server.wait_for_requests(2).await;
    server.release();
    server.release();
    assert_eq!((old.await.unwrap(), new.await.unwrap()), (1, 2));
    // The answer to the old key was not cached, even if it came last.
    assert_eq!(value(&goff).await, 2);
    assert_eq!(seen(&server), pairs(&[("eval", OLD), ("eval", NEW)]));
}

/// A collector that hangs delays the new key by `timeout`; the events stay, and follow later.
#[tokio::test]
async fn delivery_with_the_old_key_is_bounded() {
    let server = server([
        evaluation(1),
        Answer::nothing().then_silence(),
        evaluation(2),
        collected(),
    ])
    .await;
    let timeout = Duration::from_millis(500);
    let goff = connect(options(&server).timeout(timeout)).await;
    value(&goff).await;
    value(&goff).await;
    let begun = Instant::now();
    goff.set_api_key(NEW).await.unwrap();
    assert!(begun.elapsed() >= timeout && begun.elapsed() < timeout * 20);
    assert_eq!(value(&goff).await, 2);
    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!((report.recorded, report.delivered), (1, 1), "{report:?}");
    assert_eq!(
        seen(&server).last().unwrap(),
        &pairs(&[("collector", NEW)])[0]
    );
}

/// Flags that were fetched with the old key are served until others have come, and nothing of them
/// is confirmed with the new key.
#[tokio::test]
async fn new_key_fetches_flags_anew_and_sends_no_etag_of_the_old_one() {
    let server = server([
        configuration(1),
        configuration(10).held(),
        configuration(2),
        configuration(3).held(),
    ])
    .await;
    let goff = connect(in_process(&server)).await;
    goff.invalidation_sink().invalidate(Invalidation::All);
    server.wait_for_requests(2).await;
    goff.set_api_key(NEW).await.unwrap();
    // It does not wait for the request in flight.
    server.wait_for_requests(3).await;
    let give_up = Instant::now() + TIMEOUT;
    while value(&goff).await != 2 {
        assert_eq!(value(&goff).await, 1);
        assert!(Instant::now() < give_up);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.release();
    goff.invalidation_sink().invalidate(Invalidation::All);
    server.wait_for_requests(4).await;
    assert_eq!(value(&goff).await, 2);
    let requests = server.requests();
    let etags: Vec<_> = requests
        .iter()
        .map(|it| it.header("if-none-match"))
        .collect();
    assert_eq!(etags, [None, Some("\"1\""), None, Some("\"1\"")]);
    let keys = [OLD, OLD, NEW, NEW].map(|key| ("configuration", key));
    assert_eq!(seen(&server), pairs(&keys));
}

/// A refused key changes no flags, and the next key is tried at once.
#[tokio::test]
async fn refused_key_keeps_the_flags_and_the_next_one_is_fetched_with() {
    let refused = || Answer::new(401, "{}");
    let server = server([configuration(1), refused(), configuration(2)]).await;
    let goff = connect(in_process(&server)).await;
    let mut events = goff.subscribe();
    goff.set_api_key("wrong-k3y").await.unwrap();
    let Some(ClientEvent::Error(error)) = events.next().await else {
        unreachable!("the refresh fails");
    };
    assert!(error.to_string().contains("401"), "{error}");
    assert_eq!((value(&goff).await, goff.status().state), (1, State::Ready));
    goff.set_api_key(NEW).await.unwrap();
    let changed = events.next().await.unwrap();
    assert!(
        matches!(changed, ClientEvent::ConfigurationChanged(_)),
        "{changed:?}"
    );
    assert_eq!(value(&goff).await, 2);
}

/// A client that was refused at its start is initialized again with another key.
#[tokio::test]
async fn refused_client_starts_with_another_key() {
    let refused = || Answer::new(401, "{}");
    let server = server([refused(), refused(), refused(), configuration(2)]).await;
    let goff = GoFeatureFlag::new(in_process(&server)).unwrap();
    assert!(goff.initialize().await.is_err());
    goff.set_api_key(NEW).await.unwrap();
    goff.initialize().await.unwrap();
    assert_eq!(value(&goff).await, 2);
}

/// The last-known-good file belongs to the new key as soon as flags were fetched with it.
#[tokio::test]
async fn last_known_good_file_is_written_anew_for_the_new_key() {
    let flags =
        |value: i64| format!("flag: {{variations: {{A: {value}}}, defaultRule: {{variation: A}}}}");
    let relay = EmbeddedRelay::builder()
        .flag_set(FlagSetOptions::new("old").api_key(OLD).flags(flags(1)))
        .flag_set(FlagSetOptions::new("new").api_key(NEW).flags(flags(2)))
        .start()
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags");
    let options = |key: &str, path: &Path| {
        GoFeatureFlagOptions::new(relay.endpoint())
            .evaluation_type(EvaluationType::InProcess)
            .api_key(key)
            .last_known_good_file(path)
    };
    let goff = connect(options(OLD, &path)).await;
    let mut events = goff.subscribe();
    goff.set_api_key(NEW).await.unwrap();
    while !matches!(
        events.next().await,
        Some(ClientEvent::ConfigurationChanged(_))
    ) {}
    assert_eq!(value(&goff).await, 2);
    goff.shutdown(TIMEOUT).await;
    relay.stop().unwrap();
    for (key, served) in [(OLD, 0), (NEW, 2)] {
        let goff = connect(options(key, &path)).await;
        assert_eq!(value(&goff).await, served, "{key}");
    }
}

#[tokio::test]
async fn key_that_cannot_be_set_is_refused_and_nothing_changes() {
    let server = server([evaluation(1)]).await;
    let goff = connect(options(&server)).await;
    value(&goff).await;
    for (key, part) in [
        ("s3cret\r\nx: y", "control character"),
        (" s3cret", "white space"),
        (&"s3cret".repeat(3_000), "16 KiB"),
    ] {
        let error = goff.set_api_key(key).await.unwrap_err().to_string();
        assert!(error.starts_with("option `api_key`"), "{error}");
        assert!(error.contains(part) && !error.contains("s3cret"), "{error}");
    }
    assert_eq!(value(&goff).await, 1);
    assert!(!format!("{goff:?}").contains("k3y"));
    for options in [
        GoFeatureFlagOptions::with_relay_client(Arc::new(ScriptedRelay::new())),
        GoFeatureFlagOptions::from_flags("{}"),
    ] {
        let error = connect(options).await.set_api_key(NEW).await.unwrap_err();
        assert_eq!(error.option(), "api_key");
    }
}

/// What a check finds: reachable, authorized, and its error.
fn found(check: &Check) -> (Option<bool>, Option<bool>, String) {
    let error = check.error.as_ref().map(ToString::to_string);
    assert_eq!(check.is_ok(), error.is_none());
    assert_eq!(check.latency.is_some(), check.reachable == Some(true));
    (check.reachable, check.authorized, error.unwrap_or_default())
}

/// docs/relay-protocol.md 12 and 17: the endpoint for health is not needed.
#[tokio::test]
async fn check_says_reachable_and_authorized() {
    let (yes, no) = (Some(true), Some(false));
    let silent = || Answer::nothing().then_silence();
    for (answer, reachable, authorized, part) in [
        (configuration(1), yes, yes, ""),
        (Answer::new(200, "{}"), yes, yes, ""),
        (Answer::new(401, "{}"), yes, no, "401"),
        (Answer::new(403, "{}"), yes, no, "403"),
        (Answer::new(404, "{}"), yes, None, "`endpoint`"),
        (Answer::new(503, "{}"), yes, None, "503"),
        (Answer::new(200, "<html>"), yes, None, "JSON"),
        (silent(), no, None, "within 300 ms"),
        (Answer::nothing().then_close(), no, None, "interrupted"),
    ] {
        let server = server([answer]).await;
        let goff = GoFeatureFlag::new(options(&server)).unwrap();
        let check = goff.check(Duration::from_millis(300)).await;
        let (is_reachable, is_authorized, error) = found(&check);
        assert_eq!(
            (is_reachable, is_authorized),
            (reachable, authorized),
            "{check:?}"
        );
        assert!(error.contains(part), "{error}");
        // As an evaluation's error does.
        assert!(error.is_empty() || error.contains(&server.url()), "{error}");
        // One flag that hardly exists: neither all flags nor an evaluation.
        let [request] = &*server.requests() else {
            unreachable!("one request");
        };
        assert_eq!(request.path, "/v1/flag/configuration");
        assert_eq!(request.header("authorization"), Some("Bearer old-k3y"));
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(body["flags"].as_array().unwrap().len(), 1);
        assert_eq!(goff.status().state, State::NotReady);
    }
    let refusing = FaultyServer::refusing_url().await.unwrap();
    let goff = connect(GoFeatureFlagOptions::new(refusing)).await;
    let (reachable, authorized, error) = found(&goff.check(TIMEOUT).await);
    assert_eq!((reachable, authorized), (no, None));
    assert!(error.contains("cannot connect"), "{error}");
}

/// The answer to the conditional request is small. It does not replace the flags that are held.
#[tokio::test]
async fn check_in_process_is_conditional() {
    let server = server([configuration(1), Answer::new(304, ""), configuration(2)]).await;
    let goff = connect(in_process(&server)).await;
    for _ in 0..2 {
        let check = goff.check(TIMEOUT).await;
        assert_eq!(found(&check), (Some(true), Some(true), String::new()));
    }
    assert_eq!(value(&goff).await, 1);
    for (request, etag) in server
        .requests()
        .iter()
        .zip([None, Some("\"1\""), Some("\"1\"")])
    {
        assert_eq!(request.header("if-none-match"), etag);
        assert_eq!(request.body, br#"{"flags":[]}"#);
    }
}

/// There is nothing to reach: flags are held, or not. A relay client of the application is asked
/// what it can answer.
#[tokio::test]
async fn check_without_a_relay_proxy_or_with_a_custom_client() {
    let goff = GoFeatureFlag::new(GoFeatureFlagOptions::from_flags("{}")).unwrap();
    let (reachable, authorized, error) = found(&goff.check(TIMEOUT).await);
    assert_eq!((reachable, authorized), (None, None));
    assert!(error.contains("`initialize`"), "{error}");
    goff.initialize().await.unwrap();
    assert!(goff.check(TIMEOUT).await.is_ok());

    #[cfg(feature = "file")]
    {
        let absent = GoFeatureFlagOptions::from_file("/absent/flags.yaml");
        let error = GoFeatureFlag::connect_checked(absent, TIMEOUT)
            .await
            .unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains("/absent/flags.yaml"), "{shown}");
        assert!(matches!(
            error,
            InitializeError::Unusable(CheckError::Flags(_))
        ));
    }
    let relay = ScriptedRelay::new();
    let options = || GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()));
    let goff = GoFeatureFlag::connect_checked(options(), TIMEOUT).await;
    let goff = goff.unwrap();
    assert_eq!(found(&goff.check(TIMEOUT).await).0, Some(true));
    let requests = goff.stats().requests;
    assert_eq!(
        requests.check.results,
        [(RequestResult::Answered, 2)].into()
    );
    assert!(requests.flag_configuration.results.is_empty());
    relay.set_configuration_failure(Some(RelayError::Unsupported {
        operation: "flag_configuration",
    }));
    let goff = GoFeatureFlag::connect_checked(options(), TIMEOUT).await;
    assert_eq!(found(&goff.unwrap().check(TIMEOUT).await).0, None);
}

#[tokio::test]
async fn connect_checked_fails_where_connect_would_not() {
    for (answer, part) in [
        (Answer::new(401, "{}"), "`api_key`"),
        (Answer::new(404, "{}"), "`endpoint`"),
        (Answer::nothing().then_reset(), "relay proxy"),
    ] {
        let server = server([answer]).await;
        connect(options(&server)).await;
        let checked = GoFeatureFlag::connect_checked(options(&server), TIMEOUT).await;
        let error = checked.unwrap_err();
        let shown = error.to_string();
        assert!(shown.contains(part), "{shown}");
        assert!(matches!(
            error,
            InitializeError::Unusable(CheckError::Relay(_))
        ));
    }
    let server = server([configuration(1), Answer::new(503, "{}")]).await;
    let checked = GoFeatureFlag::connect_checked(in_process(&server), TIMEOUT).await;
    assert!(matches!(
        checked,
        Err(InitializeError::Unusable(CheckError::Flags(_)))
    ));
}

/// A probe gets it as JSON.
#[tokio::test]
async fn check_serializes_for_a_probe() {
    let version = ("x-gofeatureflag-version", "1.55.2");
    let server = server([
        Answer::with_headers(200, &[version], r#"{"flags":{}}"#),
        Answer::new(401, "{}"),
    ])
    .await;
    let goff = GoFeatureFlag::new(options(&server)).unwrap();
    let good = serde_json::to_value(goff.check(TIMEOUT).await).unwrap();
    assert!(good["latency_seconds"].is_f64(), "{good}");
    assert_eq!(
        (&good["version"], &good["error"]),
        (&json!("1.55.2"), &json!(null))
    );
    let bad = serde_json::to_value(goff.check(TIMEOUT).await).unwrap();
    assert_eq!(bad["authorized"], false);
    assert!(bad["error"].as_str().unwrap().contains("401"), "{bad}");
}
