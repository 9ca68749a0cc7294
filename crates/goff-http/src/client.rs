//! [`HttpRelayClient`]: the relay proxy over HTTP.

use std::fmt;
use std::mem;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::__internal::{
    A_YEAR, RequestObserver, flag_not_found, logged, random_u64, timeout_at,
};
use goff_core::{
    ApiKey, BodyProblem, BulkEvaluation, Cause, ConfigurationUpdate, ConnectionError, ContextView,
    Endpoint, ErrorCode, Etag, EventBatch, RelayClient, RelayError, Resolution,
};
use http::uri::{Authority, Parts, PathAndQuery, Scheme, Uri};
use http::{HeaderValue, StatusCode};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::conditional::ConditionalRequests;
use crate::connector::Connector;
use crate::content_encoding::{decode, is_encoded};
use crate::credentials::Credentials;
use crate::error::OptionError;
use crate::error::TransportError::{Interrupted, NotConnected, TooLarge};
use crate::flag_key::unreachable;
use crate::hyper_transport::{HyperError, HyperTransport};
use crate::options::{HttpRelayClientOptions, Wire};
use crate::progress::SendProgress;
use crate::proxy::ProxyOptions;
use crate::rate_limit::{RateLimits, jittered, retry_after};
use crate::request::{self, EndpointRequest, Purpose, RemoteProtocol};
use crate::response::{Received, shown_path};
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, TransportStats};

/// A relay proxy over HTTP.
///
/// Every request is bounded by the timeout. Nothing is retried, with one exception: a request other
/// than the delivery of usage data is sent once more when the kept-alive connection that carried it
/// closed before the first byte of the response. After a 429 with `Retry-After`, this client
/// refuses to send requests of that kind until that time has passed, and up to a tenth longer. The
/// kinds are evaluations, of one flag or of all, the configuration, and usage data.
///
/// *Specification*: GOFF-REM-006, GOFF-REM-005, GOFF-REM-004.
#[derive(Clone)]
pub struct HttpRelayClient {
    endpoint: Endpoint,
    /// What errors show.
    address: Arc<str>,
    scheme: Scheme,
    authority: Authority,
    /// The path prefix of the endpoint, without a trailing slash.
    prefix: Box<str>,
    protocol: RemoteProtocol,
    timeout: Duration,
    max_response_size: usize,
    debug: bool,
    observer: Option<Arc<dyn RequestObserver>>,
    credentials: Arc<Credentials>,
    /// Whether others on the way could read an API key.
    is_plain_text: bool,
    transport: Arc<dyn HttpTransport>,
    rate_limits: Arc<RateLimits>,
    conditional: Arc<ConditionalRequests>,
    /// The length of the last configuration; the next one is about as long.
    configuration_size: Arc<AtomicUsize>,
}

/// What the answer to [`HttpRelayClient::check`] says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RelayCheck {
    /// The version of the relay proxy, if its answer names it: an operator can turn that off.
    pub version: Option<String>,
    /// When it answered, by its clock, in whole seconds; `None` if its answer has no date.
    pub date: Option<SystemTime>,
    /// Whether it answered with a configuration.
    pub result: Result<(), RelayError>,
}

