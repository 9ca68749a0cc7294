//! A command-line program without async: the blocking client.
//!
//! ```sh
//! cargo run --example command_line --features blocking [-- ENDPOINT]
//! ```
//!
//! Without an endpoint it starts the test kit's embedded relay proxy.
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::time::Duration;

use goff_provider::blocking::GoFeatureFlag;
use goff_provider::native::EvaluationContext;
use goff_provider::{GoFeatureFlagOptions, Refreshed};
use goff_testkit::EmbeddedRelay;
use serde_json::{Map, Value};

const FLAGS: &str = "
fast-copy:
  variations: {on: true, off: false}
  targeting: [{query: files gt 100, variation: on}]
  defaultRule: {variation: off}
threads:
  variations: {few: 2, many: 8}
  defaultRule: {variation: many}
";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut embedded = None;
    let endpoint = match std::env::args().nth(1) {
        Some(endpoint) => endpoint,
        None => embedded
            .insert(EmbeddedRelay::builder().flags(FLAGS).start()?)
            .endpoint(),
    };

    // A person waits for this program, so no request takes longer than a second.
    let options = GoFeatureFlagOptions::new(endpoint)
        .timeout(Duration::from_secs(1))
        .exporter_metadata("program", "copy");
    let goff = GoFeatureFlag::connect(options)?;

    let context = EvaluationContext::builder()
        .targeting_key("host-17")
        .attribute("files", 2000_i64)
        .build();
    let fast_copy = goff.evaluate("fast-copy", &context, false);
    println!(
        "fast copy: {} because {}",
        fast_copy.value,
        fast_copy.reason()
    );
    if let Some(error) = fast_copy.error() {
        println!("the default, because: {error}");
    }

    // Many threads share one client.
    let copied: i64 = std::thread::scope(|scope| {
        let threads = goff.evaluate("threads", &context, 1_i64).value;
        let copying: Vec<_> = (0..threads)
            .map(|_| scope.spawn(|| i64::from(copy_some(&goff, &context))))
            .collect();
        let copied = copying.into_iter().filter_map(|thread| thread.join().ok());
        copied.sum()
    });
    println!("copied {copied} files");
    let details = Map::from_iter([("files".to_owned(), Value::from(copied))]);
    goff.track("copied", &context, details)?;

    // For a program that runs for long: the next evaluation asks the relay proxy again.
    if goff.refresh()? == Refreshed::CacheCleared {
        let again = goff.evaluate("threads", &context, 1_i64);
        println!("threads: {} because {}", again.value, again.reason());
    }

    // The drop would do as well; this shows what became of the usage data.
    let report = goff.shutdown(Duration::from_secs(2));
    println!(
        "usage data: {} recorded, {} delivered, {} still buffered",
        report.recorded, report.delivered, report.pending
    );
    Ok(())
}

fn copy_some(goff: &GoFeatureFlag, context: &EvaluationContext) -> u8 {
    let fast = goff.evaluate("fast-copy", context, false).value;
    if fast { 250 } else { 10 }
}
