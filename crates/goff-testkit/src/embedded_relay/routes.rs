//! From a request to the endpoint that answers it, with the relay proxy's way of reading paths.

use std::fmt::Write as _;

use hyper::Method;

use super::faults::RelayEndpoint;

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Route<'p> {
    Evaluate(&'p str),
    EvaluateAll,
    EvaluateOfrep(&'p str),
    EvaluateAllOfrep,
    Configuration,
    Hashes,
    Collector,
    /// The change stream, and whether at its old address.
    ChangeStream {
        is_old: bool,
    },
    Health,
    Info,
    Refresh,
    /// Nothing is there.
    Nothing,
    /// Something is there, for another method.
    OtherMethod,
}

/// Whose key a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
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
            Self::Configuration | Self::Hashes => RelayEndpoint::Configuration,
            Self::Collector => RelayEndpoint::Collector,
            Self::ChangeStream { .. } => RelayEndpoint::ChangeStream,
            _ => RelayEndpoint::Other,
        }
    }
}

/// Finds the route for a path that has been [read](routed_path). Groups check their key for any
/// path below them, and know no "other method" (section 2.6 of the protocol).
pub(super) fn route<'p>(method: &Method, path: &'p str) -> (Gate, Route<'p>) {
    let get = |route| {
        if method == Method::GET {
            route
        } else {
            Route::Nothing
        }
    };
    let post = |route| {
        if method == Method::POST {
            route
        } else {
            Route::Nothing
        }
    };
    let only_get = |route| {
        if method == Method::GET {
            route
        } else {
            Route::OtherMethod
        }
    };
    match path {
        "/health" => return (Gate::Open, only_get(Route::Health)),
        "/info" => return (Gate::Open, only_get(Route::Info)),
        "/ws/v1/flag/change" => {
            let route = only_get(Route::ChangeStream { is_old: true });
            let gate = if route == Route::OtherMethod {
                Gate::Open
            } else {
                Gate::Stream
            };
            return (gate, route);
        }
        _ => {}
    }
    let below = |group: &str| {
        let rest = path.strip_prefix(group)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    };
    if let Some(rest) = below("/v1") {
        let route = match rest {
            "/allflags" => post(Route::EvaluateAll),
            "/data/collector" => post(Route::Collector),
            "/flag/configuration" => post(Route::Configuration),
            "/flag/change" => get(Route::Hashes),
            _ => match rest
                .strip_prefix("/feature/")
                .and_then(|rest| rest.split_once('/'))
            {
                Some((key, "eval")) => post(Route::Evaluate(key)),
                _ => Route::Nothing,
            },
        };
        (Gate::Evaluation, route)
    } else if let Some(rest) = below("/ofrep/v1") {
        let route = match rest.strip_prefix("/evaluate/flags") {
            Some("") => post(Route::EvaluateAllOfrep),
            // The last parameter takes the rest of the path, slashes included.
            Some(key) => match key.strip_prefix('/').filter(|key| !key.is_empty()) {
                Some(key) => post(Route::EvaluateOfrep(key)),
                None => Route::Nothing,
            },
            None => Route::Nothing,
        };
        (Gate::Evaluation, route)
    } else if let Some(rest) = below("/stream/v1") {
        let route = match rest {
            "/ws/flag/change" => get(Route::ChangeStream { is_old: false }),
            _ => Route::Nothing,
        };
        (Gate::Stream, route)
    } else if let Some(rest) = below("/admin/v1") {
        let route = match rest {
            "/retriever/refresh" => post(Route::Refresh),
            _ => Route::Nothing,
        };
        (Gate::Admin, route)
    } else {
        (Gate::Open, Route::Nothing)
    }
}

/// The path that routes and flag keys are read from: decoded if it is escaped exactly as Go
/// would escape it, else as it is (section 5 of the protocol). None if it cannot be decoded.
pub(super) fn routed_path(path: &str) -> Option<String> {
    let decoded = decoded(path)?;
    if escaped(&decoded) == path {
        let mut text = String::with_capacity(decoded.len());
        for chunk in decoded.utf8_chunks() {
            text.push_str(chunk.valid());
            for byte in chunk.invalid() {
                // Writing to a string does not fail.
                let _ = write!(text, "{NOT_UTF_8}{byte:02x}");
            }
        }
        return Some(text);
    }
    Some(path.to_owned())
}

/// Before the hexadecimal digits of a byte that is not UTF-8; a noncharacter, which no flag key has.
pub(super) const NOT_UTF_8: &str = "\u{ffff}";

fn decoded(path: &str) -> Option<Vec<u8>> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(if byte == b'%' {
            let mut digit = || char::from(rest.next()?).to_digit(16);
            u8::try_from(digit()? * 16 + digit()?).ok()?
        } else {
            byte
        });
    }
    Some(decoded)
}

fn escaped(path: &[u8]) -> String {
    let mut escaped = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~$&+,/:;=@".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of section 5, for the key that the handler sees.
    #[test]
    fn a_key_is_read_only_as_go_escapes_it() {
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
    fn unknown_paths_and_methods_are_found_to_be_so() {
        let (get, post) = (Method::GET, Method::POST);
        for (method, path, gate, expected) in [
            (&post, "/v1", Gate::Evaluation, Route::Nothing),
            (&post, "/v1x", Gate::Open, Route::Nothing),
            (&get, "/v1/allflags", Gate::Evaluation, Route::Nothing),
            (&post, "/v1/allflags/", Gate::Evaluation, Route::Nothing),
            (
                &post,
                "/v1/feature//eval",
                Gate::Evaluation,
                Route::Evaluate(""),
            ),
            (
                &post,
                "/v1/feature/a/b/eval",
                Gate::Evaluation,
                Route::Nothing,
            ),
            (
                &post,
                "/ofrep/v1/evaluate/flags/",
                Gate::Evaluation,
                Route::Nothing,
            ),
            (
                &post,
                "/ofrep/v1/evaluate/flags/a/b",
                Gate::Evaluation,
                Route::EvaluateOfrep("a/b"),
            ),
            (
                &get,
                "/ofrep/v1/configuration",
                Gate::Evaluation,
                Route::Nothing,
            ),
            (
                &post,
                "/stream/v1/ws/flag/change",
                Gate::Stream,
                Route::Nothing,
            ),
            (&post, "/ws/v1/flag/change", Gate::Open, Route::OtherMethod),
            (&post, "/health", Gate::Open, Route::OtherMethod),
            (&get, "/", Gate::Open, Route::Nothing),
        ] {
            assert_eq!(route(method, path), (gate, expected), "{method} {path}");
        }
    }
}
