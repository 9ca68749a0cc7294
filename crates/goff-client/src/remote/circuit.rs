//! [`Circuit`]: whether requests are sent to a relay proxy that does not answer. A pure decision:
//! time and random numbers are arguments.

use std::time::Duration;

use goff_core::__internal::Backoff;
use tokio::time::Instant;

/// Closed, requests are sent. It opens when no request has got the head of a response for the
/// window, and at least [`FAILURES_UNTIL_OPEN`] requests have failed since, none later than two
/// windows after the one before. While it is open, one request at a time tries, after random pauses.
/// Any answer closes it.
#[derive(Debug)]
pub(crate) struct Circuit {
    /// How long nothing may be answered.
    window: Duration,
    last_answer: Option<Instant>,
    /// The failures that count, and when the last one was.
    failures: u32,
    last_failure: Option<Instant>,
    /// When the first request began whose failure counts.
    unanswered_since: Option<Instant>,
    open: Option<Open>,
    /// The number of the last probe.
    probes: u64,
}

#[derive(Debug)]
struct Open {
    next_try: Instant,
    backoff: Backoff,
    probe: Option<u64>,
}

/// Whether a request may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Closed,
    /// The one request that tries; its number goes to [`Circuit::probe_ended`].
    Probe(u64),
    Refused {
        unanswered_for: Duration,
        /// Zero while a probe is in flight.
        next_try: Duration,
    },
}

impl Circuit {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            window: timeout.max(SHORTEST_WINDOW),
            last_answer: None,
            failures: 0,
            last_failure: None,
            unanswered_since: None,
            open: None,
            probes: 0,
        }
    }

    /// Whether every request is admitted.
    pub(crate) fn is_closed(&self) -> bool {
        self.open.is_none()
    }

    pub(crate) fn admit(&mut self, now: Instant) -> Admission {
        let Some(open) = &mut self.open else {
            return Admission::Closed;
        };
        if open.probe.is_none() && now >= open.next_try {
            self.probes += 1;
            open.probe = Some(self.probes);
            return Admission::Probe(self.probes);
        }
        let since = self.unanswered_since.unwrap_or(now);
        let next_try = match open.probe {
            Some(_) => Duration::ZERO,
            // A pause that is not over is not zero.
            None => open.next_try.saturating_duration_since(now),
        };
        Admission::Refused {
            unanswered_for: now.saturating_duration_since(since),
            next_try,
        }
    }

    /// When the next request may try; `None` while the circuit is closed or a request tries.
    pub(crate) fn next_try(&self) -> Option<Instant> {
        let open = self.open.as_ref().filter(|open| open.probe.is_none());
        open.map(|open| open.next_try)
    }

    /// The head of a response has arrived. Returns how long nothing was answered if that closes the
    /// circuit.
    pub(crate) fn answered(&mut self, now: Instant) -> Option<Duration> {
        self.last_answer = Some(now);
        self.failures = 0;
        let since = self.unanswered_since.take();
        self.open.take()?;
        Some(now.saturating_duration_since(since.unwrap_or(now)))
    }

    /// A request that began at `began` failed without an answer. Returns whether that opens the
    /// circuit.
    pub(crate) fn failed(&mut self, began: Instant, now: Instant, random: u64) -> bool {
        if self.open.is_some() {
            return false;
        }
        let before = self.last_failure.replace(now);
        if before.is_some_and(|before| {
            now.saturating_duration_since(before) > self.window.saturating_mul(2)
        }) {
            (self.failures, self.unanswered_since) = (0, None);
        }
        // What it waited before the last answer says nothing.
        let began = self
            .last_answer
            .map_or(began, |answered| answered.max(began));
        let since = self
            .unanswered_since
            .map_or(began, |since| since.min(began));
        self.unanswered_since = Some(since);
        self.failures = self.failures.saturating_add(1);
        let opens = self.failures >= FAILURES_UNTIL_OPEN
            && now.saturating_duration_since(since) >= self.window;
        if opens {
            let mut backoff = Backoff::new(LONGEST_PAUSE).starting_at(FIRST_PAUSE);
            self.open = Some(Open {
                next_try: now + backoff.pause(random),
                backoff,
                probe: None,
            });
        }
        opens
    }

    /// A probe is over: it was sent and not answered, or was not sent, so that the next request may
    /// try at once. Returns whether it was the one that tried.
    pub(crate) fn probe_ended(
        &mut self,
        probe: u64,
        was_sent: bool,
        now: Instant,
        random: u64,
    ) -> bool {
        let Some(open) = self.open.as_mut().filter(|open| open.probe == Some(probe)) else {
            return false;
        };
        open.probe = None;
        if was_sent {
            open.next_try = now + open.backoff.pause(random);
        }
        true
    }
}

