//! Scenario 10: a changed flag file is announced, and what it changed is asked for anew.

use goff_tests_integration::{Instance, RelayProxy, relay_source};

use crate::following::{change_of, stream_opens};
use crate::surfaces::{Asked, User, plain, remote_surfaces};

const STATIC_KEY: &str = "static_key:
  variations:
    A: a
    B: b
  defaultRule:
    variation: A
  version: 1.2.3
";

#[tokio::test]
async fn only_the_changed_flag_misses() {
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let surfaces = remote_surfaces(relay.endpoint(), plain).await;
    let john = User::john();
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        for (flag, reason) in [("static_key", "STATIC"), ("default_key", "DEFAULT")] {
            for reason in [reason, "CACHED"] {
                let seen = surface.ask(flag, Asked::Text("default"), &john).await;
                assert_eq!(
                    (seen.value.as_str(), seen.reason.as_str()),
                    (Some("a"), reason),
                    "{}, {flag}: {}",
                    surface.name,
                    seen.message
                );
            }
        }
        subscriptions.push(surface.goff.subscribe());
    }

    let changed = STATIC_KEY.replace("variation: A", "variation: B");
    relay.edit_flags(STATIC_KEY, &changed).unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        change_of("static_key", subscription).await;
        let misses = surface.goff.stats().misses;
        let changed = surface
            .ask("static_key", Asked::Text("default"), &john)
            .await;
        assert_eq!(
            (changed.value.as_str(), changed.reason.as_str()),
            (Some("b"), "STATIC"),
            "{}",
            surface.name
        );
        let other = surface
            .ask("default_key", Asked::Text("default"), &john)
            .await;
        assert_eq!(
            (other.value.as_str(), other.reason.as_str()),
            (Some("a"), "CACHED"),
            "{}",
            surface.name
        );
        assert_eq!(surface.goff.stats().misses, misses + 1, "{}", surface.name);
    }
}

/// Row 41 of the Python provider's tests, which evicts everything at every message; here the flag that did not
/// change is still served from the cache, and the one that did is not.
#[tokio::test]
async fn a_flag_is_disabled_and_restored() {
    const STRING_KEY: &str = "\nstring_key:\n";
    let Some(source) = relay_source() else { return };
    let relay = RelayProxy::start(Instance::Open, &source).unwrap();
    let john = User::john();
    for surface in remote_surfaces(relay.endpoint(), plain).await {
        stream_opens(&surface.goff, 0).await;
        for reason in ["TARGETING_MATCH", "CACHED"] {
            let seen = surface
                .ask("bool_targeting_match", Asked::Bool(false), &john)
                .await;
            assert_eq!(
                (&seen.value, seen.variant.as_deref(), seen.reason.as_str()),
                (&true.into(), Some("True"), reason),
                "{}",
                surface.name
            );
            assert_eq!(seen.metadata["description"], "this is a test");
            assert_eq!(
                seen.metadata["pr_link"],
                "https://github.com/thomaspoignant/go-feature-flag/pull/916"
            );
        }
        let seen = surface
            .ask("nonexistent-flag-key", Asked::Bool(false), &john)
            .await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
        let seen = surface
            .ask("string_key", Asked::Text("default"), &john)
            .await;
        assert_eq!(seen.value, "CC0000", "{}", surface.name);

        let mut subscription = surface.goff.subscribe();
        let disabled = format!("{STRING_KEY}  disable: true\n");
        relay.edit_flags(STRING_KEY, &disabled).unwrap();
        change_of("string_key", &mut subscription).await;
        let seen = surface
            .ask("string_key", Asked::Text("default"), &john)
            .await;
        assert_eq!(seen.value, "default", "{}", surface.name);
        relay.edit_flags(&disabled, STRING_KEY).unwrap();
        change_of("string_key", &mut subscription).await;
        let seen = surface
            .ask("string_key", Asked::Text("default"), &john)
            .await;
        assert_eq!(
            (seen.value.as_str(), seen.reason.as_str()),
            (Some("CC0000"), "TARGETING_MATCH"),
            "{}",
            surface.name
        );
        let seen = surface
            .ask("bool_targeting_match", Asked::Bool(false), &john)
            .await;
        assert_eq!(
            (&seen.value, seen.reason.as_str()),
            (&true.into(), "CACHED"),
            "{}",
            surface.name
        );
    }
}
