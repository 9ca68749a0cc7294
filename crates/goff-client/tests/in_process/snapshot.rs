//! Snapshots of in-process evaluation: flags that stay the same during a request.

use std::thread;
use std::time::{Instant, SystemTime};

use goff_client::{LocalFlags, Snapshot, Stats};
use goff_engine::Timestamp;
use goff_testkit::RecordingSink;

use crate::*;

/// The value of `flag`, read in every way, and the number of flags.
fn read(snapshot: &Snapshot) -> (i64, usize) {
    let value = snapshot.evaluate("flag", &context(), 0_i64).value;
    assert_eq!(snapshot.evaluate_as("flag", &context(), 0).value, value);
    let all = snapshot.evaluate_all(&context()).unwrap();
    assert_eq!(all.get("flag").unwrap().value, value);
    let explanation = snapshot.explain("flag", &context()).unwrap();
    assert_eq!(explanation.value, value);
    (value, all.len())
}

#[tokio::test(start_paused = true)]
async fn flags_do_not_change_during_a_snapshot() {
    let (relay, goff) = client_of(1).await;
    let before = goff.snapshot().unwrap();
    let prefetched = goff.prefetch(&context()).await;
    relay.set_flags(&json!({"flag": giving(2), "another": giving(3)}), None);
    goff.refresh().await.unwrap();
    for snapshot in [&before, &before.clone(), &prefetched] {
        assert_eq!(read(snapshot), (1, 1));
        let another = snapshot.evaluate("another", &context(), 0_i64);
        assert_eq!(code(&another.into_owned()), Some(ErrorCode::FlagNotFound));
    }
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
    let after = goff.snapshot().unwrap();
    assert_eq!(read(&after), (2, 2));
    tokio::time::advance(secs(3)).await;
    assert_eq!((after.age(), before.age()), (secs(3), secs(3)));
    assert_eq!(relay.request_count(), 0);
}

/// A step is due while the snapshot is in use.
#[tokio::test]
async fn time_stands_still_in_a_snapshot() {
    let due = SystemTime::now() + secs(1);
    let step = json!({
        "date": Timestamp::from(due).to_string(),
        "variations": {"A": 2},
    });
    let flag = with(giving(1), "scheduledRollout", json!([step]));
    let (_relay, goff) = serving(json!({"flag": flag})).await;
    let snapshot = goff.snapshot().unwrap();
    let give_up = Instant::now() + secs(20);
    while evaluate(&goff, 0_i64).await.value == 1 {
        assert!(Instant::now() < give_up);
        tokio::time::sleep(millis(20)).await;
    }
    assert_eq!(read(&snapshot), (1, 1));
    assert_eq!(read(&goff.snapshot().unwrap()), (2, 1));
    // The caller's time wins.
    let later = Timestamp::from(due + secs(1)).to_string();
    let later = having("gofeatureflag", json!({"currentDateTime": later}));
    assert_eq!(snapshot.evaluate("flag", &later, 0_i64).value, 2);
}

/// GOFF-COLL-010, -020, -021, -022: as for the client's own evaluations, once for each.
#[tokio::test(start_paused = true)]
async fn evaluations_through_a_snapshot_are_recorded() {
    let flags = json!({
        "flag": with(giving(1), "version", "1.2.3"), "text": giving("é"),
        "untracked": with(giving(1), "trackEvents", false),
        "disabled": with(giving(1), "disable", true),
    });
    let mut recorded = Vec::new();
    for through_a_snapshot in [false, true] {
        let (relay, goff) = serving(flags.clone()).await;
        let snapshot = goff.snapshot().unwrap();
        for flag in ["flag", "flag", "untracked", "disabled", "text", "unknown"] {
            let anonymous = having("anonymous", true);
            if through_a_snapshot {
                snapshot.evaluate(flag, &anonymous, 9_i64);
            } else {
                goff.evaluate(flag, &anonymous, 9_i64).await;
            }
        }
        snapshot.evaluate_all(&context()).unwrap();
        snapshot.explain("flag", &context()).unwrap();
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!((report.recorded, report.delivered), (5, 5));
        let batches = relay.batches().into_iter();
        let events = batches.flat_map(|batch| batch.events).map(|event| {
            let mut event = serde_json::to_value(event).unwrap();
            assert!(event["creationDate"].take().is_u64());
            event
        });
        recorded.push(events.collect::<Vec<_>>());
    }
    assert_eq!(recorded[0], recorded[1]);
    assert_eq!(recorded[1][0]["source"], "INPROCESS");
}

