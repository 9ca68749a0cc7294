//! The parts of a long command, each with its outcome and time.

use std::fmt;
use std::time::{Duration, Instant};

use crate::program::Failure;

/// What has run so far. A part that fails does not keep the next from running.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    done: Vec<(&'static str, Duration, Result<(), Failure>)>,
}

impl Parts {
    pub(crate) fn run(&mut self, name: &'static str, run: impl FnOnce() -> Result<(), Failure>) {
        println!("\n=== {name}");
        let start = Instant::now();
        let outcome = run();
        if let Err(failure) = &outcome {
            println!("{failure}");
        }
        self.done.push((name, start.elapsed(), outcome));
    }

    /// Prints the table; a failure if a part failed.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!("\n{self}");
        let (all, failed) = (self.done.len(), self.done.iter());
        match failed.filter(|(.., outcome)| outcome.is_err()).count() {
            0 => Ok(()),
            failed => Err(format!("{failed} of {all} parts failed").into()),
        }
    }
}

/// A line for each part, and the time of all.
impl fmt::Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, time, outcome) in &self.done {
            let outcome = if outcome.is_ok() { "ok" } else { "FAILED" };
            let seconds = time.as_secs_f64();
            writeln!(formatter, "{seconds:>8.1} s  {outcome:<6}  {name}")?;
        }
        let total: Duration = self.done.iter().map(|(_, time, _)| *time).sum();
        write!(formatter, "{:>8.1} s  in all", total.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_fails_fails_the_whole_and_the_next_still_runs() {
        let mut parts = Parts::default();
        let mut ran = false;
        parts.run("first", || Err("on purpose".into()));
        parts.run("second", || {
            ran = true;
            Ok(())
        });
        assert!(ran);
        let table = parts.to_string();
        assert!(table.contains("FAILED  first"), "{table}");
        assert!(table.contains("ok      second"), "{table}");
        let failure = parts.finish().unwrap_err();
        assert_eq!(failure.to_string(), "1 of 2 parts failed");
    }
}
