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
        let child = Command::new(path).stdout(Stdio::piped()).spawn().unwrap();
        Self(child)
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
    let mut example = Example::start("axum_service");
    let mut out = BufReader::new(example.0.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let address = line
        .strip_prefix("listening on http://")
        .and_then(|rest| rest.trim().strip_suffix("/checkout"))
        .unwrap();
    let get = |headers: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        write!(
            stream,
            "GET /checkout HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    for _ in 0..3 {
        has(
            &get("x-user: user-1\r\nx-plan: pro\r\n"),
            &["the new checkout"],
        );
    }
    has(&get("x-user: user-2\r\n"), &["\r\nthe checkout"]);
    has(&get(""), &["\r\nthe checkout"]);
    let pid = example.0.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(example.0.wait().unwrap().success());
    // Two of the five came from the cache; the relay proxy recorded the others.
    has(
        &rest,
        &["2 recorded, 2 delivered, 0 dropped, 0 still buffered"],
    );
}
