//! In-process evaluation: through the OpenFeature client, natively, from an SDK context by
//! reference, on two threads, and during a refresh.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use goff_benches::constant_provider::{Answer, ConstantProvider, client, evaluate_through};
use goff_benches::contexts::{NativeContext, core_context, sdk_context};
use goff_benches::measured_flags::{configuration, document, key_of, measured};
use goff_benches::scaling::{MOST_THREADS, threads};
use goff_benches::{
    Budget, Comparison, Measure, Row, Suite, WINDOWS, median, thread_cpu_time, window,
};
use goff_client::__internal::EngineContext;
use goff_client::{
    ContextView, EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions,
    Invalidation, LocalFlags,
};
use goff_core::{
    ConfigurationUpdate, Etag, EventBatch, FlagConfiguration, RelayClient, RelayError, Resolution,
};
use goff_engine::{FlagContext, FlagSet, Timestamp};
use goff_provider::GoFeatureFlagProvider;
use goff_testkit::EmbeddedRelay;
use open_feature::EvaluationReason;
use serde_json::{Map, Value, json};
use tokio::runtime::Runtime;

/// What goff-codegen makes for [`FLAG`].
#[allow(unreachable_pub, clippy::allow_attributes, reason = "generated")]
mod typed {
    include!(concat!(env!("OUT_DIR"), "/flags.rs"));
}

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<ExitCode, Failure> {
    let mut suite = Suite::from_arguments()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    evaluations(&mut suite, &runtime)?;
    contexts(&mut suite, &runtime)?;
    scaling(&mut suite, &runtime)?;
    changes(&mut suite, &runtime)?;
    changes_over_a_socket(&mut suite, &runtime)?;
    refreshes(&mut suite, &runtime)?;
    suite.finish().map_err(Into::into)
}

const FLAG: &str = "bool_targeting_match";

/// A relay proxy in memory that serves a configuration and discards usage data.
#[derive(Debug, Default)]
struct FlagsRelay(Mutex<FlagConfiguration>);

impl FlagsRelay {
    fn serving(flags: &str, version: usize) -> Arc<Self> {
        let relay = Arc::new(Self::default());
        relay.serve(flags.into(), version);
        relay
    }

    fn serve(&self, flags: Arc<str>, version: usize) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = FlagConfiguration::new(&*flags)
            .with_etag(Etag::from_bytes(format!("\"{version}\"").as_bytes()));
    }

    fn connect(
        self: &Arc<Self>,
        runtime: &Runtime,
        change: impl FnOnce(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
    ) -> Result<(GoFeatureFlag, LocalFlags), Failure> {
        let options = GoFeatureFlagOptions::with_relay_client(Arc::clone(self) as _)
            .evaluation_type(EvaluationType::InProcess);
        connect(runtime, change(options))
    }
}

#[async_trait]
impl RelayClient for FlagsRelay {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn flag_configuration(
        &self,
        _: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(if held.is_some() && held == current.etag.as_ref() {
            ConfigurationUpdate::NotModified
        } else {
            ConfigurationUpdate::Loaded(current.clone())
        })
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        Ok(())
    }
}

fn connect(
    runtime: &Runtime,
    options: GoFeatureFlagOptions,
) -> Result<(GoFeatureFlag, LocalFlags), Failure> {
    let goff = runtime.block_on(GoFeatureFlag::connect(options))?;
    let local = goff.local().ok_or("evaluation is not in process")?;
    Ok((goff, local))
}

/// The measured flags, and one with the variant, reason and metadata of [`answer`].
fn flags() -> Map<String, Value> {
    let mut flags = document();
    flags.insert(
        FLAG.to_owned(),
        json!({
            "variations": {"True": true, "False": false},
            "targeting": [{"query": "country eq \"FR\"", "variation": "True"}],
            "defaultRule": {"variation": "False"},
            "metadata": {"description": "this is a test"},
        }),
    );
    flags
}

fn answer() -> Answer {
    Answer {
        variant: "True",
        reason: EvaluationReason::TargetingMatch,
        metadata: ("description", "this is a test"),
    }
}

