use std::sync::Arc;

use goff_core::{ContextKind, EventSource};
use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

const ANY_WEIGHT: usize = usize::MAX;

fn buffer(events: usize) -> EventBuffer {
    let weight = ANY_WEIGHT;
    EventBuffer::new(Limits { events, weight })
}

/// A buffer with the events 0 to 3.
fn buffer_of_four(limit: usize) -> EventBuffer {
    let mut buffer = buffer(limit);
    (0..4).for_each(|id| push(&mut buffer, feature(id)));
    buffer
}

fn feature(id: i64) -> FeatureEvent {
    FeatureEvent::new("", ContextKind::User, "", id, EventSource::ProviderCache)
}

fn failed(id: i64) -> FeatureEvent {
    feature(id).with_is_default(true)
}

fn tracking(id: i64) -> TrackingEvent {
    TrackingEvent::new("", ContextKind::User, "", id)
        .with_evaluation_context(Map::new())
        .with_details(Map::new())
}

fn push(buffer: &mut EventBuffer, event: impl Into<Event>) {
    buffer.push(event.into().into());
}

fn id(event: &WeighedEvent) -> i64 {
    match &event.event {
        Event::Feature(event) => event.creation_date_seconds,
        Event::Tracking(event) => event.creation_date_seconds,
        _ => unreachable!(),
    }
}

fn take(buffer: &mut EventBuffer, count: usize) -> Vec<WeighedEvent> {
    buffer.take(count).collect()
}

fn ids<'a>(events: impl IntoIterator<Item = &'a WeighedEvent>) -> Vec<i64> {
    events.into_iter().map(id).collect()
}

/// GOFF-COLL-019: the oldest, whatever its kind.
#[test]
fn oldest_event_is_dropped_at_the_limit() {
    let mut buffer = buffer(3);
    push(&mut buffer, failed(0));
    push(&mut buffer, feature(1));
    push(&mut buffer, tracking(2));
    push(&mut buffer, failed(3));
    push(&mut buffer, feature(4));
    assert_eq!(ids(&buffer.queue), [2, 3, 4]);
    assert_eq!(buffer.counts().dropped, 2);
}

/// GOFF-COLL-018.
#[test]
fn failed_batch_returns_to_the_front() {
    let mut buffer = buffer_of_four(6);
    let batch = take(&mut buffer, 3);
    assert_eq!(ids(&batch), [0, 1, 2]);
    push(&mut buffer, feature(4));
    buffer.put_back(batch);
    assert_eq!(ids(&buffer.queue), [0, 1, 2, 3, 4]);
}

/// GOFF-COLL-019: the limit counts the batch in flight.
#[test]
fn limit_includes_the_batch_in_flight() {
    let mut buffer = buffer_of_four(4);
    let batch = take(&mut buffer, 2);
    push(&mut buffer, feature(4));
    assert_eq!(ids(&buffer.queue), [3, 4]);
    buffer.put_back(batch);
    assert_eq!(ids(&buffer.queue), [0, 1, 3, 4]);
    assert_eq!(buffer.counts().dropped, 1);
}

#[test]
fn event_heavier_than_the_limit_drops_no_other() {
    let largest = with_key_of(1_000, 2);
    let (events, weight) = (9, largest.weight);
    let mut buffer = EventBuffer::new(Limits { events, weight });
    push(&mut buffer, feature(0));
    buffer.push(with_key_of(1_001, 1));
    assert_eq!(ids(&buffer.queue), [0]);
    assert_eq!(buffer.counts().dropped, 1);
    buffer.push(largest);
    assert_eq!(ids(&buffer.queue), [2]);
}

#[test]
fn buffer_without_room_drops_every_event() {
    for (events, weight) in [(0, ANY_WEIGHT), (9, 0)] {
        let mut buffer = EventBuffer::new(Limits { events, weight });
        push(&mut buffer, feature(0));
        push(&mut buffer, failed(1));
        assert!(buffer.take(1).next().is_none());
        let counts = buffer.counts();
        assert_eq!((counts.recorded, counts.dropped), (2, 2));
    }
}

/// Every part that may be long adds its length.
#[test]
fn weight_counts_texts_and_values() {
    let text = "x".repeat(10_000);
    let object = json!({"list": [1, text, {"name": null}]});
    let members = object.as_object().unwrap();
    let resolution = |resolution| feature(0).with_resolution(Some(Arc::new(resolution)));
    let source = EventSource::InProcess;
    let default_value = Some(Box::new(json!(text)));
    let long_events: [Event; 11] = [
        feature(0).with_user_key(text.clone()).into(),
        FeatureEvent::new(text.as_str(), ContextKind::User, "", 0, source).into(),
        feature(0).with_default_value(default_value).into(),
        resolution(Resolution::default().with_variant(text.clone())).into(),
        resolution(Resolution::default().with_version(text.clone())).into(),
        resolution(Resolution::default().with_metadata(members.clone())).into(),
        resolution(Resolution::default().with_value(object.clone())).into(),
        TrackingEvent::new("", ContextKind::User, text.as_str(), 0).into(),
        TrackingEvent::new(text.as_str(), ContextKind::User, "", 0).into(),
        tracking(0).with_evaluation_context(members.clone()).into(),
        tracking(0).with_details(members.clone()).into(),
    ];
    for event in long_events {
        let weight = WeighedEvent::from(event.clone()).weight;
        // The two objects take more than 600 bytes each.
        assert!((10_000..12_000).contains(&weight), "{weight}: {event:?}");
    }
    assert!(WeighedEvent::from(Event::from(feature(0))).weight < 300);
}

