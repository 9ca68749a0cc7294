//! The bulk evaluation: all flags of the file, each with its result.

use goff_tests_integration::{Instance, relay};
use serde_json::{Value, json};

use crate::surfaces::{User, plain, surfaces};

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn every_flag_has_its_resolution_or_its_own_error() {
    let relay = relay(Instance::Open);
    for surface in surfaces(relay.endpoint(), plain).await {
        let all = surface.evaluate_all(&User::john()).await.unwrap();

        let details = &all["static_key"];
        assert_eq!(details.value, "a", "{surface}");
        assert_eq!(details.reason().as_str(), "STATIC", "{surface}");
        assert_eq!(details.variant(), Some("A"), "{surface}");
        assert!(details.error().is_none(), "{surface}");

        let disabled = &all["disabled_bool"];
        assert!(disabled.is_disabled(), "{surface}");
        assert_eq!(disabled.value, Value::Null, "{surface}");
        let description = &disabled.metadata()["description"];
        assert_eq!(description, "this is a test", "{surface}");

        // Unlike in the single evaluation, it is an error for the relay proxy.
        let null = &all["null_value_key"];
        let code = null.error().map(|error| error.code().as_str().to_owned());
        let expected = (!surface.is_in_process()).then_some("TYPE_MISMATCH");
        assert_eq!(code.as_deref(), expected, "{surface}");
        assert_eq!(null.value, Value::Null, "{surface}");

        let failed = &all["bucketing_key"];
        assert_eq!(failed.value, Value::Null, "{surface}");
        let error = failed.error().unwrap();
        assert_eq!(error.code().as_str(), "TARGETING_KEY_MISSING", "{surface}");
        assert!(!error.to_string().is_empty(), "{surface}");

        assert!(all.contains_key("日本 語"), "{surface}");
        assert!(!all.contains_key("no-such-flag"), "{surface}");
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_list_restricts_the_bulk_evaluation() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let list = json!({"flagList": ["static_key", "split_key", "no-such-flag"]});
        let user = surface.user("list").with("gofeatureflag", list);
        let all = surface.evaluate_all(&user).await.unwrap();
        let keys: Vec<_> = all.keys().collect();
        assert_eq!(keys, ["split_key", "static_key"], "{surface}");
    }
}
