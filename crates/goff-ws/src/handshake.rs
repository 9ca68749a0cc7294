//! The handshake that turns a byte stream into a WebSocket.
//!
//! It uses hyper, because tungstenite logs the whole request, including the API key, at TRACE.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::{Either, poll_fn, select};
use goff_core::{
    ApiKey, ByteStream, ConnectionError, ConnectionProblem, Endpoint, ErrorCode, RelayError,
};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::address::{Address, StreamTarget};
use crate::error::{ListenerError, StreamError};

/// The target and the headers of a handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    /// Scheme, host and port, for errors.
    server: Arc<str>,
    target: StreamTarget,
    headers: HeaderMap,
}

/// A stream after the handshake, and the bytes that arrived after the response.
pub(crate) struct Upgraded {
    pub(crate) stream: Box<dyn ByteStream>,
    pub(crate) read_ahead: Vec<u8>,
}

impl Handshake {
    /// The headers of the handshake win over custom headers, and the API key over a custom
    /// `X-API-Key`, as in every other request (GOFF-AUTH-004). A custom `Authorization` is a gateway's
    /// and stays; the key goes as `X-API-Key` then.
    ///
    /// The relay proxy reads only the key in the target, a custom `X-API-Key` included
    /// (docs/relay-protocol.md 3); in the headers it is for gateways.
    ///
    /// # Errors
    /// A custom header that cannot be sent, or a key that does not fit into a URL.
    pub(crate) fn new(
        endpoint: &Endpoint,
        api_key: Option<&ApiKey>,
        custom: &[(String, String)],
    ) -> Result<Self, ListenerError> {
        let mut headers = HeaderMap::new();
        for (name, value) in custom {
            let (name, value) = custom_header(name, value)?;
            headers.append(name, value);
        }
        for name in RESERVED_HEADERS {
            headers.remove(name);
        }
        headers.entry(header::USER_AGENT).or_insert(PRODUCT);
        let key = match api_key {
            Some(key) => {
                insert_key(&mut headers, key);
                Some(key.clone())
            }
            None => headers
                .get(X_API_KEY)
                .and_then(|key| std::str::from_utf8(key.as_bytes()).ok())
                .and_then(|key| ApiKey::new(key).ok()),
        };
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let target =
            StreamTarget::new(endpoint, key.as_ref()).map_err(|_| ListenerError::KeyTooLong)?;
        if let Ok(host) = HeaderValue::from_str(target.host()) {
            headers.insert(header::HOST, host);
        }
        Ok(Self {
            server: endpoint.address(),
            target,
            headers,
        })
    }

    /// Performs the handshake at `address`.
    pub(crate) async fn perform(
        &self,
        address: Address,
        stream: Box<dyn ByteStream>,
    ) -> Result<Upgraded, StreamError> {
        let key = generate_key();
        let request = self.request(address, &key);
        let opened = http1::handshake(TokioIo::new(stream)).await;
        let broken = |error| self.interrupted(error);
        let (mut sender, mut connection) = opened.map_err(broken)?;
        let response = {
            let driver = pin!(poll_fn(|context| connection.poll_without_shutdown(context)));
            let response = pin!(sender.send_request(request));
            match select(driver, response).await {
                Either::Right((response, _)) => response.map_err(broken)?,
                // HTTP is over on this connection, so the response is there or never arrives.
                Either::Left((ended, response)) => {
                    let Some(response) = response.now_or_never() else {
                        ended.map_err(broken)?;
                        return Err(StreamError::Closed { by_frame: false });
                    };
                    response.map_err(broken)?
                }
            }
        };
        accepted(&response, &key).map_err(|error| self.named(error, address))?;
        let parts = connection.into_parts();
        Ok(Upgraded {
            stream: parts.io.into_inner(),
            read_ahead: parts.read_buf.into(),
        })
    }

    pub(crate) fn not_connected(&self, error: io::Error) -> StreamError {
        let error = ConnectionError::new(&self.server, None, Arc::new(error));
        RelayError::NotConnected(Arc::new(error)).into()
    }

    fn interrupted(&self, error: hyper::Error) -> StreamError {
        let problem = if error.is_parse() {
            Some(ConnectionProblem::NotHttp)
        } else if error.is_incomplete_message() || error.is_closed() || error.is_canceled() {
            Some(ConnectionProblem::Closed)
        } else {
            None
        };
        let error = ConnectionError::new(&self.server, problem, Arc::new(error));
        RelayError::Interrupted(Arc::new(error)).into()
    }

    /// Names server and address in a refusal.
    fn named(&self, mut error: StreamError, address: Address) -> StreamError {
        if let StreamError::Refused { error, .. } = &mut error
            && let RelayError::Status { path, server, .. } = error
        {
            *path = self.target.path(address);
            *server = Some(Arc::clone(&self.server));
        }
        error
    }

