//! `Retry-After` of a 429, and the pause that follows from it (GOFF-REM-004).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use goff_core::__internal::spread;
use goff_core::RelayError;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use tokio::time::Instant;

use crate::request::Purpose;

/// A gate for each purpose: gateways limit routes apart, and a limit of the data collector must not
/// stop evaluations.
#[derive(Debug, Default)]
pub(crate) struct RateLimits {
    evaluation: RateLimitGate,
    configuration: RateLimitGate,
    collection: RateLimitGate,
}

impl RateLimits {
    pub(crate) fn of(&self, purpose: Purpose) -> &RateLimitGate {
        match purpose {
            Purpose::Evaluation => &self.evaluation,
            Purpose::Configuration => &self.configuration,
            Purpose::Collection => &self.collection,
        }
    }
}

/// Refuses requests until the time that the server named has passed.
#[derive(Debug, Default)]
pub(crate) struct RateLimitGate {
    closed_until: Mutex<Option<Instant>>,
}

impl RateLimitGate {
    /// Refuses requests for `wait` from now on, unless the gate is closed for longer already.
    pub(crate) fn close_for(&self, wait: Duration) {
        let end = Some(Instant::now() + wait);
        let mut closed_until = self.lock();
        *closed_until = end.max(*closed_until);
    }

    /// # Errors
    /// [`RelayError::RateLimited`] while the gate is closed.
    pub(crate) fn check(&self) -> Result<(), RelayError> {
        let mut closed_until = self.lock();
        let Some(end) = *closed_until else {
            return Ok(());
        };
        let remaining = end.saturating_duration_since(Instant::now());
        if remaining.is_zero() {
            *closed_until = None;
            return Ok(());
        }
        Err(RelayError::RateLimited { remaining })
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        let lock = self.closed_until.lock();
        lock.unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long to wait before the next request, at most [`LONGEST_WAIT`]: the header holds seconds or
/// a date. `None` without a readable header, or when the named time is over.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only a number too large for a u64 fails to parse.
        value.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        let date = |value: &str| httpdate::parse_http_date(value).ok();
        // Relative to the server's clock where the response states it: the local one may be wrong.
        let server_now = headers
            .get(DATE)
            .and_then(|value| date(value.to_str().ok()?));
        let now = server_now.unwrap_or(now);
        date(value)?.duration_since(now).ok()?
    };
    (!wait.is_zero()).then_some(wait.min(LONGEST_WAIT))
}

/// Up to a tenth longer, so that the clients that were refused together do not return together.
pub(crate) fn jittered(wait: Duration, random: u64) -> Duration {
    wait.saturating_add(spread(wait / 10, random))
}

const LONGEST_WAIT: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(retry_after: &str, date: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry_after).unwrap());
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
        }
        headers
    }

    #[test]
    fn seconds_and_dates_are_read_and_capped() {
        let now = httpdate::parse_http_date("Sun, 22 Nov 2026 07:51:53 GMT").unwrap();
        let seconds = |n| Some(Duration::from_secs(n));
        let ahead = Some("Sun, 22 Nov 2026 08:51:53 GMT");
        let nonsense = Some("nonsense");
        for (value, date, expected) in [
            ("1", None, seconds(1)),
            (" 30 ", None, seconds(30)),
            ("61", None, seconds(60)),
            ("99999999999999999999999999", None, seconds(60)),
            ("0", None, None),
            ("", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", None, None),
            ("Sun, 22 Nov 2026 07:52:03 GMT", None, seconds(10)),
            ("Sun, 22 Nov 2026 09:00:00 GMT", None, seconds(60)),
            ("Sun, 22 Nov 2026 07:51:53 GMT", None, None),
            ("Sun, 22 Nov 2026 07:00:00 GMT", None, None),
            // The local clock is an hour behind the server's.
            ("Sun, 22 Nov 2026 08:51:58 GMT", ahead, seconds(5)),
            ("Sun, 22 Nov 2026 07:52:03 GMT", nonsense, seconds(10)),
        ] {
            let wait = retry_after(&headers(value, date), now);
            assert_eq!(wait, expected, "`{value}`");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn wait_is_extended_by_at_most_a_tenth() {
        let wait = Duration::from_secs(30);
        assert_eq!(jittered(wait, 0), wait);
        let longest = jittered(wait, u64::MAX);
        assert!(longest > Duration::from_millis(32_999) && longest <= Duration::from_secs(33));
        let _ = jittered(Duration::MAX, u64::MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn gate_stays_closed_until_the_longest_wait_is_over() {
        let gate = RateLimitGate::default();
        gate.check().unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        gate.close_for(Duration::from_secs(10));
        gate.close_for(Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(9)).await;
        let RelayError::RateLimited { remaining } = gate.check().unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(remaining, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        gate.check().unwrap();
        gate.check().unwrap();
    }
}
