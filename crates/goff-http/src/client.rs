//! [`HttpRelayClient`]: the relay proxy over HTTP.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use goff_core::__internal::timeout;
use goff_core::{
    BodyProblem, BulkEvaluation, ConfigurationUpdate, ContextView, Endpoint, ErrorCode, Etag,
    EventBatch, RelayClient, RelayError, Resolution,
};
use http::header::{HOST, IF_NONE_MATCH};
use http::uri::{Authority, Parts, PathAndQuery, Scheme, Uri};
use http::{HeaderMap, HeaderValue, StatusCode};
use tokio::time::Instant;

use crate::connector::Connector;
use crate::error::OptionError;
use crate::error::TransportError::{Interrupted, NotConnected, TooLarge};
use crate::headers::request_headers;
use crate::hyper_transport::HyperTransport;
use crate::options::{HttpRelayClientOptions, Wire};
use crate::progress::SendProgress;
use crate::rate_limit::{RateLimitGate, retry_after};
use crate::request::{self, EndpointRequest, RemoteProtocol};
use crate::response::Received;
use crate::secrets::Secrets;
use crate::transport::{HttpRequest, HttpResponse, HttpTransport, TransportStats};

/// A relay proxy over HTTP.
///
/// Every request is bounded by the timeout (GOFF-REM-006). Nothing is retried (GOFF-REM-005) with
/// one exception: a request other than the delivery of usage data is sent once more when the
/// kept-alive connection that carried it closed before the first byte of the response. After a 429
/// with `Retry-After`, this client refuses to send requests until that time has passed
/// (GOFF-REM-004).
#[derive(Clone)]
pub struct HttpRelayClient {
    endpoint: Endpoint,
    scheme: Scheme,
    authority: Authority,
    /// The path prefix of the endpoint, without a trailing slash.
    prefix: Box<str>,
    protocol: RemoteProtocol,
    timeout: Duration,
    debug: bool,
    headers: Arc<HeaderMap>,
    secrets: Secrets,
    transport: Arc<dyn HttpTransport>,
    rate_limit: Arc<RateLimitGate>,
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
        let mut secrets = Secrets::default();
        let (custom, api_key) = (&options.custom_headers, options.api_key.as_ref());
        let mut headers = request_headers(custom, api_key, &mut secrets)?;
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
        headers.insert(HOST, host(&scheme, &authority)?);
        let mut pool = options.pool;
        pool.check()?;
        pool.connect_timeout = options.timeout;
        let over = |connector| Arc::new(HyperTransport::new(connector).with_settings(pool));
        let transport: Arc<dyn HttpTransport> = match options.wire {
            Wire::Transport(transport) => transport,
            Wire::Connector(connector) => over(connector),
            Wire::Default => {
                let connector = Connector::new(&options.endpoint, &options.tls)?;
                over(Arc::new(connector.connect_timeout(options.timeout)))
            }
        };
        Ok(Self {
            endpoint: options.endpoint,
            scheme,
            authority,
            prefix: prefix.path().trim_end_matches('/').into(),
            protocol: options.protocol,
            timeout: options.timeout,
            debug: options.debug,
            headers: Arc::new(headers),
            secrets,
            transport,
            rate_limit: Arc::default(),
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

    /// The connections and requests of the transport at this moment.
    #[must_use]
    pub fn transport_stats(&self) -> TransportStats {
        self.transport.stats()
    }

    async fn send<T>(
        &self,
        request: EndpointRequest,
        read: impl FnOnce(Received<'_>) -> Result<T, RelayError>,
    ) -> Result<T, RelayError> {
        self.rate_limit.check()?;
        let uri = self.uri(&request.path)?;
        let path = uri.path();
        let max_response_size = request.max_response_size;
        let progress = Arc::new(SendProgress::default());
        let mut sending = self.transport.send(HttpRequest {
            method: request.method,
            uri: uri.clone(),
            headers: self.headers(request.if_none_match),
            body: request.body,
            max_response_size,
            may_resend: request.may_resend,
            progress: Arc::clone(&progress),
        });
        let started = Instant::now();
        let outcome = timeout(self.timeout, &mut sending).await;
        if outcome.is_none() {
            progress.time_out();
        }
        drop(sending);
        let (status, result) = match outcome {
            None => {
                let (timeout, sent) = (self.timeout, progress.may_be_sent());
                (None, Err(RelayError::Timeout { timeout, sent }))
            }
            Some(Err(NotConnected(cause))) => (None, Err(RelayError::NotConnected(cause))),
            Some(Err(Interrupted(cause))) => (None, Err(RelayError::Interrupted(cause))),
            Some(Err(TooLarge { status })) => {
                let error = too_large(status, path, max_response_size);
                (Some(status), Err(error))
            }
            Some(Ok(response)) => {
                self.note_retry_after(&response);
                let status = response.status;
                let result = if response.body.len() > max_response_size {
                    Err(too_large(status, path, max_response_size))
                } else {
                    let (response, secrets) = (&response, &self.secrets);
                    read(Received {
                        response,
                        path,
                        secrets,
                    })
                };
                (Some(status), result)
            }
        };
        self.log(path, status, started.elapsed(), result.as_ref().err());
        result
    }

    fn headers(&self, if_none_match: Option<HeaderValue>) -> Arc<HeaderMap> {
        let mut headers = Arc::clone(&self.headers);
        if let Some(etag) = if_none_match {
            Arc::make_mut(&mut headers).insert(IF_NONE_MATCH, etag);
        }
        headers
    }

    /// The URL of `path` below the endpoint and its prefix.
    fn uri(&self, path: &str) -> Result<Uri, RelayError> {
        let whole = [&*self.prefix, path].concat();
        let too_long = || RelayError::UnreachableFlagKey {
            reason: "is too long for a URL",
        };
        if whole.len() > MAX_PATH_LENGTH {
            return Err(too_long());
        }
        let path = PathAndQuery::from_maybe_shared(Bytes::from(whole)).map_err(|_| too_long())?;
        let mut parts = Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).map_err(|_| too_long())
    }

    fn note_retry_after(&self, response: &HttpResponse) {
        if response.status != StatusCode::TOO_MANY_REQUESTS {
            return;
        }
        if let Some(wait) = retry_after(&response.headers, SystemTime::now()) {
            self.rate_limit.close_for(wait);
        }
    }

    fn log(
        &self,
        path: &str,
        status: Option<StatusCode>,
        duration: Duration,
        error: Option<&RelayError>,
    ) {
        let status = status.map(|status| status.as_u16());
        let duration_ms = duration.as_secs_f64() * 1e3;
        let error = error.map(tracing::field::display);
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
        self.send(request, |answer| answer.evaluation()).await
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
        let request = request::flag_configuration(flags, held);
        let read = |received: Received<'_>| received.configuration(held.is_some());
        self.send(request, read).await
    }

    async fn collect(&self, batch: &EventBatch) -> Result<(), RelayError> {
        let request = request::collect(batch);
        self.send(request, |answer| answer.collection()).await
    }
}

impl fmt::Debug for HttpRelayClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.keys().collect();
        f.debug_struct("HttpRelayClient")
            .field("endpoint", &self.endpoint)
            .field("protocol", &self.protocol)
            .field("timeout", &self.timeout)
            .field("debug", &self.debug)
            .field("headers", &names)
            .finish_non_exhaustive()
    }
}

/// For a failure the status says more than the size of its body.
fn too_large(status: StatusCode, path: &str, limit: usize) -> RelayError {
    if status.is_success() {
        return RelayError::Body {
            problem: BodyProblem::TooLarge { limit },
            status: status.as_u16(),
        };
    }
    RelayError::Status {
        status: status.as_u16(),
        path: path.to_owned(),
        message: None,
        code: ErrorCode::General,
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
