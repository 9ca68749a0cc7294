//! [`ConnectProxy`]: an HTTP proxy on loopback that opens tunnels, with faults on demand.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// An HTTP proxy on a free port of 127.0.0.1 that answers `CONNECT` and nothing else.
///
/// Dropping it closes the port and every tunnel.
///
/// ```
/// use goff_testkit::{ConnectProxy, ProxyFault};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let proxy = ConnectProxy::start_with_credentials("flags", "s3cret").await?;
/// let url = proxy.url(); // for the client under test
/// assert!(url.starts_with("http://127.0.0.1:"));
/// assert_eq!(proxy.tunnels(), Vec::<String>::new());
/// proxy.set_fault(ProxyFault::Status(503));
/// # Ok(())
/// # }
/// ```
pub struct ConnectProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

/// What a [`ConnectProxy`] does with a request instead of opening a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProxyFault {
    /// Answers with this status.
    Status(u16),
    /// Reads the request and never answers.
    Silence,
    /// Answers with something other than HTTP.
    Garbage,
    /// Answers with headers without an end.
    EndlessHead,
    /// Closes the connection without an answer.
    Close,
    /// Opens the tunnel, and sends other bytes through it than those of the target first.
    Chatter,
}

struct Shared {
    /// The header that is required.
    authorization: Option<String>,
    fault: Mutex<Option<ProxyFault>>,
    seen: watch::Sender<Seen>,
}

#[derive(Default)]
struct Seen {
    tunnels: Vec<String>,
    unauthorized: usize,
    open: usize,
}

impl ConnectProxy {
    /// Starts a proxy that requires no credentials.
    ///
    /// # Errors
    /// There is no free port on 127.0.0.1.
    pub async fn start() -> io::Result<Self> {
        Self::start_requiring(None).await
    }

    /// Starts a proxy that answers 407 to requests without these credentials.
    ///
    /// # Errors
    /// There is no free port on 127.0.0.1.
    pub async fn start_with_credentials(user: &str, password: &str) -> io::Result<Self> {
        let credentials = STANDARD.encode(format!("{user}:{password}"));
        Self::start_requiring(Some(format!("Basic {credentials}"))).await
    }

    async fn start_requiring(authorization: Option<String>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            authorization,
            fault: Mutex::default(),
            seen: watch::Sender::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// The URL of the proxy, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address of the proxy.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets what the proxy does with later requests; `None` opens tunnels again.
    pub fn set_fault(&self, fault: impl Into<Option<ProxyFault>>) {
        *self.shared.fault() = fault.into();
    }

    /// The targets of the tunnels opened so far, as `host:port`, in order.
    #[must_use]
    pub fn tunnels(&self) -> Vec<String> {
        self.shared.seen.borrow().tunnels.clone()
    }

    /// The number of requests so far without the right credentials.
    #[must_use]
    pub fn unauthorized(&self) -> usize {
        self.shared.seen.borrow().unauthorized
    }

    /// The number of tunnels that are open.
    #[must_use]
    pub fn open_tunnels(&self) -> usize {
        self.shared.seen.borrow().open
    }

    /// Waits until this many tunnels are open.
    pub async fn wait_for_open_tunnels(&self, count: usize) {
        // The channel stays open: `self` holds its sender.
        let mut seen = self.shared.seen.subscribe();
        let _ = seen.wait_for(|seen| seen.open == count).await;
    }
}

impl Drop for ConnectProxy {
    fn drop(&mut self) {
        // The task owns the tasks of the connections, which end with it.
        self.accepting.abort();
    }
}

impl fmt::Debug for ConnectProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectProxy")
            .field("address", &self.address)
            .field("fault", &*self.shared.fault())
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn fault(&self) -> MutexGuard<'_, Option<ProxyFault>> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Serves one connection.
    ///
    /// # Errors
    /// The client went away, or did not send a request.
    async fn serve(&self, mut near: TcpStream) -> io::Result<()> {
        let head = read_head(&mut near).await?;
        let target = head
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1"));
        let Some(target) = target else {
            return near.write_all(&answer(405, "")).await;
        };
        if self.authorization.as_deref() != header(&head, "proxy-authorization")
            && self.authorization.is_some()
        {
            self.seen.send_modify(|seen| seen.unauthorized += 1);
            let offer = "proxy-authenticate: Basic realm=\"proxy\"\r\n";
            return near.write_all(&answer(407, offer)).await;
        }
        let fault = *self.fault();
        let greeting: &[u8] = match fault {
            None => b"",
            Some(ProxyFault::Chatter) => b"220 hello\r\n",
            Some(fault) => return perform(fault, near).await,
        };
        let Ok(mut far) = TcpStream::connect(target).await else {
            return near.write_all(&answer(502, "")).await;
        };
        near.write_all(&[b"HTTP/1.1 200 OK\r\n\r\n", greeting].concat())
            .await?;
        self.seen.send_modify(|seen| {
            seen.tunnels.push(target.to_owned());
            seen.open += 1;
        });
        let _open = OpenTunnel(self);
        copy_bidirectional(&mut near, &mut far).await.map(|_| ())
    }
}

/// Counts a tunnel as open while it lives.
struct OpenTunnel<'a>(&'a Shared);

impl Drop for OpenTunnel<'_> {
    fn drop(&mut self) {
        self.0.seen.send_modify(|seen| seen.open -= 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move { shared.serve(near).await });
    }
}

async fn perform(fault: ProxyFault, mut near: TcpStream) -> io::Result<()> {
    match fault {
        ProxyFault::Status(status) => near.write_all(&answer(status, "")).await,
        // Until the client closes the connection.
        ProxyFault::Silence => near.read_to_end(&mut Vec::new()).await.map(|_| ()),
        ProxyFault::Garbage => near.write_all(b"SSH-2.0-OpenSSH_9.6\r\n").await,
        ProxyFault::EndlessHead => {
            near.write_all(b"HTTP/1.1 200 OK\r\nx-filler: ").await?;
            loop {
                near.write_all(&[b'x'; 1024]).await?;
            }
        }
        ProxyFault::Close | ProxyFault::Chatter => Ok(()),
    }
}

/// Reads to the end of a request's head.
async fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > LONGEST_HEAD {
            return Err(io::Error::other("the request is too long"));
        }
        head.push(stream.read_u8().await?);
    }
    String::from_utf8(head).map_err(io::Error::other)
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut headers = head.lines().filter_map(|line| line.split_once(':'));
    let found = headers.find(|(other, _)| other.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.trim())
}

fn answer(status: u16, headers: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} \r\n{headers}content-length: 0\r\nconnection: close\r\n\r\n").into()
}

const LONGEST_HEAD: usize = 16 * 1024;
