//! In-process evaluation: no request per evaluation, changes within milliseconds, and values during
//! an outage of the relay proxy.
//!
//! ```sh
//! cargo run --example in_process
//! ```
#![expect(clippy::print_stdout, reason = "an example prints what it shows")]

use std::time::{Duration, Instant};

use goff_provider::native::EvaluationContext;
use goff_provider::{
    ChangedFlags, ClientEvent, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, LocalFlags,
    State, Subscription,
};
use goff_testkit::EmbeddedRelay;
use serde_json::Value;

/// The new checkout is for a fifth of the users, and for the plan `pro`.
const FLAGS: &str = r#"
new-checkout:
  variations: {on: true, off: false}
  targeting:
    - name: paying
      query: plan eq "pro"
      variation: on
  defaultRule:
    percentage: {on: 20, off: 80}
"#;

/// It is for all users.
const RELEASED: &str = "
new-checkout:
  variations: {on: true, off: false}
  defaultRule: {variation: on}
";

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // Your relay proxy in production.
    let relay = EmbeddedRelay::builder().flags(FLAGS).start()?;

    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .evaluation_type(EvaluationType::InProcess)
        // Shorter than the defaults of 120 s and 60 s, for the example.
        .flag_change_polling_interval(Duration::from_millis(200))
        .reconnect_interval(Duration::from_millis(200));
    let goff = GoFeatureFlag::connect(options).await?;
    let mut events = goff.subscribe();

    let paying = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("plan", "pro")
        .build();
    let details = goff.evaluate("new-checkout", &paying, false).await;
    let rule = details.metadata().get("evaluatedRuleName");
    println!(
        "user-1: {} because {} (rule {})",
        details.value,
        details.reason(),
        rule.and_then(Value::as_str).unwrap_or("-")
    );

    // Synchronous code: any thread, no runtime, no waiting.
    let local = goff.local().ok_or("this client evaluates remotely")?;
    let (share, each) = tokio::task::spawn_blocking(move || share_of_users(&local)).await?;
    println!("{share} of 10,000 users see it; {each:?} for each evaluation");

    // The relay proxy announces a change, and the flags are fetched at once.
    let begun = Instant::now();
    relay.set_flags(RELEASED)?;
    let changed = next_change(&mut events).await.ok_or("the client is gone")?;
    println!("changed after {:?}: {changed}", begun.elapsed());
    let free = EvaluationContext::builder().targeting_key("user-2").build();
    let details = goff.evaluate("new-checkout", &free, false).await;
    println!("user-2: {} because {}", details.value, details.reason());

    // During an outage the last flags stay in use.
    relay.stop()?;
    wait_for(&mut events, ClientEvent::Stale).await;
    let details = goff.evaluate("new-checkout", &free, false).await;
    println!("during an outage: {}, {:?}", details.value, state(&goff));
    relay.start()?;
    wait_for(&mut events, ClientEvent::Ready).await;
    println!("afterwards: {:?}", state(&goff));

    let report = goff.shutdown(Duration::from_secs(5)).await;
    println!(
        "usage data: {} recorded, {} delivered, {} dropped, {} still buffered",
        report.recorded, report.delivered, report.dropped, report.pending
    );
    println!("the relay proxy has {} events", relay.events().len());
    Ok(())
}

fn state(goff: &GoFeatureFlag) -> State {
    goff.status().state
}

/// The users of 10,000 that see the new checkout, and the time of one evaluation.
fn share_of_users(flags: &LocalFlags) -> (usize, Duration) {
    let users: Vec<_> = (0..10_000)
        .map(|user| {
            EvaluationContext::builder()
                .targeting_key(format!("user-{user}"))
                .build()
        })
        .collect();
    let begun = Instant::now();
    let share = users
        .iter()
        .filter(|user| flags.evaluate("new-checkout", *user, false).value)
        .count();
    (share, begun.elapsed() / 10_000)
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

async fn wait_for(events: &mut Subscription, expected: ClientEvent) {
    while let Some(event) = events.next().await {
        if event == expected {
            return;
        }
    }
}