impl HttpRelayClient {
    /// A client with these options. Nothing is sent and no connection is opened.
    ///
    /// # Errors
    /// [`OptionError`]: a timeout or limit of zero, a header that cannot be sent, or an endpoint or TLS
    /// option that this build or machine does not support.
    pub fn new(options: HttpRelayClientOptions) -> Result<Self, OptionError> {
        if options.timeout.is_zero() {
            return Err(OptionError::new("timeout", "must be longer than zero"));
        }
        if options.max_response_size < SMALLEST_RESPONSE_LIMIT {
            let reason = "must be at least 1,024 bytes";
            return Err(OptionError::new("max_response_size", reason));
        }
        let base = options.endpoint.join("/").parse::<Uri>();
        let Ok(Parts {
            scheme: Some(scheme),
            authority: Some(authority),
            path_and_query: Some(prefix),
            ..
        }) = base.map(Uri::into_parts)
        else {
            return Err(OptionError::new("endpoint", "is not a valid URL"));
        };
        let credentials = Credentials::new(
            host(&scheme, &authority)?,
            options.custom_headers,
            options.header_provider,
            options.api_key,
        )?;
        let is_plain_text = match options.wire {
            // It may encrypt.
            Wire::Transport(_) => false,
            Wire::Connector(_) | Wire::Default => {
                let proxy = options.proxy.as_ref().map(ProxyOptions::endpoint);
                is_plain_text(&options.endpoint, proxy.transpose()?.as_ref())
            }
        };
        if is_plain_text && credentials.has_api_key() {
            warn_of_plain_text(&options.endpoint);
        }
        let mut pool = options.pool;
        pool.check()?;
        pool.connect_timeout = options.timeout;
        let over = |connector| Arc::new(HyperTransport::new(connector).with_settings(pool));
        let transport: Arc<dyn HttpTransport> = match options.wire {
            Wire::Transport(transport) => transport,
            Wire::Connector(connector) => over(connector),
            Wire::Default => {
                let mut connector = Connector::new(&options.endpoint, &options.tls)?;
                if let Some(proxy) = &options.proxy {
                    connector = connector.proxy(proxy)?;
                }
                over(Arc::new(connector.connect_timeout(options.timeout)))
            }
        };
        Ok(Self {
            address: options.endpoint.address(),
            endpoint: options.endpoint,
            scheme,
            authority,
            prefix: prefix.path().trim_end_matches('/').into(),
            protocol: options.protocol,
            timeout: options.timeout,
            max_response_size: options.max_response_size,
            debug: options.debug,
            observer: options.observer,
            credentials: Arc::new(credentials),
            is_plain_text,
            transport,
            rate_limits: Arc::default(),
            configuration_size: Arc::default(),
            conditional: Arc::default(),
        })
    }

    /// The same relay proxy with another evaluation protocol. Both clients share the connections
    /// and the waiting time after a 429.
    #[must_use]
    pub fn with_protocol(&self, protocol: RemoteProtocol) -> Self {
        Self {
            protocol,
            ..self.clone()
        }
    }

    /// Replaces the API key of all requests that begin from now on, `None` meaning that they have
    /// none; requests in flight keep theirs. It applies to the clients of
    /// [`with_protocol`](Self::with_protocol) too. With another key the relay proxy may serve other
    /// flags: an [`Etag`] that was received with the key before must not be sent again.
    ///
    /// # Errors
    /// The key contains characters that an HTTP header cannot hold; the one before stays.
    pub fn set_api_key(&self, api_key: Option<ApiKey>) -> Result<(), OptionError> {
        let warns = self.is_plain_text && api_key.is_some() && !self.credentials.has_api_key();
        self.credentials.set_api_key(api_key)?;
        if warns {
            warn_of_plain_text(&self.endpoint);
        }
        Ok(())
    }

