//! Changes and usage data over the path between a client and its relay proxy.

use std::time::Duration;

use goff_tests_integration::{CollectedKind, RelayProxy};

use crate::following::{change_of, stream_opens};
use crate::surfaces::Surface;

/// Checks that usage data arrives, then removes a flag that is an alias of `*keyed`, and checks that the change does.
pub(crate) async fn changes_and_usage_data_arrive(
    relay: &RelayProxy,
    surfaces: &[Surface],
    flag: &str,
) {
    let mut subscriptions = Vec::new();
    for surface in surfaces {
        stream_opens(&surface.goff, 0).await;
        let user = surface.user("changes and usage");
        for reason in ["STATIC", surface.again("STATIC")] {
            surface.expect_reason(flag, &user, "found", reason).await;
        }
        let report = surface.goff.flush(Duration::from_secs(10)).await;
        let own = if surface.is_in_process() { 2 } else { 1 };
        assert_eq!(report.delivered, own, "{surface}: {report:?}");
        let events = relay.recorded_events(CollectedKind::Feature);
        let events = events.of_user(user.key(), 2).await;
        assert_eq!(events.len(), 2, "{surface}: {events:?}");
        subscriptions.push(surface.goff.subscribe());
    }
    relay
        .edit_flags(&format!("\n\"{flag}\": *keyed\n"), "\n")
        .unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        change_of(flag, subscription).await;
        let user = surface.user("changes and usage");
        surface.fails(flag, &user, "FLAG_NOT_FOUND").await;
    }
}
