//! The path and the body of a request to each endpoint.

use bytes::Bytes;
use goff_core::__internal::{write_flat_form, write_nested_form};
use goff_core::{ContextView, Etag, EventBatch, RelayError};
use http::{HeaderValue, Method};

use crate::flag_key;

/// How many bytes of a response are read unless
/// [`max_response_size`](crate::HttpRelayClientOptions::max_response_size) says otherwise: 1 MiB.
pub const DEFAULT_MAX_RESPONSE_SIZE: usize = 1024 * 1024;

/// How many bytes of the response to a bulk evaluation are read: 16 MiB, or
/// [`max_response_size`](crate::HttpRelayClientOptions::max_response_size) if that is more.
pub const MAX_BULK_SIZE: usize = 16 * 1024 * 1024;

/// How many bytes of a flag configuration are read: 256 MiB, or
/// [`max_response_size`](crate::HttpRelayClientOptions::max_response_size) if that is more.
pub const MAX_CONFIGURATION_SIZE: usize = 256 * 1024 * 1024;

/// An evaluation protocol of the relay proxy.
///
/// *Specification*: GOFF-REM-001.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum RemoteProtocol {
    /// GO Feature Flag's own: `POST /v1/feature/{flag}/eval` and `POST /v1/allflags`.
    ///
    /// Its responses contain the version of the flag, whether to record usage data, and the
    /// engine's own message for a failed evaluation.
    #[default]
    FeatureEval,
    /// The OpenFeature Remote Evaluation Protocol: `POST /ofrep/v1/evaluate/flags/{flag}` and
    /// `POST /ofrep/v1/evaluate/flags`.
    Ofrep,
}

/// What a request is for. A 429 limits the requests for one purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// The evaluation of one flag, or of all.
    Evaluation,
    Configuration,
    Collection,
}

/// A request without host, credentials and other common headers.
#[derive(Debug)]
pub(crate) struct EndpointRequest {
    pub(crate) purpose: Purpose,
    pub(crate) method: Method,
    /// The path below the base URL of the endpoint.
    pub(crate) path: String,
    pub(crate) body: Bytes,
    /// The ETag of the configuration that the caller holds.
    pub(crate) if_none_match: Option<HeaderValue>,
    /// How large the response may be even where the option `max_response_size` is smaller.
    pub(crate) min_size_limit: usize,
    /// Whether sending the request twice has no other effect than a second record on the server.
    pub(crate) may_resend: bool,
}

impl EndpointRequest {
    fn post(purpose: Purpose, path: String, body: Vec<u8>) -> Self {
        Self {
            purpose,
            method: Method::POST,
            path,
            body: body.into(),
            if_none_match: None,
            min_size_limit: 0,
            may_resend: true,
        }
    }
}

/// The evaluation of one flag (docs/relay-protocol.md 7 and 9, GOFF-REM-001, GOFF-REM-002).
///
/// # Errors
/// A flag key that a path cannot carry, or a context that cannot be sent.
pub(crate) fn evaluate(
    protocol: RemoteProtocol,
    flag_key: &str,
    context: &dyn ContextView,
) -> Result<EndpointRequest, RelayError> {
    let (before, after) = match protocol {
        RemoteProtocol::FeatureEval => ("/v1/feature/", "/eval"),
        RemoteProtocol::Ofrep => ("/ofrep/v1/evaluate/flags/", ""),
    };
    let mut path = String::with_capacity(before.len() + flag_key.len() + after.len());
    path.push_str(before);
    flag_key::write_escaped(flag_key, &mut path)?;
    path.push_str(after);
    let body = match protocol {
        // The caller applies its default value when the evaluation fails.
        RemoteProtocol::FeatureEval => nested_body(context, br#","defaultValue":null}"#)?,
        RemoteProtocol::Ofrep => flat_body(context)?,
    };
    Ok(EndpointRequest::post(Purpose::Evaluation, path, body))
}

/// The evaluation of all flags, or of those in `gofeatureflag.flagList` (docs/relay-protocol.md 8 and 10).
///
/// # Errors
/// A context that cannot be sent.
pub(crate) fn evaluate_all(
    protocol: RemoteProtocol,
    context: &dyn ContextView,
) -> Result<EndpointRequest, RelayError> {
    let (path, body) = match protocol {
        RemoteProtocol::FeatureEval => ("/v1/allflags", nested_body(context, b"}")?),
        RemoteProtocol::Ofrep => ("/ofrep/v1/evaluate/flags", flat_body(context)?),
    };
    Ok(EndpointRequest {
        min_size_limit: MAX_BULK_SIZE,
        ..EndpointRequest::post(Purpose::Evaluation, path.to_owned(), body)
    })
}

/// The flag configuration (docs/relay-protocol.md 12, GOFF-IP-001, GOFF-IP-002, GOFF-IP-005).
pub(crate) fn flag_configuration(flags: &[String], held: Option<&Etag>) -> EndpointRequest {
    #[derive(serde::Serialize)]
    struct Body<'a> {
        flags: &'a [String],
    }
    // Serializing strings does not fail.
    let body = serde_json::to_vec(&Body { flags }).unwrap_or_default();
    let path = "/v1/flag/configuration".to_owned();
    EndpointRequest {
        if_none_match: held.cloned().map(HeaderValue::from),
        min_size_limit: MAX_CONFIGURATION_SIZE,
        ..EndpointRequest::post(Purpose::Configuration, path, body)
    }
}

