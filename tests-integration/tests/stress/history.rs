//! Which value of a flag was right when.
//!
//! The value of a flag is the number of its edit. An edit is loaded some time after it was written, which nobody
//! sees; so an observer asks the relay proxy itself again and again, and an edit may be loaded from when it was
//! written until the observer first sees a later one. A relay proxy that is stopped or dead is not seen, and what
//! it had loaded last stays right, as it should.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many flags are edited and asked for.
pub(crate) const FLAGS: usize = 8;

/// How long before a request a value may have been replaced: `cache_ttl`, a poll of the relay proxy, and the
/// reconnection; in process, a refresh that a stopped relay proxy lets run out, and the next one.
const AGE: Duration = Duration::from_secs(4);

#[derive(Debug, Default)]
pub(crate) struct History(Mutex<[Flag; FLAGS]>);

#[derive(Debug, Default)]
struct Flag {
    /// When each edit was written; the position is the value.
    written: Vec<Instant>,
    /// When each edit, or a later one, was first seen.
    seen: Vec<Option<Instant>>,
}

impl History {
    /// Everything has the value 0.
    pub(crate) fn new() -> Self {
        let history = Self::default();
        for flag in 0..FLAGS {
            history.write(flag);
        }
        history
    }

    /// Notes that a flag is about to be edited, and returns its new value.
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

    /// Notes that the relay proxy itself answered with this value.
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

    /// How many edits were seen to be loaded.
    pub(crate) fn loaded(&self) -> usize {
        (0..FLAGS)
            .map(|flag| self.with(flag, |flag| flag.seen.iter().flatten().count()))
            .sum()
    }

    /// Whether a request that began then may be answered now with this value; if not, why.
    pub(crate) fn judge(&self, flag: usize, value: i64, began: Instant) -> Result<(), String> {
        let answered = Instant::now();
        self.with(flag, |flag| {
            let written = usize::try_from(value)
                .ok()
                .and_then(|value| Some((value, flag.written.get(value)?)));
            let Some((value, _)) = written else {
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
