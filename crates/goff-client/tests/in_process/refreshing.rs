//! Refreshing flags: polling, announcements, failures, and what counts as a change.

use std::time::SystemTime;

use goff_client::{RefreshError, Refreshed, RequestResult};
use goff_core::{Etag, FlagConfiguration};

use crate::*;

/// The ETag of the last request.
fn held(relay: &ScriptedRelay) -> Option<Etag> {
    relay.configuration_requests().pop().unwrap().held
}

async fn polled(relay: &ScriptedRelay) {
    let before = relay.configuration_requests().len();
    relay.wait_for_configuration_requests(before + 1).await;
    // Lets the immediate answer arrive.
    tokio::time::sleep(millis(10)).await;
}

/// GOFF-IP-005, GOFF-IP-006, GOFF-IP-007, GOFF-EVT-002, GOFF-EVT-004, GOFF-CFG-003: polled every
/// 120 s by default, with the held ETag; only different content is a change.
#[tokio::test(start_paused = true)]
async fn polling_finds_changes() {
    let (relay, goff) = client_of(1).await;
    let mut events = goff.subscribe();
    // The first poll comes up to half an interval earlier, so that clients do not stay in step.
    for seconds in [54..=132, 108..=132] {
        let begun = tokio::time::Instant::now();
        polled(&relay).await;
        let waited = begun.elapsed();
        assert!(seconds.contains(&waited.as_secs()), "{waited:?}");
    }
    assert_eq!(held(&relay), Etag::from_bytes(b"\"1\""));
    // 304: no change, no load.
    assert_eq!(goff.stats().refreshes, 1);

    // Another ETag with the same content: no change, but the new ETag is held.
    relay.set_flags(&json!({"flag": giving(1)}), Some("\"2\""));
    polled(&relay).await;
    assert_eq!(goff.stats().refreshes, 2);
    let flags = json!({"flag": giving(2), "other": giving(1)});
    relay.set_flags(&flags, Some("\"3\""));
    polled(&relay).await;
    assert_eq!(held(&relay), Etag::from_bytes(b"\"2\""));
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
    let both = changed(&["other"], &["flag"], &[], false);
    assert_eq!(next_event(&mut events).await, both);
    relay.set_flags(&json!({"other": giving(1)}), Some("\"4\""));
    polled(&relay).await;
    let removed = changed(&[], &[], &["flag"], false);
    assert_eq!(next_event(&mut events).await, removed);
    let gone = evaluate(&goff, 0_i64).await;
    assert_eq!(code(&gone), Some(ErrorCode::FlagNotFound));
}

/// How many flags are held, when they were last known to be current, and the 304s.
#[tokio::test(start_paused = true)]
async fn stats_tell_how_current_the_flags_are() {
    let began = SystemTime::now() - millis(1);
    let (relay, goff) = client_of(1).await;
    let stats = goff.stats();
    assert_eq!(stats.flags, 1);
    let loaded = stats.last_confirmed_at.unwrap();
    assert!((began..=SystemTime::now()).contains(&loaded));
    // It is kept in milliseconds, and the clock of the system cannot be paused.
    while SystemTime::now() < loaded + millis(1) {}
    polled(&relay).await;
    let stats = goff.stats();
    let confirmed = stats.last_confirmed_at.unwrap();
    assert!(confirmed > loaded);
    let fetches = [
        (RequestResult::Answered, 1),
        (RequestResult::NotModified, 1),
    ];
    assert_eq!(stats.requests.flag_configuration.results, fetches.into());
    // A failure confirms nothing.
    relay.set_configuration_failure(Some(unavailable()));
    polled(&relay).await;
    assert_eq!(goff.stats().last_confirmed_at, Some(confirmed));
    goff.shutdown(TIMEOUT).await;
    assert_eq!(goff.stats().flags, 0);
}

/// GOFF-EVT-004: another layout of the same JSON is no change; other enrichment alone is one.
#[tokio::test(start_paused = true)]
async fn content_decides_what_is_a_change() {
    let (relay, goff) = client_of(1).await;
    let mut events = goff.subscribe();
    let text = r#"{ "flag": {"defaultRule" : {"variation":"A"},
                 "variations": {"A": 1}} }"#;
    relay.set_configuration(FlagConfiguration::new(text));
    polled(&relay).await;
    let enrichment = Map::from_iter([("env".to_owned(), "é".into())]);
    let same = FlagConfiguration::new(json!({"flag": giving(1)}).to_string());
    relay.set_configuration(same.with_enrichment(enrichment));
    polled(&relay).await;
    assert_eq!(next_event(&mut events).await, changed(&[], &[], &[], true));
    assert_eq!(goff.stats().refreshes, 3);
    // Without an ETag the next request has none.
    polled(&relay).await;
    assert_eq!(held(&relay), None);
}

