//! The task that delivers: when, what, and what becomes of a batch that does not arrive.

use std::mem;
use std::sync::Arc;

use goff_core::__internal::StopSignal;
use goff_core::{EventBatch, RelayError};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::as_u64;
use super::buffer::EventCounts;
use super::json_size::{event_size, json_size};
use super::shared::{Shared, State};

/// The task of a publisher that runs.
pub(super) struct Delivery {
    shared: Arc<Shared>,
    flush_requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    /// When whatever is on its way is given up.
    cut_off: watch::Receiver<Option<Instant>>,
    stop: StopSignal,
    trouble: Option<Trouble>,
    /// How many were dropped when the last delivery ended.
    dropped_before: u64,
}

/// Since when events are not delivered, or dropped.
struct Trouble {
    delivered: u64,
    dropped_before: u64,
}

impl Delivery {
    pub(super) fn new(
        shared: Arc<Shared>,
        flush_requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
        cut_off: watch::Receiver<Option<Instant>>,
        stop: StopSignal,
    ) -> Self {
        let dropped_before = shared.with_state(|state| state.buffer.counts().dropped);
        Self {
            shared,
            flush_requests,
            cut_off,
            stop,
            trouble: None,
            dropped_before,
        }
    }

    pub(super) async fn run(mut self) {
        let interval = self.shared.options.flush_interval;
        let mut next = Box::pin(sleep(interval));
        loop {
            let mut asked = Vec::new();
            tokio::select! {
                biased;
                () = self.stop.stopped() => {
                    self.deliver().await;
                    return;
                }
                Some(request) = self.flush_requests.recv() => {
                    asked.push(request);
                    // One delivery answers everybody who asked before it began.
                    while let Ok(request) = self.flush_requests.try_recv() {
                        asked.push(request);
                    }
                    if asked.iter().all(oneshot::Sender::is_closed) {
                        continue;
                    }
                }
                () = &mut next => next.set(sleep(interval)),
                () = self.shared.many_buffered.notified() => {
                    if self.shared.with_state(|state| state.resting) {
                        continue;
                    }
                }
            }
            self.deliver().await;
            for request in asked {
                // Who asked may have gone.
                let _ = request.send(());
            }
        }
    }

    /// Sends what is buffered now, batch by batch, until one is refused.
    async fn deliver(&mut self) {
        let mut left = self.shared.with_state(State::begin_delivery);
        let shared = Arc::clone(&self.shared);
        let dropped_before = shared.with_state(|state| state.buffer.counts().dropped);
        let mut delivered = 0;
        while left > 0 && !self.is_cut_off() {
            let batch = shared.next_batch(left).await;
            if batch.len() == 0 {
                break;
            }
            left -= batch.len();
            let result = tokio::select! {
                biased;
                result = shared.collector.collect(&batch.batch) => result,
                () = until_cut_off(&mut self.cut_off) => return,
            };
            match result {
                Ok(()) => delivered += as_u64(batch.delivered()),
                Err(error) => {
                    drop(batch);
                    self.refused(error, delivered);
                    return;
                }
            }
        }
        self.succeeded(delivered, dropped_before);
    }

    fn is_cut_off(&self) -> bool {
        self.cut_off
            .borrow()
            .is_some_and(|cut_off| cut_off <= Instant::now())
    }

    fn refused(&mut self, error: RelayError, delivered: u64) {
        let (counts, buffered) = self.shared.with_state(|state| {
            state.resting = true;
            state.flush_wanted = false;
            state.error = Some(error.clone());
            (state.buffer.counts(), state.buffer.len())
        });
        match &mut self.trouble {
            Some(trouble) => trouble.delivered += delivered,
            None => {
                tracing::warn!(
                    buffered,
                    capacity = self.shared.options.max_pending_events.saturating_mul(2),
                    "usage data were not delivered and are kept: {error}"
                );
                self.trouble = Some(Trouble {
                    delivered: 0,
                    dropped_before: self.dropped_before,
                });
            }
        }
        self.dropped_before = counts.dropped;
    }

