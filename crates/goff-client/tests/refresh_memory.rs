//! Memory after many refreshes is that after a few: a replaced configuration is freed completely.
//! `GOFF_REFRESHES` sets their number (`cargo xtask soak refreshes`).
#![cfg(feature = "in-process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::System;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use goff_client::{
    ContextView, EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions,
    Invalidation, RelayClient, RelayError, Resolution,
};
use goff_core::{ConfigurationUpdate, Etag, EventBatch, FlagConfiguration};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::sync::watch;

/// Counts for the whole process, so this test has its process alone.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const FLAGS: usize = 1_000;

/// Serves one configuration at a time and counts the requests. Unlike `ScriptedRelay` it stores no
/// requests.
#[derive(Debug)]
struct ForgetfulRelay {
    configuration: Mutex<FlagConfiguration>,
    requests: watch::Sender<usize>,
}

impl ForgetfulRelay {
    fn new() -> Self {
        Self {
            configuration: Mutex::new(configuration(0)),
            requests: watch::Sender::new(0),
        }
    }

    fn serve(&self, round: usize) {
        let next = configuration(round);
        *self.configuration.lock().unwrap() = next;
    }

    async fn requested_again(&self, since: usize) -> usize {
        let mut requests = self.requests.subscribe();
        *requests
            .wait_for(|requests| *requests > since)
            .await
            .unwrap()
    }

    fn requests(&self) -> usize {
        *self.requests.borrow()
    }
}

#[async_trait]
impl RelayClient for ForgetfulRelay {
    async fn evaluate(&self, _: &str, _: &dyn ContextView) -> Result<Resolution, RelayError> {
        Ok(Resolution::default())
    }

    async fn flag_configuration(
        &self,
        _: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        self.requests.send_modify(|requests| *requests += 1);
        let current = self.configuration.lock().unwrap();
        Ok(if held.is_some() && held == current.etag.as_ref() {
            ConfigurationUpdate::NotModified
        } else {
            ConfigurationUpdate::Loaded(current.clone())
        })
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        Ok(())
    }
}

/// The same size in each round; a tenth of the flags differ from the round before.
fn configuration(round: usize) -> FlagConfiguration {
    let mut text = String::from("{");
    for flag in 0..FLAGS {
        let separator = if flag == 0 { "" } else { "," };
        // The last round that changed this flag.
        let changed = round - (round + flag) % 10_usize.min(round + 1);
        write!(
            text,
            r#"{separator}"flag-{flag:04}":{{"variations":{{"on":"value-{changed:08}","off":"off"}},
            "targeting":[{{"query":"plan eq \"pro\" and age lt {}","variation":"on"}}],
            "defaultRule":{{"percentage":{{"on":50,"off":50}}}},
            "metadata":{{"description":"as of round {changed:08}"}}}}"#,
            1_000_000 + changed
        )
        .unwrap();
    }
    text.push('}');
    FlagConfiguration::new(text).with_etag(Etag::from_bytes(format!("\"{round:08}\"").as_bytes()))
}

/// The paused clock passes the pauses between announced refreshes.
#[tokio::test(start_paused = true)]
async fn memory_after_many_refreshes_is_that_after_a_few() {
    let refreshes = std::env::var("GOFF_REFRESHES").map_or(300, |text| text.parse().unwrap());
    assert!(refreshes > 10, "there is nothing to compare");
    let relay = Arc::new(ForgetfulRelay::new());
    let options = GoFeatureFlagOptions::with_relay_client(Arc::clone(&relay) as _)
        .evaluation_type(EvaluationType::InProcess)
        // Buffered events would count as memory.
        .disable_data_collection(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let sink = goff.invalidation_sink();
    let local = goff.local().unwrap();
    let context = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("plan", "pro")
        .attribute("age", 30)
        .build();
    let keys: Vec<_> = (0..FLAGS).map(|flag| format!("flag-{flag:04}")).collect();
    let mut after_a_few = None;
    for round in 1..=refreshes {
        relay.serve(round);
        // The first fetch loads. The second gets "not modified"; it begins only after the first has
        // ended and the replaced configuration is freed.
        for _ in 0..2 {
            let requests = relay.requests();
            sink.invalidate(Invalidation::All);
            relay.requested_again(requests).await;
        }
        assert_eq!(goff.stats().refreshes, 1 + round as u64);
        for key in &keys {
            let value = local.evaluate(key, &context, String::new()).value;
            assert!(value.starts_with("value-"), "{key}: {value}");
        }
        if round == 10 {
            after_a_few = Some(live_bytes());
        }
    }
    let (few, many) = (after_a_few.unwrap(), live_bytes());
    println!("after 10 refreshes {few} bytes, after {refreshes} {many}");
    let difference = few.abs_diff(many);
    assert!(
        difference * 20 <= few,
        "{few} bytes after 10 refreshes, {many} after {refreshes}"
    );
    goff.shutdown(std::time::Duration::from_secs(5)).await;
}

fn live_bytes() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}
