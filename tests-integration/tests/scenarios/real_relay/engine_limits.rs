//! Flags beyond the budget of the engine, which a real relay proxy evaluates. The embedded one has the same engine.

use std::time::Duration;

use goff_tests_integration::{Instance, own_relay, request};
use serde_json::json;

use crate::counting::{Recorded, check};
use crate::surfaces::{in_process_surfaces, plain};

/// A schedule of many steps that change many rules, which the engine of providers refuses and the relay proxy's does not.
/// GOFF-FALLBACK-001, GOFF-FALLBACK-002, GOFF-FALLBACK-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_beyond_the_engine_s_limits_is_evaluated_by_the_relay_proxy() {
    let relay = own_relay(Instance::Open);
    let flag = "    - name: anonymous visitors\n      query: anonymous eq true\n      variation: B\n  defaultRule:\n    variation: A\n";
    let step = "    - date: 2999-01-01T00:00:00Z\n      targeting:\n        - {query: never pr, variation: B}\n";
    let (rule, rules) = flag.split_at(flag.find("  defaultRule").unwrap());
    let many = "    - query: never pr\n      variation: B\n".repeat(1_000);
    let steps = step.repeat(300);
    let expensive = format!("{rule}{many}{rules}  scheduledRollout:\n{steps}");
    relay.edit_flags(flag, &expensive).unwrap();
    // Wait until the configuration has the changed flag.
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        let all = json!({});
        let answer = request(relay.address(), "/v1/flag/configuration", &[], Some(&all)).await;
        let flags = answer.unwrap().json();
        if flags["flags"]["named_rule_key"]["scheduledRollout"][299].is_object() {
            break;
        }
        assert!(tokio::time::Instant::now() < give_up, "{flags:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for surface in in_process_surfaces(relay.endpoint(), plain).await {
        for (anonymous, value, variation) in [(true, "b", "B"), (false, "a", "A")] {
            let user = surface
                .user(&format!("beyond the budget, {anonymous}"))
                .with("anonymous", anonymous);
            let seen = surface.evaluate("named_rule_key", "default", &user).await;
            let recorded: (_, Recorded<'_>, Recorded<'_>) = match surface.falls_back() {
                true => (("ok", value), &[(variation, false)], &[]),
                false => (("PARSE_ERROR", "default"), &[], &[("SdkDefault", true)]),
            };
            let (expected, server, client) = recorded;
            let answer = (seen.outcome(), seen.value.as_str().unwrap());
            assert_eq!(answer, expected, "{surface}: {seen:?}");
            check(&surface.name, &surface.goff, &relay, &user, server, client).await;
        }
    }
}
