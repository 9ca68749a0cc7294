//! rustls's default provider of the process, which only this test installs.
#![cfg(all(feature = "tls-ring", feature = "tls-aws-lc-rs"))]

use goff_core::{Connect as _, Endpoint};
use goff_http::TlsCryptoProvider::{Automatic, AwsLcRs, Installed, Ring};
use goff_http::{Connector, TlsCryptoProvider, TlsOptions, TlsRoots};
use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::PrivateKeyDer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// It alone accepts a key exchange that the other providers offer last or not at all.
fn installed() -> CryptoProvider {
    CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::MLKEM1024],
        ..aws_lc_rs::default_provider()
    }
}

#[tokio::test]
async fn provider_that_the_application_installed_comes_first() {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(installed().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(std::sync::Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let endpoint: Endpoint = format!("https://localhost:{port}").parse().unwrap();
    let serving = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let _ = acceptor.accept(stream).await;
        }
    });
    let connector = |provider: TlsCryptoProvider| {
        let tls = TlsOptions::new().roots(TlsRoots::Empty);
        let tls = tls.certificate_authority(certificate.pem());
        Connector::new(&endpoint, &tls.crypto_provider(provider))
    };
    let before = connector(Automatic).unwrap();
    let missing = connector(Installed).unwrap_err();
    assert!(missing.reason().contains("has installed none"), "{missing}");

    installed().install_default().unwrap();
    let made = [Automatic, Installed, Ring, AwsLcRs].map(|provider| connector(provider).unwrap());
    let mut connected = Vec::new();
    for connector in [&before].into_iter().chain(&made) {
        connected.push(connector.connect().await.is_ok());
    }
    assert_eq!(connected, [false, true, true, false, false]);
    serving.abort();
}
