//! `cargo xtask conformance`: the engine against the official one.

mod compare;
mod context;
mod document;
mod flags;
mod json_logic;
mod oracle;
mod random;
pub(crate) mod report;
mod rule_language;
mod shrink;
mod tree;
mod vectors;

use std::{collections::BTreeMap, path::PathBuf};

use goff_engine::Timestamp;

use crate::conformance::{oracle::Oracle, random::Random};

/// What the command does, for the usage text.
pub(crate) const USAGE: &str = "conformance [--vectors FILE…] [--random N --seed S]   compare the engine with the official one\n   or: cargo xtask conformance report   write CONFORMANCE.md";

/// Runs recorded vectors (those of the repository without arguments) and random comparisons.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let options = Options::parse(arguments)?;
    let mut tally = Tally::default();
    for file in &options.vectors {
        vectors::run(file, &mut tally)?;
    }
    if options.random > 0 {
        random_comparisons(&options, &mut tally)?;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 || tally.passed == 0 {
        return Err("the engine differs from the official one".to_owned());
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

#[derive(Debug, Default)]
struct Options {
    vectors: Vec<PathBuf>,
    random: usize,
    seed: u64,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self {
            seed: 1,
            ..Self::default()
        };
        let mut vectors = None;
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            let mut number = || {
                arguments
                    .next()
                    .and_then(|value| value.replace('_', "").parse::<u64>().ok())
                    .ok_or_else(|| format!("`{argument}` takes a number"))
            };
            match argument.as_str() {
                "--random" => {
                    options.random =
                        usize::try_from(number()?).map_err(|error| error.to_string())?;
                }
                "--seed" => options.seed = number()?,
                "--vectors" => {
                    let files: &mut Vec<PathBuf> = vectors.get_or_insert_default();
                    while let Some(file) = arguments.next_if(|next| !next.starts_with("--")) {
                        files.push(file.into());
                    }
                }
                other => {
                    return Err(format!(
                        "unknown argument `{other}`\nusage: cargo xtask {USAGE}"
                    ));
                }
            }
        }
        let recorded = || {
            let folder = oracle::workspace().join("crates/goff-engine/tests/vectors");
            vec![
                folder.join("engine-public.jsonl.gz"),
                folder.join("engine-extra-public.jsonl.gz"),
            ]
        };
        options.vectors = match vectors {
            Some(files) => files,
            None if options.random > 0 => Vec::new(),
            None => recorded(),
        };
        Ok(options)
    }
}

/// How many documents are sent to the official engine at once.
const BATCH: usize = 512;

/// Differences that are shrunk and printed; later ones are only counted.
const PRINTED: usize = 10;

fn random_comparisons(options: &Options, tally: &mut Tally) -> Result<(), String> {
    let mut oracle = Oracle::start()?;
    let now = Timestamp::from(std::time::SystemTime::now());
    let mut left_out = 0_usize;
    let mut unstable = 0_usize;
    let mut areas = document::Areas::default();
    let mut outcomes: BTreeMap<String, usize> = BTreeMap::new();
    let mut case = 0_usize;
    let mut failed = 0_usize;
    let mut compared = 0_usize;
    while compared < options.random {
        let mut batch = Vec::with_capacity(BATCH);
        while batch.len() < BATCH.min(options.random - compared) {
            let mut random = Random::new(options.seed, case as u64);
            let (tree, area) = document::generate(&mut random);
            let text = tree.to_text();
            let answer = goff_engine::evaluate_document(text.as_bytes(), now);
            if compare::is_size_limit(&answer) {
                left_out += 1;
            } else {
                areas.count(area);
                batch.push((case, tree, text, answer));
            }
            case += 1;
        }
        let lines: Vec<&str> = batch.iter().map(|(_, _, text, _)| text.as_str()).collect();
        let expected = oracle.answers(&lines)?;
        compared += batch.len();
        for ((case, tree, text, answer), expected) in batch.iter().zip(expected) {
            if case % 16 == 0 {
                *outcomes.entry(compare::outcome(&expected)).or_default() += 1;
            }
            if compare::agree(answer, &expected) {
                tally.passed += 1;
            } else if oracle.is_unstable(text, &expected)? {
                unstable += 1;
            } else {
                failed += 1;
                if failed <= PRINTED {
                    shrink::report(&mut oracle, options.seed, *case, tree, now)?;
                }
            }
        }
        if compared.is_multiple_of(BATCH * 200) {
            eprintln!("{compared} compared, {failed} differ");
        }
    }
    tally.failed += failed;
    println!(
        "seed {}: {compared} random comparisons, {failed} differ; left out: {left_out} over a size limit, {unstable} on which the official engine varies",
        options.seed
    );
    println!("{areas}; of every sixteenth:");
    for (outcome, count) in outcomes {
        println!("  {count:>9} {outcome}");
    }
    Ok(())
}
