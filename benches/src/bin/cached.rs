//! Cached evaluation, natively and through the OpenFeature client; the cache key; recording an event;
//! invalidation.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Barrier, Mutex};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use goff_benches::constant_provider::{Answer, ConstantProvider, client, evaluate_through};
use goff_benches::scaling::{MOST_THREADS, threads};
use goff_benches::{Budget, Comparison, Measure, Row, Suite, median, thread_cpu_time};
use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, Invalidation};
use goff_core::__internal::CacheKeyRef;
use goff_core::{
    ContextKind, ContextView, Event, EventBatch, EventSink, EventSource, FeatureEvent, Reason,
    RelayClient, RelayError, Resolution,
};
use goff_hooks::__internal::{is_locked, unix_seconds};
use goff_hooks::{EventPublisher, EventPublisherOptions};
use goff_provider::GoFeatureFlagProvider;
use open_feature::EvaluationReason;
use tokio::runtime::Runtime;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let mut suite = Suite::from_arguments()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let goff = runtime.block_on(async {
        GoFeatureFlag::connect(
            GoFeatureFlagOptions::with_relay_client(Arc::new(ConstantRelay)).cache_ttl(None),
        )
        .await
    })?;
    hits(&mut suite, &runtime, &goff);
    keys(&mut suite);
    records(&mut suite, &runtime)?;
    invalidations(&mut suite, &runtime)?;
    scaling(&mut suite, &runtime, &goff);
    suite.finish().map_err(Into::into)
}

const FLAG: &str = "bool_targeting_match";
const KEY: &str = "d45e303a-38c2-11ed-a261-0242ac120002";

/// A relay proxy with one answer for every request.
#[derive(Debug)]
struct ConstantRelay;

#[async_trait]
impl RelayClient for ConstantRelay {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(resolution())
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        Ok(())
    }
}

/// A relay proxy whose data collector is unavailable.
#[derive(Debug)]
struct NoCollector;

#[async_trait]
impl RelayClient for NoCollector {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(resolution())
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        Err(RelayError::RateLimited {
            remaining: Duration::from_secs(60),
        })
    }
}

fn resolution() -> Resolution {
    Resolution::new(true, Reason::TargetingMatch)
        .with_variant("True")
        .with_metadata(
            [("description".to_owned(), "this is a test".into())]
                .into_iter()
                .collect(),
        )
        .with_cacheable(true)
}

/// Ten attributes: strings, integers, floats and booleans.
fn native_context(key: &str) -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key(key)
        .attribute("email", "john.doe@gofeatureflag.org")
        .attribute("firstname", "john")
        .attribute("lastname", "doe")
        .attribute("anonymous", false)
        .attribute("professional", true)
        .attribute("rate", 3.25)
        .attribute("age", 30)
        .attribute("visits", 1200)
        .attribute("score", 0.5)
        .attribute("beta", true)
        .build()
}

fn sdk_context() -> open_feature::EvaluationContext {
    open_feature::EvaluationContext::default()
        .with_targeting_key(KEY)
        .with_custom_field("email", "john.doe@gofeatureflag.org")
        .with_custom_field("firstname", "john")
        .with_custom_field("lastname", "doe")
        .with_custom_field("anonymous", false)
        .with_custom_field("professional", true)
        .with_custom_field("rate", 3.25)
        .with_custom_field("age", 30)
        .with_custom_field("visits", 1200)
        .with_custom_field("score", 0.5)
        .with_custom_field("beta", true)
}

