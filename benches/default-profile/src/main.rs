//! Evaluates flags as a user's crate does, in cargo's default release profile.
//!
//! The first line of standard input is a flag configuration in JSON. Each further line is
//! `OPERATIONS KEY`: the program evaluates the flag that many times and answers with the
//! nanoseconds that one evaluation took. `benches/src/bin/default_profile.rs` is at the other end.

#[path = "../../src/native_context.rs"]
mod native_context;

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use goff_engine::{FlagContext, FlagSet, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = stdin().lock().lines();
    let configuration = lines.next().ok_or("no configuration")??;
    let flags = FlagSet::from_json(configuration.as_bytes())?;
    let context = native_context::NativeContext::new();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for line in lines {
        let line = line?;
        let (operations, key) = line.split_once(' ').ok_or("no key")?;
        let operations: u32 = operations.parse()?;
        let start = Instant::now();
        for _ in 0..operations {
            black_box(flags.evaluate(black_box(key), black_box(&context), &flag_context, now));
        }
        let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / f64::from(operations);
        writeln!(stdout(), "{nanoseconds}")?;
        stdout().flush()?;
    }
    Ok(())
}