    /// Fetches the configuration of `flags` to learn whether the relay proxy answers and accepts the
    /// key. Name one flag that hardly exists, or give the ETag of a configuration that is `held`,
    /// and the answer is small; nothing is recorded.
    pub async fn check(&self, flags: &[String], held: Option<&Etag>) -> RelayCheck {
        let held = held.filter(|_| self.conditional.are_allowed());
        let is_conditional = held.is_some();
        let request = request::flag_configuration(flags, held);
        let read = move |answer: Received<'_>| {
            let (version, date) = (answer.version(), answer.date());
            let result = answer.configuration(is_conditional).map(drop);
            Ok(RelayCheck {
                version,
                date,
                result,
            })
        };
        let sent = self.send(request, read).await;
        let check = sent.unwrap_or_else(|error| RelayCheck {
            version: None,
            date: None,
            result: Err(error),
        });
        // `send` has seen no error where there is an answer.
        RelayCheck {
            result: check.result.map_err(|error| error.at(&self.address)),
            ..check
        }
    }

    /// Fetches the manifest of the flags: JSON with the key, type, default value and description of
    /// every flag that has a `defaultValue` in its metadata. It is for generators of code; nothing is
    /// recorded.
    ///
    /// # Errors
    /// The relay proxy has no such endpoint (up to 1.51), or one of its flags is of no type that a
    /// manifest has: a list.
    pub async fn flag_manifest(&self) -> Result<String, RelayError> {
        self.send(request::flag_manifest(), |answer| answer.manifest())
            .await
    }

    /// The connections and requests of the transport at this moment.
    #[must_use]
    pub fn transport_stats(&self) -> TransportStats {
        self.transport.stats()
    }

    /// Closes the transport's idle connections, and ends its attempts to connect. Requests in flight
    /// go on, and later ones open new connections.
    pub fn close_idle_connections(&self) {
        self.transport.close_idle();
    }

    async fn send<T: Send + 'static>(
        &self,
        request: EndpointRequest,
        read: impl FnOnce(Received<'_>) -> Result<T, RelayError> + Send + 'static,
    ) -> Result<T, RelayError> {
        // In parts, so that the future does not hold what the transport takes.
        let EndpointRequest {
            purpose,
            method,
            path,
            body,
            if_none_match,
            min_size_limit,
            may_resend,
        } = request;
        self.rate_limits.of(purpose).check()?;
        let path = [&*self.prefix, &path].concat();
        let uri = self.uri(&path)?;
        let headers = self.credentials.for_request()?;
        let max_size = self.max_response_size.max(min_size_limit);
        let progress = Arc::new(SendProgress::new(self.observer.clone()));
        let mut sending = self.transport.send(HttpRequest {
            method,
            uri,
            headers: headers.to_send(if_none_match),
            body,
            max_response_size: max_size,
            may_resend,
            expected_size: match purpose {
                Purpose::Configuration => self.configuration_size.load(Ordering::Relaxed),
                _ => 0,
            },
            progress: Arc::clone(&progress),
        });
        let started = Instant::now();
        let mut status = None;
        let exchange = async {
            let response = match (&mut sending).await {
                Ok(response) => response,
                Err(NotConnected(cause)) => {
                    return Err(RelayError::NotConnected(self.connection_error(cause)));
                }
                Err(Interrupted(cause)) => {
                    return Err(RelayError::Interrupted(self.connection_error(cause)));
                }
                Err(TooLarge { status: received }) => {
                    status = Some(received);
                    progress.answered();
                    let problem = BodyProblem::TooLarge { limit: max_size };
                    return Err(unread(problem, received, &path));
                }
            };
            let received = response.status;
            status = Some(received);
            progress.answered();
            let (runtime, reading) = self.received(response, purpose, max_size, read);
            match runtime {
                None => reading(&path),
                Some(runtime) => {
                    let path = path.clone();
                    match runtime.spawn_blocking(move || reading(&path)).await {
                        Ok(read) => read,
                        // The runtime ends, or reading panicked.
                        Err(_) => Err(interrupted(received)),
                    }
                }
            }
        };
        let end = started + self.timeout.min(A_YEAR);
        let outcome = timeout_at(end, pin!(exchange)).await;
        if outcome.is_none() {
            progress.time_out();
        }
        drop(sending);
        let result = outcome.unwrap_or_else(|| {
            let (timeout, sent) = (self.timeout, progress.may_be_sent());
            Err(RelayError::Timeout {
                timeout,
                sent,
                server: None,
            })
        });
        let result = result.map_err(|error| error.at(&self.address));
        if let (Err(error), Purpose::Evaluation) = (&result, purpose) {
            progress.failed(started, error);
        }
        logged(|| self.log(&path, status, started, result.as_ref().err()));
        result
    }

    fn connection_error(&self, cause: Cause) -> Cause {
        let problem = HyperError::problem(&cause);
        Arc::new(ConnectionError::new(&self.address, problem, cause))
    }

    /// What reads a response, and the runtime that reads a large one where that delays no other task.
    fn received<T, F>(
        &self,
        mut response: HttpResponse,
        purpose: Purpose,
        max_size: usize,
        read: F,
    ) -> (
        Option<Handle>,
        impl FnOnce(&str) -> Result<T, RelayError> + use<T, F>,
    )
    where
        F: FnOnce(Received<'_>) -> Result<T, RelayError>,
    {
        self.note_retry_after(purpose, &response);
        let status = response.status;
        let is_configuration = purpose == Purpose::Configuration && status == StatusCode::OK;
        if is_configuration {
            let size = response.body.len();
            self.configuration_size.store(size, Ordering::Relaxed);
        }
        let is_large = response.body.len() > LARGE_BODY || is_encoded(&response);
        // Outside a runtime there is no other thread.
        let runtime = is_large.then(|| Handle::try_current().ok()).flatten();
        let secrets = self.credentials.secrets_in_use();
        let reading = move |path: &str| {
            let too_large = BodyProblem::TooLarge { limit: max_size };
            let decoded = match response.body.len() > max_size {
                true => Err(too_large),
                false => decode(&mut response, max_size, &secrets),
            };
            if let Err(problem) = decoded {
                return Err(unread(problem, status, path));
            }
            let text = is_configuration
                .then(|| take_text(&mut response.body))
                .flatten();
            read(Received {
                response: &response,
                text: text.as_ref(),
                purpose,
                path,
                secrets: &secrets,
                max_size,
            })
        };
        (runtime, reading)
    }

    /// The URL of `path`, which may hold a flag key and begins with the prefix of the endpoint.
    fn uri(&self, path: &str) -> Result<Uri, RelayError> {
        let too_long = || {
            let key = path.strip_prefix(&*self.prefix).unwrap_or(path);
            let key = key.trim_start_matches("/v1/feature/");
            let key = key.trim_start_matches("/ofrep/v1/evaluate/flags/");
            unreachable(key, "is too long for a URL")
        };
        if path.len() > MAX_PATH_LENGTH {
            return Err(too_long());
        }
        let path = PathAndQuery::try_from(path).map_err(|_| too_long())?;
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| too_long())
    }

    fn note_retry_after(&self, purpose: Purpose, response: &HttpResponse) {
        if response.status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        if let Some(wait) = retry_after(&response.headers, SystemTime::now()) {
            let wait = jittered(wait, random_u64());
            self.rate_limits.of(purpose).close_for(wait);
        }
    }

    fn log(
        &self,
        path: &str,
        status: Option<StatusCode>,
        started: Instant,
        error: Option<&RelayError>,
    ) {
        if !self.debug && !tracing::enabled!(tracing::Level::DEBUG) {
            return;
        }
        let path = &*shown_path(path);
        let status = status.map(|status| status.as_u16());
        let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let error = error.map(RelayError::without_server_texts);
        let error = error.as_ref().map(tracing::field::display);
        if self.debug {
            tracing::info!(path, status, duration_ms, error, "relay proxy request");
        } else {
            tracing::debug!(path, status, duration_ms, error, "relay proxy request");
        }
    }
}

