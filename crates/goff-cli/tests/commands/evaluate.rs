//! `goff evaluate`.

use std::time::Duration;

use goff_testkit::{EmbeddedRelay, Fault, RelayEndpoint};

use crate::FLAGS;
use crate::goff::Goff;
use crate::terminal::on_terminal;

#[test]
fn a_session() {
    let mut goff = Goff::with(&[("flags.yaml", FLAGS)]);
    goff.show("cat flags.yaml").has(0, &[]);
    goff.show("goff evaluate -f flags.yaml new-checkout -u user-1 -c plan=pro -c age=42")
        .has(
            0,
            &["new-checkout: true", "TARGETING_MATCH", "pro-customers"],
        );
    goff.show("goff evaluate -f flags.yaml --all -u user-1 --at 2026-12-24")
        .has(0, &["winter", "SPLIT"]);
    let ran = goff.show("goff evaluate -f flags.yaml new-checkout -u user-2 --json");
    assert_eq!(ran.json()["value"], false);
    goff.show("goff evaluate -f flags.yaml no-such-flag")
        .has(1, &["FLAG_NOT_FOUND"]);
    goff.document("evaluate");
}

/// The embedded relay proxy evaluates the same file.
#[test]
fn a_relay_proxy_gives_the_same_answers_as_its_file() {
    let disabled = "\noff: {disable: true, variations: {on: true}, defaultRule: {variation: on}}\n";
    let goff = Goff::with(&[("flags.yaml", &*(FLAGS.to_owned() + disabled))]);
    let relay = EmbeddedRelay::builder()
        .flag_file(goff.path("flags.yaml"))
        .api_key("secret")
        .start()
        .unwrap();
    let from = format!(
        "GOFF_API_KEY=secret goff evaluate --json --endpoint {}",
        relay.endpoint()
    );
    let arguments = [
        "new-checkout -u user-1 -c plan=pro -c age=42",
        "new-checkout -u user-1 -c '{\"plan\": \"pro\", \"age\": \"42\"}'",
        "new-checkout -u user-7",
        "banner --at 2026-12-24",
        "banner --at 2026-11-30T23:59:59Z",
        "off",
        "--all -u user-1 --at 2026-12-24",
    ];
    for arguments in arguments {
        let of_file = goff.run(&format!("goff evaluate --json -f flags.yaml {arguments}"));
        let of_relay = goff.run(&format!("{from} {arguments}"));
        let (expected, answered) = (of_file.has(0, &[]).json(), of_relay.has(0, &[]).json());
        assert_eq!(answered, expected, "{arguments}");
    }
    let unknown = goff.run(&format!("{from} no-such-flag"));
    assert_eq!(unknown.has(1, &[]).json()["errorCode"], "FLAG_NOT_FOUND");
    // The same request without the key.
    let refused = goff.run(&format!(
        "goff evaluate --endpoint {} banner",
        relay.endpoint()
    ));
    refused.has(2, &["401", "goff doctor"]);
}

#[test]
fn contexts_come_from_a_file_an_object_and_attributes() {
    let goff = Goff::with(&[
        ("flags.yaml", FLAGS),
        (
            "context.json",
            r#"{"targetingKey": "user-1", "plan": "free", "age": 42}"#,
        ),
    ]);
    for (context, expected) in [
        ("-c @context.json", "SPLIT"),
        ("-c @context.json -c plan=pro", "TARGETING_MATCH"),
        (
            "-c @context.json -c '{\"plan\": \"pro\"}'",
            "TARGETING_MATCH",
        ),
        ("-c plan=pro -c @context.json", "SPLIT"),
        ("-u u -c plan=pro -c age='\"42\"'", "SPLIT"),
    ] {
        let ran = goff.run(&format!(
            "goff evaluate --json -f flags.yaml new-checkout {context}"
        ));
        assert_eq!(ran.json()["reason"], expected, "{context}");
    }
}

#[test]
fn an_invalid_flag_is_left_out_with_a_warning() {
    let goff = Goff::with(&[(
        "flags.yaml",
        &format!("{FLAGS}\nbad: {{variations: {{a: 1}}}}\n"),
    )]);
    goff.run("goff evaluate -f flags.yaml banner").has(
        0,
        &[
            "warning: flags.yaml: line 27",
            "flag `bad`",
            "leaves it out",
        ],
    );
    goff.run("goff evaluate -f flags.yaml bad")
        .has(1, &["FLAG_NOT_FOUND"]);
}

