//! Runs the examples as programs.
#![cfg(all(unix, feature = "http", feature = "in-process", feature = "ws"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// A running example; it ends with the test.
struct Example(Child);

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Example {
    fn start(name: &str) -> Self {
        Self::start_with(name, &[])
    }

    fn start_with(name: &str, arguments: &[&str]) -> Self {
        let mut path: PathBuf = std::env::current_exe().unwrap();
        // Tests are in `deps`, beside `examples`.
        path.pop();
        path.pop();
        path.extend(["examples", name]);
        assert!(
            path.exists(),
            "{} is not built: run `cargo build --examples` first, or `cargo test` as a whole",
            path.display()
        );
        let mut command = Command::new(path);
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self(command.spawn().unwrap())
    }

    fn signal(&self, signal: &str) {
        let pid = self.0.id().to_string();
        let killed = Command::new("kill").args([signal, &pid]).status().unwrap();
        assert!(killed.success());
    }

    /// The output of the example, which must end without an error.
    fn output(mut self) -> String {
        let mut out = self.0.stdout.take().unwrap();
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let give_up = Instant::now() + DEADLINE;
        let status = loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < give_up, "still running");
            std::thread::sleep(Duration::from_millis(5));
        };
        let text = reading.join().unwrap();
        assert!(status.success(), "{status}\n{text}");
        text
    }
}

#[track_caller]
fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.contains(line), "no `{line}` in\n{text}");
    }
}

#[test]
fn in_process() {
    let text = Example::start("in_process").output();
    has(
        &text,
        &[
            "user-1: true because TARGETING_MATCH (rule paying)",
            "2014 of 10,000 users see it",
            "user-2: true because STATIC",
            "during an outage: true, Stale",
            "afterwards: Ready",
            "10003 recorded, 10003 delivered, 0 dropped, 0 still buffered",
            "the relay proxy has 10003 events",
        ],
    );
}

#[test]
fn own_transport() {
    let text = Example::start("own_transport").output();
    has(
        &text,
        &["true because CACHED", "2 requests sent, 2 events delivered"],
    );
}

#[cfg(feature = "file")]
#[test]
fn file_mode() {
    let text = Example::start("file_mode").output();
    has(
        &text,
        &[
            "new-checkout = false because DEFAULT",
            "new-checkout changed: true",
            "still true: flags not loaded: flag file `the file`, line 1, column 28: unclosed bracket",
            "green",
        ],
    );
}

#[cfg(feature = "opentelemetry")]
#[test]
fn telemetry() {
    let text = Example::start("telemetry").output();
    has(
        &text,
        &[
            "span check_out with 9 events",
            "feature_flag.result.reason=targeting_match_split feature_flag.version=7",
            "metric feature_flag.evaluation_requests_total 9",
            "metric goff.client.requests 6",
        ],
    );
}

/// Requests, then SIGTERM: usage data is delivered before the end.
#[test]
fn axum_service() {
    serve(&[]);
    serve(&["--in-process"]);
}

fn serve(arguments: &[&str]) {
    let mut example = Example::start_with("axum_service", arguments);
    let mut out = BufReader::new(example.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line
        .strip_prefix("listening on http://")
        .and_then(|rest| rest.trim().strip_suffix("/checkout"))
        .unwrap();
    let get_path = |path: &str, headers: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    has(&get_path("/ready", ""), &["200 OK", "\r\nready"]);
    let get = |headers: &str| get_path("/checkout", headers);
    for _ in 0..3 {
        has(
            &get("x-user: user-1\r\nx-plan: pro\r\n"),
            &["the new checkout"],
        );
    }
    has(&get("x-user: user-2\r\n"), &["\r\nthe checkout"]);
    has(&get(""), &["\r\nthe checkout"]);
    example.signal("-TERM");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(example.0.wait().unwrap().success());
    // The relay proxy records neither a prefetch nor an evaluation in process.
    has(
        &rest,
        &["5 recorded, 5 delivered, 0 dropped, 0 still buffered"],
    );
}

#[cfg(feature = "blocking")]
#[test]
fn command_line() {
    let text = Example::start("command_line").output();
    has(
        &text,
        &[
            "fast copy: true because TARGETING_MATCH",
            "copied 2000 files",
            "threads: 8 because STATIC",
            // Eight threads had the answer of the cache.
            "usage data: 9 recorded, 9 delivered, 0 still buffered",
        ],
    );
}

/// A dead relay proxy costs a program its defaults, and little time.
#[cfg(feature = "blocking")]
#[test]
fn command_line_without_a_relay_proxy() {
    let relay = goff_testkit::EmbeddedRelay::builder().start().unwrap();
    let endpoint = relay.endpoint();
    let begun = Instant::now();
    for is_hanging in [true, false] {
        match is_hanging {
            true => relay.pause().unwrap(),
            false => relay.stop().unwrap(),
        }
        let text = Example::start_with("command_line", &[&endpoint]).output();
        has(
            &text,
            &[
                "fast copy: false because ERROR",
                "the default, because: ",
                "copied 10 files",
                "0 delivered",
            ],
        );
        relay.resume();
    }
    assert!(begun.elapsed() < Duration::from_secs(30));
}

/// An instance that is frozen while its connections die and the flags change.
#[test]
fn function_handler() {
    const FLAGS: &str = "greeting: {variations: {long: good day}, defaultRule: {variation: long}}";
    let relay = goff_testkit::EmbeddedRelay::builder();
    let relay = relay.flags(FLAGS).start().unwrap();
    let mut example = Example::start_with("function_handler", &[&relay.endpoint()]);
    let mut events = example.0.stdin.take().unwrap();
    let mut out = BufReader::new(example.0.stdout.take().unwrap());
    let mut invoke = |user: &str| {
        writeln!(events, "{user}").unwrap();
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        line
    };
    let first = "good day, user-1 (flags current; 1 events delivered, 0 buffered)\n";
    assert_eq!(invoke("user-1"), first);
    example.signal("-STOP");
    relay.stop().unwrap();
    relay.set_flags(&FLAGS.replace("good day", "hi")).unwrap();
    relay.start().unwrap();
    // Longer than the timeout of a request, which is what such a process sees of time.
    std::thread::sleep(Duration::from_millis(1500));
    example.signal("-CONT");
    let second = "hi, user-2 (flags changed; 2 events delivered, 0 buffered)\n";
    assert_eq!(invoke("user-2"), second);
    relay.stop().unwrap();
    let third = "hi, user-3 (flags old; 2 events delivered, 1 buffered)\n";
    assert_eq!(invoke("user-3"), third);
    relay.start().unwrap();
    let fourth = "hi, user-4 (flags current; 4 events delivered, 0 buffered)\n";
    assert_eq!(invoke("user-4"), fourth);
    drop(events);
    assert!(example.0.wait().unwrap().success());
    assert_eq!(relay.feature_events().len(), 4);
}
