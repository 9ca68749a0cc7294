//! `cargo xtask conformance`: the engine beside the official one.

mod compare;
mod oracle;
mod random;
pub(crate) mod report;
mod vectors;

use std::path::PathBuf;

use crate::program::{Failure, number, root, words};
use compare::Tally;

/// Runs recorded vectors (those of the repository without arguments) and random comparisons.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let options = Options::parse(arguments)?;
    let mut tally = Tally::default();
    for file in &options.vectors {
        tally += vectors::run(file)?;
    }
    if options.random > 0 {
        tally += random::run(options.random, options.seed)?;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 || tally.passed == 0 {
        return Err("the engine differs from the official one".into());
    }
    Ok(())
}

/// Compares so many random documents of a seed.
pub(crate) fn random(count: usize, seed: u64) -> Result<(), Failure> {
    let arguments = format!("--random {count} --seed {seed}");
    run(&words(&arguments))
}

#[derive(Debug)]
struct Options {
    vectors: Vec<PathBuf>,
    random: usize,
    seed: u64,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let (mut random, mut seed, mut vectors) = (0, 1, Vec::new());
        let mut arguments = arguments.iter().peekable();
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--random" => random = number(argument, arguments.next())?,
                "--seed" => seed = number(argument, arguments.next())?,
                "--vectors" => {
                    while let Some(file) = arguments.next_if(|next| !next.starts_with("--")) {
                        vectors.push(file.into());
                    }
                }
                other => return Err(format!("unknown argument `{other}`").into()),
            }
        }
        if vectors.is_empty() && random == 0 {
            let folder = root().join("crates/goff-engine/tests/vectors");
            vectors = ["engine-public.jsonl.gz", "engine-extra-public.jsonl.gz"]
                .map(|file| folder.join(file))
                .into();
        }
        Ok(Self {
            vectors,
            random: usize::try_from(random).unwrap_or(usize::MAX),
            seed,
        })
    }
}
