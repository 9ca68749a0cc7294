//! [`TlsOptions`]: how to secure connections to an `https` endpoint.

#[cfg(feature = "tls")]
pub(crate) mod handshake;
#[cfg(feature = "tls")]
mod provider;

use std::fmt;

/// How to secure the connection to an `https` endpoint. Setters never fail;
/// [`Connector::new`](crate::Connector::new) checks.
///
/// The options exist in every build. Using them needs the feature `tls`, for the cryptography
/// `tls-ring`, `tls-aws-lc-rs` or an installed [`TlsCryptoProvider`], and for the initial certificate
/// authorities `tls-platform-roots` or `tls-bundled-roots`.
///
/// `Debug` shows neither certificates nor keys.
#[derive(Clone, Default)]
pub struct TlsOptions {
    pub(crate) crypto_provider: TlsCryptoProvider,
    pub(crate) roots: TlsRoots,
    pub(crate) certificate_authorities: Vec<Vec<u8>>,
    pub(crate) client_certificate: Option<ClientCertificate>,
}

/// The implementation of the cryptography of TLS: which algorithms exist, and whether it is
/// certified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TlsCryptoProvider {
    /// The first one there is of: the one that the application has installed, ring, aws-lc-rs.
    ///
    /// With both features ring stays in use, because features only add: a dependency that turns on
    /// `tls-aws-lc-rs` does not change what other code uses. Name [`AwsLcRs`](Self::AwsLcRs) to use it
    /// and no other.
    #[default]
    Automatic,
    /// ring. Feature `tls-ring`.
    Ring,
    /// aws-lc-rs. Feature `tls-aws-lc-rs`; certified where the application turns on the feature
    /// `fips` of rustls too.
    AwsLcRs,
    /// The one that the application has installed for the whole process with
    /// `rustls::crypto::CryptoProvider::install_default`, before the client is made. Needs no
    /// feature but `tls`.
    Installed,
}

/// The initial certificate authorities, to which [`TlsOptions::certificate_authority`] adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum TlsRoots {
    /// Those of the operating system. On Linux the environment variables `SSL_CERT_FILE` and
    /// `SSL_CERT_DIR` can name their location. Feature `tls-platform-roots`.
    #[default]
    Platform,
    /// Mozilla's, as compiled into the crate `webpki-roots`. Feature `tls-bundled-roots`.
    Bundled,
    /// None.
    Empty,
}

#[derive(Clone)]
#[cfg_attr(
    not(feature = "tls"),
    expect(
        dead_code,
        reason = "the options exist in every build, the code that reads them does not"
    )
)]
pub(crate) struct ClientCertificate {
    /// The certificate followed by the intermediate certificates, in PEM.
    pub(crate) chain: Vec<u8>,
    /// The private key of the certificate, in PEM.
    pub(crate) key: Vec<u8>,
}

impl TlsOptions {
    /// The platform's certificate authorities, and no client certificate.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The implementation of the cryptography. One that this build or process does not have is
    /// refused when the client is made. Default: [`TlsCryptoProvider::Automatic`].
    #[must_use]
    pub fn crypto_provider(mut self, provider: TlsCryptoProvider) -> Self {
        self.crypto_provider = provider;
        self
    }

    /// The initial certificate authorities. Default: [`TlsRoots::Platform`].
    #[must_use]
    pub fn roots(mut self, roots: TlsRoots) -> Self {
        self.roots = roots;
        self
    }

    /// Also trusts the certificates in `pem` as authorities.
    #[must_use]
    pub fn certificate_authority(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.certificate_authorities.push(pem.into());
        self
    }

    /// Presents a client certificate to a server that requests one. `chain_pem` holds the
    /// certificate followed by the intermediate certificates, `key_pem` the private key (PKCS#8,
    /// PKCS#1 or SEC1). Default: none.
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
            .field("crypto_provider", &self.crypto_provider)
            .field("roots", &self.roots)
            .field(
                "certificate_authorities",
                &self.certificate_authorities.len(),
            )
            .field("client_certificate", &self.client_certificate.is_some())
            .finish()
    }
}