/// A client that is not ready gives a snapshot without flags. One from before the shutdown still
/// answers; its usage data is counted as dropped.
#[tokio::test(start_paused = true)]
async fn snapshot_of_a_client_that_is_not_ready_gives_defaults() {
    let relay = relay(1);
    relay.set_configuration_failure(Some(unavailable()));
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let not_ready = async |expected: &str| {
        for snapshot in [goff.snapshot().unwrap(), goff.prefetch(&context()).await] {
            let details = snapshot.evaluate("flag", &context(), 7_i64).into_owned();
            let error = Some(ErrorCode::ProviderNotReady);
            assert_eq!((details.value, code(&details)), (7, error.clone()));
            let errors = [
                snapshot.error().cloned(),
                snapshot.evaluate_all(&context()).err(),
                snapshot.explain("flag", &context()).err(),
            ];
            for missing in errors.map(Option::unwrap) {
                assert_eq!(Some(missing.code()), error);
                assert!(missing.to_string().contains(expected), "{missing}");
            }
        }
    };
    not_ready("initialize").await;
    goff.initialize().await.unwrap();
    not_ready("no flag configuration").await;
    relay.set_configuration_failure(None);
    assert!(goff.wait_until_ready(INTERVAL).await);

    // Stale flags are served.
    relay.set_configuration_failure(Some(unavailable()));
    an_hour().await;
    assert_state(&goff, State::Stale);
    let snapshot = goff.snapshot().unwrap();
    assert!(snapshot.error().is_none());
    assert_eq!(read(&snapshot), (1, 1));

    let report = goff.shutdown(TIMEOUT).await;
    assert_eq!((report.recorded, report.delivered), (2, 2));
    not_ready("shut down").await;
    assert_eq!(read(&snapshot), (1, 1));
    let Stats { usage, .. } = goff.stats();
    assert_eq!((usage.recorded, usage.dropped), (4, 2));
}

/// The engine's error stands, as with `LocalFlags`.
#[tokio::test(start_paused = true)]
async fn snapshot_does_not_fall_back() {
    let relay = ScriptedRelay::new().with_value("broken", 9);
    relay.set_flags(&json!({"broken": {"disable": "yes"}}), None);
    let goff = goff(&relay).await;
    for snapshot in [goff.snapshot().unwrap(), goff.prefetch(&context()).await] {
        let details = snapshot.evaluate("broken", &context(), 0_i64);
        let error = details.error().unwrap().code();
        assert_eq!((details.value, error), (0, ErrorCode::ParseError));
    }
    assert_eq!(relay.request_count(), 0);
}

/// Values are not coerced; own types may borrow; the details are those of the client.
#[tokio::test(start_paused = true)]
async fn details_borrow_from_the_snapshot() {
    #[derive(serde::Deserialize, PartialEq, Debug)]
    struct Banner<'a> {
        text: &'a str,
    }
    let banner = with(giving(json!({"text": "é"})), "metadata", json!({"a": [1]}));
    let flags = json!({"banner": banner, "text": giving("x"), "disabled": with(giving(1), "disable", true)});
    let (_relay, goff) = serving(flags).await;
    let snapshot = goff.snapshot().unwrap();
    let none = Banner { text: "none" };
    let details = {
        // The details do not depend on what was passed.
        let (flag_key, context) = ("banner".to_owned(), context());
        snapshot.evaluate_as(&flag_key, &context, none)
    };
    assert_eq!(details.value, Banner { text: "é" });
    assert_eq!(
        (details.reason(), details.variant()),
        (&Reason::Static, Some("A"))
    );
    assert_eq!(details.metadata()["a"], json!([1]));
    let text: &str = snapshot.evaluate_as("text", &context(), "default").value;
    assert_eq!(text, "x");
    for flag in ["banner", "text"] {
        let details = snapshot.evaluate(flag, &context(), 7_i64);
        let error = details.error().unwrap().code();
        assert_eq!((details.value, error), (7, ErrorCode::TypeMismatch));
        assert_eq!(
            (details.reason(), details.variant()),
            (&Reason::Error, None)
        );
    }
    let disabled = snapshot.evaluate("disabled", &context(), 7_i64);
    assert!(disabled.is_disabled() && disabled.error().is_none());
    let owned = disabled.into_owned();
    drop((snapshot, goff));
    assert_eq!((owned.value, owned.variant()), (7, Some("SdkDefault")));
}

#[test]
fn snapshot_of_a_text_needs_no_runtime() {
    let text = json!({"flag": giving(7)}).to_string();
    let sink = RecordingSink::default();
    let flags = LocalFlags::from_flags_with_event_sink(&text, Arc::new(sink.clone())).unwrap();
    let snapshot = flags.snapshot();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| assert_eq!(read(&snapshot), (7, 1)));
        }
    });
    flags.flush(TIMEOUT);
    assert_eq!(sink.events().len(), 4);
    assert!(format!("{snapshot:?}").contains("flags: 1"), "{snapshot:?}");
}

/// Remote evaluation has no flags here.
#[tokio::test]
async fn remote_client_has_no_snapshot() {
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay(1)));
    assert!(connect(options).await.snapshot().is_none());
}
