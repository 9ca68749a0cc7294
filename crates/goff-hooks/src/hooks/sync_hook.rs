//! What a hook hands back to the SDK where it has nothing to wait for.
//!
//! The SDK calls eight methods of two hooks for each evaluation and wants a boxed future from each.
//! A box around nothing takes no memory, which the ones that `async_trait` makes do; so the hooks
//! spell the signatures out that it would write.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll};

use open_feature::{EvaluationContext, EvaluationError};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What `before` gives.
pub(crate) type Before<'a> = Boxed<'a, Result<Option<EvaluationContext>, EvaluationError>>;
/// What `after` gives.
pub(crate) type After<'a> = Boxed<'a, Result<(), EvaluationError>>;
/// What `error` and `finally` give.
pub(crate) type Ends<'a> = Boxed<'a, ()>;

/// A stage that has nothing to say, and is done. It has no size.
pub(crate) struct Done<T>(PhantomData<fn() -> T>);

/// Boxes a [`Done`], which allocates nothing.
pub(crate) fn done<'a, T: Nothing + 'a>() -> Boxed<'a, T> {
    Box::pin(Done(PhantomData))
}

impl<T: Nothing> Future for Done<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<T> {
        Poll::Ready(T::nothing())
    }
}

/// What a stage gives that has nothing to say.
pub(crate) trait Nothing {
    /// A function: a constant is copied with all of its unused bytes, for which the SDK, reading it
    /// in pieces of its own, has to wait.
    fn nothing() -> Self;
}

impl Nothing for () {
    fn nothing() -> Self {}
}

impl Nothing for Result<(), EvaluationError> {
    fn nothing() -> Self {
        Ok(())
    }
}

impl Nothing for Result<Option<EvaluationContext>, EvaluationError> {
    fn nothing() -> Self {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_takes_no_room_and_is_there_at_once() {
        assert_eq!(size_of::<Done<Result<(), EvaluationError>>>(), 0);
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut before: Before<'_> = done();
        assert!(matches!(
            before.as_mut().poll(&mut context),
            Poll::Ready(Ok(None))
        ));
        let mut after: After<'_> = done();
        assert!(matches!(
            after.as_mut().poll(&mut context),
            Poll::Ready(Ok(()))
        ));
        let mut ends: Ends<'_> = done();
        assert!(matches!(ends.as_mut().poll(&mut context), Poll::Ready(())));
    }
}
