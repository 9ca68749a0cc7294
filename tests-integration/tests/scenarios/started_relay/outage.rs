//! An outage of the relay proxy.

use std::time::{Duration, Instant};

use goff_tests_integration::{Instance, RelayProxy, own_relay};

use crate::surfaces::{Options, User, remote_surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn evaluations_fail_at_once_during_an_outage_and_work_after_it() {
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    // A cache would hide the outage.
    let uncached = |options: Options| options.disable_cache(true);
    let surfaces = remote_surfaces(relay.endpoint(), uncached).await;
    let john = User::john();
    for surface in &surfaces {
        surface.serves("static_key", &john, "a").await;
    }

    // The pooled connections break, which only their next use shows.
    drop(relay);
    let restarted = RelayProxy::start_at(port, Instance::Open).unwrap();
    for surface in &surfaces {
        surface.serves("static_key", &john, "a").await;
    }

    drop(restarted);
    for surface in &surfaces {
        let start = Instant::now();
        surface.fails("static_key", &john, "GENERAL").await;
        assert!(start.elapsed() < Duration::from_secs(5), "{surface}");
    }

    let _restarted = RelayProxy::start_at(port, Instance::Open).unwrap();
    for surface in &surfaces {
        surface.serves("static_key", &john, "a").await;
    }
}