fn evaluations(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    let relay = FlagsRelay::serving(&Value::from(flags()).to_string(), 1);
    let (goff, local) = relay.connect(runtime, |options| options)?;
    let native = core_context();
    let sdk = sdk_context();
    let contexts: Vec<_> = (0..CONTEXTS).map(|_| sdk_context()).collect();
    let constant = client(runtime, ConstantProvider::new(answer()));
    let hooked = client(runtime, ConstantProvider::with_hooks(answer()));
    let ours = client(runtime, GoFeatureFlagProvider::from(&goff));
    same_answers(runtime, &[&hooked, &ours], &sdk)?;
    for (name, operations, budget) in [
        ("in-process, through the SDK", 5_000, Budget::AtMost(1.25)),
        // Two deliveries of usage data in each window; the row above has one in every other window.
        (
            "in-process, through the SDK, with deliveries",
            20_000,
            Budget::Stated,
        ),
    ] {
        suite.compare(Comparison {
            name,
            measure: Measure::NanosecondsPerOperation,
            operations,
            subject: &mut through_each(runtime, &ours, &contexts),
            baseline_name: "SDK over a constant provider with two hooks",
            baseline: &mut through_each(runtime, &hooked, &contexts),
            budget,
        });
    }
    let asynchronously = |context: &dyn ContextView, operations| {
        runtime.block_on(async {
            for _ in 0..operations {
                black_box(goff.evaluate(FLAG, context, false).await.value);
            }
        });
    };
    let at_once = |context: &dyn ContextView, operations| {
        for _ in 0..operations {
            black_box(local.evaluate(FLAG, context, false).value);
        }
    };
    let mut through_constant = evaluate_through(runtime, &constant, FLAG, &sdk);
    let mut stated = |name, subject: &mut dyn FnMut(u64)| {
        suite.compare(Comparison {
            name,
            measure: Measure::NanosecondsPerOperation,
            operations: 10_000,
            subject,
            baseline_name: "SDK over a constant provider",
            baseline: &mut through_constant,
            budget: Budget::Stated,
        });
    };
    stated("in-process, native, recorded", &mut |operations| {
        asynchronously(&native, operations);
    });
    stated(
        "in-process, native, from an SDK context, recorded",
        &mut |operations| asynchronously(&sdk, operations),
    );
    stated("in-process, LocalFlags, recorded", &mut |operations| {
        at_once(&native, operations);
    });
    let (_goff, unrecorded) =
        relay.connect(runtime, |options| options.disable_data_collection(true))?;
    stated("in-process, LocalFlags, not recorded", &mut |operations| {
        for _ in 0..operations {
            black_box(unrecorded.evaluate(FLAG, &native, false).value);
        }
    });
    suite.compare(Comparison {
        name: "in-process, LocalFlags, a generated function",
        measure: Measure::NanosecondsPerOperation,
        operations: 50_000,
        subject: &mut |operations| {
            for _ in 0..operations {
                black_box(typed::bool_targeting_match(&unrecorded, &native));
            }
        },
        baseline_name: "the untyped call",
        baseline: &mut |operations| {
            for _ in 0..operations {
                black_box(unrecorded.evaluate(FLAG, &native, false).value);
            }
        },
        budget: Budget::AtMost(1.1),
    });
    Ok(())
}

/// Contexts of the same content: the order inside an SDK context is random and decides how long a
/// look-up takes.
const CONTEXTS: u64 = 8;

/// Evaluates through an OpenFeature client with each context in turn.
fn through_each<'a>(
    runtime: &'a Runtime,
    client: &'a open_feature::Client,
    contexts: &'a [open_feature::EvaluationContext],
) -> impl FnMut(u64) + 'a {
    move |operations| {
        for context in contexts {
            evaluate_through(runtime, client, FLAG, context)(operations / CONTEXTS);
        }
    }
}

/// Both sides must give the same answer, or the comparison is meaningless.
fn same_answers(
    runtime: &Runtime,
    clients: &[&open_feature::Client],
    context: &open_feature::EvaluationContext,
) -> Result<(), Failure> {
    let mut answers = Vec::new();
    for client in clients {
        let details = runtime.block_on(client.get_bool_details(FLAG, Some(context), None));
        answers.push(details.map_err(|error| format!("{error:?}"))?);
    }
    let same = answers.windows(2).all(|pair| match pair {
        [left, right] => {
            (left.value, &left.variant, &left.reason, &left.flag_metadata)
                == (
                    right.value,
                    &right.variant,
                    &right.reason,
                    &right.flag_metadata,
                )
        }
        _ => true,
    });
    if same {
        Ok(())
    } else {
        Err(format!("the answers differ: {answers:?}").into())
    }
}

