//! [`HeaderProvider`]: headers that change while a client runs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::evaluation::RelayError;

/// Gives headers for one request, such as a token that is renewed every hour. A closure that returns
/// the headers is one, too.
///
/// It is called once for each request, concurrently, on the thread that sends the request: for an
/// evaluation, a fetch of the flag configuration, a delivery of usage data, and each handshake of the
/// change stream. It must not wait: a slow provider delays every task on that thread, and no timeout
/// ends it. Renew a token in another task, and return the latest one here.
///
/// Headers given here replace custom headers of the same name. The same rules hold for both, and
/// their values are secrets. A request is not sent, and fails with
/// [`RelayError::Headers`](crate::RelayError::Headers), if one of its headers cannot be sent, if they
/// are more than 64 or more than 16 KiB, or if the provider panics.
///
/// The headers must not select another flag set, because answers stay cached when they change: a
/// key that does is an API key.
///
/// ```
/// use std::sync::{Arc, RwLock};
///
/// use goff_core::HeaderProvider;
///
/// let token = Arc::new(RwLock::new("first".to_owned())); // which a task renews
/// let provider = move || {
///     let token = token.read().map(|token| token.clone()).unwrap_or_default();
///     vec![("X-Gateway-Token".to_owned(), token)]
/// };
/// assert_eq!(provider.headers()[0].1, "first");
/// ```
pub trait HeaderProvider: Send + Sync {
    /// The names and values of the headers of the next request. A name may occur twice.
    fn headers(&self) -> Vec<(String, String)>;
}

impl<F: Fn() -> Vec<(String, String)> + Send + Sync> HeaderProvider for F {
    fn headers(&self) -> Vec<(String, String)> {
        self()
    }
}

/// The headers of a request: those of `provider`, after the custom ones that they do not replace.
///
/// # Errors
/// [`RelayError::Headers`]: the provider panics, or gives too much.
pub fn with_provided(
    custom: &[(String, String)],
    provider: &dyn HeaderProvider,
) -> Result<Vec<(String, String)>, RelayError> {
    let refused = |reason: &str| {
        let reason = reason.to_owned();
        Err(RelayError::Headers { reason })
    };
    let Ok(provided) = catch_unwind(AssertUnwindSafe(|| provider.headers())) else {
        return refused("the header provider panicked");
    };
    let bytes: usize = provided.iter().map(|(n, v)| n.len() + v.len()).sum();
    if provided.len() > MAX_HEADERS {
        return refused("the header provider gave more than 64 headers");
    }
    if bytes > MAX_BYTES {
        return refused("the header provider gave more than 16 KiB");
    }
    let is_replaced = |name: &str| provided.iter().any(|(p, _)| p.eq_ignore_ascii_case(name));
    let kept = custom.iter().filter(|(name, _)| !is_replaced(name));
    let mut headers: Vec<_> = kept.cloned().collect();
    headers.extend(provided);
    Ok(headers)
}

const MAX_HEADERS: usize = 64;
const MAX_BYTES: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluation::{ErrorCode, Origin};

    fn owned(headers: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, value): &(&str, &str)| (str::to_owned(name), str::to_owned(value));
        headers.iter().map(owned).collect()
    }

    #[test]
    fn provided_headers_replace_custom_ones_of_the_same_name() {
        let custom = owned(&[("x-a", "1"), ("X-B", "2"), ("x-a", "3"), ("x-c", "4")]);
        let provider = || owned(&[("x-b", "5"), ("X-A", "6"), ("X-A", "7")]);
        let expected = owned(&[("x-c", "4"), ("x-b", "5"), ("X-A", "6"), ("X-A", "7")]);
        assert_eq!(with_provided(&custom, &provider).unwrap(), expected);
        let none = Vec::new;
        assert_eq!(with_provided(&custom, &none).unwrap(), custom);
    }

    #[test]
    fn hostile_provider_is_an_error_without_its_values() {
        fn check(provider: &dyn HeaderProvider, part: &str) {
            let error = with_provided(&[], provider).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains(part) && !shown.contains("s3cret"), "{shown}");
            assert_eq!(error.code(), ErrorCode::General);
            assert_eq!(error.origin(), Origin::NotEvaluated);
        }
        check(&|| -> Vec<_> { panic!("s3cret") }, "panicked");
        check(&|| owned(&[("x-a", "s3cret"); 65]), "more than 64");
        let long = "s3cret".repeat(3_000);
        check(&move || owned(&[("x-a", &long)]), "16 KiB");
        let most = [("x-a", "s3cret"); 64];
        assert_eq!(with_provided(&[], &move || owned(&most)).unwrap().len(), 64);
    }
}
