//! Prints documents for hosts in other languages, a line each: the input, a tab, and the native engine's answer. The
//! measured flags come first, then the recorded vectors.

use std::error::Error;
use std::io::{BufWriter, Write as _, stdout};
use std::time::SystemTime;

use goff_engine::{Timestamp, evaluate_document};
use goff_tests_wasm::measured_flags::measured;
use goff_tests_wasm::native_context::USER;
use goff_tests_wasm::{document, vectors};

fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let measured = measured().into_iter();
    let measured = measured.map(|(name, flag, _)| document(name, &flag, USER));
    let vectors = vectors::all()?.into_iter().map(|vector| vector.input);
    let mut output = BufWriter::new(stdout());
    for input in measured.chain(vectors) {
        let answer = evaluate_document(input.as_bytes(), Timestamp::from(SystemTime::now()));
        // What a provider refuses as too expensive depends on the size of an address.
        let is_line = !input.contains(['\n', '\r', '\t']) && !answer.contains("too expensive");
        if is_line {
            writeln!(output, "{input}\t{answer}")?;
        }
    }
    Ok(output.flush()?)
}
