//! How fast the command starts.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::FLAGS;
use crate::goff::{Goff, binary};

/// The fastest of many runs, since other processes only add to the time. A debug build is slower, and
/// has only a rough limit; the limit of a release build is the documented one:
/// `cargo test --release -p goff-cli --test commands start`.
#[test]
fn evaluate_starts_fast() {
    let limit = match cfg!(debug_assertions) {
        true => Duration::from_millis(200),
        false => Duration::from_millis(20),
    };
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let run = |_| {
        let mut command = Command::new(binary());
        command.args(["evaluate", "-f", "flags.yaml", "banner", "-u", "user-1"]);
        command.current_dir(goff.path("")).stdout(Stdio::null());
        let started = Instant::now();
        assert!(command.status().unwrap().success());
        started.elapsed()
    };
    let fastest = (0..30).map(run).min().unwrap();
    println!("goff evaluate: {fastest:?}");
    assert!(fastest < limit, "{fastest:?}");
}
