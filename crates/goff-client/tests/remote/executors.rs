//! Callers outside tokio and on other runtimes, and the end of the client's runtime.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, mpsc};
use std::task::Poll;
use std::thread;
use std::time::Instant;

use async_trait::async_trait;
use goff_client::{
    ClientError, ClientEvent, ContextView, InitializeError, NoRuntimeError, Origin, Refreshed,
    RelayClient, Resolution, State,
};
use goff_core::{BulkEvaluation, ConfigurationUpdate, Etag, EventBatch};
use goff_testkit::EmbeddedRelay;
use pollster::block_on;
use tokio::runtime::Handle;

use super::*;

/// A client on a runtime of two threads.
struct Home {
    runtime: Runtime,
    relay: EmbeddedRelay,
    goff: GoFeatureFlag,
}

impl Home {
    fn new(adapt: impl FnOnce(GoFeatureFlagOptions) -> GoFeatureFlagOptions) -> Self {
        let flags = "flag: {variations: {on: 7}, defaultRule: {variation: on}}";
        let relay = EmbeddedRelay::builder().flags(flags).start().unwrap();
        let runtime = multi_thread();
        let options = adapt(GoFeatureFlagOptions::new(relay.endpoint()));
        let goff = runtime.block_on(connect(options));
        Self {
            runtime,
            relay,
            goff,
        }
    }
}

/// Calls of every kind that may wait, with the values that they give.
async fn call_everything(goff: &GoFeatureFlag, expected: i64) {
    assert_eq!(evaluate(goff, 0_i64).await.value, expected);
    let as_own = goff.evaluate_as("flag", &user("b"), 0_u8).await.value;
    assert_eq!(i64::from(as_own), expected);
    let outcome = goff.resolve("flag", &user("c")).await;
    assert_eq!(outcome.result.is_ok(), expected != 0);
    let all = goff.evaluate_all(&user("d")).await;
    let all = all.ok().and_then(|mut all| all.remove("flag"));
    assert_eq!(all.is_some_and(|flag| flag.value == 7), expected != 0);
    let prefetched = goff.prefetch(&user("d")).await;
    assert_eq!(prefetched.error().is_none(), expected != 0);
    goff.flush(TIMEOUT).await;
    assert_eq!(goff.wait_until_ready(millis(20)).await, expected != 0);
}

#[test]
fn every_call_works_outside_tokio() {
    for disable_cache in [false, true] {
        let home = Home::new(|options| options.disable_cache(disable_cache));
        let goff = &home.goff;
        block_on(async {
            call_everything(goff, 7).await;
            let mut events = goff.subscribe();
            // From the cache, unless it is disabled: `evaluate` and `evaluate_as` record a hit.
            call_everything(goff, 7).await;
            assert!(goff.check(TIMEOUT).await.is_ok());
            goff.set_api_key("another").await.unwrap();
            assert_eq!(goff.refresh().await.unwrap(), Refreshed::CacheCleared);
            let report = goff.shutdown(TIMEOUT).await;
            let hits = if disable_cache { 0 } else { 2 };
            assert_eq!((report.delivered, report.pending), (hits, 0));
            let mut next = events.next().await;
            while let Some(ClientEvent::ConfigurationChanged(_)) = next {
                next = events.next().await;
            }
            assert_eq!(next, Some(ClientEvent::Closed));
            call_everything(goff, 0).await;
            assert!(!goff.check(TIMEOUT).await.is_ok());
            goff.set_api_key("a third").await.unwrap();
            assert!(goff.refresh().await.is_err());
        });
        assert_eq!(home.relay.stop().ok(), Some(()));
    }
}

/// Starting needs a runtime, and the status says so.
#[test]
fn starting_outside_tokio_is_an_error() {
    let home = Home::new(|options| options);
    block_on(async {
        // It is started already.
        home.goff.initialize().await.unwrap();
        home.goff.shutdown(TIMEOUT).await;
        let error = home.goff.initialize().await.unwrap_err();
        let outside = NoRuntimeError::Outside;
        assert!(matches!(error, InitializeError::NoRuntime(error) if error == outside));
        let Some(ClientError::Runtime(cause)) = home.goff.status().last_error else {
            panic!("{:?}", home.goff.status());
        };
        assert_eq!(cause.to_string(), outside.to_string());
        let options = || GoFeatureFlagOptions::new("http://localhost");
        let error = GoFeatureFlag::connect(options()).await.unwrap_err();
        assert!(matches!(error, InitializeError::NoRuntime(error) if error == outside));
        let checked = GoFeatureFlag::connect_checked(options(), TIMEOUT);
        let error = checked.await.unwrap_err().to_string();
        assert!(error.contains("tokio runtime"), "{error}");
    });
    home.runtime.block_on(home.goff.initialize()).unwrap();
    block_on(call_everything(&home.goff, 7));
}

