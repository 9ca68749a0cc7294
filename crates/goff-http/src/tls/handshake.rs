//! [`TlsHandshake`]: TLS handshakes with rustls, configured by [`TlsOptions`].

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use goff_core::{ByteStream, ConnectionProblem};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, InvalidMessage, RootCertStore};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{ClientCertificate, TlsOptions, TlsRoots, provider};
use crate::error::OptionError;

/// Turns streams to one host into TLS streams.
pub(crate) struct TlsHandshake {
    connector: TlsConnector,
    server_name: ServerName<'static>,
}

impl TlsHandshake {
    /// Reads the certificates, including the files of the platform's certificate authorities.
    ///
    /// # Errors
    /// [`OptionError`]: a certificate or key that cannot be used, or roots that this build does not have.
    pub(crate) fn new(host: &str, options: &TlsOptions) -> Result<Self, OptionError> {
        let reason = "has a host that cannot be the name in a certificate";
        let server_name = ServerName::try_from(host.to_owned())
            .map_err(|_| OptionError::new("endpoint", reason))?;
        let provider = provider::choose(options.crypto_provider)?;
        let verifier = verifier(options, &provider)?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failure("rustls cannot be configured", error))?
            // Only the source of the roots is custom: see `verifier`.
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match &options.client_certificate {
            None => builder.with_no_client_auth(),
            Some(certificate) => {
                let (chain, key) = read_client_certificate(certificate)?;
                builder
                    .with_client_auth_cert(chain, key)
                    .map_err(|error| failure("the client certificate cannot be used", error))?
            }
        };
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self {
            connector: Arc::new(config).into(),
            server_name,
        })
    }

    pub(crate) async fn perform(
        &self,
        stream: Box<dyn ByteStream>,
    ) -> io::Result<TlsStream<Box<dyn ByteStream>>> {
        let name = self.server_name.clone();
        self.connector.connect(name, stream).await
    }
}

/// What an error of a handshake means; `None` for another error.
pub(crate) fn problem(error: &io::Error) -> Option<ConnectionProblem> {
    use rustls::CertificateError as Certificate;
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Some(ConnectionProblem::TlsFailed);
    }
    Some(match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            ConnectionProblem::NoTls
        }
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                ConnectionProblem::CertificateExpired
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                ConnectionProblem::CertificateNotYetValid
            }
            // An authority of the same name is trusted in the second case.
            Certificate::UnknownIssuer | Certificate::BadSignature => {
                ConnectionProblem::UnknownAuthority
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                ConnectionProblem::WrongHost
            }
            _ => ConnectionProblem::TlsFailed,
        },
        _ => ConnectionProblem::TlsFailed,
    })
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
) -> Result<Arc<dyn ServerCertVerifier>, OptionError> {
    let added = read_authorities(options)?;
    let mut roots = RootCertStore::empty();
    match options.roots {
        TlsRoots::Platform => return platform_verifier(added, provider),
        TlsRoots::Bundled => add_bundled_roots(&mut roots)?,
        TlsRoots::Empty => {}
    }
    for authority in added {
        roots
            .add(authority)
            .map_err(|error| failure("a certificate authority cannot be used", error))?;
    }
    if roots.is_empty() {
        return Err(refused("no certificate authority is trusted"));
    }
    let builder = WebPkiServerVerifier::builder_with_provider(roots.into(), Arc::clone(provider));
    let what = "the certificate authorities cannot be used";
    Ok(builder.build().map_err(|error| failure(what, error))?)
}

#[cfg(feature = "tls-platform-roots")]
fn platform_verifier(
    added: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, OptionError> {
    use rustls_platform_verifier::Verifier;
    let verifier = Verifier::new_with_extra_roots(added, Arc::clone(provider));
    let what = "the platform's certificate authorities cannot be used";
    Ok(Arc::new(verifier.map_err(|error| failure(what, error))?))
}

#[cfg(not(feature = "tls-platform-roots"))]
fn platform_verifier(
    _added: Vec<CertificateDer<'static>>,
    _provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ServerCertVerifier>, OptionError> {
    Err(refused(
        "the platform's certificate authorities need the feature `tls-platform-roots` of goff-http",
    ))
}

#[cfg(feature = "tls-bundled-roots")]
fn add_bundled_roots(roots: &mut RootCertStore) -> Result<(), OptionError> {
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    Ok(())
}

#[cfg(not(feature = "tls-bundled-roots"))]
fn add_bundled_roots(_roots: &mut RootCertStore) -> Result<(), OptionError> {
    Err(refused(
        "the bundled certificate authorities need the feature `tls-bundled-roots` of goff-http",
    ))
}

fn read_authorities(options: &TlsOptions) -> Result<Vec<CertificateDer<'static>>, OptionError> {
    let mut authorities = Vec::new();
    for pem in &options.certificate_authorities {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let read = read.map_err(|_| refused("a certificate authority is not valid PEM"))?;
        if read.is_empty() {
            let reason = "a certificate authority contains no PEM certificate";
            return Err(refused(reason));
        }
        authorities.extend(read);
    }
    Ok(authorities)
}

/// Drops the errors of the PEM reader, because they quote the input.
fn read_client_certificate(
    certificate: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), OptionError> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate.chain).collect();
    let chain = chain.unwrap_or_default();
    if chain.is_empty() {
        let reason = "the client certificate contains no PEM certificate";
        return Err(refused(reason));
    }
    let key = PrivateKeyDer::from_pem_slice(&certificate.key)
        .map_err(|_| refused("the key of the client certificate contains no PEM private key"))?;
    Ok((chain, key))
}

fn refused(reason: &str) -> OptionError {
    OptionError::new("tls", reason)
}

fn failure(what: &str, error: impl Error + Send + Sync + 'static) -> OptionError {
    OptionError::with_source("tls", what, error)
}
