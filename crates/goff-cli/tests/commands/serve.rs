//! `goff serve`.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::FLAGS;
use crate::goff::{Goff, PATIENCE, Running};

fn endpoint(serve: &mut Running) -> String {
    let line = serve.line("listening at");
    line.split(' ').nth(2).unwrap().to_owned()
}

#[test]
fn a_session() {
    let mut goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let mut serve = goff.start("goff serve flags.yaml --listen 127.0.0.1:0 --api-key secret");
    let endpoint = endpoint(&mut serve);
    let evaluate = format!(
        "GOFF_API_KEY=secret goff evaluate --endpoint {endpoint} banner -u user-1 --at 2026-11-30"
    );
    goff.run(&evaluate).has(0, &["Sunny days!"]);
    serve.line("feature banner for user-1: summer");
    serve.line("200 POST /v1/feature/banner/eval");
    goff.run(&format!("goff evaluate --endpoint {endpoint} banner"))
        .has(2, &["401"]);
    serve.line("401 POST");
    goff.write("flags.yaml", FLAGS.replace("Sunny", "Rainy"));
    serve.line("flags changed: banner");
    goff.run(&evaluate).has(0, &["Rainy days!"]);
    serve.line("200 POST");
    goff.write("flags.yaml", "banner: [");
    serve.line("not loaded:");
    goff.run(&evaluate).has(0, &["Rainy days!"]);
    serve.line("200 POST");
    serve.signal("INT");
    assert_eq!(serve.end(), Some(0));
    let printed = serve.read();
    assert!(
        printed.contains("stopped after 4 requests and 3 events"),
        "{printed}"
    );
    let mut shown = printed.replace(&endpoint, "http://127.0.0.1:1031");
    for line in printed.lines().filter(|line| line.ends_with(" ms")) {
        let (rest, _) = line.trim_end_matches(" ms").rsplit_once(' ').unwrap();
        shown = shown.replace(line, &format!("{rest} 0.3 ms"));
    }
    goff.add("goff serve flags.yaml --api-key secret", &shown);
    goff.document("serve");
}

/// The key that other commands send is not one that this one requires.
#[test]
fn a_key_is_required_only_if_it_is_given_and_the_first_line_says_so() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    for (variable, needs_key) in [("GOFF_API_KEY", false), ("GOFF_SERVE_API_KEY", true)] {
        let line = "goff serve flags.yaml --listen 127.0.0.1:0";
        let mut serve = goff.start(&format!("env {variable}=secret {line}"));
        let first = serve.line("listening at");
        assert_eq!(
            first.ends_with(" (requests need a key)"),
            needs_key,
            "{first}"
        );
        let endpoint = first.split(' ').nth(2).unwrap();
        let evaluate = format!("goff evaluate --endpoint {endpoint} banner");
        goff.run(&evaluate).has(if needs_key { 2 } else { 0 }, &[]);
        goff.run(&format!("GOFF_API_KEY=secret {evaluate}"))
            .has(0, &[]);
        let mut serve = goff.start(&format!("env {variable}=secret {line} --json"));
        let first: serde_json::Value = serde_json::from_str(&serve.line("listening")).unwrap();
        assert_eq!(first["needsKey"], needs_key);
    }
    let refresh = |environment: &str| {
        let line = "goff serve flags.yaml --listen 127.0.0.1:0";
        let mut serve = goff.start(&format!("env {environment} {line}"));
        let endpoint = endpoint(&mut serve);
        let mut stream = TcpStream::connect(address(&endpoint)).unwrap();
        let head = "POST /admin/v1/retriever/refresh HTTP/1.1\r\nHost: goff\r\n\
            Authorization: Bearer secret\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(refresh("GOFF_SERVE_ADMIN_KEY=secret"), "200");
    assert_ne!(refresh("GOFF_SERVE_ADMIN_KEY=other"), "200");
}

/// Of a pipe the second reading would wait, or be empty.
#[test]
fn what_cannot_be_read_again_is_refused() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    goff.run("mkfifo pipe").has(0, &[]);
    for line in [
        "serve pipe",
        "evaluate -f pipe banner --watch",
        "serve /dev/null",
    ] {
        goff.run(&format!("timeout 30 goff {line}"))
            .has(2, &["write it to a file first"]);
    }
    goff.run("cat flags.yaml > pipe & timeout 30 goff evaluate -f pipe banner; wait")
        .has(0, &["banner: "]);
}

