//! Counts the events of a user that the relay proxy and the client recorded.

use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlag};
use goff_tests_integration::{CollectedKind, RelayProxy, request};
use serde_json::{Value, json};

use crate::surfaces::User;

/// Variation and `default` of each event, in order.
pub(crate) type Recorded<'a> = &'a [(&'a str, bool)];

/// Flushes the client, and compares the events of both sides with the expected ones. Returns those of the client.
pub(crate) async fn check(
    place: &str,
    goff: &GoFeatureFlag,
    exporter: &RelayProxy,
    user: &User,
    server: Recorded<'_>,
    client: Recorded<'_>,
) -> Vec<Value> {
    let report = goff.flush(Duration::from_secs(10)).await;
    assert_eq!(report.pending, 0, "{place}: {report:?}");
    // The exporter writes in order, so this event is the last.
    let last = format!("{} is done", user.key());
    let event = json!({"events": [{"kind": "feature", "key": "done", "userKey": last}]});
    let answer = request(exporter.address(), "/v1/data/collector", &[], Some(&event))
        .await
        .unwrap();
    assert_eq!(answer.status, 200, "{place}");
    let events = exporter.recorded_events(CollectedKind::Feature);
    assert_eq!(events.of_user(&last, 1).await.len(), 1, "{place}");
    let mut events = events.read();
    events.retain(|event| event["userKey"] == user.key());
    let own = match goff.evaluation_type() {
        EvaluationType::Remote => "PROVIDER_CACHE",
        EvaluationType::InProcess => "INPROCESS",
    };
    let recorded = |source: &str| -> Vec<(&str, bool)> {
        events
            .iter()
            .filter(|event| event["source"] == source)
            .map(|event| {
                let variation = event["variation"].as_str().unwrap();
                (variation, event["default"].as_bool().unwrap())
            })
            .collect()
    };
    assert_eq!(recorded("SERVER"), server, "server, {place}: {events:?}");
    assert_eq!(recorded(own), client, "client, {place}: {events:?}");
    assert_eq!(
        events.len(),
        server.len() + client.len(),
        "no other source, {place}: {events:?}"
    );
    events.retain(|event| event["source"] == own);
    events
}
