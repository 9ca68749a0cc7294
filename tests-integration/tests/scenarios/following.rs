//! Waits, with a limit, for the events of a client's change stream.

use std::time::Duration;

use goff_provider::{ChangedFlags, ClientEvent, GoFeatureFlag, StreamState, Subscription};
use tokio::time::{Instant, sleep, timeout};

use crate::surfaces::Surface;

/// Waits until the client's change stream is open and has reconnected at least `reconnects` times.
pub(crate) async fn stream_opens(goff: &GoFeatureFlag, reconnects: u64) {
    let is_open = || {
        let stats = goff.stats();
        stats.stream == StreamState::Open && stats.reconnects >= reconnects
    };
    let give_up = Instant::now() + PATIENCE;
    while !is_open() {
        let (stats, status) = (goff.stats(), goff.status());
        assert!(Instant::now() < give_up, "{stats:?}, {status:?}");
        sleep(PAUSE).await;
    }
}

/// Waits until the client's change stream is down.
pub(crate) async fn stream_breaks(goff: &GoFeatureFlag) {
    let give_up = Instant::now() + PATIENCE;
    while goff.stats().stream == StreamState::Open {
        assert!(Instant::now() < give_up, "the stream is still open");
        sleep(PAUSE).await;
    }
}

/// The flag of that name in the flag file.
pub(crate) const STATIC_KEY: &str = "static_key:
  variations:
    A: a
    B: b
  defaultRule:
    variation: A
  version: 1.2.3
";

/// The same flag with the value `b` for every user.
pub(crate) fn static_key_with_b() -> String {
    STATIC_KEY.replace("variation: A", "variation: B")
}

/// Waits until a change of this flag is announced; from then on no earlier value is served. Other changes may come
/// first: relay proxies announce changes that did not happen.
pub(crate) async fn change_of(flag: &str, subscription: &mut Subscription) {
    let announced = async {
        while let Some(event) = subscription.next().await {
            let ClientEvent::ConfigurationChanged(changed) = event else {
                continue;
            };
            let names_it = match changed {
                ChangedFlags::Named(flags) => flags.contains(flag),
                ChangedFlags::Compared {
                    added,
                    updated,
                    removed,
                    ..
                } => {
                    let mut sets = [added, updated, removed].into_iter();
                    sets.any(|flags| flags.contains(flag))
                }
                _ => false,
            };
            if names_it {
                return true;
            }
        }
        false
    };
    let announced = timeout(PATIENCE, announced).await;
    assert_eq!(announced, Ok(true), "no change of `{flag}` was announced");
}

/// The next event that is `wanted`.
pub(crate) async fn event(
    subscription: &mut Subscription,
    wanted: impl Fn(&ClientEvent) -> bool,
) -> ClientEvent {
    let event = async {
        loop {
            let event = subscription.next().await.unwrap();
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(PATIENCE, event).await.expect("no such event")
}

/// Subscribes to the events of each client.
pub(crate) fn subscribe(surfaces: &[Surface]) -> Vec<Subscription> {
    surfaces
        .iter()
        .map(|surface| surface.goff.subscribe())
        .collect()
}

/// Enough for a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(20);
/// The state of a stream can only be polled.
const PAUSE: Duration = Duration::from_millis(10);