#[test]
fn calls_before_the_start_return_outside_tokio() {
    let goff = GoFeatureFlag::new(options(&ScriptedRelay::new())).unwrap();
    block_on(async {
        call_everything(&goff, 0).await;
        goff.shutdown(TIMEOUT).await;
    });
    assert_eq!(goff.status().state, State::NotReady);
}

/// A runtime that is not driven answers no caller outside it, but no caller hangs.
#[test]
fn runtime_that_is_not_driven_costs_the_timeout() {
    let relay = ScriptedRelay::new().with_value("flag", 7);
    let idle = current_thread();
    let goff = idle.block_on(goff(&relay));
    idle.block_on(async { hit_flag(&goff).await });
    let (done, finished) = mpsc::channel();
    thread::spawn(move || {
        let start = Instant::now();
        block_on(async {
            goff.flush(millis(50)).await;
            assert!(goff.wait_until_ready(millis(50)).await);
            let report = goff.shutdown(millis(50)).await;
            assert_eq!((report.recorded, report.pending), (1, 1));
        });
        done.send(start.elapsed()).unwrap();
    });
    let took = finished.recv_timeout(TIMEOUT).unwrap();
    assert!(took < secs(2), "{took:?}");
}

/// As above, for a request: nothing was sent, so the evaluation is recorded here.
#[test]
fn request_that_a_runtime_never_begins_is_an_error() {
    let home = Home::new(|options| options);
    let idle = current_thread();
    let options = GoFeatureFlagOptions::new(home.relay.endpoint()).timeout(millis(50));
    let goff = idle.block_on(connect(options));
    let start = Instant::now();
    let outcome = block_on(goff.resolve("flag", &context()));
    let took = start.elapsed();
    assert!((millis(50)..secs(2)).contains(&took), "{took:?}");
    let error = outcome.result.unwrap_err().to_string();
    assert!(error.contains("runs nothing at present"), "{error}");
    assert_eq!(outcome.origin, Origin::NotEvaluated);
    assert!(block_on(goff.evaluate_all(&context())).is_err());
    let prefetched = block_on(goff.prefetch(&context()));
    let error = prefetched.error().map(ToString::to_string);
    assert!(error.is_some_and(|error| error.contains("runs nothing at present")));
}

/// On a runtime without timers, or on one that has ended, a request runs on the client's runtime.
#[test]
fn unusable_runtimes_of_callers_do_no_harm() {
    let home = Home::new(|options| options);
    let bare = Builder::new_current_thread().build().unwrap();
    bare.block_on(call_everything(&home.goff, 7));
    let ended = current_thread().handle().clone();
    let _entered = ended.enter();
    home.goff.invalidation_sink().invalidate(Invalidation::All);
    block_on(call_everything(&home.goff, 7));
}

/// Not a panic later.
#[test]
fn runtime_without_timers_is_an_error_of_connect() {
    let bare = Builder::new_current_thread().build().unwrap();
    for options in [
        options(&ScriptedRelay::new()),
        GoFeatureFlagOptions::new("http://localhost"),
        GoFeatureFlagOptions::new("http://localhost").disable_data_collection(true),
    ] {
        let error = bare.block_on(GoFeatureFlag::connect(options)).unwrap_err();
        let missing = NoRuntimeError::NoTimers;
        assert!(matches!(error, InitializeError::NoRuntime(error) if error == missing));
    }
    assert_eq!(bare.metrics().num_alive_tasks(), 0);
}

/// Nor without I/O, unless a relay client or transport of the application sends the requests.
#[test]
fn runtime_without_io_is_an_error_of_connect() {
    let timers_only = Builder::new_current_thread().enable_time().build().unwrap();
    let options = || GoFeatureFlagOptions::new("http://localhost");
    let unix = GoFeatureFlagOptions::new("unix:///run/relay.sock");
    for options in [options(), options().disable_cache_invalidation(true), unix] {
        let error = timers_only.block_on(GoFeatureFlag::connect(options));
        let error = error.unwrap_err();
        let missing = NoRuntimeError::NoIo;
        assert!(matches!(error, InitializeError::NoRuntime(error) if error == missing));
    }
    let scripted = super::options(&ScriptedRelay::new());
    timers_only.block_on(connect(scripted));
}

/// A caller outside tokio that gives up leaves nothing.
#[test]
fn giving_up_outside_tokio_ends_the_request() {
    for disable_cache in [false, true] {
        let relay = ScriptedRelay::new().with_value("flag", 7).manual();
        let home = multi_thread();
        let goff = home.block_on(connect(options(&relay).disable_cache(disable_cache)));
        let tasks = home.metrics().num_alive_tasks();
        {
            let context = context();
            let mut caller = std::pin::pin!(goff.evaluate("flag", &context, 0_i64));
            let mut waker = std::task::Context::from_waker(std::task::Waker::noop());
            assert!(caller.as_mut().poll(&mut waker).is_pending());
            block_on(relay.wait_for_requests(1));
        }
        until(|| home.metrics().num_alive_tasks() == tasks);
        assert_eq!(relay.waiting(), 0);
    }
}

