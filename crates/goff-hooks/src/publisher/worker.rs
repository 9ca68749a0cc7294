//! The background task that delivers events.

use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::{iter, mem};

use goff_core::__internal::{StopSignal, contained, first_interval, jittered, random_u64};
use goff_core::{EventBatch, RelayClient, RelayError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use super::batch_limits::{BatchLimits, Refused};
use super::buffer::WeighedEvent;
use super::delivery_log::DeliveryLog;
use super::json_size::{json_length, most_json_bytes};
use super::options::EventPublisherOptions;
use super::shared_buffer::SharedBuffer;

pub(super) struct Worker {
    pub(super) buffer: Arc<SharedBuffer>,
    pub(super) collector: Arc<dyn RelayClient>,
    pub(super) options: EventPublisherOptions,
    pub(super) flush_requests: mpsc::UnboundedReceiver<oneshot::Sender<()>>,
    pub(super) stop: StopSignal,
    /// When the last delivery is cut off; set before the stop signal is sent.
    pub(super) deadline: Arc<OnceLock<Instant>>,
}

impl Drop for Worker {
    fn drop(&mut self) {
        if self.deadline.get().is_none() {
            self.buffer.ended();
        }
    }
}

impl Worker {
    /// Delivers on the interval, on the size trigger, on request, and a last time when stopped.
    pub(super) async fn run(mut self) {
        let interval = self.options.flush_interval;
        let mut log = DeliveryLog::new(self.options.debug, self.buffer.stats().dropped);
        let mut limits = BatchLimits::new();
        let mut next = Box::pin(sleep(first_interval(interval, random_u64())));
        loop {
            let mut requests = Vec::new();
            tokio::select! {
                biased;
                () = self.stop.stopped() => {
                    self.deliver_contained(&mut limits, &mut log).await;
                    return;
                }
                Some(request) = self.flush_requests.recv() => {
                    requests.push(request);
                    // One delivery serves all requests made before it begins.
                    while let Ok(request) = self.flush_requests.try_recv() {
                        requests.push(request);
                    }
                    if requests.iter().all(oneshot::Sender::is_closed) {
                        continue;
                    }
                }
                () = &mut next => next.set(sleep(jittered(interval, random_u64()))),
                () = self.buffer.size_trigger.notified() => {
                    if self.buffer.is_size_trigger_off() {
                        continue;
                    }
                }
            }
            self.deliver_contained(&mut limits, &mut log).await;
            for request in requests {
                // A caller whose flush timed out no longer listens.
                let _ = request.send(());
            }
        }
    }

    /// Delivers. A panic, which is a fault of this crate or of the application's `tracing` subscriber,
    /// is a failed delivery: the events that were not delivered are back in the buffer.
    async fn deliver_contained(&self, limits: &mut BatchLimits, log: &mut DeliveryLog) {
        let delivered = contained("the delivery", pin!(self.deliver(limits, log))).await;
        if let Err(panicked) = delivered {
            let error = RelayError::Interrupted(Arc::new(panicked));
            let stats = self.buffer.stats();
            let logging = async { log.failed(&error, 0, stats.pending, stats.dropped) };
            // The subscriber may panic again.
            let _ = contained("the log", pin!(logging)).await;
            self.buffer.failed(error);
        }
    }

    /// Sends the events queued now, batch by batch, until a batch fails or the deadline passes.
    async fn deliver(&self, limits: &mut BatchLimits, log: &mut DeliveryLog) {
        tokio::select! {
            biased;
            () = self.deliver_batches(limits, log) => {}
            () = self.cut_off() => {}
        }
    }

    async fn deliver_batches(&self, limits: &mut BatchLimits, log: &mut DeliveryLog) {
        limits.begin_delivery();
        let mut remaining = self.buffer.begin_delivery();
        let dropped_at_start = self.buffer.stats().dropped;
        let mut delivered = 0;
        // Events that are rejected if another batch is accepted, and kept if none is.
        let mut suspects = self.empty_batch();
        let mut suspicion = None;
        while remaining > 0 && !self.is_past_deadline() {
            let count = limits.next_count().min(remaining);
            let batch = self.next_batch(count, limits.bytes()).await;
            let count = batch.contents.events.len();
            if count == 0 {
                break;
            }
            let Err(error) = send(self.collector.as_ref(), &batch.contents).await else {
                batch.delivered();
                limits.accepted();
                if let Some(error) = suspicion.take() {
                    // The log may panic.
                    mem::replace(&mut suspects, self.empty_batch()).rejected(None);
                    log.rejected(&error);
                }
                remaining = remaining.saturating_sub(count);
                delivered += u64::try_from(count).unwrap_or(u64::MAX);
                continue;
            };
            match limits.refused(&error, count, batch.bytes) {
                Refused::Halve => {}
                Refused::Reject => {
                    remaining -= 1;
                    batch.rejected(Some(error.clone()));
                    log.rejected(&error);
                }
                Refused::RejectIfOthersAreAccepted => {
                    remaining -= 1;
                    suspects.append(batch);
                    suspicion = Some(error);
                }
                Refused::Keep => {
                    suspicion = Some(error);
                    break;
                }
            }
        }
        // Back to the buffer, if there are any.
        drop(suspects);
        let stats = self.buffer.stats();
        match suspicion {
            Some(error) => {
                log.failed(&error, delivered, stats.pending, stats.dropped);
                self.buffer.failed(error);
            }
            None => log.succeeded(delivered, dropped_at_start, stats.dropped),
        }
    }

    /// Takes the oldest events: at most `limit`, `max_pending_events` and `most_bytes` as JSON. An
    /// event that exceeds the bytes alone is a batch alone.
    async fn next_batch(&self, limit: usize, most_bytes: usize) -> Batch<'_> {
        let limit = limit.min(self.options.max_pending_events);
        let mut batch = self.empty_batch();
        batch.bytes = json_length(&batch.contents);
        let mut yield_at = batch.bytes + BYTES_BETWEEN_YIELDS;
        while batch.contents.events.len() < limit {
            // Some at a time: a lock for each event would delay the threads that record.
            let left = limit - batch.contents.events.len();
            let taken = self.buffer.take(left.min(EVENTS_UNDER_THE_LOCK));
            if taken.is_empty() {
                break;
            }
            let mut taken = taken.into_iter();
            while let Some(event) = taken.next() {
                let bytes = most_json_bytes(&event.event) + ",".len();
                if batch.bytes + bytes > most_bytes && !batch.contents.events.is_empty() {
                    self.buffer
                        .put_back(iter::once(event).chain(taken).collect());
                    return batch;
                }
                batch.bytes += bytes;
                batch.weight += event.weight;
                batch.contents.events.push(event.event);
            }
            if batch.bytes >= yield_at {
                yield_at = batch.bytes + BYTES_BETWEEN_YIELDS;
                yield_now().await;
            }
        }
        // A collector need not wait.
        yield_now().await;
        batch
    }

    fn empty_batch(&self) -> Batch<'_> {
        Batch {
            buffer: &self.buffer,
            contents: EventBatch::new(self.options.exporter_metadata.clone(), Vec::new()),
            weight: 0,
            bytes: 0,
        }
    }

    /// Resolves when the worker is stopped and its deadline has passed.
    async fn cut_off(&self) {
        self.stop.clone().stopped().await;
        if let Some(deadline) = self.deadline.get() {
            sleep_until(*deadline).await;
        }
    }

    fn is_past_deadline(&self) -> bool {
        self.deadline
            .get()
            .is_some_and(|deadline| *deadline <= Instant::now())
    }
}

