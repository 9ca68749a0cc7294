//! [`Connector`]: opens streams to an endpoint.

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{
    ByteStream, Connect, ConnectionError, ConnectionProblem, Endpoint, NoRuntimeError,
};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tower_service::Service;

use crate::error::OptionError;
use crate::plain_stream::plain;
use crate::proxy::ProxyOptions;
use crate::proxy::tunnel::Tunnel;
use crate::resolver::{Resolver, UnknownHost};
use crate::tls::TlsOptions;
#[cfg(feature = "tls")]
use crate::tls::handshake::TlsHandshake;

/// Opens streams to one endpoint: over TCP for `http`, TLS for `https`, or, on Unix systems, a Unix
/// socket.
///
/// Where the host has IPv6 and IPv4 addresses, the second family starts a quarter of a second after
/// the first one, or as soon as that failed; the first connection wins. Within a family every
/// address is tried in turn. Uses no proxy except one that is [set](Self::proxy), and no
/// environment variable (but see [`TlsRoots::Platform`](crate::TlsRoots::Platform)).
///
/// `connect` needs a tokio runtime. The name is looked up in a thread of the connector, once for all
/// connections that are opened at the same time, and the answer is kept for 5 s; an older one is
/// used where a lookup fails or takes long. TCP keepalive notices a peer that is gone within 30 s,
/// also on an idle connection, on Linux, macOS and the BSDs; other systems choose how often they
/// probe, Windows ten times, which takes 65 s. On Linux, data that is not acknowledged within
/// [`connect_timeout`](Self::connect_timeout) ends the connection.
///
/// *Specification*: GOFF-CFG-005.
#[derive(Debug)]
pub struct Connector {
    endpoint: Endpoint,
    target: Target,
    address: Arc<str>,
    timeout: Duration,
}

#[derive(Debug)]
#[cfg_attr(
    all(feature = "unix", not(feature = "tls")),
    expect(clippy::large_enum_variant, reason = "there is one for each client")
)]
enum Target {
    Tcp(Tcp),
    #[cfg(feature = "tls")]
    Tls(Tcp, TlsHandshake),
    #[cfg(all(unix, feature = "unix"))]
    Unix(std::path::PathBuf),
}

#[derive(Debug)]
struct Tcp {
    connector: HttpConnector<Resolver>,
    /// The endpoint, or the proxy.
    uri: Uri,
    tunnel: Option<Tunnel>,
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
        let target = if let Some(path) = endpoint.unix_socket() {
            unix_target(path)?
        } else {
            let tcp = Tcp::new(endpoint)?;
            if endpoint.is_https() {
                tls_target(tcp, endpoint.host(), tls)?
            } else {
                Target::Tcp(tcp)
            }
        };
        let connector = Self {
            endpoint: endpoint.clone(),
            target,
            address: endpoint.address(),
            timeout: DEFAULT_CONNECT_TIMEOUT,
        };
        Ok(connector.connect_timeout(DEFAULT_CONNECT_TIMEOUT))
    }

    /// Opens streams through a proxy. Nothing is resolved or opened yet. Default: none.
    ///
    /// # Errors
    /// [`OptionError`] for the option `proxy`: its URL, credentials or TLS options cannot be used,
    /// or the endpoint is a Unix socket.
    pub fn proxy(mut self, options: &ProxyOptions) -> Result<Self, OptionError> {
        let (tunnel, proxy) = Tunnel::new(options, &self.endpoint)?;
        let Some(tcp) = self.target.tcp() else {
            let reason = "has no effect on a Unix socket; remove it";
            return Err(OptionError::new("proxy", reason));
        };
        *tcp = Tcp::new(&proxy)?;
        tcp.tunnel = Some(tunnel);
        let timeout = self.timeout;
        Ok(self.connect_timeout(timeout))
    }

    /// The time limit for opening a stream as a whole: name resolution, TCP and TLS. For TCP each
    /// address gets an equal part of it, so that an address that does not respond leaves time for
    /// the next one. With a [proxy](Self::proxy), three quarters of it are for the tunnel: an error
    /// can say that the proxy is silent. Default: 10 s.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        if let Some(tcp) = self.target.tcp() {
            set_timeout(&mut tcp.connector, timeout);
            if let Some(tunnel) = &mut tcp.tunnel {
                tunnel.set_timeout(timeout);
            }
        }
        self
    }

    async fn open(&self) -> io::Result<Box<dyn ByteStream>> {
        match &self.target {
            Target::Tcp(tcp) => {
                let stream = tcp.connect().await?;
                Ok(Box::new(plain(stream, &self.address)))
            }
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

#[async_trait]
impl Connect for Connector {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        Handle::try_current().map_err(|_| io::Error::other(NoRuntimeError::Outside))?;
        let opened = tokio::time::timeout(self.timeout, self.open()).await;
        let opened = opened.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        opened.map_err(|error| {
            let kind = error.kind();
            let problem = self.problem(&error);
            let error = ConnectionError::new(&self.address, problem, Arc::new(error));
            io::Error::new(kind, error)
        })
    }
}

impl Connector {
    /// What an error means, as far as this connector knows more than its kind says.
    fn problem(&self, error: &io::Error) -> Option<ConnectionProblem> {
        #[cfg(all(unix, feature = "unix"))]
        if let Target::Unix(_) = self.target {
            return match error.kind() {
                io::ErrorKind::NotFound => Some(ConnectionProblem::NoSocket),
                io::ErrorKind::PermissionDenied => Some(ConnectionProblem::NotPermitted),
                _ => None,
            };
        }
        #[cfg(feature = "tls")]
        if let Some(problem) = crate::tls::handshake::problem(error) {
            return Some(problem);
        }
        if error.kind() == io::ErrorKind::TimedOut {
            return Some(ConnectionProblem::TimedOut(self.timeout));
        }
        let mut cause = error.source();
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>();
            if io.and_then(io::Error::get_ref)?.is::<UnknownHost>() {
                return Some(ConnectionProblem::UnknownHost);
            }
            cause = error.source();
        }
        None
    }
}