/// Two runtimes that take turns have a shared request each.
#[test]
fn callers_on_two_runtimes_share_one_request_each() {
    let relay = ScriptedRelay::new().with_value("flag", 7).manual();
    let runtimes = [multi_thread(), multi_thread()];
    let goff = runtimes[0].block_on(goff(&relay));
    let joined = Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for turn in 0..20 {
        let (goff, joined) = (goff.clone(), Arc::clone(&joined));
        callers.push(runtimes[turn % 2].spawn(async move {
            let mut caller = std::pin::pin!(evaluate(&goff, 0_i64));
            // The first poll joins a request.
            let first = poll_fn(|context| Poll::Ready(caller.as_mut().poll(context))).await;
            assert!(first.is_pending());
            joined.fetch_add(1, Ordering::SeqCst);
            caller.await.value
        }));
        block_on(relay.wait_for_requests(turn.min(1) + 1));
    }
    until(|| joined.load(Ordering::SeqCst) == 20);
    assert_eq!(relay.requests().len(), 2);
    for index in 0..2 {
        assert!(relay.complete(index));
    }
    for caller in callers {
        assert_eq!(block_on(caller).unwrap(), 7);
    }
    assert_eq!(relay.requests().len(), 2);
    assert_eq!(goff.stats().shared, 18);
}

/// One evaluation that is a miss, and one that is a hit, which is an event.
async fn hit_flag(goff: &GoFeatureFlag) {
    for _ in 0..2 {
        assert_eq!(evaluate(goff, 0_i64).await.value, 7);
    }
}

#[track_caller]
fn until(condition: impl Fn() -> bool) {
    let give_up = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < give_up);
        thread::sleep(millis(1));
    }
}

/// A session whose runtime has ended serves what it has, says so, and is replaced by the next
/// `initialize`, which delivers what is pending.
#[test]
fn client_starts_again_after_the_end_of_its_runtime() {
    for (first, second) in both_runtimes().into_iter().zip(both_runtimes()) {
        let relay = ScriptedRelay::new().with_value("flag", 7);
        let goff = first.block_on(goff(&relay));
        let mut events = goff.subscribe();
        first.block_on(hit_flag(&goff));
        drop(first);
        let status = goff.status();
        assert_eq!(status.state, State::Stale);
        let error = ClientEvent::Error(status.last_error.unwrap());
        assert_eq!(block_on(events.next()), Some(error));
        assert_eq!(block_on(events.next()), Some(ClientEvent::Stale));
        second.block_on(async {
            // The cache still answers, and so does the relay proxy.
            assert_eq!(evaluate(&goff, 0_i64).await.value, 7);
            assert_eq!(goff.evaluate("flag", &user("b"), 0_i64).await.value, 7);
            let report = goff.flush(TIMEOUT).await;
            assert_eq!((report.delivered, report.pending), (0, 2));
            let error = report.error.unwrap().to_string();
            assert!(
                error.contains("has ended; call `initialize` again"),
                "{error}"
            );
            goff.initialize().await.unwrap();
            assert_eq!(goff.status().state, State::Ready);
            assert_eq!(goff.status().last_error, None);
            let report = goff.flush(TIMEOUT).await;
            assert_eq!((report.delivered, report.pending), (2, 0));
            assert!(report.error.is_none(), "{report:?}");
            // Nothing begins anew as long as the runtime lives.
            let tasks = Handle::current().metrics().num_alive_tasks();
            goff.initialize().await.unwrap();
            assert_eq!(Handle::current().metrics().num_alive_tasks(), tasks);
        });
    }
}

/// Synchronous code with a runtime for each call.
#[test]
fn runtime_for_each_call_works() {
    let relay = ScriptedRelay::new().with_value("flag", 7);
    let goff = GoFeatureFlag::new(options(&relay)).unwrap();
    for _ in 0..10 {
        current_thread().block_on(goff.initialize()).unwrap();
        assert_eq!(current_thread().block_on(evaluate(&goff, 0_i64)).value, 7);
    }
    current_thread().block_on(async {
        goff.initialize().await.unwrap();
        hit_flag(&goff).await;
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!(report.pending, 0);
        assert_eq!(report.delivered, report.recorded);
    });
    assert_eq!(goff.status().state, State::Closed);
}

