//! 429 with `Retry-After` (GOFF-REM-004, GOFF-REM-005).

use std::time::Duration;

use goff_core::{ErrorCode, EventBatch, Origin, RelayClient, RelayError};
use goff_testkit::Answer;

use crate::fixture::*;

/// GOFF-REM-004: nothing is sent until the time has passed.
#[tokio::test]
async fn requests_are_refused_until_the_time_has_passed() {
    let limited = Answer::with_headers(429, &[("retry-after", "30")], r#"{"message":"slow down"}"#);
    let (server, client) = serving([limited]).await;
    let error = evaluate(&client).await.unwrap_err();
    assert!(error.to_string().contains("slow down"), "{error}");
    assert_matches!(error, RelayError::Status { status: 429, .. });
    for error in [
        evaluate(&client).await.unwrap_err(),
        client.evaluate_all(&context()).await.unwrap_err(),
    ] {
        let RelayError::RateLimited { remaining } = error else {
            panic!("{error:?}");
        };
        // Up to a tenth longer than the server says.
        assert!(remaining <= Duration::from_secs(33) && remaining > Duration::from_secs(20));
        assert_eq!(error.code(), ErrorCode::General);
        assert_eq!(error.origin(), Origin::NotEvaluated);
        let seconds = remaining.as_millis().div_ceil(1000);
        assert!(
            error.to_string().contains(&format!("{seconds} s")),
            "{error}"
        );
    }
    assert_eq!(server.requests().len(), 1);
    // Another client of the same relay proxy still sends.
    let other = client_of(&server);
    assert_eq!(evaluate(&other).await.unwrap_err().status(), Some(429));
}

/// A gateway that limits one kind of request does not stop the others: with usage data limited,
/// flags are evaluated, and with evaluations limited, usage data and the configuration arrive.
#[tokio::test]
async fn each_kind_of_request_is_limited_apart() {
    let limited = || Answer::with_headers(429, &[("retry-after", "30")], "");
    let collected = Answer::new(200, r#"{"ingestedContentCount":0}"#);
    let configuration = Answer::new(200, r#"{"flags":{}}"#);
    let batch = EventBatch::new(Default::default(), Vec::new());
    let is_limited = |error: RelayError| matches!(error, RelayError::RateLimited { .. });

    let answers = [limited(), Answer::new(200, STATIC), configuration.clone()];
    let (_server, client) = serving(answers).await;
    assert_eq!(
        client.collect(&batch).await.unwrap_err().status(),
        Some(429)
    );
    evaluate(&client).await.unwrap();
    client.flag_configuration(&[], None).await.unwrap();
    assert!(is_limited(client.collect(&batch).await.unwrap_err()));

    let answers = [limited(), collected.clone(), configuration];
    let (_server, client) = serving(answers).await;
    // Both kinds of evaluation are one.
    let error = client.evaluate_all(&context()).await.unwrap_err();
    assert_eq!(error.status(), Some(429));
    client.collect(&batch).await.unwrap();
    client.flag_configuration(&[], None).await.unwrap();
    assert!(is_limited(evaluate(&client).await.unwrap_err()));

    let (_server, client) = serving([limited(), collected, Answer::new(200, STATIC)]).await;
    let error = client.flag_configuration(&[], None).await.unwrap_err();
    assert_eq!(error.status(), Some(429));
    client.collect(&batch).await.unwrap();
    evaluate(&client).await.unwrap();
    let error = client.flag_configuration(&[], None).await.unwrap_err();
    assert!(is_limited(error));
}

/// GOFF-REM-004.
#[tokio::test]
async fn response_without_usable_header_refuses_nothing() {
    for headers in [&[][..], &[("retry-after", "soon")], &[("retry-after", "0")]] {
        let (server, client) = serving([Answer::with_headers(429, headers, "")]).await;
        for _ in 0..2 {
            assert_eq!(evaluate(&client).await.unwrap_err().status(), Some(429));
        }
        assert_eq!(server.requests().len(), 2);
    }
}

/// Only a 429 limits the rate, not a 503 with the same header (GOFF-REM-005).
#[tokio::test]
async fn other_statuses_refuse_nothing() {
    let unavailable = Answer::with_headers(503, &[("retry-after", "30")], "");
    let (_server, client) = serving([unavailable]).await;
    for _ in 0..2 {
        assert_eq!(evaluate(&client).await.unwrap_err().status(), Some(503));
    }
}
