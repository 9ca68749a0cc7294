//! Notes what an evaluation does.

use std::cell::RefCell;

use super::effective::Effective;
use crate::{
    compiled::body::State,
    evaluate::{bucketing::BucketingHash, observer::Observer, operand::Operand, seen::Condition},
    query::rule_language::outline::Outline,
};

/// The observer of an evaluation that is explained.
pub(super) struct Recorder<'e> {
    effective: &'e Effective<'e>,
    /// What is in force.
    state: Option<&'e State>,
    hash: BucketingHash,
    log: RefCell<Log<'e>>,
}

/// Without `Debug`, because it holds parts of the context.
pub(super) struct Log<'e> {
    /// The bucketing key, cut, and the hash of the whole.
    pub(super) key: Option<(String, BucketingHash)>,
    /// The rules that the evaluation came to. Of too many, the first ones and the last one.
    pub(super) rules: Vec<RuleLog<'e>>,
    /// Conditions that may still be noted.
    conditions_left: usize,
}

pub(super) struct RuleLog<'e> {
    pub(super) index: usize,
    pub(super) outline: Option<Outline<'e>>,
    /// Whether the query matches, and whether the work is exhausted.
    pub(super) query: Option<(bool, bool)>,
    pub(super) conditions: Vec<Condition>,
    pub(super) conditions_omitted: usize,
    pub(super) stopped: bool,
}

impl<'e> Recorder<'e> {
    pub(super) fn new(
        effective: &'e Effective<'e>,
        state: Option<&'e State>,
        hash: BucketingHash,
        flag_length: usize,
    ) -> Self {
        Self {
            effective,
            state,
            hash,
            log: RefCell::new(Log {
                key: None,
                rules: Vec::new(),
                conditions_left: MOST_CONDITIONS + flag_length / BYTES_PER_CONDITION,
            }),
        }
    }

    pub(super) fn into_log(self) -> Log<'e> {
        self.log.into_inner()
    }

    fn push(&self, condition: impl FnOnce(Option<&Outline<'e>>) -> Option<Condition>) {
        let log = &mut *self.log.borrow_mut();
        let Some(rule) = log.rules.last_mut() else {
            return;
        };
        let Some(condition) = condition(rule.outline.as_ref()) else {
            return;
        };
        // The last one is kept, because it decides.
        if rule.conditions.len() >= MOST_OF_RULE
            || (log.conditions_left == 0 && !rule.conditions.is_empty())
        {
            rule.conditions.pop();
            rule.conditions_omitted += 1;
        } else {
            log.conditions_left = log.conditions_left.saturating_sub(1);
        }
        rule.conditions.push(condition);
    }
}

impl Observer for &Recorder<'_> {
    fn bucketing_key(&self, key: &str) {
        let shown = crate::presentable::presentable(key).into_owned();
        self.log.borrow_mut().key = Some((shown, self.hash.write(key)));
    }

    fn rule(&self, index: usize) {
        let mut log = self.log.borrow_mut();
        if log.rules.len() >= MOST_RULES {
            log.rules.pop();
        }
        log.rules.push(RuleLog {
            index,
            outline: self.effective.outline(self.state, index),
            query: None,
            conditions: Vec::new(),
            conditions_omitted: 0,
            stopped: false,
        });
    }

    fn query(&self, matches: bool, exhausted: bool) {
        if let Some(rule) = self.log.borrow_mut().rules.last_mut() {
            rule.query = Some((matches, exhausted));
        }
    }

    fn condition(&self, index: u32, operand: Operand<'_>, read: bool, holds: bool) {
        self.push(|outline| outline?.condition(index, operand, read, holds));
    }

    fn dead_end(&self, index: u32) {
        self.push(|outline| outline?.dead_end(index));
    }

    fn error(&self, number: u32) {
        self.push(|outline| outline?.error(number));
    }

    fn operation(&self, describe: impl FnOnce() -> Condition) {
        self.push(|_| Some(describe()));
    }

    fn stopped(&self) {
        if let Some(rule) = self.log.borrow_mut().rules.last_mut() {
            rule.stopped = true;
        }
    }
}

/// Rules in an explanation.
pub(super) const MOST_RULES: usize = 100;

/// Conditions of one rule.
const MOST_OF_RULE: usize = 20;

/// Conditions of all rules, and one more for so many bytes of the flag.
const MOST_CONDITIONS: usize = 100;
const BYTES_PER_CONDITION: usize = 64;
