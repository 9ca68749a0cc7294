//! The bulk evaluation: every flag of the file at once, each with its own result.

use goff_tests_integration::{Instance, relay};
use serde_json::Value;

use crate::surfaces::{User, plain, surfaces};

#[tokio::test]
async fn every_flag_has_its_resolution_or_its_own_error() {
    let Some(relay) = relay(Instance::Open) else {
        return;
    };
    for surface in surfaces(relay.endpoint(), plain).await {
        let all = surface.ask_all(&User::john()).await.unwrap();

        let details = &all["static_key"];
        assert_eq!(details.value, "a", "{}", surface.name);
        assert_eq!(details.reason().as_str(), "STATIC", "{}", surface.name);
        assert_eq!(details.variant(), Some("A"), "{}", surface.name);
        assert!(details.error().is_none(), "{}", surface.name);

        let disabled = &all["disabled_bool"];
        assert!(disabled.is_disabled(), "{}", surface.name);
        assert_eq!(disabled.value, Value::Null, "{}", surface.name);
        assert_eq!(
            disabled.metadata()["description"],
            "this is a test",
            "{}",
            surface.name
        );

        // Unlike the single evaluation, that of the relay proxy calls it an error.
        let null = &all["null_value_key"];
        let code = null.error().map(|error| error.code().as_str().to_owned());
        let expected = (!surface.is_in_process()).then_some("TYPE_MISMATCH");
        assert_eq!(code.as_deref(), expected, "{}", surface.name);
        assert_eq!(null.value, Value::Null, "{}", surface.name);

        let failed = &all["bucketing_key"];
        assert_eq!(failed.value, Value::Null, "{}", surface.name);
        let error = failed.error().unwrap();
        assert_eq!(
            error.code().as_str(),
            "TARGETING_KEY_MISSING",
            "{}",
            surface.name
        );
        assert!(!error.to_string().is_empty(), "{}", surface.name);

        assert!(all.contains_key("日本 語"), "{}", surface.name);
        assert!(!all.contains_key("no-such-flag"), "{}", surface.name);
    }
}
