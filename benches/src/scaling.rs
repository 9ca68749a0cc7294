//! The speed-up of several threads over one, beside that of plain arithmetic on the same machine.

use std::hint::black_box;
use std::thread;
use std::time::Instant;

use crate::{Budget, Row, Suite, WINDOWS};

/// Adds a row for 2, 4, 8 and 16 threads, as far as they can run at the same time: the speed-up of
/// `work`, called with the number of its thread, beside that of arithmetic. `at_least` is the budget of
/// their ratio, if there is one.
pub fn threads(
    suite: &mut Suite,
    name: &str,
    work: &(dyn Fn(usize) + Sync),
    at_least: Option<f64>,
) {
    let processors = thread::available_parallelism().map_or(1, Into::into);
    // On one processor the row says only that two threads are no slower.
    for threads in THREADS.into_iter().filter(|n| *n <= processors.max(2)) {
        let name = format!("{name}, {threads} threads beside 1");
        if !suite.wants(&name) {
            continue;
        }
        let pairs: Vec<_> = (0..WINDOWS)
            .map(|_| (speed_up(threads, work), speed_up(threads, &arithmetic)))
            .collect();
        let budget = at_least.map_or(Budget::Stated, Budget::AtLeast);
        suite.add(Row::of_pairs(name, &pairs, "x", "arithmetic", budget));
    }
}

const THREADS: [usize; 4] = [2, 4, 8, 16];

/// The most threads of a row.
pub const MOST_THREADS: usize = 16;

fn speed_up(threads: usize, work: &(dyn Fn(usize) + Sync)) -> f64 {
    let start = Instant::now();
    (0..threads).for_each(work);
    let one = start.elapsed();
    let start = Instant::now();
    thread::scope(|scope| {
        for thread in 0..threads {
            scope.spawn(move || work(thread));
        }
    });
    one.as_secs_f64() / start.elapsed().as_secs_f64()
}

/// Four sums that do not wait for one another, so that a processor is as busy as an evaluation makes it:
/// two processors may be threads of one core, where a single sum leaves the other thread half of it.
fn arithmetic(_: usize) {
    let mut sums = [1_u64, 2, 3, 4];
    for step in 0..5_000_000_u64 {
        for sum in &mut sums {
            *sum = sum
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(step);
        }
    }
    black_box(sums);
}
