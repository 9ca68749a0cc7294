//! flagd's provider, from a file, and as an OFREP client of the relay proxy.

use std::sync::Arc;

use open_feature::{Client, OpenFeature};
use open_feature_flagd::{FlagdOptions, FlagdProvider, ResolverType};
use peer_questions::{
    Failure, Question, age_limits, ask, load, open_feature_context, relay, remote_key, translated,
};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let file = tempfile::Builder::new().suffix(".json").tempfile()?;
    let flags = translated(|question, _| {
        json!({
            "state": "ENABLED", "variants": {"on": true, "off": false}, "defaultVariant": "off",
            "targeting": targeting(question),
        })
    });
    std::fs::write(&file, json!({"flags": flags}).to_string())?;
    let from_file = client(FlagdOptions {
        resolver_type: ResolverType::File,
        source_configuration: Some(file.path().to_string_lossy().into_owned()),
        cache_settings: None,
        ..FlagdOptions::default()
    });
    let from_file = from_file.await?;
    let context = open_feature_context();
    ask("open-feature-flagd from a file", async |asked| {
        from_file
            .get_bool_value(&asked.key, Some(&context), None)
            .await
            .ok()
    })
    .await?;

    let relay = relay()?;
    let (host, port) = relay
        .strip_prefix("http://")
        .and_then(|authority| authority.rsplit_once(':'))
        .ok_or("the endpoint has no port")?;
    let rest = client(FlagdOptions {
        resolver_type: ResolverType::Rest,
        host: host.to_owned(),
        port: port.parse()?,
        cache_settings: None,
        ..FlagdOptions::default()
    });
    let rest = Arc::new((rest.await?, context, remote_key()));
    load("open-feature-flagd, REST", move || {
        let rest = Arc::clone(&rest);
        async move {
            let (client, context, key) = &*rest;
            let value = client.get_bool_value(key, Some(context), None).await;
            value.map_err(|error| format!("{error:?}").into())
        }
    })
    .await
}

async fn client(options: FlagdOptions) -> Result<Client, Failure> {
    let provider = FlagdProvider::new(options)
        .await
        .map_err(|error| error.to_string())?;
    let mut api = OpenFeature::default();
    api.set_provider(provider).await;
    Ok(api.create_client())
}

/// In flagd's JSONLogic; null is the default variant.
fn targeting(question: Question) -> Value {
    let french = json!({"==": [{"var": "country"}, "FR"]});
    let split = json!({"fractional": [["on", 30], ["off", 70]]});
    match question {
        Question::Static => json!({}),
        Question::OneRule => json!({"if": [french, "on", null]}),
        Question::Split => split,
        Question::RuleAndSplit => json!({"if": [french, split, null]}),
        Question::TenRules => {
            let branches = age_limits().flat_map(|limit| {
                let older = json!({"and": [
                    {"in": [{"var": "country"}, ["DE", "IT", "ES"]]},
                    {">": [{"var": "age"}, limit]},
                ]});
                [
                    json!({"or": [older, {"==": [{"var": "plan"}, "none"]}]}),
                    "on".into(),
                ]
            });
            let branches: Vec<Value> = branches.chain([Value::Null]).collect();
            json!({"if": branches})
        }
        Question::ThreeConditions => json!({"if": [
            {"and": [
                french,
                {">": [{"var": "age"}, 18]},
                {"in": [{"var": "plan"}, ["free", "pro"]]},
            ]},
            "on",
            null,
        ]}),
    }
}
