//! Flag files in unusual spellings: what a real relay proxy makes of them, the embedded one, a client with the file, and
//! `goff evaluate`.

mod spellings;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use goff_engine::{FlagFile, FlagFileFormat, LintCode, LintSeverity, Timestamp, lint};
use goff_provider::native::EvaluationContext;
use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions};
use goff_testkit::{EmbeddedRelay, FlagSetOptions};
use goff_tests_integration::{Address, RelayProxy, flag_set_key, request};
use serde_json::{Map, Value, json};

/// The flag `f` for one user.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    value: Value,
    reason: String,
    variant: String,
    /// That of the flag alone.
    metadata: Map<String, Value>,
    error: Option<String>,
}

/// Users who get different variations of a split.
const USERS: [&str; 4] = ["u", "user-1", "user-2", "user-5"];

/// A flag that cannot be read or is invalid is not found in any of them. Where the real one fails to write its answer,
/// with status 500, an error is expected, whatever its code.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flag_files_are_read_as_by_a_real_relay_proxy() {
    let files = spellings::files();
    assert!(files.len() >= 300, "{}", files.len());
    let contents: Vec<(&str, Vec<u8>)> = files
        .iter()
        .map(|file| (file.extension, file.content.clone()))
        .collect();
    let real = RelayProxy::start_with_flag_files(&contents).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let goff = built_command();
    let mut differences = 0;
    for (number, file) in files.iter().enumerate() {
        let path = directory
            .path()
            .join(format!("{number}.{}", file.extension));
        std::fs::write(&path, &file.content).unwrap();
        let expected = over_http(real.address(), &flag_set_key(number)).await;
        let set = FlagSetOptions::new("set").api_key("key").flag_file(&path);
        let embedded = match EmbeddedRelay::builder().flag_set(set).start() {
            Ok(relay) => over_http(&Address::Tcp(relay.socket_address().unwrap()), "key").await,
            Err(_) => not_found(),
        };
        let client = in_process(&path).await;
        if let Some(is_refused) = lint_refuses(&path, &file.content)
            && is_refused != (expected == not_found() || is_never_answered(&expected))
        {
            differences += 1;
            let text = String::from_utf8_lossy(&file.content);
            println!(
                "--- {} ---\n{text}\nreal {expected:?}\nlint says error: {is_refused}",
                file.extension
            );
        }
        let command = evaluated_by(&goff, &path);
        let all = [
            ("embedded", embedded),
            ("file mode", client),
            ("goff evaluate", command),
        ];
        for (name, seen) in all {
            if !agree(&expected, &seen, name) {
                differences += 1;
                let text = String::from_utf8_lossy(&file.content);
                println!(
                    "--- {} ---\n{text}\n     real {expected:?}\n{name} {seen:?}",
                    file.extension
                );
            }
        }
    }
    assert_eq!(differences, 0, "the differences are printed above");
}

/// Whether the relay proxy has a flag that it cannot write as JSON.
fn is_never_answered(seen: &[Seen]) -> bool {
    seen.iter().all(|seen| seen.error.as_deref() == Some("500"))
}

/// Whether the linter says that the flag `f` is not served; nothing if the file has no such flag.
fn lint_refuses(path: &Path, content: &[u8]) -> Option<bool> {
    let format = FlagFileFormat::of_path(path).unwrap();
    let file = FlagFile::parse(content, format);
    if file.is_ok_and(|file| file.flags.get("f").is_none()) {
        return None;
    }
    let found = lint(content, format, Timestamp::from_unix_seconds(1_900_000_000));
    let mut errors = found
        .iter()
        .filter(|found| found.severity == LintSeverity::Error);
    Some(errors.any(|error| {
        let is_files = matches!(
            error.code,
            LintCode::MalformedFile | LintCode::UndecodableFlag
        );
        is_files || error.flag.as_deref() == Some("f")
    }))
}

fn agree(real: &[Seen], seen: &[Seen], name: &str) -> bool {
    real.iter()
        .zip(seen)
        .all(|(real, seen)| match real.error.as_deref() {
            Some("500") => seen.error.is_some(),
            Some(_) => real.error == seen.error,
            // Without a caller's default, the relay proxy has no value for a disabled flag.
            None if real.reason == "DISABLED" && name == "file mode" => seen.reason == "DISABLED",
            None => real == seen,
        })
}

