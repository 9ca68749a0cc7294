//! The relay proxy that the programs ask; it prints its endpoint and ends with its standard input.

use std::io::{Read, Write, stdin, stdout};

use goff_testkit::EmbeddedRelay;
use peer_questions::{Failure, original};
use serde_json::Value;

fn main() -> Result<(), Failure> {
    let flags = Value::from(original()).to_string();
    let relay = EmbeddedRelay::builder().flags(flags).start()?;
    let mut output = stdout();
    writeln!(output, "{}", relay.endpoint())?;
    output.flush()?;
    stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
