//! Two providers in one process, with different endpoints and keys, share nothing.
#![cfg(feature = "http")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use goff_provider::{GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, Invalidation};
use goff_testkit::{Answer, FaultyServer};
use open_feature::{Client, EvaluationContext, OpenFeature};

struct Team {
    server: FaultyServer,
    goff: GoFeatureFlag,
    client: Client,
}

async fn team(key: &str, value: &str) -> Team {
    let body = format!(r#"{{"value":"{value}","reason":"STATIC","cacheable":true}}"#);
    let server = FaultyServer::start([Answer::new(200, body)]).await.unwrap();
    let options = GoFeatureFlagOptions::new(server.url())
        .api_key(key)
        .exporter_metadata("team", key)
        .disable_cache_invalidation(true);
    let goff = GoFeatureFlag::connect(options).await.unwrap();
    let mut api = OpenFeature::default();
    api.set_provider(GoFeatureFlagProvider::from(&goff)).await;
    let client = api.create_client();
    Team {
        server,
        goff,
        client,
    }
}

/// docs/python-parity.md C21 and C22; docs/relay-protocol.md 4.
#[tokio::test]
async fn two_providers_share_neither_answers_nor_keys_nor_usage() {
    let (a, b) = (team("key-a", "of a").await, team("key-b", "of b").await);
    let context = EvaluationContext::default().with_targeting_key("user-1");
    for (team, key, value) in [(&a, "key-a", "of a"), (&b, "key-b", "of b")] {
        for _ in 0..2 {
            let got = team
                .client
                .get_string_value("flag", Some(&context), None)
                .await;
            assert_eq!(got.unwrap(), value);
        }
        let requests = team.server.requests();
        assert_eq!(requests.len(), 1, "the second evaluation is a cache hit");
        assert_eq!(
            requests[0].header("authorization"),
            Some(format!("Bearer {key}").as_str())
        );
        let body = String::from_utf8_lossy(&requests[0].body).into_owned();
        assert!(body.contains(&format!(r#""team":"{key}""#)), "{body}");
        assert_eq!(team.goff.stats().usage.recorded, 1);
    }
    a.goff.invalidation_sink().invalidate(Invalidation::Flags(
        ["flag".to_owned()].into_iter().collect(),
    ));
    for (team, requests) in [(&a, 2), (&b, 1)] {
        let got = team
            .client
            .get_string_value("flag", Some(&context), None)
            .await;
        got.unwrap();
        assert_eq!(team.server.requests().len(), requests);
    }
}
