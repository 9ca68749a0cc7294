//! The pause before the next attempt: a pure computation with the random number as an argument.

use std::time::Duration;

use crate::task::spread::spread;

/// Full-jitter exponential backoff: each pause is distributed evenly between zero and a ceiling that
/// starts at 100 ms, or where [`starting_at`](Self::starting_at) says, doubles with every pause and
/// ends at a cap. No pause is shorter than 10 ms, so there is never a tight loop.
///
/// The jitter keeps clients of one server from reconnecting at the same time
/// (docs/python-parity.md C12).
///
/// The change stream and the poller of in-process evaluation use it, each with another cap.
#[derive(Debug)]
pub struct Backoff {
    cap: Duration,
    ceiling: Duration,
}

impl Backoff {
    /// Creates a backoff whose pauses never exceed `cap`, which is at most a day.
    #[must_use]
    pub fn new(cap: Duration) -> Self {
        let cap = cap.clamp(SHORTEST, LONGEST);
        Self {
            cap,
            ceiling: FIRST_CEILING.min(cap),
        }
    }

    /// Begins with another ceiling than 100 ms.
    #[must_use]
    pub fn starting_at(mut self, ceiling: Duration) -> Self {
        self.ceiling = ceiling.clamp(SHORTEST, self.cap);
        self
    }

    /// The pause before the next attempt; `random` is an evenly distributed number.
    pub fn pause(&mut self, random: u64) -> Duration {
        let drawn = spread(self.ceiling, random);
        self.ceiling = self.ceiling.saturating_mul(2).min(self.cap);
        drawn.max(SHORTEST)
    }
}

const FIRST_CEILING: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The longest possible pauses, in milliseconds.
    fn ceilings(backoff: &mut Backoff, count: usize) -> Vec<u128> {
        let rounded = |pause: Duration| (pause + Duration::from_micros(1)).as_millis();
        (0..count)
            .map(|_| rounded(backoff.pause(u64::MAX)))
            .collect()
    }

    /// docs/python-parity.md C12.
    #[test]
    fn ceiling_doubles_from_100_ms_to_the_cap() {
        let mut backoff = Backoff::new(Duration::from_secs(60));
        assert_eq!(
            ceilings(&mut backoff, 12),
            [
                100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600, 51_200, 60_000, 60_000
            ]
        );
    }

    #[test]
    fn first_ceiling_may_be_another_one_up_to_the_cap() {
        let starting = |millis| Backoff::new(Duration::from_secs(3)).starting_at(millis);
        let mut wide = starting(Duration::from_secs(2));
        assert_eq!(ceilings(&mut wide, 3), [2_000, 3_000, 3_000]);
        assert_eq!(ceilings(&mut starting(Duration::MAX), 1), [3_000]);
        assert_eq!(ceilings(&mut starting(Duration::ZERO), 2), [10, 20]);
    }

    #[test]
    fn pause_is_proportional_to_the_random_number() {
        let mut halves = Backoff::new(Duration::from_millis(100));
        assert_eq!(halves.pause(1 << 63), Duration::from_millis(50));
        assert_eq!(halves.pause(3 << 62), Duration::from_millis(75));
    }

    proptest! {
        #[test]
        fn pauses_stay_within_bounds(
            cap in any::<Duration>(),
            draws in prop::collection::vec(any::<u64>(), 1..100),
        ) {
            let mut backoff = Backoff::new(cap);
            for random in draws {
                let pause = backoff.pause(random);
                prop_assert!(pause >= SHORTEST);
                prop_assert!(pause <= cap.max(SHORTEST));
            }
        }
    }
}
