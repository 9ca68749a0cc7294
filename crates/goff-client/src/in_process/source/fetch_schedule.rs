//! [`Schedule`]: when the flags are fetched.

use std::future::pending;
use std::time::Duration;

use goff_core::__internal::{Backoff, first_interval, jittered, random_u64, spread};
use tokio::time::{Instant, sleep_until};

/// The times of the next fetches.
#[derive(Debug)]
pub(crate) struct Schedule {
    interval: Duration,
    poll: Instant,
    /// The next repetition after a lagging instance answered, and its number.
    lagging: Option<(Instant, usize)>,
    retry: Option<Instant>,
    /// The fetch of the announced changes.
    announced: Option<Instant>,
    announcements: Announcements,
    /// No announcement causes a fetch before this time, after a failure.
    held_until: Option<Instant>,
    /// Since when fetches of an announced change have failed.
    owed_since: Option<Instant>,
    /// For the first failures.
    backoff: Backoff,
}

impl Schedule {
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            poll: Instant::now() + first_interval(interval, random_u64()),
            lagging: None,
            retry: None,
            announced: None,
            announcements: Announcements::default(),
            held_until: None,
            owed_since: None,
            backoff: Backoff::new(interval.min(SOON)),
        }
    }

    /// Waits for the next fetch and takes it off the schedule.
    pub(crate) async fn wait(&mut self) {
        let lagging = self.lagging.map(|(at, _)| at);
        let Some(next) = [Some(self.poll), lagging, self.retry, self.announced]
            .into_iter()
            .flatten()
            .min()
        else {
            return pending().await;
        };
        sleep_until(next).await;
        let now = Instant::now();
        if self.poll <= now {
            // From now: after a jump of the clock, missed polls are not made up for.
            self.poll = now + jittered(self.interval, random_u64());
        }
        if self.retry.is_some_and(|at| at <= now) {
            self.retry = None;
        }
        // Whatever causes the fetch, it finds the announced changes.
        self.announced = None;
        if let Some((at, round)) = self.lagging
            && at <= now
        {
            self.lagging = repetition(round + 1);
        }
    }

    /// A change was announced.
    pub(crate) fn announced(&mut self, random: u64) {
        if self.announced.is_none() {
            let at = self.announcements.next_fetch(random);
            self.announced = Some(self.held_until.map_or(at, |held| at.max(held)));
        }
    }

    /// An announced fetch, which took so long, has ended.
    pub(crate) fn fetched_announced(&mut self, took: Duration) {
        self.announcements.fetched(took);
    }

    pub(crate) fn succeeded(&mut self, is_loaded: bool, names_fetched: bool) {
        self.retry = None;
        self.held_until = None;
        self.owed_since = None;
        self.backoff = Backoff::new(self.interval.min(SOON));
        if is_loaded {
            self.lagging = None;
        } else if names_fetched && self.lagging.is_none() {
            // One series of repetitions at a time.
            self.lagging = repetition(0);
        }
    }

    pub(crate) fn failed(&mut self, was_announced: bool) {
        let now = Instant::now();
        if was_announced {
            self.owed_since.get_or_insert(now);
        }
        let held = now + self.pause_after_failure(random_u64());
        self.held_until = Some(held);
        if self.owed_since.is_some() {
            self.retry = Some(held);
        }
    }

    /// Up to 100 ms, doubling to 2 s, and up to half of the time for which an announced change could not
    /// be fetched once that is longer, as the change stream pauses: the clients of a relay proxy that
    /// was down for ten seconds have the change within five.
    fn pause_after_failure(&mut self, random: u64) -> Duration {
        let owed = self.owed_since.map(|since| since.elapsed() / 2);
        match owed.filter(|half| *half > SOON) {
            Some(half) => Backoff::new(self.interval.min(LONGEST_PAUSE))
                .starting_at(half)
                .pause(random),
            None => self.backoff.pause(random),
        }
    }
}

/// The repetition with this number after a lagging instance answered, if there is one. It is up to a
/// tenth late: all clients of that instance repeat.
fn repetition(number: usize) -> Option<(Instant, usize)> {
    let pause = LAG_PAUSES.get(number)?;
    let late = spread(*pause / 10, random_u64());
    Some((Instant::now() + *pause + late, number))
}

