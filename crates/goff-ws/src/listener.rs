//! [`ChangeListener`]: owns the task that keeps a stream open.

use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, Stopped};
use goff_core::{ApiKey, Connect, InvalidationSink};
use tokio::sync::watch;

use crate::address::Address;
use crate::error::ListenerError;
use crate::handshake::Handshake;
use crate::monitor::StreamMonitor;
use crate::opener::Opener;
use crate::options::ListenerOptions;
use crate::report::Report;
use crate::stream_task::StreamTask;

/// Listens to the flag changes of a relay proxy in a background task, until it is shut down or
/// dropped.
///
/// # Calls to the sink
///
/// After every connection that follows a gap, and after the first: `invalidate(All)`, then
/// `stream_state(Open)`, because changes during a gap are never replayed. Both wait for the first
/// frame of the server, usually the ping within a second, or for a fifth of the liveness time. The
/// relay proxy answers the handshake before it subscribes the connection, so a change between the two
/// would otherwise be missed. From `Open` on, every change is announced, and nothing requested earlier
/// is valid.
///
/// Every message is an `invalidate`: of the flags that it names, or of all flags if it cannot be
/// read or names more than an invalidation may. When an open stream is lost, `stream_state(Down)`
/// follows immediately. A failed attempt is `stream_state(Refused)` if the handshake was answered with
/// another status than 101, else `stream_state(Down)`; `Down` is not repeated. After [`shutdown`](Self::shutdown) has returned, the sink is not called again;
/// `shutdown` itself sends no `Down`.
///
/// # Hand-over
///
/// Load balancers and gateways limit the age of connections. Once two streams in a row were cut at
/// about the same age, at least a second, the listener opens the next stream at four fifths of that
/// age, or up to a third of this time earlier. When it is open, the previous one is closed, and read until the server has answered the close
/// frame. Messages of both reach the sink, so a change may be announced twice, and nothing else is
/// invalidated. Only if the previous stream breaks before it is closed, everything is.
///
/// # Retries
///
/// The listener reconnects without limit, also after a refused key: keys and gateways change while
/// clients run. All pauses are random, so that the clients of a relay proxy that is restarted do not
/// come back at the same time. After an open stream was lost they are up to a second, then up to two
/// seconds, and later up to half of the time since the loss, so that a client is back within 2 s or
/// half of the time of the outage. If no stream was open yet, they are up to 100 ms, doubling with each
/// failure. `reconnect_interval` bounds all of them. A 429 or 503
/// may ask for more with seconds in `Retry-After`. A stream that was open for less than a second, or
/// was ended by an unreadable message, counts as a failed attempt.
///
/// A lost stream is logged at DEBUG. The first failed attempt of an outage is logged at WARN, and a
/// refused key once more per outage; the end at INFO; the attempts in between at DEBUG.
#[derive(Debug)]
pub struct ChangeListener {
    task: BackgroundTask,
    monitor: StreamMonitor,
    options: ListenerOptions,
    api_key: watch::Sender<Option<ApiKey>>,
}

impl ChangeListener {
    /// Starts the task. Nothing has been sent when this returns.
    ///
    /// # Errors
    /// [`ListenerError`]: no Tokio runtime, a key that does not fit into a URL, or a custom header
    /// that cannot be sent.
    pub fn start(
        options: &ListenerOptions,
        connect: Arc<dyn Connect>,
        sink: Arc<dyn InvalidationSink>,
    ) -> Result<Self, ListenerError> {
        let monitor = StreamMonitor::new();
        let options = options.clone();
        check(&options, options.api_key.as_ref())?;
        let (api_key, keys) = watch::channel(options.api_key.clone());
        let opener = Opener {
            endpoint: options.endpoint.clone(),
            api_key: keys,
            custom_headers: options.custom_headers.clone(),
            header_provider: options.header_provider.clone(),
            connect,
            address: Address::Current,
            timeout: options.timeout,
            liveness: options.liveness,
            disable_deprecated_stream: options.disable_deprecated_stream,
            debug: options.debug,
        };
        let report = Report::new(
            sink,
            monitor.clone(),
            options.endpoint.address(),
            options.debug,
        );
        let stream = StreamTask::new(opener, report, options.reconnect_interval);
        let watched = monitor.clone();
        let task = BackgroundTask::spawn(|stop| stream.run(stop, watched))?;
        Ok(Self {
            task,
            monitor,
            options,
            api_key,
        })
    }

    /// Opens the next stream with this key, `None` meaning without one, and at once. A stream that is
    /// open with the key before stays until then, as in a [hand-over](Self#hand-over), so nothing is
    /// missed: a relay proxy announces the changes of every flag set to every key. What was cached
    /// under the key before may belong to another flag set, and is for the caller to drop.
    ///
    /// # Errors
    /// [`ListenerError::KeyTooLong`]; the key before stays.
    pub fn set_api_key(&self, api_key: Option<ApiKey>) -> Result<(), ListenerError> {
        check(&self.options, api_key.as_ref())?;
        self.api_key.send_replace(api_key);
        Ok(())
    }

    /// Reads state and counters, even after the listener is gone.
    #[must_use]
    pub fn monitor(&self) -> StreamMonitor {
        self.monitor.clone()
    }

    /// Closes the stream and ends the task; aborts it after `timeout`. Dropping the listener, or
    /// this future, aborts it immediately; a running call to the sink then still completes.
    pub async fn shutdown(self, timeout: Duration) -> Stopped {
        self.task.stop(timeout).await
    }
}

/// Whether the handshake can be sent, as far as that is known before the header provider is called.
fn check(options: &ListenerOptions, api_key: Option<&ApiKey>) -> Result<(), ListenerError> {
    Handshake::new(&options.endpoint, api_key, &options.custom_headers).map(drop)
}
