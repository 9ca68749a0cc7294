//! The log lines and errors in `docs/operating/`: each situation is really tried, and what the
//! client says is compared with the committed text. To write the text anew after a change:
//!
//! ```text
//! GOFF_WRITE_DOCS=1 cargo test -p goff-client --all-features --test operating_docs
//! ```
//!
//! A separate test binary: it captures what the process logs.
#![cfg(all(feature = "ws", feature = "file", feature = "tls"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod log_table;
mod place;
mod story;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use goff_client::{EvaluationContext, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions};
use goff_testkit::{Answer, FaultyServer, RecordingLog};

use crate::place::{CHANGED_FLAGS, FAILURES, Place, faulty, place, relay};
use crate::story::{PATIENCE, Story, normal};

async fn evaluate(goff: &GoFeatureFlag, user: &str) -> Option<String> {
    let context = EvaluationContext::builder().targeting_key(user).build();
    let details = goff.evaluate("new-checkout", &context, false).await;
    let error = details.error()?;
    Some(format!(
        "`{}` | {}",
        error.code(),
        normal(&error.to_string())
    ))
}

/// The error of the change stream, which is logged before the status has it.
async fn stream_error(goff: &GoFeatureFlag) -> String {
    let known = async {
        loop {
            if let Some(error) = goff.status().last_error {
                return error.to_string();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.unwrap()
}

async fn shut_down(goff: &GoFeatureFlag, story: &mut Story) {
    goff.shutdown(Duration::from_secs(5)).await;
    story.step("shutdown", &["client shut down"]).await;
}

async fn normal_day(log: &RecordingLog, mode: EvaluationType) -> String {
    let mut story = Story::begin(log);
    let place = Place::relay(relay());
    let options = place.options(mode).cache_ttl(Duration::from_secs(300));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    story.step("start", started(mode)).await;
    for user in ["a", "b", "a", "b"] {
        assert_eq!(evaluate(&goff, user).await, None);
    }
    place
        .relay
        .as_ref()
        .unwrap()
        .set_flags(CHANGED_FLAGS)
        .unwrap();
    let changed: &[&str] = match mode {
        EvaluationType::Remote => &["flags changed"],
        EvaluationType::InProcess => &["flags changed", "configuration loaded"],
    };
    story
        .step("evaluations, and a change of two flags", changed)
        .await;
    shut_down(&goff, &mut story).await;
    story.end()
}

fn started(mode: EvaluationType) -> &'static [&'static str] {
    match mode {
        EvaluationType::Remote => &["client started", "change stream open"],
        EvaluationType::InProcess => &["change stream open", "configuration loaded"],
    }
}

fn failing(mode: EvaluationType) -> &'static [&'static str] {
    match mode {
        EvaluationType::Remote => &["evaluations fail", "change stream unavailable"],
        EvaluationType::InProcess => &["configuration refresh failed", "change stream unavailable"],
    }
}

fn over(mode: EvaluationType) -> &'static [&'static str] {
    match mode {
        EvaluationType::Remote => &["answered again", "change stream open"],
        EvaluationType::InProcess => &["loads again", "change stream open"],
    }
}

/// Evaluates until the relay proxy has answered.
async fn answered(goff: &GoFeatureFlag) {
    let answered = async {
        while evaluate(goff, "new").await.is_some() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, answered).await.unwrap();
}

async fn down_at_start(log: &RecordingLog, mode: EvaluationType) -> String {
    let mut story = Story::begin(log);
    let place = Place::relay(relay());
    let relay = place.relay.as_ref().unwrap();
    relay.stop().unwrap();
    let goff = GoFeatureFlag::connect(place.options(mode)).await.unwrap();
    evaluate(&goff, "a").await.unwrap();
    story.step("start", failing(mode)).await;
    relay.start().unwrap();
    answered(&goff).await;
    story.step("the relay proxy is started", over(mode)).await;
    shut_down(&goff, &mut story).await;
    story.end()
}

