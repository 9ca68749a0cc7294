//! [`RoundRobinBalancer`]: a TCP load balancer on loopback that counts what passes.

mod request_lines;
mod traffic;

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use request_lines::RequestLines;
pub use traffic::TrafficSecond;
use traffic::{OpenConnection, Traffic};

/// A TCP load balancer on a free port of 127.0.0.1: each connection goes to the next server in turn, or
/// to the one after it that accepts. It counts the requests, bytes and connections of each second.
///
/// When no server accepts, the client's connection is closed. When the process is out of file
/// descriptors, further connections wait until there are some. Dropping the balancer closes the port
/// and every connection.
///
/// ```
/// use goff_testkit::{EmbeddedRelay, RoundRobinBalancer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let relay = EmbeddedRelay::builder().start()?;
/// let address = relay.endpoint().trim_start_matches("http://").parse();
/// let balancer = RoundRobinBalancer::start(address).await?;
/// let endpoint = balancer.endpoint(); // for the clients under test
/// assert!(endpoint.starts_with("http://127.0.0.1:"));
/// assert_eq!(balancer.open_connections(), 0);
/// # Ok(())
/// # }
/// ```
pub struct RoundRobinBalancer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

struct Shared {
    servers: Vec<SocketAddr>,
    /// The number of connections so far.
    accepted: AtomicUsize,
    traffic: Traffic,
}

impl RoundRobinBalancer {
    /// Starts on the runtime of the caller.
    ///
    /// # Errors
    /// There is no free port on 127.0.0.1.
    pub async fn start(servers: impl IntoIterator<Item = SocketAddr>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            servers: servers.into_iter().collect(),
            accepted: AtomicUsize::new(0),
            traffic: Traffic::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// The endpoint for a client: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address at which it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The number of client connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.traffic.open()
    }

    /// What passed in each second since the start, or since the last call; an hour at most. The last
    /// second is the current one, and not over.
    #[must_use]
    pub fn take_traffic(&self) -> Vec<TrafficSecond> {
        self.shared.traffic.take()
    }
}

impl Drop for RoundRobinBalancer {
    fn drop(&mut self) {
        // The task owns the tasks of the connections, which end with it.
        self.accepting.abort();
    }
}

impl fmt::Debug for RoundRobinBalancer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoundRobinBalancer")
            .field("address", &self.address)
            .field("servers", &self.shared.servers)
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// Serves one connection, until either side ends it.
    ///
    /// # Errors
    /// No server accepts, or a connection broke.
    async fn serve(&self, mut client: TcpStream) -> io::Result<()> {
        let _open = OpenConnection::count(&self.traffic);
        let mut server = self.connect().await?;
        // Small messages must not wait for one another.
        client.set_nodelay(true)?;
        server.set_nodelay(true)?;
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        let mut lines = RequestLines::default();
        tokio::select! {
            sent = forward(from_client, to_server, |bytes| {
                self.traffic.sent(bytes.len(), lines.paths_in(bytes));
            }) => sent,
            received = forward(from_server, to_client, |bytes| {
                self.traffic.received(bytes.len());
            }) => received,
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let turn = self.accepted.fetch_add(1, Ordering::Relaxed);
        let count = self.servers.len();
        for server in self
            .servers
            .iter()
            .cycle()
            .skip(turn % count.max(1))
            .take(count)
        {
            if let Ok(stream) = TcpStream::connect(server).await {
                return Ok(stream);
            }
        }
        Err(io::Error::from(io::ErrorKind::ConnectionRefused))
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else {
            // The client has gone, or the process is out of file descriptors for the moment.
            tokio::time::sleep(PAUSE).await;
            continue;
        };
        while connections.try_join_next().is_some() {}
        let shared = Arc::clone(&shared);
        connections.spawn(async move { shared.serve(client).await });
    }
}

async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut count: impl FnMut(&[u8]),
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = from.read(&mut buffer).await?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        count(bytes);
        to.write_all(bytes).await?;
    }
}

const BUFFER: usize = 8 * 1024;
/// Before the next connection is accepted after one could not be.
const PAUSE: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that reads so many bytes from each connection and answers with its name.
    async fn server(name: &'static str, length: usize) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.read_exact(&mut vec![0; length]).await.unwrap();
                stream.write_all(name.as_bytes()).await.unwrap();
            }
        });
        (address, serving)
    }

    async fn answer(balancer: &RoundRobinBalancer) -> String {
        let mut stream = TcpStream::connect(balancer.address()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn connections_go_to_each_server_in_turn_and_past_one_that_is_down() {
        let servers = [
            server("a", 0).await,
            server("b", 0).await,
            server("c", 0).await,
        ];
        let addresses = servers.each_ref().map(|(address, _)| *address);
        let balancer = RoundRobinBalancer::start(addresses).await.unwrap();
        let mut answers = String::new();
        for _ in 0..6 {
            answers += &answer(&balancer).await;
        }
        assert_eq!(answers, "abcabc");
        let [_, (_, b), _] = servers;
        b.abort();
        let _ = b.await;
        answers.clear();
        for _ in 0..6 {
            answers += &answer(&balancer).await;
        }
        assert_eq!(answers, "accacc");
    }

    #[tokio::test]
    async fn without_a_server_connections_are_closed() {
        let balancer = RoundRobinBalancer::start([]).await.unwrap();
        assert_eq!(answer(&balancer).await, "");
    }

    #[tokio::test]
    async fn requests_bytes_and_connections_are_counted() {
        let requests = "POST /v1/flag/configuration HTTP/1.1\r\ncontent-length: 2\r\n\r\n{}\
                        GET /stream?apiKey=secret HTTP/1.1\r\n\r\n";
        let (address, _serving) = server("answer", requests.len()).await;
        let balancer = RoundRobinBalancer::start([address]).await.unwrap();
        let mut stream = TcpStream::connect(balancer.address()).await.unwrap();
        stream.write_all(requests.as_bytes()).await.unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
        // The client hears of the end before the connection is counted as closed.
        let closed = async {
            while balancer.open_connections() > 0 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), closed)
            .await
            .unwrap();
        let total = TrafficSecond::sum(&balancer.take_traffic());
        assert_eq!((total.connections, total.most_open), (1, 1));
        assert_eq!(total.bytes_to_servers, requests.len() as u64);
        assert_eq!(total.bytes_to_clients, 6);
        let paths: Vec<&str> = total.requests.keys().map(String::as_str).collect();
        assert_eq!(paths, ["/stream", "/v1/flag/configuration"]);
        assert_eq!(total.requests_to("/v1/"), 1);
        let left = TrafficSecond::sum(&balancer.take_traffic());
        assert_eq!(left, TrafficSecond::default(), "it was taken");
    }
}
