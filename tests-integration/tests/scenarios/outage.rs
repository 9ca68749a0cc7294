//! The relay proxy goes away and comes back.

use std::time::{Duration, Instant};

use goff_provider::GoFeatureFlagOptions;
use goff_tests_integration::{Address, Instance, RelayProxy, relay_source};

use crate::surfaces::{Asked, User, remote_surfaces};

#[tokio::test]
async fn an_evaluation_fails_at_once_while_it_is_down_and_works_again_after() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let Address::Tcp(port) = *relay.address() else {
        panic!("an open relay proxy has a port")
    };
    // A cache would hide the outage, which is its purpose.
    let uncached = |options: GoFeatureFlagOptions| options.disable_cache(true);
    let surfaces = remote_surfaces(relay.endpoint(), uncached).await;
    for surface in &surfaces {
        let seen = surface
            .ask("static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(
            (seen.outcome(), seen.value.as_str()),
            ("ok", Some("a")),
            "{}",
            surface.name
        );
    }

    // The pooled connections die, and are not noticed until they are used.
    drop(relay);
    let restarted = RelayProxy::start_at(port, Instance::Open, &source).unwrap();
    for surface in &surfaces {
        let seen = surface
            .ask("static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    }

    drop(restarted);
    for surface in &surfaces {
        let start = Instant::now();
        let seen = surface
            .ask("static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(
            (seen.outcome(), seen.value.as_str()),
            ("GENERAL", Some("default")),
            "{}",
            surface.name
        );
        assert!(start.elapsed() < Duration::from_secs(5), "{}", surface.name);
    }

    let _back = RelayProxy::start_at(port, Instance::Open, &source).unwrap();
    for surface in &surfaces {
        let seen = surface
            .ask("static_key", Asked::Text("default"), &User::john())
            .await;
        assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    }
}
