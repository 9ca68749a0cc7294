//! Flags without a relay proxy: from a watched file, and from a text in the program.
//!
//! ```sh
//! cargo run --example file_mode --features file [-- flags.yaml]
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::path::PathBuf;
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{
    ChangedFlags, ClientEvent, GoFeatureFlag, GoFeatureFlagOptions, LocalFlags, Subscription,
};

const FLAGS: &str = r#"
new-checkout:
  variations: {on: true, off: false}
  targeting:
    - query: plan eq "pro"
      variation: on
  defaultRule: {variation: off}
"#;

const RELEASED: &str = "
new-checkout:
  variations: {on: true, off: false}
  defaultRule: {variation: on}
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut own = None;
    let path = match std::env::args().nth(1) {
        Some(path) => PathBuf::from(path),
        None => {
            let path = own.insert(tempfile::tempdir()?).path().join("flags.yaml");
            std::fs::write(&path, FLAGS)?;
            path
        }
    };

    let goff = GoFeatureFlag::connect(GoFeatureFlagOptions::from_file(&path)).await?;
    let mut events = goff.subscribe();
    let context = EvaluationContext::builder().targeting_key("user-1").build();
    for (flag_key, details) in goff.evaluate_all(&context).await? {
        println!(
            "{flag_key} = {} because {}",
            details.value,
            details.reason()
        );
    }

    if own.is_some() {
        // Deploy a flag file by renaming it into place, so that no reader sees half of it.
        let new = path.with_extension("new");
        std::fs::write(&new, RELEASED)?;
        std::fs::rename(&new, &path)?;
        let updated = next_change(&mut events).await.ok_or("the client is gone")?;
        let details = goff.evaluate("new-checkout", &context, false).await;
        println!("{updated} changed: {}", details.value);

        // An unusable file keeps the flags in use.
        std::fs::write(&path, "new-checkout: {variations: {on: tr")?;
        next_error(&mut events).await;
        println!(
            "still {}: {}",
            goff.evaluate("new-checkout", &context, false).await.value,
            goff.status()
                .last_error
                .map(|error| error.to_string())
                .unwrap_or_default()
                .replace(&path.display().to_string(), "the file")
        );
    }
    goff.shutdown(Duration::from_secs(5)).await;

    // For a command-line tool: flags in the program, no client and no runtime.
    let flags = LocalFlags::from_flags(
        r#"{"colour": {"variations": {"a": "green"}, "defaultRule": {"variation": "a"}}}"#,
    )?;
    println!(
        "{}",
        flags.evaluate("colour", &context, String::new()).value
    );
    Ok(())
}

async fn next_change(events: &mut Subscription) -> Option<String> {
    loop {
        if let ClientEvent::ConfigurationChanged(ChangedFlags::Compared { updated, .. }) =
            events.next().await?
        {
            return Some(updated.into_iter().collect::<Vec<_>>().join(", "));
        }
    }
}

async fn next_error(events: &mut Subscription) {
    while let Some(event) = events.next().await {
        if matches!(event, ClientEvent::Error(_)) {
            return;
        }
    }
}
