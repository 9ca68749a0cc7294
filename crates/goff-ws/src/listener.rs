//! [`ChangeListener`]: owns the task that follows the stream, reconnects and stops.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use goff_core::__internal::{BackgroundTask, Backoff, StopSignal, Stopped, random_u64};
use goff_core::{Connect, Invalidation, InvalidationSink, NoRuntimeError, StreamState};
use http::StatusCode;
use tokio::time::Instant;

use crate::address::{Address, StreamTarget};
use crate::connection::{Connection, Frame};
use crate::error::StreamError;
use crate::handshake::Handshake;
use crate::monitor::{StreamMonitor, StreamStats};
use crate::options::ListenerOptions;

/// Follows a relay proxy's flag changes in a task of its own, until it is shut down or dropped.
///
/// # What the sink is told
///
/// After every handshake, the first one too: `invalidate(All)`, then `stream_state(Open)`, since
/// changes made while there was no stream are never replayed. Both wait for the server's first
/// frame (its ping comes within a second), or a fifth of the liveness time if it sends none: the
/// relay proxy answers the handshake before it subscribes the connection, so that a change between
/// the two would be lost and an answer fetched before it would stay. Whoever sees `Open` can
/// therefore rely on it: nothing asked for earlier is valid, and every later change is announced.
///
/// Every message is an `invalidate`: the flags that it names, or all if it cannot be read. When an
/// open stream is lost: `stream_state(Down)`, at once. After [`shutdown`](Self::shutdown) has
/// returned nothing is called any more, and no `Down` is sent for it.
///
/// # What is retried
///
/// Everything, for ever, with growing random pauses: keys are changed and gateways mended while
/// clients run. The beginning of an outage is logged as a warning, a refused key too, once an
/// outage; its end at INFO; what lies between at DEBUG.
#[derive(Debug)]
pub struct ChangeListener {
    task: BackgroundTask,
    monitor: StreamMonitor,
}

impl ChangeListener {
    /// Starts following the stream. Nothing has been sent when this returns.
    ///
    /// # Errors
    /// [`StartError`]: outside a tokio runtime, or with a key that does not fit into a URL.
    pub fn start(
        options: &ListenerOptions,
        connect: Arc<dyn Connect>,
        sink: Arc<dyn InvalidationSink>,
    ) -> Result<Self, StartError> {
        let target = StreamTarget::new(&options.endpoint, options.api_key.as_ref())
            .map_err(|_| StartError::KeyTooLong)?;
        let monitor = StreamMonitor::new();
        let follower = Follower {
            handshake: Handshake::new(target, options.api_key.as_ref(), &options.headers),
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
        let task =
            BackgroundTask::spawn(|stop| follower.run(stop)).map_err(StartError::NoRuntime)?;
        Ok(Self { task, monitor })
    }

    /// State and counters now.
    #[must_use]
    pub fn stats(&self) -> StreamStats {
        self.monitor.stats()
    }

    /// Reads the stats beyond the life of the listener.
    #[must_use]
    pub fn monitor(&self) -> StreamMonitor {
        self.monitor.clone()
    }

    /// Ends the stream and its task, whatever it is waiting for; after `grace` it is cut off.
    /// Dropping the listener, or this future, cuts it off at once; a call to the sink that is under
    /// way then still ends.
    pub async fn shutdown(self, grace: Duration) -> Stopped {
        self.task.stop(grace).await
    }
}

/// Why a listener did not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// There is no tokio runtime here.
    NoRuntime(NoRuntimeError),
    /// The API key is longer than a URL can be.
    KeyTooLong,
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRuntime(error) => error.fmt(f),
            Self::KeyTooLong => f.write_str("the API key is longer than a URL can be"),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NoRuntime(error) => Some(error),
            Self::KeyTooLong => None,
        }
    }
}

/// What the task holds.
struct Follower {
    handshake: Handshake,
    connect: Arc<dyn Connect>,
    sink: Arc<dyn InvalidationSink>,
    monitor: StreamMonitor,
    backoff: Backoff,
    /// Where the next attempt begins.
    address: Address,
    outage: Outage,
    timeout: Duration,
    liveness: Duration,
    debug: bool,
}

/// What was logged about the outage, so that it is logged once.
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

impl Follower {
    async fn run(mut self, mut stop: StopSignal) {
        let _ended = Ended(self.monitor.clone());
        loop {
            let error = match unless_stopped(&mut stop, self.attempt()).await {
                None => return,
                Some(Err(error)) => error,
                Some(Ok(mut connection)) => {
                    let followed = self.follow(&mut connection);
                    let Some(error) = unless_stopped(&mut stop, followed).await else {
                        connection.close();
                        return;
                    };
                    error
                }
            };
            self.failed(&error);
            let pause = self.backoff.pause(random_u64());
            diagnose!(
                self.debug,
                pause_ms = pause.as_millis(),
                "waiting to reconnect to the stream of flag changes"
            );
            if unless_stopped(&mut stop, tokio::time::sleep(pause))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Connects, at the other address too where the first one does not exist.
    async fn attempt(&mut self) -> Result<Connection, StreamError> {
        let first = self.address;
        // After a failure it may be another server, perhaps a newer one.
        self.address = Address::Current;
        let both = async {
            match self.open(first).await {
                Err(StreamError::Answered(StatusCode::NOT_FOUND)) => {
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
        diagnose!(
            self.debug,
            path = address.path(),
            "connected to the stream of flag changes"
        );
        Ok(Connection::new(upgraded, self.liveness).await)
    }

    /// Passes on what arrives until the connection ends, and says why it did.
    async fn follow(&mut self, connection: &mut Connection) -> StreamError {
        let patience = self.liveness / SILENCE_BEFORE_OPEN;
        let first = match tokio::time::timeout(patience, connection.next()).await {
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
            tracing::info!("flag changes arrive again");
        } else {
            diagnose!(self.debug, "flag changes arrive");
        }
    }

    fn received(&self, frame: Frame) {
        let Frame::Change(invalidation) = frame else {
            return;
        };
        diagnose!(self.debug, change = ?invalidation, "flags changed");
        self.monitor.received_message();
        self.sink.invalidate(invalidation);
    }

    fn failed(&mut self, error: &StreamError) {
        let text = error.to_string();
        self.monitor.failed(&text);
        let refused = error.is_refusal();
        let known = self.outage.warned && (!refused || self.outage.warned_of_refusal);
        self.outage.warned = true;
        self.outage.warned_of_refusal |= refused;
        if known {
            diagnose!(self.debug, error = text, "still no flag changes");
        } else {
            tracing::warn!(error = text, "no flag changes arrive; trying to reconnect");
        }
    }
}

/// Says that the stream is down when the task is over, however it ends.
struct Ended(StreamMonitor);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.ended();
    }
}

/// What the future gives, or `None` once the task is to stop.
async fn unless_stopped<F: Future>(stop: &mut StopSignal, future: F) -> Option<F::Output> {
    match select(pin!(stop.stopped()), pin!(future)).await {
        Either::Left(_) => None,
        Either::Right((output, _)) => Some(output),
    }
}

/// The part of the liveness time after which a connection counts as subscribed without a frame.
const SILENCE_BEFORE_OPEN: u32 = 5;
