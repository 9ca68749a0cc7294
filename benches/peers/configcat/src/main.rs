//! ConfigCat, with overrides from a file and nothing else.

use configcat::{Client, FileDataSource, OverrideBehavior, User};
use peer_questions::measured_context::{USER, attributes};
use peer_questions::{Failure, Question, age_limits, ask, translated};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let file = tempfile::Builder::new().suffix(".json").tempfile()?;
    std::fs::write(
        &file,
        json!({"f": translated(|question, _| setting(question))}).to_string(),
    )?;
    let source = FileDataSource::new(&file.path().to_string_lossy())?;
    let client = Client::builder("local")
        .overrides(Box::new(source), OverrideBehavior::LocalOnly)
        .build()
        .map_err(|error| error.to_string())?;
    let user = attributes()
        .into_iter()
        .fold(User::new(USER), |user, (name, value)| match value {
            Value::String(text) if name == "country" => user.country(&text),
            Value::String(text) if name == "email" => user.email(&text),
            Value::String(text) => user.custom(name, text.as_str()),
            Value::Number(number) => user.custom(name, number.as_f64().unwrap_or_default()),
            other => user.custom(name, other.to_string().as_str()),
        });
    ask("ConfigCat", async |asked| {
        Some(
            client
                .get_value(&asked.key, !asked.answer, Some(user.clone()))
                .await,
        )
    })
    .await
}

fn setting(question: Question) -> Value {
    let condition = |condition: Value| json!({"u": condition});
    let in_list = |name: &str, values: &[&str]| condition(json!({"a": name, "c": 0, "l": values}));
    let greater =
        |name: &str, limit: i32| condition(json!({"a": name, "c": 14, "d": f64::from(limit)}));
    let on = |conditions: Value| json!({"c": conditions, "s": {"v": {"b": true}}});
    let split = json!([{"p": 30, "v": {"b": true}}, {"p": 70, "v": {"b": false}}]);
    let french = || in_list("Country", &["FR"]);
    let (rules, percentages) = match question {
        Question::Static => (vec![], json!([])),
        Question::OneRule => (vec![on(json!([french()]))], json!([])),
        Question::Split => (vec![], split),
        Question::RuleAndSplit => (vec![json!({"c": [french()], "p": split})], json!([])),
        // Conditions of one rule must all hold, so each `or` is two rules.
        Question::TenRules => {
            let rules = age_limits().flat_map(|limit| {
                [
                    on(json!([
                        in_list("Country", &["DE", "IT", "ES"]),
                        greater("age", limit)
                    ])),
                    on(json!([in_list("plan", &["none"])])),
                ]
            });
            (rules.collect(), json!([]))
        }
        Question::ThreeConditions => {
            let conditions = json!([
                french(),
                greater("age", 18),
                in_list("plan", &["free", "pro"])
            ]);
            (vec![on(conditions)], json!([]))
        }
    };
    let mut setting = json!({"t": 0, "v": {"b": false}});
    if !rules.is_empty() {
        setting["r"] = rules.into();
    }
    if percentages != json!([]) {
        setting["p"] = percentages;
    }
    setting
}
