//! The pause before the next attempt: a pure computation with the random number as an argument.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Duration;

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
        // The ceiling, at most a day, fits into 64 bits, so the product fits into 128.
        let drawn = (self.ceiling.as_nanos() * u128::from(random)) >> u64::BITS;
        self.ceiling = self.ceiling.saturating_mul(2).min(self.cap);
        Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX)).max(SHORTEST)
    }
}

/// Within a tenth of the interval, so that clients do not act in step (GOFF-IP-011). At most a year.
#[must_use]
pub fn jittered(interval: Duration, random: u64) -> Duration {
    let nanos = interval.min(A_YEAR).as_nanos();
    let spread = nanos / 5;
    let drawn = (spread * u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(nanos - spread / 2 + drawn).unwrap_or(u64::MAX)).min(A_YEAR)
}

/// An evenly distributed random number, not for secrets.
#[must_use]
pub fn random_u64() -> u64 {
    // `RandomState` has random keys, and the hash of nothing depends on them.
    RandomState::new().hash_one(())
}

const FIRST_CEILING: Duration = Duration::from_millis(100);
const SHORTEST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

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

    /// GOFF-IP-011.
    #[test]
    fn intervals_are_within_a_tenth() {
        let interval = Duration::from_secs(120);
        assert_eq!(jittered(interval, 0), Duration::from_secs(108));
        let longest = jittered(interval, u64::MAX);
        assert!(longest <= Duration::from_secs(132) && longest > Duration::from_secs(131));
        assert!(jittered(Duration::MAX, u64::MAX) <= A_YEAR);
        assert!(jittered(Duration::ZERO, u64::MAX).is_zero());
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
