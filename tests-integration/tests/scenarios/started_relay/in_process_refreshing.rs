//! Scenario 13: the flags of in-process evaluation stay current. ETags, announced changes, answers without flags,
//! unknown members, outages.

use std::collections::BTreeSet;
use std::time::Duration;

use goff_provider::{
    ChangedFlags, ClientEvent, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, State,
};
use goff_tests_integration::{Instance, RelayProxy, own_relay};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::following::{change_of, event, stream_opens};
use crate::recording_transport::RecordingTransport;
use crate::surfaces::{Surface, User, in_process_surfaces, plain};

const STATIC_KEY: &str = "static_key:
  variations:
    A: a
    B: b
  defaultRule:
    variation: A
  version: 1.2.3
";

fn polling_often(options: GoFeatureFlagOptions) -> GoFeatureFlagOptions {
    options.flag_change_polling_interval(Duration::from_millis(100))
}

fn set(flags: &[&str]) -> BTreeSet<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

async fn value(surface: &Surface) -> Value {
    let seen = surface
        .evaluate("static_key", "default", &User::john())
        .await;
    assert_eq!(seen.outcome(), "ok", "{}: {}", surface.name, seen.message);
    seen.value
}

/// A client with a custom transport, and therefore without a change stream.
async fn over(transport: &RecordingTransport, relay: &RelayProxy) -> GoFeatureFlag {
    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .evaluation_type(EvaluationType::InProcess)
        .http_transport(transport.clone());
    GoFeatureFlag::connect(polling_often(options))
        .await
        .unwrap()
}

/// GOFF-IP-001, GOFF-IP-002, GOFF-IP-005 to -007, GOFF-IP-015.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_etag_goes_back_verbatim_until_the_flags_change() {
    let relay = own_relay(Instance::Open);
    let transport = RecordingTransport::new(|answer| answer);
    let goff = over(&transport, &relay).await;
    let mut subscription = goff.subscribe();
    let mut seen = 0;
    let mut held = None;
    for (round, value) in ["a", "b"].into_iter().enumerate() {
        let exchanges = transport
            .until(seen, |exchange| {
                exchange.status == 304 && exchange.if_none_match != held
            })
            .await;
        let loaded = &exchanges[exchanges.len() - 2];
        assert_eq!(loaded.status, 200, "{exchanges:#?}");
        assert_eq!(loaded.if_none_match, held, "{exchanges:#?}");
        let etag = loaded.etag.clone().unwrap();
        assert!(
            etag.starts_with('"') && etag.ends_with('"'),
            "the quotes are part of it: {etag}"
        );
        let not_modified = exchanges.last().unwrap();
        assert_eq!(not_modified.if_none_match.as_ref(), Some(&etag));
        assert!(
            exchanges[seen..].iter().all(|exchange| {
                serde_json::from_str::<Value>(&exchange.body).unwrap() == json!({"flags": []})
            }),
            "{exchanges:#?}"
        );
        seen = exchanges.len();
        held = Some(etag);

        // However often the answer was "not modified".
        seen += 3;
        transport.until(seen, |_| true).await;
        let user = User::john().native();
        let details = goff.evaluate("static_key", &user, String::new()).await;
        assert_eq!(details.value, value);
        assert_eq!(goff.stats().refreshes, round as u64 + 1);
        if round == 0 {
            let changed = STATIC_KEY.replace("variation: A", "variation: B");
            relay.edit_flags(STATIC_KEY, &changed).unwrap();
            change_of("static_key", &mut subscription).await;
        }
    }
    assert_eq!(goff.stats().failed_refreshes, 0);
}

/// The relay proxy drops unknown members, so the transport adds them.
/// GOFF-IP-017.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn unknown_members_are_kept_and_have_no_effect() {
    let relay = own_relay(Instance::Open);
    // Their content follows that of a flag, so that its change changes them too.
    let transport = RecordingTransport::new(|mut answer| {
        let version = answer["flags"]["static_key"]["version"].take();
        for flag in answer["flags"].as_object_mut().unwrap().values_mut() {
            flag["newer"] = json!({"since": 2030, "nested": [{"as": version}]});
            flag["defaultRule"]["newer"] = json!(null);
        }
        answer["newer"] = json!(["members"]);
        answer
    });
    let goff = over(&transport, &relay).await;
    let user = User::john().native();
    let all = goff.evaluate_all(&user).await.unwrap();
    assert_eq!(all["static_key"].value, "a");
    assert_eq!(all["string_key"].value, "CC0000");
    assert_eq!(
        (goff.stats().refreshes, goff.stats().failed_refreshes),
        (1, 0)
    );

    let mut subscription = goff.subscribe();
    let changed = STATIC_KEY.replace("1.2.3", "1.2.4");
    relay.edit_flags(STATIC_KEY, &changed).unwrap();
    let event = event(&mut subscription, |event| {
        matches!(event, ClientEvent::ConfigurationChanged(_))
    })
    .await;
    let ClientEvent::ConfigurationChanged(ChangedFlags::Compared { updated, .. }) = event else {
        panic!("{event:?}")
    };
    assert!(
        updated.len() > 1 && updated.contains("default_key"),
        "{updated:?}"
    );
}

