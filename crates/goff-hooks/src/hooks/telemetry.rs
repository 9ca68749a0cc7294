//! Telemetry as an OpenFeature hook.

use std::borrow::Cow;

use goff_core::__internal::{GoFeatureFlagAttribute, value_to_json};
use goff_core::{ErrorCode, NULL_VALUE, Outcome, Reason, Resolution, is_disabled};
use open_feature::{
    EvaluationContext, EvaluationDetails, EvaluationError, EvaluationErrorCode, EvaluationReason,
    FlagMetadata, FlagMetadataValue, HookContext, Value,
};

use super::sync_hook::{Stage, SyncHook, complete, implement_hook};
use crate::telemetry::{
    Evaluated, EvaluationTelemetry, FLAG_SET_ID, Failure, TelemetryOptions, VERSION,
};

/// Emits an event for each evaluation of any OpenFeature provider, and with the feature
/// `opentelemetry` counts them (docs/operating/telemetry.md).
///
/// The event `feature_flag.evaluation` is a `tracing` event of level INFO and target `feature_flag`,
/// which opentelemetry-appender-tracing makes a log record and tracing-opentelemetry an event of
/// the current span. Filter the target where a console does not need it.
///
/// The version and the flag set are those of the flag metadata `version` and `flagSetId`; with
/// goff-provider the version is always there. A disabled flag and a null value are no errors.
///
/// Register it before other hooks, on the API or the client: a hook whose `before` fails keeps later
/// ones from counting the beginning of an evaluation, but not its end. An evaluation whose future is
/// dropped never ends for a hook, and stays counted as active. The native API's
/// option `telemetry` has neither limit.
///
/// ```
/// use goff_hooks::{TelemetryHook, TelemetryOptions};
/// use open_feature::OpenFeature;
///
/// let hook = TelemetryHook::new(&TelemetryOptions::new().context_id(true));
/// let client = OpenFeature::default().create_client().with_hook(hook);
/// ```
#[derive(Debug)]
pub struct TelemetryHook {
    telemetry: EvaluationTelemetry,
}

impl TelemetryHook {
    /// Creates the hook, and with the feature `opentelemetry` the instruments of its metrics.
    #[must_use]
    pub fn new(options: &TelemetryOptions) -> Self {
        Self {
            telemetry: EvaluationTelemetry::new(options),
        }
    }
}

impl SyncHook for TelemetryHook {
    fn before(&self, context: &HookContext<'_>) -> Option<EvaluationContext> {
        self.telemetry
            .began(context.flag_key, &context.provider_metadata.name);
        None
    }

    /// A value with the reason ERROR: in `finally` it would look as if `error` ran. Emitted twice if
    /// another hook's `after` fails too.
    fn after(&self, context: &HookContext<'_>, details: &EvaluationDetails<Value>) {
        if details.reason == Some(EvaluationReason::Error) {
            self.resolved(context, details);
        }
    }

    fn error(&self, context: &HookContext<'_>, error: &EvaluationError) {
        let outcome = outcome(context);
        let resolution = outcome.as_ref().and_then(Outcome::resolution);
        let resolution = resolution.map(|resolution| &**resolution);
        let is_failure = !is_disabled(error) && !is_null(error);
        let reason = match resolution {
            _ if is_failure => Reason::Error,
            _ if is_disabled(error) => Reason::Disabled,
            Some(resolution) => resolution.reason.clone(),
            None => Reason::Default,
        };
        let evaluated = Evaluated {
            variant: resolution
                .filter(|_| !is_failure)
                .and_then(|resolution| resolution.variant.as_deref()),
            failure: is_failure.then(|| failure(error, outcome.as_ref())),
            version: version(None, resolution),
            set_id: set_id(None, resolution),
            ..evaluated(context, Cow::Owned(reason))
        };
        self.telemetry.evaluated(&evaluated, || None);
    }

    /// Here and not in `after`, which is followed by `error` where another hook's `after` fails.
    fn finally(&self, context: &HookContext<'_>, details: &EvaluationDetails<Value>) {
        let provider = &context.provider_metadata.name;
        self.telemetry.finished(context.flag_key, provider);
        // `error` ran, or `after` for a value with this reason.
        if details.reason != Some(EvaluationReason::Error) {
            self.resolved(context, details);
        }
    }
}

