//! A panic as an error.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

/// A call that panicked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} panicked")]
pub struct Panicked(pub &'static str);

/// Writes a log line, or calls what does: a panic of the application's `tracing` subscriber must not
/// change what happened before.
pub fn logged(write: impl FnOnce()) {
    // The panic has been printed.
    let _ = catch_unwind(AssertUnwindSafe(write));
}

/// Runs a call into code of the application, or a task that must not end silently; `call` is pinned.
/// `what` names it in the error.
///
/// # Errors
/// The call panicked.
pub fn contained<T>(
    what: &'static str,
    mut call: impl Future<Output = T> + Unpin,
) -> impl Future<Output = Result<T, Panicked>> {
    poll_fn(move |context| {
        catch_unwind(AssertUnwindSafe(|| Pin::new(&mut call).poll(context)))
            .map_or(Poll::Ready(Err(Panicked(what))), |poll| poll.map(Ok))
    })
}
