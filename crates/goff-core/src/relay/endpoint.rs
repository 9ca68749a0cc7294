//! The relay proxy's base URL.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use http::Uri;

/// The base URL of a relay proxy: `http://`, `https://` or, for a Unix socket, `unix:///path`.
///
/// Trailing slashes are dropped, a path prefix is kept. A query, a fragment or user information is
/// refused, because joining a path would cut or leak them.
///
/// ```
/// # use goff_core::Endpoint;
/// let endpoint: Endpoint = "https://gateway.example/flags/".parse().unwrap();
/// assert_eq!(endpoint.join("/v1/allflags"), "https://gateway.example/flags/v1/allflags");
/// assert_eq!(endpoint.port(), 443);
/// ```
///
/// *Specification*: GOFF-IP-003, GOFF-CFG-001.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    kind: EndpointKind,
    /// Scheme, authority and prefix, without a trailing slash.
    base: Box<str>,
    host: Box<str>,
    port: u16,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum EndpointKind {
    Http,
    Https,
    Unix(PathBuf),
}

impl Endpoint {
    /// The URL of `path`, which starts with `/`. For a Unix socket the host is `localhost`.
    #[must_use]
    pub fn join(&self, path: &str) -> String {
        [&self.base, path].concat()
    }

    /// Whether connections use TLS.
    #[must_use]
    pub fn is_https(&self) -> bool {
        matches!(self.kind, EndpointKind::Https)
    }

    /// The path of the Unix socket, if the endpoint is one.
    #[must_use]
    pub fn unix_socket(&self) -> Option<&Path> {
        match &self.kind {
            EndpointKind::Unix(path) => Some(path),
            EndpointKind::Http | EndpointKind::Https => None,
        }
    }

