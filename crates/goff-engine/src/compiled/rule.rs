//! Compiled rules: which contexts they match, and what they serve.

use std::{ops::Range, sync::Arc};

use crate::{
    configuration::{
        date::Timestamp,
        definition::{ProgressiveRolloutDefinition, RuleDefinition},
    },
    evaluate::bucketing::BucketingHash,
    query::Query,
};

/// A targeting rule of a flag. Copies share the query.
#[derive(Clone, Debug)]
pub(crate) struct Rule {
    pub(crate) name: Option<Box<str>>,
    pub(crate) query: Query,
    pub(crate) serving: Serving,
    pub(crate) disabled: bool,
}

impl Rule {
    /// The bytes that a copy takes.
    pub(crate) fn copied_size(&self) -> usize {
        let serving = match &self.serving {
            Serving::Split(split) => size_of::<Split>() + size_of_val(&*split.parts),
            Serving::ProgressiveRollout(_) => size_of::<ProgressiveRollout>(),
            _ => 0,
        };
        size_of::<Self>() + self.name.as_deref().map_or(0, str::len) + serving
    }
}

/// What a rule serves, as indices of answers.
///
/// A progressive rollout hides a percentage, which hides a variation
/// (docs/engine-semantics.md 8; upstream `modules/core/flag/rule.go`).
#[derive(Clone, Debug)]
pub(crate) enum Serving {
    Fixed(u32),
    /// Shared by the states in which the rule is the same: flags have large splits and many steps.
    Split(Arc<Split>),
    ProgressiveRollout(Box<ProgressiveRollout>),
    /// A progressive rollout without a variation or a date, or that ends before it begins.
    IncompleteProgressiveRollout,
    Nothing,
}

/// A percentage rollout (docs/engine-semantics.md 9).
#[derive(Clone, Debug)]
pub(crate) struct Split {
    total: u32,
    parts: Box<[Part]>,
    /// Whether the parts are in ascending order. Negative and very large percentages break it.
    ascending: bool,
}

/// The buckets of one variation, from the end of the part before.
#[derive(Clone, Copy, Debug)]
struct Part {
    /// The bucket after the last one.
    end: u32,
    answer: u32,
}

impl Split {
    /// Entries sorted by name; `answer` gives the index of a variation's answer.
    pub(crate) fn new(
        entries: &[(impl AsRef<str>, f64)],
        mut answer: impl FnMut(&str) -> u32,
    ) -> Self {
        // Added in the order of descending names, because the official engine's order is random.
        let total: f64 = entries.iter().rev().map(|(_, percentage)| percentage).sum();
        let mut bound = 0.0_f64;
        let parts: Box<[Part]> = entries
            .iter()
            .rev()
            .map(|(name, percentage)| {
                bound += percentage * 1000.0;
                Part {
                    end: buckets_of(bound),
                    answer: answer(name.as_ref()),
                }
            })
            .collect();
        Self {
            total: buckets_of(total * 1000.0),
            ascending: parts.is_sorted_by_key(|part| part.end),
            parts,
        }
    }

    /// How many buckets there are.
    pub(crate) fn total(&self) -> u32 {
        self.total
    }

    /// The first bucket of each variation, in descending order of names, and the one after its last,
    /// and its answer.
    pub(crate) fn ranges(&self) -> impl ExactSizeIterator<Item = (Range<u32>, u32)> {
        let mut start = 0;
        self.parts.iter().map(move |part| {
            let range = start..part.end;
            start = part.end;
            (range, part.answer)
        })
    }

    /// The answer for a hash; none if it is in no bucket.
    #[inline]
    pub(crate) fn pick(&self, hash: BucketingHash) -> Option<u32> {
        let bucket = hash.bucket(self.total);
        if self.ascending {
            let part = self.parts.partition_point(|part| part.end <= bucket);
            return Some(self.parts.get(part)?.answer);
        }
        let (_, answer) = self.ranges().find(|(range, _)| range.contains(&bucket))?;
        Some(answer)
    }
}

/// A progressive rollout from one variation to another (docs/engine-semantics.md 10).
#[derive(Clone, Debug)]
pub(crate) struct ProgressiveRollout {
    begin: Timestamp,
    end: Timestamp,
    /// Thousandths of a percent at both ends.
    from: f64,
    to: f64,
    initial: u32,
    last: u32,
}

