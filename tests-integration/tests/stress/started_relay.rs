//! The test, which starts and controls its relay proxy.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use goff_provider::native::{EvaluationContext, EvaluationDetails};
use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, LocalFlags};
use goff_tests_integration::{
    Address, Instance, RelayProxy, number_from_environment, own_relay, request,
};
use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, sleep_until, timeout};

use crate::chaos::{cause_faults, flag_key, flags};
use crate::history::{FLAGS, History};
use crate::random::Random;

const TASKS: u64 = 64;
const TIMEOUT: Duration = Duration::from_secs(1);
/// The time that an evaluation may take beyond its timeout.
const GRACE: Duration = Duration::from_millis(250);
/// The growth of the process in bytes after the first third, when the event buffer and the cache are full.
const GROWTH: u64 = 24 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn clients_are_right_in_time_and_bounded_in_memory_under_faults() {
    let seconds = number_from_environment("GOFF_STRESS_SECONDS").unwrap_or(10);
    let duration = Duration::from_secs(seconds);
    let seed = number_from_environment("GOFF_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_nanos()))
    });
    println!("{duration:?} with GOFF_SEED={seed}");
    let mut random = Random::new(seed);

    let history = Arc::new(History::new());
    let (relay, port) = start(&history);
    let options = || {
        GoFeatureFlagOptions::new(relay.endpoint())
            .cache_ttl(Duration::from_secs(2))
            .flag_change_polling_interval(Duration::from_millis(500))
            .reconnect_interval(Duration::from_millis(500))
            .timeout(TIMEOUT)
            .data_flush_interval(Duration::from_millis(500))
            .max_pending_events(1_000)
    };
    let goff = GoFeatureFlag::connect(options()).await.unwrap();
    let in_process = options().evaluation_type(EvaluationType::InProcess);
    let in_process = GoFeatureFlag::connect(in_process).await.unwrap();

    let end = Arc::new(AtomicBool::new(false));
    let _ending = Ending(Arc::clone(&end));
    let tally = Arc::new(Tally::default());
    let tally_in_process = Arc::new(Tally::default());
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let random = Random::new(random.next());
        let (flags, tally) = match task % 4 {
            0 => (Flags::Client(in_process.clone()), &tally_in_process),
            1 => (Flags::Local(in_process.local().unwrap()), &tally_in_process),
            _ => (Flags::Client(goff.clone()), &tally),
        };
        let (history, tally, end) = (Arc::clone(&history), Arc::clone(tally), Arc::clone(&end));
        tasks.spawn(async move { evaluate(task, &flags, &history, &tally, random, &end).await });
    }
    tasks.spawn(observe(port, Arc::clone(&history), Arc::clone(&end)));
    let chaos = spawn_blocking({
        let (history, end) = (Arc::clone(&history), Arc::clone(&end));
        move || cause_faults(relay, port, &history, random, &end)
    });

    let began = tokio::time::Instant::now();
    sleep_until(began + duration / 3).await;
    let warm = resident_bytes();
    let mut highest = warm;
    while began.elapsed() < duration && !chaos.is_finished() {
        highest = highest.max(resident_bytes());
        sleep(Duration::from_millis(100)).await;
    }
    end.store(true, Ordering::Relaxed);
    let (relay, faults) = chaos.await.unwrap();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let stream = (goff.stats().stream, goff.stats().reconnects);
    // The relay proxy runs, so everything is delivered.
    let report = goff.shutdown(Duration::from_secs(10)).await;
    let stats = goff.stats();
    let report_in_process = in_process.shutdown(Duration::from_secs(10)).await;
    let stats_in_process = in_process.stats();
    drop(relay);

    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let evaluations = count(&tally.values) + count(&tally.errors);
    let wrong = tally.wrong.lock().unwrap();
    let (errors, edits) = (count(&tally.errors), history.loaded() - FLAGS);
    let longest = Duration::from_millis(count(&tally.longest_ms));
    println!("{evaluations} evaluations, {errors} errors; the longest took {longest:?}");
    println!("{edits} edits loaded; {faults:?}");
    let in_process = count(&tally_in_process.values);
    let longest_in_process = Duration::from_millis(count(&tally_in_process.longest_ms));
    println!(
        "{in_process} in process; the longest took {longest_in_process:?}; {stats_in_process:?}"
    );
    println!("{stats:?}; before the shutdown the stream and its reconnections were {stream:?}");
    println!("resident: {warm} bytes after a third, {highest} bytes at most since");

    assert!(wrong.is_empty(), "wrong values: {:#?}", *wrong);
    let wrong = tally_in_process.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "wrong values in process: {:#?}", *wrong);
    assert_eq!(count(&tally_in_process.errors), 0, "{stats_in_process:?}");
    assert!(longest_in_process <= GRACE, "{longest_in_process:?}");
    assert_eq!(report_in_process.recorded, in_process);
    assert!(longest <= TIMEOUT + GRACE, "{longest:?}");
    for report in [&report, &report_in_process] {
        let counted = report.delivered + report.dropped + report.rejected + report.pending;
        assert_eq!(report.recorded, counted, "{report:?}");
    }
    let looked_up = stats.hits + stats.misses + stats.shared + stats.circuit_open;
    assert_eq!(looked_up, evaluations, "{stats:?}");
    // Hits and joined requests are recorded; misses are recorded if nothing was evaluated.
    let recorded = stats.hits + stats.shared..=evaluations - stats.usage.unknown;
    assert!(recorded.contains(&report.recorded), "{stats:?}");
    assert!(highest <= warm + GROWTH, "{warm} bytes became {highest}");
    // Otherwise the run tested nothing.
    assert!(
        history.loaded() > FLAGS
            && faults.len() > 1
            && stats.hits > 0
            && stats.misses > 0
            && report.delivered > 0
            && report_in_process.delivered > 0
            && stats_in_process.refreshes > 1,
        "{faults:?}, {stats:?}, {stats_in_process:?}"
    );
}