    fn request(&self, address: Address, key: &str) -> Request<String> {
        let mut request = Request::new(String::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = self.target.expose(address);
        request.headers_mut().clone_from(&self.headers);
        if let Ok(key) = HeaderValue::from_str(key) {
            request.headers_mut().insert(header::SEC_WEBSOCKET_KEY, key);
        }
        request
    }
}

fn custom_header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), ListenerError> {
    // An invalid name may contain a value.
    let invalid = "a header does not have a valid HTTP header name";
    let name = HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| ListenerError::CustomHeader(invalid.to_owned()))?;
    let invalid = "has a value that contains a line break or another control character";
    let mut value = HeaderValue::from_bytes(value.as_bytes())
        .map_err(|_| ListenerError::CustomHeader(format!("header `{name}` {invalid}")))?;
    value.set_sensitive(true);
    Ok((name, value))
}

fn insert_key(headers: &mut HeaderMap, key: &ApiKey) {
    let (name, value) = if headers.contains_key(header::AUTHORIZATION) {
        (X_API_KEY, key.expose().to_owned())
    } else {
        headers.remove(X_API_KEY);
        (header::AUTHORIZATION, format!("Bearer {}", key.expose()))
    };
    // The relay proxy does not need the header, so a key that fits into none is no error here.
    if let Ok(mut value) = HeaderValue::from_bytes(value.as_bytes()) {
        value.set_sensitive(true);
        headers.insert(name, value);
    }
}

/// Whether the response accepts the handshake (RFC 6455, section 4.1).
fn accepted<B>(response: &Response<B>, key: &str) -> Result<(), StreamError> {
    let (status, headers) = (response.status(), response.headers());
    if status != StatusCode::SWITCHING_PROTOCOLS {
        let retry_after = retry_after(status, headers);
        return Err(StreamError::Refused {
            error: RelayError::Status {
                status: status.as_u16(),
                path: String::new(),
                message: None,
                code: ErrorCode::General,
                server: None,
            },
            status,
            retry_after,
            after_the_other: false,
        });
    }
    let has_token = |name: HeaderName, token: &str| {
        headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .any(|value| value.trim().eq_ignore_ascii_case(token))
    };
    let accept = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    let expected = derive_accept_key(key.as_bytes());
    let problem = if !has_token(header::UPGRADE, "websocket") {
        "switches to another protocol"
    } else if !has_token(header::CONNECTION, "upgrade") {
        "does not upgrade the connection"
    } else if accept.is_none_or(|accept| accept.as_bytes() != expected.as_bytes()) {
        "does not match the key of the request"
    } else if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        "has an extension that was not requested"
    } else if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        "has a subprotocol that was not requested"
    } else {
        return Ok(());
    };
    Err(StreamError::NotWebSocket(problem))
}

/// The seconds in `Retry-After` of a 429 or 503. A date there is left to the backoff, whose pauses
/// are long enough for a server that writes one.
fn retry_after(status: StatusCode, headers: &HeaderMap) -> Option<Duration> {
    if ![
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::SERVICE_UNAVAILABLE,
    ]
    .contains(&status)
    {
        return None;
    }
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds = text.parse().unwrap_or(u64::MAX);
    Some(Duration::from_secs(seconds).min(LONGEST_RETRY_AFTER))
}

const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);
const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
const PRODUCT: HeaderValue =
    HeaderValue::from_static(concat!("goff-rs/", env!("CARGO_PKG_VERSION")));