async fn restarted(log: &RecordingLog, mode: EvaluationType) -> String {
    let mut story = Story::begin(log);
    let place = Place::relay(relay());
    let relay = place.relay.as_ref().unwrap();
    let interval = Duration::from_secs(2);
    let options = place.options(mode).flag_change_polling_interval(interval);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    story.step("start", started(mode)).await;
    // A stream that ends in its first second is reported with that end. Sockets know no paused clock.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    relay.stop().unwrap();
    let is_remote = mode == EvaluationType::Remote;
    assert_eq!(evaluate(&goff, "a").await.is_some(), is_remote);
    let killed = match mode {
        EvaluationType::Remote => {
            "the relay proxy is killed, and a flag that is not cached is evaluated"
        }
        EvaluationType::InProcess => "the relay proxy is killed",
    };
    story.step(killed, failing(mode)).await;
    relay.start().unwrap();
    answered(&goff).await;
    story
        .step("the relay proxy is started again", over(mode))
        .await;
    shut_down(&goff, &mut story).await;
    story.end()
}

/// The log, and the errors of an evaluation while the circuit is closed and while it is open.
async fn hanging(log: &RecordingLog) -> (String, [String; 2]) {
    let mut story = Story::begin(log);
    let place = Place::relay(relay());
    let relay = place.relay.as_ref().unwrap();
    let options = place.options(EvaluationType::Remote);
    let options = options.timeout(Duration::from_secs(1));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    story.step("start", started(EvaluationType::Remote)).await;
    // As in `restarted`.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    relay.pause().unwrap();
    let closed = evaluate(&goff, "a").await.unwrap();
    let open = async {
        loop {
            let error = evaluate(&goff, "b").await.unwrap();
            if error.contains("next try") {
                return error;
            }
            // While the circuit is open and another request tries.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let open = tokio::time::timeout(PATIENCE, open).await.unwrap();
    let what = "the relay proxy hangs, and one caller evaluates flags that are not cached";
    let failing = failing(EvaluationType::Remote).iter();
    let failing: Vec<_> = failing.chain(&["does not answer"]).copied().collect();
    story.step(what, &failing).await;
    relay.resume();
    answered(&goff).await;
    let over = over(EvaluationType::Remote);
    story.step("the relay proxy answers again", over).await;
    goff.shutdown(Duration::from_secs(5)).await;
    (story.end(), [closed, open])
}

/// Errors of evaluations that need no failure of the whole relay proxy.
async fn further_errors([hanging, circuit_open]: [String; 2]) -> String {
    let error = async |goff: &GoFeatureFlag| evaluate(goff, "a").await.unwrap();
    let place = faulty(Answer::with_headers(429, &[("retry-after", "30")], "")).await;
    let options = place.options(EvaluationType::Remote);
    let limited = GoFeatureFlag::connect(options.clone()).await.unwrap();
    let control = || vec![("authorization".to_owned(), "two\nlines".to_owned())];
    let unsendable = GoFeatureFlag::connect(options.header_provider(control));
    let refusing = FaultyServer::refusing_url().await.unwrap();
    let options = GoFeatureFlagOptions::new(refusing).evaluation_type(EvaluationType::InProcess);
    let not_loaded = GoFeatureFlag::connect(options.clone()).await.unwrap();
    let refused = place_options("Wrong key", EvaluationType::InProcess).await;
    let refused = GoFeatureFlag::new(refused.1).unwrap();
    refused.initialize().await.unwrap_err();
    let rows = [
        ("Remote: the relay proxy hangs", hanging),
        ("Remote: … and the circuit is open", circuit_open),
        ("Remote: too many requests", error(&limited).await),
        (
            "Remote: … with `Retry-After`, afterwards",
            error(&limited).await,
        ),
        (
            "Remote: a header of `header_provider` that cannot be sent",
            error(&unsendable.await.unwrap()).await,
        ),
        ("In process: flags not loaded yet", error(&not_loaded).await),
        (
            "In process: the relay proxy refused the key",
            error(&refused).await,
        ),
        (
            "Not initialized",
            error(&GoFeatureFlag::new(options).unwrap()).await,
        ),
    ];
    let row = |(situation, error)| format!("| {situation} | {error} |\n");
    rows.into_iter().map(row).collect()
}

async fn place_options(situation: &str, mode: EvaluationType) -> (Place, GoFeatureFlagOptions) {
    let place = place(situation).await;
    let options = place.options(mode).timeout(Duration::from_secs(1));
    (place, options)
}

/// The errors of checks.
async fn checks() -> String {
    let limit = Duration::from_secs(1);
    let mut rows = String::new();
    for situation in FAILURES.into_iter().chain(["A relay proxy that hangs"]) {
        let (place, options) = match situation {
            "A relay proxy that hangs" => {
                let place = faulty(Answer::nothing().then_silence()).await;
                let options = place.options(EvaluationType::Remote);
                (place, options)
            }
            failure => place_options(failure, EvaluationType::Remote).await,
        };
        let goff = GoFeatureFlag::new(options.clone()).unwrap();
        let error = goff.check(limit).await.error.unwrap().to_string();
        // `connect_checked` says the same.
        let refused = GoFeatureFlag::connect_checked(options, limit).await;
        let refused = refused.unwrap_err().to_string();
        assert_eq!(refused, format!("flags cannot be evaluated: {error}"));
        let (error, url) = (normal(&error), normal(&place.url));
        assert!(error.contains(url.trim_end_matches("/flags")), "{error}");
        writeln!(rows, "| {situation} | {error} |").unwrap();
    }
    let file = GoFeatureFlagOptions::from_file("/absent/flags.yaml");
    let goff = GoFeatureFlag::connect(file).await.unwrap();
    let error = goff.check(limit).await.error.unwrap();
    writeln!(rows, "| Flag file that does not exist | {error} |").unwrap();
    rows
}

/// The log in both modes, and the rows of the tables of errors.
async fn failure(log: &RecordingLog, situation: &str) -> (String, String, String) {
    let place = place(situation).await;
    let mut remote = Story::begin(log);
    let goff = GoFeatureFlag::connect(place.options(EvaluationType::Remote))
        .await
        .unwrap();
    let error = evaluate(&goff, "a").await.unwrap();
    remote
        .step("start, and an evaluation", failing(EvaluationType::Remote))
        .await;
    let stream = normal(&stream_error(&goff).await);
    shut_down(&goff, &mut remote).await;
    let is_connection = !error.contains("answer");
    if is_connection {
        // One cause has one wording.
        let cause = error.split(" | ").nth(1).unwrap();
        assert_eq!(
            stream,
            format!("change stream down: {cause}"),
            "{situation}"
        );
    }

    let mut in_process = Story::begin(log);
    let options = place.options(EvaluationType::InProcess);
    let goff = GoFeatureFlag::new(options).unwrap();
    let (outcome, expected) = match goff.initialize().await {
        Ok(()) => {
            let error = goff.status().last_error.unwrap();
            (error.to_string(), failing(EvaluationType::InProcess))
        }
        Err(error) => (error.to_string(), ["refused, not trying again"].as_slice()),
    };
    in_process.step("start", expected).await;
    goff.shutdown(Duration::from_secs(5)).await;
    let log = format!(
        "Remote:\n\n{}\nIn process:\n\n{}",
        remote.end(),
        in_process.end()
    );
    let outcome = normal(&outcome);
    (
        log,
        format!("| {situation} | {error} |\n"),
        format!("| {situation} | {outcome} |\n| … the change stream | {stream} |\n"),
    )
}

/// Errors of single evaluations, which are the same in both modes.
async fn evaluation_errors() -> String {
    let mut rows = String::new();
    let mut seen: Vec<String> = Vec::new();
    for mode in [EvaluationType::Remote, EvaluationType::InProcess] {
        let place = Place::relay(relay());
        let goff = GoFeatureFlag::connect(place.options(mode)).await.unwrap();
        let context = EvaluationContext::builder().targeting_key("a").build();
        let unknown = goff.evaluate("no-such-flag", &context, false).await;
        let other_type = goff.evaluate("greeting", &context, 1_i64).await;
        goff.shutdown(Duration::from_secs(5)).await;
        let after = goff.evaluate("greeting", &context, String::new()).await;
        let errors = [
            ("Unknown flag", unknown.error()),
            ("Flag of another type", other_type.error()),
            ("After the shutdown", after.error()),
        ];
        for (situation, error) in errors {
            let error = error.unwrap();
            let row = format!("| {situation} | `{}` | {error} |\n", error.code());
            match mode {
                EvaluationType::Remote => seen.push(row.clone()),
                _ => assert!(seen.contains(&row), "{row} {seen:?}"),
            }
        }
    }
    rows.extend(seen);
    rows
}

/// Compares the text between `<!-- name -->` and `<!-- end -->` with `text`, or replaces it.
fn check(file: &str, sections: &[(String, String)]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating");
    let path = path.join(file);
    let committed = fs::read_to_string(&path).unwrap();
    let mut written = committed.clone();
    for (name, text) in sections {
        let begin = format!("<!-- {name} -->\n");
        let start = written.find(&begin).map(|at| at + begin.len());
        let start = start.unwrap_or_else(|| panic!("{file} has no section `{name}`"));
        let end = start + written.get(start..).unwrap().find("<!-- end -->").unwrap();
        written.replace_range(start..end, &format!("\n{text}\n"));
    }
    if std::env::var_os("GOFF_WRITE_DOCS").is_some() {
        fs::write(&path, &written).unwrap();
    } else if written != committed {
        let changed = written.lines().zip(committed.lines());
        let (new, old) = changed
            .into_iter()
            .find(|(new, old)| new != old)
            .unwrap_or_default();
        panic!("{file} is out of date; set GOFF_WRITE_DOCS=1\nnow: {new}\nwas: {old}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documented_logs_and_errors_are_what_the_client_says() {
    let log = RecordingLog::of("goff_");
    tracing::subscriber::set_global_default(log.clone()).unwrap();
    let mut logs = Vec::new();
    for (name, mode) in [
        ("remote", EvaluationType::Remote),
        ("in process", EvaluationType::InProcess),
    ] {
        let mut add = |situation: &str, text: String| {
            logs.push((format!("{situation}, {name}"), text));
        };
        add("Normal day", normal_day(&log, mode).await);
        add("Relay proxy down at start", down_at_start(&log, mode).await);
        add("Relay proxy restarted", restarted(&log, mode).await);
    }
    let (mut failures, mut remote, mut in_process) = (String::new(), String::new(), String::new());
    for situation in FAILURES {
        let (log, evaluation, start) = failure(&log, situation).await;
        write!(failures, "### {situation}\n\n{log}\n").unwrap();
        remote += &evaluation;
        in_process += &start;
    }
    logs.push(("Failures".to_owned(), failures.trim_end().to_owned() + "\n"));
    let (hanging, hanging_errors) = hanging(&log).await;
    logs.push(("Relay proxy that hangs".to_owned(), hanging));
    check("logs.md", &logs);
    let remote = format!("| situation | code | message |\n|---|---|---|\n{remote}");
    let in_process =
        format!("| situation | `last_error`, or the error of `connect` |\n|---|---|\n{in_process}");
    let evaluations = format!(
        "| situation | code | message |\n|---|---|---|\n{}",
        evaluation_errors().await
    );
    let sections = [
        ("Remote evaluation".to_owned(), remote),
        ("In-process evaluation".to_owned(), in_process),
        ("Both modes".to_owned(), evaluations),
        (
            "Further errors".to_owned(),
            format!(
                "| situation | code | message |\n|---|---|---|\n{}",
                further_errors(hanging_errors).await
            ),
        ),
        (
            "Checks".to_owned(),
            format!("| situation | message |\n|---|---|\n{}", checks().await),
        ),
    ];
    check("errors.md", &sections);
}
