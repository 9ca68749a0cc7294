// Runs a target and fails when it takes too long.

use rustix::time::{ClockId, clock_gettime};

use crate::inputs::{MAX_LENGTH, MAX_TIME};

/// Coverage counters make everything slower than it is in an optimised build.
const INSTRUMENTED: u32 = 2;

pub fn run(target: fn(&[u8]), input: &[u8]) {
    if input.len() > MAX_LENGTH {
        return;
    }
    let start = clock_gettime(ClockId::ThreadCPUTime);
    target(input);
    let end = clock_gettime(ClockId::ThreadCPUTime);
    let nanoseconds = (end.tv_sec - start.tv_sec) * 1_000_000_000 + (end.tv_nsec - start.tv_nsec);
    assert!(
        u128::try_from(nanoseconds).unwrap_or(0) <= (MAX_TIME * INSTRUMENTED).as_nanos(),
        "took {nanoseconds} ns of CPU time"
    );
}
