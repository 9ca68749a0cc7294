//! [`Tunnel`]: a way through a proxy, opened with `CONNECT`.
//!
//! hyper-util's `Tunnel` does not tell the status of a refusal, accepts no other success than 200,
//! and drops what follows the head of the answer.

use std::fmt;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use goff_core::{ByteStream, Endpoint};
use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Request, StatusCode, Uri};
use http_body_util::Empty;
use hyper::client::conn::http1::Builder;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::error::OptionError;
use crate::headers::PRODUCT;
use crate::hyper_transport::HyperError;
use crate::proxy::ProxyOptions;
#[cfg(feature = "tls")]
use crate::tls::handshake::TlsHandshake;

/// Opens tunnels to one target through one proxy.
pub(crate) struct Tunnel {
    /// Scheme, host and port of the proxy.
    proxy: String,
    /// Host and port.
    target: String,
    headers: HeaderMap,
    limit: Duration,
    #[cfg(feature = "tls")]
    tls: Option<TlsHandshake>,
}

impl Tunnel {
    /// A tunnel to `target`, and the proxy's endpoint. Nothing is opened yet.
    ///
    /// # Errors
    /// [`OptionError`] for the option `proxy`. It does not quote credentials.
    pub(crate) fn new(
        options: &ProxyOptions,
        target: &Endpoint,
    ) -> Result<(Self, Endpoint), OptionError> {
        let proxy = options.endpoint()?;
        let target = authority(target);
        let mut headers = HeaderMap::new();
        headers.insert(header::USER_AGENT, PRODUCT);
        let host = HeaderValue::from_str(&target);
        let host = host.map_err(|_| OptionError::new("endpoint", "is not a valid URL"))?;
        headers.insert(header::HOST, host);
        if let Some((user, password)) = &options.credentials {
            headers.insert(header::PROXY_AUTHORIZATION, basic(user, password)?);
        }
        let scheme = if proxy.is_https() { "https" } else { "http" };
        let tunnel = Self {
            proxy: format!("{scheme}://{}", authority(&proxy)),
            target,
            headers,
            limit: Duration::MAX,
            #[cfg(feature = "tls")]
            tls: proxy_tls(&proxy, options)?,
        };
        #[cfg(not(feature = "tls"))]
        if proxy.is_https() {
            let reason = "begins with `https://`, which needs the feature `tls` of goff-http";
            return Err(refused(reason));
        }
        Ok((tunnel, proxy))
    }

    /// The time limit for a connection as a whole. The proxy has three quarters of it, so that its
    /// silence is reported as such before the request times out.
    pub(crate) fn set_timeout(&mut self, timeout: Duration) {
        self.limit = timeout / 4 * 3;
    }

    /// Opens a tunnel over the connection that `connecting` opens to the proxy.
    ///
    /// # Errors
    /// The text names the proxy and what to do.
    pub(crate) async fn open(
        &self,
        connecting: impl Future<Output = io::Result<TcpStream>>,
    ) -> io::Result<Box<dyn ByteStream>> {
        let opening = async {
            let stream = connecting.await.map_err(|error| {
                let cause = HyperError::cause(error);
                self.failed(format_args!(
                    "cannot be reached: {cause}; check the option `proxy`"
                ))
            })?;
            let stream = self.secure(stream).await?;
            self.request(stream).await
        };
        let opened = tokio::time::timeout(self.limit, opening).await;
        opened.unwrap_or_else(|_| {
            let (limit, target) = (self.limit.as_millis(), &self.target);
            Err(self.failed(format_args!(
                "opened no tunnel to {target} within {limit} ms; is it an HTTP proxy, and does it \
                 reach {target}?"
            )))
        })
    }

