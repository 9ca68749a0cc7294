//! Answers requests: the meeting place of routes, keys, faults and endpoints.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::answer::Answer;
use super::authentication::{Keys, selecting_key};
use super::change_stream::{self, ChangeStreams};
use super::collector::{Batch, Collected, CollectedEvent, CollectedKind};
use super::configuration;
use super::date::rfc_3339;
use super::evaluation::{self, GoffRequest};
use super::faults::{Effect, Faults};
use super::flag_set::{FlagSet, LoadError};
use super::request_json::{self, BodyError, Node};
use super::routes::{Gate, NOT_UTF_8, Route, route, routed_path};
use super::socket::SocketEnd;

/// Everything that requests are answered from.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) keys: Keys,
    /// One without a name, or all with one.
    pub(super) flag_sets: Vec<FlagSet>,
    /// Begins with a slash, or is empty.
    pub(super) path_prefix: String,
    pub(super) is_debug: bool,
    pub(super) collected: Collected,
    pub(super) streams: Arc<ChangeStreams>,
    pub(super) faults: Faults,
    /// Why the last load failed, if it did.
    pub(super) load_error: Mutex<Option<String>>,
}

/// The tasks of the connections: they end when the server stops.
pub(super) type Tasks = Arc<Mutex<JoinSet<()>>>;

/// Adds a task, and forgets those that have ended.
pub(super) fn spawn(tasks: &Tasks, task: impl Future<Output = ()> + Send + 'static) {
    let mut tasks = tasks.lock().unwrap_or_else(PoisonError::into_inner);
    while tasks.try_join_next().is_some() {}
    tasks.spawn(task);
}

impl Service {
    /// Loads the flags of every set again, and tells the streams what changed.
    pub(super) fn reload(&self) -> Result<(), LoadError> {
        let mut outcome = Ok(());
        for set in &self.flag_sets {
            match set.load() {
                Ok(None) => {}
                Ok(Some(message)) => self.streams.tell(&message),
                Err(error) => outcome = Err(error),
            }
        }
        let failure = outcome.as_ref().err().map(ToString::to_string);
        *self
            .load_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = failure;
        outcome
    }

