//! The times at which each value of a flag was right.
//!
//! The value of a flag is the number of its edit. The relay proxy loads an edit at an unknown time after it was written,
//! so an observer polls the relay proxy: an edit is right from the time it was written until the observer first sees a
//! later one. While the relay proxy is down or suspended the observer sees nothing, and the last value stays right.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The number of flags.
pub(crate) const FLAGS: usize = 8;

/// The time before a request by which a value may have been replaced: `cache_ttl`, a poll by the relay proxy and a
/// reconnect; in process, a refresh that times out and the next one.
const AGE: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub(crate) struct History(Mutex<[Flag; FLAGS]>);

#[derive(Debug, Default)]
struct Flag {
    /// The time at which each edit was written; the index is the value.
    written: Vec<Instant>,
    /// The time at which each edit, or a later one, was first seen.
    seen: Vec<Option<Instant>>,
}

impl History {
    /// Every flag has the value 0.
    pub(crate) fn new() -> Self {
        let history = Self::default();
        for flag in 0..FLAGS {
            history.write(flag);
        }
        history
    }

    /// Notes an edit before it is written, and returns the new value.
    pub(crate) fn write(&self, flag: usize) -> usize {
        self.with(flag, |flag| {
            flag.written.push(Instant::now());
            flag.seen.push(None);
            flag.written.len() - 1
        })
    }

    pub(crate) fn value(&self, flag: usize) -> usize {
        self.with(flag, |flag| flag.written.len() - 1)
    }

    /// Notes that the observer saw this value.
    pub(crate) fn see(&self, flag: usize, value: usize) {
        let now = Instant::now();
        self.with(flag, |flag| {
            for seen in flag.seen.iter_mut().take(value + 1).rev() {
                if seen.is_some() {
                    break;
                }
                *seen = Some(now);
            }
        });
    }

    /// The number of edits that the observer saw.
    pub(crate) fn loaded(&self) -> usize {
        (0..FLAGS)
            .map(|flag| self.with(flag, |flag| flag.seen.iter().flatten().count()))
            .sum()
    }

    /// Checks an answer that arrived now to a request that began at `began`. The error says why it is wrong.
    pub(crate) fn judge(&self, flag: usize, value: i64, began: Instant) -> Result<(), String> {
        let answered = Instant::now();
        self.with(flag, |flag| {
            let index = usize::try_from(value).ok();
            let Some(value) = index.filter(|index| *index < flag.written.len()) else {
                return Err(format!("{value} was never written"));
            };
            let replaced = flag.seen.get(value + 1).copied().flatten();
            match replaced {
                Some(replaced) if replaced + AGE < began => Err(format!(
                    "{value} had been replaced {:?} before the request, which took {:?}",
                    began - replaced,
                    answered - began,
                )),
                _ => Ok(()),
            }
        })
    }

    fn with<T>(&self, flag: usize, act: impl FnOnce(&mut Flag) -> T) -> T {
        let mut flags = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        act(&mut flags[flag])
    }
}

#[test]
fn a_value_is_right_until_four_seconds_after_a_later_one_was_seen() {
    let history = History::new();
    let now = Instant::now();
    assert_eq!(history.write(3), 1);
    for began in [now, now + Duration::from_secs(3600)] {
        assert_eq!(history.judge(3, 0, began), Ok(()), "1 is not loaded yet");
        assert_eq!(history.judge(3, 1, began), Ok(()));
        assert!(history.judge(3, 2, began).is_err());
        assert!(history.judge(3, -1, began).is_err());
    }
    history.see(3, 1);
    let long = Duration::from_secs(1);
    assert_eq!(history.judge(3, 0, Instant::now() + AGE - long), Ok(()));
    assert!(history.judge(3, 0, Instant::now() + AGE + long).is_err());
    assert_eq!(history.judge(3, 1, Instant::now() + AGE + long), Ok(()));
    assert_eq!(history.judge(4, 0, Instant::now() + AGE + long), Ok(()));
}
