//! The test, which starts and controls its relay proxies.

use std::sync::Arc;
use std::time::Duration;

use goff_testkit::RoundRobinBalancer;
use goff_tests_integration::{Instance, RelayProxy, number_from_environment, own_relay};
use tokio::sync::watch;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, sleep_until};

use crate::changes::{Changes, Kind};
use crate::load::{FLAG, Meter, PERIOD, flags};

/// How late one of three relay proxies has each change.
const LAG: Duration = Duration::from_secs(5);
/// Bounds the time for what has no bound to show.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_fleet_follows_changes_in_time_without_crowding_its_relay_proxies() {
    let number = |name, or| number_from_environment(name).unwrap_or(or);
    let clients = usize::try_from(number("GOFF_FLEET_CLIENTS", 50)).unwrap();
    let duration = Duration::from_secs(number("GOFF_FLEET_SECONDS", 10));
    println!(
        "{clients} clients in process and {clients} remote ones, with the relay proxies on {} processors",
        std::thread::available_parallelism().map_or(0, usize::from)
    );
    one_relay_proxy(clients, duration).await;
    three_relay_proxies(clients, duration).await;
}

async fn one_relay_proxy(clients: usize, duration: Duration) {
    // The first relay proxy only finds a port.
    let port = own_relay(Instance::Open).port();
    let start = move |value| RelayProxy::start_at_with_flags(port, Instance::Open, &flags(value));
    let relays = [start(0).unwrap()];
    let balancer = RoundRobinBalancer::start([port]).await.unwrap();
    let fleet = Fleet::start(clients, &balancer).await;
    let changes = &fleet.changes;

    let meter = Meter::start(&balancer, &relays);
    sleep(duration / 4).await;
    println!("one relay proxy, no change: {}", meter.stop());

    let meter = Meter::start(&balancer, &relays);
    let first = changes.last() + 1;
    change_for(duration, changes, async |value| {
        relays[0].set_flags(&flags(value)).unwrap();
    })
    .await;
    fleet.wait_until_all_have_the_last().await;
    let steady = meter.stop();
    let range = first..changes.last() + 1;
    let in_process = changes.times(Kind::InProcess, range.clone());
    let remote = changes.times(Kind::Remote, range);
    println!("one relay proxy, a change each second: {steady}");
    println!("  in process: {in_process}\n  remote: {remote}");

    let meter = Meter::start(&balancer, &[]);
    let value = changes.write();
    let [relay] = relays;
    let restarted = spawn_blocking(move || {
        drop(relay);
        let give_up = std::time::Instant::now() + PATIENCE;
        loop {
            match start(value) {
                Ok(relay) => return relay,
                // A closing connection may hold the port for a moment.
                Err(error) => assert!(std::time::Instant::now() < give_up, "{error}"),
            }
        }
    });
    let relay = restarted.await.unwrap();
    changes.measure_from_now();
    fleet.wait_until_all_have_the_last().await;
    let restart = meter.stop();
    let last = changes.last()..changes.last() + 1;
    let back_in_process = changes.times(Kind::InProcess, last.clone());
    let back_remote = changes.times(Kind::Remote, last);
    let (wrong, went_back, errors) = changes.take_faults();
    println!(
        "its restart: {restart}\n  in process: {back_in_process}\n  remote: {back_remote}; {errors} evaluations failed"
    );
    let delivered = fleet.end().await;
    println!("{delivered} events delivered, {went_back} older values after newer ones");
    drop(relay);

    assert_eq!(wrong, Vec::<String>::new());
    assert_eq!(went_back, 0, "older values after newer ones");
    for times in [&in_process, &remote] {
        assert!(times.half().0 <= Duration::from_millis(250), "{times}");
        assert!(times.all().1 <= Duration::from_secs(2), "{times}");
    }
    for times in [&back_in_process, &back_remote] {
        assert!(times.all().1 <= Duration::from_secs(5), "{times}");
    }
    for load in [&steady, &restart] {
        assert!(
            load.peak as f64 <= 3.0 * steady.mean,
            "{load}: {:#?}",
            load.seconds
        );
    }
}

