//! Counters of a client.

use std::time::{Duration, SystemTime};

use goff_core::StreamState;
use goff_hooks::UsageStats;
use serde::{Serialize, Serializer};

use crate::status::requests::RequestStats;

/// Counters since the client was made, which only grow, also when the client is started again; and
/// what is open or held at this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Evaluations answered from the cache.
    pub hits: u64,
    /// Evaluations answered by the relay proxy.
    pub misses: u64,
    /// Evaluations answered by the request of another caller.
    pub shared: u64,
    /// Evaluations answered with an expired answer, because the relay proxy could not answer (option
    /// `stale_if_error`).
    pub stale: u64,
    /// Evaluations for which nothing was sent, because the relay proxy has not answered for a while
    /// (option `circuit_breaker`).
    pub circuit_open: u64,
    /// Cached answers that were dropped for size or age.
    pub evictions: u64,
    /// About how many bytes of memory the cached answers keep now.
    pub cache_bytes: u64,
    /// The usage data: of the data collector, or of the event sink where it is the only receiver.
    pub usage: UsageStats,
    /// The same of an event sink beside the data collector.
    pub event_sink: Option<UsageStats>,
    /// Whether the change stream is open; `Down` without a change stream. `Refused` means that a
    /// gateway without WebSocket, or a refused key, keeps it from opening: only `cache_ttl` bounds how
    /// old answers are.
    #[serde(serialize_with = "as_text")]
    pub stream: StreamState,
    /// Flag configurations that were loaded (in-process evaluation).
    pub refreshes: u64,
    /// Failed attempts to load a flag configuration (in-process evaluation).
    pub failed_refreshes: u64,
    /// Evaluations that fell back to the relay proxy (in-process evaluation).
    pub fallbacks: u64,
    /// Such evaluations that the relay proxy did not answer with a value.
    pub failed_fallbacks: u64,
    /// Tracking events that were not recorded because neither a relay proxy nor an event sink is
    /// configured.
    pub not_collected: u64,
    /// How often the change stream was opened again.
    pub reconnects: u64,
    /// HTTP connections to the relay proxy that are open at this moment, in use or idle, and those
    /// being opened; without the change stream. 0 with a custom relay client, and with a custom
    /// transport that does not report it.
    pub open_connections: usize,
    /// HTTP requests that wait for their answer at this moment; not those that wait for
    /// `max_requests_in_flight`. 0 in the same cases.
    pub requests_in_flight: usize,
    /// HTTP requests that wait for `max_requests_in_flight` at this moment. 0 in the same cases.
    pub requests_waiting: usize,
    /// The requests so far, by result and duration.
    pub requests: RequestStats,
    /// Flags that are held for in-process evaluation at this moment.
    pub flags: usize,
    /// When the flags held were last known to be current: the relay proxy sent them or answered 304,
    /// or they were read from the flag file (in-process evaluation). `None` before; the
    /// last-known-good file confirms nothing. Serializes as `last_confirmed_at_seconds`, since 1970.
    #[serde(
        rename = "last_confirmed_at_seconds",
        serialize_with = "as_unix_seconds"
    )]
    pub last_confirmed_at: Option<SystemTime>,
}

fn as_text<S: Serializer>(state: &StreamState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{state:?}"))
}

fn as_unix_seconds<S: Serializer>(
    time: &Option<SystemTime>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let since_1970 = |time: &SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).ok();
    let seconds = time.as_ref().and_then(since_1970);
    seconds
        .map(|time: Duration| time.as_secs_f64())
        .serialize(serializer)
}
