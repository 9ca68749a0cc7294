//! A loopback TCP proxy in front of a relay proxy that can be made to refuse connections.

use std::io;
use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use crate::{Address, RelayProxy};

/// Forwards bytes to a relay proxy, until [`break_off`](Self::break_off) and again from
/// [`repair`](Self::repair) on. Stops when dropped; lives in the runtime of the test that started it.
#[derive(Debug)]
pub struct BreakableProxy {
    address: SocketAddr,
    relay: SocketAddr,
    accepting: Option<JoinHandle<()>>,
}

impl BreakableProxy {
    /// Starts on a free port.
    ///
    /// # Errors
    ///
    /// If no port can be bound, or the relay proxy has none.
    pub async fn start(relay: &RelayProxy) -> io::Result<Self> {
        let Address::Tcp(relay) = *relay.address() else {
            return Err(io::Error::other("the relay proxy has no port"));
        };
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        Ok(Self {
            address: listener.local_addr()?,
            relay,
            accepting: Some(tokio::spawn(accept(listener, relay))),
        })
    }

    /// What a client is configured with: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection; new ones are refused from when this returns.
    pub async fn break_off(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            accepting.abort();
            // Once it has ended, the listener and the connections are closed.
            let _ = accepting.await;
        }
    }

    /// Forwards again, at the same port.
    ///
    /// # Errors
    ///
    /// If somebody else has taken the port.
    pub async fn repair(&mut self) -> io::Result<()> {
        self.break_off().await;
        let listener = TcpListener::bind(self.address).await?;
        self.accepting = Some(tokio::spawn(accept(listener, self.relay)));
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

async fn accept(listener: TcpListener, relay: SocketAddr) {
    // Dropped, and its tasks aborted, with this function.
    let mut connections = JoinSet::new();
    // Ends at the first failure to accept; the test then sees its requests refused.
    while let Ok((mut stream, _)) = listener.accept().await {
        connections.spawn(async move {
            if let Ok(mut relay) = TcpStream::connect(relay).await {
                // Either side may end it.
                let _ = copy_bidirectional(&mut stream, &mut relay).await;
            }
        });
    }
}
