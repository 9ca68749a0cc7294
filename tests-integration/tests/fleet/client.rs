//! One client of the fleet.

use std::sync::Arc;
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{
    ClientEvent, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, Subscription,
};
use tokio::sync::watch;
use tokio::time::{Instant, interval_at};

use crate::changes::{Changes, Kind};
use crate::load::{FLAG, PERIOD};

/// Connects a client, evaluates whenever flags changed and once a second, and shuts the client down at the end. Returns the
/// number of delivered events.
pub(crate) async fn run(
    endpoint: String,
    kind: Kind,
    number: usize,
    changes: Arc<Changes>,
    mut end: watch::Receiver<bool>,
) -> u64 {
    let options = GoFeatureFlagOptions::new(endpoint)
        .evaluation_type(match kind {
            Kind::InProcess => EvaluationType::InProcess,
            Kind::Remote => EvaluationType::Remote,
        })
        .flag_change_polling_interval(PERIOD)
        .cache_ttl(PERIOD)
        .data_flush_interval(PERIOD);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut events = goff.subscribe();
    let user = format!("{kind:?}-{number}");
    let context = EvaluationContext::builder().targeting_key(user).build();
    // The clients evaluate at different times.
    let phase = Duration::from_millis(number as u64 * 37 % 1_000);
    let mut regularly = interval_at(Instant::now() + phase, Duration::from_secs(1));
    let mut value = 0;
    loop {
        let details = goff.evaluate(FLAG, &context, -1_i64).await;
        match details.error() {
            Some(_) => changes.failed(),
            None => value = changes.evaluated(kind, details.value, value),
        }
        tokio::select! {
            () = changed(&mut events) => {
                // A remote client hears of a change when its message comes, the others when they have fetched it.
                if kind == Kind::Remote {
                    changes.announced();
                }
            }
            _ = regularly.tick() => {}
            _ = end.changed() => break,
        }
    }
    goff.shutdown(Duration::from_secs(10)).await.delivered
}

async fn changed(events: &mut Subscription) {
    while let Some(event) = events.next().await {
        if let ClientEvent::ConfigurationChanged(_) = event {
            return;
        }
    }
}