impl ProgressiveRollout {
    pub(crate) fn new(
        definition: &ProgressiveRolloutDefinition<'_>,
        mut answer: impl FnMut(&str) -> u32,
    ) -> Option<Self> {
        let initial = definition.initial.as_ref()?;
        let end = definition.end.as_ref()?;
        let (begin, finish) = (initial.date?.at, end.date?.at);
        if finish <= begin {
            return None;
        }
        let to = match end.percentage {
            Some(percentage) if percentage != 0.0 && percentage <= 100.0 => percentage,
            _ => 100.0,
        };
        Some(Self {
            begin,
            end: finish,
            from: initial.percentage.unwrap_or(0.0) * 1000.0,
            to: to * 1000.0,
            initial: answer(initial.variation.as_deref()?),
            last: answer(end.variation.as_deref()?),
        })
    }

    pub(crate) fn pick(&self, hash: BucketingHash, now: Timestamp) -> u32 {
        if hash.bucket(Self::BUCKETS) < self.share(now) {
            self.last
        } else {
            self.initial
        }
    }

    /// How many buckets get the last variation at a time.
    pub(crate) fn share(&self, now: Timestamp) -> u32 {
        if now < self.begin {
            return 0;
        }
        let current = if now >= self.end {
            self.to
        } else {
            // The order of operations decides the last bit.
            let passed = now.unix_seconds() - self.begin.unix_seconds();
            let whole = self.end.unix_seconds() - self.begin.unix_seconds();
            passed as f64 * ((self.to - self.from) / whole as f64) + self.from
        };
        buckets_of(current)
    }

    pub(crate) const BUCKETS: u32 = 100_000;

    /// The date, the buckets of the last variation, and the answer, at the beginning and at the end.
    pub(crate) fn ends(&self) -> [(Timestamp, f64, u32); 2] {
        [
            (self.begin, self.from, self.initial),
            (self.end, self.to, self.last),
        ]
    }
}

/// A number of buckets: truncated, then the low 32 bits, as on the official 64-bit build. Negative
/// numbers, on which the official builds differ, are no buckets.
fn buckets_of(value: f64) -> u32 {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    if (0.0..TWO_POW_63).contains(&value) {
        value as u64 as u32
    } else {
        0
    }
}

/// Whether a rule's outcome depends on the bucketing key, for the reason it reports.
pub(crate) fn is_dynamic(rule: &RuleDefinition<'_>) -> bool {
    rule.progressive_rollout.is_some()
        || rule.percentage.as_ref().is_some_and(|entries| {
            !entries.is_empty() && entries.iter().all(|(_, percentage)| *percentage != 100.0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_keep_their_low_bits() {
        for (value, buckets) in [
            (100_000.0, 100_000),
            (99_999.99, 99_999),
            (4_294_967_296.0, 0),
            (4_294_967_301.5, 5),
            (1e24, 0),
            (-1.0, 0),
            (-0.5, 0),
        ] {
            assert_eq!(buckets_of(value), buckets, "{value}");
        }
    }

    #[test]
    fn buckets_go_by_descending_name() {
        let split = Split::new(&[("A", 10.0), ("B", 90.0)], |name| u32::from(name == "B"));
        let ranges: Vec<_> = split.ranges().collect();
        assert_eq!(ranges, [(0..90_000, 1), (90_000..100_000, 0)]);
    }

    /// Each bucket is given by the range that contains it, also where negative or very large
    /// percentages break the order.
    #[test]
    fn bucket_is_picked_by_its_range() {
        for percentages in [
            [10.0, 0.0, 90.0],
            [0.0, 0.0, 100.0],
            [50.0, -20.0, 70.0],
            [-1.0, 1.0, 100.0],
            [60.0, 60.0, -20.0],
            [30.0, 4_294_967.296, 70.0],
            // So few buckets that each bound is met.
            [0.001, 0.0, 0.002],
            [0.002, 0.001, 0.001],
            [0.003, -0.001, 0.002],
        ] {
            let names = ["c", "b", "a"];
            let mut entries: Vec<_> = names.into_iter().zip(percentages).collect();
            entries.reverse();
            let split = Split::new(&entries, |name| u32::from(name.as_bytes()[0]));
            for user in 0..2_000 {
                let hash = BucketingHash::new().write("flag").write(&user.to_string());
                let bucket = hash.bucket(split.total());
                let mut ranges = split.ranges();
                let expected = ranges.find(|(range, _)| range.contains(&bucket));
                let expected = expected.map(|(_, answer)| answer);
                assert_eq!(split.pick(hash), expected, "{percentages:?} {bucket}");
            }
        }
    }
}