fn not_found() -> Vec<Seen> {
    let error = Some("FLAG_NOT_FOUND".to_owned());
    let seen = Seen {
        error,
        ..Seen::default()
    };
    vec![seen; USERS.len()]
}

async fn over_http(address: &Address, key: &str) -> Vec<Seen> {
    let mut all = Vec::new();
    for user in USERS {
        let headers = [("Authorization", format!("Bearer {key}"))];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        let body = json!({"context": {"targetingKey": user, "x": 1}});
        let answer = request(address, "/ofrep/v1/evaluate/flags/f", &headers, Some(&body));
        let answer = answer.await.unwrap();
        let body = answer.json();
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        all.push(match answer.status.as_u16() {
            200 => Seen {
                value: plain(&body["value"]),
                reason: text("reason"),
                variant: text("variant"),
                metadata: without_marks(body["metadata"].as_object()),
                error: None,
            },
            500 => Seen {
                error: Some("500".to_owned()),
                ..Seen::default()
            },
            _ => Seen {
                error: Some(text("errorCode")),
                ..Seen::default()
            },
        });
    }
    all
}

async fn in_process(path: &Path) -> Vec<Seen> {
    let options = GoFeatureFlagOptions::from_file(path);
    let Ok(client) = GoFeatureFlag::connect(options).await else {
        return not_found();
    };
    let mut all = Vec::new();
    for user in USERS {
        let context = EvaluationContext::builder()
            .targeting_key(user)
            .attribute("x", 1_i64)
            .build();
        let details = client.evaluate("f", &context, Value::Null).await;
        let code = details
            .error()
            .map(|error| error.code().as_str().to_owned());
        all.push(match code.as_deref() {
            // A client without any flag of its file is not ready.
            Some("PROVIDER_NOT_READY") => return not_found(),
            Some(code) => Seen {
                error: Some(code.to_owned()),
                ..Seen::default()
            },
            None => Seen {
                value: plain(&details.value),
                reason: details.reason().as_str().to_owned(),
                variant: details.variant().unwrap_or_default().to_owned(),
                metadata: without_marks(Some(details.metadata())),
                error: None,
            },
        });
    }
    let _ = client.shutdown(Duration::from_secs(1)).await;
    all
}

/// The command `goff`, which this test is not built with.
fn built_command() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.ancestors().nth(2).unwrap();
    let mut build = Command::new(env!("CARGO"));
    build.args([
        "build",
        "--package",
        "goff-cli",
        "--bin",
        "goff",
        "--target-dir",
    ]);
    build.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        build.arg("--release");
    }
    assert!(build.status().unwrap().success());
    profile.join(format!("goff{}", std::env::consts::EXE_SUFFIX))
}

fn evaluated_by(goff: &Path, path: &Path) -> Vec<Seen> {
    let evaluate = |user: &&str| {
        let mut command = Command::new(goff);
        command.args(["evaluate", "f", "--json", "-c", "x=1", "-u", user, "-f"]);
        let output = command.arg(path).output().unwrap();
        if output.status.code() == Some(2) {
            return not_found().swap_remove(0);
        }
        let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
        match answer["errorCode"].as_str() {
            Some(code) => Seen {
                error: Some(code.to_owned()),
                ..Seen::default()
            },
            None => Seen {
                value: plain(&answer["value"]),
                reason: text("reason"),
                variant: text("variant"),
                metadata: without_marks(answer["metadata"].as_object()),
                error: None,
            },
        }
    };
    USERS.iter().map(evaluate).collect()
}

/// The value with each whole double as an integer.
fn plain(value: &Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(double) if number.is_f64() && double.fract() == 0.0 && double.abs() < 1e15 => {
                json!(double as i64)
            }
            _ => value.clone(),
        },
        Value::Array(elements) => elements.iter().map(plain).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), plain(value)))
            .collect(),
        _ => value.clone(),
    }
}

/// The metadata without that of evaluations.
fn without_marks(metadata: Option<&Map<String, Value>>) -> Map<String, Value> {
    let members = metadata.into_iter().flatten();
    members
        .filter(|(name, _)| !name.starts_with("gofeatureflag") && *name != "evaluatedRuleName")
        .map(|(name, value)| (name.clone(), plain(value)))
        .collect()
}
