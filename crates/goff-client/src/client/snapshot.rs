//! Flags that stay the same during a request of the application.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use goff_core::{ContextView, FlagType, Origin, ResolutionError};
#[cfg(feature = "in-process")]
use goff_core::{ErrorCode, EvaluationFailure, RelayError, Resolution};
#[cfg(feature = "in-process")]
use goff_engine::{Explanation, Timestamp};
#[cfg(feature = "in-process")]
use goff_hooks::EnrichedContext;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

#[cfg(feature = "in-process")]
use crate::client::panicked::{BULK, caught_call};
use crate::details::{
    BorrowedOutcome, EvaluationDetails, EvaluationDetailsRef, ProjectRef, Recorder, TypedRequest,
};
#[cfg(feature = "in-process")]
use crate::in_process::{compiled_configuration::CompiledConfiguration, now};
use crate::remote::prefetched::Prefetched;

/// The flags at one moment, for everything that one request of the application evaluates: no flag
/// changes in the middle of it. Evaluations run on the calling thread, do not wait, and record usage
/// data as always.
///
/// | from | what it holds | for |
/// |---|---|---|
/// | [`GoFeatureFlag::snapshot`](crate::GoFeatureFlag::snapshot), [`LocalFlags::snapshot`](crate::LocalFlags::snapshot) | one flag configuration, and the time for rollouts with dates | any context |
/// | [`GoFeatureFlag::prefetch`](crate::GoFeatureFlag::prefetch), remote evaluation | the relay proxy's answers to one request | the context of that request; another is `INVALID_CONTEXT` |
///
/// `prefetch` works in both modes, so code that uses it need not know the mode.
///
/// ```
/// # use std::sync::Arc;
/// use goff_client::{EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions};
/// # use goff_testkit::ScriptedRelay;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let relay = ScriptedRelay::new().with_value("new-checkout", true).with_value("theme", "dark");
/// # let options = GoFeatureFlagOptions::with_relay_client(Arc::new(relay));
/// # let goff = GoFeatureFlag::connect(options).await?;
/// // Once for each request that the application serves.
/// let user = EvaluationContext::builder().targeting_key("user-1").build();
/// let flags = goff.prefetch(&user).await;
///
/// // As often as needed, without `await`, and always with the same flags.
/// assert!(flags.evaluate("new-checkout", &user, false).value);
/// let theme: &str = flags.evaluate_as("theme", &user, "light").value;
/// assert_eq!(theme, "dark");
/// # Ok(())
/// # }
/// ```
///
/// # What it costs
///
/// Taking a snapshot of in-process evaluation counts two references. An evaluation through it counts
/// none, unless it is recorded: the details borrow from the snapshot
/// ([`into_owned`](EvaluationDetails::into_owned) copies them). A snapshot keeps its flags in memory,
/// however old they are, and its client running; a blocking client is shut down with its last handle
/// nonetheless. So keep it for a request, not longer; its [`age`](Self::age) is known.
///
/// The client frees replaced flags within about a second after the last snapshot of them is gone. With
/// flag files, or if more than four replaced configurations are in use, the drop of the last snapshot
/// frees them, which takes milliseconds for 100,000 flags.
///
/// # Differences from an evaluation through the client
///
/// * In process there is no fallback to the relay proxy, as with
///   [`LocalFlags`](crate::LocalFlags).
/// * What a `currentDateTime` in the context says wins over the time of the snapshot, as always.
/// * The relay proxy does not record a prefetch. Each evaluation that is read from one is recorded
///   here as a cached one, and what is not read is not recorded. Its event has no version, and
///   where `remote_protocol` is `Ofrep`, `trackEvents` of the flag is not known, so it is recorded.
/// * Reasons of a prefetch are those of the relay proxy, not `CACHED`.
/// * The relay proxy's bulk endpoint has no value for a flag whose value is null or an integer beyond
///   `i64`: such a flag is `TYPE_MISMATCH`. It does have flags whose keys no URL can hold.
/// * A `gofeatureflag.flagList` in the context restricts a prefetch. A flag that it does not name is
///   `GENERAL`. With a list the relay proxy looks up each flag separately, so a change at that moment
///   can fall between two flags; without one it cannot.
/// * A snapshot still answers after the client's shutdown. Usage data is then dropped and counted as
///   such, so shut the client down after the last request.
/// * After [`set_api_key`](crate::GoFeatureFlag::set_api_key) a snapshot still has the flags of the key
///   before. Usage data of its evaluations is delivered with the new key, which may belong to another
///   flag set.
///
/// `Debug` shows no user.
#[derive(Clone)]
pub struct Snapshot {
    flags: Flags,
    recorder: Arc<dyn Recorder>,
    since: Instant,
}

