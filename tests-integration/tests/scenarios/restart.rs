//! Scenario 11: a relay proxy that was restarted may have announced changes to nobody.

use std::time::Duration;

use goff_tests_integration::{Address, Instance, RelayProxy, relay_source};

use crate::following::{stream_breaks, stream_opens};
use crate::surfaces::{Asked, User, remote_surfaces};

#[tokio::test]
async fn everything_misses_after_reconnecting() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let Address::Tcp(port) = *relay.address() else {
        panic!("an open relay proxy has a port")
    };
    let surfaces = remote_surfaces(relay.endpoint(), |options| {
        options.reconnect_interval(Duration::from_millis(500))
    })
    .await;
    let john = User::john();
    let flags = [("static_key", "STATIC"), ("default_key", "DEFAULT")];
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        for (flag, _) in flags {
            surface.ask(flag, Asked::Text("default"), &john).await;
        }
    }

    drop(relay);
    for surface in &surfaces {
        stream_breaks(&surface.goff).await;
        for (flag, _) in flags {
            let seen = surface.ask(flag, Asked::Text("default"), &john).await;
            assert_eq!(
                (seen.value.as_str(), seen.reason.as_str()),
                (Some("a"), "CACHED"),
                "{}: what is cached is served while it is down",
                surface.name
            );
        }
    }

    let _restarted = RelayProxy::start_at(port, Instance::Open, &source).unwrap();
    for surface in &surfaces {
        stream_opens(&surface.goff, 1).await;
        for (flag, reason) in flags {
            for reason in [reason, "CACHED"] {
                let seen = surface.ask(flag, Asked::Text("default"), &john).await;
                assert_eq!(
                    (seen.value.as_str(), seen.reason.as_str()),
                    (Some("a"), reason),
                    "{}: {}",
                    surface.name,
                    seen.message
                );
            }
        }
        // Counters go on through all lives of a client.
        let reconnects = surface.goff.stats().reconnects;
        surface.goff.shutdown(Duration::from_secs(5)).await;
        let stats = surface.goff.stats();
        assert!(stats.reconnects >= reconnects, "{stats:?}");
        surface.goff.initialize().await.unwrap();
        stream_opens(&surface.goff, reconnects).await;
    }
}
