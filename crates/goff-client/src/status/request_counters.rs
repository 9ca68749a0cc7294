//! Counts the requests to the relay proxy.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use goff_core::RelayError;
#[cfg(feature = "opentelemetry")]
use goff_hooks::TelemetryOptions;
use tokio::time::Instant;

#[cfg(feature = "opentelemetry")]
use crate::status::metrics::RequestDurations;
use crate::status::requests::{
    DurationHistogram, Operation, OperationStats, RequestResult, RequestStats,
};

/// Counts each request once, when it ends. `Debug` shows nothing: `Stats` has the counters.
#[derive(Default)]
pub(crate) struct RequestCounters {
    evaluate: OperationCounters,
    evaluate_all: OperationCounters,
    flag_configuration: OperationCounters,
    collect: OperationCounters,
    check: OperationCounters,
    errors_by_code: Mutex<BTreeMap<String, u64>>,
    #[cfg(feature = "opentelemetry")]
    durations: Option<RequestDurations>,
}

#[derive(Default)]
struct OperationCounters {
    results: [AtomicU64; RequestResult::ALL.len()],
    buckets: [AtomicU64; DurationHistogram::BOUNDS.len() + 1],
    sum_microseconds: AtomicU64,
}

impl RequestCounters {
    /// Counters that record the durations as metrics too.
    #[cfg(feature = "opentelemetry")]
    pub(crate) fn with_metrics(options: Option<&TelemetryOptions>) -> Self {
        Self {
            durations: options.map(RequestDurations::new),
            ..Self::default()
        }
    }

    /// A request begins. If what this returns is dropped before it has [ended](RunningRequest::ended),
    /// the request was given up.
    pub(crate) fn begin(&self, operation: Operation) -> RunningRequest<'_> {
        RunningRequest {
            counters: self,
            operation,
            result: RequestResult::GivenUp,
            began: Instant::now(),
        }
    }

    pub(crate) fn stats(&self) -> RequestStats {
        RequestStats {
            evaluate: self.evaluate.stats(),
            evaluate_all: self.evaluate_all.stats(),
            flag_configuration: self.flag_configuration.stats(),
            collect: self.collect.stats(),
            check: self.check.stats(),
            errors_by_code: self.codes().clone(),
        }
    }

    fn of(&self, operation: Operation) -> &OperationCounters {
        match operation {
            Operation::Evaluate => &self.evaluate,
            Operation::EvaluateAll => &self.evaluate_all,
            Operation::FlagConfiguration => &self.flag_configuration,
            Operation::Collect => &self.collect,
            Operation::Check => &self.check,
        }
    }

    fn count_code(&self, code: &str) {
        let mut codes = self.codes();
        // A server can make up codes.
        let code = match codes.len() >= MAX_CODES && !codes.contains_key(code) {
            true => "OTHER",
            false => code,
        };
        match codes.get_mut(code) {
            Some(count) => *count += 1,
            None => drop(codes.insert(code.to_owned(), 1)),
        }
    }

    fn codes(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.errors_by_code
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for RequestCounters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestCounters").finish_non_exhaustive()
    }
}

impl OperationCounters {
    fn count(&self, result: RequestResult, duration: Duration) {
        if let Some(count) = self.results.get(result as usize) {
            add(count, 1);
        }
        if !result.has_duration() {
            return;
        }
        let bucket = DurationHistogram::BOUNDS.partition_point(|bound| *bound < duration);
        if let Some(bucket) = self.buckets.get(bucket) {
            add(bucket, 1);
        }
        let microseconds = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        add(&self.sum_microseconds, microseconds);
    }

    fn stats(&self) -> OperationStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let results = RequestResult::ALL
            .into_iter()
            .zip(self.results.iter().map(load));
        OperationStats {
            results: results.filter(|(_, count)| *count > 0).collect(),
            durations: DurationHistogram {
                buckets: self.buckets.each_ref().map(load),
                sum: Duration::from_micros(load(&self.sum_microseconds)),
            },
        }
    }
}

/// A request that has not ended; dropped when it does.
#[must_use = "a request that is dropped was given up"]
pub(crate) struct RunningRequest<'a> {
    counters: &'a RequestCounters,
    operation: Operation,
    result: RequestResult,
    began: Instant,
}

impl RunningRequest<'_> {
    /// The request has ended. `success` tells a 304 from other answers.
    pub(crate) fn ended<T>(
        mut self,
        answer: &Result<T, RelayError>,
        success: impl FnOnce(&T) -> RequestResult,
    ) {
        self.result = match answer {
            Ok(answer) => success(answer),
            Err(error) => {
                self.counters.count_code(error.code().as_str());
                RequestResult::of(error)
            }
        };
    }
}

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        let duration = self.began.elapsed();
        let counters = self.counters.of(self.operation);
        counters.count(self.result, duration);
        #[cfg(feature = "opentelemetry")]
        if self.result.has_duration()
            && let Some(durations) = &self.counters.durations
        {
            durations.record(self.operation, self.result, duration);
        }
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}

const MAX_CODES: usize = 32;

#[cfg(test)]
mod tests {
    use goff_core::EvaluationFailure;

    use super::*;

    fn failure(code: &str) -> RelayError {
        RelayError::Evaluation(EvaluationFailure::new(code, "", std::sync::Arc::default()))
    }

    #[tokio::test(start_paused = true)]
    async fn durations_fall_into_the_bucket_that_ends_at_or_above_them() {
        let counters = RequestCounters::default();
        for (milliseconds, bucket) in [(0, 0), (5, 0), (6, 1), (10_000, 13), (10_001, 14)] {
            let before = counters.stats().evaluate.durations;
            let running = counters.begin(Operation::Evaluate);
            tokio::time::sleep(Duration::from_millis(milliseconds)).await;
            running.ended(&Ok(()), |()| RequestResult::Answered);
            let after = counters.stats().evaluate.durations;
            assert_eq!(after.buckets[bucket], before.buckets[bucket] + 1);
            assert_eq!(after.count(), before.count() + 1);
            assert_eq!(after.sum, before.sum + Duration::from_millis(milliseconds));
        }
    }

    /// A server that makes up codes takes no memory.
    #[test]
    fn error_codes_are_bounded() {
        let counters = RequestCounters::default();
        for index in 0..100 {
            for _ in 0..2 {
                let answer = Err(failure(&format!("CODE_{index:03}")));
                let running = counters.begin(Operation::Evaluate);
                running.ended(&answer, |()| RequestResult::Answered);
            }
        }
        let stats = counters.stats();
        assert_eq!(stats.errors_by_code.len(), MAX_CODES + 1);
        assert_eq!(stats.errors_by_code["CODE_000"], 2);
        assert_eq!(stats.errors_by_code["OTHER"], 2 * (100 - MAX_CODES as u64));
        assert_eq!(stats.evaluate.count(RequestResult::EvaluationFailed), 200);
    }

    #[test]
    fn results_are_in_the_order_of_their_counters() {
        for (index, result) in RequestResult::ALL.into_iter().enumerate() {
            assert_eq!(result as usize, index);
        }
    }
}
