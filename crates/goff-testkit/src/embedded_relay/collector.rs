//! The data collector (docs/relay-protocol.md 14), and the events that it and the evaluations
//! produce.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::watch;

use super::answer::Answer;
use super::event::{feature_event, tracking_event};
use super::request_json::{BodyError, Members};

/// The two kinds of event that a relay proxy exports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CollectedKind {
    /// An evaluation.
    Feature,
    /// A tracking event.
    Tracking,
}

/// An event as an exporter of a relay proxy would write it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CollectedEvent {
    /// The kind, which decides the exporters.
    pub kind: CollectedKind,
    /// The flag set whose key the request had; `None` without flag sets.
    pub flag_set: Option<String>,
    /// The event. Its `source` is `SERVER` for an evaluation by the relay proxy.
    pub json: Value,
}

/// The collected events in order of arrival. When it is full, the oldest event is dropped.
#[derive(Debug)]
pub(super) struct Collected {
    kept: Mutex<VecDeque<CompactEvent>>,
    capacity: usize,
    /// The number of collected events, dropped ones included.
    count: watch::Sender<usize>,
}

/// An event in compact form: soak tests collect many.
#[derive(Debug)]
struct CompactEvent {
    kind: CollectedKind,
    flag_set: Option<Box<str>>,
    json: Box<str>,
}

impl Collected {
    pub(super) fn new(capacity: usize) -> Self {
        Self {
            kept: Mutex::default(),
            capacity,
            count: watch::Sender::new(0),
        }
    }

    pub(super) fn add(&self, events: impl IntoIterator<Item = CollectedEvent>) {
        let mut kept = self.lock();
        let mut added = 0;
        for event in events {
            added += 1;
            kept.push_back(CompactEvent {
                kind: event.kind,
                flag_set: event.flag_set.map(Into::into),
                json: event.json.to_string().into(),
            });
            if kept.len() > self.capacity {
                kept.pop_front();
            }
        }
        self.count.send_modify(|count| *count += added);
    }

    pub(super) fn all(&self) -> Vec<CollectedEvent> {
        let kept = self.lock();
        let events = kept.iter().map(|event| CollectedEvent {
            kind: event.kind,
            flag_set: event.flag_set.as_deref().map(ToOwned::to_owned),
            // The text was written from a value, so reading cannot fail.
            json: serde_json::from_str(&event.json).unwrap_or_default(),
        });
        events.collect()
    }

    pub(super) fn clear(&self) {
        let mut kept = self.lock();
        kept.clear();
        self.count.send_replace(0);
    }

    /// The number of collected events, and its changes.
    pub(super) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<CompactEvent>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A batch as a client sent it.
#[derive(Debug, Default)]
pub(super) struct Batch {
    meta: Option<Map<String, Value>>,
    /// A null event counts and has no members.
    events: Vec<Option<Map<String, Value>>>,
}

impl Batch {
    pub(super) fn read(body: Result<Members<'_>, BodyError>) -> Result<Self, Answer> {
        const INVALID: &str = "collectEvalData: invalid input data";
        let read = |body: Members<'_>| Ok((body.get("meta")?, body.get("events")?));
        match body.and_then(read) {
            Err(error) => Err(Answer::failure(400, format!("{INVALID} {error}"))),
            Ok((_, None)) => Err(Answer::failure(400, INVALID)),
            Ok((meta, Some(events))) => Ok(Self { meta, events }),
        }
    }

    /// The answer, which counts dropped events too, and the exported events.
    pub(super) fn collect(self, flag_set: Option<&str>) -> (Answer, Vec<CollectedEvent>) {
        let answer = json!({"ingestedContentCount": self.events.len()});
        let meta = self.meta.as_ref();
        let events = self.events.into_iter().filter_map(|event| {
            let event = event.unwrap_or_default();
            let (kind, json) = if event.get("kind").is_some_and(|kind| kind == "tracking") {
                (CollectedKind::Tracking, tracking_event(&event)?)
            } else {
                (CollectedKind::Feature, feature_event(&event, meta)?)
            };
            Some(CollectedEvent {
                kind,
                flag_set: flag_set.map(ToOwned::to_owned),
                json,
            })
        });
        let events = events.collect();
        (Answer::json(200, answer), events)
    }
}
