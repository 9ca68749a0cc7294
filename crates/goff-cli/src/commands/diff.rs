//! `goff diff`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anstyle::Style;
use clap::Args;
use goff_engine::{Flag, FlagContext, FlagSet, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::answer::Answer;
use crate::arguments::{ContextArguments, TARGETING_KEY, check, now};
use crate::failure::{Failure, Verdict};
use crate::flags;
use crate::output::{
    BOLD, DIM, GREEN, Output, RED, YELLOW, briefly_different, grouped, shown, styled,
};

/// Compare two flag files: which flags differ, and who would get something else.
///
/// Each flag that differs is evaluated with both files, for contexts from a file or for made-up users.
/// The exit code is 1 if any flag differs.
#[derive(Args)]
#[command(after_help = "\
Examples:
  goff diff old.yaml new.yaml
  goff diff old.yaml new.yaml --users 1000000 -c plan=pro
  goff diff <(git show main:flags.yaml) flags.yaml --contexts users.jsonl --json")]
pub(crate) struct Arguments {
    /// The flags before.
    old: PathBuf,
    /// The flags after.
    new: PathBuf,
    /// Evaluate for the contexts of this file, a JSON object on each line.
    #[arg(long, value_name = "FILE", conflicts_with = "users")]
    contexts: Option<PathBuf>,
    /// Evaluate for this number of users, with the targeting keys `user-1`, `user-2` and so on. By
    /// default for 10000, or for the one with the targeting key that is given.
    #[arg(long, value_name = "NUMBER")]
    users: Option<NonZeroU32>,
    /// How many examples to name of each change.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    examples: usize,
    /// Attributes that every context has; its own win.
    #[command(flatten)]
    context: ContextArguments,
}

/// What differs.
#[derive(Serialize)]
struct Difference {
    added: BTreeSet<String>,
    removed: BTreeSet<String>,
    changed: BTreeMap<String, Changed>,
    unchanged: usize,
    /// How many contexts were evaluated.
    contexts: u64,
}

/// A flag that both files have.
#[derive(Default, Serialize)]
struct Changed {
    /// The members that differ.
    members: BTreeSet<String>,
    /// How many contexts get something else.
    affected: u64,
    transitions: Vec<Transition>,
    #[serde(skip)]
    counts: BTreeMap<(String, String), (u64, Vec<String>)>,
}

#[derive(Serialize)]
struct Transition {
    from: String,
    to: String,
    count: u64,
    examples: Vec<String>,
}

impl Arguments {
    pub(crate) fn run(&self, output: &Output) -> Result<Verdict, Failure> {
        let base = self.context.context()?;
        if base.contains_key(TARGETING_KEY) && self.users.is_some() {
            let message = "makes up targeting keys; leave it out to evaluate for the one given";
            return Err(Failure::at("--users", message));
        }
        let (old, new) = (flags::load(&self.old)?, flags::load(&self.new)?);
        let mut difference = Difference::of(&old, &new);
        let pairs: Vec<(String, &Flag, &Flag)> = difference
            .changed
            .keys()
            .filter_map(|key| Some((key.clone(), old.get(key)?, new.get(key)?)))
            .collect();
        let now = now();
        let mut evaluate = |name: &dyn Fn() -> String, context: &Map<String, Value>| {
            difference.contexts += 1;
            for (key, old, new) in &pairs {
                let Some((from, to)) = transition(old, new, context, now) else {
                    continue;
                };
                let Some(changed) = difference.changed.get_mut(key) else {
                    continue;
                };
                changed.affected += 1;
                let (count, examples) = changed.counts.entry((from, to)).or_default();
                *count += 1;
                if examples.len() < self.examples {
                    examples.push(name());
                }
            }
        };
        match (&self.contexts, base.get(TARGETING_KEY)) {
            // Also without a flag to evaluate: a mistake in the file is one whatever the flags are.
            (Some(path), _) => for_each_line(path, &base, &mut evaluate)?,
            _ if pairs.is_empty() => {}
            (None, Some(Value::String(key))) => evaluate(&|| key.clone(), &base),
            (None, _) => self.for_each_user(base, &mut evaluate),
        }
        difference.settle();
        Verdict::of(difference.is_empty()).after(match output.is_json {
            true => output.json(&difference),
            false => output.text(&self.text(&difference)),
        })
    }

    fn for_each_user(&self, mut context: Map<String, Value>, evaluate: &mut Evaluate<'_>) {
        let users = self.users.map_or(USERS, |users| u64::from(users.get()));
        let mut progress = Progress::new(users);
        for number in 1..=users {
            let user = format!("user-{number}");
            context.insert(TARGETING_KEY.to_owned(), user.as_str().into());
            evaluate(&|| user.clone(), &context);
            progress.advance(1);
        }
    }

    fn text(&self, difference: &Difference) -> String {
        let Difference {
            added,
            removed,
            changed,
            unchanged,
            contexts,
        } = difference;
        let mut text = format!(
            "{} added, {} removed, {} changed, {} unchanged\n",
            added.len(),
            removed.len(),
            changed.len(),
            unchanged
        );
        let mut flag = |sign: &str, style: Style, key: &str, rest: &str| {
            text += &format!(
                "{} {}{rest}\n",
                styled(style, sign),
                styled(BOLD, shown(key))
            );
        };
        added.iter().for_each(|key| flag("+", GREEN, key, ""));
        removed.iter().for_each(|key| flag("-", RED, key, ""));
        for (key, changed) in changed {
            let members: Vec<&str> = changed.members.iter().map(String::as_str).collect();
            flag(
                "~",
                YELLOW,
                key,
                &format!(": {}", shown(&members.join(", "))),
            );
        }
        let label = match (&self.contexts, contexts) {
            (Some(_), 1) => "context",
            (Some(_), _) => "contexts",
            (None, 1) => "user",
            (None, _) => "users",
        };
        for (key, changed) in changed {
            let (affected, all) = (changed.affected, *contexts);
            text += &format!(
                "\n{}: {} of {} {label} get something else ({})\n",
                styled(BOLD, shown(key)),
                grouped(affected),
                grouped(all),
                percent(affected, all)
            );
            for Transition {
                from,
                to,
                count,
                examples,
            } in &changed.transitions
            {
                let examples: Vec<_> = examples.iter().map(|name| shown(name)).collect();
                let more = if *count > examples.len() as u64 {
                    ", …"
                } else {
                    ""
                };
                text += &format!(
                    "  {from} → {to}: {} {}\n",
                    grouped(*count),
                    styled(DIM, format!("({}{more})", examples.join(", ")))
                );
            }
        }
        text
    }
}

impl Difference {
    fn of(old: &FlagSet, new: &FlagSet) -> Self {
        let keys = |set: &FlagSet| set.iter().map(|flag| flag.key().to_owned()).collect();
        let (old_keys, new_keys): (BTreeSet<String>, BTreeSet<String>) = (keys(old), keys(new));
        let mut changed = BTreeMap::new();
        let mut unchanged = 0;
        for key in old_keys.intersection(&new_keys) {
            let members = members(old.get(key), new.get(key));
            if members.is_empty() {
                unchanged += 1;
            } else {
                let members = Changed {
                    members,
                    ..Changed::default()
                };
                changed.insert(key.clone(), members);
            }
        }
        Self {
            added: new_keys.difference(&old_keys).cloned().collect(),
            removed: old_keys.difference(&new_keys).cloned().collect(),
            changed,
            unchanged,
            contexts: 0,
        }
    }

    fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }

    /// The most frequent transition first.
    fn settle(&mut self) {
        for changed in self.changed.values_mut() {
            let counts = std::mem::take(&mut changed.counts).into_iter();
            let transitions = counts.map(|((from, to), (count, examples))| Transition {
                from,
                to,
                count,
                examples,
            });
            changed.transitions = transitions.collect();
            changed
                .transitions
                .sort_by_key(|transition| std::cmp::Reverse(transition.count));
        }
    }
}

