//! [`Stats`] as metrics of OpenTelemetry, named in docs/operating/telemetry.md.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use goff_core::StreamState;
use goff_hooks::{TelemetryOptions, UsageStats};
use opentelemetry::KeyValue;
use opentelemetry::metrics::{AsyncInstrument, Histogram, Meter};

use crate::status::State;
use crate::status::requests::{
    DurationHistogram, Operation, OperationStats, RequestResult, RequestStats,
};
use crate::status::stats::Stats;

/// A counter or gauge of [`Stats`]: name, unit, description and value.
type Row<T = Stats> = (&'static str, &'static str, &'static str, fn(&T) -> u64);

const COUNTERS: [Row; 13] = [
    (
        "goff.client.cache.hits",
        "{evaluation}",
        "Evaluations answered from the cache",
        |stats| stats.hits,
    ),
    (
        "goff.client.cache.misses",
        "{evaluation}",
        "Evaluations answered by the relay proxy",
        |stats| stats.misses,
    ),
    (
        "goff.client.cache.shared",
        "{evaluation}",
        "Evaluations answered by the request of another caller",
        |stats| stats.shared,
    ),
    (
        "goff.client.cache.stale",
        "{evaluation}",
        "Evaluations answered with an expired answer",
        |stats| stats.stale,
    ),
    (
        "goff.client.circuit_open",
        "{evaluation}",
        "Evaluations that failed at once because the relay proxy had not answered",
        |stats| stats.circuit_open,
    ),
    (
        "goff.client.cache.evictions",
        "{answer}",
        "Cached answers dropped for size or age",
        |stats| stats.evictions,
    ),
    (
        "goff.client.configuration.refreshes",
        "{configuration}",
        "Flag configurations loaded",
        |stats| stats.refreshes,
    ),
    (
        "goff.client.configuration.failed_refreshes",
        "{attempt}",
        "Failed attempts to load a flag configuration",
        |stats| stats.failed_refreshes,
    ),
    (
        "goff.client.fallbacks",
        "{evaluation}",
        "Evaluations that fell back to the relay proxy",
        |stats| stats.fallbacks,
    ),
    (
        "goff.client.failed_fallbacks",
        "{evaluation}",
        "Fallbacks that the relay proxy did not answer with a value",
        |stats| stats.failed_fallbacks,
    ),
    (
        "goff.client.stream.reconnects",
        "{connection}",
        "How often the change stream was opened again",
        |stats| stats.reconnects,
    ),
    (
        "goff.client.events.not_collected",
        "{event}",
        "Tracking events without a relay proxy to deliver them to",
        |stats| stats.not_collected,
    ),
    (
        "goff.client.configuration.not_modified",
        "{answer}",
        "Answers 304 to a fetch of the flag configuration",
        |stats| {
            let fetches = &stats.requests.flag_configuration;
            fetches.count(RequestResult::NotModified)
        },
    ),
];

const GAUGES: [Row; 6] = [
    (
        "goff.client.cache.memory",
        "By",
        "Memory of the cached answers",
        |stats| stats.cache_bytes,
    ),
    (
        "goff.client.flags",
        "{flag}",
        "Flags held for in-process evaluation",
        |stats| stats.flags as u64,
    ),
    (
        "goff.client.connections.open",
        "{connection}",
        "HTTP connections that are open or being opened",
        |stats| stats.open_connections as u64,
    ),
    (
        "goff.client.requests.in_flight",
        "{request}",
        "Requests that wait for their answer",
        |stats| stats.requests_in_flight as u64,
    ),
    (
        "goff.client.requests.waiting",
        "{request}",
        "Requests that wait for others to end",
        |stats| stats.requests_waiting as u64,
    ),
    (
        "goff.client.stream.open",
        "{stream}",
        "1 while the change stream is open",
        |stats| u64::from(stats.stream == StreamState::Open),
    ),
];

/// Of the usage data, under `goff.client.events`; of a sink beside the data collector, under
/// `goff.client.event_sink`.
const USAGE_COUNTERS: [Row<UsageStats>; 6] = [
    ("recorded", "{event}", "Usage data recorded", |usage| {
        usage.recorded
    }),
    ("delivered", "{event}", "Usage data accepted", |usage| {
        usage.delivered
    }),
    (
        "dropped",
        "{event}",
        "Usage data lost because the buffer was full or stopped",
        |usage| usage.dropped,
    ),
    (
        "rejected",
        "{event}",
        "Usage data refused for its content",
        |usage| usage.rejected,
    ),
    (
        "unknown",
        "{event}",
        "Evaluations that the relay proxy may have recorded",
        |usage| usage.unknown,
    ),
    (
        "left_out",
        "{event}",
        "Usage data left out as repetition or by sampling",
        |usage| usage.left_out,
    ),
];

const USAGE_GAUGES: [Row<UsageStats>; 3] = [
    (
        "pending",
        "{event}",
        "Usage data that is not delivered yet",
        |usage| usage.pending,
    ),
    (
        "in_flight",
        "{event}",
        "Usage data of the batch being delivered",
        |usage| usage.in_flight,
    ),
    (
        "pending_memory",
        "By",
        "Memory of the usage data that is not delivered yet",
        |usage| usage.pending_bytes,
    ),
];

type UsageOf = fn(&Stats) -> Option<&UsageStats>;

/// Where the usage data of a client is counted.
const RECEIVERS: [(&str, UsageOf); 2] = [
    ("goff.client.events", |stats| Some(&stats.usage)),
    ("goff.client.event_sink", |stats| stats.event_sink.as_ref()),
];

/// Registers the metrics of a client. `observe` returns its counters as long as it exists: a meter
/// keeps its callbacks.
pub(crate) fn register(
    options: &TelemetryOptions,
    observe: impl Fn() -> Option<(State, Stats)> + Send + Sync + 'static,
) {
    let meter = options.meter_or_default();
    let attribute = options.client_attribute();
    let observe = Arc::new(observe);
    for (is_counter, rows) in [(true, &COUNTERS[..]), (false, &GAUGES[..])] {
        for (name, unit, description, value) in rows {
            let value = move |stats: &Stats| Some(value(stats));
            let (observe, attribute) = (Arc::clone(&observe), attribute.clone());
            let instrument = (is_counter, (*name).to_owned(), *unit, *description);
            register_number(&meter, instrument, attribute, observe, value);
        }
    }
    for (receiver, usage) in RECEIVERS {
        for (is_counter, rows) in [(true, &USAGE_COUNTERS[..]), (false, &USAGE_GAUGES[..])] {
            for (name, unit, description, value) in rows {
                let value = move |stats: &Stats| usage(stats).map(value);
                let (observe, attribute) = (Arc::clone(&observe), attribute.clone());
                let instrument = (
                    is_counter,
                    format!("{receiver}.{name}"),
                    *unit,
                    *description,
                );
                register_number(&meter, instrument, attribute, observe, value);
            }
        }
    }
    register_requests(&meter, attribute.clone(), &observe);
    register_state(&meter, attribute, &observe);
}

/// Registers a counter or a gauge, which shows nothing where there is no value.
fn register_number(
    meter: &Meter,
    (is_counter, name, unit, description): (bool, String, &'static str, &'static str),
    attribute: Option<KeyValue>,
    observe: Arc<impl Fn() -> Option<(State, Stats)> + Send + Sync + 'static>,
    value: impl Fn(&Stats) -> Option<u64> + Send + Sync + 'static,
) {
    let callback = move |instrument: &dyn AsyncInstrument<u64>| {
        if let Some(value) = observe().and_then(|(_, stats)| value(&stats)) {
            instrument.observe(value, attribute.as_slice());
        }
    };
    if is_counter {
        let counter = meter.u64_observable_counter(name).with_unit(unit);
        counter
            .with_description(description)
            .with_callback(callback)
            .build();
    } else {
        let gauge = meter.u64_observable_gauge(name).with_unit(unit);
        gauge
            .with_description(description)
            .with_callback(callback)
            .build();
    }
}

fn register_requests(
    meter: &Meter,
    attribute: Option<KeyValue>,
    observe: &Arc<impl Fn() -> Option<(State, Stats)> + Send + Sync + 'static>,
) {
    let (of_requests, to_requests) = (Arc::clone(observe), attribute.clone());
    meter
        .u64_observable_counter("goff.client.requests")
        .with_unit("{request}")
        .with_description("Requests to the relay proxy that ended, sent or not")
        .with_callback(move |counter| {
            let Some((_, stats)) = of_requests() else {
                return;
            };
            for (operation, requests) in operations(&stats.requests) {
                for (result, count) in &requests.results {
                    let attributes = [
                        KeyValue::new(OPERATION, operation.as_str()),
                        KeyValue::new(RESULT, result.as_str()),
                    ];
                    counter.observe(*count, &with(attributes, &to_requests));
                }
            }
        })
        .build();
    let (of_errors, to_errors) = (Arc::clone(observe), attribute);
    meter
        .u64_observable_counter("goff.client.request.errors")
        .with_unit("{request}")
        .with_description("Requests to the relay proxy that failed")
        .with_callback(move |counter| {
            let Some((_, stats)) = of_errors() else {
                return;
            };
            for (code, count) in &stats.requests.errors_by_code {
                let code = match &**code {
                    "OTHER" => "_OTHER".to_owned(),
                    code => code.to_ascii_lowercase(),
                };
                let attributes = [KeyValue::new("error.type", code)];
                counter.observe(*count, &with(attributes, &to_errors));
            }
        })
        .build();
}

fn register_state(
    meter: &Meter,
    attribute: Option<KeyValue>,
    observe: &Arc<impl Fn() -> Option<(State, Stats)> + Send + Sync + 'static>,
) {
    let (of_state, to_state) = (Arc::clone(observe), attribute.clone());
    meter
        .u64_observable_gauge("goff.client.state")
        .with_unit("{client}")
        .with_description("1 for the state of the client, 0 for the others")
        .with_callback(move |gauge| {
            let Some((current, _)) = of_state() else {
                return;
            };
            for (state, name) in STATES {
                let attributes = [KeyValue::new("goff.client.state", name)];
                gauge.observe(u64::from(state == current), &with(attributes, &to_state));
            }
        })
        .build();
    let (of_age, to_age) = (Arc::clone(observe), attribute);
    meter
        .f64_observable_gauge("goff.client.configuration.age")
        .with_unit("s")
        .with_description("Time since the flags held were last known to be current")
        .with_callback(move |gauge| {
            let confirmed = of_age().and_then(|(_, stats)| stats.last_confirmed_at);
            if let Some(confirmed) = confirmed {
                let age = SystemTime::now().duration_since(confirmed);
                gauge.observe(age.unwrap_or_default().as_secs_f64(), to_age.as_slice());
            }
        })
        .build();
}

fn operations(requests: &RequestStats) -> [(Operation, &OperationStats); 5] {
    [
        (Operation::Evaluate, &requests.evaluate),
        (Operation::EvaluateAll, &requests.evaluate_all),
        (Operation::FlagConfiguration, &requests.flag_configuration),
        (Operation::Collect, &requests.collect),
        (Operation::Check, &requests.check),
    ]
}

fn with<const N: usize>(attributes: [KeyValue; N], more: &Option<KeyValue>) -> Vec<KeyValue> {
    attributes.into_iter().chain(more.clone()).collect()
}

/// The durations of requests, recorded when they end.
#[derive(Debug)]
pub(crate) struct RequestDurations {
    histogram: Histogram<f64>,
    attribute: Option<KeyValue>,
}

impl RequestDurations {
    pub(crate) fn new(options: &TelemetryOptions) -> Self {
        let bounds = DurationHistogram::BOUNDS.iter().map(Duration::as_secs_f64);
        let histogram = options
            .meter_or_default()
            .f64_histogram("goff.client.request.duration")
            .with_unit("s")
            .with_description("Durations of the requests to the relay proxy")
            .with_boundaries(bounds.collect())
            .build();
        Self {
            histogram,
            attribute: options.client_attribute(),
        }
    }

    pub(crate) fn record(&self, operation: Operation, result: RequestResult, duration: Duration) {
        let attributes = [
            KeyValue::new(OPERATION, operation.as_str()),
            KeyValue::new(RESULT, result.as_str()),
        ];
        let seconds = duration.as_secs_f64();
        self.histogram
            .record(seconds, &with(attributes, &self.attribute));
    }
}

const OPERATION: &str = "goff.request.operation";
const RESULT: &str = "goff.request.result";

const STATES: [(State, &str); 6] = [
    (State::NotReady, "not_ready"),
    (State::Ready, "ready"),
    (State::Stale, "stale"),
    (State::Error, "error"),
    (State::Fatal, "fatal"),
    (State::Closed, "closed"),
];