/// GOFF-CFG-008.
#[tokio::test(start_paused = true)]
async fn flag_list_is_sent_with_every_request() {
    let relay = relay(1);
    let options = options(&relay).evaluation_flag_list(["flag", "é"]);
    let goff = connect(options).await;
    polled(&relay).await;
    polled(&relay).await;
    for request in relay.configuration_requests() {
        assert_eq!(request.flags, ["flag", "é"]);
    }
    // A change of other flags is not fetched.
    let sink = goff.invalidation_sink();
    sink.invalidate(named(&["other"]));
    tokio::time::sleep(secs(30)).await;
    assert_eq!(relay.configuration_requests().len(), 3);
    sink.invalidate(named(&["other", "flag"]));
    polled(&relay).await;
    assert_eq!(relay.configuration_requests().len(), 4);
}

/// A server may announce changes at any rate: the fetches stay few, also while they fail, and the
/// last change is served within the longest gap.
#[tokio::test(start_paused = true)]
async fn stream_of_announcements_causes_few_fetches() {
    const SECONDS: usize = 30;
    for every in [millis(1), millis(10), millis(250)] {
        let (relay, goff) = client_of(1).await;
        let sink = goff.invalidation_sink();
        let announce_for = async |seconds: usize| {
            let before = relay.configuration_requests().len();
            let end = tokio::time::Instant::now() + secs(1) * u32::try_from(seconds).unwrap();
            while tokio::time::Instant::now() < end {
                sink.invalidate(named(&["flag"]));
                tokio::time::sleep(every).await;
            }
            relay.configuration_requests().len() - before
        };
        let fetches = announce_for(SECONDS).await;
        // The gaps are 100, 200 and 400 ms, then 800 ms; and "not modified" is doubted in series of
        // three fetches.
        assert!(fetches <= SECONDS * 5 / 4 + 12, "{fetches} each {every:?}");
        assert!(fetches >= SECONDS / 2, "{fetches} each {every:?}");
        update(&relay, 2);
        sink.invalidate(named(&["flag"]));
        tokio::time::sleep(millis(1_040)).await;
        assert_eq!(evaluate(&goff, 0_i64).await.value, 2);

        relay.set_configuration_failure(Some(unavailable()));
        let fetches = announce_for(SECONDS).await;
        // The pauses after failures are random: up to 100 ms, doubling to 2 s, then up to half of the
        // time since the first failure.
        assert!(fetches <= 35, "{fetches} failing each {every:?}");
    }
}

/// A change that was announced before an outage is fetched within half of the outage after it, and
/// within 2 s after a short one.
#[tokio::test(start_paused = true)]
async fn owed_change_is_fetched_soon_after_an_outage() {
    for (outage, limit) in [(1, 2), (10, 5), (40, 20)] {
        for _ in 0..20 {
            let (relay, goff) = client_of(1).await;
            update(&relay, 2);
            relay.set_configuration_failure(Some(unavailable()));
            goff.invalidation_sink().invalidate(named(&["flag"]));
            tokio::time::sleep(secs(outage)).await;
            relay.set_configuration_failure(None);
            tokio::time::sleep(secs(limit) + millis(100)).await;
            assert_eq!(evaluate(&goff, 0_i64).await.value, 2, "{outage} s");
        }
    }
}

/// The event comes with the change, not with the announcement.
#[tokio::test(start_paused = true)]
async fn announced_change_is_fetched_at_once() {
    let (relay, goff) = client_of(1).await;
    let mut events = goff.subscribe();
    let sink = goff.invalidation_sink();
    for (value, announcement) in [(2, named(&["flag"])), (3, Invalidation::All)] {
        // Changes that follow each other within a second wait longer.
        tokio::time::sleep(secs(1)).await;
        update(&relay, value);
        let begun = tokio::time::Instant::now();
        sink.invalidate(announcement);
        assert_eq!(next_event(&mut events).await, updated());
        assert!(begun.elapsed() < millis(50));
        assert_eq!(evaluate(&goff, 0_i64).await.value, value);
    }
}

/// A change announced during a fetch causes another fetch after it.
#[tokio::test(start_paused = true)]
async fn change_announced_during_a_fetch_is_not_lost() {
    let (relay, goff) = client_of(1).await;
    let sink = goff.invalidation_sink();
    relay.set_configuration_delay(Some(secs(1)));
    sink.invalidate(named(&["flag"]));
    relay.wait_for_configuration_requests(2).await;
    // The pending answer is the old one.
    update(&relay, 2);
    for _ in 0..3 {
        sink.invalidate(named(&["flag"]));
    }
    tokio::time::sleep(secs(3)).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
    assert_eq!(relay.configuration_requests().len(), 3);
}

