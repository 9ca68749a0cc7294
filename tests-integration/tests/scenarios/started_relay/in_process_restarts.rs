//! Repeated restarts of a relay proxy while clients evaluate in process.
//!
//! `cargo xtask soak restarts [--minutes N]` is the long form; `GOFF_RESTARTS` is their number, by default 20.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use goff_provider::State;
use goff_tests_integration::{Instance, RelayProxy, number_from_environment, own_relay};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep};

use crate::following::stream_opens;
use crate::surfaces::{Surface, Typed, in_process_surfaces};

/// Each restart brings another value. A client may lag behind, but it never goes back, and after the first load it
/// always has a value.
/// GOFF-EVT-006, GOFF-IP-010.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn every_evaluation_has_a_value_and_none_goes_back() {
    let restarts = number_from_environment("GOFF_RESTARTS").unwrap_or(20);
    let restarts = i64::try_from(restarts).unwrap();
    // The first relay proxy only finds a port.
    let port = own_relay(Instance::Open).port();
    let mut relay = start(port, 0);
    let surfaces: Vec<_> = in_process_surfaces(relay.endpoint(), |options| {
        options
            .reconnect_interval(Duration::from_millis(200))
            .data_flush_interval(Duration::from_secs(1))
    })
    .await
    .into_iter()
    .map(Arc::new)
    .collect();

    let written = Arc::new(AtomicI64::new(0));
    let end = Arc::new(AtomicBool::new(false));
    let mut evaluating = JoinSet::new();
    let mut served = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        let latest = Arc::new(AtomicI64::new(0));
        served.push(Arc::clone(&latest));
        let (surface, written, end) = (Arc::clone(surface), Arc::clone(&written), Arc::clone(&end));
        evaluating.spawn(async move {
            let evaluations = evaluate(&surface, &written, &latest, &end).await;
            (surface.name.clone(), evaluations)
        });
    }
    for restart in 1..=restarts {
        written.store(restart, Ordering::SeqCst);
        relay = spawn_blocking(move || {
            if restart % 2 == 0 {
                relay.signal("KILL").unwrap();
            }
            drop(relay);
            start(port, restart)
        })
        .await
        .unwrap();
        let give_up = Instant::now() + PATIENCE;
        for (surface, served) in surfaces.iter().zip(&served) {
            while served.load(Ordering::SeqCst) != restart {
                let (status, stats) = (surface.goff.status(), surface.goff.stats());
                let place = format!("restart {restart}, {surface}: {status:?}, {stats:?}");
                assert!(Instant::now() < give_up, "{place}");
                assert!(!evaluating.is_empty());
                sleep(Duration::from_millis(5)).await;
            }
            assert_eq!(surface.goff.status().state, State::Ready);
        }
    }
    end.store(true, Ordering::SeqCst);
    let mut evaluations = BTreeMap::new();
    while let Some(evaluated) = evaluating.join_next().await {
        let (surface, count) = evaluated.unwrap();
        evaluations.insert(surface, count);
    }
    for surface in &surfaces {
        let report = surface.goff.shutdown(Duration::from_secs(10)).await;
        let evaluations = evaluations[&surface.name];
        assert!(evaluations > restarts.unsigned_abs(), "{evaluations}");
        assert_eq!(report.recorded, evaluations, "{report:?}");
        let counted = report.delivered + report.dropped + report.rejected + report.pending;
        assert_eq!(report.recorded, counted, "{report:?}");
        let stats = surface.goff.stats();
        println!("{restarts} restarts, {surface}: {stats:?}");
        assert!(stats.refreshes > restarts.unsigned_abs(), "{stats:?}");
        assert_eq!(stats.fallbacks, 0, "{stats:?}");
    }
}

/// Returns the number of evaluations.
async fn evaluate(
    surface: &Surface,
    written: &AtomicI64,
    served: &AtomicI64,
    end: &AtomicBool,
) -> u64 {
    let user = surface.user("restarts");
    let mut evaluations = 0;
    while !end.load(Ordering::SeqCst) {
        let seen = surface.evaluate(FLAG, Typed::Int(-1), &user).await;
        let place = format!("{surface}: {seen:?}");
        assert_eq!(seen.outcome(), "ok", "{place}");
        let value = seen.value.as_i64().unwrap();
        let allowed = served.load(Ordering::SeqCst)..=written.load(Ordering::SeqCst);
        assert!(allowed.contains(&value), "{allowed:?}, {place}");
        served.store(value, Ordering::SeqCst);
        evaluations += 1;
        sleep(Duration::from_millis(1)).await;
    }
    evaluations
}

fn start(port: SocketAddr, value: i64) -> RelayProxy {
    let flags = format!(
        "{FLAG}:\n  variations:\n    restart: {value}\n  defaultRule:\n    variation: restart\n"
    );
    // A closing connection may hold the port for a moment.
    let give_up = Instant::now() + PATIENCE;
    loop {
        match RelayProxy::start_at_with_flags(port, Instance::Open, &flags) {
            Ok(relay) => return relay,
            Err(error) => assert!(Instant::now() < give_up, "{error}"),
        }
    }
}

const FLAG: &str = "restarts";

/// Enough for a machine that also compiles.
const PATIENCE: Duration = Duration::from_secs(20);
