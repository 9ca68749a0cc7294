//! Flags.

use proptest::prelude::*;
use proptest::strategy::Union;

use crate::context::{member, name, text, value};
use crate::json::{
    Text, bool, list, list_with, mostly, object, object_of, one_of, quoted, sometimes, string, word,
};
use crate::{json_logic, rule_language};

/// A flag, as an object, with every kind of rule, rollout and window; some of it is invalid.
pub fn flags() -> impl Strategy<Value = String> + Clone {
    flag(false)
}

/// An object of up to four flags by their keys.
pub fn flag_files() -> impl Strategy<Value = String> + Clone {
    prop::collection::btree_map(word("flag my-flag a/b ключ new_checkout"), flags(), 0..5)
        .prop_map(|flags| object_of(&flags.into_iter().collect::<Vec<_>>()))
}

/// A flag; with quirks, of spellings that only a decoder notices.
pub(crate) fn flag(quirks: bool) -> Text {
    let query = query();
    let flag = |variants, scheduled, complete| {
        let query = query.clone();
        let kind = Kind {
            variants,
            query,
            scheduled,
            complete,
            quirks,
        };
        kind.flag()
    };
    let kind = |variants: &'static str| {
        let either = |scheduled| {
            mostly(
                90,
                &flag(variants, scheduled, true),
                &flag(variants, scheduled, false),
            )
        };
        mostly(25, &either(true), &either(false))
    };
    let variants = "A/A B/on off/True False Default/a B é/10 9 Z/A  B";
    Union::new(variants.split('/').map(kind)).boxed()
}

/// A query in either language; some are blank, or no query at all.
pub(crate) fn query() -> Text {
    let odd = "/ /null/[]/{}/{/true/\n/{\"a\":1e400}/ {\"==\":[1,1]}/\t";
    let odd = one_of(&odd.split('/').collect::<Vec<_>>());
    let query =
        prop_oneof![1 => odd, 7 => json_logic::rule(), 12 => rule_language::query()].boxed();
    let space = one_of(&["\n", " \n", "\n  "]);
    let spaced = (query.clone(), space).prop_map(|(query, space)| query.replace(' ', &space));
    mostly(96, &query, &spaced.boxed())
}

/// The date of an evaluation: at least a second from other dates, or the same instant.
pub(crate) fn date() -> Text {
    word(
        "2024-01-01T00:00:00Z 2024-01-01T01:00:00+01:00 2024-01-15T1:00:00Z 2024-01-15T00:00:00,5Z \
         2024-02-29T23:59:59.999999999Z 2024-03-01T00:00:00-23:59 2024-03-01T12:00:00.25Z 2024-06-30T12:00:00Z \
         2024-07-01T00:00:00+00:60 2023-12-31T23:59:59Z 2030-01-01T00:00:00Z 1999-12-31T23:59:59Z \
         0000-01-01T00:00:00Z",
    )
}

/// What the members of a flag have in common.
struct Kind {
    /// With spaces between them.
    variants: &'static str,
    query: Text,
    scheduled: bool,
    /// It has a default rule and, where it is scheduled, a rule `r1` that steps update.
    complete: bool,
    quirks: bool,
}

impl Kind {
    fn flag(&self) -> Text {
        let updated = self.rule_with(100, word("r1"));
        let rules = match self.scheduled && self.complete {
            true => {
                let two = list_with([&updated, &self.rule()]);
                mostly(50, &list_with([&updated]), &two)
            }
            false => list(&self.rule(), 0..4),
        };
        let all_if = |condition| if condition { 100 } else { 0 };
        let targeting = all_if(self.scheduled && self.complete).max(80);
        let metadata = (word("owner evaluatedRuleName issue é"), value(2));
        let metadata =
            prop::collection::vec(metadata, 0..3).prop_map(|members| object_of(&members));
        let steps = list(&self.step(), 0..4);
        let members = vec![
            (97, "variations", self.variations()),
            (targeting, "targeting", rules),
            (all_if(self.complete), "defaultRule", self.rule()),
            (12, "bucketingKey", bucketing_key()),
            (10, "experimentation", self.window()),
            (all_if(self.scheduled), "scheduledRollout", steps),
            (20, "trackEvents", bool(50)),
            (12, "disable", bool(40)),
            (20, "version", string(&text())),
            (20, "metadata", metadata.boxed()),
        ];
        object(members, self.quirks)
    }

    /// One value for each variant: of one type, or of any.
    fn variations(&self) -> Text {
        let each = |value: &dyn Fn(usize, &str) -> Text| {
            let values = self.variants.split(' ').enumerate();
            let members = values.map(|(index, name)| (100, name, value(index, name)));
            object(members.collect(), self.quirks)
        };
        let any = value(3);
        prop_oneof![
            1 => each(&|index, _| Just((index % 2 == 0).to_string()).boxed()),
            1 => each(&|index, _| Just(index.to_string()).boxed()),
            1 => each(&|_, name| Just(quoted(name)).boxed()),
            3 => each(&|_, _| any.clone()),
        ]
        .boxed()
    }

    /// A variant of the flag, seldom another.
    fn variant(&self) -> Text {
        let other = one_of(&["A", "off", "False", "é", "", "10", "missing"]);
        string(&mostly(96, &word(self.variants), &other))
    }

    fn rule(&self) -> Text {
        self.rule_with(50, one_of(&["r1", "r2", "r3", "", "vip"]))
    }

