//! [`Report`]: what sink, monitor and log learn of the stream.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{Invalidation, InvalidationSink, StreamState};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::connection::Frame;
use crate::error::StreamError;
use crate::flag_change;
use crate::monitor::StreamMonitor;

/// Logs at INFO with the option `debug`, else at DEBUG.
macro_rules! diagnose {
    ($debug:expr, $($event:tt)+) => {
        if $debug { tracing::info!($($event)+) } else { tracing::debug!($($event)+) }
    };
}
pub(crate) use diagnose;

/// Tells the sink, the monitor and the log.
#[derive(Debug)]
pub(crate) struct Report {
    sink: Arc<dyn InvalidationSink>,
    monitor: StreamMonitor,
    /// Scheme, host and port.
    server: Arc<str>,
    outage: Outage,
    has_opened: bool,
    /// Whether the sink knows that the stream is down.
    down_is_known: bool,
    debug: bool,
}

/// The warnings of the current outage, each of which is logged once.
#[derive(Debug, Default)]
struct Outage {
    since: Option<Instant>,
    warned_of_refusal: bool,
}

impl Report {
    pub(crate) fn new(
        sink: Arc<dyn InvalidationSink>,
        monitor: StreamMonitor,
        server: Arc<str>,
        debug: bool,
    ) -> Self {
        Self {
            sink,
            monitor,
            server,
            outage: Outage::default(),
            has_opened: false,
            down_is_known: false,
            debug,
        }
    }

    /// A stream is open after a gap, in which changes may have been missed.
    pub(crate) fn opened(&mut self) {
        self.missed_changes();
        self.sink.stream_state(StreamState::Open);
        // The loss of this stream will be reported before the next failure.
        self.down_is_known = true;
        self.monitor.opened();
        let outage = std::mem::take(&mut self.outage);
        let is_first = !std::mem::replace(&mut self.has_opened, true);
        let endpoint = &*self.server;
        if let Some(since) = outage.since {
            let outage_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
            tracing::info!(
                endpoint,
                outage_ms,
                "change stream open; any flag may have changed before"
            );
        } else if is_first {
            tracing::info!(endpoint, "change stream open");
        } else {
            diagnose!(self.debug, endpoint, "change stream open again");
        }
    }

    /// The next stream is open before the current one ended.
    pub(crate) fn handed_over(&self, age: Duration) {
        self.monitor.handed_over();
        let age_ms = age.as_millis();
        diagnose!(self.debug, age_ms, "change stream handed over to the next");
    }

    pub(crate) fn missed_changes(&self) {
        self.sink.invalidate(Invalidation::All);
    }

    pub(crate) async fn received(&self, frame: Frame) {
        let invalidation = match frame {
            Frame::Ping => return,
            Frame::Binary => Invalidation::All,
            Frame::Text(text) => read(text).await,
        };
        diagnose!(self.debug, change = %Shown(&invalidation), "flag change received");
        self.monitor.received_message();
        self.sink.invalidate(invalidation);
    }

    /// The open stream ended.
    pub(crate) fn lost(&self, error: &StreamError, lasted: Duration) {
        if matches!(error, StreamError::Unreadable(_)) {
            self.missed_changes();
        }
        let lasted_ms = lasted.as_millis();
        diagnose!(self.debug, %error, lasted_ms, "change stream ended");
        self.monitor.ended();
        self.down();
    }

    pub(crate) fn down(&self) {
        self.sink.stream_state(StreamState::Down);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.monitor.stats().state == StreamState::Open
    }

    /// Streams end, usually because a middlebox limits their age. That is no outage yet.
    pub(crate) fn cut(&self, error: StreamError) {
        self.monitor
            .failed(error.at(&self.server), StreamState::Down);
    }

