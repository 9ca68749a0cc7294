//! No stale value survives an invalidation, on seeded random interleavings.
//! docs/python-parity.md C19.
//!
//! Callers evaluate, values change on the server, changes are announced, and answers arrive in any
//! order; a model says which values each caller may get. Everything runs on one thread and no time
//! passes, so a seed reproduces its interleaving. `GOFF_INTERLEAVINGS` sets their number (2,000;
//! 10,000 in the soak), `GOFF_SEED` the first seed.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_range_loop,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use goff_client::{GoFeatureFlag, Invalidation, InvalidationSink, Reason, Resolution};
use goff_testkit::ScriptedRelay;
use tokio::task::JoinHandle;

use super::{change_of, user};

const FLAGS: [&str; 3] = ["a", "b", "c"];
const USERS: [&str; 2] = ["user-1", "user-2"];
const STEPS: usize = 40;

/// SplitMix64: the same on every platform.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }
}

/// A caller that waits.
struct Caller {
    flag: usize,
    /// The value of the flag at its last announcement before this caller. The values of a flag only
    /// grow, so any smaller value is stale.
    at_least: i64,
    evaluation: JoinHandle<(i64, Reason)>,
}

struct Walk {
    seed: u64,
    random: Random,
    relay: ScriptedRelay,
    goff: GoFeatureFlag,
    sink: Arc<dyn InvalidationSink>,
    /// The values on the server.
    values: [i64; FLAGS.len()],
    /// The values on the server at the last announcement of each flag.
    announced: [i64; FLAGS.len()],
    /// Requests without an answer, in order.
    unanswered: Vec<usize>,
    seen_requests: usize,
    callers: Vec<Caller>,
    trace: Vec<String>,
    hits: usize,
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let relay = ScriptedRelay::new().manual();
        let goff = super::goff(&relay).await;
        let walk = Self {
            seed,
            random: Random(seed),
            sink: goff.invalidation_sink(),
            relay,
            goff,
            values: [0; FLAGS.len()],
            announced: [0; FLAGS.len()],
            unanswered: Vec::new(),
            seen_requests: 0,
            callers: Vec::new(),
            trace: Vec::new(),
            hits: 0,
        };
        for flag in 0..FLAGS.len() {
            walk.update_server(flag);
        }
        walk
    }

    fn update_server(&self, flag: usize) {
        let answer = Resolution::new(self.values[flag], Reason::Static).with_cacheable(true);
        self.relay.set_answer(FLAGS[flag], Ok(answer));
    }

    async fn step(&mut self) {
        let flag = self.random.below(FLAGS.len());
        match self.random.below(12) {
            0..=4 => self.evaluate(flag),
            5..=7 if !self.unanswered.is_empty() => {
                let index = self.random.below(self.unanswered.len());
                let request = self.unanswered.remove(index);
                self.trace.push(format!("answer request {request}"));
                assert!(self.relay.complete(request));
            }
            8..=9 => {
                self.values[flag] += 1;
                self.update_server(flag);
                self.trace
                    .push(format!("{} = {}", FLAGS[flag], self.values[flag]));
            }
            10 => {
                self.trace.push(format!("announce {}", FLAGS[flag]));
                self.announced[flag] = self.values[flag];
                self.sink.invalidate(change_of(FLAGS[flag]));
            }
            11 if self.random.below(3) == 0 => {
                self.trace.push("announce all".to_owned());
                self.announced = self.values;
                self.sink.invalidate(Invalidation::All);
            }
            _ if !self.callers.is_empty() && self.random.below(4) == 0 => {
                let caller = self.random.below(self.callers.len());
                let caller = self.callers.swap_remove(caller);
                self.trace.push("a caller gives up".to_owned());
                caller.evaluation.abort();
            }
            _ => {}
        }
        // How far the tasks run now is part of the interleaving.
        for _ in 0..self.random.below(6) {
            tokio::task::yield_now().await;
        }
        self.look();
        self.check().await;
    }

    fn evaluate(&mut self, flag: usize) {
        let user_key = USERS[self.random.below(USERS.len())];
        self.trace
            .push(format!("evaluate {} for {user_key}", FLAGS[flag]));
        let goff = self.goff.clone();
        self.callers.push(Caller {
            flag,
            at_least: self.announced[flag],
            evaluation: tokio::spawn(async move {
                let details = goff.evaluate(FLAGS[flag], &user(user_key), -1).await;
                (details.value, details.reason().clone())
            }),
        });
    }

    /// Takes up the new requests.
    fn look(&mut self) {
        let count = self.relay.request_count();
        self.unanswered.extend(self.seen_requests..count);
        self.seen_requests = count;
    }

    async fn check(&mut self) {
        let (done, waiting) = std::mem::take(&mut self.callers)
            .into_iter()
            .partition::<Vec<_>, _>(|caller| caller.evaluation.is_finished());
        self.callers = waiting;
        for caller in done {
            let (value, reason) = caller.evaluation.await.unwrap();
            self.hits += usize::from(reason == Reason::Cached);
            assert!(
                (caller.at_least..=self.values[caller.flag]).contains(&value),
                "seed {}: a caller of `{}` got {value} ({reason}), which is older than {}, \
                 announced before:\n{}",
                self.seed,
                FLAGS[caller.flag],
                caller.at_least,
                self.trace.join("\n"),
            );
        }
    }

    /// Answers all requests.
    async fn finish(&mut self) {
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
            self.look();
            for request in std::mem::take(&mut self.unanswered) {
                assert!(self.relay.complete(request));
            }
            self.check().await;
            if self.callers.is_empty() {
                return;
            }
        }
        panic!(
            "seed {}: callers hang:\n{}",
            self.seed,
            self.trace.join("\n")
        );
    }

    /// After an announcement of all flags each caller gets the newest value, then the cached one; an
    /// announcement of one flag makes the next evaluation of that flag alone a request.
    async fn settle(&mut self) {
        self.sink.invalidate(Invalidation::All);
        self.announced = self.values;
        for round in 0..2 {
            let before = self.relay.request_count();
            for flag in 0..FLAGS.len() {
                self.evaluate(flag);
                self.finish().await;
            }
            let requests = self.relay.request_count() - before;
            assert!(round == 0 || requests < FLAGS.len() * USERS.len());
        }
        let context = user("last");
        for flag in 0..FLAGS.len() {
            let mut reasons = Vec::new();
            for changed in [None, Some((flag + 1) % FLAGS.len()), Some(flag)] {
                if let Some(changed) = changed {
                    self.sink.invalidate(change_of(FLAGS[changed]));
                }
                let goff = self.goff.clone();
                let context = context.clone();
                let evaluation = tokio::spawn(async move {
                    let details = goff.evaluate(FLAGS[flag], &context, -1).await;
                    (details.value, details.reason().clone())
                });
                while !evaluation.is_finished() {
                    tokio::task::yield_now().await;
                    self.look();
                    for request in std::mem::take(&mut self.unanswered) {
                        assert!(self.relay.complete(request));
                    }
                }
                let (value, reason) = evaluation.await.unwrap();
                assert_eq!(value, self.values[flag], "seed {}", self.seed);
                reasons.push(reason);
            }
            assert_eq!(
                reasons,
                [Reason::Static, Reason::Cached, Reason::Static],
                "seed {}: of a flag, its neighbour and itself changed",
                self.seed
            );
        }
    }
}

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().unwrap())
}

/// docs/python-parity.md C19.
#[tokio::test]
async fn no_caller_gets_a_value_older_than_a_change_announced_before() {
    let seed = number("GOFF_SEED", 1);
    let interleavings = number("GOFF_INTERLEAVINGS", 2_000);
    let (mut hits, mut evaluations) = (0, 0);
    for seed in seed..seed + interleavings {
        let mut walk = Walk::new(seed).await;
        for _ in 0..STEPS {
            walk.step().await;
        }
        walk.finish().await;
        walk.settle().await;
        let stats = walk.goff.stats();
        hits += stats.hits + stats.shared;
        evaluations += stats.hits + stats.shared + stats.misses;
    }
    // The test shows something only if many evaluations are served without a request.
    assert!(hits * 10 > evaluations, "{hits} of {evaluations}");
}