#[derive(Clone)]
enum Flags {
    #[cfg(feature = "in-process")]
    Compiled(Arc<CompiledConfiguration>, Timestamp),
    Prefetched(Arc<Prefetched>),
    /// There are none.
    Missing(Box<ResolutionError>),
}

impl Snapshot {
    #[cfg(feature = "in-process")]
    pub(crate) fn compiled(
        compiled: Result<Arc<CompiledConfiguration>, ResolutionError>,
        recorder: Arc<dyn Recorder>,
    ) -> Self {
        let flags = match compiled {
            Ok(compiled) => Flags::Compiled(compiled, now()),
            Err(error) => Flags::Missing(Box::new(error)),
        };
        Self {
            flags,
            recorder,
            since: Instant::now(),
        }
    }

    /// `since` is when the request began.
    pub(crate) fn prefetched(
        prefetched: Result<Prefetched, ResolutionError>,
        recorder: Arc<dyn Recorder>,
        since: Instant,
    ) -> Self {
        let flags = match prefetched {
            Ok(prefetched) => Flags::Prefetched(Arc::new(prefetched)),
            Err(error) => Flags::Missing(Box::new(error)),
        };
        Self {
            flags,
            recorder,
            since,
        }
    }

    /// Evaluates a flag, like [`GoFeatureFlag::evaluate`](crate::GoFeatureFlag::evaluate), without
    /// waiting.
    pub fn evaluate<T: FlagType>(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetailsRef<'_, T> {
        self.evaluate_as_requested(TypedRequest::typed(flag_key, context, default))
    }

    /// Evaluates a flag as your own type, like
    /// [`GoFeatureFlag::evaluate_as`](crate::GoFeatureFlag::evaluate_as), without waiting. The type
    /// may borrow from the snapshot: as a `&str`, a text is not copied.
    pub fn evaluate_as<'s, T: Deserialize<'s>>(
        &'s self,
        flag_key: &str,
        context: &dyn ContextView,
        default: T,
    ) -> EvaluationDetailsRef<'s, T> {
        self.evaluate_as_requested(TypedRequest::borrowed(flag_key, context, default))
    }

    /// Evaluates every flag, or those that the context's `gofeatureflag.flagList` names. Disabled and
    /// failed flags have the value null. Usage data is not recorded.
    ///
    /// # Errors
    /// The snapshot has no flags ([`error`](Self::error)), is for another context, or the context
    /// panicked.
    pub fn evaluate_all(
        &self,
        context: &dyn ContextView,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        match &self.flags {
            #[cfg(feature = "in-process")]
            Flags::Compiled(compiled, now) => caught_call(BULK, || {
                compiled.evaluate_all(&self.enriched(context), *now)
            }),
            Flags::Prefetched(prefetched) => prefetched.read_all(context),
            Flags::Missing(error) => Err(ResolutionError::clone(error)),
        }
    }

    /// Says why a flag has its value for a context, like
    /// [`GoFeatureFlag::explain`](crate::GoFeatureFlag::explain). Nothing is recorded as usage data.
    ///
    /// # Errors
    /// The snapshot has no flags ([`error`](Self::error)), or it was prefetched: the relay proxy's
    /// answers have no rules.
    #[cfg(feature = "in-process")]
    pub fn explain(
        &self,
        flag_key: &str,
        context: &dyn ContextView,
    ) -> Result<Explanation, ResolutionError> {
        match &self.flags {
            Flags::Compiled(compiled, now) => {
                Ok(compiled.explain(flag_key, &self.enriched(context), *now))
            }
            Flags::Prefetched(_) => {
                let details =
                    "a prefetched snapshot has no rules to explain; call `explain` of the client";
                let failure =
                    EvaluationFailure::new(ErrorCode::General, details, Resolution::default());
                Err(RelayError::Evaluation(failure).into())
            }
            Flags::Missing(error) => Err(ResolutionError::clone(error)),
        }
    }

    /// How long ago the flags were the current ones: since the snapshot was taken, or since the
    /// request of the prefetch began. In process, the configuration may have been loaded long before;
    /// see [`Stats::last_confirmed_at`](crate::Stats::last_confirmed_at).
    #[must_use]
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Why the snapshot has no flags, so that each evaluation gives its default and this error: the
    /// client was not ready, or the request of the prefetch failed.
    #[must_use]
    pub fn error(&self) -> Option<&ResolutionError> {
        match &self.flags {
            Flags::Missing(error) => Some(error),
            _ => None,
        }
    }

    fn evaluate_as_requested<'s, T>(
        &'s self,
        request: TypedRequest<'_, T, ProjectRef<'s, T>>,
    ) -> EvaluationDetailsRef<'s, T> {
        let (flag_key, context) = (request.flag_key, request.context);
        let recording = self.recorder.recording();
        request.evaluate(recording, || match &self.flags {
            #[cfg(feature = "in-process")]
            Flags::Compiled(compiled, now) => {
                let enriched = EnrichedContext::new(context, recording.exporter_metadata);
                compiled.evaluate(flag_key, &enriched, *now).outcome
            }
            Flags::Prefetched(prefetched) => prefetched.read(flag_key, context),
            Flags::Missing(error) => {
                BorrowedOutcome::failed(flag_key, (**error).clone(), Origin::NotEvaluated)
            }
        })
    }

    #[cfg(feature = "in-process")]
    fn enriched<'a>(&'a self, context: &'a dyn ContextView) -> EnrichedContext<'a> {
        EnrichedContext::new(context, self.recorder.recording().exporter_metadata)
    }
}

