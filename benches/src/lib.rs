//! The bench harness: a subject beside its baseline, in interleaved windows of one run.
//!
//! Absolute times vary between machines and over time; the ratio of two windows next to each other
//! hardly does, and a row has the median of these ratios. A bench program makes a [`Suite`] from its arguments, passes it [`Comparison`]s, and ends
//! with [`Suite::finish`], whose exit code says whether every required budget held.

pub mod constant_provider;
pub mod contexts;
mod core_context;
pub mod measured_context;
pub mod measured_flags;
mod native_context;
pub mod scaling;

use std::hint::black_box;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use serde::Serialize;

/// The selected rows of a bench program, and the measured ones.
#[derive(Debug)]
pub struct Suite {
    filter: Option<String>,
    json: Option<PathBuf>,
    rows: Vec<Row>,
}

/// One line of the result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub name: String,
    /// The subject's median, in `unit`.
    pub value: f64,
    /// The unit of `value` and `baseline`.
    pub unit: &'static str,
    /// The baseline's median in the same run, where there is one.
    pub baseline: Option<f64>,
    /// `value` divided by `baseline`, where there is one; of windows in turns, the median of the ratios
    /// of neighbours.
    pub ratio: Option<f64>,
    /// What must hold, in words; empty for a figure that is only stated.
    pub budget: String,
    /// Whether it does.
    pub holds: bool,
    /// Whether the run fails where it does not hold; false for a budget that is still to be met.
    pub required: bool,
    /// The subject's median CPU time of the measuring thread, where `unit` is a time.
    pub cpu: Option<f64>,
    /// The same of the baseline.
    pub baseline_cpu: Option<f64>,
}

impl Row {
    /// A figure without a budget.
    pub fn stated(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            name: name.into(),
            value,
            unit,
            baseline: None,
            ratio: None,
            budget: String::new(),
            holds: true,
            required: true,
            cpu: None,
            baseline_cpu: None,
        }
    }

    /// Beside a baseline in the same unit, with a budget for the ratio.
    #[must_use]
    pub fn beside(self, baseline: f64, baseline_name: &str, budget: Budget) -> Self {
        let ratio = self.value / baseline;
        Self {
            baseline: Some(baseline),
            ratio: Some(ratio),
            ..self.judged(budget.words(baseline_name), budget.holds(ratio))
        }
    }

    /// The medians of `pairs`, each a value and that of the baseline next to it.
    #[must_use]
    pub fn of_pairs(
        name: impl Into<String>,
        pairs: &[(f64, f64)],
        unit: &'static str,
        baseline_name: &str,
        budget: Budget,
    ) -> Self {
        let middle = |of: fn(&(f64, f64)) -> f64| {
            let mut values: Vec<_> = pairs.iter().map(of).collect();
            median(&mut values)
        };
        let ratio = middle(|(value, baseline)| value / baseline);
        Self {
            baseline: Some(middle(|(_, baseline)| *baseline)),
            ratio: Some(ratio),
            ..Self::stated(name, middle(|(value, _)| *value), unit)
                .judged(budget.words(baseline_name), budget.holds(ratio))
        }
    }

    /// With a budget in words.
    #[must_use]
    pub fn judged(self, budget: impl Into<String>, holds: bool) -> Self {
        Self {
            budget: budget.into(),
            holds,
            ..self
        }
    }

    /// With a budget that a later change has to meet.
    #[must_use]
    pub fn to_do(self) -> Self {
        Self {
            required: false,
            ..self
        }
    }
}

/// What a ratio must be for its budget to hold.
#[derive(Debug, Clone, Copy)]
pub enum Budget {
    /// No larger than this.
    AtMost(f64),
    /// No smaller than this.
    AtLeast(f64),
    /// Stated, not judged.
    Stated,
}

impl Budget {
    fn words(self, of: &str) -> String {
        match self {
            Self::AtMost(limit) => format!("<= {limit} x {of}"),
            Self::AtLeast(limit) => format!(">= {limit} x {of}"),
            Self::Stated => String::new(),
        }
    }

    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtMost(limit) => ratio <= limit,
            Self::AtLeast(limit) => ratio >= limit,
            Self::Stated => true,
        }
    }
}

/// What a window counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Nanoseconds an operation takes: less is better.
    NanosecondsPerOperation,
    /// Operations in a second: more is better.
    OperationsPerSecond,
}