/// The six flags of the budgets from an SDK context by reference, beside the engine's own context.
fn contexts(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    let text = Value::from(flags()).to_string();
    let flags = FlagSet::from_json(text.as_bytes())?;
    let (goff, _) = FlagsRelay::serving(&text, 1).connect(runtime, |options| options)?;
    let native = NativeContext::new();
    let sdk = sdk_context();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for (name, ..) in measured().into_iter().take(6) {
        let key = key_of(name);
        let mut natively = |operations: u64| {
            for _ in 0..operations {
                black_box(flags.evaluate(black_box(&key), black_box(&native), &flag_context, now));
            }
        };
        let mut by_reference = |operations: u64| {
            for _ in 0..operations {
                let context = EngineContext(black_box(&sdk));
                black_box(flags.evaluate(black_box(&key), &context, &flag_context, now));
            }
        };
        let mut resolving = |operations: u64| {
            runtime.block_on(async {
                for _ in 0..operations {
                    let outcome = goff.resolve(black_box(&key), black_box(&sdk)).await;
                    black_box(outcome.result.is_ok());
                }
            });
        };
        for (what, subject, budget) in [
            (
                "engine",
                &mut by_reference as &mut dyn FnMut(u64),
                Budget::AtMost(2.0),
            ),
            ("resolve", &mut resolving, Budget::Stated),
        ] {
            suite.compare(Comparison {
                name: &format!("in-process, SDK context, {what}: {name}"),
                measure: Measure::NanosecondsPerOperation,
                operations: window(subject),
                subject,
                baseline_name: "the engine's own context",
                baseline: &mut natively,
                budget,
            });
        }
    }
    Ok(())
}

/// Of a thread in a window, which takes about as long as the arithmetic does: a processor that slept
/// needs a millisecond to wake up.
const EVALUATIONS: u32 = 200_000;

fn scaling(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    let relay = FlagsRelay::serving(&Value::from(flags()).to_string(), 1);
    // One context for each user, as in an application.
    let contexts: Vec<_> = (0..MOST_THREADS).map(|_| core_context()).collect();
    for (recorded, of_snapshot, of_flags) in [("not recorded", 0.9, 0.85), ("recorded", 0.6, 0.6)] {
        let (goff, local) = relay.connect(runtime, |options| {
            options.disable_data_collection(recorded == "not recorded")
        })?;
        let snapshot = local.snapshot();
        let evaluate_each = |thread: usize, evaluate: &dyn Fn(&EvaluationContext)| {
            if let Some(context) = contexts.get(thread) {
                (0..EVALUATIONS).for_each(|_| evaluate(context));
            }
        };
        let from_snapshot = |thread| {
            evaluate_each(thread, &|context| {
                black_box(snapshot.evaluate(FLAG, context, false).value);
            });
        };
        let from_flags = |thread| {
            evaluate_each(thread, &|context| {
                black_box(local.evaluate(FLAG, context, false).value);
            });
        };
        let from_client = |thread: usize| {
            runtime.block_on(async {
                if let Some(context) = contexts.get(thread) {
                    for _ in 0..EVALUATIONS {
                        black_box(goff.evaluate(FLAG, context, false).await.value);
                    }
                }
            });
        };
        for (name, work, at_least) in [
            (
                "snapshot",
                &from_snapshot as &(dyn Fn(usize) + Sync),
                of_snapshot,
            ),
            ("LocalFlags", &from_flags, of_flags),
            ("native client", &from_client, of_flags),
        ] {
            let name = format!("in-process, {name}, {recorded}");
            threads(suite, &name, work, Some(at_least));
        }
    }
    Ok(())
}

/// A pause between two messages. Messages that follow each other faster share fetches, and wait for
/// them on purpose.
const QUIET: Duration = Duration::from_millis(1_200);

/// The time from a change message to the new value, among 1,000 flags.
fn changes(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    const NAME: &str = "in-process, message to new value";
    if !suite.wants(NAME) {
        return Ok(());
    }
    let mut flags = flags();
    let relay = FlagsRelay::serving(&Value::from(flags.clone()).to_string(), 0);
    let (goff, local) = relay.connect(runtime, |options| options)?;
    let sink = goff.invalidation_sink();
    let mut times = Vec::new();
    for version in 1..=WINDOWS {
        flags.insert("changing".to_owned(), constant_flag(version));
        relay.serve(Value::from(flags.clone()).to_string().into(), version);
        std::thread::sleep(QUIET);
        let start = Instant::now();
        sink.invalidate(Invalidation::Flags(["changing".to_owned()].into()));
        times.push(served_after(start, &local, version)?);
    }
    add_milliseconds(suite, NAME, &mut times);
    Ok(())
}

