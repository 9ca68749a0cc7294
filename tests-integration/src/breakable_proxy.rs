//! A loopback TCP proxy in front of a relay proxy. A test can make it refuse connections, or cut them at a regular
//! age.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Address, RelayProxy};

/// Forwards bytes to a relay proxy until [`break_off`](Self::break_off), and again after [`repair`](Self::repair).
/// Stops when dropped. Runs on the runtime of the test.
#[derive(Debug)]
pub struct BreakableProxy {
    address: SocketAddr,
    relay: SocketAddr,
    longest: Duration,
    accepting: Option<JoinHandle<()>>,
}

impl BreakableProxy {
    /// Starts on a free port.
    ///
    /// # Errors
    ///
    /// No port can be bound, or the relay proxy listens on a Unix socket.
    pub async fn start(relay: &RelayProxy) -> io::Result<Self> {
        Self::cutting(relay, UNCUT).await
    }

    /// Starts on a free port. As some load balancers do, it cuts each connection at the age `longest`.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    pub async fn cutting(relay: &RelayProxy, longest: Duration) -> io::Result<Self> {
        let Address::Tcp(relay) = *relay.address() else {
            return Err(io::Error::other("the relay proxy has no port"));
        };
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        Ok(Self {
            address: listener.local_addr()?,
            relay,
            longest,
            accepting: Some(tokio::spawn(accept(listener, relay, longest))),
        })
    }

    /// The endpoint for a client: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Closes every connection. New ones are refused when this returns.
    pub async fn break_off(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // The listener and the connections are closed once the task has ended.
            let _ = accepting.await;
        }
    }

    /// Forwards again, at the same port.
    ///
    /// # Errors
    ///
    /// The port is in use.
    pub async fn repair(&mut self) -> io::Result<()> {
        self.break_off().await;
        let listener = TcpListener::bind(self.address).await?;
        self.accepting = Some(tokio::spawn(accept(listener, self.relay, self.longest)));
        Ok(())
    }
}

impl Drop for BreakableProxy {
    fn drop(&mut self) {
        if let Some(accepting) = &self.accepting {
            accepting.abort();
        }
    }
}

async fn accept(listener: TcpListener, relay: SocketAddr, longest: Duration) {
    // Dropping it with this function aborts its tasks.
    let mut connections = JoinSet::new();
    // Ends at the first failure to accept; the test then sees its requests refused.
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut relay) = TcpStream::connect(relay).await {
                // Either side may end it.
                let copying = copy_bidirectional(&mut stream, &mut relay);
                let _ = tokio::time::timeout(longest, copying).await;
            }
        });
    }
}

const UNCUT: Duration = Duration::from_secs(60 * 60 * 24);