/// Ends the faults also when the test panics: its runtime waits for their thread.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(history: &History) -> (RelayProxy, SocketAddr) {
    // The first relay proxy only finds a port.
    let port = own_relay(Instance::Open).port();
    let flags = flags(history);
    let relay = RelayProxy::start_at_with_flags(port, Instance::Open, &flags).unwrap();
    (relay, port)
}

#[derive(Debug, Default)]
struct Tally {
    values: AtomicU64,
    errors: AtomicU64,
    longest_ms: AtomicU64,
    /// The first wrong values.
    wrong: Mutex<Vec<String>>,
}

/// The API for evaluations.
enum Flags {
    Client(GoFeatureFlag),
    Local(LocalFlags),
}

impl Flags {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &EvaluationContext,
    ) -> EvaluationDetails<i64> {
        const NONE: i64 = -1;
        match self {
            Self::Client(goff) => goff.evaluate(flag_key, context, NONE).await,
            Self::Local(flags) => flags.evaluate(flag_key, context, NONE),
        }
    }
}

async fn evaluate(
    task: u64,
    flags: &Flags,
    history: &History,
    tally: &Tally,
    mut random: Random,
    end: &AtomicBool,
) {
    // Tasks share a context, and therefore requests.
    let contexts = [format!("task-{task}"), "shared".to_owned()]
        .map(|key| EvaluationContext::builder().targeting_key(key).build());
    while !end.load(Ordering::Relaxed) {
        let flag = random.below(FLAGS as u64) as usize;
        let context = &contexts[random.below(2) as usize];
        let began = Instant::now();
        let details = flags.evaluate(&flag_key(flag), context).await;
        let took = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tally.longest_ms.fetch_max(took, Ordering::Relaxed);
        if details.error().is_some() {
            tally.errors.fetch_add(1, Ordering::Relaxed);
        } else {
            tally.values.fetch_add(1, Ordering::Relaxed);
            if let Err(why) = history.judge(flag, details.value, began) {
                let mut wrong = tally.wrong.lock().unwrap();
                if wrong.len() < 20 {
                    let reason = details.reason();
                    wrong.push(format!("{}, {reason:?}: {why}", flag_key(flag)));
                }
            }
        }
        sleep(random.milliseconds(0..30)).await;
    }
}

/// Polls all flags of the relay proxy, each time on a new connection.
async fn observe(port: SocketAddr, history: Arc<History>, end: Arc<AtomicBool>) {
    let address = Address::Tcp(port);
    let body = json!({"context": {"targetingKey": "observer"}});
    while !end.load(Ordering::Relaxed) {
        let answer = request(&address, "/ofrep/v1/evaluate/flags", &[], Some(&body));
        // There is no answer while the relay proxy is down or suspended.
        if let Ok(Ok(answer)) = timeout(TIMEOUT, answer).await {
            let answer = answer.json();
            for evaluated in answer["flags"].as_array().into_iter().flatten() {
                let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
                let flag = evaluated["key"].as_str();
                let flag = flag.and_then(|key| key.strip_prefix("stress-")?.parse().ok());
                if let (Some(flag), Some(value)) = (flag, number(&evaluated["value"])) {
                    history.see(flag, value);
                }
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// The resident memory of this process; 0 outside Linux.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kibibytes.map_or(0, |number| number.parse::<u64>().unwrap() * 1024)
}
