//! A gateway in front of a relay proxy: serves it below a path prefix, which it strips.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::{Address, RelayProxy, wire};

/// Forwards `PREFIX/…` to `/…` of a relay proxy and answers 404, with HTML, to everything else. Stops when
/// dropped; lives in the runtime of the test that started it.
#[derive(Debug)]
pub struct StrippingProxy {
    endpoint: String,
    accepting: AbortHandle,
}

impl StrippingProxy {
    /// Starts on a free port. `prefix` begins with a slash and does not end with one.
    ///
    /// # Errors
    ///
    /// If no port can be bound.
    pub async fn start(relay: &RelayProxy, prefix: &'static str) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        let endpoint = format!("http://{}{prefix}", listener.local_addr()?);
        let relay = relay.address().clone();
        let accepting = tokio::spawn(async move {
            // Ends at the first failure to accept; the test then sees its requests refused.
            while let Ok((stream, _)) = listener.accept().await {
                let relay = relay.clone();
                let service = service_fn(move |request| forward(relay.clone(), prefix, request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self {
            endpoint,
            accepting: accepting.abort_handle(),
        })
    }

    /// What a client is configured with: `http://127.0.0.1:PORT/PREFIX`.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }
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
    let target = request
        .uri()
        .path_and_query()
        .map_or("", |target| target.as_str());
    let stripped = target
        .strip_prefix(prefix)
        .filter(|rest| rest.starts_with('/'));
    let Some(uri) = stripped.and_then(|rest| rest.parse::<Uri>().ok()) else {
        return Ok(plain(StatusCode::NOT_FOUND, "<html>no such page</html>"));
    };
    let (mut head, body) = request.into_parts();
    head.uri = uri;
    head.headers.remove(TRANSFER_ENCODING);
    let Ok(body) = body.collect().await else {
        return Ok(plain(
            StatusCode::BAD_REQUEST,
            "<html>the request was cut short</html>",
        ));
    };
    let Ok(answer) = wire::send(
        &relay,
        Request::from_parts(head, Full::new(body.to_bytes())),
    )
    .await
    else {
        return Ok(plain(
            StatusCode::BAD_GATEWAY,
            "<html>the relay proxy does not answer</html>",
        ));
    };
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    *response.headers_mut() = answer.headers;
    // Both belong to the other connection; hyper writes its own.
    for name in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        response.headers_mut().remove(name);
    }
    Ok(response)
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response
}