/// There is one fetch at a time, so the answer that is served last is that of the request that began
/// last, however slow the ones before were.
#[tokio::test(start_paused = true)]
async fn slow_older_answer_never_replaces_a_newer_one() {
    let (relay, goff) = client_of(1).await;
    let sink = goff.invalidation_sink();
    for value in 2..12 {
        let requests = relay.configuration_requests().len();
        relay.set_configuration_delay(Some(secs(3)));
        sink.invalidate(named(&["flag"]));
        relay.wait_for_configuration_requests(requests + 1).await;
        // The next answer would be there long before this one.
        relay.set_configuration_delay(None);
        update(&relay, value);
        sink.invalidate(named(&["flag"]));
        for _ in 0..20 {
            tokio::time::sleep(millis(100)).await;
            assert_eq!(relay.configuration_requests().len(), requests + 1);
            assert_eq!(evaluate(&goff, 0_i64).await.value, value - 1);
        }
        relay.wait_for_configuration_requests(requests + 2).await;
        tokio::time::sleep(secs(2)).await;
        assert_eq!(evaluate(&goff, 0_i64).await.value, value);
    }
}

/// "Not modified" right after an announced change of a known flag comes from an instance that lags
/// behind: the fetch is repeated after 1, 5 and 15 s until a configuration arrives.
#[tokio::test(start_paused = true)]
async fn fetch_from_a_lagging_instance_is_repeated() {
    let relay = relay(1);
    // No poll comes between: the first one may come after half the interval.
    let options = options(&relay).flag_change_polling_interval(secs(3600));
    let goff = connect(options).await;
    let sink = goff.invalidation_sink();
    relay.set_always_not_modified(true);
    sink.invalidate(named(&["flag"]));
    relay.wait_for_configuration_requests(2).await;
    let mut last = tokio::time::Instant::now();
    for (count, after) in [(3, 1), (4, 5), (5, 15)] {
        // A second announcement starts no second schedule.
        relay.wait_for_configuration_requests(count).await;
        let pause = last.elapsed();
        assert!(
            pause >= secs(after) && pause <= secs(after) * 11 / 10 + millis(2),
            "{pause:?}"
        );
        last = tokio::time::Instant::now();
    }
    tokio::time::sleep(secs(60)).await;
    assert_eq!(relay.configuration_requests().len(), 5);

    sink.invalidate(named(&["flag"]));
    relay.wait_for_configuration_requests(6).await;
    relay.set_always_not_modified(false);
    update(&relay, 2);
    tokio::time::sleep(secs(2)).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
    let requests = relay.configuration_requests().len();
    tokio::time::sleep(secs(20)).await;
    // The 200 has ended the schedule.
    assert_eq!(relay.configuration_requests().len(), requests);
}

/// GOFF-EVT-005, GOFF-EVT-006, GOFF-IP-010, GOFF-ERR-005: failures keep the held flags; the third in
/// a row makes the client stale, and a 304 is a recovery.
#[tokio::test(start_paused = true)]
async fn failed_refreshes_keep_the_flags_and_end_in_stale() {
    let (relay, goff) = client_of(1).await;
    let mut events = goff.subscribe();
    relay.set_configuration_failure(Some(unavailable()));
    for round in 1..=5 {
        polled(&relay).await;
        assert_state(&goff, [State::Ready, State::Stale][usize::from(round >= 3)]);
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
    }
    assert_eq!(next_event(&mut events).await, ClientEvent::Stale);
    assert!(last_error(&goff).contains("503"));
    relay.set_configuration_failure(None);
    polled(&relay).await;
    assert_state(&goff, State::Ready);
    assert_eq!(next_event(&mut events).await, ClientEvent::Ready);
    assert_eq!(goff.stats().failed_refreshes, 5);
}

/// GOFF-IP-008, GOFF-IP-009: an invalid configuration, or one without flags, changes neither flags
/// nor ETag.
#[tokio::test(start_paused = true)]
async fn unusable_answers_are_failed_refreshes() {
    let (relay, goff) = client_of(1).await;
    for flags in [None, Some("{\"flag\":"), Some("[]")] {
        let etag = Etag::from_bytes(b"\"broken\"");
        let mut configuration = FlagConfiguration::default().with_etag(etag);
        configuration.flags = flags.map(Into::into);
        relay.set_configuration(configuration);
        let failed = goff.stats().failed_refreshes;
        polled(&relay).await;
        assert_eq!(goff.stats().failed_refreshes, failed + 1, "{flags:?}");
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
        polled(&relay).await;
        assert_eq!(held(&relay), Etag::from_bytes(b"\"1\""), "{flags:?}");
    }
}

