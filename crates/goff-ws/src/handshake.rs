//! The handshake that turns a stream of bytes into a WebSocket.
//!
//! hyper makes it, since tungstenite logs the whole request at TRACE, API key included.

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
use crate::error::StreamError;

/// What every handshake sends, built once.
#[derive(Debug)]
pub(crate) struct Handshake {
    target: StreamTarget,
    headers: HeaderMap,
}

/// A stream after the handshake, and what the server sent behind its answer.
pub(crate) struct Upgraded {
    pub(crate) stream: Box<dyn ByteStream>,
    pub(crate) read_ahead: Vec<u8>,
}

impl Handshake {
    /// `custom` are a caller's headers, for gateways; those of the handshake itself win, and the
    /// key does, as in every other request (GOFF-AUTH-004).
    pub(crate) fn new(
        target: StreamTarget,
        api_key: Option<&ApiKey>,
        custom: &[(HeaderName, HeaderValue)],
    ) -> Self {
        let mut headers = HeaderMap::new();
        for (name, value) in custom {
            let mut value = value.clone();
            value.set_sensitive(true);
            headers.append(name, value);
        }
        for name in NOT_OURS {
            headers.remove(name);
        }
        headers
            .entry(header::USER_AGENT)
            .or_insert(HeaderValue::from_static(concat!(
                "goff-rs/",
                env!("CARGO_PKG_VERSION")
            )));
        if let Some(mut bearer) = api_key.and_then(bearer) {
            // The relay proxy reads no header of a stream, but a gateway may want to see here what
            // it sees elsewhere.
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
            headers.remove("x-api-key");
        }
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        );
        if let Ok(host) = HeaderValue::from_str(target.host()) {
            headers.insert(header::HOST, host);
        }
        Self { target, headers }
    }

    /// Asks for the stream at `address`.
    pub(crate) async fn perform(
        &self,
        address: Address,
        stream: Box<dyn ByteStream>,
    ) -> Result<Upgraded, StreamError> {
        let key = generate_key();
        let request = self.request(address, &key);
        let (mut sender, mut connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(StreamError::Handshake)?;
        let response = {
            let driver = pin!(poll_fn(|context| connection.poll_without_shutdown(context)));
            let answer = pin!(sender.send_request(request));
            match select(driver, answer).await {
                Either::Right((response, _)) => response.map_err(StreamError::Handshake)?,
                // Everything was read that HTTP has to say, so the answer is there or never comes.
                Either::Left((ended, answer)) => match answer.now_or_never() {
                    Some(response) => response.map_err(StreamError::Handshake)?,
                    None => {
                        return Err(
                            ended.map_or_else(StreamError::Handshake, |()| StreamError::Closed)
                        );
                    }
                },
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

fn bearer(key: &ApiKey) -> Option<HeaderValue> {
    HeaderValue::from_bytes(format!("Bearer {}", key.expose()).as_bytes()).ok()
}

/// Whether the answer accepts the handshake (RFC 6455, section 4.1).
fn accepted<B>(response: &Response<B>, key: &str) -> Result<(), StreamError> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(StreamError::Answered(response.status()));
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
    let proof = headers.get(header::SEC_WEBSOCKET_ACCEPT);
    let expected = derive_accept_key(key.as_bytes());
    let problem = if !has_token(header::UPGRADE, "websocket") {
        "switches to another protocol"
    } else if !has_token(header::CONNECTION, "upgrade") {
        "does not upgrade the connection"
    } else if proof.is_none_or(|proof| proof.as_bytes() != expected.as_bytes()) {
        "does not prove that it answers this handshake"
    } else if headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        "has an extension that nobody asked for"
    } else if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        "has a subprotocol that nobody asked for"
    } else {
        return Ok(());
    };
    Err(StreamError::NotWebSocket(problem))
}

/// Headers of a caller's that would make the handshake another one.
const NOT_OURS: [HeaderName; 5] = [
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
    const PROOF: (&str, &str) = ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");

    fn answer(status: u16, headers: &[(&str, &str)]) -> Result<(), String> {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        accepted(&response.body(()).unwrap(), KEY).map_err(|error| error.to_string())
    }

    #[test]
    fn only_the_right_answer_is_accepted() {
        let upgrade = ("Upgrade", "WebSocket");
        let connection = ("Connection", "keep-alive, Upgrade");
        assert_eq!(answer(101, &[upgrade, connection, PROOF]), Ok(()));
        let wrong_proof = (PROOF.0, "s3pPLMBiTxaQ9kYGzzhZRbK+xOO=");
        let extension = ("Sec-WebSocket-Extensions", "permessage-deflate");
        let protocol = ("Sec-WebSocket-Protocol", "chat");
        for (headers, part) in [
            (vec![connection, PROOF], "another protocol"),
            (
                vec![("Upgrade", "h2c"), connection, PROOF],
                "another protocol",
            ),
            (vec![upgrade, PROOF], "does not upgrade"),
            (vec![upgrade, connection], "does not prove"),
            (vec![upgrade, connection, wrong_proof], "does not prove"),
            (vec![upgrade, connection, PROOF, extension], "extension"),
            (vec![upgrade, connection, PROOF, protocol], "subprotocol"),
        ] {
            let message = answer(101, &headers).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
        for (status, part) in [
            (200, "200"),
            (302, "302"),
            (401, "API key"),
            (404, "prefix"),
        ] {
            let message = answer(status, &[upgrade, connection, PROOF]).unwrap_err();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn headers_of_the_caller_are_sent_but_never_break_the_handshake() {
        let header = |name: &'static str, value: &'static str| {
            (
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )
        };
        let target = StreamTarget::new(&"http://h:1031/p".parse().unwrap(), None).unwrap();
        let credentials = [
            header("authorization", "Basic secret"),
            header("x-api-key", "secret"),
        ];
        let handshake = Handshake::new(
            target.clone(),
            None,
            &[
                header("x-gateway", "secret"),
                header("x-gateway", "second"),
                header("host", "other"),
                header("upgrade", "h2c"),
                header("connection", "close"),
                header("sec-websocket-version", "8"),
                header("sec-websocket-key", "secret"),
                header("sec-websocket-extensions", "permessage-deflate"),
            ],
        );
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

        let key = ApiKey::new("the-key").unwrap();
        for (key, authorization, x_api_key) in [
            (None, "Basic secret", Some("secret")),
            (Some(&key), "Bearer the-key", None),
        ] {
            let handshake = Handshake::new(target.clone(), key, &credentials);
            let shown = format!("{handshake:?}");
            assert!(!shown.contains("secret") && !shown.contains("the-key"));
            let request = handshake.request(Address::Current, KEY);
            let value = |name: &str| request.headers().get(name)?.to_str().ok();
            assert_eq!(value("authorization"), Some(authorization));
            assert_eq!(value("x-api-key"), x_api_key);
        }
    }
}
