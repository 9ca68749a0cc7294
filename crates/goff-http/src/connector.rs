//! [`Connector`]: opens streams to an endpoint.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Endpoint};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::GaiResolver;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::error::OptionError;
use crate::tls::TlsOptions;
#[cfg(feature = "tls")]
use crate::tls::handshake::TlsHandshake;

/// Opens streams to one endpoint: over TCP for `http`, TLS for `https`, or a Unix socket.
///
/// Where the host has IPv6 and IPv4 addresses, the second family starts a quarter of a second
/// after the first one, or as soon as that failed; the first connection wins. Within a family
/// every address is tried in turn. Uses no proxy and no environment variable (GOFF-CFG-005; but
/// see [`TlsRoots::Platform`](crate::TlsRoots::Platform)).
#[derive(Debug)]
pub struct Connector(Target);

#[derive(Debug)]
enum Target {
    Tcp(Tcp),
    #[cfg(feature = "tls")]
    Tls(Tcp, TlsHandshake),
    #[cfg(all(unix, feature = "unix"))]
    Unix(std::path::PathBuf),
}

#[derive(Debug)]
struct Tcp {
    connector: HttpConnector,
    uri: Uri,
}

impl Connector {
    /// A connector to `endpoint`. Nothing is resolved or opened yet. For `https` this reads the
    /// certificate authorities, which may involve the platform's files; otherwise `tls` has no
    /// effect.
    ///
    /// # Errors
    /// [`OptionError`] for the option `endpoint` (its scheme needs a feature that this build does
    /// not have) or `tls` (a certificate or key that cannot be used).
    pub fn new(endpoint: &Endpoint, tls: &TlsOptions) -> Result<Self, OptionError> {
        if let Some(path) = endpoint.unix_socket() {
            return unix_target(path).map(Self);
        }
        let uri = endpoint.join("/").parse();
        let tcp = Tcp {
            connector: http_connector(GaiResolver::new()),
            uri: uri.map_err(|_| OptionError::new("endpoint", "is not a valid URL"))?,
        };
        if endpoint.is_https() {
            return tls_target(tcp, endpoint.host(), tls).map(Self);
        }
        Ok(Self(Target::Tcp(tcp)))
    }

    /// The time limit for TCP connections: each address gets an equal part of it, so that an
    /// address that does not respond leaves time for the next one. It does not cover name
    /// resolution and the TLS handshake. Default: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        match &mut self.0 {
            Target::Tcp(tcp) => tcp.connector.set_connect_timeout(Some(timeout)),
            #[cfg(feature = "tls")]
            Target::Tls(tcp, _) => tcp.connector.set_connect_timeout(Some(timeout)),
            #[cfg(all(unix, feature = "unix"))]
            Target::Unix(_) => {}
        }
        self
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        match &self.0 {
            Target::Tcp(tcp) => Ok(Box::new(tcp.connect().await?)),
            #[cfg(feature = "tls")]
            Target::Tls(tcp, handshake) => {
                let stream = tcp.connect().await?;
                Ok(Box::new(handshake.perform(stream).await?))
            }
            #[cfg(all(unix, feature = "unix"))]
            Target::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        }
    }
}

impl Tcp {
    async fn connect(&self) -> io::Result<TcpStream> {
        open(self.connector.clone(), self.uri.clone()).await
    }
}

#[cfg(feature = "tls")]
fn tls_target(tcp: Tcp, host: &str, tls: &TlsOptions) -> Result<Target, OptionError> {
    Ok(Target::Tls(tcp, TlsHandshake::new(host, tls)?))
}

#[cfg(not(feature = "tls"))]
fn tls_target(_: Tcp, _: &str, _: &TlsOptions) -> Result<Target, OptionError> {
    Err(OptionError::new(
        "endpoint",
        "begins with `https://`, which needs the feature `tls` of goff-http",
    ))
}

#[cfg(all(unix, feature = "unix"))]
fn unix_target(path: &Path) -> Result<Target, OptionError> {
    Ok(Target::Unix(path.to_owned()))
}

#[cfg(not(all(unix, feature = "unix")))]
fn unix_target(_: &Path) -> Result<Target, OptionError> {
    Err(OptionError::new(
        "endpoint",
        "begins with `unix://`, which needs the feature `unix` of goff-http, and a Unix system",
    ))
}

