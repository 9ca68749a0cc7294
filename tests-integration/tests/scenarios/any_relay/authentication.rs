//! Scenario 8: API keys for a relay proxy that requires none.

use goff_tests_integration::{Instance, relay};

use crate::surfaces::{User, surfaces};

/// GOFF-AUTH-003: an empty key is no key, and any other has no effect.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_relay_proxy_without_keys_accepts_any_key() {
    for key in ["", "anything"] {
        for surface in surfaces(relay(Instance::Open).endpoint(), |options| {
            options.api_key(key)
        })
        .await
        {
            surface.serves("string_key", &User::john(), "CC0000").await;
        }
    }
}