/// Custom headers that would change the handshake.
const RESERVED_HEADERS: [HeaderName; 5] = [
    header::SEC_WEBSOCKET_EXTENSIONS,
    header::SEC_WEBSOCKET_PROTOCOL,
    header::SEC_WEBSOCKET_KEY,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
];

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    const ACCEPT: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    fn owned((name, value): (&str, &str)) -> (String, String) {
        (name.to_owned(), value.to_owned())
    }

    fn answer(status: u16, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        accepted(&response.body(()).unwrap(), KEY).map_err(|error| error.to_string())
    }

    #[test]
    fn only_a_valid_response_is_accepted() {
        let upgrade = ("Upgrade", "WebSocket");
        let connection = ("Connection", "keep-alive, Upgrade");
        assert_eq!(answer(101, &[upgrade, connection, ACCEPT]), Ok(()));
        let wrong_accept = (ACCEPT.0, "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=");
        let extension = ("Sec-WebSocket-Extensions", "permessage-deflate");
        let protocol = ("Sec-WebSocket-Protocol", "chat");
        let h2c = ("Upgrade", "h2c");
        for (headers, part) in [
            (vec![connection, ACCEPT], "another protocol"),
            (vec![h2c, connection, ACCEPT], "another protocol"),
            (vec![upgrade, ACCEPT], "does not upgrade"),
            (vec![upgrade, connection], "does not match"),
            (vec![upgrade, connection, wrong_accept], "does not match"),
            (vec![upgrade, connection, ACCEPT, extension], "extension"),
            (vec![upgrade, connection, ACCEPT, protocol], "subprotocol"),
        ] {
            let message = answer(101, &headers).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        let hints = [
            (200, "200"),
            (302, "302"),
            (401, "api_key"),
            (404, "path of the option `endpoint`"),
        ];
        for (status, part) in hints {
            let message = answer(status, &[upgrade, connection, ACCEPT]).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn custom_headers_are_sent_but_never_change_the_handshake() {
        let endpoint: Endpoint = "http://h:1031/p".parse().unwrap();
        let custom = [
            ("x-gateway", "secret"),
            ("x-gateway", "second"),
            ("host", "other"),
            ("upgrade", "h2c"),
            ("connection", "close"),
            ("sec-websocket-version", "8"),
            ("sec-websocket-key", "secret"),
            ("sec-websocket-extensions", "permessage-deflate"),
        ]
        .map(owned);
        let handshake = Handshake::new(&endpoint, None, &custom).unwrap();
        assert!(!format!("{handshake:?}").contains("secret"));
        let request = handshake.request(Address::Legacy, KEY);
        assert_eq!(request.uri(), "/p/ws/v1/flag/change");
        let values = |name: &str| -> Vec<_> {
            let all = request.headers().get_all(name).iter();
            all.map(|value| value.to_str().unwrap()).collect()
        };
        assert_eq!(values("x-gateway"), ["secret", "second"]);
        assert_eq!(values("host"), ["h:1031"]);
        assert_eq!(values("upgrade"), ["websocket"]);
        assert_eq!(values("connection"), ["Upgrade"]);
        assert_eq!(values("sec-websocket-version"), ["13"]);
        assert_eq!(values("sec-websocket-key"), [KEY]);
        assert!(values("sec-websocket-extensions").is_empty());
        assert!(values("user-agent").concat().starts_with("goff-rs/"));
    }

    /// GOFF-AUTH-004: the relay proxy reads the key in the target, a gateway its own credentials.
    #[test]
    fn key_and_credentials_of_a_gateway_are_both_sent() {
        let basic = ("Authorization", "Basic secret");
        let jwt = ("authorization", "Bearer secret");
        let other = ("X-API-Key", "secret +&");
        let bearer = Some("Bearer the-key");
        let (key, escaped) = (Some("the-key"), Some("secret%20%2B%26"));
        for (api_key, custom, in_target, authorization, x_api_key) in [
            (None, &[][..], None, None, None),
            (None, &[basic], None, Some(basic.1), None),
            (None, &[other], escaped, None, Some(other.1)),
            (None, &[other, basic], escaped, Some(basic.1), Some(other.1)),
            (key, &[], key, bearer, None),
            (key, &[other], key, bearer, None),
            (key, &[basic], key, Some(basic.1), key),
            (key, &[jwt], key, Some(jwt.1), key),
            (key, &[basic, other], key, Some(basic.1), key),
        ] {
            let custom: Vec<_> = custom.iter().copied().map(owned).collect();
            let api_key = api_key.map(|key| ApiKey::new(key).unwrap());
            let endpoint = "http://h".parse().unwrap();
            let handshake = Handshake::new(&endpoint, api_key.as_ref(), &custom).unwrap();
            let shown = format!("{handshake:?}");
            assert!(!shown.contains("secret") && !shown.contains("the-key"));
            let request = handshake.request(Address::Current, KEY);
            let value = |name: &str| {
                let values: Vec<_> = request.headers().get_all(name).iter().collect();
                assert!(values.len() < 2, "{custom:?}");
                values.first().map(|value| value.to_str().unwrap())
            };
            assert_eq!(value("authorization"), authorization, "{custom:?}");
            assert_eq!(value("x-api-key"), x_api_key, "{custom:?}");
            let query = in_target.map(|key| format!("apiKey={key}"));
            assert_eq!(request.uri().query(), query.as_deref(), "{custom:?}");
        }
    }

    #[test]
    fn retry_after_of_an_overloaded_server_is_read() {
        let wait = |status: u16, value: &str| {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
            let status = StatusCode::from_u16(status).unwrap();
            retry_after(status, &headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait(429, "7"), Some(7));
        assert_eq!(wait(503, " 0 "), Some(0));
        assert_eq!(wait(503, "99999999999999999999999"), Some(60));
        for (status, value) in [
            (401, "7"),
            (429, ""),
            (429, "-1"),
            (503, "soon"),
            (302, "7"),
        ] {
            assert_eq!(wait(status, value), None, "{status} {value}");
        }
    }

    #[test]
    fn unsendable_headers_are_refused_without_their_value() {
        for (name, value, part) in [
            ("x-a", "secret\r\nx-injected: 1", "`x-a`"),
            ("Authorization: secret", "", "valid HTTP header name"),
        ] {
            let endpoint = "http://h".parse().unwrap();
            let refused = Handshake::new(&endpoint, None, &[owned((name, value))]);
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
