//! LaunchDarkly's server SDK, with test data and without events.

use launchdarkly_server_sdk::{
    AttributeValue, Client, ConfigBuilder, ContextBuilder, NullEventProcessorBuilder, TestData,
};
use peer_questions::measured_context::{USER, attributes};
use peer_questions::{Failure, Question, age_limits, ask, translated};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let data = TestData::new();
    for (_, flag) in translated(flag) {
        data.use_preconfigured_flag(serde_json::from_value(flag)?);
    }
    let config = ConfigBuilder::new("sdk-key")
        .data_source(&data)
        .event_processor(&NullEventProcessorBuilder::new())
        .build()?;
    let client = Client::build(config)?;
    client.start_with_default_executor();
    if client
        .wait_for_initialization(Duration::from_secs(10))
        .await
        != Some(true)
    {
        return Err("the client is not initialized".into());
    }
    let mut context = ContextBuilder::new(USER);
    for (name, value) in attributes() {
        context.set_value(name, AttributeValue::from(&value));
    }
    let context = context.build()?;
    ask("LaunchDarkly", async |asked| {
        Some(client.bool_variation(&context, &asked.key, !asked.answer))
    })
    .await
}

/// Variation 0 is on, and 1 is off.
fn flag(question: Question, key: &str) -> Value {
    let in_list =
        |name: &str, values: &[&str]| json!({"attribute": name, "op": "in", "values": values});
    let greater =
        |name: &str, limit: i32| json!({"attribute": name, "op": "greaterThan", "values": [limit]});
    let on = |clauses: Value| json!({"clauses": clauses, "variation": 0, "trackEvents": false});
    let split = json!({"variations": [
        {"variation": 0, "weight": 30_000}, {"variation": 1, "weight": 70_000},
    ]});
    let off = json!({"variation": 1});
    let french = || in_list("country", &["FR"]);
    let (rules, fallthrough) = match question {
        Question::Static => (vec![], off),
        Question::OneRule => (vec![on(json!([french()]))], off),
        Question::Split => (vec![], json!({"rollout": split})),
        Question::RuleAndSplit => (
            vec![json!({"clauses": [french()], "rollout": split, "trackEvents": false})],
            off,
        ),
        // Clauses of one rule must all hold, so each `or` is two rules.
        Question::TenRules => {
            let rules = age_limits().flat_map(|limit| {
                [
                    on(json!([
                        in_list("country", &["DE", "IT", "ES"]),
                        greater("age", limit)
                    ])),
                    on(json!([in_list("plan", &["none"])])),
                ]
            });
            (rules.collect(), off)
        }
        Question::ThreeConditions => {
            let clauses = json!([
                french(),
                greater("age", 18),
                in_list("plan", &["free", "pro"])
            ]);
            (vec![on(clauses)], off)
        }
    };
    json!({
        "key": key, "on": true, "variations": [true, false], "offVariation": 1, "salt": key,
        "targets": [], "prerequisites": [], "clientSide": false, "rules": rules, "fallthrough": fallthrough,
    })
}