    fn succeeded(&mut self, delivered: u64, dropped_at_start: u64) {
        if delivered == 0 {
            return;
        }
        let EventCounts { dropped, .. } = self.shared.with_state(|state| state.buffer.counts());
        self.tell_delivery(delivered);
        match &mut self.trouble {
            Some(trouble) => {
                trouble.delivered += delivered;
                if dropped == dropped_at_start {
                    trouble.tell_end(dropped);
                    self.trouble = None;
                }
            }
            None if dropped > self.dropped_before => {
                tracing::warn!(
                    dropped = dropped - self.dropped_before,
                    "usage data are dropped: they come faster than they are collected"
                );
                self.trouble = Some(Trouble {
                    delivered,
                    dropped_before: self.dropped_before,
                });
            }
            None => {}
        }
        self.dropped_before = dropped;
    }

    fn tell_delivery(&self, delivered: u64) {
        if self.shared.options.debug {
            tracing::info!(delivered, "usage data delivered");
        } else {
            tracing::debug!(delivered, "usage data delivered");
        }
    }
}

impl Trouble {
    fn tell_end(&self, dropped: u64) {
        let delivered = self.delivered;
        let dropped = dropped - self.dropped_before;
        if dropped > 0 {
            tracing::warn!(delivered, dropped, "usage data are delivered again");
        } else {
            tracing::info!(delivered, dropped, "usage data are delivered again");
        }
    }
}

impl Shared {
    /// Takes the next batch: at most `limit` events, and as many as fit into [`BATCH_BYTES`].
    /// Events are measured between locks, a slice at a time, so that nobody waits for it long.
    async fn next_batch(&self, limit: usize) -> InFlight<'_> {
        let limit = limit.min(self.options.max_pending_events);
        let mut batch = InFlight {
            shared: self,
            batch: EventBatch {
                meta: self.options.exporter_metadata.clone(),
                events: Vec::new(),
            },
        };
        let mut bytes = json_size(&batch.batch);
        loop {
            let measured = batch.batch.events.len();
            let slice = self.with_state(|state| state.buffer.take(SLICE.min(limit - measured)));
            if slice.is_empty() {
                return batch;
            }
            batch.batch.events.extend(slice);
            let fitting = batch
                .batch
                .events
                .iter()
                .skip(measured)
                .take_while(|event| {
                    bytes += event_size(event) + 1;
                    bytes <= BATCH_BYTES
                });
            // An event that is too large on its own is sent on its own.
            let fitting = (measured + fitting.count()).max(1);
            if fitting < batch.batch.events.len() {
                let rest = batch.batch.events.split_off(fitting);
                self.with_state(|state| state.buffer.put_back(rest));
                return batch;
            }
            tokio::task::yield_now().await;
        }
    }
}

/// A batch on its way. Unless it is delivered, its events go back in front of the buffer, however
/// the flight ends: refused, cut off, or with the task itself.
struct InFlight<'a> {
    shared: &'a Shared,
    batch: EventBatch,
}

impl InFlight<'_> {
    fn len(&self) -> usize {
        self.batch.events.len()
    }

    fn delivered(mut self) -> usize {
        let events = mem::take(&mut self.batch.events);
        self.shared.with_state(|state| {
            state.buffer.delivered(events.len());
            state.resting = false;
            state.error = None;
        });
        events.len()
    }
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let events = mem::take(&mut self.batch.events);
        if !events.is_empty() {
            self.shared
                .with_state(|state| state.buffer.put_back(events));
        }
    }
}

async fn until_cut_off(cut_off: &mut watch::Receiver<Option<Instant>>) {
    let at = match cut_off.wait_for(Option::is_some).await {
        Ok(at) => *at,
        Err(_) => None,
    };
    match at {
        Some(at) => sleep_until(at).await,
        // Whoever could set it is gone, and the task with it.
        None => std::future::pending().await,
    }
}

/// At most how many bytes one batch has as JSON (1 MB).
const BATCH_BYTES: usize = 1_000_000;

/// How many events are taken in one go.
const SLICE: usize = 100;