/// The manifest of the flags (docs/relay-protocol.md 17).
pub(crate) fn flag_manifest() -> EndpointRequest {
    EndpointRequest {
        method: Method::GET,
        min_size_limit: MAX_CONFIGURATION_SIZE,
        ..EndpointRequest::post(
            Purpose::Configuration,
            "/openfeature/v0/manifest".to_owned(),
            Vec::new(),
        )
    }
}

/// A batch of usage data (docs/relay-protocol.md 14, GOFF-COLL-001). It is never sent twice, because
/// the data collector does not detect repeated events.
pub(crate) fn collect(batch: &EventBatch) -> EndpointRequest {
    // Serializing strings, numbers and JSON values does not fail.
    let body = serde_json::to_vec(batch).unwrap_or_default();
    let path = "/v1/data/collector".to_owned();
    EndpointRequest {
        may_resend: false,
        ..EndpointRequest::post(Purpose::Collection, path, body)
    }
}

fn nested_body(context: &dyn ContextView, rest: &[u8]) -> Result<Vec<u8>, RelayError> {
    let mut body = Vec::with_capacity(TYPICAL_BODY_SIZE);
    // Not the `user` form, where the server overwrites `anonymous` (docs/python-parity.md C1).
    body.extend_from_slice(br#"{"evaluationContext":"#);
    write_nested_form(context, &mut body).map_err(RelayError::InvalidContext)?;
    body.extend_from_slice(rest);
    Ok(body)
}

fn flat_body(context: &dyn ContextView) -> Result<Vec<u8>, RelayError> {
    let mut body = Vec::with_capacity(TYPICAL_BODY_SIZE);
    body.extend_from_slice(br#"{"context":"#);
    write_flat_form(context, &mut body).map_err(RelayError::InvalidContext)?;
    body.push(b'}');
    Ok(body)
}

const TYPICAL_BODY_SIZE: usize = 512;

#[cfg(test)]
mod tests {
    use goff_core::{ErrorCode, EvaluationContext};
    use serde_json::{Value, json};

    use super::*;

    fn context() -> EvaluationContext {
        EvaluationContext::builder()
            .targeting_key("user-1")
            .attribute("anonymous", true)
            .build()
    }

    fn check(request: EndpointRequest, path: &str, body: Value) {
        assert_eq!(request.method, Method::POST);
        assert_eq!(request.path, path);
        let sent: Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(sent, body);
        assert!(request.may_resend);
    }

    /// docs/relay-protocol.md 7 and 8; docs/python-parity.md C1.
    #[test]
    fn feature_eval_sends_the_nested_form() {
        let nested = json!({"key": "user-1", "custom": {"anonymous": true}});
        let single = evaluate(RemoteProtocol::FeatureEval, "a b", &context()).unwrap();
        let body = json!({"evaluationContext": nested, "defaultValue": null});
        check(single, "/v1/feature/a%20b/eval", body);
        let bulk = evaluate_all(RemoteProtocol::FeatureEval, &context()).unwrap();
        check(bulk, "/v1/allflags", json!({"evaluationContext": nested}));
    }

    /// GOFF-REM-001, GOFF-REM-002: the context is sent even when it is empty.
    #[test]
    fn ofrep_sends_the_flat_form() {
        let flat = json!({"context": {"targetingKey": "user-1", "anonymous": true}});
        let single = evaluate(RemoteProtocol::Ofrep, "a:b", &context()).unwrap();
        check(single, "/ofrep/v1/evaluate/flags/a:b", flat.clone());
        let bulk = evaluate_all(RemoteProtocol::Ofrep, &context()).unwrap();
        check(bulk, "/ofrep/v1/evaluate/flags", flat);
        let empty = EvaluationContext::default();
        let single = evaluate(RemoteProtocol::Ofrep, "f", &empty).unwrap();
        check(single, "/ofrep/v1/evaluate/flags/f", json!({"context": {}}));
    }

    /// GOFF-IP-001, GOFF-IP-002, GOFF-IP-005, GOFF-CFG-008.
    #[test]
    fn configuration_request_names_the_flags_and_the_verbatim_etag() {
        let all = flag_configuration(&[], None);
        assert_eq!(all.if_none_match, None);
        check(all, "/v1/flag/configuration", json!({"flags": []}));
        let flags = ["a".to_owned(), "é\"".to_owned()];
        let etag = Etag::from_bytes(b"W/\"1-\xe9\"").unwrap();
        let some = flag_configuration(&flags, Some(&etag));
        let sent = some.if_none_match.as_ref().map(HeaderValue::as_bytes);
        assert_eq!(sent, Some(etag.as_bytes()));
        let body = json!({"flags": ["a", "é\""]});
        check(some, "/v1/flag/configuration", body);
    }

    #[test]
    fn unsendable_context_names_the_attribute() {
        let context = EvaluationContext::builder().attribute("rate", f64::NAN);
        let context = context.build();
        for protocol in [RemoteProtocol::FeatureEval, RemoteProtocol::Ofrep] {
            let single = evaluate(protocol, "f", &context);
            let bulk = evaluate_all(protocol, &context);
            for error in [single.unwrap_err(), bulk.unwrap_err()] {
                assert_eq!(error.code(), ErrorCode::InvalidContext);
                assert!(error.to_string().contains("`rate`"), "{error}");
            }
        }
    }
}
