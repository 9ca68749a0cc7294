//! Answers requests: route, fault, key, endpoint.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{HeaderMap, Request, Response, StatusCode};
use serde_json::{Value, json};

use super::activity::{Observer, RelayActivity};
use super::answer::{Answer, add};
use super::authentication::{Keys, selecting_key};
use super::change_stream::{self, ChangeStreams};
use super::collector::{Batch, Collected, CollectedEvent, CollectedKind};
use super::configuration;
use super::date::rfc_3339;
use super::evaluation::{self, GoffRequest};
use super::faults::{Effect, Faults, RelayEndpoint};
use super::flag_set::{FlagSet, LoadError, Reload};
use super::request_json::{BodyError, Members};
use super::routes::{Gate, Route, route, routed_path};
use super::socket::SocketEnd;
use super::tasks::Tasks;

/// The state from which requests are answered.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) keys: RwLock<Keys>,
    /// Either one set without a name, or sets with names.
    pub(super) flag_sets: Vec<FlagSet>,
    /// Empty, or with a slash at its start.
    pub(super) path_prefix: String,
    pub(super) is_debug: bool,
    pub(super) observer: Observer,
    pub(super) collected: Collected,
    pub(super) streams: Arc<ChangeStreams>,
    pub(super) faults: Faults,
    /// The error of the last load, if it failed.
    pub(super) load_error: Mutex<Option<String>>,
}

impl Service {
    /// Loads the flags of every set again, and announces the changes.
    pub(super) fn reload(&self) -> Result<(), LoadError> {
        let mut outcome = Ok(());
        for set in &self.flag_sets {
            match set.load() {
                Ok(Reload { message, problems }) => {
                    if let Some(message) = message {
                        self.streams.send(&message);
                        self.observer.call(|| RelayActivity::changed(&message));
                    }
                    if !problems.is_empty() {
                        self.observer.call(|| RelayActivity::LeftOut { problems });
                    }
                }
                Err(error) => outcome = Err(error),
            }
        }
        let failure = outcome.as_ref().err().map(ToString::to_string);
        let load_error = self.load_error.lock();
        let mut load_error = load_error.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = failure.as_ref().filter(|_| *load_error != failure) {
            let error = error.clone();
            self.observer.call(|| RelayActivity::LoadFailed { error });
        }
        *load_error = failure;
        drop(load_error);
        outcome
    }

