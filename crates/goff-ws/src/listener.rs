//! [`ChangeListener`]: owns the task that reads the stream and reconnects.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use goff_core::__internal::{BackgroundTask, Backoff, StopSignal, Stopped, random_u64};
use goff_core::{Connect, Invalidation, InvalidationSink, StreamState};
use http::StatusCode;
use tokio::time::Instant;

use crate::address::{Address, StreamTarget};
use crate::connection::{Connection, Frame};
use crate::error::{ListenerError, StreamError};
use crate::handshake::Handshake;
use crate::monitor::StreamMonitor;
use crate::options::ListenerOptions;

/// Listens to the flag changes of a relay proxy in a background task, until it is shut down or
/// dropped.
///
/// # Calls to the sink
///
/// After every handshake, including the first: `invalidate(All)`, then `stream_state(Open)`, because
/// changes during a gap are never replayed. Both wait for the first frame of the server, usually the
/// ping within a second, or for a fifth of the liveness time. The relay proxy answers the handshake
/// before it subscribes the connection, so a change between the two would otherwise be missed. From
/// `Open` on, every change is announced, and nothing requested earlier is valid.
///
/// Every message is an `invalidate`: of the flags that it names, or of all flags if it cannot be
/// read. When an open stream is lost, `stream_state(Down)` follows immediately. After
/// [`shutdown`](Self::shutdown) has returned, the sink is not called again; `shutdown` itself sends
/// no `Down`.
///
/// # Retries
///
/// The listener reconnects without limit and with growing random pauses, also after a refused key:
/// keys and gateways change while clients run. The beginning of an outage is logged at WARN, and a
/// refused key once more per outage; the end at INFO; the attempts in between at DEBUG.
#[derive(Debug)]
pub struct ChangeListener {
    task: BackgroundTask,
    monitor: StreamMonitor,
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
        let api_key = options.api_key.as_ref();
        let target =
            StreamTarget::new(&options.endpoint, api_key).map_err(|_| ListenerError::KeyTooLong)?;
        let monitor = StreamMonitor::new();
        let stream = StreamTask {
            handshake: Handshake::new(target, api_key, &options.custom_headers)?,
            connect,
            sink,
            monitor: monitor.clone(),
            backoff: Backoff::new(options.reconnect_interval),
            address: Address::Current,
            outage: Outage::default(),
            timeout: options.timeout,
            liveness: options.liveness,
            debug: options.debug,
        };
        let task = BackgroundTask::spawn(|stop| stream.run(stop))?;
        Ok(Self { task, monitor })
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

/// The state of the task.
struct StreamTask {
    handshake: Handshake,
    connect: Arc<dyn Connect>,
    sink: Arc<dyn InvalidationSink>,
    monitor: StreamMonitor,
    backoff: Backoff,
    /// The first address of the next attempt.
    address: Address,
    outage: Outage,
    timeout: Duration,
    liveness: Duration,
    debug: bool,
}

/// The warnings of the current outage, each of which is logged once.
#[derive(Default)]
struct Outage {
    warned: bool,
    warned_of_refusal: bool,
}

macro_rules! diagnose {
    ($debug:expr, $($event:tt)+) => {
        if $debug { tracing::info!($($event)+) } else { tracing::debug!($($event)+) }
    };
}

impl StreamTask {
    async fn run(mut self, mut stop: StopSignal) {
        let _guard = DownOnDrop(self.monitor.clone());
        loop {
            let error = match unless_stopped(&mut stop, self.attempt()).await {
                None => return,
                Some(Err(error)) => error,
                Some(Ok(mut connection)) => {
                    let ended = self.read(&mut connection);
                    let Some(error) = unless_stopped(&mut stop, ended).await else {
                        connection.close();
                        return;
                    };
                    error
                }
            };
            self.failed(error);
            let pause = self.backoff.pause(random_u64());
            let pause_ms = pause.as_millis();
            diagnose!(
                self.debug,
                pause_ms,
                "change stream reconnecting after a pause"
            );
            let slept = unless_stopped(&mut stop, tokio::time::sleep(pause));
            if slept.await.is_none() {
                return;
            }
        }
    }

