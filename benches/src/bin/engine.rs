//! The evaluation engine beside its floor: hash the flag key, find it among 1,000, and hash flag key
//! and user key for bucketing, the least that a split needs.

use std::{alloc::System, collections::HashMap, hint::black_box, process::ExitCode, time::Instant};

use goff_benches::contexts::{NativeContext, USER, map_context};
use goff_benches::measured_flags::{configuration, document, key_of, measured};
use goff_benches::scaling::threads;
use goff_benches::{
    Budget, Comparison, Measure, Row, Suite, WINDOWS, median, thread_cpu_time, window,
};
use goff_engine::{FlagContext, FlagSet, Timestamp};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let mut suite = Suite::from_arguments()?;
    evaluations(&mut suite)?;
    loading(&mut suite)?;
    scaling(&mut suite)?;
    Ok(suite.finish()?)
}

fn evaluations(suite: &mut Suite) -> Result<(), Box<dyn std::error::Error>> {
    let measured = measured();
    let flags = document();
    let keys: HashMap<String, u32, foldhash::fast::RandomState> =
        flags.keys().cloned().zip(0..).collect();
    let flags = FlagSet::from_json(&serde_json::to_vec(&flags)?)?;
    let native = NativeContext::new();
    let map = map_context();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for (name, _, budget) in measured {
        let key = key_of(name);
        let mut evaluate = |operations: u64| {
            for _ in 0..operations {
                black_box(flags.evaluate(black_box(&key), black_box(&native), &flag_context, now));
            }
        };
        let mut floor = |operations: u64| {
            for _ in 0..operations {
                let key = black_box(key.as_str());
                black_box(keys.get(key));
                black_box(fnv(key, black_box(USER)));
            }
        };
        suite.compare(Comparison {
            name: &format!("engine: {name}"),
            measure: Measure::NanosecondsPerOperation,
            operations: window(&mut evaluate),
            subject: &mut evaluate,
            baseline_name: "F",
            baseline: &mut floor,
            budget,
        });
        let mut evaluate = |operations: u64| {
            for _ in 0..operations {
                black_box(flags.evaluate(black_box(&key), black_box(&map), &flag_context, now));
            }
        };
        suite.compare(Comparison {
            name: &format!("engine, JSON map context: {name}"),
            measure: Measure::NanosecondsPerOperation,
            operations: window(&mut evaluate),
            subject: &mut evaluate,
            baseline_name: "F",
            baseline: &mut floor,
            budget: Budget::Stated,
        });
        let region = Region::new(ALLOCATOR);
        black_box(flags.evaluate(&key, &native, &flag_context, now));
        let allocations = region.change().allocations;
        if suite.wants(&format!("engine, allocations: {name}")) {
            let row = Row::stated(
                format!("engine, allocations: {name}"),
                allocations as f64,
                "",
            );
            let may_allocate = name.starts_with("JSONLogic, i") || name == "version";
            suite.add(if may_allocate {
                row
            } else {
                row.judged("0", allocations == 0)
            });
        }
    }
    Ok(())
}

fn fnv(flag_key: &str, user: &str) -> u32 {
    let mut hash = 2_166_136_261_u32;
    for byte in flag_key.bytes().chain(user.bytes()) {
        hash = (hash ^ u32::from(byte)).wrapping_mul(16_777_619);
    }
    hash
}

fn loading(suite: &mut Suite) -> Result<(), Box<dyn std::error::Error>> {
    const LOADED: usize = 10_000;
    let text = configuration(LOADED);
    if suite.wants("load: 10,000 flags") {
        let (mut times, mut cpu_times) = (Vec::new(), Vec::new());
        for _ in 0..WINDOWS {
            let (start, cpu_start) = (Instant::now(), thread_cpu_time());
            let flags = FlagSet::from_json(black_box(text.as_bytes()))?;
            cpu_times.push((thread_cpu_time() - cpu_start).as_secs_f64() * 1e3);
            times.push(start.elapsed().as_secs_f64() * 1e3);
            black_box(flags);
        }
        let (time, cpu) = (median(&mut times), median(&mut cpu_times));
        let budget = format!("<= 100 ms of CPU time: {cpu:.1}");
        suite.add(Row::stated("load: 10,000 flags", time, "ms").judged(budget, cpu <= 100.0));
    }
    if suite.wants("memory: 10,000 flags, of the JSON's size") {
        let region = Region::new(ALLOCATOR);
        let flags = FlagSet::from_json(text.as_bytes())?;
        let change = region.change();
        black_box(&flags);
        let bytes = change.bytes_allocated as f64 - change.bytes_deallocated as f64;
        let row = Row::stated("memory: 10,000 flags, of the JSON's size", bytes, "B");
        let size = text.len() as f64;
        assert!(flags.iter().all(|flag| flag.error().is_none()));
        suite.add(row.beside(size, "JSON", Budget::AtMost(3.0)));
    }
    Ok(())
}

/// Several threads on one configuration, beside as many of plain arithmetic.
fn scaling(suite: &mut Suite) -> Result<(), Box<dyn std::error::Error>> {
    let flags = FlagSet::from_json(configuration(100).as_bytes())?;
    let keys: Vec<&str> = flags.iter().map(goff_engine::Flag::key).collect();
    let native = NativeContext::new();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    let evaluate = || {
        for _ in 0..2_000 {
            for key in &keys {
                black_box(flags.evaluate(black_box(key), &native, &flag_context, now));
            }
        }
    };
    threads(suite, "engine", &|_| evaluate(), Some(0.95));
    Ok(())
}
