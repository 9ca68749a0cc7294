//! The window in which repeated events are left out.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::time::{Duration, Instant};

use goff_core::FeatureEvent;

/// The events of the last `length`. It keeps 64-bit hashes with random keys instead of events, so it
/// holds no user; a new event is taken for a repeated one once in 10^14 events. Its memory is bounded
/// by [`MAX_ENTRIES`]: beyond it the oldest is forgotten early, and its repetition recorded.
#[derive(Debug)]
pub(super) struct Repeats {
    length: Duration,
    hashes: RandomState,
    /// When each event was passed on.
    passed: HashMap<u64, Instant>,
    /// The same in the order of time. An event that was passed on again is in it twice.
    order: VecDeque<(Instant, u64)>,
}

impl Repeats {
    pub(super) fn new(length: Duration) -> Self {
        Self {
            length,
            hashes: RandomState::new(),
            passed: HashMap::with_capacity(MAX_ENTRIES),
            order: VecDeque::with_capacity(MAX_ENTRIES),
        }
    }

    /// Whether an event that differs only in its time was passed on within the window. If not, this
    /// one is.
    pub(super) fn is_repeat(&mut self, event: &FeatureEvent, now: Instant) -> bool {
        // A few at a time: a burst an hour ago would delay one evaluation.
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.order.front() {
                Some((passed, _)) if !self.is_within(*passed, now) => self.forget_oldest(),
                _ => break,
            }
        }
        let hash = self.hashes.hash_one(Identity(event));
        if let Some(passed) = self.passed.get(&hash)
            && self.is_within(*passed, now)
        {
            return true;
        }
        if self.order.len() >= MAX_ENTRIES {
            self.forget_oldest();
        }
        self.passed.insert(hash, now);
        self.order.push_back((now, hash));
        false
    }

    pub(super) fn clear(&mut self) {
        self.passed.clear();
        self.order.clear();
    }

    fn is_within(&self, passed: Instant, now: Instant) -> bool {
        now.saturating_duration_since(passed) < self.length
    }

    fn forget_oldest(&mut self) {
        if let Some((passed, hash)) = self.order.pop_front()
            && self.passed.get(&hash) == Some(&passed)
        {
            self.passed.remove(&hash);
        }
    }
}

/// Everything in an event but its time.
struct Identity<'a>(&'a FeatureEvent);

impl Hash for Identity<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let event = self.0;
        (&event.flag_key, &event.user_key, event.context_kind).hash(state);
        (event.variant(), event.value(), event.version()).hash(state);
        (event.is_default, event.source).hash(state);
    }
}

/// About 4 MB.
pub(super) const MAX_ENTRIES: usize = 65_536;

const FORGOTTEN_AT_ONCE: usize = 8;

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use goff_core::{ContextKind, EventSource, Reason, Resolution};
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn event(flag: &str, user: &str, value: impl Into<Value>) -> FeatureEvent {
        let (kind, source) = (ContextKind::User, EventSource::InProcess);
        let resolution = Resolution::new(value, Reason::Static).with_variant("A");
        FeatureEvent::new(flag, kind, user, 0, source).with_resolution(Arc::new(resolution))
    }

    #[test]
    fn an_event_that_differs_in_more_than_its_time_is_no_repeat() {
        let mut repeats = Repeats::new(Duration::from_secs(60));
        let now = Instant::now();
        let first = event("flag", "user", json!({"a": [1, 2]}));
        assert!(!repeats.is_repeat(&first, now));
        let mut later = first.clone();
        later.creation_date_seconds = 7;
        assert!(repeats.is_repeat(&later, now));
        let resolution = Resolution::new(json!({"a": [1, 2]}), Reason::Static);
        let of = |resolution: Resolution| first.clone().with_resolution(Arc::new(resolution));
        let mut anonymous = first.clone();
        anonymous.context_kind = ContextKind::AnonymousUser;
        for other in [
            event("other", "user", json!({"a": [1, 2]})),
            event("flag", "other", json!({"a": [1, 2]})),
            event("flag", "user", json!({"a": [1, 3]})),
            event("flag", "user", json!({"a": [1.0, 2]})),
            event("flag", "user", Value::Null),
            event("flaguser", "", json!({"a": [1, 2]})),
            of(resolution.clone().with_variant("B")),
            of(resolution.with_variant("A").with_version("2")),
            first.clone().with_is_default(true),
            anonymous,
        ] {
            assert!(!repeats.is_repeat(&other, now), "{other:?}");
            assert!(repeats.is_repeat(&other, now), "{other:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_a_full_window_loses_no_event() {
        let mut repeats = Repeats::new(Duration::from_secs(3600));
        let now = Instant::now();
        let capacities = (repeats.passed.capacity(), repeats.order.capacity());
        let users = MAX_ENTRIES + 1_000;
        let mut event = event("flag", "", true);
        for n in 0..users {
            event.user_key = n.to_string();
            assert!(!repeats.is_repeat(&event, now));
        }
        assert_eq!(
            (repeats.passed.len(), repeats.order.len()),
            (MAX_ENTRIES, MAX_ENTRIES)
        );
        // The capacity that a map reports shrinks as entries are replaced.
        assert!(repeats.passed.capacity() <= capacities.0);
        assert_eq!(repeats.order.capacity(), capacities.1);
        assert!(repeats.is_repeat(&event, now));
        event.user_key = "0".to_owned();
        assert!(
            !repeats.is_repeat(&event, now),
            "the oldest was forgotten early"
        );
    }

    #[test]
    fn no_key_of_a_user_is_kept() {
        let mut repeats = Repeats::new(Duration::from_secs(60));
        repeats.is_repeat(&event("flag", "user-4711", "secret-4711"), Instant::now());
        assert!(!format!("{repeats:?}").contains("4711"));
    }

    proptest! {
        /// The obvious window: a list of all events that were passed on.
        #[test]
        fn behaves_as_a_list_of_what_was_passed_on(
            steps in prop::collection::vec((0_u64..4, 0_u8..3, 0_u8..3), 0..60),
        ) {
            let length = Duration::from_secs(5);
            let mut repeats = Repeats::new(length);
            let mut passed: Vec<(u8, u8, Instant)> = Vec::new();
            let mut now = Instant::now();
            for (seconds, user, value) in steps {
                now += Duration::from_secs(seconds);
                let repeat = passed.iter().any(|(u, v, at)| {
                    (*u, *v) == (user, value) && now - *at < length
                });
                if !repeat {
                    passed.push((user, value, now));
                }
                let event = event("flag", &user.to_string(), value);
                prop_assert_eq!(repeats.is_repeat(&event, now), repeat);
            }
        }
    }
}
