//! `goff doctor`.

use std::time::{Duration, SystemTime};

use goff_testkit::{Answer, EmbeddedRelay, Fault, FaultyServer, RelayEndpoint};

use crate::FLAGS;
use crate::goff::{Goff, Ran};

fn relay() -> EmbeddedRelay {
    let relay = EmbeddedRelay::builder().flags(FLAGS).api_key("secret");
    relay.start().unwrap()
}

/// The time that something takes, as documented.
fn without_times(text: &str) -> String {
    let words = text.split(' ').map(|word| match word.parse::<f64>() {
        Ok(_) if word.contains('.') => "1.0",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_session() {
    let mut goff = Goff::with(&[]);
    let relay = relay();
    goff.replace(relay.endpoint(), "https://flags.example.org");
    let line = format!("goff doctor --endpoint {}", relay.endpoint());
    for (line, code, part) in [
        (
            format!("GOFF_API_KEY=secret {line}"),
            0,
            "accepts usage data",
        ),
        (line, 1, "none sent, one required"),
    ] {
        let ran = goff.run(&line);
        ran.has(
            code,
            &[
                "reachable",
                "key",
                "version",
                "latency",
                "clock",
                "stream",
                "collector",
                part,
            ],
        );
        let shown = without_times(&ran.stdout).replace("+embedded", "");
        // Seconds where a debug build is slow.
        goff.add(
            &line,
            &shown
                .replace("1.0 s", "1.0 ms")
                .replace("open after 1.0 ms", "open after 1.0 s"),
        );
    }
    assert!(relay.events().is_empty());
    goff.document("doctor");
}

fn examine(endpoint: &str) -> Ran {
    let goff = Goff::with(&[]);
    goff.run(&format!(
        "GOFF_API_KEY=secret goff doctor --timeout 3s --json --endpoint {endpoint}"
    ))
}

#[track_caller]
fn states(ran: &Ran) -> String {
    let findings = ran.json();
    let findings = findings.as_array().unwrap().iter();
    let states = findings.map(|finding| {
        // The errors of connections have their own.
        let found = finding["found"].as_str().unwrap();
        let has_remedy = finding["remedy"].is_string() || found.contains("; ");
        assert_eq!(has_remedy, finding["state"] == "bad", "{finding}");
        format!(
            "{} {}",
            finding["name"].as_str().unwrap(),
            finding["state"].as_str().unwrap()
        )
    });
    states.collect::<Vec<_>>().join(", ")
}

const GOOD: &str =
    "reachable good, key good, version good, latency good, clock good, stream good, collector good";

#[test]
fn each_fault_is_found() {
    let healthy = examine(&relay().endpoint());
    assert_eq!(states(&healthy), GOOD);
    assert_eq!(healthy.code, 0);
    // The stream counts as open after a second.
    let endpoint = relay();
    let short = Goff::with(&[]).run(&format!(
        "goff doctor --timeout 900ms --json --endpoint {} --api-key secret",
        endpoint.endpoint()
    ));
    assert_eq!(states(&short), GOOD);
    for (fault, expected) in [
        (
            Fault::status(404).on(RelayEndpoint::ChangeStream),
            GOOD.replace("stream good", "stream bad"),
        ),
        (
            Fault::silence().on(RelayEndpoint::ChangeStream),
            GOOD.replace("stream good", "stream bad"),
        ),
        (
            Fault::status(403).on(RelayEndpoint::Collector),
            GOOD.replace("collector good", "collector bad"),
        ),
        (Fault::status(502), "reachable bad".to_owned()),
        (Fault::reset(), "reachable bad".to_owned()),
        (Fault::silence(), "reachable bad".to_owned()),
    ] {
        let relay = relay();
        let name = format!("{fault:?}");
        relay.inject(fault);
        let ran = examine(&relay.endpoint());
        assert_eq!(states(&ran), expected, "{name}");
        assert_eq!(ran.code, 1, "{name}");
    }
    assert_eq!(states(&examine("http://127.0.0.1:9")), "reachable bad");
    // No second remedy beside that of the error, which knows more.
    let relay = relay();
    let https = relay.endpoint().replace("http:", "https:");
    for (endpoint, found) in [
        (&*https, "does not speak TLS; use `http://`?"),
        ("http://127.0.0.1:9", "is a relay proxy running there"),
        ("http://no-such-host.invalid", "check its name"),
    ] {
        let ran = examine(endpoint);
        ran.has(1, &[found]);
        assert!(ran.json()[0]["remedy"].is_null(), "{ran:?}");
    }
}

/// The date of the answers decides.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_differs_is_found() {
    let now = SystemTime::now();
    for (date, expected) in [
        (
            Some(now + Duration::from_secs(60)),
            ("clock bad", "ahead of the clock"),
        ),
        (
            Some(now - Duration::from_secs(60)),
            ("clock bad", "behind the clock"),
        ),
        (Some(now), ("clock good", "the same as here")),
        (None, ("clock unknown", "no date")),
    ] {
        let body = r#"{"flags":{}}"#;
        let date = date.map(httpdate::fmt_http_date);
        let headers: Vec<_> = date.iter().map(|date| ("Date", date.as_str())).collect();
        let answer = Answer::with_headers(200, &headers, body);
        let server = FaultyServer::start(vec![answer; 12]).await.unwrap();
        let url = server.url();
        let ran = tokio::task::spawn_blocking(move || examine(&url))
            .await
            .unwrap();
        let (state, part) = expected;
        assert!(
            states(&ran).contains(state) && ran.stdout.contains(part),
            "{ran:?}"
        );
    }
}
