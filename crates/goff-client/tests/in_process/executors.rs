//! Callers outside tokio, and the end of the client's runtime.

use goff_client::{ContextView, NoRuntimeError, Refreshed, Resolution};
use goff_core::{ConfigurationUpdate, Etag, EventBatch, Origin};
use pollster::block_on;
use tokio::runtime::{Builder, Runtime};

use crate::*;

fn multi_thread() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all().build().unwrap()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A relay proxy with a flag that is evaluated here, and one that falls back.
fn with_fallback() -> ScriptedRelay {
    let answer = Resolution::new(json!(7), Reason::Static);
    let relay = ScriptedRelay::new().with_answer("broken", Ok(answer));
    let flags = json!({"broken": general(), "flag": giving(1)});
    relay.set_flags(&flags, None);
    relay
}

/// Evaluates with a timer of tokio, as a relay client that does I/O.
#[derive(Debug)]
struct NeedsRuntime(ScriptedRelay);

#[async_trait::async_trait]
impl RelayClient for NeedsRuntime {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        tokio::time::sleep(millis(1)).await;
        self.0.evaluate(flag_key, context).await
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        tokio::time::sleep(millis(1)).await;
        self.0.flag_configuration(flags, held).await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        tokio::time::sleep(millis(1)).await;
        self.0.collect(batch).await
    }
}

#[test]
fn every_call_works_outside_tokio() {
    let home = multi_thread();
    let goff = home.block_on(connect(options_of(NeedsRuntime(with_fallback()))));
    block_on(async {
        assert!(goff.wait_until_ready(TIMEOUT).await);
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
        let fallen_back = goff.evaluate("broken", &context(), 0_i64).await;
        assert_eq!(fallen_back.value, 7);
        let all = goff.evaluate_all(&context()).await.unwrap();
        assert_eq!(all.len(), 2);
        assert!(goff.prefetch(&context()).await.error().is_none());
        assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
        assert!(goff.check(TIMEOUT).await.is_ok());
        assert_eq!(goff.flush(TIMEOUT).await.delivered, 1);
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!((report.recorded, report.pending), (1, 0));
        assert!(goff.initialize().await.is_err());
    });
}

/// What fetches, falls back and delivers runs there too: the relay client has its timers only on a
/// runtime.
#[test]
fn own_runtime_loads_falls_back_and_delivers() {
    let options = options_of(NeedsRuntime(with_fallback())).own_runtime(true);
    let goff = block_on(GoFeatureFlag::connect_checked(options, TIMEOUT)).unwrap();
    block_on(async {
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
        let fallen_back = goff.evaluate("broken", &context(), 0_i64).await;
        assert_eq!(fallen_back.value, 7);
        assert_eq!(goff.refresh().await.unwrap(), Refreshed::Unchanged);
        assert!(goff.check(TIMEOUT).await.is_ok());
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!((report.delivered, report.pending), (1, 0));
    });
}

/// A fallback that no runtime can run gives the engine's error, and is recorded here.
#[test]
fn fallback_after_the_end_of_the_runtime_is_an_error() {
    let relay = with_fallback();
    let home = current_thread();
    let goff = home.block_on(goff(&relay));
    drop(home);
    block_on(async {
        let outcome = goff.resolve("broken", &context()).await;
        let error = outcome.result.unwrap_err();
        assert_eq!(error.code(), ErrorCode::General);
        let not_evaluated = Origin::Fallback(goff_core::FallbackOrigin::NotEvaluated);
        assert_eq!(outcome.origin, not_evaluated);
        goff.shutdown(TIMEOUT).await;
    });
    assert_eq!(relay.request_count(), 0);
}

/// With the end of its runtime a client serves its flags on, and says that they may be old. The
/// next start fetches them; until that has succeeded the old ones are served.
#[test]
fn flags_are_served_after_the_end_of_the_runtime() {
    for first in [current_thread(), multi_thread()] {
        let relay = relay(1);
        let goff = first.block_on(goff(&relay));
        drop(first);
        let status = goff.status();
        assert_eq!(status.state, State::Stale);
        let ended = NoRuntimeError::Ended.to_string();
        assert!(status.last_error.unwrap().to_string().contains(&ended));
        let local = goff.local().unwrap();
        assert_eq!(local.evaluate("flag", &context(), 0_i64).value, 1);

        relay.set_configuration_failure(Some(status_503()));
        let second = current_thread();
        second.block_on(async {
            goff.initialize().await.unwrap();
            assert_eq!(goff.status().state, State::Stale);
            assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
            relay.set_configuration_failure(None);
            relay.set_flags(&json!({"flag": giving(2)}), None);
            goff.invalidation_sink().invalidate(Invalidation::All);
            let give_up = std::time::Instant::now() + TIMEOUT;
            while goff.status().state != State::Ready {
                assert!(std::time::Instant::now() < give_up);
                tokio::time::sleep(millis(1)).await;
            }
            assert_eq!(evaluate(&goff, 0_i64).await.value, 2);
            goff.shutdown(TIMEOUT).await;
        });
    }
}

/// Without flags nothing can be served: the status is an error, and the next start heals it.
#[test]
fn runtime_that_ends_before_the_flags_are_loaded_is_an_error() {
    let relay = relay(1);
    relay.set_configuration_failure(Some(status_503()));
    let first = current_thread();
    let goff = first.block_on(goff(&relay));
    drop(first);
    assert_eq!(goff.status().state, State::Error);
    relay.set_configuration_failure(None);
    let second = current_thread();
    second.block_on(async {
        goff.initialize().await.unwrap();
        assert_eq!(goff.status().state, State::Ready);
        assert_eq!(evaluate(&goff, 0_i64).await.value, 1);
    });
}

/// Synchronous code with a runtime for each call sees every change.
#[test]
fn runtime_for_each_call_works() {
    let relay = relay(0);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    for value in 1..=10 {
        relay.set_flags(&json!({"flag": giving(value)}), None);
        current_thread().block_on(goff.initialize()).unwrap();
        assert_eq!(block_on(evaluate(&goff, 0_i64)).value, value);
    }
}

fn status_503() -> RelayError {
    status(503)
}
