//! A custom view that wraps a context and overrides one of its attributes.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use goff_client::{
    ContextView, ErrorCode, EvaluationContext, EvaluationDetails, GoFeatureFlag,
    GoFeatureFlagOptions, Reason, Resolution,
};
use goff_core::AttributeRef;
use goff_testkit::ScriptedRelay;
use serde_json::{Map, Value, json};

/// Delegates the required methods and overrides the attribute `plan`.
#[derive(Debug)]
struct WithPlan<'a> {
    inner: &'a EvaluationContext,
    plan: &'a str,
}

impl ContextView for WithPlan<'_> {
    fn targeting_key(&self) -> Option<&str> {
        self.inner.targeting_key()
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        if name == "plan" {
            return Some(AttributeRef::Text(self.plan.into()));
        }
        self.inner.attribute(name)
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.inner.visit(&mut |name, attribute| {
            if name == "plan" {
                visitor(name, AttributeRef::Text(self.plan.into()))
            } else {
                visitor(name, attribute)
            }
        })
    }
}

/// A view with one attribute, which may be nested as deep as the application's memory allows.
#[derive(Debug)]
struct Deep(&'static str, Value);

impl Deep {
    fn levels(name: &'static str, levels: usize) -> Self {
        let deep = (0..levels).fold(json!(1), |value, _| Value::Array(vec![value]));
        Self(
            name,
            Value::Object([("member".to_owned(), deep)].into_iter().collect()),
        )
    }
}

impl ContextView for Deep {
    fn targeting_key(&self) -> Option<&str> {
        Some("user-1")
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        (name == self.0).then_some(AttributeRef::Json(Cow::Borrowed(&self.1)))
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        visitor(self.0, AttributeRef::Json(Cow::Borrowed(&self.1)))
    }
}

/// Hashing, writing and comparing use the stack.
#[tokio::test]
async fn deep_attributes_are_refused_with_and_without_a_cache() {
    let relay = ScriptedRelay::new().with_answer(
        "flag",
        Ok(Resolution::new("value", Reason::Static).with_cacheable(true)),
    );
    for cache in [true, false] {
        let options =
            GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone())).disable_cache(!cache);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        for name in ["plan", "gofeatureflag"] {
            assert_eq!(
                evaluate(&goff, &Deep::levels(name, 500)).await.value,
                "value"
            );
            if cache {
                let refused = evaluate(&goff, &Deep::levels(name, 10_000)).await;
                let error = refused.error().unwrap();
                assert_eq!(error.code(), ErrorCode::InvalidContext);
                assert!(error.to_string().contains(name), "{error}");
            }
            let tracked = goff.track("event", &Deep::levels(name, 10_000), Map::new());
            assert_eq!(tracked.unwrap_err().code(), ErrorCode::InvalidContext);
        }
        // The caller's default is recorded, unless it is as deep.
        let Deep(_, default) = Deep::levels("", 10_000);
        let failed = goff.evaluate("unknown", &free(), default).await;
        assert!(failed.error().is_some());
        goff.shutdown(Duration::from_secs(5)).await;
    }
}

fn free() -> EvaluationContext {
    EvaluationContext::builder()
        .targeting_key("user-1")
        .attribute("age", 30)
        .attribute("plan", "free")
        .build()
}

async fn evaluate(goff: &GoFeatureFlag, context: &dyn ContextView) -> EvaluationDetails<String> {
    goff.evaluate("flag", context, "default".to_owned()).await
}

/// GOFF-CACHE-004: the overridden attribute is part of the cache key.
#[tokio::test]
async fn wrapped_context_is_not_served_the_cached_resolution_of_another() {
    let answer =
        |value: &str| Ok(Resolution::new(value, Reason::TargetingMatch).with_cacheable(true));
    let relay = ScriptedRelay::new().with_answer("flag", answer("for free"));
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay.clone()));
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let free = free();
    let pro = WithPlan {
        inner: &free,
        plan: "pro",
    };

    assert_eq!(evaluate(&goff, &free).await.value, "for free");
    relay.set_answer("flag", answer("for pro"));
    let first = evaluate(&goff, &pro).await;
    assert_eq!(
        (first.value.as_str(), first.reason()),
        ("for pro", &Reason::TargetingMatch)
    );

    for (context, value) in [
        (&free as &dyn ContextView, "for free"),
        (&pro, "for pro"),
        (
            &WithPlan {
                inner: &free,
                plan: "free",
            },
            "for free",
        ),
    ] {
        let hit = evaluate(&goff, context).await;
        assert_eq!((hit.value.as_str(), hit.reason()), (value, &Reason::Cached));
    }
    let sent: Vec<_> = relay
        .requests()
        .iter()
        .map(|request| {
            request
                .context
                .attribute("plan")
                .unwrap()
                .to_json()
                .unwrap()
        })
        .collect();
    assert_eq!(sent, ["free", "pro"]);
}

#[cfg(feature = "in-process")]
#[tokio::test]
async fn deep_attribute_is_refused_where_a_rule_reads_it() {
    let relay = ScriptedRelay::new();
    relay.set_flags(
        &json!({"flag": {
            "variations": {"A": "match", "B": "none"},
            "targeting": [{"query": r#"{"==": [{"var": "plan"}, {"var": "plan"}]}"#, "variation": "A"}],
            "defaultRule": {"variation": "B"},
        }}),
        None,
    );
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay))
        .evaluation_type(goff_client::EvaluationType::InProcess);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let refused = evaluate(&goff, &Deep::levels("plan", 10_000)).await;
    assert_eq!(refused.error().unwrap().code(), ErrorCode::InvalidContext);
    let other = evaluate(&goff, &Deep::levels("other", 10_000)).await;
    assert!(other.error().is_none());
}

#[cfg(feature = "in-process")]
#[tokio::test]
async fn targeting_rule_sees_the_overridden_attribute() {
    let relay = ScriptedRelay::new();
    relay.set_flags(
        &json!({"flag": {
            "variations": {"A": "for pro", "B": "for others"},
            "targeting": [{"query": "plan eq \"pro\"", "variation": "A"}],
            "defaultRule": {"variation": "B"},
        }}),
        None,
    );
    let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay))
        .evaluation_type(goff_client::EvaluationType::InProcess);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let free = free();
    for (plan, value) in [("pro", "for pro"), ("trial", "for others")] {
        let wrapped = WithPlan { inner: &free, plan };
        assert_eq!(evaluate(&goff, &wrapped).await.value, value);
    }
    assert_eq!(evaluate(&goff, &free).await.value, "for others");
}