    /// The host to connect to; an IPv6 address without brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'))
            .unwrap_or(&self.host)
    }

    /// The port to connect to; 80 or 443 if the URL contains none.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Scheme, host and port, or the path of the Unix socket: what errors show.
    #[must_use]
    pub fn address(&self) -> Arc<str> {
        let scheme = match &self.kind {
            EndpointKind::Unix(path) => return format!("unix://{}", path.display()).into(),
            EndpointKind::Http => "http",
            EndpointKind::Https => "https",
        };
        format!("{scheme}://{}:{}", self.host, self.port).into()
    }

    fn unix(path: &str) -> Result<Self, EndpointError> {
        if !path.starts_with('/') {
            return Err(EndpointError(
                "has no absolute socket path; use `unix:///path/to/socket`",
            ));
        }
        if path.ends_with('/') {
            return Err(EndpointError("names a directory instead of a socket"));
        }
        if path.contains('\0') {
            return Err(EndpointError("contains a NUL character"));
        }
        Ok(Self {
            kind: EndpointKind::Unix(PathBuf::from(path)),
            base: "http://localhost".into(),
            host: "localhost".into(),
            port: 80,
        })
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(url: &str) -> Result<Self, EndpointError> {
        if url.is_empty() {
            return Err(EndpointError("is empty"));
        }
        if let Some(path) = strip_scheme(url, "unix://") {
            return Self::unix(path);
        }
        let (kind, default_port) = if strip_scheme(url, "http://").is_some() {
            (EndpointKind::Http, 80)
        } else if strip_scheme(url, "https://").is_some() {
            (EndpointKind::Https, 443)
        } else {
            return Err(EndpointError(
                "is not an absolute URL that starts with `http://`, `https://` or `unix://`",
            ));
        };
        // `http::Uri` silently drops a fragment, so this check comes before parsing.
        if url.contains('#') {
            return Err(EndpointError("contains a fragment (`#…`); remove it"));
        }
        if url.contains('?') {
            return Err(EndpointError("contains a query (`?…`); remove it"));
        }
        let uri: Uri = url
            .parse()
            .map_err(|_| EndpointError("is not a valid URL (write non-ASCII hosts in punycode)"))?;
        let authority = uri.authority().ok_or(EndpointError("has no host"))?;
        if authority.as_str().contains('@') {
            return Err(EndpointError(
                "contains user information (`user:password@`); use the option `api_key`",
            ));
        }
        if authority.host().is_empty() || authority.host() == "[]" {
            return Err(EndpointError("has no host"));
        }
        let port = match authority.as_str().strip_prefix(authority.host()) {
            None | Some("") => default_port,
            Some(_) => match authority.port_u16() {
                None | Some(0) => return Err(EndpointError("has an invalid port")),
                Some(port) => port,
            },
        };
        let scheme = uri.scheme_str().unwrap_or_default();
        let prefix = uri.path().trim_end_matches('/');
        Ok(Self {
            kind,
            base: format!("{scheme}://{authority}{prefix}").into(),
            host: authority.host().into(),
            port,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            EndpointKind::Unix(path) => write!(f, "unix://{}", path.display()),
            EndpointKind::Http | EndpointKind::Https => f.write_str(&self.base),
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

fn strip_scheme<'a>(url: &'a str, scheme: &str) -> Option<&'a str> {
    let (head, rest) = url.split_at_checked(scheme.len())?;
    head.eq_ignore_ascii_case(scheme).then_some(rest)
}

/// Why a text is not an [`Endpoint`]. The message never contains the text, which may include a
/// password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct EndpointError(&'static str);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// GOFF-CFG-001.
    #[test]
    fn refusal_gives_the_reason_without_the_url() {
        for (url, part) in [
            ("", "is empty"),
            ("not a url", "not an absolute URL"),
            ("/relative", "not an absolute URL"),
            ("//host", "not an absolute URL"),
            ("localhost:1031", "not an absolute URL"),
            ("ftp://host", "not an absolute URL"),
            ("ws://host", "not an absolute URL"),
            ("http:/host", "not an absolute URL"),
            ("http://", "valid URL"),
            ("http:///path", "valid URL"),
            ("http://ho st", "valid URL"),
            ("http://хост", "valid URL"),
            ("http://host?x=1", "query"),
            ("http://host/p?", "query"),
            ("http://host#f", "fragment"),
            ("http://user:secret@host", "user information"),
            ("http://host:", "port"),
            ("http://host:0", "port"),
            ("http://host:99999", "port"),
            ("unix://relative.sock", "socket path"),
            ("unix://", "socket path"),
            ("unix:///run/", "directory"),
            ("unix:///a\0b", "NUL"),
        ] {
            let message = url.parse::<Endpoint>().unwrap_err().to_string();
            assert!(message.contains(part), "`{url}`: {message}");
            assert!(!message.contains("secret"));
        }
    }

    #[test]
    fn url_is_parsed_into_scheme_host_and_port() {
        for (url, host, port, https, address) in [
            ("http://h", "h", 80, false, "http://h:80"),
            ("https://h", "h", 443, true, "https://h:443"),
            ("HTTPS://h:8443/x/", "h", 8443, true, "https://h:8443"),
            ("http://[::1]:1", "::1", 1, false, "http://[::1]:1"),
            (
                "http://127.0.0.1:1/",
                "127.0.0.1",
                1,
                false,
                "http://127.0.0.1:1",
            ),
        ] {
            let endpoint: Endpoint = url.parse().unwrap();
            assert_eq!(endpoint.host(), host, "{url}");
            assert_eq!(endpoint.port(), port, "{url}");
            assert_eq!(endpoint.is_https(), https, "{url}");
            assert_eq!(&*endpoint.address(), address);
            assert_eq!(endpoint.unix_socket(), None);
        }
    }

    /// docs/python-parity.md A.6, row 33: a path prefix is kept without its trailing slash.
    #[test]
    fn join_keeps_the_prefix() {
        let endpoint: Endpoint = "https://gofeatureflag.org/ff/".parse().unwrap();
        assert_eq!(
            endpoint.join("/v1/feature/bool_targeting_match/eval"),
            "https://gofeatureflag.org/ff/v1/feature/bool_targeting_match/eval"
        );
    }

    #[test]
    fn unix_socket_requests_go_to_localhost() {
        let endpoint: Endpoint = "unix:///run/goff/relay.sock".parse().unwrap();
        assert_eq!(
            endpoint.unix_socket(),
            Some(Path::new("/run/goff/relay.sock"))
        );
        assert_eq!(endpoint.join("/health"), "http://localhost/health");
        assert_eq!(endpoint.to_string(), "unix:///run/goff/relay.sock");
        assert_eq!(&*endpoint.address(), "unix:///run/goff/relay.sock");
    }

    proptest! {
        #[test]
        fn joining_keeps_prefix_and_path(
            host in "[a-z][a-z0-9]{0,8}",
            port in proptest::option::of(1..=u16::MAX),
            segments in prop::collection::vec("[A-Za-z0-9._~%-]{1,6}", 0..4),
            slashes in 0..4usize,
            path in "(/[a-z0-9]{1,5}){1,4}",
        ) {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            let prefix: String = segments.iter().map(|segment| format!("/{segment}")).collect();
            let url = format!("http://{host}{port}{prefix}{}", "/".repeat(slashes));
            let endpoint: Endpoint = url.parse().unwrap();
            prop_assert_eq!(endpoint.join(&path), format!("http://{host}{port}{prefix}{path}"));
        }

        #[test]
        fn parsing_never_panics(url in "(http|https|unix|ftp)?(:/{0,3})?.{0,20}") {
            let _ = url.parse::<Endpoint>();
        }
    }
}
