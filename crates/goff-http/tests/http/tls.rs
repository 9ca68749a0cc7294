//! `https` endpoints: a gateway on loopback with generated certificates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use goff_core::RelayError::{Interrupted, NotConnected};
use goff_core::{Origin, RelayError, Resolution};
use goff_http::{HttpRelayClient, TlsCryptoProvider, TlsOptions, TlsRoots};
use goff_testkit::{Answer, FaultyServer};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::fixture::*;

pub(crate) type Authority = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority() -> Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate for `name` and its key, in PEM.
fn certificate(name: &str, authority: &Authority) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new([name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, authority).unwrap();
    (certificate.pem(), key.serialize_pem())
}

/// Terminates TLS before `address` until the tasks are dropped. Returns the URL.
pub(crate) async fn terminate_tls(
    config: ServerConfig,
    address: SocketAddr,
    tasks: &mut JoinSet<()>,
) -> String {
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            connections.spawn(async move {
                // Fails for a client that refuses the certificate.
                let Ok(mut near) = acceptor.accept(stream).await else {
                    return;
                };
                let mut far = TcpStream::connect(address).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                let _ = near.shutdown().await;
            });
        }
    });
    format!("https://localhost:{port}")
}

/// The configuration of a server with a certificate for `name` that requires a client certificate of
/// `clients`.
pub(crate) fn server_config(
    provider: Arc<CryptoProvider>,
    name: &str,
    authority: &Authority,
    clients: Option<&Authority>,
) -> ServerConfig {
    let (chain, key) = certificate(name, authority);
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(clients) => {
            let mut roots = RootCertStore::empty();
            roots.add(clients.der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let chain = vec![CertificateDer::from_pem_slice(chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(chain, key).unwrap();
    // A client that offered HTTP/2 would get it, and then no response.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A gateway that terminates TLS before a plain server. Dropping it closes its connections.
pub(crate) struct Gateway {
    pub(crate) server: FaultyServer,
    pub(crate) url: String,
    _forwarding: JoinSet<()>,
}

impl Gateway {
    /// A gateway with a certificate for `name` that requires a client certificate of `clients`.
    async fn start(name: &str, authority: &Authority, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Self::with_provider(provider, name, authority, clients).await
    }

    /// A gateway whose certificate is for `localhost`.
    pub(crate) async fn at_localhost(authority: &Authority) -> Self {
        Self::start("localhost", authority, None).await
    }

    async fn with_provider(
        provider: Arc<CryptoProvider>,
        name: &str,
        authority: &Authority,
        clients: Option<&Authority>,
    ) -> Self {
        let server = server([Answer::new(200, STATIC)]).await;
        let config = server_config(provider, name, authority, clients);
        let mut forwarding = JoinSet::new();
        Self {
            url: terminate_tls(config, server.address(), &mut forwarding).await,
            server,
            _forwarding: forwarding,
        }
    }

    async fn evaluate(&self, tls: TlsOptions) -> Result<Resolution, RelayError> {
        evaluate(&client(options(&self.url).tls(tls))).await
    }

    async fn refuses(&self, tls: TlsOptions) -> String {
        let error = self.evaluate(tls).await.unwrap_err();
        assert_matches!(error, NotConnected(_));
        assert_eq!(error.origin(), Origin::NotEvaluated);
        assert_eq!(self.server.requests().len(), 0);
        error.to_string()
    }
}

pub(crate) fn trusting(authority: &Authority) -> TlsOptions {
    TlsOptions::new()
        .roots(TlsRoots::Empty)
        .certificate_authority(authority.pem())
}

#[tokio::test]
async fn added_certificate_authority_is_trusted() {
    let authority = authority();
    let gateway = Gateway::start("localhost", &authority, None).await;
    gateway.evaluate(trusting(&authority)).await.unwrap();
    let requests = gateway.server.requests();
    assert_eq!(requests[0].path, "/v1/feature/flag/eval");
    let host = gateway.url.strip_prefix("https://");
    assert_eq!(requests[0].header("host"), host);
}

#[cfg(all(feature = "tls-platform-roots", feature = "tls-bundled-roots"))]
#[tokio::test]
async fn added_certificate_authority_extends_the_roots() {
    let authority = authority();
    let gateway = Gateway::start("localhost", &authority, None).await;
    for roots in [TlsRoots::Platform, TlsRoots::Bundled] {
        let options = TlsOptions::new().roots(roots);
        let with = options.clone().certificate_authority(authority.pem());
        gateway.evaluate(with).await.unwrap();
    }
}

#[tokio::test]
async fn unknown_authority_is_not_connected() {
    let gateway = Gateway::start("localhost", &authority(), None).await;
    let message = gateway.refuses(trusting(&authority())).await;
    assert!(
        message.contains("authority that is not trusted"),
        "{message}"
    );
    assert!(message.contains(&gateway.url), "{message}");
    #[cfg(feature = "tls-platform-roots")]
    gateway.refuses(TlsOptions::new()).await;
    #[cfg(feature = "tls-bundled-roots")]
    {
        let bundled = TlsOptions::new().roots(TlsRoots::Bundled);
        gateway.refuses(bundled).await;
    }
}

#[tokio::test]
async fn certificate_of_another_host_is_not_connected() {
    let authority = authority();
    let gateway = Gateway::start("other.example", &authority, None).await;
    let message = gateway.refuses(trusting(&authority)).await;
    assert!(message.contains("for other hosts"), "{message}");
}

/// A TLS alert, and what Go and nginx answer.
#[tokio::test]
async fn plain_http_to_a_server_with_tls_names_the_remedy() {
    let gateway = Gateway::start("localhost", &authority(), None).await;
    let go = "Client sent an HTTP request to an HTTPS server.\n";
    let nginx = "<center>The plain HTTP request was sent to HTTPS port</center>";
    let servers = server([Answer::new(400, go), Answer::new(400, nginx)]).await;
    for url in [
        &gateway.url.replace("https", "http"),
        &servers.url(),
        &servers.url(),
    ] {
        let error = evaluate(&client(options(url))).await.unwrap_err();
        let message = error.to_string();
        assert!(message.contains("speaks TLS; use `https://`?"), "{message}");
        assert!(message.contains(url), "{message}");
    }
}

#[tokio::test]
async fn client_certificate_is_presented_where_one_is_required() {
    let (authority, clients) = (authority(), authority());
    let gateway = Gateway::start("localhost", &authority, Some(&clients)).await;
    // In TLS 1.3 the client learns of the refusal after its handshake, so that it may appear as an
    // interrupted connection.
    let error = gateway.evaluate(trusting(&authority)).await.unwrap_err();
    assert_matches!(error, NotConnected(_) | Interrupted(_));
    assert_eq!(gateway.server.requests().len(), 0);

    let (chain, key) = certificate("client", &clients);
    let with = trusting(&authority).client_certificate(chain, key);
    gateway.evaluate(with).await.unwrap();
}

#[tokio::test]
async fn server_without_tls_is_not_connected() {
    let answer = Answer::raw("HTTP/1.1 400 \r\n\r\n").on_connect();
    let server = server([answer.then_close()]).await;
    let url = server.url().replace("http://", "https://");
    let client = client(options(&url).tls(trusting(&authority())));
    let error = evaluate(&client).await.unwrap_err();
    assert_matches!(error, NotConnected(_));
    let expected = format!("{url} does not speak TLS; use `http://`?");
    assert!(error.to_string().ends_with(&expected), "{error}");
}

#[tokio::test]
async fn silent_handshake_times_out_and_nothing_was_sent() {
    let server = server([]).await;
    let url = server.url().replace("http://", "https://");
    let options = options(&url).timeout(Duration::from_millis(200));
    let client = client(options.tls(trusting(&authority())));
    let error = evaluate(&client).await.unwrap_err();
    assert_matches!(error, RelayError::Timeout { sent: false, .. });
}

#[test]
fn unusable_options_are_refused_before_any_use_and_not_shown() {
    let authority = authority();
    let (chain, key) = certificate("client", &authority);
    let (_, other_key) = certificate("client", &authority);
    let secret = "-----BEGIN PRIVATE KEY-----\ns3cret\n-----END PRIVATE KEY-----\n";
    let trusting = trusting(&authority);
    let no_pem = "-----BEGIN CERTIFICATE-----\ns3cret";
    let nothing = TlsOptions::new().roots(TlsRoots::Empty);
    let authorities = |pem: &str| trusting.clone().certificate_authority(pem);
    let client = |chain: &str, key: &str| trusting.clone().client_certificate(chain, key);
    for (tls, part) in [
        (nothing, "no certificate authority is trusted"),
        (authorities("s3cret"), "contains no PEM certificate"),
        (authorities(no_pem), "not valid PEM"),
        (client("s3cret", &key), "contains no PEM certificate"),
        (client(&chain, "s3cret"), "contains no PEM private key"),
        (client(&chain, secret), "private key"),
        (client(&chain, &other_key), "cannot be used"),
    ] {
        let options = options("https://localhost").tls(tls);
        assert!(!format!("{options:?}").contains("s3cret"));
        let error = HttpRelayClient::new(options).unwrap_err();
        assert_eq!(error.option(), "tls");
        assert!(error.reason().contains(part), "{error}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
}

/// ring has no post-quantum key exchange, so a server that requires one shows which provider a client
/// uses.
#[cfg(all(feature = "tls-ring", feature = "tls-aws-lc-rs"))]
#[tokio::test]
async fn each_crypto_provider_performs_handshakes() {
    use TlsCryptoProvider::{Automatic, AwsLcRs, Ring};
    use rustls::crypto::{aws_lc_rs, ring};
    let authority = authority();
    let post_quantum = CryptoProvider {
        kx_groups: vec![aws_lc_rs::kx_group::X25519MLKEM768],
        ..aws_lc_rs::default_provider()
    };
    let accepted_by_all = [Automatic, AwsLcRs, Ring].as_slice();
    for (server, accepted) in [
        (ring::default_provider(), accepted_by_all),
        (aws_lc_rs::default_provider(), accepted_by_all),
        (post_quantum, &[AwsLcRs]),
    ] {
        let gateway = Gateway::with_provider(server.into(), "localhost", &authority, None).await;
        for provider in [Automatic, AwsLcRs, Ring] {
            let tls = trusting(&authority).crypto_provider(provider);
            let answer = gateway.evaluate(tls).await;
            assert_eq!(
                answer.is_ok(),
                accepted.contains(&provider),
                "{provider:?}: {answer:?}"
            );
        }
    }
}

#[cfg(all(feature = "tls-aws-lc-rs", not(feature = "tls-ring")))]
#[tokio::test]
async fn aws_lc_rs_alone_is_the_crypto_provider() {
    let authority = authority();
    let gateway = Gateway::at_localhost(&authority).await;
    gateway.evaluate(trusting(&authority)).await.unwrap();
}

#[test]
fn missing_crypto_provider_is_refused_before_any_use() {
    let has_any = cfg!(any(feature = "tls-ring", feature = "tls-aws-lc-rs"));
    for (provider, is_there, part) in [
        (
            TlsCryptoProvider::Automatic,
            has_any,
            "`tls-ring` or `tls-aws-lc-rs`",
        ),
        (
            TlsCryptoProvider::Ring,
            cfg!(feature = "tls-ring"),
            "`tls-ring`",
        ),
        (
            TlsCryptoProvider::AwsLcRs,
            cfg!(feature = "tls-aws-lc-rs"),
            "`tls-aws-lc-rs`",
        ),
        (
            TlsCryptoProvider::Installed,
            false,
            "`CryptoProvider::install_default`",
        ),
    ] {
        let tls = trusting(&authority()).crypto_provider(provider);
        let made = HttpRelayClient::new(options("https://localhost").tls(tls));
        assert_eq!(made.is_ok(), is_there, "{provider:?}");
        if let Err(error) = made {
            assert_eq!(error.option(), "tls");
            assert!(error.reason().contains(part), "{error}");
        }
    }
}

#[cfg(not(feature = "tls-platform-roots"))]
#[test]
fn platform_roots_without_the_feature_name_it() {
    let error = HttpRelayClient::new(options("https://localhost")).unwrap_err();
    assert!(error.reason().contains("`tls-platform-roots`"), "{error}");
}

#[cfg(not(feature = "tls-bundled-roots"))]
#[test]
fn bundled_roots_without_the_feature_name_it() {
    let tls = TlsOptions::new().roots(TlsRoots::Bundled);
    let error = HttpRelayClient::new(options("https://localhost").tls(tls)).unwrap_err();
    assert!(error.reason().contains("`tls-bundled-roots`"), "{error}");
}
