//! The evaluations in flight, which shutdown waits for and cuts off in the end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use slab::Slab;
use tokio::sync::Notify;

/// The evaluations in flight of a session.
///
/// Their wakers are in one block of memory. A watch channel, which does the same, links the futures
/// that wait, and each touches its neighbors, which are in no cache while hundreds wait (bench row
/// "512 in flight").
#[derive(Debug, Default)]
pub(crate) struct Evaluations {
    state: Mutex<State>,
    /// Told when the last one has ended.
    ended: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// What wakes each one; `None` before it waits.
    wakers: Slab<Option<Waker>>,
    is_cut_off: bool,
}

impl Evaluations {
    /// An evaluation begins.
    pub(crate) fn enter(self: &Arc<Self>) -> InFlight {
        InFlight {
            key: self.state().wakers.insert(None),
            evaluations: Arc::clone(self),
        }
    }

    /// Waits until none is in flight.
    pub(crate) async fn ended(&self) {
        loop {
            let mut ended = pin!(self.ended.notified());
            // From now on, so that none is missed after the look.
            ended.as_mut().enable();
            if self.state().wakers.is_empty() {
                return;
            }
            ended.await;
        }
    }

    /// Cuts off those in flight, and any later ones.
    pub(crate) fn cut_off(&self) {
        let wakers: Vec<Waker> = {
            let mut state = self.state();
            state.is_cut_off = true;
            let wakers = state.wakers.iter_mut();
            wakers.filter_map(|(_, waker)| waker.take()).collect()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One evaluation in flight. Shutdown waits until it is dropped, so it is held until the evaluation
/// is recorded: the last delivery then includes its event.
#[derive(Debug)]
pub(crate) struct InFlight {
    evaluations: Arc<Evaluations>,
    key: usize,
}

impl InFlight {
    /// Runs an evaluation that waits; `None` when the client's shutdown has run out of time.
    pub(crate) async fn until_cut_off<T>(
        &mut self,
        mut evaluation: impl Future<Output = T> + Unpin,
    ) -> Option<T> {
        poll_fn(|context| match Pin::new(&mut evaluation).poll(context) {
            Poll::Ready(result) => Poll::Ready(Some(result)),
            Poll::Pending => self.poll_cut_off(context).map(|()| None),
        })
        .await
    }

    /// Waits until the evaluation is cut off.
    fn poll_cut_off(&self, context: &Context<'_>) -> Poll<()> {
        let waker = context.waker();
        let mut state = self.evaluations.state();
        if state.is_cut_off {
            return Poll::Ready(());
        }
        let known = state.wakers.get_mut(self.key);
        let replaced = known
            .filter(|known| !known.as_ref().is_some_and(|known| known.will_wake(waker)))
            .and_then(|known| known.replace(waker.clone()));
        // To drop a waker may drop its task, and with it another evaluation.
        drop(state);
        drop(replaced);
        Poll::Pending
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let (waker, is_last) = {
            let mut state = self.evaluations.state();
            let waker = state.wakers.try_remove(self.key);
            (waker, state.wakers.is_empty())
        };
        if is_last {
            self.evaluations.ended.notify_waiters();
        }
        drop(waker);
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Counting(AtomicUsize);

    impl Wake for Counting {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>, woken: &Arc<Counting>) -> Poll<T> {
        let waker = Waker::from(Arc::clone(woken));
        future.poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn those_in_flight_and_later_ones_are_cut_off() {
        let evaluations = Arc::new(Evaluations::default());
        let woken: [Arc<Counting>; 3] = Default::default();
        let [mut first, mut second, mut done] = [(); 3].map(|()| evaluations.enter());
        let mut first = pin!(first.until_cut_off(pending::<()>()));
        let mut second = pin!(second.until_cut_off(pending::<()>()));
        assert!(poll(first.as_mut(), &woken[0]).is_pending());
        assert!(poll(second.as_mut(), &woken[0]).is_pending());
        // Another task waits for it now.
        assert!(poll(second.as_mut(), &woken[1]).is_pending());
        evaluations.cut_off();
        let counts = woken
            .each_ref()
            .map(|woken| woken.0.load(Ordering::Relaxed));
        assert_eq!(counts, [1, 1, 0]);
        assert_eq!(poll(first, &woken[0]), Poll::Ready(None));
        assert_eq!(poll(second, &woken[1]), Poll::Ready(None));
        let mut later = evaluations.enter();
        let later = pin!(later.until_cut_off(pending::<()>()));
        assert_eq!(poll(later, &woken[2]), Poll::Ready(None));
        // What needs no wait has its result.
        let done = pin!(done.until_cut_off(ready(7)));
        assert_eq!(poll(done, &woken[2]), Poll::Ready(Some(7)));
    }

    #[test]
    fn ended_waits_for_the_last_one() {
        let evaluations = Arc::new(Evaluations::default());
        let woken = Arc::<Counting>::default();
        assert!(poll(pin!(evaluations.ended()), &woken).is_ready());
        let [first, second] = [(); 2].map(|()| evaluations.enter());
        let mut ended = pin!(evaluations.ended());
        assert!(poll(ended.as_mut(), &woken).is_pending());
        drop(first);
        assert!(poll(ended.as_mut(), &woken).is_pending());
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        drop(second);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        // A later one delays it.
        let third = evaluations.enter();
        assert!(poll(ended.as_mut(), &woken).is_pending());
        drop(third);
        assert!(poll(ended, &woken).is_ready());
    }

    /// The last reference to a task is the waker that an evaluation of another one keeps.
    #[test]
    fn a_waker_that_drops_an_evaluation_is_dropped_outside_the_lock() {
        struct Task(#[expect(dead_code, reason = "dropped")] InFlight);
        impl Wake for Task {
            fn wake(self: Arc<Self>) {}
        }
        let evaluations = Arc::new(Evaluations::default());
        let task = || Waker::from(Arc::new(Task(evaluations.enter())));
        let mut in_flight = evaluations.enter();
        {
            let mut waiting = pin!(in_flight.until_cut_off(pending::<()>()));
            for waker in [task(), task()] {
                let mut context = Context::from_waker(&waker);
                assert!(waiting.as_mut().poll(&mut context).is_pending());
            }
        }
        drop(in_flight);
        assert!(evaluations.state().wakers.is_empty());
        let in_flight = evaluations.enter();
        let waker = task();
        assert!(
            in_flight
                .poll_cut_off(&Context::from_waker(&waker))
                .is_pending()
        );
        drop(waker);
        evaluations.cut_off();
        drop(in_flight);
        assert!(evaluations.state().wakers.is_empty());
    }
}
