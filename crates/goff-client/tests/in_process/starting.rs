//! The first load: ready, failed and retried, or refused.

use goff_client::{InitializeError, ResolutionError};

use crate::*;

/// GOFF-LIFE-001, GOFF-EVT-003, GOFF-IP-002: initialization ends with flags; its event is ready and
/// no change.
#[tokio::test(start_paused = true)]
async fn client_is_ready_once_flags_are_loaded() {
    let relay = relay(true);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let mut events = goff.subscribe();
    let early = evaluate(&goff, false).await;
    assert_eq!(code(&early), Some(ErrorCode::ProviderNotReady));
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    assert!(evaluate(&goff, false).await.value);
    assert_eq!(events.next().await.unwrap(), ClientEvent::Ready);
    an_hour().await;
    goff.shutdown(TIMEOUT).await;
    assert_eq!(events.next().await.unwrap(), ClientEvent::Closed);
    let requests = relay.configuration_requests();
    assert_eq!(requests[0].flags, Vec::<String>::new());
    assert_eq!(requests[0].held, None);
}

/// GOFF-LIFE-006: until flags are loaded the code is "not ready", never "not found". GOFF-EVT-008:
/// the load is retried.
#[tokio::test(start_paused = true)]
async fn failed_load_is_an_error_until_a_retry_succeeds() {
    let relay = relay(true);
    relay.set_configuration_failure(Some(unavailable()));
    let goff = goff(&relay).await;
    let mut events = goff.subscribe();
    assert_state(&goff, State::Error);
    assert!(last_error(&goff).contains("503"));
    assert!(!goff.wait_until_ready(millis(1)).await);
    for flag in ["flag", "unknown"] {
        let details = goff.evaluate(flag, &context(), false).await;
        let error = details.error();
        assert!(matches!(error, Some(ResolutionError::NotReady { .. })));
    }
    assert!(goff.evaluate_all(&context()).await.is_err());
    relay.set_configuration_failure(None);
    assert!(goff.wait_until_ready(INTERVAL).await);
    assert_state(&goff, State::Ready);
    assert_eq!(next_event(&mut events).await, ClientEvent::Ready);
    assert!(evaluate(&goff, false).await.value);
    let stats = goff.stats();
    assert_eq!(stats.refreshes, 1);
    assert!(stats.failed_refreshes >= 1);
}

/// Pauses between retries grow up to the polling interval.
#[tokio::test(start_paused = true)]
async fn retries_are_neither_rare_nor_many() {
    let relay = relay(true);
    relay.set_configuration_failure(Some(unavailable()));
    let options = options(&relay).flag_change_polling_interval(secs(1));
    let goff = connect(options).await;
    an_hour().await;
    // Pauses are at most 1 s, half of it on average.
    let requests = relay.configuration_requests().len();
    assert!((3_600..20_000).contains(&requests), "{requests}");
    assert_state(&goff, State::Error);
}

/// GOFF-EVT-007, GOFF-LIFE-003: three refusals in a row are fatal and reported, and only another
/// initialization tries again.
#[tokio::test(start_paused = true)]
async fn refused_key_is_fatal() {
    for refusal in [401, 403] {
        let relay = relay(true);
        relay.set_configuration_failure(Some(status(refusal)));
        let goff = GoFeatureFlag::new(options(&relay)).unwrap();
        let error = goff.initialize().await.unwrap_err();
        assert!(
            matches!(&error, InitializeError::Refused(error) if error.status() == Some(refusal))
        );
        assert!(error.to_string().contains("api_key"), "{error}");
        assert_state(&goff, State::Fatal);
        assert!(!goff.wait_until_ready(secs(3600)).await);
        let details = evaluate(&goff, false).await;
        assert_eq!(code(&details), Some(ErrorCode::ProviderNotReady));
        an_hour().await;
        assert_eq!(relay.configuration_requests().len(), 3);
        relay.set_configuration_failure(None);
        goff.initialize().await.unwrap();
        assert_state(&goff, State::Ready);
        assert!(evaluate(&goff, false).await.value);
    }
}

/// A gateway that refuses once, as while it restarts, does not cost the application its flags.
#[tokio::test(start_paused = true)]
async fn one_refusal_is_tried_again() {
    for (refusal, refused) in [(403, 1), (401, 1), (403, 2)] {
        let relay = relay(true);
        relay.set_configuration_failure(Some(status(refusal)));
        let goff = GoFeatureFlag::new(options(&relay)).unwrap();
        let (initialized, ()) = tokio::join!(goff.initialize(), async {
            relay.wait_for_configuration_requests(refused).await;
            relay.set_configuration_failure(None);
        });
        initialized.unwrap();
        assert_state(&goff, State::Ready);
        assert!(evaluate(&goff, false).await.value);
        assert_eq!(relay.configuration_requests().len(), refused + 1);
    }
}

