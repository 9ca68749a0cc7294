//! The client for code that is not async.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use goff_core::__internal::{IoRuntime, timeout as wait};
use goff_core::{ContextView, EvaluationType, FlagType, ResolutionError};
#[cfg(feature = "in-process")]
use goff_engine::Explanation;
use goff_hooks::DeliveryReport;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::task::unconstrained;

use crate::client;
use crate::client::check::Check;
#[cfg(feature = "in-process")]
use crate::client::local_flags::LocalFlags;
use crate::client::snapshot::Snapshot;
use crate::details::EvaluationDetails;
use crate::options::GoFeatureFlagOptions;
use crate::options::error::{InitializeError, OptionsError};
use crate::status::Status;
use crate::status::events::{self, ClientEvent};
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
        let connected = Self::new(options)?;
        connected.initialize()?;
        Ok(connected)
    }

    /// [`connect`](Self::connect), if a check finds nothing wrong, as
    /// [`GoFeatureFlag::connect_checked`](crate::GoFeatureFlag::connect_checked) does.
    ///
    /// # Errors
    /// Those of [`connect`](Self::connect), and [`InitializeError::Unusable`].
    pub fn connect_checked(
        options: GoFeatureFlagOptions,
        timeout: Duration,
    ) -> Result<Self, InitializeError> {
        let connected = Self::new(options)?;
        connected.prepare()?;
        let client = connected.client();
        connected.0.wait(client.initialize_checked(timeout))?;
        Ok(connected)
    }

    fn new(options: GoFeatureFlagOptions) -> Result<Self, OptionsError> {
        let client = client::GoFeatureFlag::new(options.own_runtime(true))?;
        Ok(Self(Arc::new(LastHandle(client))))
    }

    /// Before a wait, whose timers it provides.
    fn prepare(&self) -> Result<(), InitializeError> {
        let prepared = self.client().lifecycle.prepare();
        prepared.map_err(InitializeError::NoRuntime)
    }

    /// Starts the client again after [`shutdown`](Self::shutdown), or after the relay proxy refused
    /// the key; on a started client it does nothing.
    ///
    /// # Errors
    /// The system gives no thread, the process was forked, or the relay proxy refused the key.
    pub fn initialize(&self) -> Result<(), InitializeError> {
        self.prepare()?;
        self.0.wait(self.client().initialize())
    }

    /// Asks the relay proxy whether it answers and accepts the API key, as
    /// [`GoFeatureFlag::check`](crate::GoFeatureFlag::check) does.
    #[must_use]
    pub fn check(&self, timeout: Duration) -> Check {
        self.0.wait(self.client().check(timeout))
    }

    /// Replaces the API key, as [`GoFeatureFlag::set_api_key`](crate::GoFeatureFlag::set_api_key)
    /// does.
    ///
    /// # Errors
    /// A key that cannot be sent, or a client without an endpoint; nothing is changed.
    #[cfg(feature = "http")]
    pub fn set_api_key(&self, key: impl AsRef<str>) -> Result<(), OptionsError> {
        self.0.wait(self.client().set_api_key(key))
    }

    /// The async client beneath, for an OpenFeature provider, or to report flag changes of your own
    /// source. It is shut down with the last handle of the blocking client.
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

    /// The events of this client from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription {
            events: self.client().subscribe(),
            io: self.client().lifecycle.own_io(),
        }
    }

    /// The flags of in-process evaluation, whose calls never wait; `None` with remote evaluation. See
    /// [`GoFeatureFlag::local`](crate::GoFeatureFlag::local). They do not keep the client running: after
    /// the drop of its last handle the flags stay as they are, and usage data is dropped and counted.
    #[cfg(feature = "in-process")]
    #[must_use]
    pub fn local(&self) -> Option<LocalFlags> {
        self.client().local()
    }

    /// The flags as they are now, for one request of the application; `None` with remote evaluation.
    /// See [`GoFeatureFlag::snapshot`](crate::GoFeatureFlag::snapshot). It does not keep the client
    /// running: usage data of evaluations after the drop of the last handle is dropped and counted.
    #[cfg(feature = "in-process")]
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        self.client().snapshot()
    }

    /// The flags for one request of the application, as
    /// [`GoFeatureFlag::prefetch`](crate::GoFeatureFlag::prefetch) fetches them with remote
    /// evaluation. Like a [`snapshot`](Self::snapshot) it does not keep the client running.
    #[must_use]
    pub fn prefetch(&self, context: &dyn ContextView) -> Snapshot {
        self.0.wait(self.client().prefetch(context))
    }

    /// Where flags are evaluated.
    #[must_use]
    pub fn evaluation_type(&self) -> EvaluationType {
        self.client().evaluation_type()
    }

    /// Waits until evaluations are answered, for at most `timeout`, and returns whether they are. With
    /// remote evaluation this says nothing about the key; use [`check`](Self::check).
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

    /// Says why a flag has its value for a context, as
    /// [`GoFeatureFlag::explain`](crate::GoFeatureFlag::explain) does. With remote evaluation it
    /// waits for the flag's configuration.
    ///
    /// # Errors
    /// The client is not ready, or the relay proxy did not give the configuration.
    #[cfg(feature = "in-process")]
    pub fn explain(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Explanation, ResolutionError> {
        self.0.wait(self.client().explain(flag_key, context))
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
    fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        wait_on_this_thread(|| self.0.lifecycle.own_io(), future)
    }
}

/// Waits on this thread, whatever it belongs to.
fn wait_on_this_thread<T>(
    own: impl FnOnce() -> Option<IoRuntime>,
    future: impl Future<Output = T>,
) -> T {
    // Inside a runtime of the caller that one's timers do not fire while this thread waits.
    let own = Handle::try_current().ok().and_then(|_| own());
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

/// The events of one client since [`GoFeatureFlag::subscribe`]. As
/// [`Subscription`](crate::Subscription), it buffers 64 events.
#[derive(Debug)]
pub struct Subscription {
    events: events::Subscription,
    /// Its timers bound the waits.
    io: Option<IoRuntime>,
}

impl Subscription {
    /// Waits for the next event, for at most `timeout`. `None` if there was none, or if the last
    /// handle of the client was dropped.
    pub fn next(&mut self, timeout: Duration) -> Option<ClientEvent> {
        let io = self.io.clone();
        let next = wait(timeout, self.events.next());
        wait_on_this_thread(|| io, next).flatten()
    }
}

impl Drop for LastHandle {
    fn drop(&mut self) {
        self.wait(self.0.shutdown(DROP_TIMEOUT));
    }
}

/// How long the drop of the last handle delivers usage data.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);
