//! What only the embedded relay proxy has: faults, starting and stopping. tests-integration compares its answers
//! with those of a real one.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails by panicking")]

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use goff_testkit::{EmbeddedRelay, Fault, FlagSetOptions, RelayActivity, RelayEndpoint};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

const FLAGS: &str = "flag: {variations: {on: true}, defaultRule: {variation: on}}";
const CONTEXT: &str = r#"{"evaluationContext":{"key":"user"}}"#;

fn relay() -> EmbeddedRelay {
    EmbeddedRelay::builder().flags(FLAGS).start().unwrap()
}

fn address(relay: &EmbeddedRelay) -> SocketAddr {
    relay.socket_address().unwrap()
}

/// Sends one request and reads until the connection ends.
fn exchange(address: SocketAddr, method: &str, path: &str, body: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(500)))?;
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: relay\r\nConnection: close\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn evaluate(relay: &EmbeddedRelay) -> io::Result<String> {
    exchange(address(relay), "POST", "/v1/feature/flag/eval", CONTEXT)
}

fn is_value(answer: &io::Result<String>) -> bool {
    let is_value =
        |answer: &String| answer.starts_with("HTTP/1.1 200") && answer.contains("\"value\":true");
    answer.as_ref().is_ok_and(is_value)
}

fn assert_silent(relay: &EmbeddedRelay) {
    let silence = evaluate(relay).unwrap_err();
    let is_timeout = matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
    assert!(is_timeout, "{silence}");
}

/// Waits, with a limit.
fn until(holds: impl Fn() -> bool) {
    let give_up = Instant::now() + Duration::from_secs(10);
    while !holds() {
        assert!(Instant::now() < give_up);
        std::thread::yield_now();
    }
}

#[test]
fn each_fault_takes_effect_and_ends() {
    let relay = relay();
    assert!(is_value(&evaluate(&relay)));

    relay.inject(Fault::status(503).times(1));
    assert!(evaluate(&relay).unwrap().starts_with("HTTP/1.1 503"));
    assert!(is_value(&evaluate(&relay)));

    relay.inject(Fault::rate_limited(Duration::from_millis(1500)).times(1));
    let limited = evaluate(&relay).unwrap();
    assert!(limited.starts_with("HTTP/1.1 429"), "{limited}");
    assert!(limited.contains("\r\nretry-after: 2\r\n"), "{limited}");

    relay.inject(Fault::garbage("\0not HTTP").times(1));
    assert_eq!(evaluate(&relay).unwrap(), "\0not HTTP");

    relay.inject(Fault::reset().times(1));
    let reset = evaluate(&relay).unwrap_err();
    assert_eq!(reset.kind(), ErrorKind::ConnectionReset);

    relay.inject(Fault::silence().times(1));
    assert_silent(&relay);

    let delay = Duration::from_millis(100);
    relay.inject(Fault::delay(delay).times(1));
    let start = Instant::now();
    assert!(is_value(&evaluate(&relay)));
    assert!(start.elapsed() >= delay);

    relay.inject(Fault::reset());
    evaluate(&relay).unwrap_err();
    relay.clear_faults();
    assert!(is_value(&evaluate(&relay)));
}

#[test]
fn a_fault_applies_to_its_endpoint_only() {
    let relay = relay();
    relay.inject(Fault::status(500).on(RelayEndpoint::Collector));
    assert!(is_value(&evaluate(&relay)));
    let batch = r#"{"events":[]}"#;
    let answer = exchange(address(&relay), "POST", "/v1/data/collector", batch).unwrap();
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
}

#[test]
fn a_stopped_relay_refuses_connections_and_starts_again_at_its_address() {
    let relay = relay();
    assert!(is_value(&evaluate(&relay)));
    let mut idle = TcpStream::connect(address(&relay)).unwrap();
    idle.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    for _ in 0..3 {
        relay.stop().unwrap();
        let refused = TcpStream::connect(address(&relay)).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        relay.start().unwrap();
        assert!(is_value(&evaluate(&relay)));
    }
    // The earlier connection is closed.
    assert!(matches!(idle.read(&mut [0]), Ok(0) | Err(_)));
    assert_eq!(relay.feature_events().len(), 4);
    let address = address(&relay);
    drop(relay);
    TcpStream::connect(address).unwrap_err();
}

