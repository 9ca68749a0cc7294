//! [`Check`]: whether a client could evaluate now.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{NotAnswered, timeout};
use goff_core::{Etag, RelayError};
use serde::{Serialize, Serializer};
use tokio::time::Instant;

use crate::client::evaluator::not_answered;
use crate::client::lifecycle::Lifecycle;
#[cfg(feature = "http")]
use crate::options::key_holders::KeyHolders;
use crate::options::settings::Mode;
use crate::remote::UNLIKELY_FLAG;
use crate::status::check_error::CheckError;
use crate::status::requests::{Operation, RequestResult};

/// What [`GoFeatureFlag::check`](crate::GoFeatureFlag::check) found.
///
/// Serializes with `latency_seconds` for `latency`, and `error` as its message.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Check {
    /// Whether the relay proxy, or a gateway before it, answered. `None` if nothing was sent: there
    /// is no relay proxy, or the rate limit of an earlier answer holds requests back.
    pub reachable: Option<bool>,
    /// Whether it accepted the API key. `None` if no answer says so. A relay proxy that requires no
    /// key accepts any, and none.
    pub authorized: Option<bool>,
    /// From the request to the end of the answer, including the opening of a connection if none was
    /// idle. `None` without an answer.
    #[serde(rename = "latency_seconds", serialize_with = "as_seconds")]
    pub latency: Option<Duration>,
    /// The version of the relay proxy, if its answer names it.
    pub version: Option<String>,
    /// Why the client could not evaluate with the relay proxy, or with its flag file, now.
    #[serde(serialize_with = "as_message")]
    pub error: Option<CheckError>,
}

impl Check {
    /// Whether nothing was found wrong: for a readiness probe.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.error.is_none()
    }

    fn without_relay_proxy(error: Option<CheckError>) -> Self {
        Self {
            reachable: None,
            authorized: None,
            latency: None,
            version: None,
            error,
        }
    }

    fn of(answer: Answer) -> Self {
        let Answer {
            version,
            result,
            latency,
        } = answer;
        let (reachable, authorized) = match &result {
            Ok(()) => (Some(true), Some(true)),
            Err(error) => match (error.status(), error) {
                (Some(401 | 403), _) => (Some(true), Some(false)),
                (Some(_), _) => (Some(true), None),
                (
                    None,
                    RelayError::RateLimited { .. }
                    | RelayError::Headers { .. }
                    | RelayError::Unsupported { .. },
                ) => (None, None),
                (None, _) => (Some(false), None),
            },
        };
        // A relay client of the application that loads no flags cannot be asked.
        let error = result
            .err()
            .filter(|error| !matches!(error, RelayError::Unsupported { .. }));
        Self {
            reachable,
            authorized,
            latency: (reachable == Some(true)).then_some(latency),
            version,
            error: error.map(CheckError::from),
        }
    }
}

/// The answer to the request of a check.
struct Answer {
    version: Option<String>,
    result: Result<(), RelayError>,
    latency: Duration,
}

impl Lifecycle {
    pub(crate) async fn check(&self, limit: Duration) -> Check {
        let Some(request) = self.check_request() else {
            return Check::without_relay_proxy(self.flags_error());
        };
        #[cfg(feature = "http")]
        let server = self.settings().key_holders.as_ref().map(KeyHolders::server);
        #[cfg(not(feature = "http"))]
        let server = None;
        let requests = Arc::clone(&self.settings().requests);
        let bounded = async move {
            let started = Instant::now();
            let mut version = None;
            let request = async {
                let answered = timeout(limit, request).await;
                let (named, result) = answered.unwrap_or_else(|| {
                    let (timeout, sent) = (limit, true);
                    let error = RelayError::Timeout {
                        timeout,
                        sent,
                        server,
                    };
                    (None, Err(error))
                });
                version = named;
                result
            };
            let running = requests.begin(Operation::Check);
            let result = request.await;
            running.ended(&result, |()| RequestResult::Answered);
            let latency = started.elapsed();
            Answer {
                version,
                result,
                latency,
            }
        };
        // As an evaluation: on the caller's runtime, or else on the session's.
        let answer = match self.request_io() {
            Ok(Some(runtime)) if runtime.of_caller().is_none() => {
                let limit = limit.saturating_add(GRACE);
                runtime.run_spawned(limit, bounded).await
            }
            Ok(_) => Ok(bounded.await),
            Err(error) => Err(NotAnswered {
                error,
                is_begun: false,
            }),
        };
        Check::of(answer.unwrap_or_else(|error| Answer {
            version: None,
            result: Err(not_answered(error)),
            latency: Duration::ZERO,
        }))
    }

    /// Why there are no flags, in a client that is to hold some.
    pub(crate) fn flags_error(&self) -> Option<CheckError> {
        let status = self.status();
        if status.state.answers() {
            return None;
        }
        Some(match status.last_error {
            Some(error) => CheckError::Flags(error),
            None => CheckError::NotReady(self.not_ready()),
        })
    }

    /// A request that says whether the key is accepted, and records nothing; `None` without a relay
    /// proxy. `GET /health` would not do: it needs no key, and is not there on a relay proxy with a
    /// monitoring port (docs/relay-protocol.md 17).
    fn check_request(
        &self,
    ) -> Option<impl Future<Output = (Option<String>, Result<(), RelayError>)> + Send + use<>> {
        let (relay, held) = match &self.settings().mode {
            Mode::Remote { relay, .. } => (relay.clone(), None::<(Arc<[String]>, Etag)>),
            #[cfg(feature = "in-process")]
            Mode::InProcess(mode) => {
                let relay = mode.relay()?;
                let number = relay.key.borrow().number;
                let session = self.session();
                let held = session
                    .as_ref()
                    .and_then(|it| it.evaluator.etag_of_key(number));
                // With an ETag the answer is usually "not modified".
                let held = held.map(|etag| (Arc::clone(&relay.source.flags), etag));
                (relay.source.relay.clone(), held)
            }
        };
        #[cfg(feature = "http")]
        let http = {
            let holders = self.settings().key_holders.as_ref();
            holders.and_then(|holders| holders.relay().cloned())
        };
        Some(async move {
            let (flags, etag) = match held {
                Some((flags, etag)) => (flags.to_vec(), Some(etag)),
                None => (vec![UNLIKELY_FLAG.to_owned()], None),
            };
            #[cfg(feature = "http")]
            if let Some(http) = http {
                let check = http.check(&flags, etag.as_ref()).await;
                return (check.version, check.result);
            }
            let answer = relay.contained(|client| client.flag_configuration(&flags, etag.as_ref()));
            (None, answer.await.map(drop))
        })
    }
}

fn as_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration
        .map(|duration| duration.as_secs_f64())
        .serialize(serializer)
}

fn as_message<S: Serializer>(error: &Option<CheckError>, serializer: S) -> Result<S::Ok, S::Error> {
    error
        .as_ref()
        .map(ToString::to_string)
        .serialize(serializer)
}

const GRACE: Duration = Duration::from_millis(100);
