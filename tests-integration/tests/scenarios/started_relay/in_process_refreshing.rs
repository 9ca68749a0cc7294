//! Scenario 13: the flags of in-process evaluation stay current. ETags, announced changes, answers without flags,
//! unknown members, outages.

use std::collections::BTreeSet;
use std::time::Duration;

use goff_provider::{
    ChangedFlags, ClientEvent, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, State,
    Subscription,
};
use goff_tests_integration::{Instance, RelayProxy, own_relay};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::following::{STATIC_KEY, change_of, event, static_key_with_b, stream_opens, subscribe};
use crate::recording_transport::{Exchange, RecordingTransport};
use crate::surfaces::{Options, Surface, User, in_process_surfaces, plain};

fn polling_often(options: Options) -> Options {
    options.flag_change_polling_interval(Duration::from_millis(100))
}

async fn value(surface: &Surface) -> Value {
    let seen = surface
        .evaluate("static_key", "default", &User::john())
        .await;
    assert_eq!(seen.outcome(), "ok", "{surface}: {seen:?}");
    seen.value
}

/// A client with a custom transport, and therefore without a change stream.
async fn over(transport: &RecordingTransport, relay: &RelayProxy) -> GoFeatureFlag {
    let options = GoFeatureFlagOptions::new(relay.endpoint())
        .evaluation_type(EvaluationType::InProcess)
        .http_transport(transport.clone());
    let connecting = GoFeatureFlag::connect(polling_often(options));
    connecting.await.unwrap()
}

/// The next event, except those of the state.
async fn change(subscription: &mut Subscription) -> ChangedFlags {
    let is_change = |event: &ClientEvent| matches!(event, ClientEvent::ConfigurationChanged(_));
    match event(subscription, is_change).await {
        ClientEvent::ConfigurationChanged(changed) => changed,
        other => panic!("{other:?}"),
    }
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
        let not_modified =
            |exchange: &Exchange| exchange.status == 304 && exchange.if_none_match != held;
        let exchanges = transport.until(seen, not_modified).await;
        let loaded = &exchanges[exchanges.len() - 2];
        assert_eq!(loaded.status, 200, "{exchanges:#?}");
        assert_eq!(loaded.if_none_match, held, "{exchanges:#?}");
        let etag = loaded.etag.clone().unwrap();
        let has_quotes = etag.starts_with('"') && etag.ends_with('"');
        assert!(has_quotes, "the quotes are part of it: {etag}");
        let not_modified = exchanges.last().unwrap();
        assert_eq!(not_modified.if_none_match.as_ref(), Some(&etag));
        for exchange in &exchanges[seen..] {
            let body: Value = serde_json::from_str(&exchange.body).unwrap();
            assert_eq!(body, json!({"flags": []}), "{exchanges:#?}");
        }
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
            relay.edit_flags(STATIC_KEY, &static_key_with_b()).unwrap();
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
    let stats = goff.stats();
    assert_eq!((stats.refreshes, stats.failed_refreshes), (1, 0));

    let mut subscription = goff.subscribe();
    let changed = STATIC_KEY.replace("1.2.3", "1.2.4");
    relay.edit_flags(STATIC_KEY, &changed).unwrap();
    let changed = change(&mut subscription).await;
    let ChangedFlags::Compared { updated, .. } = changed else {
        panic!("{changed:?}")
    };
    assert!(updated.len() > 1, "{updated:?}");
    assert!(updated.contains("default_key"), "{updated:?}");
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
    let options = GoFeatureFlagOptions::new(relay.endpoint());
    let witness = GoFeatureFlag::connect(options).await.unwrap();
    stream_opens(&witness, 0).await;
    let mut messages = witness.subscribe();
    for surface in &surfaces {
        stream_opens(&surface.goff, 0).await;
        assert_eq!(value(surface).await, "a");
    }
    let mut subscriptions = subscribe(&surfaces);

    let added = "added_key: {variations: {found: found}, defaultRule: {variation: found}}\n";
    let changed = static_key_with_b() + added;
    let (added, none) = (BTreeSet::from(["added_key".to_owned()]), BTreeSet::new());
    for (from, to, expected, added, removed) in [
        (STATIC_KEY, &*changed, "b", &added, &none),
        (&*changed, STATIC_KEY, "a", &none, &added),
    ] {
        relay.edit_flags(from, to).unwrap();
        change_of("static_key", &mut messages).await;
        let announced = Instant::now();
        for surface in &surfaces {
            while value(surface).await != expected {
                let (elapsed, status) = (announced.elapsed(), surface.goff.status());
                assert!(elapsed < Duration::from_secs(1), "{surface}: {status:?}");
                sleep(Duration::from_millis(1)).await;
            }
        }
        let expected = ChangedFlags::Compared {
            added: added.clone(),
            updated: ["static_key".to_owned()].into(),
            removed: removed.clone(),
            enrichment: false,
        };
        for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
            assert_eq!(change(subscription).await, expected, "{surface}");
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
    for surface in &surfaces {
        assert_eq!(value(surface).await, "a");
    }
    let mut subscriptions = subscribe(&surfaces);
    relay.set_flags("{}").unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Stale).await;
        let status = surface.goff.status();
        assert_eq!(status.state, State::Stale, "{surface}");
        let words = status.last_error.unwrap();
        assert!(words.to_string().contains("without `flags`"), "{words}");
        assert_eq!(value(surface).await, "a", "{surface}");
    }
    let later = in_process_surfaces(relay.endpoint(), polling_often).await;
    let john = User::john();
    for surface in &later {
        assert_eq!(surface.goff.status().state, State::Ready);
        surface.fails("static_key", &john, "FLAG_NOT_FOUND").await;
    }
    let mut later_subscriptions = subscribe(&later);
    relay.set_flags(&static_key_with_b()).unwrap();
    for (surface, subscription) in later.iter().zip(&mut later_subscriptions) {
        change_of("static_key", subscription).await;
        assert_eq!(value(surface).await, "b", "{surface}");
    }
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Ready).await;
        assert_eq!(surface.goff.status().state, State::Ready);
        change_of("static_key", subscription).await;
        assert_eq!(value(surface).await, "b", "{surface}");
    }
}

/// GOFF-EVT-005, GOFF-EVT-006, GOFF-IP-010.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn an_outage_makes_the_client_stale_and_its_end_ready_and_values_are_served() {
    let relay = own_relay(Instance::Open);
    let port = relay.port();
    let surfaces = in_process_surfaces(relay.endpoint(), polling_often).await;
    let mut subscriptions = subscribe(&surfaces);
    drop(relay);
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Stale).await;
        let stats = surface.goff.stats();
        assert!(stats.failed_refreshes >= 3, "{surface}: {stats:?}");
        let status = surface.goff.status();
        assert_eq!(status.state, State::Stale, "{surface}");
        assert!(status.last_error.is_some(), "{surface}");
        assert_eq!(value(surface).await, "a", "{surface}");
    }
    let changed = static_key_with_b();
    let _back = RelayProxy::start_at_with_flags(port, Instance::Open, &changed).unwrap();
    for (surface, subscription) in surfaces.iter().zip(&mut subscriptions) {
        event(subscription, |event| *event == ClientEvent::Ready).await;
        assert_eq!(surface.goff.status().state, State::Ready);
        assert_eq!(value(surface).await, "b", "{surface}");
    }
}