fn http_connector<R>(resolver: R) -> HttpConnector<R> {
    let mut connector = HttpConnector::new_with_resolver(resolver);
    connector.enforce_http(false);
    // Requests are small and written as a whole; waiting to fill a packet only delays them.
    connector.set_nodelay(true);
    connector.set_happy_eyeballs_timeout(Some(HAPPY_EYEBALLS_DELAY));
    connector.set_connect_timeout(Some(DEFAULT_CONNECT_TIMEOUT));
    connector
}

async fn open<R, E>(mut connector: HttpConnector<R>, uri: Uri) -> io::Result<TcpStream>
where
    HttpConnector<R>: Service<Uri, Response = TokioIo<TcpStream>, Error = E>,
    E: Error + Send + Sync + 'static,
{
    let stream = async {
        poll_fn(|context| connector.poll_ready(context)).await?;
        connector.call(uri).await
    };
    match stream.await {
        Ok(stream) => Ok(stream.into_inner()),
        Err(error) => {
            let cause = error.source().and_then(|cause| cause.downcast_ref());
            let kind = cause.map_or(io::ErrorKind::Other, io::Error::kind);
            Err(io::Error::new(kind, error))
        }
    }
}

/// How long the first address family has before the second one starts (RFC 8305, section 5).
const HAPPY_EYEBALLS_DELAY: Duration = Duration::from_millis(250);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use std::future::{Ready, ready};
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};
    use std::task::{Context, Poll};

    use hyper_util::client::legacy::connect::dns::Name;
    use tokio::net::{TcpListener, TcpSocket};
    use tokio::time::Instant;

    use super::*;

    /// Resolves every name to the same addresses, in this order.
    #[derive(Clone)]
    struct Addresses(Vec<IpAddr>);

    impl Service<Name> for Addresses {
        type Response = std::vec::IntoIter<SocketAddr>;
        type Error = io::Error;
        type Future = Ready<io::Result<Self::Response>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn call(&mut self, _: Name) -> Self::Future {
            let addresses = self.0.iter().map(|ip| SocketAddr::new(*ip, 0));
            ready(Ok(addresses.collect::<Vec<_>>().into_iter()))
        }
    }

    fn connector(addresses: &[&str]) -> HttpConnector<Addresses> {
        let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        http_connector(Addresses(addresses))
    }

    fn uri(port: u16) -> Uri {
        format!("http://relay.example:{port}/").parse().unwrap()
    }

    async fn listening() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Listens on `address` without responding to further attempts to connect: the backlog is full.
    async fn unresponsive(address: SocketAddr) -> (TcpListener, Vec<TcpStream>) {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        };
        let socket = socket.unwrap();
        socket.bind(address).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        let limit = Duration::from_millis(100);
        while let Ok(stream) = tokio::time::timeout(limit, TcpStream::connect(address)).await {
            waiting.push(stream.unwrap());
        }
        (listener, waiting)
    }

    #[tokio::test]
    async fn other_family_is_used_when_the_first_one_refuses() {
        let (_listener, address) = listening().await;
        let connector = connector(&["::1", "127.0.0.1"]);
        let stream = open(connector, uri(address.port())).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(stream.nodelay().unwrap());
    }

    #[tokio::test]
    async fn other_family_is_tried_when_the_first_one_does_not_respond() {
        let (_listener, address) = listening().await;
        let _silent = unresponsive((Ipv6Addr::LOCALHOST, address.port()).into()).await;
        let started = Instant::now();
        let connector = connector(&["::1", "127.0.0.1"]);
        let stream = open(connector, uri(address.port())).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
        assert!(started.elapsed() >= HAPPY_EYEBALLS_DELAY);
        assert!(started.elapsed() < DEFAULT_CONNECT_TIMEOUT);
    }

    #[tokio::test]
    async fn addresses_of_one_family_share_the_time() {
        let (_listener, address) = listening().await;
        let silent = SocketAddr::from(([127, 0, 0, 2], address.port()));
        let _silent = unresponsive(silent).await;
        let mut connector = connector(&["127.0.0.2", "127.0.0.1"]);
        connector.set_connect_timeout(Some(Duration::from_millis(400)));
        let stream = open(connector, uri(address.port())).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), address);
    }

    #[tokio::test]
    async fn failures_keep_their_kind_and_cause() {
        let (silent, _waiting) = unresponsive(([127, 0, 0, 3], 0).into()).await;
        let port = silent.local_addr().unwrap().port();
        let mut to_silent = connector(&["127.0.0.3"]);
        to_silent.set_connect_timeout(Some(Duration::from_millis(100)));
        let error = open(to_silent, uri(port)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let to_refusing = connector(&["127.0.0.4"]);
        let error = open(to_refusing, uri(port)).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.source().is_some());
    }
}
