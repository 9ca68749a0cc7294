//! [`FaultyServer`]: an HTTP server on loopback with scripted answers, faults included.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

/// An HTTP/1.1 server on a free port of 127.0.0.1 with scripted answers, byte for byte where
/// needed: for tests of what a client does when a gateway or the network fails.
///
/// Each request takes the next [`Answer`]; the last one repeats. The server records the requests.
/// Dropping it closes the port and every connection.
///
/// ```
/// use goff_testkit::{Answer, FaultyServer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let server = FaultyServer::start([
///     Answer::new(502, "<html>bad gateway</html>"),
///     Answer::nothing().then_reset(),
///     Answer::new(200, r#"{"value":true,"reason":"STATIC"}"#),
/// ])
/// .await?;
/// let endpoint = server.url(); // for the client under test
/// assert!(endpoint.starts_with("http://127.0.0.1:"));
/// assert_eq!(server.requests().len(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct FaultyServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl FaultyServer {
    /// Starts a server with these answers. Without answers it reads requests and stays silent.
    ///
    /// # Errors
    /// There is no free port on 127.0.0.1.
    pub async fn start(answers: impl IntoIterator<Item = Answer>) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            answers: Mutex::new(answers.into_iter().collect()),
            released: Semaphore::new(0),
            seen: watch::Sender::new(Seen::default()),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Self {
            address,
            shared,
            accepting,
        })
    }

    /// The URL of a port on 127.0.0.1 without a listener: connections are refused.
    ///
    /// # Errors
    /// There is no free port on 127.0.0.1.
    pub async fn refusing_url() -> io::Result<String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        Ok(format!("http://{}", listener.local_addr()?))
    }

    /// The server's base URL, without a trailing slash.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The server's address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Adds an answer to the script.
    pub fn push(&self, answer: Answer) {
        self.shared.answers().push_back(answer);
    }

    /// Sends one [held](Answer::held) answer: the one that waits, or the next one to wait.
    pub fn release(&self) {
        self.shared.released.add_permits(1);
    }

    /// The number of connections accepted so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.seen.borrow().connections
    }

    /// The complete requests so far, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<SeenRequest> {
        self.shared.seen.borrow().requests.clone()
    }

    /// Waits until `count` complete requests have arrived.
    pub async fn wait_for_requests(&self, count: usize) {
        // The channel stays open: `self` holds its sender.
        let mut seen = self.shared.seen.subscribe();
        let _ = seen.wait_for(|seen| seen.requests.len() >= count).await;
    }

    /// Waits until `count` connections have ended, from either side.
    pub async fn wait_for_ended_connections(&self, count: usize) {
        let mut seen = self.shared.seen.subscribe();
        let _ = seen.wait_for(|seen| seen.ended >= count).await;
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        // The task owns the tasks of the connections, which end with it.
        self.accepting.abort();
    }
}

/// What a [`FaultyServer`] does with one request: the bytes it writes, and what follows them.
#[derive(Clone)]
#[must_use]
pub struct Answer {
    bytes: Vec<u8>,
    filler: Option<(Vec<u8>, u64)>,
    end: End,
    on_connect: bool,
    delay: Duration,
    is_held: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum End {
    KeepAlive,
    Close,
    Reset,
    Silence,
}

impl Answer {
    /// A complete response with this body. The connection stays open.
    pub fn new(status: u16, body: impl AsRef<[u8]>) -> Self {
        Self::with_headers(status, &[("content-type", "application/json")], body)
    }