/// A connection whose request the relay has begun to read.
fn begun(relay: &EmbeddedRelay) -> TcpStream {
    let mut stream = TcpStream::connect(address(relay)).unwrap();
    let patience = Some(Duration::from_secs(10));
    stream.set_read_timeout(patience).unwrap();
    write!(
        stream,
        "POST /v1/feature/flag/eval HTTP/1.1\r\nHost: relay\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        CONTEXT.len()
    )
    .unwrap();
    let mut head = [0; 25];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(&head, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

fn finish(mut begun: &TcpStream) -> String {
    begun.write_all(CONTEXT.as_bytes()).unwrap();
    let mut answer = String::new();
    while !answer.ends_with("}\n") {
        let mut byte = [0];
        begun.read_exact(&mut byte).unwrap();
        answer.push(char::from(byte[0]));
    }
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_relay_answers_what_was_asked_and_closes_what_is_idle() {
    let relay = relay();
    let mut stream = stream(&relay).await;
    let (unused, used, mut waiting) = (
        TcpStream::connect(address(&relay)).unwrap(),
        begun(&relay),
        begun(&relay),
    );
    assert!(is_value(&Ok(finish(&used))));
    std::thread::scope(|scope| {
        let drained = scope.spawn(|| relay.drain(Duration::from_secs(60)));
        until(|| TcpStream::connect(address(&relay)).is_err());
        for mut connection in [&used, &unused] {
            assert_eq!(connection.read(&mut [0]).unwrap(), 0);
        }
        assert!(is_value(&Ok(finish(&waiting))));
        assert!(drained.join().unwrap().unwrap());
    });
    assert_eq!(waiting.read(&mut [0]).unwrap(), 0);
    while let Some(Ok(received)) = stream.next().await {
        assert!(matches!(received, Message::Ping(_)), "{received:?}");
    }
    relay.start().unwrap();
    assert!(is_value(&evaluate(&relay)));
}

#[test]
fn a_drain_ends_with_its_timeout_and_with_a_stop() {
    let relay = relay();
    for is_stopped in [false, true] {
        let mut waiting = begun(&relay);
        std::thread::scope(|scope| {
            let timeout = Duration::from_millis(if is_stopped { 600_000 } else { 50 });
            let drained = scope.spawn({
                let relay = &relay;
                move || relay.drain(timeout)
            });
            if is_stopped {
                until(|| TcpStream::connect(address(&relay)).is_err());
                relay.stop().unwrap();
            }
            assert!(!drained.join().unwrap().unwrap());
        });
        assert!(matches!(waiting.read(&mut [0]), Ok(0) | Err(_)));
        relay.start().unwrap();
    }
}

#[test]
fn a_paused_relay_accepts_connections_and_answers_when_it_resumes() {
    let relay = relay();
    relay.pause().unwrap();
    assert_silent(&relay);
    relay.resume();
    assert!(is_value(&evaluate(&relay)));
    // A paused relay can be stopped and dropped.
    relay.pause().unwrap();
    relay.stop().unwrap();
    relay.start().unwrap();
    relay.pause().unwrap();
}

#[test]
fn everything_is_served_below_the_path_prefix() {
    let builder = EmbeddedRelay::builder().flags(FLAGS).path_prefix("/a/b/");
    let relay = builder.start().unwrap();
    assert!(relay.endpoint().ends_with("/a/b"));
    let path = "/a/b/v1/feature/flag/eval";
    assert!(is_value(&exchange(address(&relay), "POST", path, CONTEXT)));
    assert!(evaluate(&relay).unwrap().starts_with("HTTP/1.1 404"));
}

#[test]
fn a_changed_file_is_loaded_and_a_malformed_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flags.json");
    let json = r#"{"flag": {"variations": {"a": 1}, "defaultRule": {"variation": "a"}}}"#;
    std::fs::write(&path, json).unwrap();
    let builder = EmbeddedRelay::builder().flag_file(&path);
    let relay = builder.poll_interval(Duration::from_millis(5)).start();
    let relay = relay.unwrap();
    let value_is = |value: &str| {
        let member = format!("\"value\":{value},");
        evaluate(&relay).unwrap().contains(&member)
    };
    assert!(value_is("1"));
    std::fs::write(&path, "{").unwrap();
    until(|| relay.load_error().is_some());
    assert!(value_is("1"));
    std::fs::write(&path, json.replace('1', "2")).unwrap();
    until(|| value_is("2"));
    assert_eq!(relay.load_error(), None);
    // Takes effect at once, and changes the file.
    relay.set_flags(&json.replace('1', "3")).unwrap();
    assert!(value_is("3"));
    assert!(std::fs::read_to_string(&path).unwrap().contains('3'));
}

/// docs/relay-protocol.md 12: it is not the time of a change.
#[test]
fn the_time_of_the_last_load_advances_without_a_change() {
    let builder = EmbeddedRelay::builder().flags(FLAGS);
    let relay = builder.poll_interval(Duration::from_millis(1)).start();
    let relay = relay.unwrap();
    let loaded = || {
        let answer = exchange(address(&relay), "GET", "/info", "").unwrap();
        answer.split_once("cacheRefresh").unwrap().1.to_owned()
    };
    let first = loaded();
    until(|| loaded() != first);
}

#[test]
fn flags_that_cannot_be_loaded_are_an_error_of_start() {
    let error = EmbeddedRelay::builder().flags("flag: [").start();
    assert!(error.unwrap_err().to_string().contains("cannot be loaded"));
    let sets = EmbeddedRelay::builder()
        .flag_set(FlagSetOptions::new("a").api_key("a"))
        .flag_set(FlagSetOptions::new("b").api_key("b"))
        .start()
        .unwrap();
    sets.set_flags(FLAGS).unwrap_err();
}

type Stream = tokio_tungstenite::WebSocketStream<tokio::net::TcpStream>;

async fn stream(relay: &EmbeddedRelay) -> Stream {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let open = relay.change_streams();
    let stream = tokio::net::TcpStream::connect(address(relay)).await;
    let mut stream = stream.unwrap();
    let request = "GET /stream/v1/ws/flag/change HTTP/1.1\r\nHost: relay\r\nConnection: Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="));
    while relay.change_streams() == open {
        tokio::task::yield_now().await;
    }
    Stream::from_raw_socket(stream, Role::Client, None).await
}

