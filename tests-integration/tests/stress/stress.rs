//! The test.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use goff_provider::{
    EvaluationContext, EvaluationDetails, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions,
    LocalFlags,
};
use goff_tests_integration::{
    Address, Instance, RelayProxy, number_from_environment, relay_source, request,
};
use serde_json::{Value, json};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{sleep, sleep_until, timeout};

use crate::chaos::{flag_key, flags, treat_badly};
use crate::history::{FLAGS, History};
use crate::random::Random;

const TASKS: u64 = 64;
const TIMEOUT: Duration = Duration::from_secs(1);
/// What an evaluation may take beyond its timeout.
const GRACE: Duration = Duration::from_millis(250);
/// What the process may grow by after the first third: the buffer of events is full by then, and so is the cache.
const GROWTH: u64 = 24 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_are_right_in_time_and_frugal_whatever_their_relay_proxy_does() {
    let Some(source) = relay_source() else { return };
    let duration =
        Duration::from_secs(number_from_environment("GOFF_STRESS_SECONDS").unwrap_or(10));
    let seed = number_from_environment("GOFF_SEED").unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(0, |now| u64::from(now.subsec_nanos()))
    });
    println!("{duration:?} with GOFF_SEED={seed}");
    let mut random = Random::new(seed);

    let history = Arc::new(History::new());
    let (relay, port) = start(&source, &history);
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
        move || treat_badly(relay, port, &source, &history, random, &end)
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
    let (relay, deeds) = chaos.await.unwrap();
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    let stream = (goff.stats().stream, goff.stats().reconnects);
    // Everything that can still arrive does.
    let report = goff.shutdown(Duration::from_secs(10)).await;
    let stats = goff.stats();
    let report_in_process = in_process.shutdown(Duration::from_secs(10)).await;
    let stats_in_process = in_process.stats();
    drop(relay);

    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let evaluations = count(&tally.values) + count(&tally.errors);
    let wrong = tally.wrong.lock().unwrap();
    println!(
        "{evaluations} evaluations, {} errors; the longest took {} ms; {} edits loaded; {deeds:?}",
        count(&tally.errors),
        count(&tally.longest_ms),
        history.loaded() - FLAGS,
    );
    let evaluations_in_process = count(&tally_in_process.values);
    println!(
        "{evaluations_in_process} evaluations in process; the longest took {} ms; {stats_in_process:?}",
        count(&tally_in_process.longest_ms)
    );
    println!("{stats:?}; before the shutdown the stream and its reconnections were {stream:?}");
    println!(
        "resident: {} KiB after a third, {} KiB at most since",
        warm / 1024,
        highest / 1024
    );

    assert!(wrong.is_empty(), "wrong values: {:#?}", *wrong);
    let wrong = tally_in_process.wrong.lock().unwrap();
    assert!(wrong.is_empty(), "wrong values in process: {:#?}", *wrong);
    assert_eq!(count(&tally_in_process.errors), 0, "{stats_in_process:?}");
    assert!(
        Duration::from_millis(count(&tally_in_process.longest_ms)) <= GRACE,
        "an evaluation in process took {} ms",
        count(&tally_in_process.longest_ms)
    );
    assert_eq!(
        report_in_process.recorded, evaluations_in_process,
        "{report_in_process:?}"
    );
    let bound = TIMEOUT + GRACE;
    assert!(
        Duration::from_millis(count(&tally.longest_ms)) <= bound,
        "an evaluation took {} ms",
        count(&tally.longest_ms)
    );
    for report in [&report, &report_in_process] {
        assert_eq!(
            report.recorded,
            report.delivered + report.dropped + report.pending,
            "{report:?}"
        );
    }
    assert_eq!(
        stats.hits + stats.misses + stats.shared,
        evaluations,
        "{stats:?}"
    );
    // A hit is always recorded here, and so is whoever shared a request; misses are where nothing was evaluated.
    assert!(
        (stats.hits + stats.shared..=evaluations - stats.usage.unknown).contains(&report.recorded),
        "{stats:?}"
    );
    assert!(
        highest <= warm + GROWTH,
        "{warm} bytes resident became {highest}"
    );
    // Else nothing was put to the test.
    assert!(
        history.loaded() > FLAGS
            && deeds.len() > 1
            && stats.hits > 0
            && stats.misses > 0
            && report.delivered > 0
            && report_in_process.delivered > 0
            && stats_in_process.refreshes > 1,
        "{deeds:?}, {stats:?}, {stats_in_process:?}"
    );
}

/// Lets go of the relay proxy also when the test panics, whose runtime waits for whoever treats it badly.
struct Ending(Arc<AtomicBool>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn start(
    source: &goff_tests_integration::RelaySource,
    history: &History,
) -> (RelayProxy, SocketAddr) {
    // For the port, which is free again when this one has ended.
    let relay = RelayProxy::start(Instance::Open, source).unwrap();
    let Address::Tcp(port) = *relay.address() else {
        panic!("an open relay proxy has a port")
    };
    relay.set_flags(&flags(history)).unwrap();
    drop(relay);
    let flags = flags(history);
    let relay = RelayProxy::start_at_with_flags(port, Instance::Open, source, &flags).unwrap();
    (relay, port)
}

#[derive(Debug, Default)]
struct Tally {
    values: AtomicU64,
    errors: AtomicU64,
    longest_ms: AtomicU64,
    /// The first ones.
    wrong: Mutex<Vec<String>>,
}

/// Who is asked.
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
    // Some contexts are shared by tasks, and so are their requests.
    let contexts: Vec<EvaluationContext> = [format!("task-{task}"), "everybody".to_owned()]
        .into_iter()
        .map(|key| EvaluationContext::builder().targeting_key(key).build())
        .collect();
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

/// Asks the relay proxy itself for all flags, on a connection of its own each time.
async fn observe(port: SocketAddr, history: Arc<History>, end: Arc<AtomicBool>) {
    let address = Address::Tcp(port);
    let body = json!({"context": {"targetingKey": "observer"}});
    while !end.load(Ordering::Relaxed) {
        let asked = request(&address, "/ofrep/v1/evaluate/flags", &[], Some(&body));
        // While it is down or stopped nothing is seen.
        if let Ok(Ok(answer)) = timeout(TIMEOUT, asked).await {
            let answer = answer.json();
            for evaluated in answer["flags"].as_array().into_iter().flatten() {
                let number = |value: &Value| usize::try_from(value.as_u64()?).ok();
                let flag = evaluated["key"]
                    .as_str()
                    .and_then(|key| key.strip_prefix("stress-"))
                    .and_then(|flag| flag.parse().ok());
                if let (Some(flag), Some(value)) = (flag, number(&evaluated["value"])) {
                    history.see(flag, value);
                }
            }
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// What the kernel says this process holds in memory; 0 where it does not say, as outside Linux.
fn resident_bytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kibibytes = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kibibytes.map_or(0, |number| number.parse::<u64>().unwrap() * 1024)
}
