//! A function that is frozen between its invocations, as on AWS Lambda: one client for all
//! invocations of an instance, and in each one `refresh` at the start and `flush` at the end.
//!
//! ```sh
//! cargo run --example function_handler [-- ENDPOINT]
//! ```
//!
//! Each line of the input is an event: the key of a user. Without an endpoint it starts the test
//! kit's embedded relay proxy.
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::error::Error;
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, Refreshed};
use goff_testkit::EmbeddedRelay;

const FLAGS: &str = "
greeting:
  variations: {short: hi, long: good day}
  defaultRule: {variation: long}
";

/// What lives as long as the instance.
struct Handler {
    goff: GoFeatureFlag,
}

impl Handler {
    /// The cold start. With `lambda_runtime` it comes before `run`.
    async fn start(endpoint: String) -> Result<Self, Box<dyn Error>> {
        let options = GoFeatureFlagOptions::new(endpoint)
            // One fetch for each invocation, then no request for an evaluation.
            .evaluation_type(EvaluationType::InProcess)
            // An invocation must not wait for long; its flags are those of the last one then.
            .timeout(Duration::from_secs(1));
        let goff = GoFeatureFlag::connect(options).await?;
        Ok(Self { goff })
    }

    async fn handle(&self, user: &str) -> String {
        // The instance may have been frozen for an hour: its flags are old, its connections dead.
        let flags = match self.goff.refresh().await {
            Ok(Refreshed::Changed(_)) => "changed",
            Ok(_) => "current",
            // Those of the last invocation are better than none.
            Err(_) => "old",
        };
        let context = EvaluationContext::builder().targeting_key(user).build();
        let greeting = self
            .goff
            .evaluate("greeting", &context, String::new())
            .await;
        // The instance may not wake up again, so the usage data leaves now.
        let report = self.goff.flush(Duration::from_secs(1)).await;
        format!(
            "{}, {user} (flags {flags}; {} events delivered, {} buffered)",
            greeting.value, report.delivered, report.pending
        )
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut embedded = None;
    let endpoint = match std::env::args().nth(1) {
        Some(endpoint) => endpoint,
        None => embedded
            .insert(EmbeddedRelay::builder().flags(FLAGS).start()?)
            .endpoint(),
    };
    let handler = Handler::start(endpoint).await?;
    // Waiting for a line blocks the only thread of the runtime, so that, as in a frozen instance,
    // nothing runs between invocations.
    for user in std::io::stdin().lines() {
        println!("{}", handler.handle(&user?).await);
    }
    // Lambda ends instances without a word; a shutdown signal gives time for this.
    handler.goff.shutdown(Duration::from_secs(2)).await;
    Ok(())
}
