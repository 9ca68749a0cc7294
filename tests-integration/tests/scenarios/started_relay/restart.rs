//! Scenario 11: changes during a restart of the relay proxy are never announced.

use std::time::Duration;

use goff_tests_integration::{Instance, RelayProxy, own_relay};

use crate::following::{stream_breaks, stream_opens};
use crate::surfaces::{User, remote_surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn every_flag_misses_after_a_reconnect() {
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    let surfaces = remote_surfaces(relay.endpoint(), |options| {
        options.reconnect_interval(Duration::from_millis(500))
    })
    .await;
    let john = User::john();
    let flags = [("static_key", "STATIC"), ("default_key", "DEFAULT")];
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        for (flag, _) in flags {
            surface.evaluate(flag, "default", &john).await;
        }
    }

    drop(relay);
    for surface in &surfaces {
        stream_breaks(&surface.goff).await;
        for (flag, _) in flags {
            // During the outage the cache serves.
            surface.expect_reason(flag, &john, "a", "CACHED").await;
        }
    }

    let _restarted = RelayProxy::start_at(port, Instance::Open).unwrap();
    for surface in &surfaces {
        stream_opens(&surface.goff, 1).await;
        for (flag, reason) in flags {
            for reason in [reason, "CACHED"] {
                surface.expect_reason(flag, &john, "a", reason).await;
            }
        }
        // Counters continue across the sessions of a client.
        let reconnects = surface.goff.stats().reconnects;
        surface.goff.shutdown(Duration::from_secs(5)).await;
        let stats = surface.goff.stats();
        assert!(stats.reconnects >= reconnects, "{stats:?}");
        surface.goff.initialize().await.unwrap();
        stream_opens(&surface.goff, reconnects).await;
    }
}
