//! `Retry-After` of a 429, and the waiting it asks for (GOFF-REM-004).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use goff_core::RelayError;
use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};
use tokio::time::Instant;

/// How long the answer asks to wait: seconds, or a date, at most [`LONGEST_WAIT`]. `None` without
/// a header that can be read, or when the time it names is over.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a u64 holds is longer than the longest wait.
        value.parse().map_or(LONGEST_WAIT, Duration::from_secs)
    } else {
        let date = |value: &str| httpdate::parse_http_date(value).ok();
        let server_now = headers
            .get(DATE)
            .and_then(|value| date(value.to_str().ok()?));
        // The server's own clock, where it says what it shows, makes ours not matter.
        date(value)?
            .duration_since(server_now.unwrap_or(now))
            .ok()?
    };
    (!wait.is_zero()).then_some(wait.min(LONGEST_WAIT))
}

/// Keeps a client from sending before the time it was told.
#[derive(Debug)]
pub(crate) struct HoldBack {
    /// What `until_nanos` counts from.
    origin: Instant,
    /// Nanoseconds after `origin`; 0 when nothing is held back.
    until_nanos: AtomicU64,
}

impl HoldBack {
    pub(crate) fn new() -> Self {
        Self {
            origin: Instant::now(),
            until_nanos: AtomicU64::new(0),
        }
    }

    /// Holds back until `wait` is over. A later end wins.
    pub(crate) fn hold(&self, wait: Duration) {
        let until = (self.origin.elapsed() + wait).as_nanos();
        let until_nanos = u64::try_from(until).unwrap_or(u64::MAX);
        self.until_nanos.fetch_max(until_nanos, Ordering::Relaxed);
    }

    /// # Errors
    /// [`RelayError::RateLimited`] while the wait lasts.
    pub(crate) fn check(&self) -> Result<(), RelayError> {
        let until_nanos = self.until_nanos.load(Ordering::Relaxed);
        if until_nanos == 0 {
            return Ok(());
        }
        let remaining = Duration::from_nanos(until_nanos).saturating_sub(self.origin.elapsed());
        if remaining.is_zero() {
            // A hold that came in between stays: only the one that has ended is cleared.
            let _ = self.until_nanos.compare_exchange(
                until_nanos,
                0,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
            return Ok(());
        }
        Err(RelayError::RateLimited { remaining })
    }
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
            // Ours is an hour late; the server's own clock decides.
            (
                "Sun, 22 Nov 2026 08:51:58 GMT",
                Some("Sun, 22 Nov 2026 08:51:53 GMT"),
                seconds(5),
            ),
            (
                "Sun, 22 Nov 2026 07:52:03 GMT",
                Some("nonsense"),
                seconds(10),
            ),
        ] {
            assert_eq!(
                retry_after(&headers(value, date), now),
                expected,
                "`{value}`"
            );
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[tokio::test(start_paused = true)]
    async fn holds_back_until_the_wait_is_over() {
        let hold_back = HoldBack::new();
        hold_back.check().unwrap();
        tokio::time::advance(Duration::from_secs(5)).await;
        hold_back.hold(Duration::from_secs(10));
        hold_back.hold(Duration::from_secs(2));
        tokio::time::advance(Duration::from_secs(9)).await;
        let RelayError::RateLimited { remaining } = hold_back.check().unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(remaining, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        hold_back.check().unwrap();
        hold_back.check().unwrap();
        assert_eq!(hold_back.until_nanos.load(Ordering::Relaxed), 0);
    }
}