#[async_trait]
impl RelayClient for HttpRelayClient {
    async fn evaluate(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Resolution, RelayError> {
        let request = request::evaluate(self.protocol, flag_key, context)?;
        let answer = self.send(request, |answer| answer.evaluation()).await;
        answer.map_err(|error| match error {
            // The wording differs between versions and protocols, and need not name the flag.
            RelayError::Evaluation(mut failure) if failure.code == ErrorCode::FlagNotFound => {
                failure.details = flag_not_found(flag_key);
                RelayError::Evaluation(failure)
            }
            error => error,
        })
    }

    async fn evaluate_all(&self, context: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        let request = request::evaluate_all(self.protocol, context)?;
        self.send(request, |answer| answer.bulk_evaluation()).await
    }

    async fn flag_configuration(
        &self,
        flags: &[String],
        held: Option<&Etag>,
    ) -> Result<ConfigurationUpdate, RelayError> {
        let held = held.filter(|_| self.conditional.are_allowed());
        let is_conditional = held.is_some();
        let request = request::flag_configuration(flags, held);
        let read = move |answer: Received<'_>| answer.configuration(is_conditional);
        let result = self.send(request, read).await;
        self.conditional.note(is_conditional, result.as_ref().err());
        result
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        let request = request::collect(batch);
        self.send(request, |answer| answer.collection()).await
    }
}

/// Takes a body that is UTF-8, without a copy where it is not shared.
fn take_text(body: &mut Bytes) -> Option<Arc<String>> {
    match String::from_utf8(Vec::from(mem::take(body))) {
        Ok(text) => Some(Arc::new(text)),
        Err(error) => {
            *body = error.into_bytes().into();
            None
        }
    }
}

impl fmt::Debug for HttpRelayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRelayClient")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("timeout", &self.timeout)
            .field("max_response_size", &self.max_response_size)
            .field("debug", &self.debug)
            .field("headers", &self.credentials.names())
            .finish_non_exhaustive()
    }
}

