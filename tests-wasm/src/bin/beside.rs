//! The time of one evaluation of each measured flag in both modules, the official one in
//! `GOFF_OFFICIAL_MODULE`, in turns. Fails unless ours is ten times as fast for each of the first six.

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use goff_tests_wasm::measured_flags::measured;
use goff_tests_wasm::native_context::USER;
use goff_tests_wasm::{
    Budget, Compiled, Failure, Guest, STACK, UNLIMITED, agree, document, module_file,
};

/// Windows of each module; the median counts.
const WINDOWS: usize = 21;

/// How long a window takes, in seconds.
const WINDOW: f64 = 0.02;

/// How many times as fast the flags with a budget must be.
const LEAST: f64 = 10.0;

fn main() -> Result<ExitCode, Failure> {
    let [ours, official] = ["GOFF_WASM_MODULE", "GOFF_OFFICIAL_MODULE"].map(module_file);
    let mut ours = Compiled::new(&ours, STACK)?.instance(UNLIMITED)?;
    let mut official = Compiled::new(&official, STACK)?.instance(UNLIMITED)?;
    println!(
        "{:<30} {:>12} {:>12} {:>8}",
        "flag", "official, µs", "ours, µs", "ratio"
    );
    let mut is_fast = true;
    for (name, flag, budget) in measured() {
        let input = document(name, &flag, USER);
        let [answer, expected] = [
            ours.evaluate(input.as_bytes())?,
            official.evaluate(input.as_bytes())?,
        ];
        if !agree(&answer, &expected) {
            return Err(format!("{name}: {answer} instead of {expected}").into());
        }
        let [mut times, mut official_times] = [Vec::new(), Vec::new()];
        let [count, official_count] = [count(&mut ours, &input)?, count(&mut official, &input)?];
        for _ in 0..WINDOWS {
            official_times.push(window(&mut official, &input, official_count)?);
            times.push(window(&mut ours, &input, count)?);
        }
        let [time, official_time] = [median(times), median(official_times)];
        let ratio = official_time / time;
        println!("{name:<30} {official_time:>12.2} {time:>12.2} {ratio:>8.1}");
        is_fast &= ratio >= LEAST || matches!(budget, Budget::Stated);
    }
    println!(
        "one evaluation is `malloc`, writing the input, `evaluate`, reading the output, `free`; medians of {WINDOWS} windows"
    );
    if is_fast {
        return Ok(ExitCode::SUCCESS);
    }
    println!("a flag with a budget is less than {LEAST} times as fast");
    Ok(ExitCode::FAILURE)
}

/// Evaluations that fill a window.
fn count(guest: &mut Guest, input: &str) -> Result<u32, Failure> {
    let mut count = 1;
    loop {
        let seconds = window(guest, input, count)? * f64::from(count) / 1e6;
        if seconds >= WINDOW {
            return Ok(count);
        }
        count *= 2;
    }
}

/// Microseconds of one of so many evaluations.
fn window(guest: &mut Guest, input: &str, count: u32) -> Result<f64, Failure> {
    let start = Instant::now();
    for _ in 0..count {
        black_box(guest.evaluate(black_box(input.as_bytes()))?);
    }
    Ok(start.elapsed().as_secs_f64() * 1e6 / f64::from(count))
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}
