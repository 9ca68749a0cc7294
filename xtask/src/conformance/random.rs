//! Random documents, beside the official engine.

use std::collections::BTreeMap;
use std::time::SystemTime;

use goff_engine::{Timestamp, evaluate_document};
use goff_generators::{Document, documents};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::compare::{Tally, agree, is_size_limit, outcome};
use super::oracle::Oracle;
use crate::program::Failure;

/// How many documents are sent to the official engine at once.
const BATCH: usize = 512;

/// Differences that are shrunk and printed; later ones are only counted.
const PRINTED: usize = 10;

/// How many smaller documents are compared to find the smallest that differs.
const SHRINKING_STEPS: usize = 4000;

/// Compares documents of a seed; the same seed gives the same documents.
pub(super) fn run(count: usize, seed: u64) -> Result<Tally, Failure> {
    let now = Timestamp::from(SystemTime::now());
    let mut oracle = Oracle::start()?;
    let documents = documents();
    let mut runner = runner(seed);
    let mut summary = Summary::default();
    let mut tally = Tally::default();
    while summary.compared < count {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH.min(count - summary.compared) {
            let tree = documents.new_tree(&mut runner);
            let tree = tree.map_err(|reason| reason.to_string())?;
            let document = tree.current();
            let answer = evaluate_document(document.text.as_bytes(), now);
            if is_size_limit(&answer) {
                summary.over_a_limit += 1;
            } else {
                batch.push((tree, document, answer));
            }
        }
        let lines = batch.iter().map(|(_, document, _)| document.text.as_str());
        let expected = oracle.answers(&lines.collect::<Vec<_>>())?;
        for ((mut tree, document, answer), expected) in batch.into_iter().zip(expected) {
            summary.count(&document, &expected);
            if agree(&answer, &expected) {
                tally.passed += 1;
            } else if oracle.is_unstable(&document.text, &expected)? {
                summary.unstable += 1;
            } else {
                tally.failed += 1;
                if tally.failed <= PRINTED {
                    let smallest = shrink(&mut tree, &mut oracle, now)?;
                    print(&smallest, seed, summary.compared, &mut oracle, now)?;
                }
            }
        }
    }
    println!("seed {seed}: {} differ; {summary}", tally.failed);
    Ok(tally)
}

fn runner(seed: u64) -> TestRunner {
    let bytes = u128::from(seed).to_le_bytes();
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &bytes);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// The smallest document found that still differs.
fn shrink(
    tree: &mut impl ValueTree<Value = Document>,
    oracle: &mut Oracle,
    now: Timestamp,
) -> Result<String, Failure> {
    let mut smallest = tree.current().text;
    let mut has_more = tree.simplify();
    for _ in 0..SHRINKING_STEPS {
        if !has_more {
            break;
        }
        let text = tree.current().text;
        let answer = evaluate_document(text.as_bytes(), now);
        let expected = oracle.answer(&text)?;
        if agree(&answer, &expected)
            || is_size_limit(&answer)
            || oracle.is_unstable(&text, &expected)?
        {
            has_more = tree.complicate();
        } else {
            smallest = text;
            has_more = tree.simplify();
        }
    }
    Ok(smallest)
}

/// Prints a difference as a test.
fn print(
    text: &str,
    seed: u64,
    case: usize,
    oracle: &mut Oracle,
    now: Timestamp,
) -> Result<(), Failure> {
    let expected = oracle.answer(text)?;
    println!("seed {seed} case {case} differs; for crates/goff-engine/tests/regressions.rs:\n");
    println!("#[test]\nfn seed_{seed}_case_{case}() {{");
    println!("    check(\n        r##\"{text}\"##,\n        r##\"{expected}\"##,\n    );\n}}");
    let answer = evaluate_document(text.as_bytes(), now);
    println!("\n// answered {answer}\n");
    Ok(())
}

/// What was compared.
#[derive(Debug, Default)]
struct Summary {
    compared: usize,
    over_a_limit: usize,
    unstable: usize,
    areas: BTreeMap<String, usize>,
    outcomes: BTreeMap<String, usize>,
}

impl Summary {
    fn count(&mut self, document: &Document, expected: &str) {
        self.compared += 1;
        let area = format!("{:?}", document.area);
        *self.areas.entry(area).or_default() += 1;
        *self.outcomes.entry(outcome(expected)).or_default() += 1;
    }
}

impl std::fmt::Display for Summary {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "{} compared; left out: {} over a size limit, {} on which the official engine varies",
            self.compared, self.over_a_limit, self.unstable
        )?;
        for (name, count) in self.areas.iter().chain(&self.outcomes) {
            write!(formatter, "\n  {count:>9} {name}")?;
        }
        Ok(())
    }
}
