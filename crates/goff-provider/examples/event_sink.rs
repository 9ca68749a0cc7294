//! Usage data as JSON lines in a file of the application's own, without a relay proxy.
//!
//! ```sh
//! cargo run --example event_sink --features file [-- events.jsonl]
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{Event, EventSink, GoFeatureFlag, GoFeatureFlagOptions};

/// One line an event, in the form of the relay proxy's data collector.
#[derive(Debug)]
struct JsonLines(Mutex<BufWriter<File>>);

impl JsonLines {
    fn append_to(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Mutex::new(BufWriter::new(file))))
    }

    fn write(&self, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) {
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = write(&mut file) {
            // A program with a log would write it there, once.
            println!("event not written: {error}");
        }
    }
}

/// It may wait for the disk: it is called on a separate thread, and the client's queue is bounded.
impl EventSink for JsonLines {
    fn record(&self, event: Event) {
        self.write(|file| {
            serde_json::to_writer(&mut *file, &event)?;
            file.write_all(b"\n")
        });
    }

    fn flush(&self) {
        self.write(BufWriter::flush);
    }
}

const FLAGS: &str = "
new-checkout:
  variations: {on: true, off: false}
  targeting:
    - query: plan eq \"pro\"
      variation: on
  defaultRule: {variation: off}
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = std::env::args()
        .nth(1)
        .map_or_else(|| directory.path().join("events.jsonl"), PathBuf::from);
    write_events(directory.path(), &path).await?;
    print!("{}", fs::read_to_string(path)?);
    Ok(())
}

async fn write_events(directory: &Path, path: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let flags = directory.join("flags.yaml");
    fs::write(&flags, FLAGS)?;
    let sink = Arc::new(JsonLines::append_to(path)?);
    let goff =
        GoFeatureFlag::connect(GoFeatureFlagOptions::from_file(&flags).event_sink(sink)).await?;
    for plan in ["free", "pro"] {
        let context = EvaluationContext::builder()
            .targeting_key(format!("user-{plan}"))
            .attribute("plan", plan)
            .build();
        if goff.evaluate("new-checkout", &context, false).await.value {
            goff.track("new-checkout-opened", &context, Default::default())?;
        }
    }
    let report = goff.shutdown(Duration::from_secs(5)).await;
    if report.delivered < report.recorded {
        println!(
            "of {} events {} were written",
            report.recorded, report.delivered
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[tokio::test]
    async fn each_event_is_a_line() -> Result<(), Box<dyn std::error::Error>> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("events.jsonl");
        for runs in 1..=2 {
            write_events(directory.path(), &path).await?;
            let text = fs::read_to_string(&path)?;
            let lines = text.lines().map(serde_json::from_str);
            let events: Vec<Value> = lines.collect::<Result<_, _>>()?;
            let seen = events.iter().map(|event| {
                let member = |name| event.get(name).and_then(Value::as_str);
                (member("userKey"), member("key"))
            });
            let once = [
                (Some("user-free"), Some("new-checkout")),
                (Some("user-pro"), Some("new-checkout")),
                (Some("user-pro"), Some("new-checkout-opened")),
            ];
            assert_eq!(seen.collect::<Vec<_>>(), once.repeat(runs));
        }
        Ok(())
    }
}