    /// Connects. If the relay proxy has no endpoint at the first address, tries the other one.
    async fn attempt(&mut self) -> Result<Connection, StreamError> {
        let first = self.address;
        // If this attempt fails, the next one may reach a newer server, so it begins at the current
        // address again.
        self.address = Address::Current;
        let both = async {
            match self.open(first).await {
                Err(StreamError::Refused(StatusCode::NOT_FOUND)) => {
                    let second = first.other();
                    Ok((self.open(second).await?, second))
                }
                opened => Ok((opened?, first)),
            }
        };
        let (connection, address) = tokio::time::timeout(self.timeout, both)
            .await
            .unwrap_or(Err(StreamError::TimedOut(self.timeout)))?;
        self.address = address;
        Ok(connection)
    }

    async fn open(&self, address: Address) -> Result<Connection, StreamError> {
        let stream = self.connect.connect().await.map_err(StreamError::Connect)?;
        let upgraded = self.handshake.perform(address, stream).await?;
        diagnose!(self.debug, path = address.path(), "change stream connected");
        Ok(Connection::new(upgraded, self.liveness).await)
    }

    /// Reads messages until the connection ends, and returns the reason.
    async fn read(&mut self, connection: &mut Connection) -> StreamError {
        let first_frame_timeout = self.liveness / FIRST_FRAME_FRACTION;
        let first = match tokio::time::timeout(first_frame_timeout, connection.next()).await {
            Ok(Err(error)) => return error,
            Ok(Ok(frame)) => Some(frame),
            Err(_) => None,
        };
        let opened = Instant::now();
        self.opened();
        if let Some(frame) = first {
            self.received(frame);
        }
        let error = loop {
            match connection.next().await {
                Ok(frame) => self.received(frame),
                Err(error) => break error,
            }
        };
        if matches!(error, StreamError::Unreadable(_)) {
            self.sink.invalidate(Invalidation::All);
        }
        self.backoff.connection_lasted(opened.elapsed());
        self.monitor.ended();
        self.sink.stream_state(StreamState::Down);
        error
    }

    fn opened(&mut self) {
        self.sink.invalidate(Invalidation::All);
        self.sink.stream_state(StreamState::Open);
        self.monitor.opened();
        let outage = std::mem::take(&mut self.outage);
        if outage.warned {
            tracing::info!("change stream reconnected");
        } else {
            diagnose!(self.debug, "change stream open");
        }
    }

    fn received(&self, frame: Frame) {
        let Frame::Change(invalidation) = frame else {
            return;
        };
        diagnose!(self.debug, change = ?invalidation, "flag change received");
        self.monitor.received_message();
        self.sink.invalidate(invalidation);
    }

    fn failed(&mut self, error: StreamError) {
        let is_refusal = error.is_refusal();
        let is_known = self.outage.warned && (!is_refusal || self.outage.warned_of_refusal);
        self.outage.warned = true;
        self.outage.warned_of_refusal |= is_refusal;
        if is_known {
            diagnose!(self.debug, %error, "change stream still unavailable");
        } else {
            tracing::warn!(%error, "change stream unavailable, reconnecting");
        }
        self.monitor.failed(error);
    }
}

/// Sets the state to down when the task ends or is aborted.
struct DownOnDrop(StreamMonitor);

impl Drop for DownOnDrop {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// The output of `future`, or `None` when the stop signal comes first.
async fn unless_stopped<F: Future>(stop: &mut StopSignal, future: F) -> Option<F::Output> {
    match select(pin!(stop.stopped()), pin!(future)).await {
        Either::Left(_) => None,
        Either::Right((output, _)) => Some(output),
    }
}

/// The wait for the first frame, as a fraction of the liveness time. A connection without a frame
/// counts as subscribed after it.
const FIRST_FRAME_FRACTION: u32 = 5;
