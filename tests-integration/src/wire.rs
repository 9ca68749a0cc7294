//! Single requests to a relay proxy, without this project's client.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

/// The address of a relay proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// An answer as received.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as JSON, or null if it is not.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Sends one request on a new connection: a POST of `body`, or a GET without one. `target` goes into the request line
/// unchanged; `headers` follow `Host` and `Content-Type`.
///
/// # Errors
///
/// The request cannot be built or sent, or is not answered.
pub async fn request(
    address: &Address,
    target: &str,
    headers: &[(&str, &str)],
    body: Option<&Value>,
) -> io::Result<Answer> {
    let Some(body) = body else {
        return raw_request(address, "GET", target, headers, b"").await;
    };
    let json = [(CONTENT_TYPE.as_str(), "application/json")];
    let headers = [&json[..], headers].concat();
    raw_request(
        address,
        "POST",
        target,
        &headers,
        body.to_string().as_bytes(),
    )
    .await
}

/// Sends one request on a new connection, with only `Host` added.
///
/// # Errors
///
/// The request cannot be built or sent, or is not answered.
pub async fn raw_request(
    address: &Address,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut request = Request::builder().method(method).uri(target);
    request = request.header(HOST, "localhost");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = Full::new(Bytes::copy_from_slice(body));
    send(address, request.body(body).map_err(io::Error::other)?).await
}

/// Sends a request unchanged.
pub(crate) async fn send(address: &Address, request: Request<Full<Bytes>>) -> io::Result<Answer> {
    match address {
        Address::Tcp(address) => send_over(TcpStream::connect(address).await?, request).await,
        Address::Unix(path) => send_over(UnixStream::connect(path).await?, request).await,
    }
}

async fn send_over<S>(stream: S, request: Request<Full<Bytes>>) -> io::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(io::Error::other)?;
    let exchange = async move {
        let answer = sender.send_request(request).await?;
        let (head, body) = answer.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok::<_, hyper::Error>(Answer {
            status: head.status,
            headers: head.headers,
            body,
        })
    };
    // The connection ends when `exchange` drops its sender.
    let (answer, _) = tokio::join!(exchange, connection);
    answer.map_err(io::Error::other)
}