#[test]
fn a_watched_file_is_evaluated_anew() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let mut watch = goff.start("goff evaluate -f flags.yaml banner --watch --json");
    let line = watch.line("banner");
    let first = r#"{"flag":"banner","value":"Sunny days!","variant":"summer","reason":"STATIC"}"#;
    assert_eq!(line, first);
    // A change that does not concern the answer prints nothing, a broken file a complaint.
    goff.write("flags.yaml", FLAGS.replace("Let it snow", "Snow"));
    goff.write("flags.yaml", "banner: [");
    watch.line("error: flags.yaml: line");
    goff.write("flags.yaml", FLAGS.replace("Sunny", "Rainy"));
    watch.line("Rainy days!");
    assert_eq!(
        watch.read().matches("\"banner\"").count(),
        2,
        "{}",
        watch.read()
    );
}

#[test]
fn a_watched_relay_proxy_is_asked_anew_when_it_announces_a_change() {
    let goff = Goff::with(&[]);
    let relay = EmbeddedRelay::builder().flags(FLAGS).start().unwrap();
    let line = format!(
        "goff evaluate --endpoint {} banner --watch --json",
        relay.endpoint()
    );
    let mut watch = goff.start(&line);
    watch.line("Sunny days!");
    relay.set_flags(&FLAGS.replace("Sunny", "Rainy")).unwrap();
    watch.line("Rainy days!");
    relay
        .set_flags("other: {variations: {a: 1}, defaultRule: {variation: a}}")
        .unwrap();
    watch.line("FLAG_NOT_FOUND");
}

#[test]
fn each_time_that_a_watched_file_is_missing_is_told() {
    let goff = Goff::with(&[("flags.yaml", FLAGS)]);
    let mut watch = goff.start("goff evaluate -f flags.yaml banner --watch --json --at 2026-11-01");
    watch.line("Sunny");
    let missing = "error: flags.yaml: cannot be read";
    let remove = || std::fs::remove_file(goff.path("flags.yaml")).unwrap();
    for round in ["Rainy", "Windy"] {
        remove();
        watch.line(missing);
        goff.write("flags.yaml", FLAGS.replace("Sunny", round));
        watch.line(round);
    }
    remove();
    watch.line(missing);
    // The same content is back, which prints nothing, for longer and longer until that is noticed.
    let is_told = (1..10).any(|round| {
        goff.write("flags.yaml", FLAGS.replace("Sunny", "Windy"));
        std::thread::sleep(Duration::from_millis(300) * round);
        remove();
        watch.line_within(missing, Duration::from_secs(1)).is_some()
    });
    assert!(is_told, "{}", watch.read());
}

#[test]
fn a_watched_relay_proxy_without_a_stream_is_asked_again() {
    let goff = Goff::with(&[]);
    let relay = EmbeddedRelay::builder().flags(FLAGS).start().unwrap();
    relay.inject(Fault::status(404).on(RelayEndpoint::ChangeStream));
    let endpoint = relay.endpoint();
    let mut watch = goff.start(&format!(
        "goff evaluate --endpoint {endpoint} banner --watch --json --at 2026-11-01"
    ));
    watch.line("warning: the change stream does not work");
    relay.set_flags(&FLAGS.replace("Sunny", "Rainy")).unwrap();
    watch.line("Rainy days!");
}

/// What JSON says is the same for a pipe and a terminal, and harmless on the latter.
#[test]
fn json_keeps_control_characters() {
    let flags = "f: {variations: {a: \"x\\x7f\\e[1m\\x9by\"}, defaultRule: {variation: a}}\n";
    let goff = Goff::with(&[("flags.yaml", flags)]);
    let ran = goff.run("goff evaluate -f flags.yaml f --json");
    assert_eq!(ran.has(0, &[]).json()["value"], "x\u{7f}\u{1b}[1m\u{9b}y");
    let arguments = ["evaluate", "-f", "flags.yaml", "f", "--json"];
    let printed = on_terminal(&goff, &arguments, &[]);
    let is_harmless = |c: char| !c.is_control() || matches!(c, '\r' | '\n');
    assert!(printed.chars().all(is_harmless), "{printed:?}");
}

/// A key that everyone on the way can read.
#[test]
fn a_key_over_plain_http_is_warned_of() {
    let goff = Goff::with(&[]);
    for (endpoint, warns) in [("http://192.0.2.1:9", true), ("http://127.0.0.1:9", false)] {
        for command in ["evaluate f", "doctor"] {
            let ran = goff.run(&format!(
                "GOFF_API_KEY=secret goff {command} --timeout 100ms --endpoint {endpoint}"
            ));
            let is_warned = ran.stderr.contains("warning: the API key");
            assert_eq!(is_warned, warns, "{command} {ran:?}");
            assert!(!ran.stderr.contains("secret"), "{ran:?}");
        }
    }
}