/// The pace of announced fetches: a server may announce changes at any rate, and announces each to
/// all clients at the same time.
///
/// # How far the fetches of a change are spread
///
/// `n` clients that fetch together from a server that answers `r` fetches a second take `n / r`, and
/// each sees a fetch of about that long. Spread over `n / r` the fetches queue for no time, and the
/// last one ends no later. No client knows `n` or `r`, but each knows how long its last fetch took. So
/// a fetch is spread over that time, and over half of the time before as long as fetches are shorter:
/// with few clients over [`SHORTEST_JITTER`], which leaves 20 ms of the 50 ms that a change may take,
/// and with many over [`LONGEST_JITTER`] at most, so that half of the clients have the change after
/// 100 ms and the time of a fetch, 250 ms if that is 150 ms.
#[derive(Debug)]
struct Announcements {
    /// When the last announced fetch ended.
    last: Option<Instant>,
    /// The time until the next one, if there is one within [`LONGEST_GAP`].
    gap: Duration,
    /// The time over which the next one is spread.
    jitter: Duration,
}

impl Default for Announcements {
    fn default() -> Self {
        Self {
            last: None,
            gap: SHORTEST_GAP,
            jitter: SHORTEST_JITTER,
        }
    }
}

impl Announcements {
    /// When to fetch a change that is announced now.
    fn next_fetch(&mut self, random: u64) -> Instant {
        let now = Instant::now();
        let jittered = now + spread(self.jitter, random);
        let Some(last) = self.last.filter(|last| now - *last < LONGEST_GAP) else {
            self.gap = SHORTEST_GAP;
            return jittered;
        };
        let at = jittered.max(last + self.gap);
        self.gap = (self.gap * 2).min(LONGEST_GAP);
        at
    }

    fn fetched(&mut self, took: Duration) {
        self.last = Some(Instant::now());
        self.jitter = took
            .max(self.jitter / 2)
            .clamp(SHORTEST_JITTER, LONGEST_JITTER);
    }
}

