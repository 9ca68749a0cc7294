//! A process that is forked while it has a client with its own thread for I/O, as prefork servers do.
//!
//! A separate test binary with one test: only threads that hold no lock run at the fork.
#![cfg(all(unix, feature = "ws", feature = "in-process"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{Write as _, stderr};
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

async fn value(goff: &GoFeatureFlag) -> i64 {
    let context = EvaluationContext::builder().targeting_key("a").build();
    goff.evaluate("flag", &context, 0_i64).await.value
}

/// The thread is missing there, so every call returns at once, and says why. The usage data stays
/// with the process that recorded it. A client that has no thread yet works.
#[test]
fn forked_process_has_no_thread_and_no_call_hangs() {
    let flags = "flag: {variations: {on: 7}, defaultRule: {variation: on}}";
    let relay = EmbeddedRelay::builder().flags(flags).start().unwrap();
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let options = GoFeatureFlagOptions::new(relay.endpoint())
            .evaluation_type(mode)
            .own_runtime(true);
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
        let checked = GoFeatureFlag::new(options.clone()).unwrap();
        assert!(block_on(checked.check(TIMEOUT)).is_ok());
        in_a_forked_process(async || timeout(TIMEOUT, forked(&checked)).await.unwrap());

        let new = GoFeatureFlag::new(options).unwrap();
        in_a_forked_process(async || {
            new.initialize().await.unwrap();
            assert_eq!(value(&new).await, 7);
            new.shutdown(TIMEOUT).await;
        });
        block_on(running.initialize()).unwrap();
        assert_eq!(block_on(value(&running)), 7);
    }
}
