//! The parts of a long command, each with its outcome and time.

use std::fmt;
use std::time::{Duration, Instant};

use crate::program::{Failure, Missing};

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

    /// Prints the table; a failure if a part failed, or could not run.
    pub(crate) fn finish(self) -> Result<(), Failure> {
        println!("\n{self}");
        let count = |wanted| {
            let states = self.done.iter().map(|(.., outcome)| state(outcome));
            states.filter(|state| *state == wanted).count()
        };
        match (count(FAILED), count(NOT_RUN), self.done.len()) {
            (0, 0, _) => Ok(()),
            (failed, 0, all) => Err(format!("{failed} of {all} parts failed").into()),
            (failed, not_run, all) => {
                Err(format!("{failed} of {all} parts failed, {not_run} did not run").into())
            }
        }
    }

    /// The name of each part and its line in the table.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (&'static str, String)> {
        self.done.iter().map(|(name, time, outcome)| {
            let (seconds, state) = (time.as_secs_f64(), state(outcome));
            (*name, format!("{seconds:>8.1} s  {state:<7}  {name}"))
        })
    }
}

const FAILED: &str = "FAILED";
const NOT_RUN: &str = "NOT RUN";

/// A part that needs what this machine lacks is neither passed nor failed.
fn state(outcome: &Result<(), Failure>) -> &'static str {
    match outcome {
        Ok(()) => "ok",
        Err(failure) if failure.is::<Missing>() => NOT_RUN,
        Err(_) => FAILED,
    }
}

/// A line for each part, and the time of all.
impl fmt::Display for Parts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (_, line) in self.lines() {
            writeln!(formatter, "{line}")?;
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
        assert!(table.contains("FAILED   first"), "{table}");
        assert!(table.contains("ok       second"), "{table}");
        let failure = parts.finish().unwrap_err();
        assert_eq!(failure.to_string(), "1 of 2 parts failed");
    }

    #[test]
    fn a_part_that_lacks_a_tool_is_neither_passed_nor_failed() {
        let mut parts = Parts::default();
        parts.run("first", || Ok(()));
        parts.run("second", || Err(Missing("a tool".into()).into()));
        let table = parts.to_string();
        assert!(table.contains("NOT RUN  second"), "{table}");
        let failure = parts.finish().unwrap_err();
        assert_eq!(failure.to_string(), "0 of 2 parts failed, 1 did not run");
    }
}