    /// No stream could be opened, or it was of no use.
    pub(crate) fn failed(&mut self, error: StreamError) {
        let error = error.at(&self.server);
        let is_refusal = error.is_refusal();
        let is_known =
            self.outage.since.is_some() && (!is_refusal || self.outage.warned_of_refusal);
        self.outage.since.get_or_insert_with(Instant::now);
        self.outage.warned_of_refusal |= is_refusal;
        if is_known {
            diagnose!(self.debug, %error, "change stream still unavailable");
        } else {
            let endpoint = &*self.server;
            tracing::warn!(
                endpoint,
                %error,
                "change stream unavailable, reconnecting: changes of flags are not announced"
            );
        }
        let state = match error {
            StreamError::Refused { .. } => StreamState::Refused,
            _ => StreamState::Down,
        };
        self.monitor.failed(error, state);
        let is_down = state == StreamState::Down;
        if !(is_down && self.down_is_known) {
            self.sink.stream_state(state);
        }
        self.down_is_known = is_down;
    }

    /// The previous stream ended without having delivered all that it may have held.
    pub(crate) fn not_drained(&self, why: &dyn fmt::Display) {
        diagnose!(self.debug, %why, "previous change stream broke, any flag may have changed");
        self.missed_changes();
    }

    pub(crate) fn not_handed_over(&self, error: &StreamError, warns: bool) {
        if warns {
            tracing::warn!(%error, "next change stream refused, the current one stays open");
        } else {
            diagnose!(self.debug, %error, "next change stream not open yet");
        }
    }

    /// Another key may be refused too, which is worth another warning.
    pub(crate) fn rekeyed(&mut self) {
        self.outage.warned_of_refusal = false;
    }

    pub(crate) fn pausing(&self, pause: Duration) {
        let pause_ms = pause.as_millis();
        diagnose!(
            self.debug,
            pause_ms,
            "change stream reconnecting after a pause"
        );
    }
}

/// Reads a message, and a large one where it holds up no other task: 64 MiB take a tenth of a second.
async fn read(message: Utf8Bytes) -> Invalidation {
    if message.len() <= MAX_INLINE {
        return flag_change::invalidation(&message);
    }
    tokio::task::spawn_blocking(move || flag_change::invalidation(&message))
        .await
        .unwrap_or(Invalidation::All)
}

/// Some of the flags that a message names.
struct Shown<'a>(&'a Invalidation);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Invalidation::Flags(names) = self.0 else {
            return f.write_str("all flags");
        };
        f.debug_list().entries(names.iter().take(SHOWN)).finish()?;
        match names.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// The longest message, in bytes, that is read on the runtime's worker: a tenth of a millisecond.
const MAX_INLINE: usize = 100_000;
const SHOWN: usize = 10;

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use futures_util::FutureExt as _;

    use super::*;

    /// A runtime worker reads short messages only.
    #[tokio::test]
    async fn long_messages_are_read_off_the_worker() {
        for (length, is_inline) in [
            (100, true),
            (90_000, true),
            (110_000, false),
            (5_000_000, false),
        ] {
            let padding = "x".repeat(length);
            let text = format!(r#"{{"added":{{"a":"{padding}"}}}}"#);
            let mut reading = Box::pin(read(text.into()));
            let named = Invalidation::Flags(BTreeSet::from(["a".to_owned()]));
            match (&mut reading).now_or_never() {
                Some(invalidation) => {
                    assert!(is_inline, "{length}");
                    assert_eq!(invalidation, named);
                }
                None => {
                    assert!(!is_inline, "{length}");
                    assert_eq!(reading.await, named);
                }
            }
        }
    }

    #[test]
    fn shown_names_are_few() {
        let named = |count: usize| {
            let names = (0..count).map(|n| format!("{n:03}\n")).collect();
            Shown(&Invalidation::Flags(names)).to_string()
        };
        assert_eq!(named(2), r#"["000\n", "001\n"]"#);
        assert!(named(5_000).ends_with(r#""009\n"] and 4990 more"#));
        assert_eq!(Shown(&Invalidation::All).to_string(), "all flags");
    }
}
