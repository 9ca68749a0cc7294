//! The stream over TLS and Unix sockets.

use std::sync::Arc;
use std::time::Duration;

use goff_core::{ApiKey, Endpoint};
use goff_http::{Connector, ProxyOptions, TlsOptions, TlsRoots};
use goff_testkit::ConnectProxy;
use goff_ws::{ChangeListener, ListenerOptions};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::fixture::{self, ALL, Calls, OPEN, PONG, Peer, TcpServer, flags, last_error, within};

fn listen(endpoint: &Endpoint, tls: &TlsOptions) -> (ChangeListener, Calls) {
    let connector = Connector::new(endpoint, tls).unwrap();
    let options = ListenerOptions::new(endpoint.clone()).api_key(ApiKey::new("a+b").unwrap());
    fixture::listen(&options, Arc::new(connector))
}

/// A gateway with a certificate for `localhost`, and its certificate authority.
struct Gateway {
    server: TcpServer,
    acceptor: TlsAcceptor,
    authority: String,
}

impl Gateway {
    async fn start() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let chain = CertificateDer::from_pem_slice(certificate.pem().as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![chain], key)
            .unwrap();
        // HTTP/2 opens WebSockets in another way.
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Self {
            server: TcpServer::start().await,
            acceptor: TlsAcceptor::from(Arc::new(config)),
            authority: authority.pem(),
        }
    }

    fn endpoint(&self) -> Endpoint {
        let port = self.server.endpoint("").port();
        format!("https://localhost:{port}/http/ff").parse().unwrap()
    }

    fn trusted(&self) -> TlsOptions {
        TlsOptions::new()
            .roots(TlsRoots::Empty)
            .certificate_authority(self.authority.clone())
    }

    async fn accept(&self) -> std::io::Result<Peer<TlsStream<TcpStream>>> {
        let Peer(stream) = self.server.accept().await;
        within(self.acceptor.accept(stream)).await.map(Peer)
    }
}

/// docs/python-parity.md C14: only the scheme of the endpoint decides about TLS.
#[tokio::test]
async fn https_endpoint_is_connected_over_tls() {
    let gateway = Gateway::start().await;
    let (_listener, mut calls) = listen(&gateway.endpoint(), &gateway.trusted());
    let peer = gateway.accept().await.unwrap();
    let (request, mut socket) = peer.upgrade_with(b"").await;
    let target = "/http/ff/stream/v1/ws/flag/change?apiKey=a%2Bb";
    assert_eq!(request.target(), target);
    let host = format!("localhost:{}", gateway.endpoint().port());
    assert_eq!(request.header("host"), Some(&*host));
    socket.ping().await;
    assert_eq!(socket.receive().await.0, PONG);
    calls.expect(&[ALL, OPEN]).await;
    socket.text(r#"{"added":{"x":{}}}"#).await;
    calls.expect(&[flags(&["x"])]).await;
}

/// The handshake and the messages of the stream go through the tunnel, for both schemes.
#[tokio::test]
async fn stream_goes_through_an_http_proxy() {
    let proxy = ConnectProxy::start_with_credentials("flags", "s3cret").await;
    let proxy = proxy.unwrap();
    let gateway = Gateway::start().await;
    let tls_endpoint = gateway.endpoint();
    let plain = TcpServer::start().await;
    let endpoint = plain.endpoint("");
    for password in ["wrong", "s3cret"] {
        let options = ProxyOptions::new(proxy.url()).credentials("flags", password);
        let through = |endpoint: &Endpoint, tls: &TlsOptions| {
            let connector = Connector::new(endpoint, tls).unwrap();
            let connector = connector.proxy(&options).unwrap();
            let options = ListenerOptions::new(endpoint.clone());
            fixture::listen(&options, Arc::new(connector))
        };
        let (listener, mut calls) = through(&endpoint, &TlsOptions::new());
        if password == "wrong" {
            while proxy.unauthorized() == 0 || listener.monitor().stats().last_error.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let error = last_error(&listener);
            assert!(error.contains("refused the credentials"), "{error}");
            assert!(error.contains(&proxy.url()), "{error}");
            continue;
        }
        let (_request, mut socket) = plain.accept().await.upgrade_with(b"").await;
        socket.ping().await;
        calls.expect(&[ALL, OPEN]).await;
        let (_tls_listener, mut tls_calls) = through(&tls_endpoint, &gateway.trusted());
        let (_request, mut tls_socket) = gateway.accept().await.unwrap().upgrade_with(b"").await;
        tls_socket.ping().await;
        tls_calls.expect(&[ALL, OPEN]).await;
        socket.text(r#"{"added":{"x":{}}}"#).await;
        calls.expect(&[flags(&["x"])]).await;
        tls_socket.text(r#"{"added":{"y":{}}}"#).await;
        tls_calls.expect(&[flags(&["y"])]).await;
        let target = |endpoint: &Endpoint| format!("{}:{}", endpoint.host(), endpoint.port());
        assert_eq!(proxy.tunnels(), [target(&endpoint), target(&tls_endpoint)]);
    }
}

#[tokio::test]
async fn unknown_authority_receives_no_request() {
    let gateway = Gateway::start().await;
    let (listener, mut calls) = listen(&gateway.endpoint(), &Gateway::start().await.trusted());
    for _ in 0..2 {
        assert!(gateway.accept().await.is_err());
    }
    let error = last_error(&listener);
    assert!(error.starts_with("cannot connect"), "{error}");
    assert_eq!(calls.so_far(), []);
}

#[cfg(unix)]
#[tokio::test]
async fn unix_socket_works_like_any_other_endpoint() {
    let (directory, process) = (env!("CARGO_TARGET_TMPDIR"), std::process::id());
    let path = format!("{directory}/stream-{process}.sock");
    let server = tokio::net::UnixListener::bind(&path).unwrap();
    let endpoint: Endpoint = format!("unix://{path}").parse().unwrap();
    let (_listener, mut calls) = listen(&endpoint, &TlsOptions::new());
    let (stream, _) = within(server.accept()).await.unwrap();
    std::fs::remove_file(&path).unwrap();
    let (request, mut socket) = Peer(stream).upgrade_with(b"").await;
    assert_eq!(request.target(), "/stream/v1/ws/flag/change?apiKey=a%2Bb");
    assert_eq!(request.header("host"), Some("localhost"));
    socket.ping().await;
    assert_eq!(socket.receive().await.0, PONG);
    calls.expect(&[ALL, OPEN]).await;
}
