//! Counts the events of a user that the relay proxy and the client recorded.

use std::time::Duration;

use goff_provider::{EvaluationType, GoFeatureFlag};
use goff_tests_integration::{CollectedKind, RelayProxy, request};
use serde_json::{Value, json};

use crate::surfaces::{Surface, Typed, User};

/// Variation and `default` of each event, in order.
pub(crate) type Recorded<'a> = &'a [(&'a str, bool)];

/// Evaluates a flag twice on each surface, and compares the recorded events with the expected ones.
pub(crate) async fn check_twice(
    surfaces: &[Surface],
    exporter: &RelayProxy,
    (flag, default): (&str, Typed),
    server: Recorded<'_>,
    client: Recorded<'_>,
) {
    for surface in surfaces {
        let user = surface.user(&format!("counted {flag} {default:?}"));
        for _ in 0..2 {
            surface.evaluate(flag, default.clone(), &user).await;
        }
        let place = format!("{flag}, {surface}");
        for event in check(&place, &surface.goff, exporter, &user, server, client).await {
            assert_eq!(event["key"], flag, "{place}");
            if event["value"] != "a" {
                let expected = surface.recorded_default(&default);
                assert_eq!(event["value"], expected, "{place}");
            }
        }
    }
}

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
    let answer = request(exporter.address(), "/v1/data/collector", &[], Some(&event)).await;
    assert_eq!(answer.unwrap().status, 200, "{place}");
    let events = exporter.recorded_events(CollectedKind::Feature);
    assert_eq!(events.of_user(&last, 1).await.len(), 1, "{place}");
    let mut events = events.read();
    events.retain(|event| event["userKey"] == user.key());
    let own = match goff.evaluation_type() {
        EvaluationType::Remote => "PROVIDER_CACHE",
        EvaluationType::InProcess => "INPROCESS",
    };
    let recorded = |source: &str| -> Vec<(&str, bool)> {
        let of_source = events.iter().filter(|event| event["source"] == source);
        let shown =
            of_source.map(|event| (event["variation"].as_str(), event["default"].as_bool()));
        shown
            .map(|(variation, default)| (variation.unwrap(), default.unwrap()))
            .collect()
    };
    assert_eq!(recorded("SERVER"), server, "server, {place}: {events:?}");
    assert_eq!(recorded(own), client, "client, {place}: {events:?}");
    let expected = server.len() + client.len();
    assert_eq!(events.len(), expected, "other sources, {place}: {events:?}");
    events.retain(|event| event["source"] == own);
    events
}
