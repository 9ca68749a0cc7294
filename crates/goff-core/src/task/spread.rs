//! What keeps the clients of one server from acting at the same time: pure computations with the
//! random number as an argument, and the one source of random numbers.
//!
//! Clients that were started, refused or told of a change together would send their requests in one
//! moment, again and again. The bound is that no second sees more than three times the mean. `n`
//! clients that act once in a period make `n / period` requests a second on average, and `n / window`
//! in the first round if that is spread over a window. So the window is a third of the period at
//! least. The later rounds spread further, because each client draws again.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::process;
use std::time::Duration;

use crate::task::timeout::A_YEAR;

/// Evenly distributed between zero and `longest`, which is at most a year.
#[must_use]
pub fn spread(longest: Duration, random: u64) -> Duration {
    // The nanoseconds of a year fit into 64 bits, so the product fits into 128.
    let drawn = (longest.min(A_YEAR).as_nanos() * u128::from(random)) >> u64::BITS;
    Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX))
}

/// A limit of age or up to a third less: clients that fill their caches together ask again at 2.5
/// times the mean at most.
#[must_use]
pub fn shortened(limit: Duration, random: u64) -> Duration {
    limit - spread(limit / 3, random)
}

/// The first of regular intervals, the later ones of which are [`jittered`]: the interval or up to half
/// of it less. Clients that start together act at twice the mean at most; with the jitter of a tenth
/// from the start on it would be five times the mean.
#[must_use]
pub fn first_interval(interval: Duration, random: u64) -> Duration {
    let interval = interval.min(A_YEAR);
    interval - spread(interval / 2, random)
}

/// Within a tenth of the interval, so that clients do not act in step. At most a year.
///
/// *Specification*: GOFF-IP-011.
#[must_use]
pub fn jittered(interval: Duration, random: u64) -> Duration {
    let interval = interval.min(A_YEAR);
    (interval - interval / 10 + spread(interval / 5, random)).min(A_YEAR)
}

/// An evenly distributed random number, not for secrets.
#[must_use]
pub fn random_u64() -> u64 {
    // `RandomState` has random keys. A process that is forked has those of its parent.
    drawn(&RandomState::new(), process::id())
}

fn drawn(keys: &RandomState, process: u32) -> u64 {
    keys.hash_one(process)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// About 170 clients a second: chance makes a second of 2.5 times that fuller by five deviations of
    /// a twentieth.
    const CHANCE: f64 = 0.6;
    const MINUTE: Duration = Duration::from_secs(60);

    fn check(drawn: fn(Duration, u64) -> Duration, shortest: u64, longest: u64) {
        assert_eq!(
            drawn(MINUTE, 0)
                .max(drawn(MINUTE, u64::MAX))
                .as_secs_f64()
                .round(),
            longest as f64
        );
        assert_eq!(
            drawn(MINUTE, 0)
                .min(drawn(MINUTE, u64::MAX))
                .as_secs_f64()
                .round(),
            shortest as f64
        );
        let middle = Duration::from_secs(shortest + longest) / 2;
        assert!(drawn(MINUTE, 1 << 63).abs_diff(middle) < Duration::from_millis(1));
        assert!(drawn(Duration::ZERO, u64::MAX).is_zero());
        let _ = drawn(Duration::MAX, u64::MAX);
    }

    /// GOFF-IP-011.
    #[test]
    fn draws_are_even_between_their_bounds() {
        check(spread, 0, 60);
        check(first_interval, 30, 60);
        check(shortened, 40, 60);
        check(jittered, 54, 66);
        assert!(jittered(Duration::MAX, u64::MAX) <= A_YEAR);
    }

    /// The processes that a server forks for its clients do not act in step.
    #[test]
    fn processes_with_the_same_keys_draw_different_numbers() {
        let keys = RandomState::new();
        let numbers = (1..=1_000).map(|process| drawn(&keys.clone(), process));
        let numbers: std::collections::BTreeSet<u64> = numbers.collect();
        assert_eq!(numbers.len(), 1_000);
        let least = *numbers.first().unwrap();
        assert!(least < u64::MAX / 50, "{least}");
    }

    /// Ten thousand clients that do something once a minute, from the same moment on: the most in a
    /// second, as a multiple of the mean over ten minutes.
    fn peak(first: fn(Duration, u64) -> Duration, later: fn(Duration, u64) -> Duration) -> f64 {
        const CLIENTS: usize = 10_000;
        const SECONDS: usize = 600;
        let mut seconds = vec![0_u32; SECONDS];
        for _ in 0..CLIENTS {
            let mut at = first(MINUTE, random_u64());
            while let Some(second) = seconds.get_mut(at.as_secs() as usize) {
                *second += 1;
                at += later(MINUTE, random_u64());
            }
        }
        let mean = f64::from(seconds.iter().sum::<u32>()) / SECONDS as f64;
        f64::from(*seconds.iter().max().unwrap()) / mean
    }

    #[test]
    fn clients_that_begin_together_stay_within_their_multiple_of_the_mean() {
        for _ in 0..10 {
            let polls = peak(first_interval, jittered);
            assert!(polls < 2.0 + CHANCE, "{polls}");
            let expiries = peak(shortened, shortened);
            assert!(expiries < 2.5 + CHANCE, "{expiries}");
        }
        let in_step = peak(jittered, jittered);
        assert!(in_step > 5.0 - CHANCE, "{in_step}");
    }
}
