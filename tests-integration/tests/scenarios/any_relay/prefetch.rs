//! Prefetched flags: the answers of the bulk endpoint, beside those of single evaluations.

use goff_provider::native::EvaluationDetails;
use goff_provider::{Resolution, Snapshot};
use goff_tests_integration::{Instance, relay};
use serde_json::{Map, Value, json};

use crate::counting::{Recorded, check};
use crate::surfaces::{Options, User, plain, remote_surfaces, surfaces};

/// Value, reason, variant, error code and metadata.
type Answer = (
    Value,
    String,
    Option<String>,
    Option<String>,
    Map<String, Value>,
);

fn answer<R: std::borrow::Borrow<std::sync::Arc<Resolution>>>(
    details: &EvaluationDetails<Value, R>,
) -> Answer {
    let mut metadata = details.metadata().clone();
    // Only a single evaluation over OFREP has it.
    metadata.remove("gofeatureflag_cacheable");
    (
        details.value.clone(),
        details.reason().as_str().to_owned(),
        details.variant().map(str::to_owned),
        details.error().map(|error| error.code().to_string()),
        metadata,
    )
}

fn uncached(options: Options) -> Options {
    options.disable_cache(true)
}

/// Except two: the bulk endpoint has no value for null and for integers beyond `i64`.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn every_flag_has_the_answer_of_its_single_evaluation() {
    for surface in remote_surfaces(relay(Instance::Open).endpoint(), uncached).await {
        for user in [User::john(), User::new("another"), User::without_key()] {
            let (goff, user) = (&surface.goff, user.native());
            let snapshot = goff.prefetch(&user).await;
            let all = snapshot.evaluate_all(&user).unwrap();
            assert!(all.len() > 30, "{surface}: {all:?}");
            let mut without_value = Vec::new();
            // No path holds the others (docs/relay-protocol.md 5).
            let is_reachable = |flag: &&str| !flag.contains('/') && !["", ".", ".."].contains(flag);
            let flags = all.keys().map(String::as_str).filter(is_reachable);
            for flag in flags.chain(["no-such-flag"]) {
                let default = json!("default");
                let single = answer(&goff.evaluate(flag, &user, default.clone()).await);
                let mut read = answer(&snapshot.evaluate(flag, &user, default));
                if read.3.as_deref() == Some("TYPE_MISMATCH") {
                    without_value.push(flag);
                    continue;
                }
                if surface.name.starts_with("Ofrep") && read.3.is_some() {
                    // Only the bulk answer has the metadata of a flag that failed.
                    read.4.clear();
                }
                assert_eq!(read, single, "{flag}: {surface}");
            }
            assert_eq!(
                without_value,
                ["beyond_i64_key", "null_value_key"],
                "{surface}"
            );
        }
    }
}

/// GOFF-COLL-010, GOFF-COLL-022: the relay proxy records no bulk evaluation, the client what is read.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn only_what_is_read_is_recorded_and_by_the_client() {
    let relay = relay(Instance::Open);
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        let user = surface.user("prefetched");
        let context = user.native();
        let snapshot = surface.goff.prefetch(&context).await;
        for flag in ["static_key", "static_key", "untracked_key", "no-such-flag"] {
            snapshot.evaluate(flag, &context, json!(null));
        }
        let read = ("A", false);
        let unknown = ("SdkDefault", true);
        // An OFREP answer does not show that a flag is untracked.
        let client: Recorded<'_> = match surface.name.starts_with("Ofrep") {
            true => &[read, read, read, unknown],
            false => &[read, read, unknown],
        };
        for event in check(&surface.name, &surface.goff, relay, &user, &[], client).await {
            assert_eq!(event["source"], "PROVIDER_CACHE", "{surface}");
        }
    }
}

/// A flag that was not asked for is no unknown flag.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn flag_list_restricts_a_prefetch() {
    for surface in surfaces(relay(Instance::Open).endpoint(), plain).await {
        let list = json!({"flagList": ["static_key", "no-such-flag"]});
        let user = surface.user("prefetched list").with("gofeatureflag", list);
        let context = user.native();
        let snapshot = surface.goff.prefetch(&context).await;
        let code = |snapshot: &Snapshot, flag| {
            let details = snapshot.evaluate(flag, &context, json!(null));
            details.error().map(|error| error.code().to_string())
        };
        assert_eq!(code(&snapshot, "static_key"), None, "{surface}");
        let unknown = Some("FLAG_NOT_FOUND".to_owned());
        assert_eq!(code(&snapshot, "no-such-flag"), unknown, "{surface}");
        let unlisted = (!surface.is_in_process()).then(|| "GENERAL".to_owned());
        assert_eq!(code(&snapshot, "default_key"), unlisted, "{surface}");
    }
}