/// The members in which two flags differ.
fn members(old: Option<&Flag>, new: Option<&Flag>) -> BTreeSet<String> {
    let value = |flag: Option<&Flag>| flag.and_then(goff_engine::__internal::flag_value);
    match (value(old), value(new)) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let names = old.keys().chain(new.keys());
            let differs = |name: &&String| old.get(*name) != new.get(*name);
            names.filter(differs).cloned().collect()
        }
        (old, new) if old == new => BTreeSet::new(),
        _ => BTreeSet::from(["flag".to_owned()]),
    }
}

/// What a context gets from each of two flags; `None` if it is the same.
fn transition(
    old: &Flag,
    new: &Flag,
    context: &Map<String, Value>,
    now: Timestamp,
) -> Option<(String, String)> {
    let flag_context = FlagContext::default();
    let (before, after) = (
        old.evaluate(context, &flag_context, now),
        new.evaluate(context, &flag_context, now),
    );
    let code = |evaluation: &goff_engine::Evaluation<'_>| {
        evaluation.error.as_ref().map(|error| error.code())
    };
    let is_same_value = before.value == after.value;
    if is_same_value && before.variant == after.variant && code(&before) == code(&after) {
        return None;
    }
    let (old_value, new_value) = briefly_different(before.value, after.value);
    let label = |evaluation: &goff_engine::Evaluation<'_>, value: &str| {
        let answer = Answer::of_evaluation(old.key(), evaluation);
        match before.variant == after.variant && !answer.is_default() {
            true => format!("{} ({value})", answer.summary()),
            false => answer.summary(),
        }
    };
    Some((label(&before, &old_value), label(&after, &new_value)))
}

