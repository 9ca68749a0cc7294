//! The effect of HTTP answers on the held configuration, with the mistakes of other providers.

use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_testkit::{Answer, FaultyServer};

use crate::*;

fn configuration(value: i64) -> String {
    json!({"flags": {"flag": giving(value)}}).to_string()
}

async fn client(server: &FaultyServer, api_key: &str) -> GoFeatureFlag {
    let options = HttpRelayClientOptions::new(server.url().parse().unwrap())
        .api_key(goff_core::ApiKey::new(api_key).unwrap());
    connect(options_of(HttpRelayClient::new(options).unwrap())).await
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
    let tagged = |status, body: &str| Answer::with_headers(status, &[("etag", "\"2\"")], body);
    let whole = configuration(2);
    let half = whole.get(..20).unwrap();
    let cut = format!("HTTP/1.1 200 OK\r\netag: \"2\"\r\ncontent-length: 99\r\n\r\n{half}");
    let redirect = Answer::with_headers(302, &[("location", "/elsewhere")], &whole);
    let error_code = r#"{"errorCode":"GENERAL","flags":{}}"#;
    for (what, answer) in [
        ("304 without ETag", Answer::new(304, "")),
        ("304 with another", tagged(304, "")),
        ("200 without flags", tagged(200, "{}")),
        ("200 with null flags", tagged(200, r#"{"flags":null}"#)),
        ("half a body", tagged(200, half)),
        ("a body cut off", Answer::raw(cut).then_close()),
        ("a page", tagged(200, "<html></html>")),
        ("no content", tagged(204, "")),
        ("a redirect", redirect),
        ("an error", tagged(500, &whole)),
        ("refused", Answer::new(401, r#"{"message":"no"}"#)),
        ("an error code", tagged(200, error_code)),
    ] {
        // A gateway that answers 4xx may refuse the tag, so it is left out once.
        let tag = (what != "refused").then(|| "\"1\"".to_owned());
        assert_eq!(after(answer).await, (1, tag), "{what}");
    }
}

/// GOFF-IP-005: dates are ignored, and an ETag is optional.
#[tokio::test]
async fn configuration_needs_neither_etag_nor_date() {
    let zero = ("last-modified", "Mon, 01 Jan 0001 00:00:00 UTC");
    for (headers, tag) in [
        (&[][..], None),
        (&[("etag", "W/\"ü\"")], Some("W/\"ü\"")),
        (&[("etag", "\"2\""), zero], Some("\"2\"")),
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
    let answer = Answer::with_headers(200, &[("etag", "\"1\"")], configuration(1));
    let server = FaultyServer::start([answer]).await.unwrap();
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