    /// Answers one request, and tells the observer.
    pub(super) async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        end: SocketEnd,
        tasks: Arc<Tasks>,
    ) -> Response<Full<Bytes>> {
        let started = Instant::now();
        let (method, path) = (
            request.method().to_string(),
            request.uri().path().to_owned(),
        );
        let response = Arc::clone(&self).answer_unobserved(request, end.clone(), tasks);
        let response = response.await;
        if !end.is_set() {
            self.observer.call(|| RelayActivity::Request {
                method,
                path,
                status: response.status().as_u16(),
                duration: started.elapsed(),
            });
        }
        response
    }

    async fn answer_unobserved(
        self: Arc<Self>,
        mut request: Request<Incoming>,
        end: SocketEnd,
        tasks: Arc<Tasks>,
    ) -> Response<Full<Bytes>> {
        let path = request.uri().path();
        let path = path.strip_prefix(&self.path_prefix).unwrap_or_default();
        let Some(path) = routed_path(path) else {
            let answer = Answer::text(400, "400 Bad Request");
            return answer.into_response(request.headers(), self.is_debug);
        };
        let (gate, route) = route(request.method(), &path);
        match self.faults.next(route.endpoint()) {
            None => {}
            Some(Effect::Delay(delay)) => tokio::time::sleep(delay).await,
            Some(Effect::Silence) => std::future::pending().await,
            Some(Effect::End(fault)) => {
                end.set(fault);
                return faulty(StatusCode::OK, None, String::new());
            }
            Some(Effect::Answer(status, retry_after, body)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                return faulty(status, retry_after, body);
            }
        }
        if let Err(refusal) = self.check(gate, &request) {
            return refusal.into_response(request.headers(), self.is_debug);
        }
        if route.endpoint() == RelayEndpoint::ChangeStream {
            let is_deprecated = route == Route::DeprecatedChangeStream;
            return match change_stream::handshake(&mut request, is_deprecated) {
                Ok((response, upgrade)) => {
                    let streams = Arc::clone(&self.streams);
                    tasks.spawn_endless(change_stream::serve(upgrade, streams));
                    response
                }
                Err(refusal) => refusal.into_response(request.headers(), self.is_debug),
            };
        }
        let (head, body) = request.into_parts();
        let body = body.collect().await;
        let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
        let answer = self.answer_to(route, &head.headers, &body);
        let answer = answer.unwrap_or_else(|refusal| refusal);
        answer.into_response(&head.headers, self.is_debug)
    }

    fn check(&self, gate: Gate, request: &Request<Incoming>) -> Result<(), Answer> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        match gate {
            Gate::Open => Ok(()),
            Gate::Evaluation => keys.check_headers(request.headers()),
            Gate::Admin => keys.check_admin(request.headers()),
            Gate::Stream => {
                let query = request.uri().query();
                keys.check_query(query.unwrap_or_default())
            }
        }
    }

    fn answer_to(
        &self,
        route: Route<'_>,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<Answer, Answer> {
        let text = String::from_utf8_lossy(body);
        let body = || match text.is_empty() || is_json(headers) {
            true => Members::of_body(&text),
            false => Err(BodyError::ContentType),
        };
        Ok(match route {
            Route::Evaluate("") => Answer::internal("impossible to find the flag key in the URL"),
            Route::Evaluate(key) | Route::EvaluateOfrep(key)
                if key.contains(char::REPLACEMENT_CHARACTER) =>
            {
                // The relay proxy fails to count the evaluation in its metrics.
                Answer::internal("the flag key is not valid UTF-8")
            }
            Route::Evaluate(flag_key) => {
                let request = GoffRequest::of_one_flag(body())?;
                let set = self.flag_set(headers)?;
                let (answer, event) = evaluation::evaluate(set, flag_key, request);
                self.record(set, event);
                answer
            }
            Route::EvaluateAll => {
                let request = GoffRequest::of_all_flags(body())?;
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
            Route::Manifest => configuration::manifest(self.flag_set(headers)?),
            Route::Collector => {
                let batch = Batch::read(body())?;
                let set = self.flag_set(headers)?;
                let (answer, events) = batch.collect(set.name.as_deref());
                self.collect(events);
                answer
            }
            Route::Health => Answer::json(200, json!({"initialized": true})),
            Route::Info => self.info(),
            Route::Refresh => {
                self.flag_set(headers)?;
                Answer::json(200, json!({"refreshed": self.reload().is_ok()}))
            }
            Route::MethodNotAllowed => {
                Answer::failure(405, "Method Not Allowed").with(ALLOW, "OPTIONS, GET")
            }
            Route::NotFound | Route::ChangeStream | Route::DeprecatedChangeStream => {
                Answer::failure(404, "Not Found")
            }
        })
    }

    /// The flag set that the key of a request selects (docs/relay-protocol.md 4).
    fn flag_set(&self, headers: &HeaderMap) -> Result<&FlagSet, Answer> {
        let missing =
            |what: &str| Answer::failure(400, format!("error while getting flagset: {what}"));
        match self.flag_sets.first() {
            Some(only) if only.name.is_none() => Ok(only),
            _ => match selecting_key(headers) {
                "" => Err(missing("no API key provided")),
                key => {
                    let mut sets = self.flag_sets.iter();
                    let set = sets.find(|set| set.api_keys.iter().any(|known| known == key));
                    set.ok_or_else(|| missing("flagset not found for API key"))
                }
            },
        }
    }

    fn record(&self, set: &FlagSet, event: Option<Value>) {
        self.collect(event.map(|json| CollectedEvent {
            kind: CollectedKind::Feature,
            flag_set: set.name.clone(),
            json,
        }));
    }

    fn collect(&self, events: impl IntoIterator<Item = CollectedEvent>) {
        self.collected.add(events.into_iter().inspect(|event| {
            self.observer
                .call(|| RelayActivity::Collected(event.clone()));
        }));
    }

    fn info(&self) -> Answer {
        let latest = self.flag_sets.iter().map(FlagSet::loaded_at).max();
        let latest = rfc_3339(latest.unwrap_or(SystemTime::UNIX_EPOCH));
        let named = |set: &FlagSet| Some((set.name.clone()?, rfc_3339(set.loaded_at())));
        let named: BTreeMap<String, String> = self.flag_sets.iter().filter_map(named).collect();
        let mut info = json!({"cacheRefresh": latest});
        let named = (!named.is_empty()).then(|| json!(named));
        add(&mut info, "flagsets", named);
        Answer::json(200, info)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = content_type.unwrap_or_default().split(';').next();
    media_type.map(str::trim) == Some("application/json")
}

/// An answer of a gateway.
fn faulty(status: StatusCode, retry_after: Option<u64>, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    if let Some(seconds) = retry_after {
        headers.insert(RETRY_AFTER, seconds.into());
    }
    response
}