#[test]
fn it_stops_on_sigterm_with_clients_connected() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let mut serve = goff.start("goff serve flags.yaml --listen 127.0.0.1:0");
    let endpoint = endpoint(&mut serve);
    let mut watch = goff.start(&format!(
        "goff evaluate --endpoint {endpoint} banner --watch"
    ));
    watch.line("banner:");
    serve.line("101 GET /stream/v1/ws/flag/change");
    serve.signal("TERM");
    assert_eq!(serve.end(), Some(0));
}

/// A connection whose request is begun, and what its address was.
fn begun(endpoint: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address(endpoint)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "POST /v1/feature/banner/eval HTTP/1.1\r\nHost: goff\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        BODY.len()
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut head = [0; 25];
    stream.read_exact(&mut head).unwrap();
    assert!(head.starts_with(b"HTTP/1.1 100 "));
    stream
}

const BODY: &str = r#"{"evaluationContext": {"key": "user-1"}}"#;

fn address(endpoint: &str) -> &str {
    endpoint.strip_prefix("http://").unwrap()
}

/// Waits until the port is closed.
fn closed(endpoint: &str) {
    let give_up = Instant::now() + PATIENCE;
    while TcpStream::connect(address(endpoint)).is_ok() {
        assert!(Instant::now() < give_up);
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_was_asked_before_a_signal_is_answered() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let mut serve = goff.start("goff serve flags.yaml --listen 127.0.0.1:0 --json");
    let line = serve.line("listening");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let endpoint = line["endpoint"].as_str().unwrap();
    let mut asked = begun(endpoint);
    serve.signal("TERM");
    closed(endpoint);
    asked.write_all(BODY.as_bytes()).unwrap();
    let mut answer = String::new();
    asked.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"reason\":\"STATIC\""), "{answer}");
    assert_eq!(serve.end(), Some(0));
    let last = serve.read().lines().last().unwrap();
    let expected = json!({
        "event": "stopped", "requests": 1, "events": 1, "allAnswered": true, "linesLost": 0,
    });
    let last: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(last, expected);
}

/// A request that never ends is cut off: after five seconds, and at once by a second signal.
#[test]
fn the_wait_for_answers_ends_with_its_limit_and_with_a_second_signal() {
    for signals in [1, 2] {
        let goff = Goff::with(&[("flags.yaml", FLAGS)]);
        let mut serve = goff.start("goff serve flags.yaml --listen 127.0.0.1:0");
        let endpoint = endpoint(&mut serve);
        let _asked = begun(&endpoint);
        let signaled = Instant::now();
        for _ in 0..signals {
            serve.signal("INT");
            closed(&endpoint);
        }
        assert_eq!(serve.end(), Some(0));
        let limit = Duration::from_secs(5);
        assert_eq!(signaled.elapsed() >= limit, signals == 1);
        let printed = serve.read();
        assert!(
            printed.contains("without an answer were cut off"),
            "{printed}"
        );
    }
}

