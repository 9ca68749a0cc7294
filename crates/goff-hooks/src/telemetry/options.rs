//! What to emit.

#[cfg(feature = "opentelemetry")]
use opentelemetry::metrics::Meter;

/// What is emitted of evaluations, by a [`TelemetryHook`](crate::TelemetryHook) or a client. By
/// default nothing that identifies a person.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct TelemetryOptions {
    pub(super) context_id: bool,
    pub(super) result_value: bool,
    #[cfg(feature = "opentelemetry")]
    meter: Option<Meter>,
    #[cfg(feature = "opentelemetry")]
    client_name: Option<String>,
}

impl TelemetryOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `feature_flag.context.id` to events: the targeting key, which is personal data where it
    /// identifies a person. Default: `false`.
    pub fn context_id(mut self, add: bool) -> Self {
        self.context_id = add;
        self
    }

    /// Adds `feature_flag.result.value` to events, and to error messages what may quote the value or
    /// the evaluation context: the texts of the relay proxy or of another provider, and the message
    /// of a type mismatch. Values can be large, and personal data. Default: `false`.
    pub fn result_value(mut self, add: bool) -> Self {
        self.result_value = add;
        self
    }

    /// The meter of the metrics. Default: the meter `goff` of the global provider, as it is when
    /// the hook or client is created.
    #[cfg(feature = "opentelemetry")]
    pub fn meter(mut self, meter: Meter) -> Self {
        self.meter = Some(meter);
        self
    }

    /// The attribute `goff.client.name` of a client's metrics, which distinguishes two clients of one
    /// process apart. A hook has no use for it. Default: no such attribute.
    #[cfg(feature = "opentelemetry")]
    pub fn client_name(mut self, name: impl Into<String>) -> Self {
        self.client_name = Some(name.into());
        self
    }

    /// The meter of the metrics.
    #[cfg(feature = "opentelemetry")]
    #[doc(hidden)]
    #[must_use]
    pub fn meter_or_default(&self) -> Meter {
        let meter = self.meter.clone();
        meter.unwrap_or_else(|| opentelemetry::global::meter("goff"))
    }

    /// The attribute of a client's metrics.
    #[cfg(feature = "opentelemetry")]
    #[doc(hidden)]
    #[must_use]
    pub fn client_attribute(&self) -> Option<opentelemetry::KeyValue> {
        let name = self.client_name.clone()?;
        Some(opentelemetry::KeyValue::new("goff.client.name", name))
    }
}