/// The next message, except pings.
async fn text(stream: &mut Stream) -> String {
    loop {
        match stream.next().await.unwrap().unwrap() {
            Message::Ping(_) => {}
            Message::Text(text) => return text.to_string(),
            other => return format!("no text: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_silent_change_stream_stays_open_and_sends_nothing() {
    let builder = EmbeddedRelay::builder().flags(FLAGS);
    let relay = builder.ping_interval(Duration::from_millis(5)).start();
    let relay = relay.unwrap();
    let mut stream = stream(&relay).await;
    assert!(matches!(stream.next().await, Some(Ok(Message::Ping(_)))));
    relay.silence_change_streams(true);
    relay.set_flags("{}").unwrap();
    // Messages from before the silence may still arrive.
    let quiet = Duration::from_millis(100);
    while let Ok(received) = tokio::time::timeout(quiet, stream.next()).await {
        let is_ping = matches!(received, Some(Ok(Message::Ping(_))));
        assert!(is_ping, "{received:?}");
    }
    relay.silence_change_streams(false);
    let change = text(&mut stream).await;
    let start = r#"{"added":{},"deleted":{"flag":{"#;
    assert!(change.starts_with(start), "{change}");
    relay.announce("no JSON");
    assert_eq!(text(&mut stream).await, "no JSON");
    relay.stop().unwrap();
    while let Some(Ok(received)) = stream.next().await {
        // The stream ends without a close frame.
        assert!(matches!(received, Message::Ping(_)), "{received:?}");
    }
}

#[tokio::test]
async fn a_large_message_arrives_in_fragments() {
    let relay = relay();
    let mut stream = stream(&relay).await;
    for size in [10, 5_000, 100_000] {
        relay.announce(&"x".repeat(size));
        assert_eq!(text(&mut stream).await.len(), size);
    }
}

#[tokio::test]
async fn a_test_can_wait_for_collected_events() {
    let relay = relay();
    let address = address(&relay);
    let evaluations = tokio::task::spawn_blocking(move || {
        for _ in 0..3 {
            exchange(address, "POST", "/v1/feature/flag/eval", CONTEXT).unwrap();
        }
    });
    relay.wait_for_events(3).await;
    evaluations.await.unwrap();
    assert_eq!(relay.events().len(), 3);
    relay.clear_events();
    assert!(relay.feature_events().is_empty());
}

#[test]
fn beyond_its_capacity_the_oldest_events_are_dropped() {
    let builder = EmbeddedRelay::builder().flags(FLAGS).keep_events(2);
    let relay = builder.start().unwrap();
    for user in ["a", "b", "c"] {
        let body = CONTEXT.replace("user", user);
        exchange(address(&relay), "POST", "/v1/feature/flag/eval", &body).unwrap();
    }
    let users: Vec<_> = relay.feature_events();
    let users: Vec<_> = users.iter().map(|event| &event["userKey"]).collect();
    assert_eq!(users, ["b", "c"]);
}

#[test]
fn flags_left_out_by_another_load_are_reported_once() {
    let (sender, left_out) = std::sync::mpsc::channel();
    let observed = move |activity| {
        if let RelayActivity::LeftOut { problems, .. } = activity {
            sender.send(problems.len()).unwrap();
        }
    };
    let invalid = "invalid: {variations: {a: 1}}";
    let builder = EmbeddedRelay::builder().flags(format!("{FLAGS}\n{invalid}"));
    let relay = builder.on_activity(observed).start().unwrap();
    let other = "other: {variations: {a: 1}}";
    for flags in [
        format!("{FLAGS}\n{invalid}\n{other}"),
        format!("{FLAGS}\n{invalid}\n{other}\n# a comment"),
        FLAGS.to_owned(),
        format!("{FLAGS}\n{invalid}"),
    ] {
        relay.set_flags(&flags).unwrap();
    }
    assert_eq!(left_out.try_iter().collect::<Vec<_>>(), [2, 1]);
}

#[cfg(unix)]
#[test]
fn a_socket_replaces_only_one_at_which_nothing_listens() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("relay.sock");
    let start = || EmbeddedRelay::builder().listen_at_socket(&path).start();
    let first = start().unwrap();
    assert_eq!(start().unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(first);
    drop(start().unwrap());
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "a file").unwrap();
    assert_eq!(start().unwrap_err().kind(), ErrorKind::AddrInUse);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a file");
}
