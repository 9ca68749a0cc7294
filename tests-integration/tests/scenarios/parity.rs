//! The embedded relay proxy beside a real one: the same requests to both, and everything that comes back
//! compared, field by field. Where they differ, the embedded one is wrong.

mod bodies;
mod flag_files;
mod requests;

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::StreamExt as _;
use goff_tests_integration::{
    Address, Answer, EventKind, Instance, RelayProxy, RelaySource, raw_request, real_relay_source,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use requests::Asked;

/// A real relay proxy, and the embedded one set up the same. They are this test's own: what was asked before
/// could show in what both say.
fn both(instance: Instance) -> Option<[RelayProxy; 2]> {
    let source = real_relay_source()?;
    let real = RelayProxy::start(instance, &source).unwrap();
    let embedded = RelayProxy::start(instance, &RelaySource::Embedded).unwrap();
    Some([real, embedded])
}

#[tokio::test]
async fn an_open_relay_proxy_and_the_embedded_one_answer_the_same() {
    let Some(relays) = both(Instance::Open) else {
        return;
    };
    let differences = compare(&relays, requests::of_an_open_relay_proxy()).await;
    assert_eq!(differences.len(), 0, "they are above");
    compare_events(&relays, EventKind::Feature).await;
    compare_events(&relays, EventKind::Tracking).await;
}

#[tokio::test]
async fn keys_are_checked_the_same() {
    let Some(relays) = both(Instance::Authenticated) else {
        return;
    };
    let differences = compare(&relays, requests::with_keys()).await;
    assert_eq!(differences.len(), 0, "they are above");
}

#[tokio::test]
async fn flag_sets_are_chosen_the_same() {
    let Some(relays) = both(Instance::FlagSets) else {
        return;
    };
    let differences = compare(&relays, requests::of_flag_sets()).await;
    assert_eq!(differences.len(), 0, "they are above");
}

#[tokio::test]
async fn debug_bodies_are_the_same() {
    let Some(relays) = both(Instance::Debug) else {
        return;
    };
    let differences = compare(&relays, requests::at_log_level_debug()).await;
    assert_eq!(differences.len(), 0, "they are above");
}

#[tokio::test]
async fn flag_files_are_read_the_same_however_they_are_written() {
    let Some(relays) = both(Instance::Open) else {
        return;
    };
    let mut differences = 0;
    for file in flag_files::FLAG_FILES {
        for relay in &relays {
            // The embedded one says here what the real one says in its log.
            let _ = relay.set_flags(file);
        }
        let found = compare(&relays, requests::after_a_new_file()).await;
        if !found.is_empty() {
            println!("--- with the flags\n{file}\n---");
        }
        differences += found.len();
    }
    assert_eq!(differences, 0, "they are above");
}

#[tokio::test]
async fn changes_are_told_the_same_and_pings_come_every_second() {
    let Some(relays) = both(Instance::Open) else {
        return;
    };
    let edits = [
        ("\nstatic_key:\n", "\nstatic_key_renamed:\n"),
        ("\nstring_key:\n", "\nstring_key:\n  disable: true\n"),
        // Nothing that is served.
        ("\ninteger_key:\n", "\ninteger_key:\n  owner: nobody\n"),
        ("\ndouble_key:\n", "\ndouble_key:\n  version: '2'\n"),
    ];
    let mut told = Vec::new();
    for relay in &relays {
        let mut messages = Vec::new();
        for path in ["/stream/v1/ws/flag/change", "/ws/v1/flag/change"] {
            let mut stream = stream(relay, path).await;
            let first = timeout(Duration::from_millis(2_500), stream.next()).await;
            let pinged = Instant::now();
            assert_eq!(
                first.unwrap().unwrap().unwrap(),
                Message::Ping(Vec::new().into())
            );
            let second = stream.next().await.unwrap().unwrap();
            assert_eq!(second, Message::Ping(Vec::new().into()));
            let pause = pinged.elapsed();
            assert!(
                (Duration::from_millis(500)..Duration::from_millis(1_500)).contains(&pause),
                "{pause:?}"
            );
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
        // A message beyond the write buffer: everything goes and other flags come.
        relay
            .set_flags("only: {variations: {a: 1}, defaultRule: {variation: a}}")
            .unwrap();
        messages.push(serde_json::from_str(&text(&mut new).await).unwrap());
        told.push(messages);
    }
    assert_eq!(told[0].len(), 4);
    for (real, embedded) in told[0].iter().zip(&told[1]) {
        assert_eq!(real, embedded);
    }
}

type Stream = WebSocketStream<TcpStream>;

async fn stream(relay: &RelayProxy, path: &str) -> Stream {
    let Address::Tcp(address) = relay.address() else {
        panic!("no port");
    };
    let tcp = TcpStream::connect(address).await.unwrap();
    let url = format!("ws://{address}{path}");
    let (stream, _) = client_async(url, tcp).await.unwrap();
    stream
}

/// The next message that is no ping.
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

/// Sends each request to both, the next once both have answered; says where they differ.
async fn compare(relays: &[RelayProxy; 2], requests: Vec<Asked>) -> Vec<String> {
    let mut differences = Vec::new();
    // Of each, what its last answer was validated by.
    let mut etags = [String::new(), String::new()];
    assert!(!requests.is_empty());
    for asked in requests {
        let mut seen = Vec::new();
        for (relay, etag) in relays.iter().zip(&mut etags) {
            let headers: Vec<(&str, String)> = asked
                .headers
                .iter()
                .map(|(name, value)| (*name, value.replace("{etag}", etag)))
                .collect();
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let answer = raw_request(
                relay.address(),
                asked.method,
                &asked.target,
                &headers,
                asked.body.as_bytes(),
            )
            .await
            .unwrap();
            if let Some(sent) = answer.headers.get("etag") {
                *etag = sent.to_str().unwrap().to_owned();
            }
            seen.push(normalised(&answer));
        }
        if seen[0] != seen[1] {
            let [real, embedded] = [&seen[0], &seen[1]];
            let difference = format!("{asked:?}\n    real {real}\nembedded {embedded}");
            println!("{difference}");
            differences.push(difference);
        }
    }
    differences
}

/// What an answer says, with placeholders for what differs from run to run.
fn normalised(answer: &Answer) -> Value {
    const HEADERS: [&str; 10] = [
        "access-control-allow-origin",
        "allow",
        "content-type",
        "deprecation",
        "etag",
        "last-modified",
        "link",
        "sec-websocket-version",
        "vary",
        "x-gofeatureflag-version",
    ];
    let headers: BTreeMap<&str, String> = HEADERS
        .into_iter()
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
        Ok(body) => without_times(body),
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

/// Every run of such bytes as one `x`.
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

fn without_times(body: Value) -> Value {
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
                    // The flags of the hashes; in other answers none is a bare number.
                    ("flags", Value::Object(flags)) if flags.values().all(Value::is_u64) => {
                        let keys = flags.keys();
                        keys.map(|key| (key.clone(), json!("a hash"))).collect()
                    }
                    _ => without_times(value),
                };
                (name, value)
            })
            .collect(),
        Value::Array(elements) => elements.into_iter().map(without_times).collect(),
        other => other,
    }
}

fn moment(time: &str) -> Value {
    let is_one = time.len() > 19 && time.starts_with("20") && time.ends_with('Z');
    if is_one { "a time".into() } else { time.into() }
}

/// Compares what both have recorded: the real one writes events of its own in no order.
async fn compare_events(relays: &[RelayProxy; 2], kind: EventKind) {
    let [real, embedded] = relays.each_ref().map(|relay| relay.recorded_events(kind));
    let sorted = |events: Vec<Value>| {
        let mut events: Vec<String> = events
            .into_iter()
            .map(|event| without_times(event).to_string())
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
    let only = |these: &[String], those: &[String]| -> Vec<String> {
        let these = these.iter();
        these
            .filter(|event| !those.contains(event))
            .cloned()
            .collect()
    };
    assert_eq!(
        (only(&seen, &expected), only(&expected, &seen)),
        (Vec::new(), Vec::new()),
        "{kind:?}: only in the real one, only in the embedded one"
    );
    assert_eq!(seen.len(), expected.len());
}