/// The batch in flight. Unless it is delivered its events return to the front of the queue, also
/// when the delivery is cut off or panics.
struct Batch<'a> {
    buffer: &'a SharedBuffer,
    contents: EventBatch,
    weight: usize,
    /// The size as JSON, or a little more.
    bytes: usize,
}

impl Batch<'_> {
    fn delivered(mut self) {
        let count = self.contents.events.len();
        // Freed before they are counted as delivered, so that memory stays within the limit.
        self.contents.events.clear();
        self.buffer.delivered(count, self.weight);
    }

    /// The events will never be accepted. `error` says why, if this was the last batch.
    fn rejected(mut self, error: Option<RelayError>) {
        let count = self.contents.events.len();
        self.contents.events.clear();
        self.buffer.rejected(count, self.weight, error);
    }

    fn append(&mut self, mut batch: Batch<'_>) {
        self.contents.events.append(&mut batch.contents.events);
        self.weight += batch.weight;
    }
}

impl Drop for Batch<'_> {
    fn drop(&mut self) {
        let events = mem::take(&mut self.contents.events);
        self.buffer
            .put_back(events.into_iter().map(WeighedEvent::from).collect());
    }
}

/// Sends a batch. A panic of the relay client is an error too, so that the next delivery tries again.
async fn send(collector: &dyn RelayClient, batch: &EventBatch) -> Result<(), RelayError> {
    let call = async { collector.collect(batch).await };
    let called = contained("the relay client", pin!(call)).await;
    called.unwrap_or_else(|panicked| Err(RelayError::Interrupted(Arc::new(panicked))))
}

/// How many events are taken at a time.
const EVENTS_UNDER_THE_LOCK: usize = 32;

/// How many bytes are measured, in about a tenth of a millisecond, before other tasks get a turn. Each
/// turn may wake a thread of the runtime (bench row "cached, native, one hot key").
const BYTES_BETWEEN_YIELDS: usize = 256 * 1024;
