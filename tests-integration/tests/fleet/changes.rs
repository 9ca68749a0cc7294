//! The changes of the flag, and when each client had them.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// How a client evaluates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    InProcess,
    Remote,
}

/// The value of the flag is the number of its change.
#[derive(Debug)]
pub(crate) struct Changes {
    state: Mutex<State>,
    /// The last change of which a client heard.
    announced: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct State {
    /// The times of the changes that were written.
    changes: Vec<Change>,
    wrong: Vec<String>,
    went_back: u64,
    errors: u64,
}

#[derive(Debug, Default)]
struct Change {
    /// When the first client heard of it, or what the times are measured from instead.
    since: Option<Instant>,
    /// How long after that each client had it.
    in_process: Vec<Duration>,
    remote: Vec<Duration>,
}

impl Changes {
    /// The flag has the value 0.
    pub(crate) fn new() -> Self {
        let changes = Self {
            state: Mutex::default(),
            announced: watch::Sender::new(0),
        };
        changes.write();
        changes
    }

    /// Notes a change before it is written, and returns the new value.
    pub(crate) fn write(&self) -> usize {
        let mut state = self.lock();
        state.changes.push(Change::default());
        state.changes.len() - 1
    }

    pub(crate) fn last(&self) -> usize {
        self.lock().changes.len() - 1
    }

    /// A client heard of a change, which is the last one.
    pub(crate) fn announced(&self) {
        let mut state = self.lock();
        let last = state.changes.len() - 1;
        state.changes[last].since.get_or_insert_with(Instant::now);
        drop(state);
        self.announced.send_replace(last);
    }

    /// Measures the last change from now on.
    pub(crate) fn measure_from_now(&self) {
        self.lock().changes.last_mut().unwrap().since = Some(Instant::now());
    }

    /// Waits until a client has heard of the last change.
    pub(crate) async fn wait_until_announced(&self) {
        let last = self.last();
        let mut announced = self.announced.subscribe();
        announced.wait_for(|change| *change >= last).await.unwrap();
    }

    /// A client got `value` after `before`, its value before.
    pub(crate) fn evaluated(&self, kind: Kind, value: i64, before: usize) -> usize {
        let now = Instant::now();
        let mut state = self.lock();
        let Some(value) = usize::try_from(value)
            .ok()
            .filter(|value| *value < state.changes.len())
        else {
            state
                .wrong
                .push(format!("{kind:?}: {value} was never written"));
            return before;
        };
        if value < before {
            state.went_back += 1;
        }
        for change in state
            .changes
            .get_mut(before + 1..=value)
            .unwrap_or_default()
        {
            let after = change
                .since
                .map(|since| now.saturating_duration_since(since));
            change.of(kind).push(after.unwrap_or_default());
        }
        value
    }

    pub(crate) fn failed(&self) {
        self.lock().errors += 1;
    }

    /// How many clients had the last change.
    pub(crate) fn have_the_last(&self) -> usize {
        let state = self.lock();
        let last = state.changes.last().unwrap();
        last.in_process.len() + last.remote.len()
    }

    pub(crate) fn times(&self, kind: Kind, changes: std::ops::Range<usize>) -> Times {
        let mut state = self.lock();
        let of_each = state.changes[changes].iter_mut().map(|change| {
            let times = change.of(kind);
            times.sort_unstable();
            times.clone()
        });
        Times(of_each.collect())
    }

    /// Wrong values, how often a client got an older value than before, and failed evaluations, since the last call.
    pub(crate) fn take_faults(&self) -> (Vec<String>, u64, u64) {
        let mut state = self.lock();
        let wrong = std::mem::take(&mut state.wrong);
        let went_back = std::mem::take(&mut state.went_back);
        (wrong, went_back, std::mem::take(&mut state.errors))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Change {
    fn of(&mut self, kind: Kind) -> &mut Vec<Duration> {
        match kind {
            Kind::InProcess => &mut self.in_process,
            Kind::Remote => &mut self.remote,
        }
    }
}

/// For each of some changes, how long after its message the clients had it, sorted.
#[derive(Debug)]
pub(crate) struct Times(Vec<Vec<Duration>>);

impl Times {
    /// Until half of the clients had a change: of half of the changes, and of the slowest.
    pub(crate) fn half(&self) -> (Duration, Duration) {
        self.of(|times| times[times.len() / 2])
    }

    /// The same until all clients had a change.
    pub(crate) fn all(&self) -> (Duration, Duration) {
        self.of(|times| times[times.len() - 1])
    }

    fn of(&self, part: impl Fn(&[Duration]) -> Duration) -> (Duration, Duration) {
        let with_times = self.0.iter().filter(|times| !times.is_empty());
        let mut parts: Vec<Duration> = with_times.map(|times| part(times)).collect();
        parts.sort_unstable();
        (parts[parts.len() / 2], parts[parts.len() - 1])
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((half, slowest_half), (all, slowest)) = (self.half(), self.all());
        let ms = |time: Duration| time.as_millis();
        write!(
            f,
            "half of the clients after {} ms (slowest change {} ms), all after {} ms (slowest change {} ms)",
            ms(half),
            ms(slowest_half),
            ms(all),
            ms(slowest)
        )
    }
}

#[test]
fn changes_are_counted_for_each_client_and_older_values_are_noticed() {
    let changes = Changes::new();
    assert_eq!((changes.write(), changes.write()), (1, 2));
    changes.announced();
    assert_eq!(changes.evaluated(Kind::Remote, 1, 0), 1);
    assert_eq!(changes.have_the_last(), 0);
    assert_eq!(changes.evaluated(Kind::Remote, 2, 1), 2);
    assert_eq!(changes.evaluated(Kind::InProcess, 2, 0), 2);
    assert_eq!(changes.have_the_last(), 2);
    assert_eq!(changes.take_faults(), (Vec::new(), 0, 0));
    assert_eq!(changes.evaluated(Kind::Remote, 1, 2), 1);
    assert_eq!(changes.evaluated(Kind::Remote, 3, 1), 1);
    let (wrong, went_back, _) = changes.take_faults();
    assert_eq!((wrong.len(), went_back), (1, 1));
}
