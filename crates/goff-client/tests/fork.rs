//! A process that is forked while it has a client with its own thread for I/O, as prefork servers do.
//!
//! A separate test binary with one test, whose relay proxy has a process: a thread of any library may
//! hold a lock at the fork, which the forked process then waits for without end (`parking_lot` keeps
//! its parked threads in one table for the whole process, and tokio may use it).
#![cfg(all(unix, feature = "ws", feature = "in-process"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead as _, BufReader, PipeWriter, Read as _, Write as _, pipe, stderr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use fork::{Fork, WEXITSTATUS, WIFEXITED, fork, waitpid};
use goff_client::{
    EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, InitializeError,
    NoRuntimeError,
};
use goff_testkit::EmbeddedRelay;
use pollster::block_on;
use tokio::runtime::Builder;
use tokio::time::timeout;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Runs `child` in a forked process. A panic there prints its message, and fails the test.
#[track_caller]
fn in_a_forked_process(child: impl AsyncFnOnce()) {
    let pid = match fork().unwrap() {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            // The test harness would capture the message, and nothing reads its buffer here.
            std::panic::set_hook(Box::new(|info| {
                let _ = writeln!(stderr(), "in the forked process: {info}");
            }));
            let run = AssertUnwindSafe(|| {
                let runtime = Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async { timeout(3 * TIMEOUT, child()).await.unwrap() });
            });
            let status = i32::from(catch_unwind(run).is_err());
            std::process::exit(status);
        }
    };
    let status = waitpid(pid).unwrap();
    assert!(WIFEXITED(status), "{status}");
    assert_eq!(WEXITSTATUS(status), 0);
}

/// Starts a relay proxy in a forked process, which ends when the writer is dropped.
fn relay(flags: &str) -> (String, i32, PipeWriter) {
    let (endpoint, mut sends_endpoint) = pipe().unwrap();
    let (mut is_needed, needs) = pipe().unwrap();
    let pid = match fork().unwrap() {
        Fork::Parent(pid) => pid,
        Fork::Child => {
            drop(needs);
            let relay = EmbeddedRelay::builder().flags(flags).start().unwrap();
            writeln!(sends_endpoint, "{}", relay.endpoint()).unwrap();
            let _ = is_needed.read(&mut [0]);
            std::process::exit(0);
        }
    };
    drop(sends_endpoint);
    let mut line = String::new();
    BufReader::new(endpoint).read_line(&mut line).unwrap();
    (line.trim_end().to_owned(), pid, needs)
}

async fn value(goff: &GoFeatureFlag) -> i64 {
    let context = EvaluationContext::builder().targeting_key("a").build();
    goff.evaluate("flag", &context, 0_i64).await.value
}

/// The thread is missing there, so every call returns at once, and says why. The usage data stays
/// with the process that recorded it. A client that has no thread yet works, if no other thread ran
/// at the fork.
#[test]
fn forked_process_has_no_thread_and_no_call_hangs() {
    let (endpoint, relay, needs_relay) =
        relay("flag: {variations: {on: 7}, defaultRule: {variation: on}}");
    let modes = [EvaluationType::Remote, EvaluationType::InProcess].map(|mode| {
        GoFeatureFlagOptions::new(&endpoint)
            .evaluation_type(mode)
            .own_runtime(true)
    });
    let new = modes
        .clone()
        .map(|options| GoFeatureFlag::new(options).unwrap());
    for new in &new {
        in_a_forked_process(async || {
            new.initialize().await.unwrap();
            assert_eq!(value(new).await, 7);
            new.shutdown(TIMEOUT).await;
        });
    }
    for (options, new) in modes.into_iter().zip(&new) {
        let forked = async |goff: &GoFeatureFlag| {
            let error = timeout(TIMEOUT, goff.initialize()).await.unwrap();
            let expected = NoRuntimeError::Forked;
            let Err(InitializeError::NoRuntime(error)) = error else {
                panic!("{error:?}");
            };
            assert_eq!(error, expected);
            let check = goff.check(TIMEOUT).await;
            let text = check.error.unwrap().to_string();
            assert!(text.contains("forked"), "{text}");
            goff.flush(TIMEOUT).await;
            goff.shutdown(TIMEOUT).await;
        };
        let running = block_on(GoFeatureFlag::connect(options.clone())).unwrap();
        assert_eq!(block_on(value(&running)), 7);
        in_a_forked_process(async || timeout(TIMEOUT, forked(&running)).await.unwrap());
        block_on(running.shutdown(TIMEOUT));
        // The thread stays until the client is dropped.
        in_a_forked_process(async || timeout(TIMEOUT, forked(&running)).await.unwrap());
        let checked = GoFeatureFlag::new(options).unwrap();
        assert!(block_on(checked.check(TIMEOUT)).is_ok());
        in_a_forked_process(async || timeout(TIMEOUT, forked(&checked)).await.unwrap());
        for goff in [&running, new] {
            block_on(goff.initialize()).unwrap();
            assert_eq!(block_on(value(goff)), 7);
        }
    }
    drop(needs_relay);
    assert_eq!(WEXITSTATUS(waitpid(relay).unwrap()), 0);
}
