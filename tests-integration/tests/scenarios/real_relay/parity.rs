//! The embedded relay proxy beside a real one: both get the same requests, and their answers are compared field by field.
//! Where they differ, the embedded one is wrong. Not compared are the words of libraries, hashes and times.

mod bodies;
mod flag_files;
mod request;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use goff_tests_integration::{
    Answer, CollectedKind, Instance, RelayProxy, RelaySource, own_relay, raw_request,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use request::Request;

/// A real and an embedded relay proxy with the same configuration. Not shared, because earlier requests can change the
/// answers.
fn both(instance: Instance) -> [RelayProxy; 2] {
    let embedded = RelayProxy::start(instance, &RelaySource::Embedded).unwrap();
    [own_relay(instance), embedded]
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn open_relay_proxies_answer_the_same() {
    let relays = both(Instance::Open);
    check(&relays, requests::of_an_open_relay_proxy()).await;
    compare_events(&relays, CollectedKind::Feature).await;
    compare_events(&relays, CollectedKind::Tracking).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn keys_are_checked_the_same() {
    check(&both(Instance::Authenticated), requests::with_keys()).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flag_sets_are_chosen_the_same() {
    check(&both(Instance::FlagSets), requests::of_flag_sets()).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn debug_bodies_are_the_same() {
    check(&both(Instance::Debug), requests::at_log_level_debug()).await;
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flag_files_of_all_forms_are_read_the_same() {
    let relays = both(Instance::Open);
    let mut differences = 0;
    for file in flag_files::FLAG_FILES {
        for relay in &relays {
            // The embedded one returns the error that the real one logs.
            let _ = relay.set_flags(file);
        }
        let found = compare(&relays, requests::after_a_new_file()).await;
        if found > 0 {
            println!("--- with the flags\n{file}\n---");
        }
        differences += found;
    }
    assert_eq!(differences, 0, "the differences are printed above");
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn changes_are_announced_the_same_and_pings_come_every_second() {
    let relays = both(Instance::Open);
    let edits = [
        ("\nstatic_key:\n", "\nstatic_key_renamed:\n"),
        ("\nstring_key:\n", "\nstring_key:\n  disable: true\n"),
        // A change of a member that is not served.
        ("\ninteger_key:\n", "\ninteger_key:\n  owner: us\n"),
        ("\ndouble_key:\n", "\ndouble_key:\n  version: '2'\n"),
    ];
    let mut announced = Vec::new();
    for relay in &relays {
        let mut messages = Vec::new();
        for path in ["/stream/v1/ws/flag/change", "/ws/v1/flag/change"] {
            let mut stream = stream(relay, path).await;
            let first = timeout(Duration::from_millis(2_500), stream.next()).await;
            let pinged = Instant::now();
            let ping = Message::Ping(Vec::new().into());
            assert_eq!(first.unwrap().unwrap().unwrap(), ping);
            assert_eq!(stream.next().await.unwrap().unwrap(), ping);
            let pause = pinged.elapsed().as_millis();
            assert!((500..1_500).contains(&pause), "{pause} ms");
        }
        let mut old = stream(relay, "/ws/v1/flag/change").await;
        let mut new = stream(relay, "/stream/v1/ws/flag/change").await;
        for (index, (from, to)) in edits.into_iter().enumerate() {
            relay.edit_flags(from, to).unwrap();
            if index == 2 {
                continue;
            }
            let text = text(&mut new).await;
            assert_eq!(self::text(&mut old).await, text);
            assert!(text.ends_with("}\n"), "{text}");
            messages.push(serde_json::from_str::<Value>(&text).unwrap());
        }
        // A message beyond the write buffer: all flags are deleted and another is added.
        let only = "only: {variations: {a: 1}, defaultRule: {variation: a}}";
        relay.set_flags(only).unwrap();
        messages.push(serde_json::from_str(&text(&mut new).await).unwrap());
        announced.push(messages);
    }
    assert_eq!(announced[0].len(), 4);
    assert_eq!(announced[0], announced[1]);
}

type Stream = WebSocketStream<TcpStream>;

async fn stream(relay: &RelayProxy, path: &str) -> Stream {
    let address = relay.port();
    let tcp = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}{path}");
    let (stream, _) = client_async(url, tcp).await.unwrap();
    stream
}

/// The next text message.
async fn text(stream: &mut Stream) -> String {
    let message = async {
        loop {
            if let Message::Text(text) = stream.next().await.unwrap().unwrap() {
                return text.to_string();
            }
        }
    };
    timeout(Duration::from_secs(10), message).await.unwrap()
}

async fn check(relays: &[RelayProxy; 2], requests: Vec<Request>) {
    let differences = compare(relays, requests).await;
    assert_eq!(differences, 0, "the differences are printed above");
}

/// Sends each request to both relay proxies, one after the other. Prints and counts the differences.
async fn compare(relays: &[RelayProxy; 2], requests: Vec<Request>) -> usize {
    let mut differences = 0;
    // The last ETag of each.
    let mut etags = [String::new(), String::new()];
    assert!(!requests.is_empty());
    for request in requests {
        let mut seen = Vec::new();
        for (relay, etag) in relays.iter().zip(&mut etags) {
            let mut headers = request.headers.clone();
            for (_, value) in &mut headers {
                *value = value.replace("{etag}", etag);
            }
            let headers: Vec<_> = headers
                .iter()
                .map(|(name, value)| (*name, &**value))
                .collect();
            let (address, body) = (relay.address(), request.body.as_bytes());
            let answer = raw_request(address, request.method, &request.target, &headers, body);
            let answer = answer.await.unwrap();
            if let Some(sent) = answer.headers.get("etag") {
                *etag = sent.to_str().unwrap().to_owned();
            }
            seen.push(normalized(&answer));
        }
        if seen[0] != seen[1] {
            let [real, embedded] = [&seen[0], &seen[1]];
            println!("{request:?}\n    real {real}\nembedded {embedded}");
            differences += 1;
        }
    }
    differences
}

/// The answer with placeholders for everything that is not compared.
fn normalized(answer: &Answer) -> Value {
    const HEADERS: &str = "allow content-type deprecation etag last-modified link sec-websocket-version \
                           x-gofeatureflag-version";
    let headers: BTreeMap<&str, String> = HEADERS
        .split(' ')
        .filter_map(|name| Some((name, answer.headers.get(name)?.to_str().ok()?)))
        .map(|(name, value)| {
            let value = match name {
                "etag" => shape(value, |byte| byte.is_ascii_hexdigit()),
                "last-modified" => shape(value, |byte| byte.is_ascii_alphanumeric()),
                "x-gofeatureflag-version" => value.split('+').next().unwrap_or("").to_owned(),
                _ => value.to_owned(),
            };
            (name, value)
        })
        .collect();
    let body = match serde_json::from_slice(&answer.body) {
        Ok(body) => comparable(body),
        Err(_) => String::from_utf8_lossy(&answer.body).into_owned().into(),
    };
    json!({
        "status": answer.status.as_u16(),
        "headers": headers,
        "body": body,
        "is indented": answer.body.starts_with(b"{\n  "),
        "ends a line": answer.body.ends_with(b"\n"),
    })
}

/// Replaces each run of volatile bytes by one `x`.
fn shape(value: &str, is_volatile: impl Fn(u8) -> bool) -> String {
    let mut shape = String::new();
    for byte in value.bytes() {
        if !is_volatile(byte) {
            shape.push(char::from(byte));
        } else if !shape.ends_with('x') {
            shape.push('x');
        }
    }
    shape
}

fn comparable(body: Value) -> Value {
    match body {
        Value::Object(members) => members
            .into_iter()
            .map(|(name, value)| {
                let value = match (name.as_str(), &value) {
                    ("timestamp" | "creationDate", Value::Number(_)) => "a time".into(),
                    ("cacheRefresh", Value::String(time)) => moment(time),
                    ("flagsets", Value::Object(sets)) => sets
                        .iter()
                        .map(|(name, time)| (name.clone(), moment(time.as_str().unwrap_or(""))))
                        .collect(),
                    ("hash", Value::Number(_)) => "a hash".into(),
                    // The hashes of flags. In other answers no flag is a number.
                    ("flags", Value::Object(flags)) if flags.values().all(Value::is_u64) => {
                        let keys = flags.keys();
                        keys.map(|key| (key.clone(), json!("a hash"))).collect()
                    }
                    _ => comparable(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(elements) => elements.into_iter().map(comparable).collect(),
        Value::String(text) if has_words_of_a_library(&text) => "words".into(),
        other => other,
    }
}

/// Whether an error text has the words of a library, of which each relay proxy uses others: about malformed JSON, or a
/// flag key that the metrics refuse.
fn has_words_of_a_library(text: &str) -> bool {
    let of_go = ["Syntax error: ", "Unmarshal type error: ", "json: "];
    text.ends_with("EOF")
        || text.ends_with("is not valid UTF-8")
        || text.contains("unreadable JSON: ")
        || of_go.iter().any(|words| text.contains(words))
}

fn moment(time: &str) -> Value {
    let is_one = time.len() > 19 && time.starts_with("20") && time.ends_with('Z');
    if is_one { "a time".into() } else { time.into() }
}

/// Compares the recorded events. A real relay proxy writes those of its evaluations in any order.
async fn compare_events(relays: &[RelayProxy; 2], kind: CollectedKind) {
    let [real, embedded] = relays.each_ref().map(|relay| relay.recorded_events(kind));
    let sorted = |events: Vec<Value>| {
        let mut events: Vec<String> = events
            .into_iter()
            .map(|event| comparable(event).to_string())
            .collect();
        events.sort();
        events
    };
    let expected = sorted(embedded.read());
    assert!(expected.len() > 10, "{kind:?}");
    let give_up = Instant::now() + Duration::from_secs(10);
    while real.read().len() < expected.len() && Instant::now() < give_up {
        sleep(Duration::from_millis(20)).await;
    }
    let seen = sorted(real.read());
    assert_eq!(seen, expected, "{kind:?}: real, embedded");
}
