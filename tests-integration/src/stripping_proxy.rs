//! A gateway that serves a relay proxy below a path prefix, which it strips.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1 as client;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use crate::{Address, RelayProxy, wire};

/// Forwards `PREFIX/…` to `/…` of a relay proxy, and answers 404 with HTML to everything else. It records the requests.
/// Stops when dropped. Runs on the runtime of the test.
#[derive(Debug)]
pub struct StrippingProxy {
    endpoint: String,
    accepting: AbortHandle,
    requests: Arc<Mutex<Vec<String>>>,
}

/// What a gateway does with requests.
#[derive(Clone, Default)]
struct Rules {
    prefix: &'static str,
    /// Every request without this `Authorization` is answered 401.
    authorization: Option<&'static str>,
    /// Below the prefix; not found.
    lacking: Option<&'static str>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl StrippingProxy {
    /// Starts on a free port. `prefix` begins with a slash and does not end with one.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn start(relay: &RelayProxy, prefix: &'static str) -> io::Result<Self> {
        let rules = Rules::default();
        Self::with(relay, Rules { prefix, ..rules }).await
    }

    /// A gateway that also answers 401 with HTML to every request without this `Authorization`.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn requiring(
        relay: &RelayProxy,
        prefix: &'static str,
        authorization: &'static str,
    ) -> io::Result<Self> {
        let rules = Rules {
            prefix,
            authorization: Some(authorization),
            ..Rules::default()
        };
        Self::with(relay, rules).await
    }

    /// A gateway without a prefix that answers 404 with HTML to this path.
    ///
    /// # Errors
    ///
    /// No port can be bound.
    pub async fn lacking(relay: &RelayProxy, path: &'static str) -> io::Result<Self> {
        let (lacking, rules) = (Some(path), Rules::default());
        Self::with(relay, Rules { lacking, ..rules }).await
    }

    async fn with(relay: &RelayProxy, rules: Rules) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let endpoint = format!("http://{}{}", listener.local_addr()?, rules.prefix);
        let relay = relay.address().clone();
        let requests = Arc::clone(&rules.requests);
        let accepting = tokio::spawn(async move {
            // Ends at the first failure to accept; the test then sees its requests refused.
            while let Ok((stream, _)) = listener.accept().await {
                let (relay, rules) = (relay.clone(), rules.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    answer(relay.clone(), rules.clone(), request)
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection.with_upgrades());
            }
        });
        Ok(Self {
            endpoint,
            accepting: accepting.abort_handle(),
            requests,
        })
    }

    /// The endpoint for a client: `http://127.0.0.1:PORT/PREFIX`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Method and path of each request so far, as it came, without the query.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.requests.lock();
        requests.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    relay: Address,
    rules: Rules,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path();
    let line = format!("{} {path}", request.method());
    let requests = rules.requests.lock();
    requests.unwrap_or_else(PoisonError::into_inner).push(line);
    let sent = request.headers().get(AUTHORIZATION);
    let wanted = rules.authorization;
    if wanted.is_some_and(|wanted| sent.is_none_or(|sent| sent != wanted)) {
        return Ok(plain(StatusCode::UNAUTHORIZED, "<html>who are you?</html>"));
    }
    let below = path.strip_prefix(rules.prefix);
    if below.is_some() && below == rules.lacking {
        return Ok(plain(StatusCode::NOT_FOUND, "<html>no such page</html>"));
    }
    forward(relay, rules.prefix, request).await
}

impl Drop for StrippingProxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn forward(
    relay: Address,
    prefix: &str,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let target = request.uri().path_and_query();
    let stripped = target.and_then(|target| target.as_str().strip_prefix(prefix));
    let stripped = stripped.filter(|rest| rest.starts_with('/'));
    let Some(uri) = stripped.and_then(|rest| rest.parse::<Uri>().ok()) else {
        return Ok(plain(StatusCode::NOT_FOUND, "<html>no such page</html>"));
    };
    if request.headers().contains_key(UPGRADE) {
        let no_upgrade = || plain(StatusCode::BAD_GATEWAY, "<html>no upgrade</html>");
        let answer = tunnel(relay, uri, request).await;
        return Ok(answer.unwrap_or_else(|_| no_upgrade()));
    }
    let (mut head, body) = request.into_parts();
    head.uri = uri;
    head.headers.remove(TRANSFER_ENCODING);
    let Ok(body) = body.collect().await else {
        return Ok(plain(StatusCode::BAD_REQUEST, "<html>cut short</html>"));
    };
    let request = Request::from_parts(head, Full::new(body.to_bytes()));
    let Ok(answer) = wire::send(&relay, request).await else {
        return Ok(plain(StatusCode::BAD_GATEWAY, "<html>no answer</html>"));
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    // These belong to the other connection; hyper writes new ones.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

/// Forwards a request for an upgrade, and the bytes in both directions if it is granted.
async fn tunnel(
    relay: Address,
    uri: Uri,
    mut request: Request<Incoming>,
) -> io::Result<Response<Full<Bytes>>> {
    let Address::Tcp(address) = relay else {
        return Err(io::Error::other("the gateway has no Unix sockets"));
    };
    let to_client = hyper::upgrade::on(&mut request);
    let (mut head, _) = request.into_parts();
    head.uri = uri;
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = client::handshake(stream).await.map_err(io::Error::other)?;
    tokio::spawn(connection.with_upgrades());
    let request = Request::from_parts(head, Full::new(Bytes::new()));
    let answer = sender.send_request(request).await;
    let mut answer = answer.map_err(io::Error::other)?;
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let to_relay = hyper::upgrade::on(&mut answer);
        tokio::spawn(async move {
            if let (Ok(to_client), Ok(to_relay)) = tokio::join!(to_client, to_relay) {
                let (mut one, mut other) = (TokioIo::new(to_client), TokioIo::new(to_relay));
                // Either side may end it.
                let _ = copy_bidirectional(&mut one, &mut other).await;
            }
        });
    }
    let (head, _) = answer.into_parts();
    Ok(Response::from_parts(head, Full::new(Bytes::new())))
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
