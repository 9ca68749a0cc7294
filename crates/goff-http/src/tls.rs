//! [`TlsOptions`]: how connections to an `https` endpoint are secured.

#[cfg(feature = "tls")]
pub(crate) mod handshake;

use std::fmt;

/// How to secure the connection to an `https` endpoint. Setters never fail;
/// [`Connector::new`](crate::Connector::new) checks.
///
/// The options exist in every build; what they need is behind features: `tls`, and
/// `tls-platform-roots` or `tls-bundled-roots` for the certificate authorities to begin with.
///
/// `Debug` shows neither certificates nor keys.
#[derive(Clone, Default)]
pub struct TlsOptions {
    pub(crate) roots: TlsRoots,
    pub(crate) certificate_authorities: Vec<Vec<u8>>,
    pub(crate) client_certificate: Option<ClientCertificate>,
}

/// Which certificate authorities to trust, besides those that
/// [`TlsOptions::certificate_authority`] adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TlsRoots {
    /// The operating system's, found as its other programs find them; on Linux that includes the
    /// variables `SSL_CERT_FILE` and `SSL_CERT_DIR`. Feature `tls-platform-roots`.
    #[default]
    Platform,
    /// Mozilla's, as they were when this was built. Feature `tls-bundled-roots`.
    Bundled,
    /// None.
    Empty,
}

#[derive(Clone)]
#[cfg_attr(
    not(feature = "tls"),
    expect(
        dead_code,
        reason = "the options exist in every build, their reader does not"
    )
)]
pub(crate) struct ClientCertificate {
    /// The certificate and those between it and its authority, in PEM.
    pub(crate) chain: Vec<u8>,
    /// Its private key, in PEM.
    pub(crate) key: Vec<u8>,
}

impl TlsOptions {
    /// The platform's certificate authorities, and no client certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Which certificate authorities to begin with; [`TlsRoots::Platform`] by default.
    #[must_use]
    pub fn roots(mut self, roots: TlsRoots) -> Self {
        self.roots = roots;
        self
    }

    /// Trusts the certificates in `pem` as authorities too.
    #[must_use]
    pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificate_authorities.push(pem.into());
        self
    }

    /// Presents this certificate to a server that asks for one: the certificate first, then those
    /// between it and its authority, and its private key (PKCS#8, PKCS#1 or SEC1), each in PEM.
    #[must_use]
    pub fn client_certificate(
        mut self,
        chain_pem: impl Into<Vec<u8>>,
        key_pem: impl Into<Vec<u8>>,
    ) -> Self {
        self.client_certificate = Some(ClientCertificate {
            chain: chain_pem.into(),
            key: key_pem.into(),
        });
        self
    }
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsOptions")
            .field("roots", &self.roots)
            .field(
                "certificate_authorities",
                &self.certificate_authorities.len(),
            )
            .field("client_certificate", &self.client_certificate.is_some())
            .finish()
    }
}