/// Requests are counted, and answered, though their lines find no reader; and two signals end the
/// command though it waits for one.
#[test]
fn a_reader_that_is_too_slow_loses_lines() {
    const REQUESTS: usize = 6_000;
    for is_read in [true, false] {
        let goff = Goff::with(&[("flags.yaml", FLAGS)]);
        let mut command = goff.command("exec goff serve flags.yaml --listen 127.0.0.1:0");
        let mut serve = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(serve.stdout.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let endpoint = first.trim_end().rsplit(' ').next().unwrap();
        let mut asking = TcpStream::connect(address(endpoint)).unwrap();
        let answers = asking.try_clone().unwrap();
        let reading = std::thread::spawn(move || {
            let lines = BufReader::new(answers).lines().map_while(Result::ok);
            lines
                .filter(|line| line == "HTTP/1.1 200 OK")
                .take(REQUESTS)
                .count()
        });
        let request = "GET /health HTTP/1.1\r\nHost: goff\r\n\r\n";
        asking
            .write_all(request.repeat(REQUESTS).as_bytes())
            .unwrap();
        assert_eq!(reading.join().unwrap(), REQUESTS);
        let signal = || {
            let id = serve.id().to_string();
            let killed = std::process::Command::new("kill")
                .args(["-TERM", &id])
                .status();
            assert!(killed.unwrap().success());
            closed(endpoint);
        };
        signal();
        if is_read {
            let mut rest = String::new();
            lines.read_to_string(&mut rest).unwrap();
            let shown = rest
                .lines()
                .filter(|line| line.starts_with("200 GET"))
                .count();
            let last = rest.lines().last().unwrap();
            assert!(
                last.starts_with("stopped after 6,000 requests and 0 events; "),
                "{last}"
            );
            let lost: usize = last
                .split("; ")
                .nth(1)
                .unwrap()
                .split(' ')
                .next()
                .unwrap()
                .replace(',', "")
                .parse()
                .unwrap();
            assert!(lost > 0);
            assert_eq!(shown + lost, REQUESTS);
        } else {
            signal();
        }
        let give_up = Instant::now() + Duration::from_secs(4);
        while serve.try_wait().unwrap().is_none() {
            assert!(Instant::now() < give_up);
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn several_files_are_one_set_and_the_last_wins() {
    let more = "banner: {variations: {a: from more}, defaultRule: {variation: a}}\n\
        bad: {variations: {a: 1}}\n";
    let goff = Goff::with(&[("flags.yaml", FLAGS), ("more.yml", more)]);
    let mut serve = goff.start("goff serve flags.yaml more.yml --listen 127.0.0.1:0 --json");
    let line = serve.line("listening");
    let line: serde_json::Value = serde_json::from_str(&line).unwrap();
    let endpoint = line["endpoint"].as_str().unwrap();
    assert!(
        serve.read().contains("more.yml: line 2"),
        "{}",
        serve.read()
    );
    let all = goff.run(&format!("goff evaluate --endpoint {endpoint} --all -u u"));
    all.has(0, &["from more", "new-checkout"]);
    goff.write(
        "more.yml",
        "other: {variations: {a: 1}, defaultRule: {variation: a}}\n",
    );
    let changed = serve.line("\"changed\"");
    assert!(
        changed.contains("banner") && changed.contains("other"),
        "{changed}"
    );
    goff.run(&format!(
        "goff evaluate --endpoint {endpoint} banner --at 2026-11-01"
    ))
    .has(0, &["Sunny days!"]);
    // A flag that is left out is reported without a request.
    let rest = "other: {variations: {a: 1}, defaultRule: {variation: a}}\n";
    goff.write(
        "more.yml",
        format!("{rest}worse: {{variations: {{a: 1}}}}\n"),
    );
    let left_out = serve.line("\"left_out\"");
    assert!(left_out.contains("more.yml: line 2"), "{left_out}");
}

#[test]
fn faults_apply_to_their_requests() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let fault =
        "--fault status=503@evaluation*1 --fault rate-limit=3s@bulk --fault reset@configuration";
    let mut serve = goff.start(&format!(
        "goff serve flags.yaml --listen 127.0.0.1:0 {fault}"
    ));
    let endpoint = endpoint(&mut serve);
    let evaluate = |what: &str| goff.run(&format!("goff evaluate --endpoint {endpoint} {what}"));
    evaluate("banner").has(2, &["503"]);
    evaluate("banner").has(0, &[]);
    evaluate("--all").has(2, &["429"]);
    goff.run(&format!("goff doctor --endpoint {endpoint}"))
        .has(1, &["✗ reachable"]);
}

#[cfg(target_os = "linux")]
#[test]
fn it_listens_on_a_unix_socket() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let socket = goff.path("goff.sock").display().to_string();
    let mut serve = goff.start(&format!("goff serve flags.yaml --listen unix://{socket}"));
    assert_eq!(endpoint(&mut serve), format!("unix://{socket}"));
    goff.run(&format!("goff evaluate --endpoint unix://{socket} banner"))
        .has(0, &[]);
}
