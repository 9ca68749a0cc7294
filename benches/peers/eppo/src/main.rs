//! Eppo's client, which fetches its flags from a server in this process.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use eppo::{Attributes, ClientConfig};
use eppo_core::Str;
use peer_questions::measured_context::{USER, attributes};
use peer_questions::{Failure, Question, age_limits, ask, translated};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let base_url = serve(json!({
        "createdAt": "2024-07-18T00:00:00Z", "format": "SERVER", "environment": {"name": "peers"},
        "flags": translated(flag), "bandits": {},
    }))?;
    let mut client = ClientConfig::from_api_key("peers")
        .base_url(base_url)
        .to_client();
    let poller = client.start_poller_thread()?;
    // It blocks, which the runtime forbids on its thread.
    thread::spawn(move || {
        poller
            .wait_for_configuration_timeout(Duration::from_secs(10))
            .map(|()| poller)
    })
    .join()
    .map_err(|_| "waiting for the configuration panicked")??;
    let subject = Str::from(USER);
    let attributes = attributes().into_iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(value) => value.into(),
            Value::String(text) => text.into(),
            Value::Number(number) => number.as_f64().unwrap_or_default().into(),
            other => other.to_string().into(),
        };
        (Str::from(name), value)
    });
    let attributes: Arc<Attributes> = Arc::new(attributes.collect());
    ask("Eppo", async |asked| {
        client
            .get_boolean_assignment(&asked.key, &subject, &attributes)
            .ok()
            .flatten()
    })
    .await
}

/// Answers every request with the document.
fn serve(document: Value) -> Result<String, Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let base_url = format!("http://{}", listener.local_addr()?);
    let body = document.to_string();
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            // The end of the request's header.
            let lines = BufReader::new(&stream).lines();
            lines.map_while(Result::ok).find(String::is_empty);
            // A client that goes away polls again.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok(base_url)
}

/// The first allocation with a rule that holds, or without rules, counts.
fn flag(question: Question, key: &str) -> Value {
    let in_list = |name: &str, values: &[&str]| json!({"attribute": name, "operator": "ONE_OF", "value": values});
    let greater =
        |name: &str, limit: i32| json!({"attribute": name, "operator": "GT", "value": limit});
    let rule = |conditions: Value| json!({"conditions": conditions});
    let share = |variation: &str, start: u32, end: u32| json!({"variationKey": variation, "shards": [{"salt": key, "ranges": [{"start": start, "end": end}]}]});
    let split = || json!([share("on", 0, 3_000), share("off", 3_000, 10_000)]);
    let all = |variation: &str| json!([{"variationKey": variation, "shards": []}]);
    let french = || rule(json!([in_list("country", &["FR"])]));
    let on_where = |rules: Value| vec![(rules, all("on")), (json!([]), all("off"))];
    let allocations = match question {
        Question::Static => vec![(json!([]), all("off"))],
        Question::OneRule => on_where(json!([french()])),
        Question::Split => vec![(json!([]), split())],
        Question::RuleAndSplit => vec![(json!([french()]), split()), (json!([]), all("off"))],
        // Conditions of one rule must all hold, so each `or` is two rules.
        Question::TenRules => {
            let rules = age_limits().map(|limit| {
                let older = rule(json!([
                    in_list("country", &["DE", "IT", "ES"]),
                    greater("age", limit)
                ]));
                (
                    json!([older, rule(json!([in_list("plan", &["none"])]))]),
                    all("on"),
                )
            });
            rules.chain([(json!([]), all("off"))]).collect()
        }
        Question::ThreeConditions => on_where(json!([rule(json!([
            in_list("country", &["FR"]),
            greater("age", 18),
            in_list("plan", &["free", "pro"]),
        ]))])),
    };
    let allocations = allocations.into_iter().enumerate().map(|(index, (rules, splits))| {
        json!({"key": format!("allocation-{index}"), "rules": rules, "splits": splits, "doLog": false})
    });
    json!({
        "key": key, "enabled": true, "variationType": "BOOLEAN", "totalShards": 10_000,
        "variations": {"on": {"key": "on", "value": true}, "off": {"key": "off", "value": false}},
        "allocations": allocations.collect::<Vec<_>>(),
    })
}