fn hits(suite: &mut Suite, runtime: &Runtime, goff: &GoFeatureFlag) {
    let (native, sdk) = (native_context(KEY), sdk_context());
    let constant = client(runtime, ConstantProvider::new(answer()));
    let ours = client(runtime, GoFeatureFlagProvider::from(goff));
    let mut through_constant = evaluate_through(runtime, &constant, FLAG, &sdk);
    let mut natively = evaluate_natively(runtime, goff, &native);
    suite.compare(Comparison {
        name: "cached, native, one hot key",
        measure: Measure::NanosecondsPerOperation,
        operations: 20_000,
        subject: &mut natively,
        baseline_name: "SDK over a constant provider",
        baseline: &mut through_constant,
        // 500 ns where the baseline takes 1,400 ns.
        budget: Budget::AtMost(500.0 / 1400.0),
    });
    let mut from_sdk_context = evaluate_natively(runtime, goff, &sdk);
    suite.compare(Comparison {
        name: "cached, native, from an SDK context",
        measure: Measure::NanosecondsPerOperation,
        operations: 20_000,
        subject: &mut from_sdk_context,
        baseline_name: "SDK over a constant provider",
        baseline: &mut through_constant,
        // 800 ns where the baseline takes 1,400 ns.
        budget: Budget::AtMost(800.0 / 1400.0),
    });
    let hooked = client(runtime, ConstantProvider::with_hooks(answer()));
    let mut through_hooked = evaluate_through(runtime, &hooked, FLAG, &sdk);
    let mut through_ours = evaluate_through(runtime, &ours, FLAG, &sdk);
    suite.compare(Comparison {
        name: "cached, through the SDK",
        measure: Measure::NanosecondsPerOperation,
        operations: 10_000,
        subject: &mut through_ours,
        baseline_name: "SDK over a constant provider with two hooks",
        baseline: &mut through_hooked,
        budget: Budget::Stated,
    });
    let scattered: Vec<_> = (0..10_000)
        .map(|n| native_context(&format!("{KEY}-{n}")))
        .collect();
    let mut at = 0;
    let mut spread = |operations| {
        runtime.block_on(async {
            for _ in 0..operations {
                // A stride coprime to the length visits every key.
                at = (at + 7919) % scattered.len();
                if let Some(context) = scattered.get(at) {
                    black_box(goff.evaluate(FLAG, context, false).await.value);
                }
            }
        });
    };
    suite.compare(Comparison {
        name: "cached, native, 10,000 scattered keys",
        measure: Measure::NanosecondsPerOperation,
        operations: 20_000,
        subject: &mut spread,
        baseline_name: "cached, native, one hot key",
        baseline: &mut natively,
        budget: Budget::Stated,
    });
}

fn evaluate_natively<'a>(
    runtime: &'a Runtime,
    goff: &'a GoFeatureFlag,
    context: &'a dyn ContextView,
) -> impl FnMut(u64) + 'a {
    move |operations| {
        runtime.block_on(async {
            for _ in 0..operations {
                black_box(goff.evaluate(FLAG, context, false).await.value);
            }
        });
    }
}

/// The answer of this bench's relay proxy, with the reason of a hit.
fn answer() -> Answer {
    Answer {
        variant: "True",
        reason: EvaluationReason::Cached,
        metadata: ("description", "this is a test"),
    }
}

fn keys(suite: &mut Suite) {
    let (native, sdk) = (native_context(KEY), sdk_context());
    let owned = match CacheKeyRef::new(FLAG, &native) {
        Ok(key) => key.to_owned_key(&native),
        Err(_) => return,
    };
    let look_up = |context: &dyn ContextView, operations| {
        for _ in 0..operations {
            let key = CacheKeyRef::new(FLAG, black_box(context));
            black_box(key.is_ok_and(|key| key.matches(&owned)));
        }
    };
    let mut baseline = |operations| {
        for _ in 0..operations {
            black_box(black_box(&sdk).clone());
        }
    };
    suite.compare(Comparison {
        name: "cache key, SDK context, hash and comparison",
        measure: Measure::NanosecondsPerOperation,
        operations: 20_000,
        subject: &mut |operations| look_up(&sdk, operations),
        baseline_name: "copy of the SDK context",
        baseline: &mut baseline,
        budget: Budget::Stated,
    });
    suite.compare(Comparison {
        name: "cache key, native context, hash and comparison",
        measure: Measure::NanosecondsPerOperation,
        operations: 20_000,
        subject: &mut |operations| look_up(&native, operations),
        baseline_name: "copy of the SDK context",
        baseline: &mut baseline,
        budget: Budget::Stated,
    });
}

