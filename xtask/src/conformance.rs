//! `cargo xtask conformance`: the engine against the official one.

mod compare;
mod oracle;
mod random;
pub(crate) mod report;
mod vectors;

use std::path::PathBuf;

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
        random::run(&options, &mut tally)?;
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
