//! Waiting, with a deadline, for what a client learns from its change stream.

use std::time::Duration;

use goff_provider::{ChangedFlags, ClientEvent, GoFeatureFlag, StreamState, Subscription};
use tokio::time::{Instant, sleep, timeout};

/// Returns once the client's change stream is open and has been opened again `reconnects` times or more.
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

/// Returns once the client's change stream is down.
pub(crate) async fn stream_breaks(goff: &GoFeatureFlag) {
    let give_up = Instant::now() + PATIENCE;
    while goff.stats().stream == StreamState::Open {
        assert!(Instant::now() < give_up, "the stream is still open");
        sleep(PAUSE).await;
    }
}

/// Returns once a change of this flag was announced. Others may be announced before: relay proxies announce
/// changes that never were.
pub(crate) async fn change_of(flag: &str, subscription: &mut Subscription) {
    let announced = async {
        while let Some(event) = subscription.next().await {
            if let ClientEvent::ConfigurationChanged(ChangedFlags::Named(flags)) = event
                && flags.contains(flag)
            {
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

/// Long enough for a machine that is compiling beside the tests.
const PATIENCE: Duration = Duration::from_secs(20);
/// The state of a stream cannot be waited on, only asked for.
const PAUSE: Duration = Duration::from_millis(10);
