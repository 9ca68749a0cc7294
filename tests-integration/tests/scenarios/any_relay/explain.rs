//! Explanations, over the relay proxy's configuration.

use goff_tests_integration::{Instance, relay};
use serde_json::Value;

use crate::surfaces::{User, plain, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_explanation_has_the_answer_of_the_relay_proxy() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let user = User::john();
        let all = surface.evaluate_all(&user).await.unwrap();
        assert!(all.len() > 10, "{surface}");
        for (flag, details) in all {
            let explanation = surface.goff.explain(&flag, &user.native()).await.unwrap();
            let code = details.error().map(|error| error.code().to_string());
            let explained = explanation.error.map(|error| error.code.to_string());
            // What the relay proxy says of the type of a value, in the bulk evaluation only.
            if code.as_deref() == Some("TYPE_MISMATCH") {
                continue;
            }
            assert_eq!(explained, code, "{flag}: {surface}");
            let (explained, value) = (double(&explanation.value), double(&details.value));
            assert_eq!(explained, value, "{flag}: {surface}");
            if code.is_none() {
                let reason = details.reason().as_str().to_owned();
                assert_eq!(explanation.reason.as_str(), reason, "{flag}: {surface}");
                let variant = Some(&*explanation.variant);
                assert_eq!(variant, details.variant(), "{flag}: {surface}");
            }
        }
    }
}

/// The engine reads numbers as doubles.
fn double(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), Value::from)
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_explanation_is_no_event() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        let user = surface.user("explain");
        for _ in 0..3 {
            let explanation = surface
                .goff
                .explain("static_key", &user.native())
                .await
                .unwrap();
            assert_eq!(explanation.value, "a", "{surface}");
        }
        surface.serves("static_key", &user, "a").await;
        assert_eq!(surface.events(relay, &user, 1).await.len(), 1, "{surface}");
    }
}
