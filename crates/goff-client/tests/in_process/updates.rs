//! Many updates without a subscriber.
//!
//! `cargo xtask soak updates` is the long form; `GOFF_UPDATES` sets their number, 300 by default.

use std::collections::BTreeSet;

use goff_client::{ChangedFlags, Invalidation};

use crate::*;

/// GOFF-EVT-001, GOFF-EVT-002: updates do not depend on subscribers, or on their reading. A later
/// subscriber gets the events from then on.
#[tokio::test(start_paused = true)]
async fn updates_need_no_subscriber() {
    let updates = std::env::var("GOFF_UPDATES").map_or(300, |number| number.parse().unwrap());
    for has_idle_subscriber in [false, true] {
        let relay = relay(0);
        let goff = goff(&relay).await;
        let sink = goff.invalidation_sink();
        let _idle = has_idle_subscriber.then(|| goff.subscribe());
        let names = BTreeSet::from(["flag".to_owned()]);
        let update = async |number: i64| {
            let etag = format!("\"update {number}\"");
            relay.set_flags(&json!({"flag": giving(number)}), Some(&etag));
            sink.invalidate(Invalidation::Flags(names.clone()));
            let deadline = tokio::time::Instant::now() + DEADLINE;
            while evaluate(&goff, -1_i64).await.value != number {
                assert!(tokio::time::Instant::now() < deadline, "{number}");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        for number in 1..=updates {
            update(number).await;
        }
        let stats = goff.stats();
        assert_eq!(
            (stats.refreshes, stats.failed_refreshes),
            (updates.unsigned_abs() + 1, 0)
        );
        assert_state(&goff, State::Ready);

        let mut events = goff.subscribe();
        update(updates + 1).await;
        let expected = ChangedFlags::Compared {
            added: BTreeSet::new(),
            updated: names.clone(),
            removed: BTreeSet::new(),
            enrichment: false,
        };
        assert_eq!(
            next_event(&mut events).await,
            ClientEvent::ConfigurationChanged(expected)
        );
    }
}