    /// A complete response with these headers, its `content-length` and this body. The connection
    /// stays open.
    pub fn with_headers(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Self {
        let body = body.as_ref();
        let mut head = format!("HTTP/1.1 {status} \r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        // These statuses imply that there is no body.
        if !matches!(status, 100..=199 | 204 | 304) {
            head.push_str(&format!("content-length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self::raw(bytes)
    }

    /// Exactly these bytes: half a head, a body shorter than announced, no HTTP at all.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self {
            bytes: bytes.into(),
            filler: None,
            end: End::KeepAlive,
            on_connect: false,
            delay: Duration::ZERO,
            is_held: false,
        }
    }

    /// No bytes.
    pub fn nothing() -> Self {
        Self::raw([])
    }

    /// Repeats `piece` afterwards, for `total` bytes; `u64::MAX` never ends.
    pub fn filled_with(mut self, piece: impl Into<Vec<u8>>, total: u64) -> Self {
        self.filler = Some((piece.into(), total));
        self
    }

    /// Closes the connection afterwards.
    pub fn then_close(mut self) -> Self {
        self.end = End::Close;
        self
    }

    /// Resets the connection afterwards (RST).
    pub fn then_reset(mut self) -> Self {
        self.end = End::Reset;
        self
    }

    /// Sends nothing afterwards, and leaves the connection open until the client closes it.
    pub fn then_silence(mut self) -> Self {
        self.end = End::Silence;
        self
    }

    /// Answers when a client connects, without reading a request.
    pub fn on_connect(mut self) -> Self {
        self.on_connect = true;
        self
    }

    /// Waits before the first byte.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Waits for [`FaultyServer::release`] before the first byte.
    pub fn held(mut self) -> Self {
        self.is_held = true;
        self
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("bytes", &String::from_utf8_lossy(&self.bytes))
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// A request as received.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SeenRequest {
    /// The method.
    pub method: String,
    /// The request target, undecoded.
    pub path: String,
    /// Names as the client spelled them, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as long as its `content-length`.
    pub body: Vec<u8>,
    /// Which connection it came on, counted from 0.
    pub connection: usize,
}

impl SeenRequest {
    /// The first header of this name, in any letter case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        let header = headers.find(|(seen, _)| seen.eq_ignore_ascii_case(name));
        header.map(|(_, value)| value.as_str())
    }
}

#[derive(Debug)]
struct Shared {
    answers: Mutex<VecDeque<Answer>>,
    /// Each permit sends one held answer.
    released: Semaphore,
    seen: watch::Sender<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    connections: usize,
    ended: usize,
    requests: Vec<SeenRequest>,
}

impl Shared {
    fn answers(&self) -> MutexGuard<'_, VecDeque<Answer>> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_answer(&self) -> Option<Answer> {
        let mut answers = self.answers();
        if answers.len() > 1 {
            answers.pop_front()
        } else {
            answers.front().cloned()
        }
    }

    /// The next answer, if it needs no request.
    fn answer_to_connect(&self) -> Option<Answer> {
        let is_due = self.answers().front()?.on_connect;
        if is_due { self.next_answer() } else { None }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let mut connection = 0;
        shared.seen.send_modify(|seen| {
            connection = seen.connections;
            seen.connections += 1;
        });
        let shared = Arc::clone(&shared);
        connections.spawn(async move {
            // An error means that the client went away.
            let _ = serve(stream, connection, &shared).await;
            shared.seen.send_modify(|seen| seen.ended += 1);
        });
    }
}

async fn serve(mut stream: TcpStream, connection: usize, shared: &Shared) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    if let Some(answer) = shared.answer_to_connect()
        && write(&mut stream, answer, shared).await? != End::KeepAlive
    {
        return Ok(());
    }
    while let Some(request) = read_request(&mut stream, &mut buffer, connection).await? {
        let answer = shared.next_answer();
        shared.seen.send_modify(|seen| seen.requests.push(request));
        let answer = answer.unwrap_or_else(|| Answer::nothing().then_silence());
        if write(&mut stream, answer, shared).await? != End::KeepAlive {
            return Ok(());
        }
    }
    Ok(())
}

async fn write(stream: &mut TcpStream, answer: Answer, shared: &Shared) -> io::Result<End> {
    if answer.is_held {
        // The semaphore is never closed.
        if let Ok(permit) = shared.released.acquire().await {
            permit.forget();
        }
    }
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    stream.write_all(&answer.bytes).await?;
    if let Some((piece, mut left)) = answer.filler.filter(|(piece, _)| !piece.is_empty()) {
        while left > 0 {
            let size = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            let part = piece.get(..size).unwrap_or(&piece);
            stream.write_all(part).await?;
            left -= size as u64;
        }
    }
    match answer.end {
        End::KeepAlive => {}
        End::Close => stream.shutdown().await?,
        // With a linger time of zero, closing sends RST.
        End::Reset => SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?,
        End::Silence => while stream.read(&mut [0; 1024]).await? > 0 {},
    }
    Ok(answer.end)
}

/// The next complete request; `None` when the client closed the connection between two requests.
async fn read_request(
    stream: &mut TcpStream,
    buffer: &mut Vec<u8>,
    connection: usize,
) -> io::Result<Option<SeenRequest>> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let head = buffer.get(..head_end).unwrap_or_default();
    let mut request = read_head(&String::from_utf8_lossy(head), connection);
    let length = request.header("content-length").unwrap_or("0");
    let length: usize = length.parse().map_err(io::Error::other)?;
    while buffer.len() < head_end + length {
        if stream.read_buf(buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    request.body = buffer.drain(..head_end + length).skip(head_end).collect();
    Ok(Some(request))
}

fn read_head(head: &str, connection: usize) -> SeenRequest {
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let mut word = || first.next().unwrap_or_default().to_owned();
    SeenRequest {
        method: word(),
        path: word(),
        headers: lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect(),
        body: Vec::new(),
        connection,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &[u8] =
        b"POST /a?b HTTP/1.1\r\nHost: h\r\nX-A:  1 \r\nContent-Length: 3\r\n\r\nxyz";

    async fn connected(server: &FaultyServer) -> TcpStream {
        TcpStream::connect(server.address()).await.unwrap()
    }

    async fn read(mut stream: TcpStream) -> io::Result<String> {
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    async fn exchange(server: &FaultyServer) -> io::Result<String> {
        let mut stream = connected(server).await;
        stream.write_all(REQUEST).await?;
        read(stream).await
    }

    #[tokio::test]
    async fn answers_come_in_order_and_requests_are_recorded() {
        let script = [Answer::new(200, "one"), Answer::new(204, "").then_close()];
        let server = FaultyServer::start(script).await.unwrap();
        let mut stream = connected(&server).await;
        stream.write_all(&REQUEST.repeat(2)).await.unwrap();
        assert_eq!(
            read(stream).await.unwrap(),
            "HTTP/1.1 200 \r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\none\
             HTTP/1.1 204 \r\ncontent-type: application/json\r\n\r\n"
        );
        let requests = server.requests();
        assert_eq!(requests.len(), 2);
        assert_eq!(requests[0], requests[1]);
        assert_eq!((&*requests[0].method, &*requests[0].path), ("POST", "/a?b"));
        assert_eq!(requests[0].header("x-a"), Some("1"));
        assert_eq!(requests[0].body, b"xyz");
        assert_eq!(server.connections(), 1);
        server.wait_for_ended_connections(1).await;
    }

    #[tokio::test]
    async fn the_last_answer_repeats_and_pushed_ones_follow() {
        let script = [Answer::raw("a").then_close()];
        let server = FaultyServer::start(script).await.unwrap();
        for expected in ["a", "a"] {
            assert_eq!(exchange(&server).await.unwrap(), expected);
        }
        server.push(Answer::raw("b").then_close());
        for expected in ["a", "b", "b"] {
            assert_eq!(exchange(&server).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn an_answer_can_reset_fill_and_come_without_a_request() {
        let script = [
            Answer::nothing().then_reset(),
            Answer::raw("x").filled_with("abc", 7).then_close(),
            Answer::raw("now").on_connect().then_close(),
        ];
        let server = FaultyServer::start(script).await.unwrap();
        let error = exchange(&server).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(exchange(&server).await.unwrap(), "xabcabca");
        assert_eq!(read(connected(&server).await).await.unwrap(), "now");
        assert_eq!(server.requests().len(), 2);
    }

    #[tokio::test]
    async fn a_held_answer_waits_and_dropping_the_server_ends_everything() {
        let script = [Answer::raw("a").held().then_close(), Answer::nothing()];
        let server = FaultyServer::start(script).await.unwrap();
        let mut stream = connected(&server).await;
        stream.write_all(REQUEST).await.unwrap();
        server.wait_for_requests(1).await;
        server.release();
        assert_eq!(read(stream).await.unwrap(), "a");

        let mut open = connected(&server).await;
        open.write_all(REQUEST).await.unwrap();
        server.wait_for_requests(2).await;
        let address = server.address();
        drop(server);
        assert_eq!(open.read(&mut [0]).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(address).await.is_err());
    }

    #[tokio::test]
    async fn connections_to_the_refusing_url_are_refused() {
        let url = FaultyServer::refusing_url().await.unwrap();
        let address = url.strip_prefix("http://").unwrap();
        let error = TcpStream::connect(address).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
    }
}