impl Target {
    fn tcp(&mut self) -> Option<&mut Tcp> {
        match self {
            Self::Tcp(tcp) => Some(tcp),
            #[cfg(feature = "tls")]
            Self::Tls(tcp, _) => Some(tcp),
            #[cfg(all(unix, feature = "unix"))]
            Self::Unix(_) => None,
        }
    }
}

impl Tcp {
    fn new(endpoint: &Endpoint) -> Result<Self, OptionError> {
        let uri = endpoint.join("/").parse();
        Ok(Self {
            connector: http_connector(Resolver::new(endpoint.host())),
            uri: uri.map_err(|_| OptionError::new("endpoint", "is not a valid URL"))?,
            tunnel: None,
        })
    }

    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let connecting = open(self.connector.clone(), self.uri.clone());
        match &self.tunnel {
            Some(tunnel) => tunnel.open(connecting).await,
            None => Ok(Box::new(connecting.await?)),
        }
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
    connector.set_keepalive(Some(KEEPALIVE_AFTER));
    connector.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEPALIVE_RETRIES));
    connector
}

fn set_timeout<R>(connector: &mut HttpConnector<R>, timeout: Duration) {
    connector.set_connect_timeout(Some(timeout));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    connector.set_tcp_user_timeout(Some(timeout));
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
/// A connection that has been idle for so long is probed, and closed when probes stay unanswered.
const KEEPALIVE_AFTER: Duration = Duration::from_secs(15);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 3;
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
        let mut connector = http_connector(Addresses(addresses));
        set_timeout(&mut connector, DEFAULT_CONNECT_TIMEOUT);
        connector
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

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn silent_peers_are_noticed() {
        let (_listener, address) = listening().await;
        let mut connector = connector(&["127.0.0.1"]);
        set_timeout(&mut connector, Duration::from_secs(7));
        let stream = open(connector, uri(address.port())).await.unwrap();
        let socket = socket2::SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEPALIVE_AFTER);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEPALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_RETRIES);
        let unacknowledged = socket.tcp_user_timeout().unwrap();
        assert_eq!(unacknowledged, Some(Duration::from_secs(7)));
    }

    /// The name, TCP and TLS together: here the server never answers the handshake.
    #[cfg(feature = "tls-bundled-roots")]
    #[tokio::test]
    async fn timeout_covers_the_tls_handshake() {
        let (_listener, address) = listening().await;
        let endpoint = format!("https://localhost:{}", address.port());
        let authorities = TlsOptions::new().roots(crate::tls::TlsRoots::Bundled);
        let connector = Connector::new(&endpoint.parse().unwrap(), &authorities);
        let connector = connector
            .unwrap()
            .connect_timeout(Duration::from_millis(100));
        let error = connector.connect().await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let message = format!("{endpoint} did not accept a connection within 100 ms");
        assert!(error.to_string().starts_with(&message), "{error}");
    }

    #[test]
    fn outside_a_runtime_there_is_an_error() {
        let endpoint = "http://localhost:1".parse().unwrap();
        let connector = Connector::new(&endpoint, &TlsOptions::new()).unwrap();
        let mut connecting = connector.connect();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let Poll::Ready(Err(error)) = connecting.as_mut().poll(&mut context) else {
            panic!("waits without a runtime");
        };
        assert!(error.to_string().contains("tokio runtime"), "{error}");
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