/// Takes a context, and what to call it.
type Evaluate<'a> = dyn FnMut(&dyn Fn() -> String, &Map<String, Value>) + 'a;

fn for_each_line(
    path: &Path,
    base: &Map<String, Value>,
    evaluate: &mut Evaluate<'_>,
) -> Result<(), Failure> {
    let failure = |error: std::io::Error| {
        let message =
            format!("cannot be read: {error}; give a file with a JSON object on each line");
        Failure::at(path.display(), message)
    };
    let file = File::open(path).map_err(failure)?;
    let size = file.metadata().map_or(0, |metadata| metadata.len());
    let mut progress = Progress::new(size);
    let mut lines = BufReader::new(file);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        let read = lines
            .by_ref()
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .map_err(failure)?;
        if read == 0 {
            break;
        }
        progress.advance(read as u64);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let bad =
            |message: String| Failure::at(format!("{}: line {number}", path.display()), message);
        let own: Map<String, Value> = serde_json::from_slice(&line).map_err(|error| {
            bad(format!(
                "not a JSON object: {error}; write one context on each line"
            ))
        })?;
        check(&own).map_err(bad)?;
        let mut context = base.clone();
        context.extend(own);
        let name = || match context.get(TARGETING_KEY) {
            Some(Value::String(key)) => key.clone(),
            _ => format!("line {number}"),
        };
        evaluate(&name, &context);
    }
    Ok(())
}

/// A progress bar on standard error, if that is a terminal and the work takes more than a second.
struct Progress {
    bar: Option<ProgressBar>,
    total: u64,
    done: u64,
    started: Instant,
}

impl Progress {
    fn new(total: u64) -> Self {
        Self {
            bar: None,
            total,
            done: 0,
            started: Instant::now(),
        }
    }

    fn advance(&mut self, steps: u64) {
        self.done += steps;
        match &self.bar {
            Some(bar) => bar.set_position(self.done),
            None if self.started.elapsed() > Duration::from_secs(1) => {
                let bar =
                    ProgressBar::with_draw_target(Some(self.total), ProgressDrawTarget::stderr());
                if let Ok(style) = ProgressStyle::with_template("{bar:40} {percent} %, {eta} left")
                {
                    bar.set_style(style);
                }
                bar.set_position(self.done);
                self.bar = Some(bar);
            }
            None => {}
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn percent(part: u64, all: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
    let percent = if all == 0 {
        0.0
    } else {
        part as f64 * 100.0 / all as f64
    };
    format!("{percent:.1} %")
}

const USERS: u64 = 10_000;
const LONGEST_LINE: u64 = 16 << 20;
