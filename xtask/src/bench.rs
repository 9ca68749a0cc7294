//! `cargo xtask bench`: every program of the crate `goff-benches`, one after the other.

pub(crate) mod peers;

use std::path::PathBuf;

use serde_json::Value;

use crate::program::{self, Failure, Program};

/// Runs the benches whose rows match the filter; `--json` gathers the rows of all in one array.
pub(crate) fn run(arguments: &[String]) -> Result<(), Failure> {
    let (filter, json) = read(arguments)?;
    let mut rows = Vec::new();
    let mut failed = Vec::new();
    for name in programs()? {
        let file = program::root().join(format!("target/bench-{name}.json"));
        let file_name = file.to_string_lossy().into_owned();
        let program = Program::cargo("run --profile bench -p goff-benches --bin")
            .args([&name, "--"])
            .args(&filter)
            .args(["--json", &file_name]);
        if program.run().is_err() {
            failed.push(name);
        }
        let text = std::fs::read_to_string(&file)?;
        std::fs::remove_file(&file)?;
        match serde_json::from_str(&text) {
            Ok(Value::Array(more)) => rows.extend(more),
            _ => return Err(format!("`{file_name}` holds no list of rows").into()),
        }
    }
    println!("{} rows", rows.len());
    if let Some(file) = json {
        std::fs::write(file, Value::Array(rows).to_string())?;
    }
    match failed.is_empty() {
        true => Ok(()),
        false => Err(format!("a budget does not hold in: {}", failed.join(", ")).into()),
    }
}

fn read(arguments: &[String]) -> Result<(Vec<String>, Option<PathBuf>), Failure> {
    let (mut filter, mut json) = (Vec::new(), None);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        if argument == "--json" {
            json = Some(arguments.next().ok_or("`--json` needs a file")?.into());
        } else {
            filter.push(argument.clone());
        }
    }
    Ok((filter, json))
}

/// The names of the programs, by their files.
fn programs() -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(program::root().join("benches/src/bin"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.file_stem().unwrap_or_default();
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}
