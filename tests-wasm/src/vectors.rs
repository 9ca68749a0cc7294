//! The recorded answers of the official engine.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::Failure;

/// An input and its recorded output.
#[derive(Debug)]
pub struct Vector {
    /// Its name in the file.
    pub id: String,
    /// The input document.
    pub input: String,
    /// The output document.
    pub output: String,
}

#[derive(Deserialize)]
struct Line<'v> {
    id: String,
    #[serde(borrow)]
    input: Option<&'v RawValue>,
    #[serde(rename = "inputRaw")]
    input_raw: Option<String>,
    #[serde(borrow)]
    output: &'v RawValue,
}

/// The vectors of the repository, both files.
///
/// # Errors
///
/// When a file cannot be read.
pub fn all() -> Result<Vec<Vector>, Failure> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/goff-engine/tests/vectors");
    let mut vectors = Vec::new();
    for file in ["engine-public.jsonl.gz", "engine-extra-public.jsonl.gz"] {
        let reader = GzDecoder::new(File::open(folder.join(file))?);
        for line in BufReader::new(reader).lines() {
            let line = line?;
            let line: Line<'_> = serde_json::from_str(&line)?;
            let input = line.input.map(|input| input.get().to_owned());
            vectors.push(Vector {
                input: input.or(line.input_raw).ok_or("a vector without input")?,
                output: line.output.get().to_owned(),
                id: line.id,
            });
        }
    }
    Ok(vectors)
}
