//! The option `tls`, with a gateway on loopback and a private certificate authority.
#![cfg(feature = "tls")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::Arc;

use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, TlsOptions};
use goff_http::TlsRoots;
use goff_testkit::{Answer, FaultyServer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn acceptor(authority: &Authority) -> TlsAcceptor {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// Terminates TLS in front of the server until the tasks are dropped. Returns its URL.
async fn gateway(
    acceptor: TlsAcceptor,
    server: &FaultyServer,
    gateways: &mut JoinSet<()>,
) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let address = server.address();
    gateways.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                // A client that refuses the certificate hangs up here.
                let Ok(mut near) = acceptor.accept(stream).await else {
                    return;
                };
                let mut far = TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    format!("https://localhost:{port}")
}

/// GOFF-CFG-009.
#[tokio::test]
async fn tls_sets_the_trusted_authorities() {
    let authority = authority();
    let body = r#"{"value":true,"reason":"STATIC"}"#;
    let server = FaultyServer::start([Answer::new(200, body)]).await.unwrap();
    let mut gateways = JoinSet::new();
    let url = gateway(acceptor(&authority), &server, &mut gateways).await;
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

    let other = self::authority();
    let refused = evaluate(no_roots().certificate_authority(other.pem())).await;
    assert!(!refused.value);
    let error = refused.error().unwrap().to_string();
    assert!(error.contains("certificate"), "{error}");
    assert_eq!(evaluations(), 1);
}