/// The same with the message and the configuration on a socket.
fn changes_over_a_socket(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    const NAME: &str = "in-process, message on a socket to new value";
    if !suite.wants(NAME) {
        return Ok(());
    }
    let mut flags = flags();
    let relay = EmbeddedRelay::builder()
        .flags(Value::from(flags.clone()).to_string())
        .start()?;
    let options =
        GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(EvaluationType::InProcess);
    let (_goff, local) = connect(runtime, options)?;
    let opening = Instant::now();
    while relay.change_streams() == 0 {
        within(opening)?;
        std::thread::yield_now();
    }
    let mut times = Vec::new();
    for version in 1..=WINDOWS {
        flags.insert("changing".to_owned(), constant_flag(version));
        // The relay proxy loads the flags first; the message is sent once the streams are open again.
        relay.silence_change_streams(true);
        relay.set_flags(&Value::from(flags.clone()).to_string())?;
        std::thread::sleep(QUIET);
        let start = Instant::now();
        relay.silence_change_streams(false);
        times.push(served_after(start, &local, version)?);
    }
    add_milliseconds(suite, NAME, &mut times);
    Ok(())
}

fn constant_flag(version: usize) -> Value {
    json!({"variations": {"current": version}, "defaultRule": {"variation": "current"}})
}

fn served_after(start: Instant, local: &LocalFlags, version: usize) -> Result<f64, Failure> {
    let context = core_context();
    let version = i64::try_from(version)?;
    while local.evaluate("changing", &context, -1_i64).value != version {
        within(start)?;
        // Leaves the processor to the tasks that fetch the value.
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(start.elapsed().as_secs_f64() * 1e3)
}

fn within(start: Instant) -> Result<(), Failure> {
    if start.elapsed() < Duration::from_secs(30) {
        Ok(())
    } else {
        Err("no result within 30 s".into())
    }
}

fn add_milliseconds(suite: &mut Suite, name: &str, times: &mut [f64]) {
    let value = median(times);
    let longest = times.last().copied().unwrap_or_default();
    let budget = format!("<= 50 ms; the longest {longest:.1} ms");
    suite.add(Row::stated(name, value, "ms").judged(budget, value <= 50.0));
}

/// The 99th percentile of an evaluation's CPU time while 10,000 flags are fetched, compiled,
/// compared, swapped and freed, beside that of an idle client.
fn refreshes(suite: &mut Suite, runtime: &Runtime) -> Result<(), Failure> {
    const NAME: &str = "in-process, p99 during a refresh of 10,000 flags";
    const COUNT: usize = 10_000;
    if !suite.wants(NAME) {
        return Ok(());
    }
    let text = configuration(COUNT);
    // One flag in a hundred changes each time.
    let texts: [Arc<str>; 2] = [
        text.replace("and age gt 1", "and age gt 2").into(),
        text.into(),
    ];
    let keys: Vec<String> = FlagSet::from_json(texts[0].as_bytes())?
        .iter()
        .map(|flag| flag.key().to_owned())
        .collect();
    let relay = FlagsRelay::serving(&texts[1], 0);
    let (goff, local) = relay.connect(runtime, |options| options)?;
    let sink = goff.invalidation_sink();
    let context = core_context();
    let clock = cost_of_the_clock();
    let mut at = 0;
    let mut evaluate = || {
        // A stride coprime to the number of flags visits each.
        at = (at + 7919) % keys.len();
        let key = keys.get(at).map_or("", String::as_str);
        let start = thread_cpu_time();
        black_box(local.evaluate(key, &context, Value::Null).value);
        (thread_cpu_time() - start).as_secs_f64() * 1e9 - clock
    };
    let (mut usual, mut refreshing) = (Vec::new(), Vec::new());
    for version in 1..=WINDOWS {
        let mut times: Vec<f64> = (0..5 * COUNT).map(|_| evaluate()).collect();
        usual.push(ninety_ninth(&mut times));
        times.clear();
        let refreshes = goff.stats().refreshes;
        if let Some(text) = texts.get(version % 2) {
            relay.serve(Arc::clone(text), version);
        }
        sink.invalidate(Invalidation::All);
        let start = Instant::now();
        while goff.stats().refreshes == refreshes {
            within(start)?;
            times.extend((0..100).map(|_| evaluate()));
        }
        // The first evaluation of every flag after the swap.
        times.extend((0..COUNT).map(|_| evaluate()));
        refreshing.push(ninety_ninth(&mut times));
    }
    let (value, baseline) = (median(&mut refreshing), median(&mut usual));
    let row = Row::stated(NAME, value, "ns");
    suite.add(row.beside(baseline, "the usual p99", Budget::AtMost(2.0)));
    Ok(())
}

fn cost_of_the_clock() -> f64 {
    let mut times: Vec<f64> = (0..10_000)
        .map(|_| {
            let start = thread_cpu_time();
            (thread_cpu_time() - start).as_secs_f64() * 1e9
        })
        .collect();
    median(&mut times)
}

fn ninety_ninth(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times
        .get(times.len() * 99 / 100)
        .copied()
        .unwrap_or_default()
}