    #[cfg(feature = "tls")]
    async fn secure(&self, stream: TcpStream) -> io::Result<Box<dyn ByteStream>> {
        let stream = Box::new(stream);
        let Some(tls) = &self.tls else {
            return Ok(stream);
        };
        match tls.perform(stream).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(self.failed(format_args!(
                "cannot be used over TLS: {error}; check `ProxyOptions::tls`, or use `http://`"
            ))),
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn secure(&self, stream: TcpStream) -> io::Result<Box<dyn ByteStream>> {
        Ok(Box::new(stream))
    }

    /// Sends `CONNECT`, and reads the head of the answer.
    async fn request(&self, stream: Box<dyn ByteStream>) -> io::Result<Box<dyn ByteStream>> {
        let invalid = |cause: &dyn fmt::Display| {
            self.failed(format_args!(
                "gave no valid answer: {cause}; is it an HTTP proxy, with that scheme and port?"
            ))
        };
        let hyper = |error| invalid(&HyperError::cause(error));
        let mut builder = Builder::new();
        builder.max_buf_size(LONGEST_HEAD);
        let handshake = builder.handshake(TokioIo::new(stream)).await;
        let (mut sender, mut connection) = handshake.map_err(hyper)?;
        let answer = {
            let mut answer = pin!(sender.send_request(self.message()?));
            std::future::poll_fn(|context| {
                let ended = connection.poll_without_shutdown(context);
                match (answer.as_mut().poll(context), ended) {
                    (Poll::Ready(answer), _) => Poll::Ready(Some(answer)),
                    (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready(Some(Err(error))),
                    (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready(None),
                    (Poll::Pending, Poll::Pending) => Poll::Pending,
                }
            })
            .await
        };
        let answer = answer.ok_or_else(|| invalid(&"it closed the connection"))?;
        let answer = answer.map_err(hyper)?;
        if let Some(problem) = self.problem(answer.status(), answer.headers()) {
            return Err(self.failed(problem));
        }
        let parts = connection.into_parts();
        if !parts.read_buf.is_empty() {
            return Err(invalid(&"it sent data before the tunnel was used"));
        }
        Ok(parts.io.into_inner())
    }

    fn message(&self) -> io::Result<Request<Empty<Bytes>>> {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = Uri::try_from(&self.target).map_err(io::Error::other)?;
        request.headers_mut().clone_from(&self.headers);
        Ok(request)
    }

    /// Why an answer opens no tunnel. Quotes nothing of it but the status.
    fn problem(&self, status: StatusCode, headers: &HeaderMap) -> Option<String> {
        if status.is_success() {
            return None;
        }
        if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
            let offers = headers.get_all(header::PROXY_AUTHENTICATE);
            let is_basic = |offer: &HeaderValue| {
                let offer = offer.as_bytes().to_ascii_lowercase();
                offer.windows(5).any(|word| word == b"basic")
            };
            let has_credentials = self.headers.contains_key(header::PROXY_AUTHORIZATION);
            let has_offers = offers.iter().next().is_some();
            let text = if has_offers && !offers.iter().any(is_basic) {
                "authenticates clients in another way than Basic, which alone is supported \
                 (status 407); let the proxy admit this client otherwise"
            } else if has_credentials {
                "refused the credentials (status 407); check `ProxyOptions::credentials`"
            } else {
                "requires credentials (status 407); set `ProxyOptions::credentials`"
            };
            return Some(text.to_owned());
        }
        let hint = if status.is_server_error() {
            "does the proxy reach that host, and is it in order?"
        } else {
            "is it an HTTP proxy that allows `CONNECT` to that host and port?"
        };
        let (status, target) = (status.as_u16(), &self.target);
        Some(format!(
            "opened no tunnel to {target}: status {status}; {hint}"
        ))
    }

    fn failed(&self, what: impl fmt::Display) -> io::Error {
        io::Error::other(format!("the proxy {} {what}", self.proxy))
    }
}

impl fmt::Debug for Tunnel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tunnel")
            .field("proxy", &self.proxy)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Host and port; an IPv6 address in brackets.
fn authority(endpoint: &Endpoint) -> String {
    let (host, port) = (endpoint.host(), endpoint.port());
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

#[cfg(feature = "tls")]
fn proxy_tls(
    proxy: &Endpoint,
    options: &ProxyOptions,
) -> Result<Option<TlsHandshake>, OptionError> {
    let handshake = || TlsHandshake::new(proxy.host(), &options.tls);
    let handshake = proxy.is_https().then(handshake).transpose();
    handshake.map_err(|error| refused(error.reason()))
}

/// The header value for these credentials (RFC 7617).
fn basic(user: &str, password: &str) -> Result<HeaderValue, OptionError> {
    if user.contains(':') {
        return Err(refused("has a user that contains a colon"));
    }
    if user.chars().chain(password.chars()).any(char::is_control) {
        return Err(refused("has credentials that contain a control character"));
    }
    let encoded = base64(format!("{user}:{password}").as_bytes());
    let mut value = HeaderValue::try_from(format!("Basic {encoded}"))
        .map_err(|_| refused("has credentials that an HTTP header cannot hold"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// With padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    let mut encoded = String::new();
    for chunk in bytes.chunks(3) {
        let group = (0..3).fold(0, |group, at| {
            (group << 8) | u32::from(chunk.get(at).copied().unwrap_or_default())
        });
        for at in 0..4 {
            let digit = (group >> (18 - 6 * at)) & 63;
            let letter = ALPHABET.get(digit as usize).filter(|_| at <= chunk.len());
            encoded.push(letter.map_or('=', |letter| char::from(*letter)));
        }
    }
    encoded
}

fn refused(reason: &str) -> OptionError {
    OptionError::new("proxy", reason)
}

/// Of the proxy's answer. hyper allows no less.
const LONGEST_HEAD: usize = 8 * 1024;
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

#[cfg(test)]
mod tests {
    use super::*;

    fn tunnel(options: &ProxyOptions, endpoint: &str) -> Result<Tunnel, OptionError> {
        Ok(Tunnel::new(options, &endpoint.parse().unwrap())?.0)
    }

    #[test]
    fn base64_has_the_examples_of_its_specification() {
        for (bytes, encoded) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
            ("\u{fb}\u{ff}?>~", "w7vDvz8+fg=="),
        ] {
            assert_eq!(base64(bytes.as_bytes()), encoded);
        }
    }

    #[test]
    fn unusable_options_are_refused_without_their_secrets() {
        for (url, user, part) in [
            ("http://flags:s3cret@proxy:3128", "u", "user information"),
            ("proxy:3128", "u", "not an absolute URL"),
            ("socks5://proxy:3128", "u", "not an absolute URL"),
            ("unix:///run/proxy.sock", "u", "is not of the form"),
            ("http://proxy:3128/s3cret", "u", "is not of the form"),
            ("http://proxy:3128", "s3cret:", "colon"),
            ("http://proxy:3128", "s3cret\r\nx", "control character"),
        ] {
            let options = ProxyOptions::new(url).credentials(user, "pa55word");
            let error = tunnel(&options, "http://relay:1031").unwrap_err();
            assert_eq!(error.option(), "proxy");
            assert!(error.reason().contains(part), "{error}");
            let shown = format!("{error} {error:?} {options:?}");
            assert!(
                !shown.contains("s3cret") && !shown.contains("pa55"),
                "{shown}"
            );
        }
    }

    #[test]
    fn request_names_host_and_port_and_hides_the_credentials() {
        let options = ProxyOptions::new("http://proxy").credentials("flags", "pass word");
        for (endpoint, target) in [
            ("http://relay/prefix", "relay:80"),
            ("https://relay", "relay:443"),
            ("http://[::1]:1031", "[::1]:1031"),
        ] {
            let tunnel = tunnel(&options, endpoint).unwrap();
            let request = tunnel.message().unwrap();
            assert_eq!(request.uri().to_string(), target);
            assert_eq!(request.headers()["host"], target);
            let sent = &request.headers()["proxy-authorization"];
            assert_eq!(sent, "Basic ZmxhZ3M6cGFzcyB3b3Jk");
            let shown = format!("{tunnel:?} {request:?}");
            assert!(shown.contains("http://proxy:80"), "{shown}");
            assert!(!shown.contains("ZmxhZ3M6"), "{shown}");
        }
    }

    #[test]
    fn refusal_says_what_to_do() {
        let without = ProxyOptions::new("http://proxy:3128");
        let with = without.clone().credentials("u", "p");
        for (options, status, offer, part) in [
            (&without, 407, "", "set `ProxyOptions::credentials`"),
            (&without, 407, "Basic realm=x", "set `ProxyOptions"),
            (&with, 407, "Negotiate, bASIC", "check `ProxyOptions"),
            (&with, 407, "Negotiate", "another way than Basic"),
            (&with, 403, "", "relay:443: status 403; is it an HTTP proxy"),
            (&with, 302, "", "status 302; is it an HTTP proxy"),
            (
                &with,
                502,
                "",
                "relay:443: status 502; does the proxy reach",
            ),
        ] {
            let tunnel = tunnel(options, "https://relay").unwrap();
            let mut headers = HeaderMap::new();
            if !offer.is_empty() {
                headers.insert(header::PROXY_AUTHENTICATE, offer.parse().unwrap());
            }
            let status = StatusCode::from_u16(status).unwrap();
            let problem = tunnel.problem(status, &headers).unwrap();
            assert!(problem.contains(part), "{problem}");
        }
    }
}
