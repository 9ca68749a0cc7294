//! [`ProxyOptions`]: an HTTP proxy on the way to the relay proxy.

pub(crate) mod tunnel;

use std::fmt;

use goff_core::Endpoint;
use http::Uri;

use crate::error::OptionError;
use crate::tls::TlsOptions;

/// An HTTP proxy that opens tunnels with `CONNECT` (RFC 9110, section 9.3.6). Setters never fail;
/// [`Connector::proxy`](crate::Connector::proxy) checks.
///
/// Every connection to the endpoint goes through a tunnel, for `http` and `https` endpoints alike,
/// so the proxy must allow `CONNECT` to the endpoint's port. With `https` the proxy sees only the
/// endpoint's host and port. The proxy resolves that host; this machine need not know it.
///
/// No environment variable (`HTTPS_PROXY`, `NO_PROXY`) has an effect, and no host is exempt, not
/// even `localhost`: a client that is to connect directly has no proxy in its options.
///
/// ```
/// use goff_http::ProxyOptions;
///
/// let proxy = ProxyOptions::new("http://proxy.example:3128").credentials("flags", "s3cret");
/// assert!(!format!("{proxy:?}").contains("s3cret"));
/// ```
///
/// `Debug` shows neither user nor password.
#[derive(Clone)]
pub struct ProxyOptions {
    pub(crate) url: String,
    pub(crate) credentials: Option<(String, String)>,
    pub(crate) tls: TlsOptions,
}

impl ProxyOptions {
    /// The proxy at `url`: `http://host:port`, or `https://host:port` for a proxy that is itself
    /// reached over TLS. Without a port it is 80 or 443. No credentials.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials: None,
            tls: TlsOptions::default(),
        }
    }

    /// The credentials, sent as `Proxy-Authorization: Basic …` with every `CONNECT`, and to the
    /// proxy only. The user must not contain a colon, and neither of the two a control character.
    /// Default: none.
    ///
    /// An `http` proxy receives them in plain text: anyone on the way to the proxy can read them.
    #[must_use]
    pub fn credentials(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some((user.into(), password.into()));
        self
    }

    /// How to secure the connection to an `https` proxy. It does not concern the endpoint, whose
    /// options have no effect on the proxy either. Default: the platform's certificate authorities.
    #[must_use]
    pub fn tls(mut self, tls: TlsOptions) -> Self {
        self.tls = tls;
        self
    }

    /// # Errors
    /// [`OptionError`] for the option `proxy`, which does not quote the URL.
    pub(crate) fn endpoint(&self) -> Result<Endpoint, OptionError> {
        let refused = |reason: &str| Err(OptionError::new("proxy", reason));
        if self.url.contains('@') {
            return refused(
                "contains user information (`user:password@`); use `ProxyOptions::credentials`",
            );
        }
        let endpoint: Endpoint = match self.url.parse() {
            Ok(endpoint) => endpoint,
            Err(error) => return refused(&format!("{error}")),
        };
        let root = endpoint.join("/").parse();
        let is_bare = root.is_ok_and(|uri: Uri| uri.path() == "/");
        if endpoint.unix_socket().is_some() || !is_bare {
            return refused("is not of the form `http://host:port` or `https://host:port`");
        }
        Ok(endpoint)
    }
}

impl fmt::Debug for ProxyOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // An unusable URL may contain a password.
        f.debug_struct("ProxyOptions")
            .field("url", &self.endpoint().ok())
            .field("credentials", &self.credentials.is_some())
            .field("tls", &self.tls)
            .finish()
    }
}