/// A subject and its baseline. Each closure runs the given number of operations.
#[expect(
    missing_debug_implementations,
    reason = "it holds closures and lives for one call"
)]
pub struct Comparison<'a> {
    /// What is measured.
    pub name: &'a str,
    /// What a window counts.
    pub measure: Measure,
    /// Operations in one window.
    pub operations: u64,
    /// The subject.
    pub subject: &'a mut dyn FnMut(u64),
    /// What the baseline is called.
    pub baseline_name: &'a str,
    /// The baseline.
    pub baseline: &'a mut dyn FnMut(u64),
    /// What must hold between the two.
    pub budget: Budget,
}

impl Suite {
    /// Reads `[FILTER] [--json FILE]` from the program's arguments.
    ///
    /// # Errors
    /// An argument that is neither.
    pub fn from_arguments() -> Result<Self, String> {
        let mut suite = Self {
            filter: None,
            json: None,
            rows: Vec::new(),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--json" => {
                    let file = arguments.next().ok_or("`--json` needs a file")?;
                    suite.json = Some(file.into());
                }
                option if option.starts_with("--") => {
                    return Err(format!(
                        "unknown option `{option}`; usage: [FILTER] [--json FILE]"
                    ));
                }
                filter => suite.filter = Some(filter.to_owned()),
            }
        }
        Ok(suite)
    }

    /// Whether the filter selects a row of that name.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.filter
            .as_deref()
            .is_none_or(|filter| name.contains(filter))
    }

    /// Runs subject and baseline in turns, one window each, after one unmeasured window of both,
    /// and adds the row of their medians.
    pub fn compare(&mut self, comparison: Comparison<'_>) {
        let Comparison {
            name,
            measure,
            operations,
            subject,
            baseline_name,
            baseline,
            budget,
        } = comparison;
        if !self.wants(name) {
            return;
        }
        subject(operations);
        baseline(operations);
        let (mut subjects, mut baselines) = (Vec::new(), Vec::new());
        let (mut cpu, mut baseline_cpu) = (Vec::new(), Vec::new());
        for round in 0..WINDOWS {
            // Taking turns at who goes first, so that neither always finds the caches warm.
            let mut run_subject = || {
                let window = measure_window(operations, subject);
                subjects.push(window.wall(measure));
                cpu.push(window.cpu(measure));
            };
            let mut run_baseline = || {
                let window = measure_window(operations, baseline);
                baselines.push(window.wall(measure));
                baseline_cpu.push(window.cpu(measure));
            };
            if round % 2 == 0 {
                run_subject();
                run_baseline();
            } else {
                run_baseline();
                run_subject();
            }
        }
        let (unit, is_time) = match measure {
            Measure::NanosecondsPerOperation => ("ns", true),
            Measure::OperationsPerSecond => ("1/s", false),
        };
        let pairs: Vec<_> = subjects.into_iter().zip(baselines).collect();
        self.add(Row {
            cpu: is_time.then(|| median(&mut cpu)),
            baseline_cpu: is_time.then(|| median(&mut baseline_cpu)),
            ..Row::of_pairs(name, &pairs, unit, baseline_name, budget)
        });
    }

    /// Adds a row that is no comparison of two closures.
    #[expect(clippy::print_stdout, reason = "a bench prints its rows")]
    pub fn add(&mut self, row: Row) {
        let beside = match (row.baseline, row.ratio) {
            (Some(baseline), Some(ratio)) => format!("{baseline:>12.1} {ratio:>7.3}"),
            _ => format!("{:>12} {:>7}", "-", "-"),
        };
        let cpu = match (row.cpu, row.baseline_cpu) {
            (Some(cpu), Some(baseline)) => format!(" (CPU {:.3})", cpu / baseline),
            _ => " ".repeat(12),
        };
        let verdict = match (row.holds, row.required) {
            _ if row.budget.is_empty() => "stated",
            (true, _) => "holds",
            (false, true) => "FAILS",
            (false, false) => "to do",
        };
        println!(
            "{:<52} {:>12.1} {:<4} {beside}{cpu}  {verdict:<6} {}",
            row.name, row.value, row.unit, row.budget
        );
        self.rows.push(row);
    }

    /// Writes the JSON file, if `--json` names one: an array of [`Row`]s.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub fn finish(self) -> Result<ExitCode, std::io::Error> {
        if let Some(file) = &self.json {
            std::fs::write(file, serde_json::to_vec_pretty(&self.rows)?)?;
        }
        Ok(if self.rows.iter().all(|row| row.holds || !row.required) {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

#[derive(Clone, Copy)]
struct Window {
    operations: f64,
    wall: Duration,
    cpu: Duration,
}

impl Window {
    fn wall(self, measure: Measure) -> f64 {
        match measure {
            Measure::NanosecondsPerOperation => self.wall.as_secs_f64() * 1e9 / self.operations,
            Measure::OperationsPerSecond => self.operations / self.wall.as_secs_f64(),
        }
    }

    fn cpu(self, measure: Measure) -> f64 {
        Self {
            wall: self.cpu,
            ..self
        }
        .wall(measure)
    }
}

fn measure_window(operations: u64, run: &mut dyn FnMut(u64)) -> Window {
    let cpu = thread_cpu_time();
    let start = Instant::now();
    run(black_box(operations));
    #[expect(clippy::cast_precision_loss, reason = "windows are far below 2^53")]
    Window {
        operations: operations as f64,
        wall: start.elapsed(),
        cpu: thread_cpu_time().saturating_sub(cpu),
    }
}

/// Time that this thread has spent on a CPU.
#[must_use]
pub fn thread_cpu_time() -> Duration {
    cpu_time(ClockId::ThreadCPUTime)
}

/// Time that the threads of this process have spent on a CPU.
#[must_use]
pub fn process_cpu_time() -> Duration {
    cpu_time(ClockId::ProcessCPUTime)
}

fn cpu_time(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}

/// How many operations fill a window of a third of a millisecond, short enough that most windows
/// run without an interruption.
pub fn window(run: &mut dyn FnMut(u64)) -> u64 {
    const TRIED: u32 = 500;
    let best = (0..10)
        .map(|_| {
            let start = Instant::now();
            run(TRIED.into());
            start.elapsed()
        })
        .min()
        .unwrap_or_default();
    let per_operation = (best.as_secs_f64() / f64::from(TRIED)).max(1e-9);
    ((333e-6 / per_operation) as u64).max(100)
}

/// The middle of the values; 0 where there are none.
#[must_use]
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Windows of each side in one comparison.
pub const WINDOWS: usize = 25;

#[cfg(test)]
mod tests {
    use super::*;

    fn suite() -> Suite {
        Suite {
            filter: None,
            json: None,
            rows: Vec::new(),
        }
    }

    fn spin(operations: u64) {
        for n in 0..operations {
            black_box(n);
        }
    }

    #[test]
    fn ratio_of_half_the_work_is_about_a_half_and_judged() {
        let mut suite = suite();
        for (budget, holds) in [
            (Budget::AtMost(0.9), true),
            (Budget::AtLeast(0.9), false),
            (Budget::Stated, true),
        ] {
            suite.compare(Comparison {
                name: "half",
                measure: Measure::NanosecondsPerOperation,
                operations: 20_000,
                subject: &mut spin,
                baseline_name: "twice as much",
                baseline: &mut |operations| spin(operations * 2),
                budget,
            });
            let row = suite.rows.last().unwrap();
            assert_eq!(row.holds, holds, "{row:?}");
            let ratio = row.ratio.unwrap();
            assert!((0.3..0.8).contains(&ratio), "{row:?}");
        }
        assert_eq!(
            suite.finish().map(|code| format!("{code:?}")).ok(),
            Some(format!("{:?}", ExitCode::FAILURE))
        );
    }

    #[test]
    fn throughput_is_the_inverse_of_time() {
        let mut suite = suite();
        suite.compare(Comparison {
            name: "half",
            measure: Measure::OperationsPerSecond,
            operations: 20_000,
            subject: &mut spin,
            baseline_name: "twice as much",
            baseline: &mut |operations| spin(operations * 2),
            budget: Budget::AtLeast(1.2),
        });
        assert!(suite.rows[0].holds, "{:?}", suite.rows[0]);
    }

    #[test]
    fn filter_chooses_by_part_of_the_name() {
        let mut suite = suite();
        suite.filter = Some("uncached".to_owned());
        assert!(suite.wants("remote uncached, 64 in flight"));
        assert!(!suite.wants("engine static"));
    }
}