/// GOFF-IP-009: a relay proxy without flags leaves the member out, so at the first load that is an
/// empty configuration.
#[tokio::test(start_paused = true)]
async fn configuration_without_flags_is_empty_at_first() {
    let relay = ScriptedRelay::new();
    relay.set_configuration(FlagConfiguration::default());
    let goff = goff(&relay).await;
    assert_state(&goff, State::Ready);
    let unknown = evaluate(&goff, 0_i64).await;
    assert_eq!(code(&unknown), Some(ErrorCode::FlagNotFound));
}

/// Mistakes of other providers: answers without an ETag, and a 304 to a request without one.
#[tokio::test(start_paused = true)]
async fn answer_without_an_etag_is_a_configuration() {
    let relay = ScriptedRelay::new();
    for value in 1..4 {
        relay.set_flags(&json!({"flag": giving(value)}), None);
        if value == 1 {
            let goff = goff(&relay).await;
            assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
        }
    }
    let goff = goff(&relay).await;
    update(&relay, 9);
    polled(&relay).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 9);
    relay.set_flags(&json!({"flag": giving(10)}), None);
    polled(&relay).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 10);
    polled(&relay).await;
    assert_eq!(held(&relay), None);
}

/// A new key means a new client, which holds nothing of the old one.
#[tokio::test(start_paused = true)]
async fn new_client_sends_no_old_etag() {
    let relay = relay(1);
    let first = goff(&relay).await;
    polled(&relay).await;
    first.shutdown(TIMEOUT).await;
    first.initialize().await.unwrap();
    let second = goff(&relay).await;
    let requests = relay.configuration_requests();
    let held = requests.iter().map(|request| request.held.is_some());
    assert_eq!(held.collect::<Vec<_>>(), [false, true, false, false]);
    drop(second);
}

/// GOFF-REM-005: a failed fetch of an announced change is repeated with the backoff, not at the next
/// poll.
#[tokio::test(start_paused = true)]
async fn failed_fetch_of_an_announced_change_is_repeated() {
    let relay = relay(1);
    let options = options(&relay).flag_change_polling_interval(secs(3600));
    let goff = connect(options).await;
    relay.set_configuration_failure(Some(unavailable()));
    update(&relay, 2);
    goff.invalidation_sink().invalidate(named(&["flag"]));
    relay.wait_for_configuration_requests(3).await;
    relay.set_configuration_failure(None);
    tokio::time::sleep(secs(60)).await;
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
}

/// GOFF-IP-010: a panic in the relay client does not stop polling.
#[tokio::test(start_paused = true)]
async fn panic_of_the_relay_client_does_not_stop_polling() {
    let goff = connect(options_of(Panicking(relay(1)))).await;
    assert_state(&goff, State::Error);
    assert!(goff.wait_until_ready(INTERVAL).await);
    assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
}

/// Panics at the first configuration request.
#[derive(Debug)]
struct Panicking(ScriptedRelay);

#[async_trait::async_trait]
impl RelayClient for Panicking {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn goff_client::ContextView,
    ) -> Result<goff_client::Resolution, RelayError> {
        self.0.evaluate(flag_key, context).await
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<goff_core::ConfigurationUpdate, RelayError> {
        let update = self.0.flag_configuration(flags, held).await;
        assert!(self.0.configuration_requests().len() > 1, "on purpose");
        update
    }
}

fn refreshed(added: &[&str], updated: &[&str], removed: &[&str]) -> Refreshed {
    match changed(added, updated, removed, false) {
        ClientEvent::ConfigurationChanged(changed) => Refreshed::Changed(changed),
        _ => unreachable!("it is a change"),
    }
}

