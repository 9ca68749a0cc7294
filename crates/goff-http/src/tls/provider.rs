//! Chooses rustls's `CryptoProvider`.

use std::sync::Arc;

use rustls::crypto::CryptoProvider;

use super::TlsCryptoProvider;
use crate::error::OptionError;

/// The provider for these options.
///
/// # Errors
/// [`OptionError`] for the option `tls`: this build or process does not have it.
pub(super) fn choose(wanted: TlsCryptoProvider) -> Result<Arc<CryptoProvider>, OptionError> {
    let installed = CryptoProvider::get_default().map(Arc::clone);
    let missing = |what| OptionError::new("tls", what);
    Ok(match wanted {
        TlsCryptoProvider::Automatic => first_of([installed, ring(), aws_lc_rs()])?,
        TlsCryptoProvider::Ring => ring().ok_or_else(|| missing(NO_RING))?,
        TlsCryptoProvider::AwsLcRs => aws_lc_rs().ok_or_else(|| missing(NO_AWS_LC_RS))?,
        TlsCryptoProvider::Installed => installed.ok_or_else(|| missing(NOT_INSTALLED))?,
    })
}

fn first_of(
    providers: impl IntoIterator<Item = Option<Arc<CryptoProvider>>>,
) -> Result<Arc<CryptoProvider>, OptionError> {
    let first = providers.into_iter().flatten().next();
    first.ok_or_else(|| OptionError::new("tls", NONE))
}

#[cfg(feature = "tls-ring")]
fn ring() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::ring::default_provider()))
}

#[cfg(not(feature = "tls-ring"))]
fn ring() -> Option<Arc<CryptoProvider>> {
    None
}

#[cfg(feature = "tls-aws-lc-rs")]
fn aws_lc_rs() -> Option<Arc<CryptoProvider>> {
    Some(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
}

#[cfg(not(feature = "tls-aws-lc-rs"))]
fn aws_lc_rs() -> Option<Arc<CryptoProvider>> {
    None
}

const NONE: &str = "has no cryptography: turn on the feature `tls-ring` or `tls-aws-lc-rs` of \
     goff-http, or install rustls's default `CryptoProvider` before the client is made";
const NO_RING: &str = "names ring, which needs the feature `tls-ring` of goff-http";
const NO_AWS_LC_RS: &str = "names aws-lc-rs, which needs the feature `tls-aws-lc-rs` of goff-http";
const NOT_INSTALLED: &str = "names the installed provider, but the application has installed none; \
     call rustls's `CryptoProvider::install_default` before the client is made";

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(chosen: Result<Arc<CryptoProvider>, OptionError>) -> Option<String> {
        let error = chosen.err()?;
        assert_eq!(error.option(), "tls");
        Some(error.reason().to_owned())
    }

    #[test]
    fn first_provider_there_is_serves_and_none_is_an_error() {
        assert_eq!(reason(first_of([None, None])).as_deref(), Some(NONE));
        for provider in [ring(), aws_lc_rs()].into_iter().flatten() {
            let other = ring().or_else(aws_lc_rs);
            let chosen = first_of([None, Some(Arc::clone(&provider)), other]).unwrap();
            assert!(Arc::ptr_eq(&chosen, &provider));
        }
    }

    /// No test of this process installs one.
    #[test]
    fn missing_provider_is_named() {
        use TlsCryptoProvider::{Automatic, AwsLcRs, Installed, Ring};
        let (has_ring, has_aws_lc_rs) = (ring().is_some(), aws_lc_rs().is_some());
        for (wanted, is_there, expected) in [
            (Automatic, has_ring || has_aws_lc_rs, NONE),
            (Ring, has_ring, NO_RING),
            (AwsLcRs, has_aws_lc_rs, NO_AWS_LC_RS),
            (Installed, false, NOT_INSTALLED),
        ] {
            let expected = (!is_there).then_some(expected);
            assert_eq!(reason(choose(wanted)).as_deref(), expected, "{wanted:?}");
        }
    }
}
