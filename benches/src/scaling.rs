//! The speed-up of two threads over one, beside that of plain arithmetic on the same machine.

use std::hint::black_box;
use std::time::Instant;

use crate::{Budget, Row, Suite, WINDOWS, median};

/// Adds a row: the speed-up of `work`, called with the number of its thread (0 or 1), beside that of
/// arithmetic. `at_least` is the budget of their ratio, if there is one.
pub fn two_threads(
    suite: &mut Suite,
    name: &str,
    work: &(dyn Fn(usize) + Sync),
    at_least: Option<f64>,
) {
    if !suite.wants(name) {
        return;
    }
    let (mut measured, mut plain) = (Vec::new(), Vec::new());
    for _ in 0..WINDOWS {
        measured.push(speed_up(work));
        plain.push(speed_up(&arithmetic));
    }
    let (value, baseline) = (median(&mut measured), median(&mut plain));
    let budget = at_least.map_or(Budget::Stated, Budget::AtLeast);
    suite.add(Row::stated(name, value, "x").beside(baseline, "arithmetic", budget));
}

fn speed_up(work: &(dyn Fn(usize) + Sync)) -> f64 {
    let start = Instant::now();
    work(0);
    work(1);
    let one = start.elapsed();
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| work(0));
        scope.spawn(|| work(1));
    });
    one.as_secs_f64() / start.elapsed().as_secs_f64()
}

fn arithmetic(_: usize) {
    let mut value = 1_u64;
    for step in 0..10_000_000_u64 {
        value = black_box(
            value
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step),
        );
    }
    black_box(value);
}
