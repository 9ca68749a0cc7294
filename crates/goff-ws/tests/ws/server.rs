//! A server that does what a test tells it, frame by frame, over TCP or in memory, where time can
//! be paused.

use std::fmt;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use goff_core::{ByteStream, Connect, Endpoint};
use goff_ws::TcpConnector;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Fails the test when something that must happen does not.
pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(120), future)
        .await
        .expect("it must happen in time")
}

/// Accepts connections over TCP on a free port of the loopback interface.
pub(crate) struct TcpServer(TcpListener);

impl TcpServer {
    pub(crate) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn endpoint(&self, prefix: &str) -> Endpoint {
        let address = self.0.local_addr().unwrap();
        format!("http://{address}{prefix}").parse().unwrap()
    }

    pub(crate) fn connector(&self) -> Arc<dyn Connect> {
        Arc::new(TcpConnector::new(&self.endpoint("")).unwrap())
    }

    pub(crate) async fn accept(&self) -> Peer<tokio::net::TcpStream> {
        let (stream, _) = within(self.0.accept()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Peer(stream)
    }
}

/// Accepts connections in memory.
pub(crate) struct MemoryServer(mpsc::UnboundedReceiver<DuplexStream>);

/// Opens streams to a [`MemoryServer`]; fails when that is gone.
#[derive(Clone)]
pub(crate) struct MemoryConnector(mpsc::UnboundedSender<DuplexStream>);

impl MemoryServer {
    pub(crate) fn start() -> (Self, Arc<dyn Connect>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(receiver), Arc::new(MemoryConnector(sender)))
    }

    pub(crate) async fn accept(&mut self) -> Peer<DuplexStream> {
        Peer(within(self.0.recv()).await.unwrap())
    }
}

#[async_trait]
impl Connect for MemoryConnector {
    async fn connect(&self) -> io::Result<Box<dyn ByteStream>> {
        let (ours, theirs) = tokio::io::duplex(256 * 1024);
        self.0
            .send(theirs)
            .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
        Ok(Box::new(ours))
    }
}

impl fmt::Debug for MemoryConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryConnector")
    }
}

/// A connection before the handshake.
pub(crate) struct Peer<S>(pub(crate) S);

/// The head of a handshake.
pub(crate) struct Request(String);

impl Request {
    /// The request's target: path and query.
    pub(crate) fn target(&self) -> &str {
        self.0.split(' ').nth(1).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.0.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    /// The parameter `apiKey` as a Go server reads it.
    pub(crate) fn api_key(&self) -> Option<String> {
        let (_, query) = self.target().split_once('?')?;
        let value = query.strip_prefix("apiKey=")?;
        let value = value.split(['&', '#', ';']).next().unwrap();
        let mut bytes = Vec::new();
        let mut rest = value.as_bytes();
        while let [first, tail @ ..] = rest {
            rest = tail;
            bytes.push(match first {
                b'+' => b' ',
                b'%' => {
                    let (digits, tail) = rest.split_at(2);
                    rest = tail;
                    u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
                }
                plain => *plain,
            });
        }
        Some(String::from_utf8(bytes).unwrap())
    }
}

impl<S: ByteStream> Peer<S> {
    /// Reads the handshake and leaves it unanswered.
    pub(crate) async fn request(&mut self) -> Request {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within(self.0.read_u8()).await.unwrap());
        }
        Request(String::from_utf8(head).unwrap())
    }

    /// Answers the handshake with `status`, and closes the connection.
    pub(crate) async fn refuse(mut self, status: u16) -> Request {
        let request = self.request().await;
        let body = r#"{"message":"no"}"#;
        let answer = format!(
            "HTTP/1.1 {status} No\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.0.write_all(answer.as_bytes()).await.unwrap();
        request
    }

    /// Accepts the handshake; `more` is sent in the same packet as the answer.
    pub(crate) async fn upgrade_with(mut self, more: &[u8]) -> (Request, Socket<S>) {
        let request = self.request().await;
        let key = request.header("sec-websocket-key").unwrap();
        let proof = derive_accept_key(key.as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {proof}\r\n\r\n"
        );
        let answer = [answer.as_bytes(), more].concat();
        self.0.write_all(&answer).await.unwrap();
        (request, Socket(self.0))
    }

    /// Accepts the handshake and sends a ping, as the relay proxy does when it has subscribed the
    /// connection.
    pub(crate) async fn open(self) -> Socket<S> {
        self.upgrade_with(&frame(FIN | PING, b"")).await.1
    }
}

/// A connection after the handshake.
pub(crate) struct Socket<S>(pub(crate) S);

pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0x0;
pub(crate) const TEXT: u8 = 0x1;
pub(crate) const BINARY: u8 = 0x2;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xA;

/// A frame as a server writes it.
pub(crate) fn frame(head: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![head];
    match payload.len() {
        short @ ..126 => frame.push(u8::try_from(short).unwrap()),
        medium @ 126..0x1_0000 => {
            frame.push(126);
            frame.extend(u16::try_from(medium).unwrap().to_be_bytes());
        }
        long => {
            frame.push(127);
            frame.extend(u64::try_from(long).unwrap().to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

impl<S: ByteStream> Socket<S> {
    pub(crate) async fn send(&mut self, head: u8, payload: &[u8]) {
        self.send_raw(&frame(head, payload)).await;
    }

    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        within(self.0.write_all(bytes)).await.unwrap();
    }

    pub(crate) async fn ping(&mut self) {
        self.send(FIN | PING, b"").await;
    }

    pub(crate) async fn text(&mut self, message: &str) {
        self.send(FIN | TEXT, message.as_bytes()).await;
    }

    /// The next frame of the client, unmasked.
    pub(crate) async fn receive(&mut self) -> (u8, Vec<u8>) {
        within(async {
            let mut head = [0; 6];
            self.0.read_exact(&mut head).await.unwrap();
            let [first, length, mask @ ..] = head;
            assert_eq!(length & 0x80, 0x80, "clients mask their frames");
            let mut payload = vec![0; usize::from(length & 0x7f)];
            self.0.read_exact(&mut payload).await.unwrap();
            for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
                *byte ^= mask;
            }
            (first & 0xf, payload)
        })
        .await
    }

    /// Reads until the client has closed the connection.
    pub(crate) async fn closed_by_client(&mut self) {
        // A reset is an end as well.
        let _ = within(self.0.read_to_end(&mut Vec::new())).await;
    }
}
