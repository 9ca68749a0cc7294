//! A gateway that quotes what it was sent, anywhere in its answers: the API key is in no log line,
//! error, event, status or `Debug` text.
//!
//! A separate test binary: tracing caches for the whole process which lines are enabled.
#![cfg(all(feature = "http", feature = "in-process"))]
#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test fails by panicking"
)]

use std::error::Error;
use std::fmt::{Debug, Write};
use std::time::Duration;

use goff_client::{
    EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, RemoteProtocol,
};
use goff_testkit::{Answer, FaultyServer, RecordingLog};
use serde_json::{Value, json};

/// The first has the form of an error code, the second is quoted by JSON errors, the third is a
/// gateway's.
const SECRETS: [&str; 3] = ["TEAM_A_KEY_7", "k\"e\\y-of-team-b", "c2VjcmV0OnBhc3M"];

fn add(texts: &mut String, thing: &dyn Debug) {
    writeln!(texts, "{thing:?}\n{thing:#?}").unwrap();
}

/// Every answer shape of every endpoint, with the text in each string member.
fn answers(text: &str) -> Vec<Value> {
    let flag = |member: &str, value: Value| {
        let mut flag = json!({"value": "x", "reason": "STATIC", "variant": "A", "version": "1"});
        flag[member] = value;
        flag
    };
    let mut bodies = vec![
        json!(text),
        json!([text]),
        json!({"flags": text}),
        json!({"flags": {"f": text}}),
        json!({"flags": [text]}),
        json!({"evaluationContextEnrichment": text}),
        json!({"ingestedContentCount": text, "message": text}),
        json!({"errorCode": text, "errorDetails": text, "message": text}),
    ];
    let members = "key value reason variant variationType version errorCode errorDetails message \
                   trackEvents cacheable metadata";
    for member in members.split(' ') {
        for value in [json!(text), json!([text]), json!({"bad": text})] {
            let answer = flag(member, value);
            bodies.push(json!({"flags": {"f": answer}}));
            bodies.push(json!({"flags": [answer]}));
            let mut failed = answer.clone();
            if member != "errorCode" {
                failed["errorCode"] = json!("GENERAL");
            }
            bodies.push(answer);
            bodies.push(failed);
        }
    }
    bodies
}

async fn outputs(status: u16, body: &Value, secret: &str, texts: &mut String) {
    let headers = [("etag", "\"1\""), ("retry-after", "0")];
    let answer = Answer::with_headers(status, &headers, body.to_string());
    let server = FaultyServer::start([answer]).await.unwrap();
    for (protocol, kind) in [
        (RemoteProtocol::FeatureEval, EvaluationType::Remote),
        (RemoteProtocol::Ofrep, EvaluationType::Remote),
        (RemoteProtocol::Ofrep, EvaluationType::InProcess),
    ] {
        let options = GoFeatureFlagOptions::new(server.url())
            .remote_protocol(protocol)
            .evaluation_type(kind)
            .timeout(Duration::from_secs(20));
        let options = match secret == SECRETS[2] {
            true => options.custom_header("authorization", format!("Basic {secret}")),
            false => options.api_key(secret),
        };
        add(texts, &options);
        let goff = GoFeatureFlag::new(options).unwrap();
        let mut events = goff.subscribe();
        if let Err(error) = goff.initialize().await {
            add(texts, &error);
            write!(texts, "{error}").unwrap();
        }
        let context = EvaluationContext::builder().targeting_key("user").build();
        let details = goff.evaluate("f", &context, 7_i64).await;
        // A resolved flag's value, variant and metadata are the application's own data.
        if let Some(error) = details.error() {
            let mut cause: Option<&dyn Error> = Some(error);
            while let Some(error) = cause {
                writeln!(texts, "{error}").unwrap();
                add(texts, &error);
                cause = error.source();
            }
        }
        match goff.evaluate_all(&context).await {
            Ok(all) => {
                for error in all.values().filter_map(|details| details.error()) {
                    writeln!(texts, "{error}").unwrap();
                    add(texts, &error);
                }
            }
            Err(error) => {
                writeln!(texts, "{error}").unwrap();
                add(texts, &error);
            }
        }
        add(texts, &goff.flush(Duration::from_secs(5)).await);
        add(texts, &goff.status());
        add(texts, &goff.stats());
        add(texts, &goff);
        add(texts, &goff.shutdown(Duration::from_secs(5)).await);
        drop(goff);
        while let Some(event) = events.next().await {
            add(texts, &event);
        }
    }
}

#[tokio::test]
async fn quoted_secrets_are_in_no_output() {
    let log = RecordingLog::of("goff");
    let _logging = tracing::subscriber::set_default(log.clone());
    for secret in SECRETS {
        let mut texts = String::new();
        for (n, body) in answers(secret).iter().enumerate() {
            outputs(200, body, secret, &mut texts).await;
            // The first ones are those that failures are read from.
            for status in [400, 401].iter().filter(|_| n < 8) {
                outputs(*status, body, secret, &mut texts).await;
            }
        }
        for (level, line) in log.lines() {
            writeln!(texts, "{level} {line}").unwrap();
        }
        let quoted = format!("{secret:?}");
        for shown in [secret, quoted.trim_matches('"')] {
            let found = texts.lines().find(|line| line.contains(shown));
            assert_eq!(found, None, "{shown}");
        }
        let forged = texts.lines().find(|line| line.contains('\u{1b}'));
        assert_eq!(forged, None);
    }
}