impl fmt::Debug for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Snapshot");
        match &self.flags {
            #[cfg(feature = "in-process")]
            Flags::Compiled(compiled, _) => debug.field("flags", &compiled.len()),
            Flags::Prefetched(prefetched) => debug.field("flags", &prefetched.len()),
            Flags::Missing(error) => debug.field("error", error),
        };
        debug.field("age", &self.age()).finish_non_exhaustive()
    }
}

#[cfg(all(test, feature = "in-process"))]
mod tests {
    use goff_core::__internal::FlagKeyRef;
    use goff_core::{EvaluationContext, EvaluationType, ExporterMetadata};

    use super::*;
    use crate::details::Recording;

    struct NotRecorded(ExporterMetadata);

    impl Recorder for NotRecorded {
        fn recording(&self) -> Recording<'_> {
            Recording {
                sink: None,
                telemetry: None,
                exporter_metadata: &self.0,
                evaluation_type: EvaluationType::InProcess,
            }
        }
    }

    #[test]
    fn evaluation_counts_no_reference() {
        let text = r#"{"flag": {"variations": {"a": 1}, "defaultRule": {"variation": "a"}}}"#;
        let compiled = Arc::new(CompiledConfiguration::of_text(text).unwrap());
        let recorder = Arc::new(NotRecorded(ExporterMetadata::default()));
        let snapshot = Snapshot::compiled(Ok(compiled), recorder);
        let context = EvaluationContext::default();
        let held = [(); 3].map(|()| snapshot.evaluate("flag", &context, 0_i64));
        let Flags::Compiled(compiled, now) = &snapshot.flags else {
            panic!("{snapshot:?}");
        };
        let outcome = compiled.evaluate("flag", &context, *now).outcome;
        assert_eq!(Arc::strong_count(outcome.result.unwrap()), 1);
        let FlagKeyRef::Shared(flag_key) = outcome.flag_key else {
            panic!("a copy");
        };
        assert_eq!(Arc::strong_count(flag_key), 1);
        assert_eq!(Arc::strong_count(compiled), 1);
        assert_eq!(held.map(|details| details.value), [1; 3]);
    }

    #[test]
    fn snapshot_can_be_an_extension_of_a_request() {
        fn check<T: Clone + Send + Sync + 'static>() {}
        check::<Snapshot>();
    }
}
