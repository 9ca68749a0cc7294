//! The handshake that turns a byte stream into a WebSocket.
//!
//! It uses hyper, because tungstenite logs the whole request, including the API key, at TRACE.

use std::pin::pin;

use futures_util::FutureExt as _;
use futures_util::future::{Either, poll_fn, select};
use goff_core::{ApiKey, ByteStream};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::tungstenite::handshake::{client::generate_key, derive_accept_key};

use crate::address::{Address, StreamTarget};
use crate::error::{ListenerError, StreamError};

/// The target and the headers of every handshake, built once.
#[derive(Debug)]
pub(crate) struct Handshake {
    target: StreamTarget,
    headers: HeaderMap,
}

/// A stream after the handshake, and the bytes that arrived after the response.
pub(crate) struct Upgraded {
    pub(crate) stream: Box<dyn ByteStream>,
    pub(crate) read_ahead: Vec<u8>,
}

impl Handshake {
    /// The headers of the handshake and the API key win over custom headers, as in every other
    /// request (GOFF-AUTH-004).
    ///
    /// # Errors
    /// A custom header that cannot be sent.
    pub(crate) fn new(
        target: StreamTarget,
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
        if let Some(mut bearer) = api_key.and_then(bearer) {
            // The relay proxy reads no header here, but a gateway may require it.
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
            headers.remove("x-api-key");
        }
        for (name, value) in [
            (header::CONNECTION, "Upgrade"),
            (header::UPGRADE, "websocket"),
            (header::SEC_WEBSOCKET_VERSION, "13"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Ok(host) = HeaderValue::from_str(target.host()) {
            headers.insert(header::HOST, host);
        }
        Ok(Self { target, headers })
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
        let (mut sender, mut connection) = opened.map_err(StreamError::Handshake)?;
        let response = {
            let driver = pin!(poll_fn(|context| connection.poll_without_shutdown(context)));
            let response = pin!(sender.send_request(request));
            match select(driver, response).await {
                Either::Right((response, _)) => response.map_err(StreamError::Handshake)?,
                // HTTP is over on this connection, so the response is there or never arrives.
                Either::Left((ended, response)) => {
                    let Some(response) = response.now_or_never() else {
                        ended.map_err(StreamError::Handshake)?;
                        return Err(StreamError::Closed);
                    };
                    response.map_err(StreamError::Handshake)?
                }
            }
        };
        accepted(&response, &key)?;
        let parts = connection.into_parts();
        Ok(Upgraded {
            stream: parts.io.into_inner(),
            read_ahead: parts.read_buf.into(),
        })
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

fn bearer(key: &ApiKey) -> Option<HeaderValue> {
    HeaderValue::from_bytes(format!("Bearer {}", key.expose()).as_bytes()).ok()
}

/// Whether the response accepts the handshake (RFC 6455, section 4.1).
fn accepted<B>(response: &Response<B>, key: &str) -> Result<(), StreamError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(StreamError::Refused(response.status()));
    }
    let headers = response.headers();
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
            (401, "API key"),
            (404, "prefix"),
        ];
        for (status, part) in hints {
            let message = answer(status, &[upgrade, connection, ACCEPT]).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn custom_headers_are_sent_but_never_change_the_handshake() {
        let target = StreamTarget::new(&"http://h:1031/p".parse().unwrap(), None).unwrap();
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
        let handshake = Handshake::new(target.clone(), None, &custom).unwrap();
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

        let basic = ("authorization", "Basic secret");
        let credentials = [basic, ("x-api-key", "secret")].map(owned);
        let key = ApiKey::new("the-key").unwrap();
        for (key, authorization, x_api_key) in [
            (None, "Basic secret", Some("secret")),
            (Some(&key), "Bearer the-key", None),
        ] {
            let handshake = Handshake::new(target.clone(), key, &credentials).unwrap();
            let shown = format!("{handshake:?}");
            assert!(!shown.contains("secret") && !shown.contains("the-key"));
            let request = handshake.request(Address::Current, KEY);
            let value = |name: &str| request.headers().get(name)?.to_str().ok();
            assert_eq!(value("authorization"), Some(authorization));
            assert_eq!(value("x-api-key"), x_api_key);
        }
    }

    #[test]
    fn unsendable_headers_are_refused_without_their_value() {
        for (name, value, part) in [
            ("x-a", "secret\r\nx-injected: 1", "`x-a`"),
            ("Authorization: secret", "", "valid HTTP header name"),
        ] {
            let target = StreamTarget::new(&"http://h".parse().unwrap(), None).unwrap();
            let refused = Handshake::new(target, None, &[owned((name, value))]);
            let error = refused.unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("secret"), "{error}");
        }
    }
}
