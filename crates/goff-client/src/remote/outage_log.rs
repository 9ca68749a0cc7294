//! [`OutageLog`]: what the log says while evaluations fail.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use goff_core::{ErrorCode, RelayError};
use tokio::time::Instant;

/// Logs when requests begin to fail, and when they succeed again; not each of them.
#[derive(Debug, Default)]
pub(crate) struct OutageLog {
    /// Whether there is an outage, for requests that succeed.
    is_failing: AtomicBool,
    outage: Mutex<Option<Outage>>,
}

#[derive(Debug)]
struct Outage {
    since: Instant,
    failed: u64,
}

impl OutageLog {
    /// Notes the result of a request. An answer that this flag or context alone gets is no outage.
    pub(crate) fn note<T>(&self, result: &Result<T, RelayError>) {
        match result {
            Ok(_) | Err(RelayError::Evaluation(_)) => self.succeeded(),
            Err(error) if is_outage(error) => self.failed(error),
            Err(_) => {}
        }
    }

    fn succeeded(&self) {
        if !self.is_failing.load(Ordering::Relaxed) {
            return;
        }
        let over = self.lock().take();
        self.is_failing.store(false, Ordering::Relaxed);
        if let Some(Outage { since, failed }) = over {
            let outage_ms = whole_ms(since);
            tracing::info!(
                outage_ms,
                failed,
                "evaluations are answered again; cached answers and the callers' defaults were \
                 served"
            );
        }
    }

    fn failed(&self, error: &RelayError) {
        let mut outage = self.lock();
        if let Some(outage) = &mut *outage {
            outage.failed += 1;
            return;
        }
        let since = Instant::now();
        *outage = Some(Outage { since, failed: 1 });
        drop(outage);
        self.is_failing.store(true, Ordering::Relaxed);
        let error = error.without_server_texts();
        tracing::warn!(
            %error,
            "evaluations fail: cached answers and the callers' defaults are served"
        );
    }

    fn lock(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_outage(error: &RelayError) -> bool {
    match error {
        RelayError::Status { status: 413, .. } => false,
        RelayError::Status { code, .. } => *code != ErrorCode::InvalidContext,
        RelayError::RateLimited { .. }
        | RelayError::NotConnected(_)
        | RelayError::Interrupted(_)
        | RelayError::Timeout { .. }
        | RelayError::Body { .. } => true,
        _ => false,
    }
}

pub(crate) fn whole_ms(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
