//! Many updates without a subscriber.
//!
//! `cargo xtask soak updates` is the long form; `GOFF_UPDATES` sets their number, 300 by default.

use crate::*;

/// GOFF-EVT-001, GOFF-EVT-002: updates do not depend on subscribers, or on their reading. A later
/// subscriber gets the events from then on.
#[tokio::test(start_paused = true)]
async fn updates_need_no_subscriber() {
    let updates = std::env::var("GOFF_UPDATES").map_or(300, |number| number.parse().unwrap());
    for has_idle_subscriber in [false, true] {
        let (relay, goff) = client_of(0).await;
        let sink = goff.invalidation_sink();
        let _idle = has_idle_subscriber.then(|| goff.subscribe());
        let update = async |number: i64| {
            let etag = format!("\"update {number}\"");
            relay.set_flags(&json!({"flag": giving(number)}), Some(&etag));
            sink.invalidate(named(&["flag"]));
            let deadline = tokio::time::Instant::now() + TIMEOUT;
            while evaluate(&goff, -1_i64).await.value != number {
                assert!(tokio::time::Instant::now() < deadline, "{number}");
                tokio::time::sleep(millis(1)).await;
            }
        };
        for number in 1..=updates {
            update(number).await;
        }
        let stats = goff.stats();
        let expected = (updates.unsigned_abs() + 1, 0);
        assert_eq!((stats.refreshes, stats.failed_refreshes), expected);
        assert_state(&goff, State::Ready);

        let mut events = goff.subscribe();
        update(updates + 1).await;
        assert_eq!(next_event(&mut events).await, updated());
    }
}
