//! Unleash's client, with features that are set by hand instead of polled.

use peer_questions::measured_context::{USER, attributes};
use peer_questions::{Failure, Question, age_limits, ask, translated};
use serde_json::{Value, json};
use unleash_api_client::client::{ClientBuilder, FeatureKey};
use unleash_api_client::context::Context;
use unleash_types::client_features::ClientFeatures;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let client = ClientBuilder::default()
        .disable_metric_submission()
        .enable_string_features()
        .into_client::<Named>("http://127.0.0.1:1", "peers", "peers", None)?;
    let features = translated(
        |question, key| json!({"name": key, "enabled": question != Question::Static, "strategies": strategies(question, key)}),
    );
    let features: Vec<_> = features.into_iter().map(|(_, feature)| feature).collect();
    let features: ClientFeatures =
        serde_json::from_value(json!({"version": 2, "features": features}))?;
    client.memoize(features)?;
    // A context has texts alone.
    let properties = attributes().into_iter().map(|(name, value)| match value {
        Value::String(text) => (name.to_owned(), text),
        other => (name.to_owned(), other.to_string()),
    });
    let context = Context {
        user_id: Some(USER.to_owned()),
        properties: properties.collect(),
        ..Context::default()
    };
    ask("Unleash", async |asked| {
        Some(client.is_enabled_str(&asked.key, Some(&context), !asked.answer))
    })
    .await
}

/// Features are asked for by name.
#[derive(Clone, Copy, Debug)]
enum Named {}

impl FeatureKey for Named {
    fn name(self) -> &'static str {
        match self {}
    }
}

/// A feature is on where one of its strategies says so.
fn strategies(question: Question, key: &str) -> Vec<Value> {
    let in_list = |name: &str, values: &[&str]| json!({"contextName": name, "operator": "IN", "values": values});
    let greater = |name: &str, limit: i32| json!({"contextName": name, "operator": "NUM_GT", "value": limit.to_string()});
    let on = |constraints: Value| json!({"name": "default", "constraints": constraints});
    let split = |constraints: Value| {
        json!({
            "name": "flexibleRollout", "constraints": constraints,
            "parameters": {"rollout": "30", "stickiness": "default", "groupId": key},
        })
    };
    let french = || in_list("country", &["FR"]);
    match question {
        Question::Static => vec![on(json!([]))],
        Question::OneRule => vec![on(json!([french()]))],
        Question::Split => vec![split(json!([]))],
        Question::RuleAndSplit => vec![split(json!([french()]))],
        // Constraints of one strategy must all hold, so each `or` is two strategies.
        Question::TenRules => age_limits()
            .flat_map(|limit| {
                [
                    on(json!([
                        in_list("country", &["DE", "IT", "ES"]),
                        greater("age", limit)
                    ])),
                    on(json!([in_list("plan", &["none"])])),
                ]
            })
            .collect(),
        Question::ThreeConditions => vec![on(json!([
            french(),
            greater("age", 18),
            in_list("plan", &["free", "pro"]),
        ]))],
    }
}
