//! The recorded answers of the official engine.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader};

use goff_engine::{Timestamp, evaluate_document};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

#[derive(Deserialize)]
struct Vector<'v> {
    id: String,
    #[serde(borrow)]
    input: Option<&'v RawValue>,
    #[serde(rename = "inputRaw")]
    input_raw: Option<String>,
    output: Value,
}

/// Numbers as doubles.
fn normalized(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::String(format!("number {:?}", number.as_f64())),
        Value::Array(elements) => elements.iter().map(normalized).collect(),
        Value::Object(members) => {
            let members = members.iter();
            members
                .map(|(name, value)| (name.clone(), normalized(value)))
                .collect()
        }
        other => other.clone(),
    }
}

/// Without details that the decoder words.
fn comparable(output: &Value) -> Value {
    let mut output = normalized(output);
    let code = output["errorCode"].as_str().unwrap_or_default();
    let details = output["errorDetails"].as_str().unwrap_or_default();
    let limit = details.starts_with("input JSON exceeds") || details.starts_with("targeting query");
    if code == "GENERAL" || (code == "PARSE_ERROR" && !limit) {
        output.as_object_mut().unwrap().remove("errorDetails");
    }
    output
}

fn check(file: &str, vectors: usize) {
    let path = format!("{}/tests/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let packed = std::fs::File::open(path).unwrap();
    let reader = BufReader::new(flate2::read::GzDecoder::new(packed));
    let now = Timestamp::from(std::time::SystemTime::now());
    let mut count = 0;
    let mut failures = Vec::new();
    for line in reader.lines() {
        let line = line.unwrap();
        let vector: Vector<'_> = serde_json::from_str(&line).unwrap();
        let input = match (&vector.input, &vector.input_raw) {
            (Some(input), None) => input.get(),
            (None, Some(input)) => input,
            _ => panic!("{}: one input is expected", vector.id),
        };
        count += 1;
        let text = evaluate_document(input.as_bytes(), now);
        let output: Value = serde_json::from_str(&text).unwrap();
        if comparable(&output) != comparable(&vector.output) {
            failures.push(format!(
                "{}\n  input    {input}\n  expected {}\n  answered {output}",
                vector.id, vector.output
            ));
        }
    }
    assert_eq!(count, vectors, "vectors in {file}");
    assert!(
        failures.is_empty(),
        "{} of {count} differ:\n{}",
        failures.len(),
        failures[..failures.len().min(20)].join("\n")
    );
}

/// GOFF-ENG-001: recorded from module 0.2.4.
#[test]
fn answers_of_the_official_module() {
    check("engine-public.jsonl.gz", 6001);
}

/// GOFF-ENG-001: recorded from modules/core 0.7.2.
#[test]
fn answers_of_the_native_build_where_the_module_traps() {
    check("engine-extra-public.jsonl.gz", 783);
}
