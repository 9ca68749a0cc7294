//! [`Connector`]: opens streams to an endpoint.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Endpoint};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::error::InvalidOption;
use crate::tls::TlsOptions;
#[cfg(feature = "tls")]
use crate::tls::handshake::TlsHandshake;

/// Opens streams to one endpoint: over TCP for `http`, TLS for `https`, or a Unix socket.
///
/// Every address of the host is tried: the next one when the one before failed or has not answered
/// within a quarter of a second, and the first to connect wins. A `Connector` has no timeout of its
/// own; whoever waits for it drops it. No proxy and no environment variable is looked at
/// (GOFF-CFG-005; but see [`TlsRoots::Platform`](crate::TlsRoots::Platform)).
#[derive(Debug)]
pub struct Connector(Target);

#[derive(Debug)]
enum Target {
    Tcp {
        host: Box<str>,
        port: u16,
    },
    #[cfg(feature = "tls")]
    Tls {
        host: Box<str>,
        port: u16,
        handshake: TlsHandshake,
    },
    #[cfg(all(unix, feature = "unix"))]
    Unix(std::path::PathBuf),
}

impl Connector {
    /// A connector to `endpoint`. Nothing is resolved or opened yet; for `https` the certificate
    /// authorities are read, those of the platform from its files. `tls` has no effect otherwise.
    ///
    /// # Errors
    /// [`InvalidOption`] for the option `endpoint` (its scheme needs a feature that this build does
    /// not have) or `tls` (a certificate or key that cannot be used).
    pub fn new(endpoint: &Endpoint, tls: &TlsOptions) -> Result<Self, InvalidOption> {
        if let Some(path) = endpoint.unix_socket() {
            return unix_target(path).map(Self);
        }
        let (host, port) = (endpoint.host(), endpoint.port());
        if endpoint.is_https() {
            return tls_target(host, port, tls).map(Self);
        }
        Ok(Self(Target::Tcp {
            host: host.into(),
            port,
        }))
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        match &self.0 {
            Target::Tcp { host, port } => Ok(Box::new(connect_tcp(host, *port).await?)),
            #[cfg(feature = "tls")]
            Target::Tls {
                host,
                port,
                handshake,
            } => {
                let stream = connect_tcp(host, *port).await?;
                Ok(Box::new(handshake.shake(stream).await?))
            }
            #[cfg(all(unix, feature = "unix"))]
            Target::Unix(path) => Ok(Box::new(tokio::net::UnixStream::connect(path).await?)),
        }
    }
}

#[cfg(feature = "tls")]
fn tls_target(host: &str, port: u16, tls: &TlsOptions) -> Result<Target, InvalidOption> {
    Ok(Target::Tls {
        host: host.into(),
        port,
        handshake: TlsHandshake::new(host, tls)?,
    })
}

#[cfg(not(feature = "tls"))]
fn tls_target(_: &str, _: u16, _: &TlsOptions) -> Result<Target, InvalidOption> {
    Err(InvalidOption::new(
        "endpoint",
        "begins with `https://`, which needs the feature `tls` of goff-http",
    ))
}

#[cfg(all(unix, feature = "unix"))]
fn unix_target(path: &Path) -> Result<Target, InvalidOption> {
    Ok(Target::Unix(path.to_owned()))
}

#[cfg(not(all(unix, feature = "unix")))]
fn unix_target(_: &Path) -> Result<Target, InvalidOption> {
    Err(InvalidOption::new(
        "endpoint",
        "begins with `unix://`, which needs the feature `unix` of goff-http, and a Unix system",
    ))
}

async fn connect_tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let addresses = tokio::net::lookup_host((host, port)).await?.collect();
    let stream = connect_any(alternate_families(addresses)).await?;
    // Requests are small and whole when written; waiting to fill a packet only delays them.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The addresses with their families taking turns, the first one's family first, so that a family
/// that leads nowhere costs one attempt (RFC 8305, section 4).
fn alternate_families(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let count = addresses.len();
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut others) = (preferred.into_iter(), others.into_iter());
    let mut mixed = Vec::with_capacity(count);
    while mixed.len() < count {
        mixed.extend(preferred.next());
        mixed.extend(others.next());
    }
    mixed
}

async fn connect_any(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [address] = *addresses {
        return TcpStream::connect(address).await;
    }
    let mut addresses = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failure = None;
    loop {
        if let Some(address) = addresses.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        let ended = if addresses.len() == 0 {
            attempts.join_next().await
        } else {
            match tokio::time::timeout(ATTEMPT_HEAD_START, attempts.join_next()).await {
                Ok(ended) => ended,
                Err(_) => continue,
            }
        };
        match ended {
            Some(Ok(Ok(stream))) => return Ok(stream),
            Some(Ok(Err(error))) => failure = Some(error),
            Some(Err(error)) => failure = Some(error.into()),
            None if addresses.len() == 0 => {
                return Err(failure.unwrap_or_else(|| {
                    io::Error::new(io::ErrorKind::NotFound, "the host has no address")
                }));
            }
            None => {}
        }
    }
}

/// How long an attempt to connect is alone (RFC 8305, section 5).
const ATTEMPT_HEAD_START: Duration = Duration::from_millis(250);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_families_take_turns() {
        let parse = |list: &[&str]| -> Vec<SocketAddr> {
            list.iter()
                .map(|address| address.parse().unwrap())
                .collect()
        };
        for (given, expected) in [
            (vec![], vec![]),
            (vec!["1.1.1.1:1"], vec!["1.1.1.1:1"]),
            (
                vec!["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"],
                vec!["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"],
            ),
            (
                vec!["1.1.1.1:1", "2.2.2.2:1", "[::1]:1", "[::2]:1"],
                vec!["1.1.1.1:1", "[::1]:1", "2.2.2.2:1", "[::2]:1"],
            ),
        ] {
            assert_eq!(alternate_families(parse(&given)), parse(&expected));
        }
    }
}
