//! No stale value survives an invalidation (Python C19), shown on seeded random interleavings.
//!
//! Callers ask, the server's values change, changes are announced, answers arrive in any order; a
//! model says which values each caller may get. Everything runs on one thread and no time passes,
//! so a seed gives the same interleaving again. `GOFF_INTERLEAVINGS` sets how many are tried
//! (2,000; the soak takes 10,000), `GOFF_SEED` the first seed.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_range_loop,
    reason = "a test fails by panicking"
)]

use std::sync::Arc;

use goff_client::{
    EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, Invalidation, InvalidationSink, Reason,
    Resolution,
};
use goff_testkit::ScriptedRelay;
use tokio::task::JoinHandle;

const FLAGS: [&str; 3] = ["a", "b", "c"];
const USERS: [&str; 2] = ["user-1", "user-2"];
const STEPS: usize = 40;

/// SplitMix64: enough for picking steps, and the same everywhere.
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
    /// What the flag's value was, at the oldest, when its last announced change before this caller
    /// was announced. The values of a flag only grow, so anything less is stale.
    at_least: i64,
    evaluation: JoinHandle<(i64, Reason)>,
}

struct Walk {
    seed: u64,
    random: Random,
    relay: ScriptedRelay,
    goff: GoFeatureFlag,
    sink: Arc<dyn InvalidationSink>,
    /// What the server has.
    values: [i64; FLAGS.len()],
    /// What it had when a change of the flag was last announced.
    announced: [i64; FLAGS.len()],
    /// Requests that wait for their answer, in order.
    unanswered: Vec<usize>,
    seen_requests: usize,
    callers: Vec<Caller>,
    trace: Vec<String>,
    hits: usize,
}

impl Walk {
    async fn new(seed: u64) -> Self {
        let relay = ScriptedRelay::new().manual();
        let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()));
        let goff = GoFeatureFlag::connect(options).await.unwrap();
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
            walk.tell_server(flag);
        }
        walk
    }

    fn tell_server(&self, flag: usize) {
        let answer = Resolution {
            value: self.values[flag].into(),
            reason: Reason::Static,
            cacheable: true,
            ..Resolution::default()
        };
        self.relay.set_answer(FLAGS[flag], Ok(answer));
    }

    async fn step(&mut self) {
        let flag = self.random.below(FLAGS.len());
        match self.random.below(12) {
            0..=4 => self.ask(flag),
            5..=7 if !self.unanswered.is_empty() => {
                let index = self.random.below(self.unanswered.len());
                let request = self.unanswered.remove(index);
                self.trace.push(format!("answer request {request}"));
                assert!(self.relay.complete(request));
            }
            8..=9 => {
                self.values[flag] += 1;
                self.tell_server(flag);
                self.trace
                    .push(format!("{} = {}", FLAGS[flag], self.values[flag]));
            }
            10 => {
                self.trace.push(format!("announce {}", FLAGS[flag]));
                self.announced[flag] = self.values[flag];
                let named = [FLAGS[flag].to_owned()].into();
                self.sink.invalidate(Invalidation::Flags(named));
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
        // Whether what was begun runs at once, a bit, or later is part of the interleaving.
        for _ in 0..self.random.below(6) {
            tokio::task::yield_now().await;
        }
        self.look();
        self.check().await;
    }

    fn ask(&mut self, flag: usize) {
        let user = USERS[self.random.below(USERS.len())];
        self.trace.push(format!("ask {} for {user}", FLAGS[flag]));
        let goff = self.goff.clone();
        self.callers.push(Caller {
            flag,
            at_least: self.announced[flag],
            evaluation: tokio::spawn(async move {
                let context = EvaluationContext::builder().targeting_key(user).build();
                let details = goff.evaluate(FLAGS[flag], &context, -1).await;
                (details.value, details.reason().clone())
            }),
        });
    }

    /// Requests that have come since.
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
                 announced before it came:\n{}",
                self.seed,
                FLAGS[caller.flag],
                caller.at_least,
                self.trace.join("\n"),
            );
        }
    }

    /// Answers everything that is still open.
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

    /// Once a change of everything is announced, everybody gets the newest, then from the cache; a
    /// change of one flag makes that flag alone be asked for again.
    async fn settle(&mut self) {
        self.sink.invalidate(Invalidation::All);
        self.announced = self.values;
        for round in 0..2 {
            let before = self.relay.request_count();
            for flag in 0..FLAGS.len() {
                self.ask(flag);
                self.finish().await;
            }
            let asked = self.relay.request_count() - before;
            assert!(round == 0 || asked < FLAGS.len() * USERS.len());
        }
        let context = EvaluationContext::builder().targeting_key("last").build();
        for flag in 0..FLAGS.len() {
            let mut reasons = Vec::new();
            for changed in [None, Some((flag + 1) % FLAGS.len()), Some(flag)] {
                if let Some(changed) = changed {
                    let named = [FLAGS[changed].to_owned()].into();
                    self.sink.invalidate(Invalidation::Flags(named));
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

/// Python C19: a value from the cache, or from a request that others began, was
/// asked for after the last announced change of its flag that its caller came after.
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
    // Nothing would be shown if nothing were served without a request of its own.
    assert!(hits * 10 > evaluations, "{hits} of {evaluations}");
}