    fn rule_with(&self, named: u8, name: Text) -> Text {
        let members = vec![
            (named, "name", string(&name)),
            (85, "query", string(&self.query)),
            (65, "variation", self.variant()),
            (25, "percentage", self.percentage(false)),
            (12, "progressiveRollout", self.progressive_rollout(97, 95)),
            (10, "disable", bool(50)),
        ];
        let rule = object(members, self.quirks);
        match self.quirks {
            true => mostly(96, &rule, &word("null 1 \"\" {} []")),
            false => rule,
        }
    }

    /// Some variants with their shares. A removal is a share of -1 in a step, for a variant that the rule has.
    fn percentage(&self, removals: bool) -> Text {
        let part = |below: u32, of: f64| {
            (0..below)
                .prop_map(move |parts| f64::from(parts) / of)
                .boxed()
        };
        let mut shares = vec![Just(0.0).boxed(), Just(100.0).boxed()];
        shares.extend([part(800, 8.0), part(101, 1.0), part(101, 1.0)]);
        if removals && self.scheduled && self.complete && !self.quirks {
            shares.push(Just(-1.0).boxed());
        }
        // Merged with other shares, these would have a sum that depends on the order of addition.
        if !self.scheduled {
            shares.extend([part(1000, 10.0), part(100_000, 1000.0)]);
        }
        let share = sometimes(85, Union::new(shares));
        let variants = self.variants.split(' ');
        let shares = vec![share; variants.clone().count()];
        shares
            .prop_map(move |mut shares| {
                let given: Vec<f64> = shares.iter().flatten().copied().collect();
                if !sum_is_certain(&given) {
                    let given = shares.iter_mut().flatten();
                    given.for_each(|share| *share = share.trunc());
                }
                let members = variants.clone().zip(shares);
                let members = members
                    .filter_map(|(variant, share)| Some((variant.to_owned(), share?.to_string())));
                object_of(&members.collect::<Vec<_>>())
            })
            .boxed()
    }

    /// Both ends, each with that chance, and their members with another.
    fn progressive_rollout(&self, end: u8, member: u8) -> Text {
        let percentages = word("0 10 33.3 50 99.999 100 150 0.001 7.25 null");
        let members = vec![
            (member, "variation", self.variant()),
            (70, "percentage", percentages),
            (member, "date", self.some_date()),
        ];
        let one = object(members, self.quirks);
        let ends = vec![(end, "initial", one.clone()), (end, "end", one)];
        object(ends, self.quirks)
    }

    fn window(&self) -> Text {
        let date = self.some_date();
        let ends = vec![(70, "start", date.clone()), (70, "end", date)];
        object(ends, self.quirks)
    }

    /// A date, seldom an invalid one.
    fn some_date(&self) -> Text {
        let bad =
            "2024-01-15 2024-01-15T24:00:00Z 2024-02-30T00:00:00Z tomorrow  2024-01-15t00:00:00z";
        let bad = word(bad);
        // The official engine cannot copy these offsets, as it does before it applies steps.
        let uncopyable = word("2024-01-15T00:00:00+24:00 2024-01-15T00:00:00-23:60");
        let good = match self.scheduled {
            true => mostly(99, &date(), &bad),
            false => mostly(96, &date(), &mostly(25, &bad, &uncopyable)),
        };
        string(&good)
    }

    /// A step of a scheduled rollout.
    fn step(&self) -> Text {
        // A removal must not come to stand alone, so only rules that are merged have any.
        let known = self.update(100, true);
        let rules = prop_oneof![
            4 => list_with([&known]),
            1 => list_with([&known, &self.rule()]),
            4 => list(&self.update(0, false), 0..3),
            4 => list(&self.rule(), 0..3),
        ];
        let default = if self.complete { 40 } else { 8 };
        let members = vec![
            (95, "date", self.some_date()),
            (55, "targeting", rules.boxed()),
            (default, "defaultRule", self.update(0, self.complete)),
            (20, "disable", bool(40)),
            (20, "variations", self.variations()),
            (15, "experimentation", self.window()),
            (10, "version", string(&word("step"))),
            (5, "trackEvents", bool(0)),
        ];
        object(members, self.quirks)
    }

    /// Some members of a rule, which is called `r1` or nothing.
    fn update(&self, named: u8, removals: bool) -> Text {
        let members = vec![
            (named, "name", string(&word("r1"))),
            (25, "query", string(&self.query)),
            (35, "variation", self.variant()),
            (40, "percentage", self.percentage(removals)),
            (12, "progressiveRollout", self.progressive_rollout(70, 40)),
            (15, "disable", bool(50)),
        ];
        object(members, self.quirks)
    }
}

fn bucketing_key() -> Text {
    let nested = (name(), member()).prop_map(|(name, member)| format!("{name}.{member}"));
    let odd = one_of(&["a..b", ".", "o.", "company.name.x", "o.list.0"]);
    let key = prop_oneof![1 => Just(String::new()), 1 => word("targetingKey"), 1 => nested, 1 => odd, 2 => name()];
    string(&key.boxed())
}

/// Whether every order of addition gives the same number of buckets.
fn sum_is_certain(shares: &[f64]) -> bool {
    fn sums(left: &[f64], sum: f64, found: &mut Vec<u32>) {
        if left.is_empty() {
            // As the engine truncates it.
            found.push((sum * 1000.0) as u32);
        }
        for index in 0..left.len() {
            let mut rest = left.to_vec();
            let next = rest.remove(index);
            sums(&rest, sum + next, found);
        }
    }
    let mut found = Vec::new();
    sums(shares, 0.0, &mut found);
    found.windows(2).all(|pair| pair.first() == pair.last())
}
