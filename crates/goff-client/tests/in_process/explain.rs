//! Explanations, in process and over a relay proxy.

use std::ops::ControlFlow;

use goff_client::LocalFlags;
use goff_core::{AttributeRef, ContextView};

use crate::*;

/// Explains a flag for a user of 17 years.
async fn explained(goff: &GoFeatureFlag, flag: &str) -> goff_client::Explanation {
    let context = EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("age", 17)
        .build();
    goff.explain(flag, &context).await.unwrap()
}

fn adults() -> Value {
    json!({
        "variations": {"on": true, "off": false},
        "targeting": [{"query": "age ge 18", "variation": "on"}],
        "defaultRule": {"variation": "off"},
    })
}

#[tokio::test]
async fn an_explanation_has_the_flags_of_the_client_and_records_nothing() {
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!({"adults": adults()}), None);
    let remote = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()));
    for options in [options(&relay), remote] {
        let goff = connect(options).await;
        let explanation = explained(&goff, "adults").await;
        assert_eq!(explanation.value, false);
        assert_eq!(explanation.reason.as_str(), "DEFAULT");
        assert_eq!(
            explanation.rules[0].conditions[0].why,
            "`age` is the number 17, which is less than 18"
        );
        let unknown = explained(&goff, "unknown").await;
        assert_eq!(unknown.error.unwrap().code.as_str(), "FLAG_NOT_FOUND");
        if let Some(local) = goff.local() {
            let local = local.explain("adults", &context()).unwrap();
            assert_eq!(local.flag, "adults");
        }
        let report = goff.shutdown(TIMEOUT).await;
        assert_eq!(report.recorded, 0);
        let error = goff.explain("adults", &context()).await.unwrap_err();
        assert_eq!(error.code(), ErrorCode::ProviderNotReady);
    }
}

#[tokio::test]
async fn an_explanation_sees_the_enrichment_and_the_exporter_metadata() {
    let relay = ScriptedRelay::new();
    let flag = json!({
        "variations": {"on": true, "off": false},
        "targeting": [{"query": "gofeatureflag.exporterMetadata.team eq \"checkout\"", "variation": "on"}],
        "defaultRule": {"variation": "off"},
    });
    relay.set_flags(&json!({"flag": flag}), None);
    let options = options(&relay).exporter_metadata("team", "checkout");
    let goff = connect(options).await;
    assert_eq!(explained(&goff, "flag").await.value, true);
}

/// The flags are no object.
#[tokio::test]
async fn without_a_configuration_there_is_no_explanation() {
    let relay = ScriptedRelay::new();
    relay.set_flags(&json!([]), None);
    let goff = connect(GoFeatureFlagOptions::with_relay_client(Arc::new(relay))).await;
    let error = goff.explain("flag", &context()).await.unwrap_err();
    assert!(
        error.to_string().contains("expected an object of flags"),
        "{error}"
    );
}

/// A context of the application that panics where flags read it.
#[derive(Debug)]
struct Panicking;

impl ContextView for Panicking {
    fn targeting_key(&self) -> Option<&str> {
        Some("user-1")
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        // Usage data reads it.
        assert_eq!(name, "anonymous", "read on purpose");
        None
    }

    fn visit<'s>(
        &'s self,
        _: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Also where the client knows more than the engine: a variation that is missing, `needs`, a flag
/// that is left out, a context that panics or cannot be read.
#[tokio::test]
async fn an_explanation_ends_as_the_evaluation() {
    let relay = ScriptedRelay::new();
    let missing = json!([{"date": "2020-01-01T00:00:00Z", "defaultRule": {"variation": "gone"}}]);
    relay.set_flags(
        &json!({
            "adults": adults(),
            "disabled": with(giving(1), "disable", true),
            "null": null_since_a_step(),
            "missing": with(giving(1), "scheduledRollout", missing),
            "needy": with(giving(1), "needs", json!([{"flag": "adults"}])),
            "endless": without_answer(),
            "general": general(),
            "broken": {"disable": "yes"},
            "left-out": {"variations": {"A": 1}},
        }),
        None,
    );
    let goff = connect(options(&relay)).await;
    let local = goff.local().unwrap();
    let flags = LocalFlags::from_flags(&json!({"adults": adults()}).to_string()).unwrap();
    let check = |flags: &LocalFlags, flag: &str, context: &dyn ContextView| {
        let explanation = flags.explain(flag, context).unwrap();
        let details = flags.evaluate(flag, context, Value::Null);
        let expected = details.error().map(|error| {
            let code = error.code().as_str().to_owned();
            (code, error.to_string())
        });
        let error = explanation.error.as_ref();
        let error = error.map(|error| (error.code.as_str().to_owned(), error.message.clone()));
        assert_eq!(error, expected, "{flag}");
        assert_eq!(explanation.value, details.value, "{flag}");
        let reason = details.reason().as_str();
        assert_eq!(explanation.reason.as_str(), reason, "{flag}");
        let variant = details.variant().unwrap_or("SdkDefault");
        assert_eq!(explanation.variant, variant, "{flag}");
        assert_eq!(explanation.flag, flag);
        expected.map_or(String::new(), |(code, _)| code)
    };
    for (flag, code) in [
        ("adults", ""),
        ("disabled", ""),
        ("null", ""),
        ("missing", "FLAG_CONFIG"),
        ("needy", "GENERAL"),
        ("endless", "FLAG_CONFIG"),
        ("general", "GENERAL"),
        ("broken", "PARSE_ERROR"),
        ("left-out", "FLAG_NOT_FOUND"),
        ("unknown", "FLAG_NOT_FOUND"),
    ] {
        assert_eq!(check(&local, flag, &context()), code, "{flag}");
    }
    for flags in [&local, &flags] {
        let unreadable = having("age", f64::NAN);
        assert_eq!(check(flags, "adults", &unreadable), "INVALID_CONTEXT");
        assert_eq!(check(flags, "adults", &Panicking), "GENERAL");
    }
    let missing = local.explain("missing", &context()).unwrap();
    assert!(missing.variant_missing);
    assert!(
        missing
            .to_string()
            .contains("error FLAG_CONFIG: flag `missing` serves variation `gone`"),
        "{missing}"
    );
    // Nor does the panic reach the caller of the client.
    let panicked = goff.explain("adults", &Panicking).await.unwrap();
    assert_eq!(panicked.error.unwrap().code.as_str(), "GENERAL");
}
