//! With default options no personal data, and no value of a flag, appears in a log line or span of
//! any level, in either mode.
//!
//! A separate test binary: it captures everything that the process logs, through `tracing` and
//! through `log`, dependencies included.
#![cfg(all(feature = "http", feature = "in-process"))]

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use goff_provider::native::EvaluationContext;
use goff_provider::{EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider};
use goff_testkit::{Answer, EmbeddedRelay, FaultyServer, RecordingLog};
use open_feature::OpenFeature;

/// In the targeting key, attributes, defaults, tracking events, and texts of servers that quote them.
const PERSONAL: &str = "p3rsonal";
/// In the values of flags.
const VALUE: &str = "s3rved";
const MODES: [EvaluationType; 2] = [EvaluationType::Remote, EvaluationType::InProcess];

static CAPTURED: Mutex<String> = Mutex::new(String::new());

struct CaptureLog;

impl log::Log for CaptureLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {}\n", record.target(), record.args());
        let mut captured = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner);
        captured.push_str(&line);
    }

    fn flush(&self) {}
}

const FLAGS: &str = r#"
targeted:
  variations: {a: s3rved-a, b: s3rved-b}
  targeting: [{query: email co "@example", variation: b}]
  defaultRule: {variation: a}
split:
  bucketingKey: team
  variations: {a: s3rved-a, b: s3rved-b}
  defaultRule: {percentage: {a: 50, b: 50}}
"#;

fn context() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("p3rsonal-key")
        .attribute("email", "p3rsonal@example.org")
        .attribute("nested", serde_json::json!({"name": [PERSONAL]}))
        .build()
}

async fn use_it(endpoint: String, mode: EvaluationType) {
    let options = GoFeatureFlagOptions::new(endpoint).evaluation_type(mode);
    let Ok(goff) = GoFeatureFlag::new(options) else {
        unreachable!("the options are valid");
    };
    // May fail: loading is retried.
    let _ = goff.initialize().await;
    for flag in ["targeted", "split", "no-such-flag"] {
        goff.evaluate(flag, &context(), PERSONAL.to_owned()).await;
        goff.evaluate(flag, &context(), false).await;
    }
    goff.evaluate_all(&context()).await.ok();
    let tracked = [("name".to_owned(), PERSONAL.into())];
    let _ = goff.track("checkout", &context(), tracked.into_iter().collect());
    let not_finite = EvaluationContext::builder()
        .targeting_key("p3rsonal-key")
        .attribute("rate", f64::NAN);
    goff.evaluate("targeted", &not_finite.build(), false).await;

    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    let context = open_feature::EvaluationContext::default()
        .with_targeting_key("p3rsonal-key")
        .with_custom_field("email", "p3rsonal@example.org");
    let client = api.create_client();
    for flag in ["targeted", "split", "no-such-flag"] {
        let _ = client.get_string_details(flag, Some(&context), None).await;
        let _ = client.get_bool_details(flag, Some(&context), None).await;
    }
    goff.shutdown(Duration::from_secs(5)).await;
}

/// Answers that quote what they were sent, or the value of a flag.
fn quoting() -> [Answer; 9] {
    [
        Answer::new(400, r#"{"message":"p3rsonal is invalid"}"#),
        Answer::new(400, r#"{"errorCode":"GENERAL","errorDetails":"p3rsonal"}"#),
        Answer::new(
            404,
            r#"{"errorCode":"FLAG_NOT_FOUND","errorDetails":"p3rsonal"}"#,
        ),
        Answer::new(500, r#"{"message":"p3rsonal"}"#),
        Answer::new(500, PERSONAL),
        Answer::new(
            200,
            r#"{"reason":"ERROR","errorCode":"GENERAL","errorDetails":"p3rsonal"}"#,
        ),
        Answer::new(200, r#"{"value":true,"reason":{"p3rsonal":1}}"#),
        Answer::new(
            200,
            r#"{"value":true,"reason":"STATIC","trackEvents":"p3rsonal"}"#,
        ),
        Answer::new(200, r#"{"value":"s3rved","reason":"STATIC"}"#),
    ]
}

#[tokio::test]
async fn no_personal_data_is_logged() {
    let tracing = RecordingLog::default();
    tracing::subscriber::set_global_default(tracing.clone()).unwrap();
    log::set_logger(&CaptureLog).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    log::trace!("capturing log works");

    for mode in MODES {
        let relay = EmbeddedRelay::builder().flags(FLAGS).start().unwrap();
        let options = GoFeatureFlagOptions::new(relay.endpoint()).evaluation_type(mode);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let details = goff.evaluate("targeted", &context(), String::new()).await;
        assert_eq!(details.value, "s3rved-b", "the value is there to be logged");
        let mut events = goff.subscribe();
        while relay.change_streams() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        relay.set_flags(&FLAGS.replace("-a,", "-c,")).unwrap();
        let changed = tokio::time::timeout(Duration::from_secs(20), events.next());
        assert!(changed.await.unwrap().is_some());
        use_it(relay.endpoint(), mode).await;
        relay.stop().unwrap();
        use_it(relay.endpoint(), mode).await;
        goff.shutdown(Duration::from_secs(1)).await;
    }
    for answer in quoting() {
        let server = FaultyServer::start([answer]).await.unwrap();
        use_it(server.url(), EvaluationType::Remote).await;
        let requests = server.requests();
        let body = requests.iter().find(|request| request.method == "POST");
        let body = String::from_utf8_lossy(&body.unwrap().body).into_owned();
        assert!(body.contains(PERSONAL), "the request has the data: {body}");
    }

    for (_, line) in tracing.lines() {
        let mut captured = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner);
        captured.push_str(&line);
        captured.push('\n');
    }
    let captured = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner);
    for part in [
        "capturing log works",
        "relay proxy request",
        "evaluations fail",
        "flags changed",
    ] {
        assert!(captured.contains(part), "{part}: {captured}");
    }
    // At TRACE, tungstenite logs the messages of the change stream, which contain whole flags.
    let is_shown = |line: &&str| {
        line.contains(PERSONAL) || line.contains(VALUE) && !line.starts_with("tungstenite")
    };
    let found: Vec<_> = captured.lines().filter(is_shown).collect();
    assert!(found.is_empty(), "{found:#?}");
}
