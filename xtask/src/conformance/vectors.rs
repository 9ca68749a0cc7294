//! Recorded answers, from files.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::SystemTime;

use flate2::read::GzDecoder;
use goff_engine::Timestamp;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::compare::{self, Tally};

#[derive(Deserialize)]
struct Vector<'v> {
    id: String,
    #[serde(borrow)]
    input: Option<&'v RawValue>,
    #[serde(rename = "inputRaw")]
    input_raw: Option<String>,
    #[serde(borrow)]
    output: &'v RawValue,
}

/// Compares every vector of a file, plain or compressed.
pub(super) fn run(path: &Path) -> Result<Tally, String> {
    let named = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let file = File::open(path).map_err(|error| named(&error))?;
    let is_compressed = path.extension().is_some_and(|extension| extension == "gz");
    let reader: Box<dyn Read> = match is_compressed {
        true => Box::new(GzDecoder::new(file)),
        false => Box::new(file),
    };
    let now = Timestamp::from(SystemTime::now());
    let (mut passed, mut failed) = (0, 0);
    for line in BufReader::new(reader).lines() {
        let line = line.map_err(|error| named(&error))?;
        if line.trim().is_empty() {
            continue;
        }
        let vector: Vector<'_> = serde_json::from_str(&line).map_err(|error| named(&error))?;
        let input = vector.input.map(RawValue::get);
        let input = input.or(vector.input_raw.as_deref());
        let input = input.ok_or_else(|| named(&format!("{} has no input", vector.id)))?;
        let answer = goff_engine::evaluate_document(input.as_bytes(), now);
        if compare::agree(&answer, vector.output.get()) {
            passed += 1;
        } else {
            failed += 1;
            let (id, expected) = (vector.id, vector.output.get());
            println!(
                "{id} differs\n  input    {input}\n  expected {expected}\n  answered {answer}"
            );
        }
    }
    println!("{}: {passed} passed, {failed} failed", path.display());
    Ok(Tally { passed, failed })
}
