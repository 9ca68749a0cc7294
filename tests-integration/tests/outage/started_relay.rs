//! The test, which starts and restarts its relay proxy.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use goff_provider::native::EvaluationContext;
use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
use goff_tests_integration::{Instance, RelayProxy, number_from_environment, own_relay};
use tokio::runtime::Handle;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::sleep;

use crate::gateway::{Gateway, Way};

const TASKS: usize = 500;
/// Tasks share contexts, and therefore requests.
const CONTEXTS: usize = TASKS / 2;
const TIMEOUT: Duration = Duration::from_millis(700);
/// The time that an evaluation may take beyond its timeout.
const GRACE: Duration = Duration::from_millis(200);
const REQUESTS_IN_FLIGHT: usize = 64;
/// What the clients may have open beside their requests: streams, connections for configurations and usage data, idle
/// connections that are about to be closed.
const BESIDE_REQUESTS: usize = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn outages_cost_the_timeout_and_nothing_else() {
    let seconds = number_from_environment("GOFF_OUTAGE_SECONDS").unwrap_or(10);
    let seed = number_from_environment("GOFF_SEED").unwrap_or(1);
    println!("{seconds} s with GOFF_SEED={seed}");
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    let gateway = Gateway::start(port).unwrap();
    let before = Open::now(&gateway);

    let options = || {
        GoFeatureFlagOptions::new(gateway.endpoint())
            .timeout(TIMEOUT)
            .max_requests_in_flight(REQUESTS_IN_FLIGHT)
            .cache_ttl(Duration::from_millis(300))
            .reconnect_interval(Duration::from_millis(500))
            .flag_change_polling_interval(Duration::from_millis(500))
            .data_flush_interval(Duration::from_millis(500))
            .max_pending_events(100_000)
    };
    let remote = GoFeatureFlag::connect(options()).await.unwrap();
    let in_process = options().evaluation_type(EvaluationType::InProcess);
    let in_process = GoFeatureFlag::connect(in_process).await.unwrap();

    let tally = Arc::new(Tally::default());
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let goff = if task % 10 == 0 { &in_process } else { &remote };
        tasks.spawn(evaluate(task, goff.clone(), Arc::clone(&tally)));
    }

    let mut highest = before;
    let began = Instant::now();
    let mut relay = Some(relay);
    let mut failures = Failures(seed);
    while began.elapsed() < Duration::from_secs(seconds) {
        for failure in failures.next_round() {
            let step = Instant::now();
            match failure {
                Failure::Way(way) => gateway.set(way),
                Failure::Restart => {
                    drop(relay.take());
                    let started =
                        spawn_blocking(move || RelayProxy::start_at(port, Instance::Open));
                    relay = Some(started.await.unwrap().unwrap());
                }
            }
            // How long a failure lasts, and below, how long the relay proxy answers between two.
            while step.elapsed() < Duration::from_secs(1) {
                highest = highest.max(Open::now(&gateway));
                sleep(Duration::from_millis(20)).await;
            }
            gateway.set(Way::Open);
            sleep(Duration::from_millis(300)).await;
        }
    }
    tally.end.store(true, Ordering::Relaxed);
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }

    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (evaluations, errors) = (count(&tally.evaluations), count(&tally.errors));
    let longest = Duration::from_millis(count(&tally.longest_ms));
    println!("{evaluations} evaluations, {errors} errors; the longest took {longest:?}");
    println!("before {before:?}, highest {highest:?}");
    assert!(longest <= TIMEOUT + GRACE, "{longest:?}");
    // Most evaluations during a failure end at once, so errors are no part of the time.
    let answered = evaluations - errors;
    assert!(
        errors > 0 && answered > seconds * u64::try_from(TASKS).unwrap() / 2,
        "{errors} of {evaluations}"
    );
    let requests = 2 * REQUESTS_IN_FLIGHT + BESIDE_REQUESTS;
    assert!(
        highest.descriptors <= before.descriptors + requests,
        "{highest:?}"
    );
    // The test's own, one for each shared request, and those that drive connections.
    let tasks = TASKS + CONTEXTS + requests;
    assert!(highest.tasks <= before.tasks + tasks, "{highest:?}");
    assert!(highest.threads <= before.threads + 8, "{highest:?}");

    for goff in [&remote, &in_process] {
        // A batch of many events may take longer than the timeout of this test on a busy machine.
        let give_up = Instant::now() + Duration::from_secs(30);
        while goff.stats().usage.pending > 0 {
            assert!(Instant::now() < give_up, "{:?}", goff.stats().usage);
            goff.flush(Duration::from_secs(10)).await;
        }
        let report = goff.shutdown(Duration::from_secs(10)).await;
        let counted = report.delivered + report.dropped + report.rejected + report.pending;
        assert_eq!(report.recorded, counted, "{report:?}");
        assert_eq!((report.dropped, report.pending), (0, 0), "{report:?}");
        assert!(report.delivered > 0, "{report:?}");
    }
    let stats = remote.stats();
    let looked_up = stats.hits + stats.misses + stats.shared + stats.circuit_open;
    let recorded = stats.hits + stats.shared..=looked_up - stats.usage.unknown;
    assert!(recorded.contains(&stats.usage.recorded), "{stats:?}");
    drop((remote, in_process));

    // Threads for blocking work end after ten idle seconds.
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let now = Open::now(&gateway);
        if now.descriptors <= before.descriptors
            && now.tasks <= before.tasks
            && now.threads <= before.threads + 1
        {
            break;
        }
        assert!(Instant::now() < end, "{now:?} is left of {before:?}");
        sleep(Duration::from_millis(50)).await;
    }
}

