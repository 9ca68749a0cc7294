//! Flags as functions: a misspelt key, a wrong type and a flag that is gone do not compile.
//!
//! ```sh
//! cargo run -p typed-flags
//! ```

#[allow(unreachable_pub, clippy::allow_attributes, reason = "generated")]
mod flags {
    include!(concat!(env!("OUT_DIR"), "/flags.rs"));
}

use std::error::Error;

use flags::SupportPlan;
use goff_client::{EvaluationContext, LocalFlags};

fn main() -> Result<(), Box<dyn Error>> {
    // In a service: `goff.local()` of a client, or functions for `Api::Native`.
    let client = LocalFlags::from_flags(FLAGS)?;
    for plan in ["free", "pro"] {
        let user = EvaluationContext::builder().targeting_key("user-1");
        let user = user.attribute("plan", plan).build();

        let checkout = if flags::new_checkout(&client, &user) {
            "new"
        } else {
            "old"
        };
        let support = match flags::support_plan(&client, &user) {
            SupportPlan::Community => "the forum",
            SupportPlan::Priority => "a phone number",
        };
        let limits = flags::details::limits(&client, &user);
        println!(
            "{plan}: the {checkout} checkout, {support}, {} requests because {}",
            limits.value.requests,
            limits.reason()
        );
    }
    Ok(())
}

/// What a relay proxy would serve for `flags.yaml`.
const FLAGS: &str = r#"{
    "new-checkout": {
        "variations": {"on": true, "off": false},
        "targeting": [{"query": "plan eq \"pro\"", "variation": "on"}],
        "defaultRule": {"variation": "off"}
    },
    "support-plan": {
        "variations": {"a": "community", "b": "priority"},
        "targeting": [{"query": "plan eq \"pro\"", "variation": "b"}],
        "defaultRule": {"variation": "a"}
    },
    "limits": {
        "variations": {
            "low": {"requests": 100, "windowSeconds": 1.5},
            "high": {"requests": 2000, "windowSeconds": 1, "burst": 50}
        },
        "targeting": [{"query": "plan eq \"pro\"", "variation": "high"}],
        "defaultRule": {"variation": "low"}
    }
}"#;