fn records(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    // The collector refuses every batch, so that the buffer is full and each event drops another.
    let publisher = EventPublisher::new(Arc::new(NoCollector), EventPublisherOptions::default());
    runtime.block_on(async { publisher.start() })?;
    // Keys so long that their reference counts lie on different cache lines.
    let flags = [FLAG, "other"].map(|key| -> (Arc<str>, _) {
        let key = format!("{key:.<256}");
        (key.into(), Arc::new(resolution()))
    });
    let user_key = KEY.to_owned();
    let record = |flag: usize, operations| {
        let Some((flag_key, resolution)) = flags.get(flag) else {
            return;
        };
        for _ in 0..operations {
            publisher.record(Event::Feature(
                FeatureEvent::new(
                    Arc::clone(flag_key),
                    ContextKind::User,
                    user_key.as_str(),
                    unix_seconds(),
                    EventSource::ProviderCache,
                )
                .with_resolution(Some(Arc::clone(resolution))),
            ));
        }
    };
    record(0, 20_000);
    let [(_, resolution), _] = &flags;
    let kept = Mutex::new((String::new(), Arc::clone(resolution)));
    let floor = |operations: u64| {
        for _ in 0..operations {
            let event = (user_key.clone(), Arc::clone(resolution));
            if let Ok(mut kept) = kept.lock() {
                *kept = event;
            }
        }
    };
    suite.compare(Comparison {
        name: "record an event",
        measure: Measure::NanosecondsPerOperation,
        operations: 50_000,
        subject: &mut |operations| record(0, operations),
        baseline_name: FLOOR,
        baseline: &mut |operations| floor(operations),
        budget: Budget::AtMost(4.0),
    });
    record_from_two_threads(suite, &record, &floor);
    time_under_the_lock(suite, &publisher, &record);
    Ok(())
}

const FLOOR: &str = "String clone + Arc clone + lock";
const TWO_FLOORS: &str = "two threads with String clone + Arc clone + lock";

/// CPU time of a record while two threads record with a microsecond of work in between, less that
/// of the work. Each thread records another flag: sharing one is a cost of the evaluator. What two
/// processors pay to share a lock differs between hosts (the floor of two threads was seen at 5.8 to
/// 8 times that of one), so the budget is beside two threads that do the floor.
fn record_from_two_threads(
    suite: &mut Suite,
    record: &(dyn Fn(usize, u64) + Sync),
    floor: &(dyn Fn(u64) + Sync),
) {
    const NAME: &str = "record an event, two threads";
    const RECORDS: u32 = 5_000;
    if !suite.wants(NAME) {
        return;
    }
    let working = |_: usize| (0..RECORDS).for_each(|_| work());
    let recording = |flag| {
        for _ in 0..RECORDS {
            work();
            record(flag, 1);
        }
    };
    let cpu_time = |run: &mut dyn FnMut()| {
        let start = thread_cpu_time();
        run();
        (thread_cpu_time() - start).as_secs_f64() * 1e9 / f64::from(RECORDS)
    };
    let together = |run: &(dyn Fn(usize) + Sync)| {
        let start = Barrier::new(2);
        let beside = |flag| {
            start.wait();
            cpu_time(&mut || run(flag))
        };
        std::thread::scope(|scope| {
            let other = scope.spawn(|| beside(1));
            let first = beside(0);
            other
                .join()
                .map_or(first, |other| f64::midpoint(first, other))
        })
    };
    let sharing = |_: usize| {
        for _ in 0..RECORDS {
            work();
            floor(1);
        }
    };
    let (mut two, mut two_floors, mut floors) = (Vec::new(), Vec::new(), Vec::new());
    // Short windows, and many: the speed of two processors at once varies over time.
    for _ in 0..8 * goff_benches::WINDOWS {
        let alone = together(&working);
        two.push(together(&recording) - alone);
        two_floors.push(together(&sharing) - alone);
        floors.push(cpu_time(&mut || floor(RECORDS.into())));
    }
    let (value, baseline) = (median(&mut two), median(&mut two_floors));
    suite.add(Row {
        cpu: Some(value),
        baseline_cpu: Some(baseline),
        ..Row::stated(NAME, value, "ns").beside(baseline, TWO_FLOORS, Budget::AtMost(2.5))
    });
    let alone = median(&mut floors);
    suite.add(Row::stated(TWO_FLOORS, baseline, "ns").beside(alone, FLOOR, Budget::Stated));
}

/// A microsecond of work. Not inlined: copies of the loop, aligned differently, differ by a fifth in
/// speed, which would count as the time of a record.
#[inline(never)]
fn work() {
    let mut sum = 0_u64;
    for n in 0..1_000_u64 {
        sum = black_box(sum.wrapping_mul(31).wrapping_add(n));
    }
}

