//! The content encoding of a response: none, or gzip with the feature `gzip`.

use goff_core::BodyProblem;
use http::header::CONTENT_ENCODING;

use crate::secrets::Secrets;
use crate::transport::HttpResponse;

/// Whether the body is encoded. An empty one, as of a 304, is not.
pub(crate) fn is_encoded(response: &HttpResponse) -> bool {
    !response.body.is_empty() && encodings(response).next().is_some()
}

/// Decodes the body in place, up to `max_size` bytes.
///
/// # Errors
/// An encoding that this client does not read, or a body that is larger or damaged.
pub(crate) fn decode(
    response: &mut HttpResponse,
    max_size: usize,
    secrets: &Secrets,
) -> Result<(), BodyProblem> {
    if !is_encoded(response) {
        return Ok(());
    }
    let encodings: Vec<_> = encodings(response).collect();
    #[cfg(feature = "gzip")]
    if let [only] = &*encodings
        && ["gzip", "x-gzip"]
            .iter()
            .any(|gzip| only.eq_ignore_ascii_case(gzip))
    {
        response.body = gunzip(&response.body, max_size)?;
        return Ok(());
    }
    #[cfg(not(feature = "gzip"))]
    let _ = max_size;
    let encoding = secrets.presentable(&encodings.join(", "));
    Err(BodyProblem::Encoded {
        encoding: encoding.unwrap_or_default(),
    })
}

/// The encodings that the response names, except `identity`.
fn encodings(response: &HttpResponse) -> impl Iterator<Item = String> {
    let values = response.headers.get_all(CONTENT_ENCODING).iter();
    values
        .flat_map(|value| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let encodings: Vec<_> = value.split(',').map(|one| one.trim().to_owned()).collect();
            encodings
        })
        .filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("identity"))
}

#[cfg(feature = "gzip")]
fn gunzip(body: &[u8], max_size: usize) -> Result<bytes::Bytes, BodyProblem> {
    use std::io::Read;

    let limit = u64::try_from(max_size)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut decoded = Vec::new();
    let mut reader = flate2::bufread::MultiGzDecoder::new(body).take(limit);
    reader
        .read_to_end(&mut decoded)
        .map_err(|error| BodyProblem::Unreadable {
            message: format!("invalid gzip: {error}"),
        })?;
    if decoded.len() > max_size {
        return Err(BodyProblem::TooLarge { limit: max_size });
    }
    Ok(decoded.into())
}