const SHORTEST_JITTER: Duration = Duration::from_millis(30);
const LONGEST_JITTER: Duration = Duration::from_millis(200);
const SHORTEST_GAP: Duration = Duration::from_millis(100);
/// Less than a second, the shortest interval at which a relay proxy looks for changes: a change that
/// it finds each time is fetched without waiting.
const LONGEST_GAP: Duration = Duration::from_millis(800);
const SOON: Duration = Duration::from_secs(2);
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Pauses before a fetch is repeated after "not modified" contradicted an announced change.
const LAG_PAUSES: [Duration; 3] = [
    Duration::from_secs(1),
    Duration::from_secs(5),
    Duration::from_secs(15),
];

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: Duration = Duration::from_millis(2);
    const INTERVAL: Duration = Duration::from_secs(120);

    /// GOFF-IP-011.
    #[tokio::test(start_paused = true)]
    async fn first_polls_and_repetitions_are_spread() {
        let now = Instant::now();
        let check = |draw: fn() -> Instant, shortest: Duration, longest: Duration| {
            let drawn: Vec<Duration> = (0..200).map(|_| draw() - now).collect();
            let (least, most) = (*drawn.iter().min().unwrap(), *drawn.iter().max().unwrap());
            let margin = (longest - shortest) / 5;
            assert!((shortest..shortest + margin).contains(&least), "{least:?}");
            assert!((longest - margin..=longest).contains(&most), "{most:?}");
        };
        check(|| Schedule::new(INTERVAL).poll, INTERVAL / 2, INTERVAL);
        for (number, pause) in LAG_PAUSES.into_iter().enumerate() {
            let draw: fn() -> Instant = match number {
                0 => || repetition(0).unwrap().0,
                1 => || repetition(1).unwrap().0,
                _ => || repetition(2).unwrap().0,
            };
            check(draw, pause, pause * 11 / 10);
        }
    }

    /// A relay proxy that comes back is asked within 2 s, or half of the time that it was gone, and
    /// not more often than it needs.
    #[tokio::test(start_paused = true)]
    async fn owed_fetch_is_late_by_half_of_the_outage_at_most() {
        let mut widest = 0.0_f64;
        for _ in 0..50 {
            let mut schedule = Schedule::new(INTERVAL);
            let began = Instant::now();
            let (mut failures, mut in_ten_seconds) = (0, 0);
            schedule.failed(true);
            while began.elapsed() < Duration::from_secs(1_000) {
                let most = SOON.max(began.elapsed() / 2).min(LONGEST_PAUSE);
                let retry = schedule.retry.take().unwrap();
                let pause = retry - Instant::now();
                assert!(pause <= most, "{pause:?} after {:?}", began.elapsed());
                widest = widest.max(pause.as_secs_f64() / most.as_secs_f64());
                sleep_until(retry).await;
                failures += 1;
                in_ten_seconds += usize::from(began.elapsed() < Duration::from_secs(10));
                schedule.failed(false);
            }
            assert!(in_ten_seconds < 30 && failures < 120, "{failures}");
            // Another failure begins anew.
            schedule.succeeded(true, true);
            schedule.failed(true);
            let retry = schedule.retry.unwrap();
            assert!(retry - Instant::now() <= Duration::from_millis(100));
        }
        assert!(widest > 0.9, "{widest}");
    }

    /// Polls that fail while nothing was announced delay no change that is announced later.
    #[tokio::test(start_paused = true)]
    async fn failed_polls_do_not_lengthen_the_pause() {
        let mut schedule = Schedule::new(INTERVAL);
        for _ in 0..20 {
            schedule.failed(false);
            assert!(schedule.retry.is_none());
            assert!(schedule.held_until.unwrap() - Instant::now() <= SOON);
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// 100 ms after the first fetch, then twice as long each time, up to 800 ms; after that time
    /// without an announcement at once.
    #[tokio::test(start_paused = true)]
    async fn gap_grows_under_announcements_and_is_gone_after_a_quiet_time() {
        let mut announcements = Announcements::default();
        for _ in 0..2 {
            for gap in [0, 100, 200, 400, 800, 800] {
                let at = announcements.next_fetch(0);
                assert_eq!((at - Instant::now()).as_millis(), gap);
                sleep_until(at).await;
                announcements.fetched(FAST);
            }
            tokio::time::sleep(LONGEST_GAP).await;
        }
    }

    /// Each within the jitter and the time of a fetch.
    #[tokio::test(start_paused = true)]
    async fn change_each_second_is_fetched_without_waiting() {
        for took in [2, 100, 199] {
            let took = Duration::from_millis(took);
            let mut announcements = Announcements::default();
            let mut change = Instant::now();
            for _ in 0..100 {
                let at = announcements.next_fetch(random_u64());
                assert!(at - change <= SHORTEST_JITTER.max(took) + Duration::from_millis(1));
                sleep_until(at + took).await;
                announcements.fetched(took);
                change += Duration::from_secs(1);
                sleep_until(change).await;
            }
        }
    }

    /// The jitter is 30 ms, or the time of slower fetches up to 200 ms, and shrinks by halves.
    #[tokio::test(start_paused = true)]
    async fn fetches_are_spread_over_the_time_that_they_take() {
        let mut announcements = Announcements::default();
        let mut check = |took: u64, longest: u64| {
            announcements.fetched(Duration::from_millis(took));
            announcements.last = None;
            let mut after: Vec<Duration> = (0..1_000)
                .map(|_| announcements.next_fetch(random_u64()) - Instant::now())
                .collect();
            after.sort_unstable();
            let longest = Duration::from_millis(longest);
            assert!(after[999] <= longest && after[999] > longest * 19 / 20);
            assert!(after[500].abs_diff(longest / 2) < longest / 10);
            assert!(after[0] < longest / 20);
        };
        for (took, longest) in [
            (2, 30),
            (100, 100),
            (3_000, 200),
            (2, 100),
            (150, 150),
            (2, 75),
        ] {
            check(took, longest);
        }
        (0..3).for_each(|_| announcements.fetched(FAST));
        assert_eq!(announcements.jitter, SHORTEST_JITTER);
    }
}
