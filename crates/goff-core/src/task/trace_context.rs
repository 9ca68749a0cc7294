//! The caller's OpenTelemetry context: where it goes with a request, and what is sent of it.

use std::future::Future;

#[cfg(feature = "opentelemetry")]
use opentelemetry::{Context, context::FutureExt, global, propagation::Injector};

/// A future that runs in another task with the caller's current OpenTelemetry context, which tasks
/// do not inherit. Without the feature `opentelemetry` it is the same future.
pub fn in_current_context<T>(
    future: impl Future<Output = T> + Send,
) -> impl Future<Output = T> + Send {
    #[cfg(feature = "opentelemetry")]
    return future.with_current_context();
    #[cfg(not(feature = "opentelemetry"))]
    future
}

/// The headers of the current OpenTelemetry context, such as `traceparent` and `baggage`, as the
/// application's global propagator writes them. None without the feature `opentelemetry`, or without
/// a propagator.
pub fn for_each_trace_header(visit: impl FnMut(&str, String)) {
    #[cfg(feature = "opentelemetry")]
    {
        struct Visitor<F>(F);

        impl<F: FnMut(&str, String)> Injector for Visitor<F> {
            fn set(&mut self, name: &str, value: String) {
                (self.0)(name, value);
            }
        }

        let mut visitor = Visitor(visit);
        Context::map_current(|context| {
            global::get_text_map_propagator(|propagator| {
                propagator.inject_context(context, &mut visitor);
            });
        });
    }
    #[cfg(not(feature = "opentelemetry"))]
    drop(visit);
}
