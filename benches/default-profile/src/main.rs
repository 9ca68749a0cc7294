//! Evaluates flags as a user's crate does, in cargo's default release profile.
//!
//! The first line of standard input is a flag configuration in JSON. Each further line is
//! `engine OPERATIONS KEY` or `client OPERATIONS KEY`: the program evaluates the flag that many times,
//! with the engine or with `LocalFlags`, and answers with the nanoseconds that one evaluation took.
//! `benches/src/bin/default_profile.rs` is at the other end.

#[path = "../../src/core_context.rs"]
mod core_context;
#[path = "../../src/measured_context.rs"]
mod measured_context;
#[path = "../../src/native_context.rs"]
mod native_context;

use std::error::Error;
use std::hint::black_box;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;

use goff_client::LocalFlags;
use goff_engine::{FlagContext, FlagSet, Timestamp};

fn main() -> Result<(), Box<dyn Error>> {
    let mut lines = stdin().lock().lines();
    let configuration = lines.next().ok_or("no configuration")??;
    let flags = FlagSet::from_json(configuration.as_bytes())?;
    let local = LocalFlags::from_flags(&configuration)?;
    let native = native_context::NativeContext::new();
    let context = core_context::core_context();
    let flag_context = FlagContext::default();
    let now = Timestamp::from_unix_seconds(1_720_000_000);
    for line in lines {
        let line = line?;
        let (what, rest) = line.split_once(' ').ok_or("no operations")?;
        let (operations, key) = rest.split_once(' ').ok_or("no key")?;
        let operations: u32 = operations.parse()?;
        let start = Instant::now();
        if what == "engine" {
            for _ in 0..operations {
                black_box(flags.evaluate(black_box(key), black_box(&native), &flag_context, now));
            }
        } else {
            for _ in 0..operations {
                black_box(local.evaluate(black_box(key), black_box(&context), false));
            }
        }
        let nanoseconds = start.elapsed().as_secs_f64() * 1e9 / f64::from(operations);
        writeln!(stdout(), "{nanoseconds}")?;
        stdout().flush()?;
    }
    Ok(())
}
