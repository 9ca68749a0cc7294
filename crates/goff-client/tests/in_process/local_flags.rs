//! The synchronous API.

use goff_client::{LocalFlags, ResolutionError};

use crate::*;

#[test]
fn flags_of_a_text_need_no_runtime() {
    let text = json!({"flag": giving(7), "broken": general()}).to_string();
    let flags = LocalFlags::from_flags(&text).unwrap();
    let details = flags.evaluate("flag", &context(), 0_i64);
    assert_eq!((details.value, details.variant()), (7, Some("A")));
    let as_own: EvaluationDetails<u8> = flags.evaluate_as("flag", &context(), 0);
    assert_eq!(as_own.value, 7);
    let broken = flags.evaluate("broken", &context(), 3_i64);
    assert_eq!((broken.value, code(&broken)), (3, Some(ErrorCode::General)));
    assert_eq!(flags.evaluate_all(&context()).unwrap().len(), 2);
    let error = LocalFlags::from_flags("[]").unwrap_err();
    assert!(error.to_string().contains("byte 0"), "{error}");
}

/// From any thread; recorded as usage of the client.
#[tokio::test(start_paused = true)]
async fn flags_of_a_client_are_always_current() {
    let (relay, goff) = client_of(1).await;
    let local = goff.local().unwrap();
    let value = |local: LocalFlags| {
        std::thread::spawn(move || local.evaluate("flag", &context(), 0_i64).value)
            .join()
            .unwrap()
    };
    assert_eq!(value(local.clone()), 1);
    relay.set_flags(&json!({"flag": giving(2)}), None);
    tokio::time::sleep(INTERVAL * 2).await;
    assert_eq!(value(local.clone()), 2);
    let report = goff.flush(TIMEOUT).await;
    assert_eq!(report.recorded, 2);
    assert_eq!(local.evaluate_all(&context()).unwrap().len(), 1);
}

/// `LocalFlags` never falls back, and it is ready only while the client is.
#[tokio::test(start_paused = true)]
async fn local_flags_never_fall_back_and_end_with_the_client() {
    let relay = ScriptedRelay::new().with_value("broken", 9);
    relay.set_flags(&json!({"broken": {"disable": "yes"}}), None);
    relay.set_configuration_failure(Some(unavailable()));
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let local = goff.local().unwrap();
    let not_ready = |expected: &str| {
        let details = local.evaluate("broken", &context(), 0_i64);
        let Some(ResolutionError::NotReady { reason }) = details.error() else {
            panic!("{details:?}");
        };
        assert!(reason.contains(expected), "{reason}");
        assert!(local.evaluate_all(&context()).is_err());
    };
    not_ready("initialize");
    goff.initialize().await.unwrap();
    not_ready("no flag configuration");
    relay.set_configuration_failure(None);
    assert!(goff.wait_until_ready(INTERVAL).await);
    let details = local.evaluate("broken", &context(), 0_i64);
    assert_eq!(code(&details), Some(ErrorCode::ParseError));
    assert_eq!(relay.request_count(), 0);
    goff.shutdown(TIMEOUT).await;
    not_ready("shut down");
}
