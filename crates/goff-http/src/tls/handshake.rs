//! [`TlsHandshake`]: rustls as [`TlsOptions`] say, with ring, whatever the process's default is.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::error::InvalidOption;
use crate::tls::{ClientCertificate, TlsOptions, TlsRoots};

/// Turns TCP streams to one host into TLS streams.
pub(crate) struct TlsHandshake {
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

impl TlsHandshake {
    /// Reads certificates, those of the platform from its files among them.
    ///
    /// # Errors
    /// [`InvalidOption`]: options that cannot be read, or roots that this build does not have.
    pub(crate) fn new(host: &str, options: &TlsOptions) -> Result<Self, InvalidOption> {
        let server_name = ServerName::try_from(host.to_owned()).map_err(|_| {
            InvalidOption::new("endpoint", "has a host that no certificate can name")
        })?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = verifier(options, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(error.to_string()))?
            // What is custom is where the roots come from; see `verifier`.
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.client_certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let (chain, key) = read_client_certificate(certificate)?;
                builder.with_client_auth_cert(chain, key).map_err(|error| {
                    refused(format!("the client certificate cannot be used: {error}"))
                })?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: Arc::new(config).into(),
            server_name,
        })
    }

    pub(crate) async fn shake(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        self.connector
            .connect(self.server_name.clone(), stream)
            .await
    }
}

impl fmt::Debug for TlsHandshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsHandshake")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

fn verifier(
    options: &TlsOptions,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, InvalidOption> {
    let own = read_authorities(options)?;
    let mut roots = RootCertStore::empty();
    match options.roots {
        TlsRoots::Platform => return platform_verifier(own, provider),
        TlsRoots::Bundled => add_bundled_roots(&mut roots)?,
        TlsRoots::Empty => {}
    }
    for authority in own {
        roots
            .add(authority)
            .map_err(|error| refused(format!("a certificate authority cannot be used: {error}")))?;
    }
    if roots.is_empty() {
        return Err(refused("no certificate authority is trusted"));
    }
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
            .build()
            .map_err(|error| refused(error.to_string()))?;
    Ok(verifier)
}

#[cfg(feature = "tls-platform-roots")]
fn platform_verifier(
    own: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, InvalidOption> {
    rustls_platform_verifier::Verifier::new_with_extra_roots(own, Arc::clone(provider))
        .map(|verifier| Arc::new(verifier) as Arc<dyn ServerCertVerifier>)
        .map_err(|error| refused(format!("the platform's certificate authorities: {error}")))
}

#[cfg(not(feature = "tls-platform-roots"))]
fn platform_verifier(
    _own: Vec<CertificateDer<'static>>,
    _provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, InvalidOption> {
    Err(refused(
        "the platform's certificate authorities need the feature `tls-platform-roots` of goff-http",
    ))
}

#[cfg(feature = "tls-bundled-roots")]
fn add_bundled_roots(roots: &mut RootCertStore) -> Result<(), InvalidOption> {
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(())
}

#[cfg(not(feature = "tls-bundled-roots"))]
fn add_bundled_roots(_roots: &mut RootCertStore) -> Result<(), InvalidOption> {
    Err(refused(
        "the bundled certificate authorities need the feature `tls-bundled-roots` of goff-http",
    ))
}

fn read_authorities(options: &TlsOptions) -> Result<Vec<CertificateDer<'static>>, InvalidOption> {
    let mut authorities = Vec::new();
    for pem in &options.certificate_authorities {
        let before = authorities.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            authorities
                .push(certificate.map_err(|_| refused("a certificate authority is no PEM"))?);
        }
        if authorities.len() == before {
            return Err(refused("a certificate authority holds no PEM certificate"));
        }
    }
    Ok(authorities)
}

/// Errors of the reader quote what they read, so they are not passed on.
fn read_client_certificate(
    certificate: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), InvalidOption> {
    let chain = CertificateDer::pem_slice_iter(&certificate.chain)
        .collect::<Result<Vec<_>, _>>()
        .unwrap_or_default();
    if chain.is_empty() {
        return Err(refused("the client certificate holds no PEM certificate"));
    }
    let key = PrivateKeyDer::from_pem_slice(&certificate.key)
        .map_err(|_| refused("the client certificate's key holds no PEM private key"))?;
    Ok((chain, key))
}

fn refused(reason: impl Into<String>) -> InvalidOption {
    InvalidOption::new("tls", reason)
}