/// Fewer failures may be a coincidence.
const FAILURES_UNTIL_OPEN: u32 = 5;
const SHORTEST_WINDOW: Duration = Duration::from_secs(1);
/// Up to a second until the first probe, and then twice as much each time, up to this.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn start() -> Instant {
        Instant::now() + secs(1_000)
    }

    /// A circuit that opened at `start() + 10 s`; the first pause has the random number 0, and is
    /// 10 ms.
    fn open(start: Instant) -> Circuit {
        let mut circuit = Circuit::new(secs(10));
        for n in 1..=5 {
            assert_eq!(circuit.failed(start, start + secs(10), 0), n == 5);
        }
        circuit
    }

    #[test]
    fn opens_after_the_window_and_five_failures() {
        for (timeout, failures, seconds, opens) in [
            (secs(10), 5, 10, true),
            (secs(10), 4, 10, false),
            (secs(10), 500, 9, false),
            (secs(3), 5, 3, true),
            (Duration::from_millis(50), 5, 1, true),
            (Duration::from_millis(50), 50, 0, false),
        ] {
            let start = start();
            let mut circuit = Circuit::new(timeout);
            let opened = (0..failures).any(|_| circuit.failed(start, start + secs(seconds), 0));
            assert_eq!(opened, opens, "{timeout:?} {failures} {seconds}");
            assert_eq!(circuit.open.is_some(), opens);
        }
    }

    /// A client that was idle for an hour does not open at a short failure.
    #[test]
    fn time_without_requests_is_no_silence() {
        let start = start();
        let mut circuit = Circuit::new(secs(1));
        circuit.answered(start);
        let later = start + secs(3_600);
        for _ in 0..50 {
            assert!(!circuit.failed(later, later, 0));
        }
        assert!(circuit.failed(later, later + secs(1), 0));
    }

    /// Five failures over a day are no outage.
    #[test]
    fn longest_timeout_opens_never_and_panics_never() {
        let mut circuit = Circuit::new(Duration::MAX);
        let now = Instant::now();
        assert!((0..10).all(|_| !circuit.failed(now, now, 0)));
    }

    #[test]
    fn failures_far_apart_are_not_added() {
        for (pause, opens) in [(secs(4), true), (secs(4) + Duration::from_millis(1), false)] {
            let start = start();
            let mut circuit = Circuit::new(secs(2));
            let opened = (0..50).any(|n| {
                let now = start + pause * n;
                circuit.failed(now, now, 0)
            });
            assert_eq!(opened, opens, "{pause:?}");
        }
    }

    #[test]
    fn one_probe_at_a_time_and_longer_pauses() {
        let start = start();
        let mut circuit = open(start);
        let mut now = start + secs(10);
        let refused = |circuit: &mut Circuit, now: Instant| match circuit.admit(now) {
            Admission::Refused {
                unanswered_for,
                next_try,
            } => {
                assert_eq!(unanswered_for, now - start);
                next_try
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(&mut circuit, now), Duration::from_millis(10));
        now += Duration::from_millis(10);
        let mut pauses = Vec::new();
        for n in 1..=6 {
            assert_eq!(circuit.admit(now), Admission::Probe(n));
            assert_eq!(refused(&mut circuit, now), Duration::ZERO);
            circuit.probe_ended(n, true, now, u64::MAX);
            let pause = refused(&mut circuit, now);
            pauses.push((pause + Duration::from_millis(1)).as_secs());
            now += pause;
        }
        assert_eq!(pauses, [2, 4, 8, 10, 10, 10]);
        // What was not sent says nothing: the next request tries at once.
        assert_eq!(circuit.admit(now), Admission::Probe(7));
        circuit.probe_ended(7, false, now, 0);
        assert_eq!(circuit.admit(now), Admission::Probe(8));
        assert_eq!(circuit.answered(now), Some(now - start));
        assert_eq!(circuit.admit(now), Admission::Closed);
        assert_eq!(circuit.answered(now), None);
        // The probe that was answered ends after the circuit has closed.
        circuit.probe_ended(8, true, now, 0);
        assert_eq!(circuit.admit(now), Admission::Closed);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Pass(u64),
        Answered,
        /// With how many milliseconds it had begun before.
        Failed(u64),
        Admit,
        ProbeEnded(bool),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0_u64..1_500).prop_map(Step::Pass),
            (3_900_u64..4_200).prop_map(Step::Pass),
            Just(Step::Answered),
            (0_u64..1_500).prop_map(Step::Failed),
            (0_u64..1_500).prop_map(Step::Failed),
            (0_u64..1_500).prop_map(Step::Failed),
            Just(Step::Admit),
            any::<bool>().prop_map(Step::ProbeEnded),
        ]
    }

    proptest! {
        /// Against the whole history of answers and failures.
        #[test]
        fn agrees_with_the_rule(steps in prop::collection::vec(step(), 0..200)) {
            let mut now = start();
            let mut circuit = Circuit::new(secs(2));
            let (mut last_answer, mut failures) = (None, Vec::new());
            let mut last_failure: Option<Instant> = None;
            let (mut is_open, mut probe) = (false, None);
            for step in steps {
                match step {
                    Step::Pass(millis) => now += Duration::from_millis(millis),
                    Step::Answered => {
                        prop_assert_eq!(circuit.answered(now).is_some(), is_open);
                        (last_answer, is_open, probe) = (Some(now), false, None);
                        failures.clear();
                    }
                    Step::Failed(before) => {
                        let began = now - Duration::from_millis(before);
                        if !is_open {
                            if last_failure.is_some_and(|last| now - last > secs(4)) {
                                failures.clear();
                            }
                            last_failure = Some(now);
                            failures.push(began);
                        }
                        let first = failures.iter().min().copied().max(last_answer);
                        let silent = first.map_or(Duration::ZERO, |first| now - first);
                        let opens = !is_open && failures.len() >= 5 && silent >= secs(2);
                        prop_assert_eq!(circuit.failed(began, now, u64::MAX), opens);
                        is_open |= opens;
                    }
                    Step::Admit => match circuit.admit(now) {
                        Admission::Closed => prop_assert!(!is_open),
                        Admission::Probe(number) => {
                            prop_assert!(is_open && probe.is_none());
                            probe = Some(number);
                        }
                        Admission::Refused { next_try, .. } => {
                            prop_assert!(is_open);
                            prop_assert_eq!(next_try.is_zero(), probe.is_some());
                            prop_assert!(next_try <= LONGEST_PAUSE);
                        }
                    },
                    Step::ProbeEnded(was_sent) => if let Some(number) = probe.take() {
                        prop_assert!(circuit.probe_ended(number, was_sent, now, u64::MAX));
                        // Up to a second, and then twice as much each time.
                        let pause = circuit.next_try().unwrap().saturating_duration_since(now);
                        prop_assert_eq!(!pause.is_zero(), was_sent);
                    },
                }
                prop_assert_eq!(circuit.open.is_some(), is_open);
            }
        }
    }
}
