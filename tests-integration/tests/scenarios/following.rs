//! Waits, with a limit, for the events of a client's change stream.

use std::time::Duration;

use goff_provider::{ChangedFlags, ClientEvent, GoFeatureFlag, StreamState, Subscription};
use tokio::time::{Instant, sleep, timeout};

/// Waits until the client's change stream is open and has reconnected at least `reconnects` times.
pub(crate) async fn stream_opens(goff: &GoFeatureFlag, reconnects: u64) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let stats = goff.stats();
        if stats.stream == StreamState::Open && stats.reconnects >= reconnects {
            return;
        }
        assert!(
            Instant::now() < give_up,
            "no open stream: {stats:?}, {:?}",
            goff.status()
        );
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
                } => [added, updated, removed]
                    .iter()
                    .any(|flags| flags.contains(flag)),
                _ => false,
            };
            if names_it {
                return true;
            }
        }
        false
    };
    assert_eq!(
        timeout(PATIENCE, announced).await,
        Ok(true),
        "no change of `{flag}` was announced"
    );
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

/// Enough for a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(20);
/// The state of a stream can only be polled.
const PAUSE: Duration = Duration::from_millis(10);