/// A gateway that restarts refuses all clients, which do not come back in step.
#[tokio::test(start_paused = true)]
async fn refused_clients_try_again_at_different_times() {
    let mut pauses = Vec::new();
    for _ in 0..40 {
        let relay = relay(true);
        relay.set_configuration_failure(Some(status(403)));
        let goff = GoFeatureFlag::new(options(&relay)).unwrap();
        let begun = tokio::time::Instant::now();
        let (initialized, ()) = tokio::join!(goff.initialize(), async {
            relay.wait_for_configuration_requests(2).await;
            pauses.push(begun.elapsed());
            relay.set_configuration_failure(None);
        });
        initialized.unwrap();
    }
    let (least, most) = (pauses.iter().min().unwrap(), pauses.iter().max().unwrap());
    assert!(*least >= millis(200) && *most <= millis(410), "{pauses:?}");
    assert!(*most - *least > millis(100), "{pauses:?}");
}

/// GOFF-EVT-007: a refusal ends retries too; once flags are held it is a failed refresh.
#[tokio::test(start_paused = true)]
async fn refusal_stops_retries_but_not_polling() {
    let relay = relay(true);
    relay.set_configuration_failure(Some(unavailable()));
    let goff = goff(&relay).await;
    relay.set_configuration_failure(Some(status(401)));
    an_hour().await;
    assert_state(&goff, State::Fatal);
    relay.set_configuration_failure(None);
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    relay.set_configuration_failure(Some(status(401)));
    an_hour().await;
    assert_state(&goff, State::Stale);
    assert!(evaluate(&goff, false).await.value);
    relay.set_configuration_failure(None);
    an_hour().await;
    assert_state(&goff, State::Ready);
}

/// GOFF-LIFE-002: a second initialization starts no second poller; both wait for the flags.
#[tokio::test(start_paused = true)]
async fn initialization_may_be_repeated() {
    let relay = relay(true);
    relay.set_configuration_delay(Some(secs(1)));
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let (first, second) = tokio::join!(goff.initialize(), goff.initialize());
    first.unwrap();
    second.unwrap();
    goff.initialize().await.unwrap();
    assert_state(&goff, State::Ready);
    assert_eq!(relay.configuration_requests().len(), 1);
    tokio::time::sleep(INTERVAL * 10).await;
    let requests = relay.configuration_requests().len();
    assert!((10..=12).contains(&requests), "{requests}");
}

/// `timeout` bounds it even if the relay client never answers.
#[tokio::test(start_paused = true)]
async fn initialization_is_bounded() {
    let relay = relay(true);
    relay.set_configuration_delay(Some(secs(86_400)));
    let begun = tokio::time::Instant::now();
    let goff = goff(&relay).await;
    assert!(begun.elapsed() < secs(11));
    assert_state(&goff, State::Error);
}

/// GOFF-LIFE-004, GOFF-LIFE-005: shutdown ends a running load, and with it initialization.
#[tokio::test(start_paused = true)]
async fn shutdown_ends_a_running_load() {
    let relay = relay(true);
    relay.set_configuration_delay(Some(secs(5)));
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let begun = tokio::time::Instant::now();
    let (initialized, ()) = tokio::join!(goff.initialize(), async {
        relay.wait_for_configuration_requests(1).await;
        goff.shutdown(secs(1)).await;
    });
    initialized.unwrap();
    assert!(begun.elapsed() < secs(1));
    assert_state(&goff, State::Closed);
    an_hour().await;
    assert_eq!(relay.configuration_requests().len(), 1);
    relay.set_configuration_delay(None);
    goff.initialize().await.unwrap();
    // The ETag from before shutdown is not sent again.
    assert_eq!(relay.configuration_requests()[1].held, None);
}

/// GOFF-CFG-003, GOFF-CFG-002.
#[tokio::test(start_paused = true)]
async fn default_mode_is_remote() {
    let relay = relay(true);
    let goff = connect(GoFeatureFlagOptions::with_relay_client(Arc::new(
        relay.clone(),
    )))
    .await;
    assert_eq!(goff.evaluation_type(), EvaluationType::Remote);
    assert!(goff.local().is_none());
    an_hour().await;
    assert!(relay.configuration_requests().is_empty());
}
