//! [`TcpConnector`]: plain TCP, for a listener that is used without goff-http.

use std::fmt;
use std::io;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Endpoint};
use tokio::net::TcpStream;

/// Opens streams over TCP to an `http` endpoint, trying one address of the host after another.
///
/// For TLS, Unix sockets and hosts with many addresses there is goff-http's `Connector`.
#[derive(Debug)]
pub struct TcpConnector {
    host: Box<str>,
    port: u16,
}

impl TcpConnector {
    /// A connector to `endpoint`. Nothing is resolved or opened yet.
    ///
    /// # Errors
    /// An endpoint that plain TCP does not reach: `https` or `unix`.
    pub fn new(endpoint: &Endpoint) -> Result<Self, NotPlainTcp> {
        if endpoint.is_https() {
            return Err(NotPlainTcp("https"));
        }
        if endpoint.unix_socket().is_some() {
            return Err(NotPlainTcp("unix"));
        }
        Ok(Self {
            host: endpoint.host().into(),
            port: endpoint.port(),
        })
    }
}

#[async_trait]
impl Connect for TcpConnector {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let stream = TcpStream::connect((&*self.host, self.port)).await?;
        // Pongs are small and whole when written; waiting to fill a packet only delays them.
        stream.set_nodelay(true)?;
        Ok(Box::new(stream))
    }
}

/// The endpoint's scheme, which plain TCP does not speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotPlainTcp(&'static str);

impl fmt::Display for NotPlainTcp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "an endpoint that begins with `{}://` needs another connector, such as goff-http's",
            self.0
        )
    }
}

impl std::error::Error for NotPlainTcp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_http_endpoints_are_plain_tcp() {
        let connector = |url: &str| TcpConnector::new(&url.parse().unwrap());
        assert!(connector("http://localhost:1031/prefix").is_ok());
        for url in ["https://localhost", "unix:///run/relay.sock"] {
            let message = connector(url).unwrap_err().to_string();
            let (scheme, _) = url.split_once("//").unwrap();
            assert!(message.contains(scheme), "{message}");
        }
    }
}
