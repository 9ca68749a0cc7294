//! The options of an event sink, and of which events are recorded.

use std::sync::Arc;
use std::time::Duration;

use goff_core::EventSink;
use goff_hooks::EventFilterOptions;

use crate::options::error::OptionsError;

/// `None` means that the option was not set.
#[derive(Clone, Default)]
pub(crate) struct EventOptions {
    pub(crate) sink: Option<Arc<dyn EventSink>>,
    pub(crate) sink_only: bool,
    pub(crate) sampling_rate: Option<f64>,
    pub(crate) deduplication_window: Option<Duration>,
}

impl EventOptions {
    pub(crate) fn check(&self, collects_nothing: bool) -> Result<EventFilterOptions, OptionsError> {
        let reason = "must be longer than zero; to record repetitions leave it unset";
        let window = self.deduplication_window;
        OptionsError::refuse_zero("event_deduplication_window", window, reason)?;
        let rate = self.sampling_rate.unwrap_or(1.0);
        if !(rate > 0.0 && rate <= 1.0) {
            return Err(OptionsError::new(
                "event_sampling_rate",
                "must be above 0 and at most 1; to collect nothing set `disable_data_collection`",
            ));
        }
        if self.sink_only && self.sink.is_none() {
            return Err(OptionsError::new(
                "event_sink_only",
                "needs an `event_sink`; to collect nothing set `disable_data_collection`",
            ));
        }
        if collects_nothing {
            let set = [("event_sink", self.sink.is_some())];
            OptionsError::refuse_set(&set, "disable_data_collection")?;
        }
        Ok(EventFilterOptions::default()
            .sampling_rate(rate)
            .deduplication_window(window))
    }

    /// Refuses options that have no effect without a receiver of usage data.
    #[cfg(feature = "in-process")]
    pub(crate) fn refuse_without_receiver(&self, constructor: &str) -> Result<(), OptionsError> {
        let window = self.deduplication_window.is_some();
        let set = [
            ("event_sampling_rate", self.sampling_rate.is_some()),
            ("event_deduplication_window", window),
        ];
        OptionsError::refuse_set(&set, constructor)
    }

    /// Shows no sink: its `Debug` text may show users.
    pub(crate) fn show(&self, debug: &mut std::fmt::DebugStruct<'_, '_>) {
        debug
            .field("event_sink", &self.sink.is_some())
            .field("event_sink_only", &self.sink_only)
            .field("event_sampling_rate", &self.sampling_rate.unwrap_or(1.0))
            .field("event_deduplication_window", &self.deduplication_window);
    }
}
