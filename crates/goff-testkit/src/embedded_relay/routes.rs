//! The endpoint and the key that a request's method and path call for.

use hyper::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::faults::RelayEndpoint;

/// The endpoint of a request.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    Evaluate(&'p str),
    EvaluateAll,
    EvaluateOfrep(&'p str),
    EvaluateAllOfrep,
    Configuration,
    Hashes,
    Manifest,
    Collector,
    ChangeStream,
    DeprecatedChangeStream,
    Health,
    Info,
    Refresh,
    NotFound,
    MethodNotAllowed,
}

/// The key that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    /// None.
    Open,
    /// A key in a header.
    Evaluation,
    /// An admin key in a header.
    Admin,
    /// A key in the query.
    Stream,
}

impl Route<'_> {
    pub(super) fn endpoint(&self) -> RelayEndpoint {
        match self {
            Self::Evaluate(_) | Self::EvaluateOfrep(_) => RelayEndpoint::Evaluation,
            Self::EvaluateAll | Self::EvaluateAllOfrep => RelayEndpoint::BulkEvaluation,
            Self::Configuration | Self::Hashes | Self::Manifest => RelayEndpoint::Configuration,
            Self::Collector => RelayEndpoint::Collector,
            Self::ChangeStream | Self::DeprecatedChangeStream => RelayEndpoint::ChangeStream,
            _ => RelayEndpoint::Other,
        }
    }
}

/// Finds the route for a [decoded](routed_path) path. Groups check their key for every path below
/// them and answer 404 to a wrong method; other paths answer 405 (docs/relay-protocol.md 2.6).
pub(super) fn route<'p>(method: &Method, path: &'p str) -> (Gate, Route<'p>) {
    let is_below = |group: &str| {
        let rest = path.strip_prefix(group);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let gate = if is_below("/v1") || is_below("/ofrep/v1") || is_below("/openfeature/v0") {
        Gate::Evaluation
    } else if is_below("/admin/v1") {
        Gate::Admin
    } else if is_below("/stream/v1") || (path == DEPRECATED_STREAM && method == Method::GET) {
        Gate::Stream
    } else {
        Gate::Open
    };
    let (allowed, route) = match path {
        "/health" => (Method::GET, Route::Health),
        "/info" => (Method::GET, Route::Info),
        "/v1/allflags" => (Method::POST, Route::EvaluateAll),
        "/v1/data/collector" => (Method::POST, Route::Collector),
        "/v1/flag/configuration" => (Method::POST, Route::Configuration),
        "/v1/flag/change" => (Method::GET, Route::Hashes),
        "/openfeature/v0/manifest" => (Method::GET, Route::Manifest),
        "/ofrep/v1/evaluate/flags" => (Method::POST, Route::EvaluateAllOfrep),
        "/stream/v1/ws/flag/change" => (Method::GET, Route::ChangeStream),
        DEPRECATED_STREAM => (Method::GET, Route::DeprecatedChangeStream),
        "/admin/v1/retriever/refresh" => (Method::POST, Route::Refresh),
        _ => (Method::POST, evaluation_of_one_flag(path)),
    };
    if *method == allowed || route == Route::NotFound {
        (gate, route)
    } else if gate == Gate::Open {
        (gate, Route::MethodNotAllowed)
    } else {
        (gate, Route::NotFound)
    }
}

const DEPRECATED_STREAM: &str = "/ws/v1/flag/change";

fn evaluation_of_one_flag(path: &str) -> Route<'_> {
    let key = path.strip_prefix("/v1/feature/");
    let key = key.and_then(|rest| rest.strip_suffix("/eval"));
    match (key, path.strip_prefix("/ofrep/v1/evaluate/flags/")) {
        (Some(key), _) if !key.contains('/') => Route::Evaluate(key),
        // The last parameter takes the rest of the path, slashes included.
        (_, Some(key)) if !key.is_empty() => Route::EvaluateOfrep(key),
        _ => Route::NotFound,
    }
}

/// The path from which routes and flag keys are read: decoded if Go would escape it the same way,
/// else unchanged (docs/relay-protocol.md 5). `None` if an escape is malformed. Invalid UTF-8 is
/// replaced.
pub(super) fn routed_path(path: &str) -> Option<String> {
    let is_escape = |rest: &str| {
        let digits = rest.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !path.split('%').skip(1).all(is_escape) {
        return None;
    }
    let decoded: Vec<u8> = percent_decode_str(path).collect();
    if percent_encode(&decoded, ESCAPED_BY_GO).to_string() == path {
        return Some(String::from_utf8_lossy(&decoded).into_owned());
    }
    Some(path.to_owned())
}

const ESCAPED_BY_GO: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b',')
    .remove(b'/')
    .remove(b':')
    .remove(b';')
    .remove(b'=')
    .remove(b'@');

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of docs/relay-protocol.md 5, for the key that the handler sees.
    #[test]
    fn a_key_is_decoded_only_if_go_escapes_it_the_same_way() {
        for (sent, seen) in [
            ("my-flag_v1.2~x", "my-flag_v1.2~x"),
            ("my%2Dflag", "my%2Dflag"),
            ("my%20flag", "my flag"),
            ("team:x", "team:x"),
            ("team%3Ax", "team%3Ax"),
            ("a+b", "a+b"),
            ("a%2Bb", "a%2Bb"),
            ("flag%21", "flag!"),
            ("flag!", "flag!"),
            ("my%20flag!", "my%20flag!"),
            ("my%20flag%21", "my flag!"),
            ("%C3%A9", "é"),
            ("%c3%a9", "%c3%a9"),
            ("a%25b", "a%b"),
            ("a%2Fb", "a%2Fb"),
        ] {
            let path = format!("/v1/feature/{sent}/eval");
            let path = routed_path(&path).unwrap();
            let (_, route) = route(&Method::POST, &path);
            assert_eq!(route, Route::Evaluate(seen), "{sent}");
        }
        assert_eq!(routed_path("/v1/%zz"), None);
    }

    #[test]
    fn unknown_paths_and_wrong_methods_have_their_routes() {
        let (get, post) = (Method::GET, Method::POST);
        use {Gate::*, Route::*};
        for (method, path, gate, expected) in [
            (&post, "/v1", Evaluation, NotFound),
            (&post, "/v1x", Open, NotFound),
            (&get, "/v1/allflags", Evaluation, NotFound),
            (&post, "/v1/allflags/", Evaluation, NotFound),
            (&post, "/v1/feature//eval", Evaluation, Evaluate("")),
            (&post, "/v1/feature/a/b/eval", Evaluation, NotFound),
            (&post, "/ofrep/v1/evaluate/flags/", Evaluation, NotFound),
            (
                &post,
                "/ofrep/v1/evaluate/flags/a/b",
                Evaluation,
                EvaluateOfrep("a/b"),
            ),
            (&get, "/ofrep/v1/configuration", Evaluation, NotFound),
            (&post, "/stream/v1/ws/flag/change", Stream, NotFound),
            (&post, "/ws/v1/flag/change", Open, MethodNotAllowed),
            (&post, "/health", Open, MethodNotAllowed),
            (&get, "/", Open, NotFound),
        ] {
            assert_eq!(route(method, path), (gate, expected), "{method} {path}");
        }
    }
}
