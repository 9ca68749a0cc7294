//! The manifest of the flags (docs/relay-protocol.md 17), and the module that goff-codegen makes from it.

use std::time::Duration;

use goff_codegen::{Api, FlagDefinitions, ModuleOptions};
use goff_core::{ApiKey, Endpoint, RelayError};
use goff_http::{HttpRelayClient, HttpRelayClientOptions};
use goff_tests_integration::{EVALUATION_KEY, Instance, RelayProxy, own_relay};
use tokio::time::Instant;

/// A flag of every type that a manifest has, a disabled one, and one without a default value.
const FLAGS: &str = r#"
new-checkout:
  variations: {on: true, off: false}
  defaultRule: {variation: on}
  metadata: {defaultValue: true, description: Shows the new checkout.}
requests:
  variations: {few: 10, many: 9007199254740993}
  defaultRule: {variation: few}
  metadata: {defaultValue: 9007199254740993}
ratio:
  variations: {low: 0.5, high: 2}
  defaultRule: {variation: low}
  metadata: {defaultValue: 2, description: "größe \"quoted\" */ fn x() {}"}
banner:
  variations: {sunny: Sunny, snow: Snow}
  disable: true
  defaultRule: {variation: sunny}
  metadata: {defaultValue: Sunny}
limits:
  variations: {low: {calls: 1, names: [a]}, high: {calls: 2, names: []}}
  defaultRule: {variation: low}
  metadata: {defaultValue: {calls: 1, names: [b]}}
other:
  variations: {a: 1}
  defaultRule: {variation: a}
"#;

/// What a relay proxy answers, in another order.
const MANIFEST: &str = r#"{"flags":[
    {"key":"banner","type":"string","defaultValue":"Sunny","description":""},
    {"key":"limits","type":"object","defaultValue":{"calls":1,"names":["b"]},"description":""},
    {"key":"new-checkout","type":"boolean","defaultValue":true,"description":"Shows the new checkout."},
    {"key":"ratio","type":"float","defaultValue":2,"description":"größe \"quoted\" */ fn x() {}"},
    {"key":"requests","type":"integer","defaultValue":9007199254740993,"description":""}
]}"#;

const LIST: &str = "list:\n  variations: {a: [1]}\n  defaultRule: {variation: a}\n";

fn client(relay: &RelayProxy, key: Option<&str>) -> HttpRelayClient {
    let endpoint: Endpoint = relay.endpoint().parse().unwrap();
    let key = key.map(|key| ApiKey::new(key).unwrap());
    let options = HttpRelayClientOptions::new(endpoint).api_key(key);
    HttpRelayClient::new(options).unwrap()
}

/// The manifest once it is as expected, after the flags were changed.
async fn manifest_when(
    client: &HttpRelayClient,
    is_expected: impl Fn(&Result<String, RelayError>) -> bool,
) -> Result<String, RelayError> {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let manifest = client.flag_manifest().await;
        if is_expected(&manifest) {
            return manifest;
        }
        assert!(Instant::now() < give_up, "{manifest:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_manifest_gives_the_same_module_as_the_recorded_one() {
    let relay = own_relay(Instance::Authenticated);
    relay.set_flags(FLAGS).unwrap();
    let client = client(&relay, Some(EVALUATION_KEY));
    let has_all = |manifest: &Result<String, RelayError>| {
        manifest
            .as_ref()
            .is_ok_and(|manifest| manifest.contains("new-checkout"))
    };
    let manifest = manifest_when(&client, has_all).await.unwrap();
    for api in [Api::Native, Api::Local, Api::Blocking, Api::OpenFeature] {
        let module = |manifest: &str| {
            let flags = FlagDefinitions::from_manifest(manifest).unwrap();
            flags.module(&ModuleOptions::new(api)).unwrap()
        };
        let module = (module(&manifest), module(MANIFEST));
        assert_eq!(module.0.code(), module.1.code(), "{manifest}");
        assert_eq!(module.0.functions().len(), 5);
    }
}

#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn without_a_key_there_is_no_manifest() {
    let relay = own_relay(Instance::Authenticated);
    for key in [None, Some("wrong")] {
        let error = client(&relay, key).flag_manifest().await.unwrap_err();
        assert_eq!(error.status(), Some(401), "{error}");
    }
}

/// One flag that is a list leaves the others without a manifest; a client reads why.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn a_flag_that_is_a_list_makes_the_manifest_an_error() {
    let relay = own_relay(Instance::Open);
    relay.set_flags(&format!("{FLAGS}{LIST}")).unwrap();
    let client = client(&relay, None);
    let has_list = |manifest: &Result<String, RelayError>| {
        manifest
            .as_ref()
            .is_err_and(|error| error.status() == Some(500))
    };
    let error = manifest_when(&client, has_list)
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("error while generating manifest"), "{error}");
    // Without it there is one again.
    relay.set_flags(FLAGS).unwrap();
    manifest_when(&client, Result::is_ok).await.unwrap();
}