async fn three_relay_proxies(clients: usize, duration: Duration) {
    let relays = Arc::new([(); 3].map(|()| own_relay(Instance::Open)));
    for relay in &*relays {
        relay.set_flags(&flags(0)).unwrap();
    }
    // A process reads them within a second.
    sleep(Duration::from_millis(1_500)).await;
    let ports = relays.each_ref().map(RelayProxy::port);
    let balancer = RoundRobinBalancer::start(ports).await.unwrap();
    let fleet = Fleet::start(clients, &balancer).await;
    let changes = &fleet.changes;

    let meter = Meter::start(&balancer, &relays[..]);
    let begun = Instant::now();
    let mut lagging = JoinSet::new();
    let first = changes.last() + 1;
    change_for(duration, changes, async |value| {
        relays[0].set_flags(&flags(value)).unwrap();
        relays[1].set_flags(&flags(value)).unwrap();
        let relays = Arc::clone(&relays);
        lagging.spawn(async move {
            sleep(LAG).await;
            relays[2].set_flags(&flags(value)).unwrap();
        });
    })
    .await;
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    let (wrong, went_back, errors) = changes.take_faults();
    let load = meter.stop();
    lagging.join_all().await;
    fleet.wait_until_all_have_the_last().await;
    let range = first..changes.last() + 1;
    let in_process = changes.times(Kind::InProcess, range.clone());
    let remote = changes.times(Kind::Remote, range);
    println!(
        "three relay proxies, one {LAG:?} late: {load}\n  in process: {in_process}\n  remote: {remote}"
    );
    let each = went_back as f64 / minutes / (2 * clients) as f64;
    println!(
        "{went_back} older values after newer ones, {each:.1} a minute and client; {errors} evaluations failed"
    );
    let (wrong_later, ..) = changes.take_faults();
    fleet.end().await;

    assert_eq!([wrong, wrong_later].concat(), Vec::<String>::new());
    assert!(
        load.peak as f64 <= 3.0 * load.mean,
        "{load}: {:#?}",
        load.seconds
    );
    // The last to have a change hear of it from the lagging relay proxy, or with a poll after that.
    let latest = LAG + PERIOD * 11 / 10 + Duration::from_secs(5);
    for times in [&in_process, &remote] {
        assert!(times.all().1 <= latest, "{times}");
    }
}

/// Writes a change each second, as soon as the one before was announced.
async fn change_for(duration: Duration, changes: &Changes, mut write: impl AsyncFnMut(usize)) {
    let end = Instant::now() + duration;
    while Instant::now() < end {
        let next = Instant::now() + Duration::from_secs(1);
        write(changes.write()).await;
        tokio::time::timeout(PATIENCE, changes.wait_until_announced())
            .await
            .unwrap();
        // The relay proxy looks for changes once a second. In the middle of that time no message of the change before is
        // on its way.
        sleep(Duration::from_millis(500)).await;
        sleep_until(next).await;
    }
}

struct Fleet {
    clients: JoinSet<u64>,
    changes: Arc<Changes>,
    end: watch::Sender<bool>,
}

impl Fleet {
    /// Starts so many clients of each kind, and returns when the first change has reached all of them.
    async fn start(number: usize, balancer: &RoundRobinBalancer) -> Self {
        let changes = Arc::new(Changes::new());
        let end = watch::Sender::new(false);
        let mut clients = JoinSet::new();
        for number in 0..number {
            for kind in [Kind::InProcess, Kind::Remote] {
                let (changes, end) = (Arc::clone(&changes), end.subscribe());
                clients.spawn(crate::client::run(
                    balancer.endpoint(),
                    kind,
                    number,
                    changes,
                    end,
                ));
            }
        }
        let fleet = Self {
            clients,
            changes,
            end,
        };
        let give_up = Instant::now() + PATIENCE;
        // Each has a change stream, and a connection for requests.
        while balancer.open_connections() < fleet.clients.len() * 2 {
            assert!(
                Instant::now() < give_up,
                "{} connections",
                balancer.open_connections()
            );
            sleep(Duration::from_millis(10)).await;
        }
        // A stream counts as open with the first ping, a second later.
        sleep(Duration::from_secs(2)).await;
        fleet
    }

    async fn wait_until_all_have_the_last(&self) {
        let give_up = Instant::now() + PATIENCE;
        while self.changes.have_the_last() < self.clients.len() {
            let missing = self.clients.len() - self.changes.have_the_last();
            assert!(
                Instant::now() < give_up,
                "{missing} clients never had the last change of {FLAG}"
            );
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Shuts all clients down. Returns the number of delivered events.
    async fn end(self) -> u64 {
        self.end.send_replace(true);
        self.clients.join_all().await.into_iter().sum()
    }
}