/// The error for a body whose reading was interrupted.
fn interrupted(status: StatusCode) -> RelayError {
    let message = "reading it was interrupted".to_owned();
    RelayError::Body {
        problem: BodyProblem::Unreadable { message },
        status: status.as_u16(),
        server: None,
    }
}

/// The error for a body that is not read. For a failure the status says more than the body.
fn unread(problem: BodyProblem, status: StatusCode, path: &str) -> RelayError {
    if status.is_success() {
        let status = status.as_u16();
        return RelayError::Body {
            problem,
            status,
            server: None,
        };
    }
    let names_fix = matches!(problem, BodyProblem::Encoded { .. });
    RelayError::Status {
        status: status.as_u16(),
        path: shown_path(path).into_owned(),
        message: names_fix.then(|| problem.to_string()),
        code: ErrorCode::General,
        server: None,
    }
}

/// The host of the endpoint is seen from the proxy, if there is one.
fn is_plain_text(endpoint: &Endpoint, proxy: Option<&Endpoint>) -> bool {
    let crosses_network = |to: &Endpoint| !to.is_https() && !is_loopback(to.host());
    !endpoint.is_https()
        && endpoint.unix_socket().is_none()
        && (crosses_network(endpoint) || proxy.is_some_and(crosses_network))
}

/// Warns of a key that is about to cross a network unencrypted.
fn warn_of_plain_text(endpoint: &Endpoint) {
    tracing::warn!(
        %endpoint,
        "API key is sent unencrypted: the endpoint is `http://`, and it or the proxy is on another \
         host; use `https://` where others can read the network"
    );
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// The value of the header `Host`: without the port where it is the default of the scheme.
fn host(scheme: &Scheme, authority: &Authority) -> Result<HeaderValue, OptionError> {
    let default_port = if *scheme == Scheme::HTTPS { 443 } else { 80 };
    let host = if authority.port_u16() == Some(default_port) {
        authority.host()
    } else {
        authority.as_str()
    };
    HeaderValue::from_str(host).map_err(|_| OptionError::new("endpoint", "is not a valid URL"))
}

/// Reading a body of this size takes less than a millisecond.
const LARGE_BODY: usize = 100 * 1024;

const SMALLEST_RESPONSE_LIMIT: usize = 1024;

/// Below the limit of `http::Uri`, which is 65,534.
const MAX_PATH_LENGTH: usize = 60_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_omits_only_the_default_port_of_the_scheme() {
        for (endpoint, expected) in [
            ("http://h", "h"),
            ("http://h:80/prefix", "h"),
            ("http://h:443", "h:443"),
            ("http://h:1031", "h:1031"),
            ("https://h:443", "h"),
            ("https://h:80", "h:80"),
            ("http://[::1]:80", "[::1]"),
            ("http://[::1]:1031", "[::1]:1031"),
            ("unix:///run/relay.sock", "localhost"),
        ] {
            let endpoint: Endpoint = endpoint.parse().unwrap();
            let uri: Uri = endpoint.join("/").parse().unwrap();
            let (scheme, authority) = (uri.scheme().unwrap(), uri.authority().unwrap());
            assert_eq!(host(scheme, authority).unwrap(), expected, "{endpoint}");
        }
    }
}
