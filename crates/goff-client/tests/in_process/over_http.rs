//! The effect of HTTP answers on the held configuration, with the mistakes of other providers.

use goff_client::Invalidation;
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer};

use crate::*;

fn configuration(value: i64) -> String {
    json!({"flags": {"flag": giving(value)}}).to_string()
}

async fn client(server: &FaultyServer, api_key: &str) -> GoFeatureFlag {
    let options = HttpRelayClientOptions::new(server.url().parse().unwrap())
        .api_key(goff_core::ApiKey::new(api_key).unwrap());
    let relay = HttpRelayClient::new(options).unwrap();
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay))
        .evaluation_type(EvaluationType::InProcess);
    GoFeatureFlag::connect(options).await.unwrap()
}

/// The served value after `answer`, and the ETag of the next request.
async fn after(answer: Answer) -> (i64, Option<String>) {
    let server = FaultyServer::start([
        Answer::with_headers(200, &[("etag", "\"1\"")], configuration(1)),
        answer,
        Answer::new(200, configuration(3)).held(),
    ])
    .await
    .unwrap();
    let goff = client(&server, "key").await;
    let sink = goff.invalidation_sink();
    for requests in [2, 3] {
        sink.invalidate(Invalidation::All);
        server.wait_for_requests(requests).await;
    }
    // The third request has arrived, so the second one is complete.
    let value = evaluate(&goff, 0_i64).await.value;
    assert_state(&goff, State::Ready);
    let requests = server.requests();
    let held = |index: usize| {
        let request = requests.get(index).unwrap();
        request.header("if-none-match").map(str::to_owned)
    };
    assert_eq!((held(0), held(1).as_deref()), (None, Some("\"1\"")));
    (value, held(2))
}

/// GOFF-IP-005, GOFF-IP-007, GOFF-IP-008, GOFF-IP-009, GOFF-IP-015.
#[tokio::test]
async fn only_a_complete_configuration_has_an_effect() {
    let with =
        |status, headers: &[(&str, &str)], body: &str| Answer::with_headers(status, headers, body);
    let whole = configuration(2);
    let half = whole.get(..20).unwrap();
    for (what, answer) in [
        ("304 without ETag", with(304, &[], "")),
        ("304 with another", with(304, &[("etag", "\"2\"")], "")),
        ("200 without flags", with(200, &[("etag", "\"2\"")], "{}")),
        (
            "200 with null flags",
            with(200, &[("etag", "\"2\"")], r#"{"flags":null}"#),
        ),
        ("half a body", with(200, &[("etag", "\"2\"")], half)),
        (
            "a body cut off",
            Answer::raw(format!(
                "HTTP/1.1 200 OK\r\netag: \"2\"\r\ncontent-length: 99\r\n\r\n{half}"
            ))
            .then_close(),
        ),
        ("a page", with(200, &[("etag", "\"2\"")], "<html></html>")),
        ("no content", with(204, &[("etag", "\"2\"")], "")),
        (
            "a redirect",
            with(302, &[("location", "/elsewhere")], &configuration(2)),
        ),
        (
            "an error",
            with(500, &[("etag", "\"2\"")], &configuration(2)),
        ),
        ("refused", with(401, &[], r#"{"message":"no"}"#)),
        (
            "an error code",
            with(
                200,
                &[("etag", "\"2\"")],
                r#"{"errorCode":"GENERAL","flags":{}}"#,
            ),
        ),
    ] {
        assert_eq!(after(answer).await, (1, Some("\"1\"".to_owned())), "{what}");
    }
}

/// GOFF-IP-005: dates are ignored, and an ETag is optional.
#[tokio::test]
async fn configuration_needs_neither_etag_nor_date() {
    for (headers, tag) in [
        (&[][..], None),
        (&[("etag", "W/\"ü\"")][..], Some("W/\"ü\"")),
        (
            &[
                ("etag", "\"2\""),
                ("last-modified", "Mon, 01 Jan 0001 00:00:00 UTC"),
            ],
            Some("\"2\""),
        ),
        (&[("last-modified", "soon")], None),
    ] {
        let answer = Answer::with_headers(200, headers, configuration(2));
        let (value, held) = after(answer).await;
        assert_eq!(value, 2);
        assert_eq!(held.as_deref(), tag);
    }
}

/// A new key may see other flags, so it never sends the old key's ETag.
#[tokio::test]
async fn new_key_sends_no_old_etag() {
    let server = FaultyServer::start([Answer::with_headers(
        200,
        &[("etag", "\"1\"")],
        configuration(1),
    )])
    .await
    .unwrap();
    let old = client(&server, "old").await;
    old.invalidation_sink().invalidate(Invalidation::All);
    server.wait_for_requests(2).await;
    let new = client(&server, "new").await;
    assert_eq!(evaluate(&new, 0_i64).await.value, 1);
    for (request, key, tag) in [
        (0, "Bearer old", None),
        (1, "Bearer old", Some("\"1\"")),
        (2, "Bearer new", None),
    ] {
        let request = server.requests().get(request).unwrap().clone();
        assert_eq!(request.header("authorization"), Some(key));
        assert_eq!(request.header("if-none-match"), tag);
    }
}