#[derive(Debug, Clone, Copy)]
enum Step {
    /// Records an event with a user key of this length.
    Push(usize),
    Refuse,
    /// Leaves an event out, before it is recorded.
    LeaveOut,
    /// Moves up to this many events into flight.
    Take(usize),
    Deliver,
    Reject,
    /// Puts back those in flight except the first, which are this many.
    PutBackAfter(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0_usize..200).prop_map(Step::Push),
        1 => Just(Step::Refuse),
        1 => Just(Step::LeaveOut),
        2 => (0_usize..6).prop_map(Step::Take),
        1 => Just(Step::Deliver),
        1 => Just(Step::Reject),
        2 => Just(Step::PutBackAfter(0)),
        1 => (0_usize..4).prop_map(Step::PutBackAfter),
    ]
}

/// The obvious buffer: lists of (id, weight).
#[derive(Default)]
struct Model {
    queue: Vec<(i64, usize)>,
    in_flight: Vec<(i64, usize)>,
    counts: EventCounts,
}

impl Model {
    fn weight(&self) -> usize {
        let all = self.queue.iter().chain(&self.in_flight);
        all.map(|(_, weight)| weight).sum()
    }

    fn push(&mut self, id: i64, weight: usize, limits: Limits) {
        if weight > limits.weight {
            self.counts.dropped += 1;
            return;
        }
        self.queue.push((id, weight));
        while !self.queue.is_empty()
            && (self.queue.len() + self.in_flight.len() > limits.events
                || self.weight() > limits.weight)
        {
            self.queue.remove(0);
            self.counts.dropped += 1;
        }
    }
}

fn weight(events: &[WeighedEvent]) -> usize {
    events.iter().map(|event| event.weight).sum()
}

fn with_key_of(length: usize, id: i64) -> WeighedEvent {
    let event = feature(id).with_user_key("k".repeat(length));
    WeighedEvent::from(Event::from(event))
}

proptest! {
    /// GOFF-COLL-018, GOFF-COLL-019: exactly the oldest events are dropped, and every event is
    /// counted once.
    #[test]
    fn behaves_as_a_list_that_drops_its_first(
        events in 0_usize..8,
        weight_limit in prop_oneof![Just(ANY_WEIGHT), 0_usize..2_000],
        steps in prop::collection::vec(step(), 0..80),
    ) {
        let limits = Limits { events, weight: weight_limit };
        let mut buffer = EventBuffer::new(limits);
        let mut model = Model::default();
        let mut in_flight = Vec::new();
        let mut offered = 0;
        for (n, step) in (0..).zip(steps) {
            let is_offer = matches!(step, Step::Push(_) | Step::Refuse | Step::LeaveOut);
            match step {
                Step::Push(length) => {
                    let event = with_key_of(length, n);
                    model.counts.recorded += 1;
                    model.push(n, event.weight, limits);
                    buffer.push(event);
                }
                Step::Refuse => {
                    model.counts.recorded += 1;
                    model.counts.dropped += 1;
                    buffer.refuse();
                }
                Step::LeaveOut => {
                    model.counts.left_out += 1;
                    buffer.leave_out();
                }
                Step::Take(count) => {
                    in_flight.extend(take(&mut buffer, count));
                    let count = count.min(model.queue.len());
                    model.in_flight.extend(model.queue.drain(..count));
                }
                Step::Deliver => {
                    buffer.delivered(in_flight.len(), weight(&in_flight));
                    in_flight.clear();
                    model.counts.delivered += model.in_flight.len();
                    model.in_flight.clear();
                }
                Step::Reject => {
                    buffer.rejected(in_flight.len(), weight(&in_flight));
                    in_flight.clear();
                    model.counts.rejected += model.in_flight.len();
                    model.in_flight.clear();
                }
                Step::PutBackAfter(count) => {
                    let count = count.min(in_flight.len());
                    buffer.put_back(in_flight.split_off(count));
                    model.queue.splice(0..0, model.in_flight.drain(count..));
                }
            }
            let id = |(id, _): &(i64, usize)| *id;
            prop_assert_eq!(ids(&buffer.queue), model.queue.iter().map(id).collect::<Vec<_>>());
            prop_assert_eq!(ids(&in_flight), model.in_flight.iter().map(id).collect::<Vec<_>>());
            prop_assert_eq!(buffer.counts(), model.counts);
            prop_assert_eq!(buffer.weight, model.weight());
            prop_assert_eq!(buffer.len(), model.queue.len());
            prop_assert_eq!(buffer.in_flight(), in_flight.len());
            let EventCounts { recorded, delivered, dropped, rejected, left_out } = buffer.counts();
            prop_assert_eq!(recorded, delivered + dropped + rejected + buffer.pending());
            offered += usize::from(is_offer);
            prop_assert_eq!(offered, recorded + left_out);
        }
    }
}