/// How long an event holds the lock of the events while two threads record, and the rate of events at
/// which the lock is busy a tenth of the time. Between two events, each thread looks whether the
/// other one holds it.
fn time_under_the_lock(
    suite: &mut Suite,
    publisher: &EventPublisher,
    record: &(dyn Fn(usize, u64) + Sync),
) {
    const NAME: &str = "record an event, two threads: under the lock";
    const EVENTS: u32 = 20_000;
    if !suite.wants(NAME) {
        return;
    }
    // Of various lengths, so that the threads do not keep in step.
    let work = |n: u32| {
        for step in 0..(400 + n * 7919 % 401) {
            black_box(step);
        }
    };
    let start = Barrier::new(2);
    let hold = |flag: usize| {
        start.wait();
        let (begun, cpu) = (Instant::now(), thread_cpu_time());
        let mut busy = 0_u32;
        for n in 0..EVENTS {
            work(n);
            busy += u32::from(is_locked(publisher));
            work(n);
            record(flag, 1);
        }
        // The share of the time, over the rate of the other thread; unless they took turns.
        let (elapsed, cpu) = (begun.elapsed(), thread_cpu_time() - cpu);
        let held = f64::from(busy) * elapsed.as_secs_f64() / f64::from(EVENTS).powi(2);
        (cpu >= elapsed.mul_f64(0.9)).then_some(held)
    };
    let mut holds: Vec<f64> = (0..4 * goff_benches::WINDOWS)
        .filter_map(|_| {
            std::thread::scope(|scope| {
                let other = scope.spawn(|| hold(1));
                let (first, other) = (hold(0), other.join().ok()?);
                Some(f64::midpoint(first?, other?))
            })
        })
        .collect();
    if holds.is_empty() {
        // Two threads did not run at the same time.
        return;
    }
    let held = median(&mut holds);
    suite.add(Row::stated(NAME, held * 1e9, "ns"));
    let rate = format!("{NAME} a tenth of the time");
    suite.add(Row::stated(rate, 0.1 / held, "1/s"));
}

fn invalidations(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    let goff = runtime.block_on(async {
        let options =
            GoFeatureFlagOptions::with_relay_client(Arc::new(ConstantRelay)).cache_ttl(None);
        let goff = GoFeatureFlag::connect(options).await?;
        let context = native_context(KEY);
        for n in 0..10_000 {
            goff.evaluate(&format!("flag-{n}"), &context, false).await;
        }
        Ok::<_, Failure>(goff)
    })?;
    let sink = goff.invalidation_sink();
    let mut n = 0;
    let mut one_flag = |operations| {
        for _ in 0..operations {
            n = (n + 1) % 10_000;
            sink.invalidate(Invalidation::Flags([format!("flag-{n}")].into()));
        }
    };
    let mut everything = |operations| {
        for _ in 0..operations {
            sink.invalidate(Invalidation::All);
        }
    };
    suite.compare(Comparison {
        name: "invalidate 1 flag among 10,000 entries",
        measure: Measure::NanosecondsPerOperation,
        operations: 20,
        subject: &mut one_flag,
        baseline_name: "invalidate all",
        baseline: &mut everything,
        budget: Budget::Stated,
    });
    Ok(())
}

/// Threads that evaluate for one context find the same answer, which is the worst case; each with
/// its own context, as in an application, they still share the cache.
fn scaling(suite: &mut Suite, runtime: &Runtime, goff: &GoFeatureFlag) {
    let contexts: Vec<_> = (0..MOST_THREADS)
        .map(|n| native_context(&format!("{KEY}-{n}")))
        .collect();
    // On two processors runs the task too that delivers what the threads record: see
    // docs/operating/scale.md, "Many threads".
    let has_more_processors = available_parallelism().is_ok_and(|count| count.get() > 2);
    let one_key = if has_more_processors { 0.6 } else { 0.45 };
    for (name, keys, at_least) in [
        ("cached, one key", 1, Some(one_key)),
        ("cached, a key for each thread", MOST_THREADS, None),
    ] {
        let evaluate = |thread: usize| {
            runtime.block_on(async {
                for _ in 0..50_000 {
                    if let Some(context) = contexts.get(thread % keys) {
                        black_box(goff.evaluate(FLAG, context, false).await.value);
                    }
                }
            });
        };
        threads(suite, name, &evaluate, at_least);
    }
}
