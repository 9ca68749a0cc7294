//! Explanations as a tree for people.

use std::fmt;

use super::explanation::{
    ExplainedRollout, ExplainedRolloutEnd, ExplainedRule, ExplainedServing, ExplainedSplit,
    Explanation, StepStatus,
};
use crate::{configuration::date::Timestamp, evaluate::seen::Condition, presentable::excerpt};

/// A line and the lines that belong to it.
struct Branch(String, Vec<Branch>);

impl Branch {
    fn leaf(text: impl Into<String>) -> Self {
        Self(text.into(), Vec::new())
    }

    fn write(&self, before: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.1.len().saturating_sub(1);
        for (index, branch) in self.1.iter().enumerate() {
            let (mark, indent) = if index == last {
                ("└─ ", "   ")
            } else {
                ("├─ ", "│  ")
            };
            write!(f, "\n{before}{mark}{}", branch.0)?;
            branch.write(&format!("{before}{indent}"), f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stated = if self.time_from_context {
            ", as the context states"
        } else {
            ""
        };
        write!(f, "flag `{}` at {}{stated}", self.flag, self.time)?;
        let mut branches = Vec::new();
        branches.extend(self.scheduled());
        if self.disabled {
            branches.push(Branch::leaf("the flag is disabled"));
        }
        if let Some(window) = &self.experimentation {
            let is = if window.running {
                "runs"
            } else {
                "does not run"
            };
            let date =
                |date: Option<Timestamp>| date.map_or("…".to_owned(), |date| date.to_string());
            let (start, end) = (date(window.start), date(window.end));
            branches.push(Branch::leaf(format!(
                "the experimentation from {start} to {end} {is}"
            )));
        }
        if let Some(key) = &self.bucketing_key {
            let enriched = if key.enriched {
                " of the enrichment"
            } else {
                ""
            };
            branches.push(Branch::leaf(format!(
                "bucketing key {:?}, from `{}`{enriched}",
                key.key, key.source
            )));
        }
        let (targeting, default): (Vec<_>, Vec<_>) =
            self.rules.iter().partition(|rule| rule.index.is_some());
        branches.extend(targeting.into_iter().map(ExplainedRule::branch));
        branches.extend(omitted(self.rules_omitted, "rules are"));
        branches.extend(default.into_iter().map(ExplainedRule::branch));
        branches.push(self.result());
        Branch(String::new(), branches).write("", f)
    }
}

impl Explanation {
    fn scheduled(&self) -> Option<Branch> {
        let steps = self.steps.iter().map(|step| {
            let date = step
                .date
                .map_or("no date".to_owned(), |date| date.to_string());
            let status = match step.status {
                StepStatus::Due => "due",
                StepStatus::Next => "comes next",
                StepStatus::Later => "later",
                StepStatus::Never => "never due",
            };
            let changes = match &*step.changes {
                [] => "nothing".to_owned(),
                changes => changes.join(", "),
            };
            Branch::leaf(format!("{date}: {status}, changes {changes}"))
        });
        let mut steps: Vec<_> = steps.collect();
        steps.extend(omitted(self.steps_omitted, "steps are"));
        (!steps.is_empty()).then(|| Branch("scheduled steps".to_owned(), steps))
    }

    fn result(&self) -> Branch {
        let value = excerpt(MOST_OF_VALUE, |out| write!(out, "{}", self.value));
        let mut notes = Vec::new();
        if let Some(error) = &self.error {
            notes.push(Branch::leaf(format!(
                "error {}: {}",
                error.code, error.message
            )));
        }
        if self.variant_missing && self.error.is_none() {
            notes.push(Branch::leaf("the flag has no variation of this name"));
        }
        let variant = excerpt(MOST_OF_VALUE, |out| out.write_str(&self.variant));
        Branch(
            format!("value {value}, variant `{variant}`, reason {}", self.reason),
            notes,
        )
    }
}

impl ExplainedRule {
    fn branch(&self) -> Branch {
        let what = match (self.index, &self.name) {
            (None, _) => "default rule".to_owned(),
            (Some(index), None) => format!("rule {}", index + 1),
            (Some(index), Some(name)) => format!("rule {} `{name}`", index + 1),
        };
        let outcome = match self.outcome {
            super::explanation::RuleOutcome::Matched => "matched",
            super::explanation::RuleOutcome::NotMatched => "not matched",
            super::explanation::RuleOutcome::Skipped => "skipped",
            super::explanation::RuleOutcome::Failed => "failed",
        };
        let mut branches = Vec::new();
        branches.extend(
            self.query
                .as_ref()
                .map(|query| Branch::leaf(format!("query {query}"))),
        );
        let ignored = self.ignored.iter();
        branches.extend(ignored.map(|part| Branch::leaf(format!("the engine ignores `{part}`"))));
        let supplied = self.supplied.iter();
        branches.extend(supplied.map(|part| Branch::leaf(format!("the engine adds {part}"))));
        let (last, first) = match self.conditions.split_last() {
            Some((last, first)) => (Some(last), first),
            None => (None, &[][..]),
        };
        branches.extend(first.iter().map(branch));
        branches.extend(omitted(self.conditions_omitted, "conditions are"));
        branches.extend(last.map(branch));
        branches.push(self.serves.branch());
        Branch(format!("{what}: {outcome}, because {}", self.why), branches)
    }
}

fn branch(condition: &Condition) -> Branch {
    let Condition {
        text, holds, why, ..
    } = condition;
    let holds = match holds {
        Some(true) => "true",
        Some(false) => "false",
        None => "an error",
    };
    Branch::leaf(format!("`{text}` is {holds}: {why}"))
}

impl ExplainedServing {
    fn branch(&self) -> Branch {
        match self {
            Self::Variation(variant) => Branch::leaf(format!("serves `{variant}`")),
            Self::Split(split) => split.branch(),
            Self::ProgressiveRollout(rollout) => rollout.branch(),
            Self::IncompleteProgressiveRollout => {
                Branch::leaf("serves nothing: its progressive rollout is incomplete")
            }
            Self::Nothing => Branch::leaf("serves nothing"),
        }
    }
}

impl ExplainedSplit {
    fn branch(&self) -> Branch {
        let ranges = self.ranges.iter().map(|range| {
            let hit = if range.hit { ", hit" } else { "" };
            let buckets = if range.start < range.end {
                format!("buckets {} to {}", range.start, range.end - 1)
            } else {
                "no buckets".to_owned()
            };
            Branch::leaf(format!(
                "`{}` {} %: {buckets}{hit}",
                range.variant, range.percentage
            ))
        });
        let mut ranges: Vec<_> = ranges.collect();
        ranges.extend(omitted(self.ranges_omitted, "ranges are"));
        Branch(
            format!("splits {} buckets{}", self.buckets, key_in(self.bucket)),
            ranges,
        )
    }
}

impl ExplainedRollout {
    fn branch(&self) -> Branch {
        let end = |end: &ExplainedRolloutEnd| {
            Branch::leaf(format!(
                "`{}` {} % at {}",
                end.variant, end.percentage, end.date
            ))
        };
        Branch(
            format!(
                "rolls out: {} % get `{}` at {}, buckets below {} of 100000{}",
                self.share,
                self.end.variant,
                self.time,
                (self.share * 1000.0).round(),
                key_in(self.bucket)
            ),
            vec![end(&self.initial), end(&self.end)],
        )
    }
}

fn key_in(bucket: Option<u32>) -> String {
    bucket.map_or_else(String::new, |bucket| {
        format!(", the key is in bucket {bucket}")
    })
}

fn omitted(count: usize, what: &str) -> Option<Branch> {
    (count > 0).then(|| Branch::leaf(format!("… {count} {what} left out")))
}

const MOST_OF_VALUE: usize = 200;