    /// Answers one request.
    pub(super) async fn answer(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        end: SocketEnd,
        tasks: Tasks,
    ) -> Response<Full<Bytes>> {
        let is_indented = self.is_debug || has_parameter(&request, "pretty");
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix(&self.path_prefix).unwrap_or("");
        let Some(path) = routed_path(path) else {
            let answer = Answer::text(400, "400 Bad Request");
            return answer.into_response(request.headers(), false, false);
        };
        let method = request.method().clone();
        let (gate, route) = route(&method, &path);
        match self.faults.next(route.endpoint()) {
            None => {}
            Some(Effect::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Effect::Silence) => std::future::pending().await,
            Some(Effect::Reset) => {
                end.reset();
                return faulty(StatusCode::OK, None, String::new());
            }
            Some(Effect::Garbage(bytes)) => {
                end.garbage(bytes);
                return faulty(StatusCode::OK, None, String::new());
            }
            Some(Effect::Answer {
                status,
                retry_after,
                body,
            }) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                return faulty(status, retry_after.as_deref(), body);
            }
        }
        let answer = match self.check(gate, &request) {
            _ if method == Method::OPTIONS => {
                let answer = Answer::nothing(204);
                match route {
                    Route::OtherMethod => answer.with(ALLOW, "OPTIONS, GET"),
                    _ => answer,
                }
            }
            Err(refusal) => refusal,
            Ok(()) => match route {
                Route::ChangeStream { is_old } => {
                    match change_stream::handshake(&mut request, is_old) {
                        Ok((response, upgrade)) => {
                            let streams = Arc::clone(&self.streams);
                            spawn(&tasks, change_stream::serve(upgrade, streams));
                            return response;
                        }
                        Err(refusal) => refusal,
                    }
                }
                route => return self.answer_route(route, request, is_indented).await,
            },
        };
        let origin = request.headers().contains_key("origin");
        let answer = if origin {
            answer.with(ANY_ORIGIN, "*")
        } else {
            answer
        };
        answer.into_response(request.headers(), is_indented, self.is_debug)
    }

    fn check(&self, gate: Gate, request: &Request<Incoming>) -> Result<(), Answer> {
        match gate {
            Gate::Open => Ok(()),
            Gate::Evaluation => self.keys.check_headers(request.headers()),
            Gate::Admin => self.keys.check_admin(request.headers()),
            Gate::Stream => self
                .keys
                .check_query(request.uri().query().unwrap_or_default()),
        }
    }

    async fn answer_route(
        &self,
        route: Route<'_>,
        request: Request<Incoming>,
        is_indented: bool,
    ) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        // A request without a body is an empty one, whatever its type.
        let is_empty = body.size_hint().exact() == Some(0);
        let bytes = match body.collect().await {
            Ok(body) => body.to_bytes(),
            Err(_) => Bytes::new(),
        };
        let headers = &head.headers;
        let body = || parsed(&bytes, is_empty, headers);
        let answer = self.answer_to(route, headers, body);
        let answer = answer.unwrap_or_else(|refusal| refusal);
        let origin = headers.contains_key("origin");
        let answer = if origin {
            answer.with(ANY_ORIGIN, "*")
        } else {
            answer
        };
        answer.into_response(headers, is_indented, self.is_debug)
    }

    fn answer_to(
        &self,
        route: Route<'_>,
        headers: &HeaderMap,
        body: impl Fn() -> Result<Option<Node>, BodyError>,
    ) -> Result<Answer, Answer> {
        let goff_body = || body().map_err(|error| Answer::unreadable(&error));
        Ok(match route {
            Route::Evaluate("") => Answer::internal("impossible to find the flag key in the URL"),
            Route::Evaluate(key) | Route::EvaluateOfrep(key) if key.contains(NOT_UTF_8) => {
                // There is a metric for each key, which such a key breaks.
                let key = key.replace(NOT_UTF_8, "\\x");
                Answer::internal(&format!(
                    "label flag_name: value \"{key}\" is not valid UTF-8"
                ))
            }
            Route::Evaluate(flag_key) => {
                let request = GoffRequest::of_one_flag(goff_body()?.as_ref())?;
                let set = self.flag_set(headers)?;
                let (answer, event) = evaluation::evaluate(set, flag_key, request);
                self.record(set, event);
                answer
            }
            Route::EvaluateAll => {
                let request = GoffRequest::of_all_flags(goff_body()?.as_ref())?;
                evaluation::evaluate_all(self.flag_set(headers)?, request)
            }
            Route::EvaluateOfrep(flag_key) => {
                let context = evaluation::ofrep_context(body(), Some(flag_key))?;
                let set = self.flag_set(headers)?;
                let (answer, event) = evaluation::evaluate_ofrep(set, flag_key, &context);
                self.record(set, event);
                answer
            }
            Route::EvaluateAllOfrep => {
                let context = evaluation::ofrep_context(body(), None)?;
                evaluation::evaluate_all_ofrep(self.flag_set(headers)?, &context)
            }
            Route::Configuration => {
                let requested = configuration::requested_flags(body())?;
                configuration::configuration(self.flag_set(headers)?, &requested)
            }
            Route::Hashes => configuration::hashes(self.flag_set(headers)?),
            Route::Collector => {
                let batch = Batch::read(body())?;
                let set = self.flag_set(headers)?;
                let (answer, events) = batch.collect(set.name.as_deref());
                self.collected.add(events);
                answer
            }
            Route::Health => Answer::json(200, json!({"initialized": true})),
            Route::Info => self.info(),
            Route::Refresh => {
                self.flag_set(headers)?;
                Answer::json(200, json!({"refreshed": self.reload().is_ok()}))
            }
            Route::OtherMethod => {
                Answer::failure(405, "Method Not Allowed").with(ALLOW, "OPTIONS, GET")
            }
            Route::Nothing | Route::ChangeStream { .. } => Answer::not_found(),
        })
    }

    /// The flag set that the key of a request selects (section 4 of the protocol).
    fn flag_set(&self, headers: &HeaderMap) -> Result<&FlagSet, Answer> {
        let missing =
            |what: &str| Answer::failure(400, format!("error while getting flagset: {what}"));
        match self.flag_sets.first() {
            Some(only) if only.name.is_none() => Ok(only),
            _ => match selecting_key(headers) {
                "" => Err(missing("no API key provided")),
                key => self
                    .flag_sets
                    .iter()
                    .find(|set| set.api_keys.iter().any(|known| known == key))
                    .ok_or_else(|| missing("flagset not found for API key")),
            },
        }
    }

    fn record(&self, set: &FlagSet, event: Option<Value>) {
        self.collected.add(event.map(|json| CollectedEvent {
            kind: CollectedKind::Feature,
            flag_set: set.name.clone(),
            json,
        }));
    }

    fn info(&self) -> Answer {
        let times: Vec<_> = self
            .flag_sets
            .iter()
            .map(|set| (set.name.as_deref(), set.loaded_at()))
            .collect();
        let latest = times.iter().map(|(_, at)| *at).max().flatten();
        let mut body = json!({"cacheRefresh": rfc_3339(latest)});
        let named: BTreeMap<&str, String> = times
            .into_iter()
            .filter_map(|(name, at)| Some((name?, rfc_3339(at))))
            .collect();
        if let (false, Some(body)) = (named.is_empty(), body.as_object_mut()) {
            body.insert("flagsets".to_owned(), json!(named));
        }
        Answer::json(200, body)
    }
}

const ANY_ORIGIN: HeaderName = HeaderName::from_static("access-control-allow-origin");

fn has_parameter(request: &Request<Incoming>, name: &str) -> bool {
    let query = request.uri().query().unwrap_or_default();
    query
        .split('&')
        .any(|pair| pair.split('=').next() == Some(name))
}

fn parsed(bytes: &[u8], is_empty: bool, headers: &HeaderMap) -> Result<Option<Node>, BodyError> {
    if is_empty {
        return Ok(None);
    }
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next();
    if media_type.map(str::trim) != Some("application/json") {
        return Err(BodyError::ContentType);
    }
    request_json::read(bytes).map(Some)
}

/// An answer that is not the relay proxy's.
fn faulty(status: StatusCode, retry_after: Option<&str>, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if let Some(value) = retry_after.and_then(|after| HeaderValue::from_str(after).ok()) {
        headers.insert(RETRY_AFTER, value);
    }
    response
}
