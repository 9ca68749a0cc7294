//! A timeout that works on any executor.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_timer::Delay;
use tokio::runtime::Handle;
use tokio::time::{Instant, Sleep};

/// Waits for `future`, for at most `limit`; `None` if that has passed. It uses the timers of the
/// current tokio runtime, and outside one a timer that needs no runtime. A `limit` of more than a
/// year counts as a year.
pub async fn timeout<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    timeout_at(end_after(limit), future).await
}

/// As [`timeout`], until a time.
pub async fn timeout_at<T>(end: Instant, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut sleep) = (pin!(future), pin!(tokio_sleep(end)));
    let mut delay = None;
    poll_fn(|context| {
        if let Poll::Ready(output) = future.as_mut().poll(context) {
            return Poll::Ready(Some(output));
        }
        if delay.is_none()
            && let Some(sleep) = sleep.as_mut().as_pin_mut()
            && let Ok(elapsed) = catch_unwind(AssertUnwindSafe(|| sleep.poll(context)))
        {
            return elapsed.map(|()| None);
        }
        let remaining = || Delay::new(end.saturating_duration_since(Instant::now()));
        let delay = delay.get_or_insert_with(remaining);
        Pin::new(delay).poll(context).map(|()| None)
    })
    .await
}

/// The end of a wait that begins now. As in [`timeout`], a `limit` of more than a year counts as a
/// year.
#[must_use]
pub fn end_after(limit: Duration) -> Instant {
    Instant::now() + limit.min(A_YEAR)
}

/// A timer of the current tokio runtime, if it has timers. To poll it panics if the runtime has ended.
fn tokio_sleep(end: Instant) -> Option<Sleep> {
    Handle::try_current().ok()?;
    catch_unwind(|| tokio::time::sleep_until(end)).ok()
}

/// Whether the current tokio runtime has timers, and has not ended. tokio reveals that only by a
/// panic, whose message the panic hook prints.
pub(crate) fn timers_work() -> bool {
    catch_unwind(|| {
        let mut probe = pin!(tokio::time::sleep(Duration::ZERO));
        let _ = probe.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    })
    .is_ok()
}

/// The longest wait, far from the limits of clocks and timers, which overflow.
pub const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    /// Every executor that can poll a future.
    fn on_each(check: impl AsyncFn()) {
        pollster::block_on(check());
        for has_time in [true, false] {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            if has_time {
                runtime.enable_time();
            }
            runtime.build().unwrap().block_on(check());
        }
        let ended = tokio::runtime::Runtime::new().unwrap().handle().clone();
        let _entered = ended.enter();
        pollster::block_on(check());
    }

    #[test]
    fn limit_holds_inside_and_outside_tokio() {
        on_each(async || {
            let start = Instant::now();
            let limit = Duration::from_millis(20);
            assert_eq!(timeout(limit, pending::<()>()).await, None);
            assert!(start.elapsed() >= limit);
            assert_eq!(timeout(Duration::ZERO, ready(7)).await, Some(7));
            assert_eq!(timeout(Duration::MAX, ready(7)).await, Some(7));
        });
    }

    #[tokio::test(start_paused = true)]
    async fn paused_clock_counts() {
        let day = Duration::from_secs(24 * 60 * 60);
        assert_eq!(timeout(day, pending::<()>()).await, None);
    }
}
