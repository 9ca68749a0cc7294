//! [`TlsOptions`]: how connections to an `https` endpoint are secured.

/// How to secure the connection to an `https` endpoint.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct TlsOptions {}