impl TelemetryHook {
    fn resolved(&self, context: &HookContext<'_>, details: &EvaluationDetails<Value>) {
        let outcome = outcome(context);
        let resolution = outcome.as_ref().and_then(Outcome::resolution);
        let resolution = resolution.map(|resolution| &**resolution);
        let metadata = Some(&details.flag_metadata);
        let reason = details.reason.as_ref().map_or(Reason::Unknown, reason);
        let evaluated = Evaluated {
            variant: details.variant.as_deref(),
            version: version(metadata, resolution),
            set_id: set_id(metadata, resolution),
            ..evaluated(context, Cow::Owned(reason))
        };
        self.telemetry
            .evaluated(&evaluated, || value_to_json(&details.value).ok());
    }
}

implement_hook!(TelemetryHook);

fn evaluated<'a>(context: &'a HookContext<'_>, reason: Cow<'a, Reason>) -> Evaluated<'a> {
    Evaluated {
        flag_key: context.flag_key,
        provider: &context.provider_metadata.name,
        reason,
        context_id: context.evaluation_context.targeting_key.as_deref(),
        variant: None,
        failure: None,
        version: None,
        set_id: None,
    }
}

/// What goff-provider left in the context.
fn outcome(context: &HookContext<'_>) -> Option<Outcome> {
    let attribute = GoFeatureFlagAttribute::find(context.evaluation_context)?;
    attribute.slot().outcome()
}

fn failure<'a>(error: &'a EvaluationError, outcome: Option<&'a Outcome>) -> Failure<'a> {
    let of_outcome = outcome.and_then(|outcome| outcome.result.as_ref().err());
    match of_outcome {
        // Not that of another hook.
        Some(known) if EvaluationError::from(&**known) == *error => {
            Failure::Known(Cow::Borrowed(known))
        }
        _ => Failure::Unknown(error_code(&error.code), error.message.as_deref()),
    }
}

fn version<'a>(
    metadata: Option<&FlagMetadata>,
    resolution: Option<&'a Resolution>,
) -> Option<Cow<'a, str>> {
    let of_resolution = || resolution?.version.as_deref().map(Cow::Borrowed);
    metadata_text(metadata, VERSION).or_else(of_resolution)
}

fn set_id<'a>(
    metadata: Option<&FlagMetadata>,
    resolution: Option<&'a Resolution>,
) -> Option<Cow<'a, str>> {
    let of_resolution = || Some(resolution?.metadata.get(FLAG_SET_ID)?.as_str()?.into());
    metadata_text(metadata, FLAG_SET_ID).or_else(of_resolution)
}

fn metadata_text<'a>(metadata: Option<&FlagMetadata>, name: &str) -> Option<Cow<'a, str>> {
    Some(Cow::Owned(match metadata?.values.get(name)? {
        FlagMetadataValue::String(text) => text.clone(),
        FlagMetadataValue::Int(number) => number.to_string(),
        FlagMetadataValue::Float(number) => number.to_string(),
        FlagMetadataValue::Bool(_) => return None,
    }))
}

fn is_null(error: &EvaluationError) -> bool {
    matches!(&error.code, EvaluationErrorCode::General(code) if code == NULL_VALUE)
}

fn reason(reason: &EvaluationReason) -> Reason {
    Reason::from(match reason {
        EvaluationReason::Static => "STATIC",
        EvaluationReason::Default => "DEFAULT",
        EvaluationReason::TargetingMatch => "TARGETING_MATCH",
        EvaluationReason::Split => "SPLIT",
        EvaluationReason::Cached => "CACHED",
        EvaluationReason::Disabled => "DISABLED",
        EvaluationReason::Error => "ERROR",
        EvaluationReason::Unknown => "UNKNOWN",
        EvaluationReason::Other(reason) => reason,
    })
}

/// The text of a provider's `General` that is no code is left out: it may be a message.
fn error_code(code: &EvaluationErrorCode) -> ErrorCode {
    match code {
        EvaluationErrorCode::ProviderNotReady => ErrorCode::ProviderNotReady,
        EvaluationErrorCode::FlagNotFound => ErrorCode::FlagNotFound,
        EvaluationErrorCode::ParseError => ErrorCode::ParseError,
        EvaluationErrorCode::TypeMismatch => ErrorCode::TypeMismatch,
        EvaluationErrorCode::TargetingKeyMissing => ErrorCode::TargetingKeyMissing,
        EvaluationErrorCode::InvalidContext => ErrorCode::InvalidContext,
        EvaluationErrorCode::General(code) => ErrorCode::from(code.as_str()),
    }
}
