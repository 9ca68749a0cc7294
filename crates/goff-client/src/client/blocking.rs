//! The client for code that is not async.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use goff_core::{ContextView, EvaluationType, FlagType, ResolutionError};
use goff_hooks::DeliveryReport;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::task::unconstrained;

use crate::client;
use crate::details::EvaluationDetails;
use crate::options::GoFeatureFlagOptions;
use crate::options::error::InitializeError;
use crate::status::Status;
use crate::status::refresh::{RefreshError, Refreshed};
use crate::status::stats::Stats;

/// A client for code that is not async. Each call waits on the calling thread, while the I/O runs
/// on a thread of the client (option `own_runtime`). Clones are handles to the same client; any
/// number of threads may call it at the same time.
///
/// Answers from the cache and in-process evaluations return without waiting. Others take at most
/// the option `timeout`, and a second more if the client's thread is blocked.
///
/// Dropping the last handle shuts the client down, which delivers the usage data within 5 s. Call
/// [`shutdown`](Self::shutdown) for another limit, or to see what was delivered.
/// `std::process::exit` drops nothing, so usage data that is still buffered is lost.
///
/// ```no_run
/// use std::time::Duration;
///
/// use goff_client::blocking::GoFeatureFlag;
/// use goff_client::{EvaluationContext, GoFeatureFlagOptions};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # #[cfg(feature = "http")] {
/// let options = GoFeatureFlagOptions::new("http://localhost:1031").timeout(Duration::from_secs(1));
/// let goff = GoFeatureFlag::connect(options)?;
/// let context = EvaluationContext::builder().targeting_key("user-1").build();
/// let new_checkout = goff.evaluate("new-checkout", &context, false);
/// println!("{} because {}", new_checkout.value, new_checkout.reason());
/// println!("{:?}", goff.shutdown(Duration::from_secs(5)));
/// # }
/// # Ok(())
/// # }
/// ```
///
/// # Inside an async runtime
///
/// The calls work there too, and so does the drop, but they block the thread: as long as a call
/// waits, the other tasks of that thread do not run, on a current-thread runtime no task at all. So
/// nothing that the call needs may run there, such as a relay proxy of a test or a
/// [`RelayClient`](crate::RelayClient) that waits for another task. In async code use the
/// [async client](crate::GoFeatureFlag), which [`client`](Self::client) returns, or
/// `tokio::task::spawn_blocking`.
#[derive(Debug, Clone)]
pub struct GoFeatureFlag(Arc<LastHandle>);

/// Shuts the client down when it is dropped.
#[derive(Debug)]
struct LastHandle(client::GoFeatureFlag);

impl GoFeatureFlag {
    /// Starts a client, as [`GoFeatureFlag::connect`](crate::GoFeatureFlag::connect) does: with
    /// remote evaluation without I/O, with in-process evaluation until the first attempt to load
    /// the flags has ended.
    ///
    /// # Errors
    /// An option cannot be used, the system gives no thread, or the relay proxy refused the key.
    pub fn connect(options: GoFeatureFlagOptions) -> Result<Self, InitializeError> {
        let client = client::GoFeatureFlag::new(options.own_runtime(true))?;
        let connected = Self(Arc::new(LastHandle(client)));
        connected.initialize()?;
        Ok(connected)
    }

    /// Starts the client again after [`shutdown`](Self::shutdown), or after the relay proxy refused
    /// the key; on a started client it does nothing.
    ///
    /// # Errors
    /// The system gives no thread, the process was forked, or the relay proxy refused the key.
    pub fn initialize(&self) -> Result<(), InitializeError> {
        // Before the wait, whose timers it provides.
        let client = self.client();
        client
            .lifecycle
            .prepare()
            .map_err(InitializeError::NoRuntime)?;
        self.0.wait(client.initialize())
    }

    /// The async client beneath, for an OpenFeature provider, `subscribe` or `local`. It is shut
    /// down with the last handle of the blocking client.
    #[must_use]
    pub fn client(&self) -> &client::GoFeatureFlag {
        &self.0.0
    }

    /// As [`GoFeatureFlag::status`](crate::GoFeatureFlag::status).
    #[must_use]
    pub fn status(&self) -> Status {
        self.client().status()
    }

    /// As [`GoFeatureFlag::stats`](crate::GoFeatureFlag::stats).
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.client().stats()
    }

    /// Where flags are evaluated.
    #[must_use]
    pub fn evaluation_type(&self) -> EvaluationType {
        self.client().evaluation_type()
    }

    /// Waits until evaluations are answered, for at most `timeout`, and returns whether they are.
    #[must_use]
    pub fn wait_until_ready(&self, timeout: Duration) -> bool {
        self.0.wait(self.client().wait_until_ready(timeout))
    }

    /// Evaluates a flag, as [`GoFeatureFlag::evaluate`](crate::GoFeatureFlag::evaluate) does.
    pub fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.0
            .wait(self.client().evaluate(flag_key, context, default))
    }

    /// Evaluates a flag as your own type, as
    /// [`GoFeatureFlag::evaluate_as`](crate::GoFeatureFlag::evaluate_as) does.
    pub fn evaluate_as<T: DeserializeOwned>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetails<T> {
        self.0
            .wait(self.client().evaluate_as(flag_key, context, default))
    }

    /// Evaluates every flag, as
    /// [`GoFeatureFlag::evaluate_all`](crate::GoFeatureFlag::evaluate_all) does.
    ///
    /// # Errors
    /// The whole request failed, or the client is not ready.
    pub fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        self.0.wait(self.client().evaluate_all(context))
    }

    /// Fetches the flags now, as [`GoFeatureFlag::refresh`](crate::GoFeatureFlag::refresh) does.
    ///
    /// # Errors
    /// The flags could not be fetched, or the client is not ready.
    pub fn refresh(&self) -> Result<Refreshed, RefreshError> {
        self.0.wait(self.client().refresh())
    }

    /// Records a tracking event, as [`GoFeatureFlag::track`](crate::GoFeatureFlag::track) does.
    ///
    /// # Errors
    /// An attribute of the context cannot be read, or the client is not ready.
    pub fn track(
        &self,
        name: &str,
        context: &dyn ContextView,
        details: Map<String, Value>,
    ) -> Result<(), ResolutionError> {
        self.client().track(name, context, details)
    }

    /// Delivers the buffered usage data, for at most `timeout`.
    pub fn flush(&self, timeout: Duration) -> DeliveryReport {
        self.0.wait(self.client().flush(timeout))
    }

    /// Shuts the client down within `timeout`, as
    /// [`GoFeatureFlag::shutdown`](crate::GoFeatureFlag::shutdown) does. Other handles can start it
    /// again.
    pub fn shutdown(&self, timeout: Duration) -> DeliveryReport {
        self.0.wait(self.client().shutdown(timeout))
    }
}

impl LastHandle {
    /// Waits on this thread, whatever it belongs to.
    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        // Inside a runtime of the caller that one's timers do not fire while this thread waits.
        let own = Handle::try_current()
            .ok()
            .and_then(|_| self.0.lifecycle.own_io());
        let _entered = own.as_ref().map(|own| own.enter());
        // A task of the caller has a budget for polls, which no wait would renew.
        let mut future = pin!(unconstrained(future));
        // Most evaluations need no wait.
        match future
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(output) => output,
            Poll::Pending => pollster::block_on(future),
        }
    }
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.wait(self.0.shutdown(DROP_TIMEOUT));
    }
}

/// How long the drop of the last handle delivers usage data.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);
