//! The option `tls`, with a gateway on loopback and a private certificate authority.
#![cfg(any(feature = "tls-ring", feature = "tls-aws-lc-rs"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod tls_gateway;

use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, TlsOptions};
use goff_http::TlsRoots;
use goff_testkit::{Answer, FaultyServer};
use tokio::task::JoinSet;

use crate::tls_gateway::{acceptor, authority, gateway};

/// GOFF-CFG-009.
#[tokio::test]
async fn tls_sets_the_trusted_authorities() {
    let authority = authority();
    let body = r#"{"value":true,"reason":"STATIC"}"#;
    let server = FaultyServer::start([Answer::new(200, body)]).await.unwrap();
    let mut gateways = JoinSet::new();
    let url = gateway(acceptor(&authority, false), server.address(), &mut gateways).await;
    let evaluate = async |tls: TlsOptions| {
        let options = GoFeatureFlagOptions::new(&url).tls(tls);
        let goff = GoFeatureFlag::connect(options).await.unwrap();
        let context = EvaluationContext::default();
        goff.evaluate("flag", &context, false).await
    };
    // The change stream sends requests too.
    let evaluations = || {
        let requests = server.requests().into_iter();
        requests
            .filter(|request| request.path == "/v1/feature/flag/eval")
            .count()
    };
    let no_roots = || TlsOptions::new().roots(TlsRoots::Empty);
    let trusting = evaluate(no_roots().certificate_authority(authority.pem())).await;
    assert!(trusting.value, "{:?}", trusting.error());
    assert_eq!(evaluations(), 1);

    let other = tls_gateway::authority();
    let refused = evaluate(no_roots().certificate_authority(other.pem())).await;
    assert!(!refused.value);
    let error = refused.error().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(evaluations(), 1);
}