#[derive(Debug, Default)]
struct Tally {
    end: AtomicBool,
    evaluations: AtomicU64,
    errors: AtomicU64,
    longest_ms: AtomicU64,
}

async fn evaluate(task: usize, goff: GoFeatureFlag, tally: Arc<Tally>) {
    let context = EvaluationContext::builder()
        .targeting_key(format!("user-{}", task % CONTEXTS))
        .build();
    while !tally.end.load(Ordering::Relaxed) {
        let began = Instant::now();
        let details = goff.evaluate("bool_targeting_match", &context, false).await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tally.longest_ms.fetch_max(took, Ordering::Relaxed);
        tally.evaluations.fetch_add(1, Ordering::Relaxed);
        if details.error().is_some() {
            tally.errors.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_millis(150)).await;
    }
}

enum Failure {
    Way(Way),
    Restart,
}

/// The failures, each once a round, in an order of the seed's.
struct Failures(u64);

impl Failures {
    fn next_round(&mut self) -> Vec<Failure> {
        let mut round = vec![
            Failure::Way(Way::Refusing),
            Failure::Way(Way::Hanging),
            Failure::Way(Way::Slow(Duration::from_millis(300))),
            Failure::Way(Way::Resetting),
            Failure::Way(Way::Moved),
            Failure::Restart,
        ];
        for left in (1..round.len()).rev() {
            // Constants of a well-known linear congruential generator.
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let drawn = usize::try_from(self.0 >> 33).unwrap_or(0) % (left + 1);
            round.swap(left, drawn);
        }
        round
    }
}

/// What this process has open, without the gateway.
#[derive(Debug, Clone, Copy)]
struct Open {
    descriptors: usize,
    tasks: usize,
    threads: usize,
}

impl Open {
    fn now(gateway: &Gateway) -> Self {
        let gateways = gateway.descriptors();
        let descriptors = fs::read_dir("/proc/self/fd").unwrap().count();
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let threads = status
            .lines()
            .find_map(|line| line.strip_prefix("Threads:"));
        Self {
            descriptors: descriptors.saturating_sub(gateways),
            tasks: Handle::current().metrics().num_alive_tasks(),
            threads: threads.unwrap().trim().parse().unwrap(),
        }
    }

    fn max(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            tasks: self.tasks.max(other.tasks),
            threads: self.threads.max(other.threads),
        }
    }
}
