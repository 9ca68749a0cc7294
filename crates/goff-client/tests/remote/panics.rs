//! Panics in an application's relay client.
#![expect(clippy::panic, reason = "on purpose")]

use std::future::Future;
use std::pin::Pin;

use goff_client::{ContextView, Reason, RelayClient, Resolution};
use goff_core::{BulkEvaluation, EventBatch};
use pollster::block_on;

use super::*;

/// When a call panics.
#[derive(Debug, Clone, Copy)]
enum Panicking {
    Called,
    Polled,
    PolledAgain,
}

impl Panicking {
    /// What a call returns that panics.
    fn call<T>(self) -> impl Future<Output = T> {
        assert!(!matches!(self, Self::Called), "on purpose");
        async move {
            if let Self::PolledAgain = self {
                tokio::task::yield_now().await;
            }
            panic!("on purpose")
        }
    }
}

/// Panics but for the flag `good`.
#[async_trait::async_trait]
impl RelayClient for Panicking {
    // As `async_trait` writes it: the function itself can panic, too.
    fn evaluate<'life0, 'life1, 'life2, 'async_trait>(
        &'life0 self,
        flag_key: &'life1 str,
        _: &'life2 dyn ContextView,
    ) -> Pin<Box<dyn Future<Output = Result<Resolution, RelayError>> + Send + 'async_trait>>
    where
        'life0: 'async_trait,
        'life1: 'async_trait,
        'life2: 'async_trait,
        Self: 'async_trait,
    {
        if flag_key == "good" {
            return Box::pin(async { Ok(Resolution::new(7, Reason::Static)) });
        }
        Box::pin(self.call())
    }

    async fn evaluate_all(&self, _: &dyn ContextView) -> Result<BulkEvaluation, RelayError> {
        self.call().await
    }

    async fn collect(&self, _: &EventBatch) -> Result<(), RelayError> {
        self.call().await
    }
}

/// Calls of every kind. None panics, and the client goes on.
async fn call_everything(goff: &GoFeatureFlag) {
    let text = "the relay client panicked";
    for _ in 0..2 {
        let (one, other, third) = tokio::join!(
            evaluate(goff, 1_i64),
            evaluate(goff, 2_i64),
            evaluate(goff, 3_i64),
        );
        for (details, default) in [(one, 1), (other, 2), (third, 3)] {
            assert_eq!(
                (details.value, code(&details)),
                (default, ErrorCode::General)
            );
            let error = details.error().unwrap().to_string();
            assert!(error.contains(text), "{error}");
        }
        let error = goff.evaluate_all(&context()).await.unwrap_err().to_string();
        assert!(error.contains(text), "{error}");
        let prefetched = goff.prefetch(&context()).await;
        let error = prefetched.error().map(ToString::to_string);
        assert!(error.is_some_and(|error| error.contains(text)));
        let good = goff.evaluate("good", &context(), 0_i64).await;
        assert_eq!(good.value, 7, "{:?}", good.error());
    }
    goff.track("event", &context(), Map::new()).unwrap();
    let report = goff.flush(TIMEOUT).await;
    // Where an answer is shared, the relay proxy recorded one evaluation, and the others are events.
    assert!(report.pending >= 1);
    assert_eq!(report.delivered, 0);
}

#[test]
fn panic_of_the_relay_client_is_an_error_of_the_call() {
    for panicking in [Panicking::Called, Panicking::Polled, Panicking::PolledAgain] {
        for disable_cache in [false, true] {
            for runtime in both_runtimes() {
                let options = GoFeatureFlagOptions::with_relay_client(Arc::new(panicking));
                let goff = runtime.block_on(connect(options.disable_cache(disable_cache)));
                runtime.block_on(call_everything(&goff));
                assert_eq!(goff.stats().requests_in_flight, 0);
            }
            let runtime = multi_thread();
            let options = GoFeatureFlagOptions::with_relay_client(Arc::new(panicking));
            let goff = runtime.block_on(connect(options.disable_cache(disable_cache)));
            block_on(call_everything(&goff));
        }
    }
}