#[tokio::test(start_paused = true)]
async fn refresh_fetches_now_and_says_what_changed() {
    let (relay, goff) = client_of(1).await;
    let mut events = goff.subscribe();
    let begun = tokio::time::Instant::now();
    let requests = || relay.configuration_requests().len();
    assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_eq!((requests(), held(&relay)), (2, Etag::from_bytes(b"\"1\"")));
    // Another ETag with the same content.
    relay.set_flags(&json!({"flag": giving(1)}), Some("\"2\""));
    assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
    relay.set_flags(&json!({"flag": giving(2), "new": giving(1)}), Some("\"3\""));
    let both = refreshed(&["new"], &["flag"], &[]);
    assert_eq!(goff.refresh().await.unwrap(), both);
    assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
    let event = changed(&["new"], &["flag"], &[], false);
    assert_eq!(next_event(&mut events).await, event);
    relay.set_flags(&json!({"new": giving(1)}), Some("\"4\""));
    assert_eq!(
        goff.refresh().await.unwrap(),
        refreshed(&[], &[], &["flag"])
    );
    // No poll was waited for, nor the pause in which a replaced configuration is freed.
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());

    // Calls during a refresh share the one that begins after them.
    relay.set_configuration_delay(Some(secs(1)));
    let (first, second, third) = tokio::join!(
        goff.refresh(),
        async {
            tokio::time::sleep(millis(500)).await;
            relay.set_flags(&json!({"flag": giving(3)}), Some("\"5\""));
            goff.refresh().await
        },
        async {
            tokio::time::sleep(millis(600)).await;
            goff.refresh().await
        },
    );
    assert_eq!(requests(), 7);
    let last = refreshed(&["flag"], &[], &["new"]);
    assert_eq!(second.unwrap(), last);
    assert_eq!(third.unwrap(), last);
    assert!(first.is_ok());
}

/// A failure leaves the flags, and is told to the caller; three are stale.
#[tokio::test(start_paused = true)]
async fn failed_refresh_is_an_error_and_changes_no_flag() {
    let (relay, goff) = client_of(1).await;
    relay.set_configuration_failure(Some(unavailable()));
    for state in [State::Ready, State::Ready, State::Stale] {
        let error = goff.refresh().await.unwrap_err();
        assert!(matches!(&error, RefreshError::Failed(_)), "{error:?}");
        assert!(
            error.to_string().starts_with("flags not loaded: "),
            "{error}"
        );
        assert!(error.to_string().contains("503"), "{error}");
        tokio::time::sleep(millis(10)).await;
        assert_state(&goff, state);
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
    }
    relay.set_configuration_failure(None);
    assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
    assert_state(&goff, State::Ready);
}

/// Before any flags are loaded it is another attempt, at once; afterwards all flags are new.
#[tokio::test(start_paused = true)]
async fn refresh_ends_the_pause_of_a_failed_start() {
    let relay = relay(1);
    relay.set_configuration_failure(Some(unavailable()));
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    let error = goff.refresh().await.unwrap_err().to_string();
    assert!(error.contains("call `initialize`"), "{error}");
    goff.initialize().await.unwrap();
    for _ in 0..8 {
        goff.refresh().await.unwrap_err();
    }
    assert_state(&goff, State::Error);
    relay.set_configuration_failure(None);
    let begun = tokio::time::Instant::now();
    assert_eq!(
        goff.refresh().await.unwrap(),
        refreshed(&["flag"], &[], &[])
    );
    assert!(begun.elapsed() < millis(100), "{:?}", begun.elapsed());
    assert_state(&goff, State::Ready);
}

/// The option `timeout` bounds it, and it goes on; a shutdown ends it.
#[tokio::test(start_paused = true)]
async fn refresh_ends_in_time() {
    let relay = relay(1);
    let goff = goff(&relay).await;
    relay.set_configuration_delay(Some(secs(9)));
    let running = async {
        let _ = goff.refresh().await;
    };
    let late = async {
        tokio::time::sleep(secs(1)).await;
        let begun = tokio::time::Instant::now();
        let error = goff.refresh().await.unwrap_err().to_string();
        assert!(error.contains("not refreshed within 10 s"), "{error}");
        assert!(begun.elapsed() <= millis(10_100), "{:?}", begun.elapsed());
    };
    tokio::join!(running, late);
    let ended = async {
        let error = goff.refresh().await.unwrap_err();
        assert!(error.to_string().contains("was shut down"), "{error}");
    };
    let ending = async {
        tokio::time::sleep(secs(1)).await;
        goff.shutdown(secs(1)).await;
    };
    let begun = tokio::time::Instant::now();
    tokio::join!(ended, ending);
    assert!(begun.elapsed() <= secs(3), "{:?}", begun.elapsed());
}

/// After the relay proxy refused the key nothing fetches.
#[tokio::test(start_paused = true)]
async fn refresh_after_a_refused_key_says_so() {
    let relay = relay(1);
    relay.set_configuration_failure(Some(status(401)));
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    goff.initialize().await.unwrap_err();
    let error = goff.refresh().await.unwrap_err();
    assert!(matches!(&error, RefreshError::NotReady(_)), "{error:?}");
    assert!(error.to_string().contains("`api_key`"), "{error}");
}
