//! GrowthBook's client, with features that are set by hand instead of fetched.

use growthbook_rust::client::{GrowthBookClientBuilder, GrowthBookClientTrait};
use growthbook_rust::model_public::GrowthBookAttribute;
use peer_questions::measured_context::{USER, attributes};
use peer_questions::{Failure, Question, age_limits, ask, translated};
use serde_json::{Map, Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let features =
        translated(|question, _| json!({"defaultValue": false, "rules": rules(question)}));
    let client = GrowthBookClientBuilder::new()
        .auto_refresh(false)
        .features_json(features.into())?
        .build()
        .await
        .map_err(|error| format!("{error:?}"))?;
    let attributes = attributes().into_iter();
    let mut user: Map<String, Value> = attributes
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    user.insert("id".to_owned(), USER.into());
    let user = GrowthBookAttribute::from(user.into()).map_err(|error| format!("{error:?}"))?;
    ask("GrowthBook", async |asked| {
        Some(client.is_on(&asked.key, Some(user.clone())))
    })
    .await
}

fn rules(question: Question) -> Value {
    let french = json!({"country": "FR"});
    match question {
        Question::Static => json!([]),
        Question::OneRule => json!([{"condition": french, "force": true}]),
        Question::Split => json!([{"force": true, "coverage": 0.3, "hashAttribute": "id"}]),
        Question::RuleAndSplit => {
            json!([{"condition": french, "force": true, "coverage": 0.3, "hashAttribute": "id"}])
        }
        Question::TenRules => age_limits()
            .map(|limit| {
                let older = json!({"country": {"$in": ["DE", "IT", "ES"]}, "age": {"$gt": limit}});
                json!({"condition": {"$or": [older, {"plan": "none"}]}, "force": true})
            })
            .collect(),
        Question::ThreeConditions => json!([{
            "condition": {"country": "FR", "age": {"$gt": 18}, "plan": {"$in": ["free", "pro"]}},
            "force": true,
        }]),
    }
}