/// The relay proxy reads its file once a second. The time counts from its message.
/// GOFF-EVT-002, GOFF-EVT-004.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_change_is_served_within_a_second_of_its_message() {
    let relay = own_relay(Instance::Open);
    // Polls are two minutes apart, so only messages matter.
    let surfaces = in_process_surfaces(relay.endpoint(), plain).await;
    // Evaluates nothing, and only receives messages.
    let witness = GoFeatureFlag::connect(GoFeatureFlagOptions::new(relay.endpoint()))
        .await
        .unwrap();
    stream_opens(&witness, 0).await;
    let mut messages = witness.subscribe();
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        assert_eq!(value(surface).await, "a");
        subscriptions.push(surface.goff.subscribe());
    }

    let added = "added_key: *keyed\n";
    let updated = STATIC_KEY.replace("variation: A", "variation: B");
    let edits = [
        (STATIC_KEY, format!("{updated}{added}"), "b"),
        (&format!("{updated}{added}"), STATIC_KEY.to_owned(), "a"),
    ];
    // A flag cannot refer to one further down in the file.
    let keyed = "\n  variations:\n    found: found\n  defaultRule:\n    variation: found\n";
    for (number, (from, to, expected)) in edits.into_iter().enumerate() {
        let (from, to) = (
            from.replace(" *keyed\n", keyed),
            to.replace(" *keyed\n", keyed),
        );
        relay.edit_flags(&from, &to).unwrap();
        change_of("static_key", &mut messages).await;
        let announced = Instant::now();
        for surface in &surfaces {
            while value(surface).await != expected {
                assert!(
                    announced.elapsed() < Duration::from_secs(1),
                    "{}: {:?}",
                    surface.name,
                    surface.goff.status()
                );
                sleep(Duration::from_millis(1)).await;
            }
        }
        let added = if number == 0 {
            set(&["added_key"])
        } else {
            set(&[])
        };
        let removed = if number == 1 {
            set(&["added_key"])
        } else {
            set(&[])
        };
        for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
            let changed = event(subscription, |event| {
                matches!(event, ClientEvent::ConfigurationChanged(_))
            })
            .await;
            let expected = ChangedFlags::Compared {
                added: added.clone(),
                updated: set(&["static_key"]),
                removed: removed.clone(),
                enrichment: false,
            };
            assert_eq!(
                changed,
                ClientEvent::ConfigurationChanged(expected),
                "{}",
                surface.name
            );
        }
    }
}

/// A relay proxy writes an empty configuration without `flags`. A refresh cannot distinguish that from a
/// configuration that has lost its flags (docs/relay-protocol.md 21).
/// GOFF-IP-008, GOFF-IP-009, GOFF-EVT-005, GOFF-EVT-006.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn vanished_flags_are_kept_and_a_start_without_flags_is_an_empty_configuration() {
    let relay = own_relay(Instance::Open);
    let surfaces = in_process_surfaces(relay.endpoint(), polling_often).await;
    let mut subscriptions = Vec::new();
    for surface in &surfaces {
        assert_eq!(value(surface).await, "a");
        subscriptions.push(surface.goff.subscribe());
    }
    relay.set_flags("{}").unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Stale).await;
        let status = surface.goff.status();
        assert_eq!(status.state, State::Stale, "{}", surface.name);
        let words = status.last_error.unwrap();
        assert!(words.to_string().contains("without `flags`"), "{words}");
        assert_eq!(value(surface).await, "a", "{}", surface.name);
    }
    let later = in_process_surfaces(relay.endpoint(), polling_often).await;
    let mut later_subscriptions = Vec::new();
    for surface in &later {
        assert_eq!(surface.goff.status().state, State::Ready);
        let seen = surface
            .evaluate("static_key", "default", &User::john())
            .await;
        assert_eq!(seen.outcome(), "FLAG_NOT_FOUND", "{}", surface.name);
        later_subscriptions.push(surface.goff.subscribe());
    }
    let updated = STATIC_KEY.replace("variation: A", "variation: B");
    relay.set_flags(&updated).unwrap();
    for (surface, subscription) in later.iter().zip(&mut later_subscriptions) {
        change_of("static_key", subscription).await;
        assert_eq!(value(surface).await, "b", "{}", surface.name);
    }
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Ready).await;
        assert_eq!(surface.goff.status().state, State::Ready);
        change_of("static_key", subscription).await;
        assert_eq!(value(surface).await, "b", "{}", surface.name);
    }
}

/// GOFF-EVT-005, GOFF-EVT-006, GOFF-IP-010.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_outage_makes_the_client_stale_and_its_end_ready_and_values_are_served() {
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    let surfaces = in_process_surfaces(relay.endpoint(), polling_often).await;
    let mut subscriptions: Vec<_> = surfaces.iter().map(|s| s.goff.subscribe()).collect();
    drop(relay);
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Stale).await;
        let stats = surface.goff.stats();
        assert!(stats.failed_refreshes >= 3, "{}: {stats:?}", surface.name);
        let status = surface.goff.status();
        assert_eq!(status.state, State::Stale, "{}", surface.name);
        assert!(status.last_error.is_some(), "{}", surface.name);
        assert_eq!(value(surface).await, "a", "{}", surface.name);
    }
    let changed = STATIC_KEY.replace("variation: A", "variation: B");
    let _back = RelayProxy::start_at_with_flags(port, Instance::Open, &changed).unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Ready).await;
        assert_eq!(surface.goff.status().state, State::Ready);
        assert_eq!(value(surface).await, "b", "{}", surface.name);
    }
}