/// An ended runtime is no hang, and a deliberate end is not reported as one.
#[test]
fn calls_after_the_end_of_the_runtime_return() {
    let relay = ScriptedRelay::new().with_value("flag", 7);
    let home = multi_thread();
    let goff = home.block_on(goff(&relay));
    drop(home);
    block_on(async {
        let outcome = goff.resolve("flag", &context()).await;
        let error = outcome.result.unwrap_err().to_string();
        assert!(error.contains("has ended"), "{error}");
        goff.flush(TIMEOUT).await;
        goff.shutdown(TIMEOUT).await;
    });
    assert_eq!(goff.status().state, State::Closed);

    let home = multi_thread();
    home.block_on(async {
        goff.initialize().await.unwrap();
        goff.shutdown(TIMEOUT).await;
    });
    drop(home);
    assert_eq!(goff.status().state, State::Closed);
    assert_eq!(goff.status().last_error, None);
}

/// A relay client that notes the threads of its calls.
#[derive(Debug, Default)]
struct Threads(Mutex<BTreeSet<String>>, ScriptedRelay);

impl Threads {
    fn note(&self) {
        let name = thread::current().name().unwrap_or_default().to_owned();
        let mut threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.insert(name);
    }

    fn seen(&self) -> Vec<String> {
        let threads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        threads.iter().cloned().collect()
    }
}

#[async_trait]
impl RelayClient for Threads {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        self.note();
        self.1.evaluate(flag_key, context).await
    }

    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        self.note();
        self.1.evaluate_all(context).await
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        self.note();
        self.1.flag_configuration(flags, held).await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        self.note();
        self.1.collect(batch).await
    }
}

/// All requests, those of callers inside another runtime too, and in every way to evaluate.
#[test]
fn own_runtime_runs_every_request_on_its_thread() {
    for disable_cache in [false, true] {
        let relay = Arc::new(Threads(
            Mutex::default(),
            ScriptedRelay::new().with_value("flag", 7),
        ));
        let options = GoFeatureFlagOptions::with_relay_client(Arc::clone(&relay) as _)
            .disable_cache(disable_cache)
            .own_runtime(true);
        let runtime = current_thread();
        relay.1.set_flags(&serde_json::json!({}), None);
        let goff = GoFeatureFlag::new(options.clone()).unwrap();
        // A check needs no start.
        assert!(runtime.block_on(goff.check(TIMEOUT)).is_ok());
        assert!(block_on(goff.check(TIMEOUT)).is_ok());
        let checked = GoFeatureFlag::connect_checked(options, TIMEOUT);
        runtime.block_on(checked).unwrap();
        runtime.block_on(goff.initialize()).unwrap();
        runtime.block_on(async {
            call_everything(&goff, 7).await;
            call_everything(&goff, 7).await;
            assert!(goff.check(TIMEOUT).await.is_ok());
        });
        block_on(call_everything(&goff, 7));
        block_on(goff.shutdown(TIMEOUT));
        assert_eq!(relay.seen(), ["goff-io"]);
    }
}

/// It starts outside tokio, and outlasts the runtimes of its callers.
#[test]
fn own_runtime_needs_none_of_the_application() {
    let flags = "flag: {variations: {on: 7}, defaultRule: {variation: on}}";
    let relay = EmbeddedRelay::builder().flags(flags).start().unwrap();
    let options = GoFeatureFlagOptions::new(relay.endpoint()).own_runtime(true);
    let checked = GoFeatureFlag::connect_checked(options.clone(), TIMEOUT);
    block_on(call_everything(&block_on(checked).unwrap(), 7));
    let goff = block_on(connect(options.clone()));
    block_on(call_everything(&goff, 7));
    for runtime in both_runtimes() {
        let first = runtime.block_on(connect(options.clone()));
        runtime.block_on(call_everything(&first, 7));
        drop(runtime);
        assert_eq!(first.status().state, State::Ready);
        block_on(call_everything(&first, 7));
        for other in both_runtimes() {
            other.block_on(call_everything(&first, 7));
        }
        let report = block_on(first.shutdown(TIMEOUT));
        assert_eq!((report.delivered, report.pending), (report.recorded, 0));
        assert!(report.recorded > 0);
        // The second start uses the same thread.
        block_on(first.initialize()).unwrap();
        block_on(call_everything(&first, 7));
        until(|| first.stats().stream == goff_client::StreamState::Open);
    }
    until(|| goff.stats().stream == goff_client::StreamState::Open);
    drop(goff);
    until(|| relay.change_streams() == 0);
}

/// tokio panics where a runtime is dropped inside another one.
#[tokio::test]
async fn client_with_an_own_runtime_may_be_dropped_inside_another() {
    let relay = ScriptedRelay::new().with_value("flag", 7);
    let goff = connect(options(&relay).own_runtime(true)).await;
    hit_flag(&goff).await;
    drop(goff);
    drop(GoFeatureFlag::new(options(&relay).own_runtime(true)).unwrap());
}
