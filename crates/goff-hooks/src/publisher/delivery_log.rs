//! The log lines about deliveries: one when an outage begins, one when it is over.

use goff_core::RelayError;
use tokio::time::Instant;

/// Remembers whether deliveries fail or events are dropped, so that each outage is logged once.
pub(super) struct DeliveryLog {
    /// Deliveries are logged at INFO instead of DEBUG.
    debug: bool,
    outage: Option<Outage>,
    /// The number of dropped events at the end of the last delivery.
    dropped: u64,
    is_rejection_logged: bool,
}

struct Outage {
    since: Instant,
    /// The number of events delivered since it began.
    delivered: u64,
    /// The number of dropped events when it began.
    dropped_before: u64,
}

impl DeliveryLog {
    pub(super) fn new(debug: bool, dropped: u64) -> Self {
        Self {
            debug,
            outage: None,
            dropped,
            is_rejection_logged: false,
        }
    }

    /// The data collector refuses some events for their content. Users may send such texts again and
    /// again, so only the first is a warning.
    pub(super) fn rejected(&mut self, error: &RelayError) {
        let error = error.without_server_texts();
        if std::mem::replace(&mut self.is_rejection_logged, true) {
            tracing::debug!(%error, "usage data refused for its content, event dropped");
        } else {
            tracing::warn!(
                %error,
                "usage data refused for its content, event dropped; \
                 later ones are only counted as `rejected`"
            );
        }
    }

    /// A batch failed after `delivered` events of the same delivery.
    pub(super) fn failed(
        &mut self,
        error: &RelayError,
        delivered: u64,
        pending: u64,
        dropped: u64,
    ) {
        match &mut self.outage {
            Some(outage) => outage.delivered += delivered,
            None => {
                let error = error.without_server_texts();
                tracing::warn!(pending, %error, "usage data not delivered, keeping it for the next attempt");
                self.outage = Some(Outage {
                    since: Instant::now(),
                    delivered: 0,
                    dropped_before: self.dropped,
                });
            }
        }
        self.dropped = dropped;
    }

    /// A delivery succeeded; `dropped_at_start` is the number of dropped events when it began.
    pub(super) fn succeeded(&mut self, delivered: u64, dropped_at_start: u64, dropped: u64) {
        if delivered == 0 {
            return;
        }
        if self.debug {
            tracing::info!(delivered, "usage data delivered");
        } else {
            tracing::debug!(delivered, "usage data delivered");
        }
        match &mut self.outage {
            Some(outage) => {
                outage.delivered += delivered;
                if dropped == dropped_at_start {
                    outage.log_end(dropped);
                    self.outage = None;
                }
            }
            None if dropped > self.dropped => {
                let dropped = dropped - self.dropped;
                tracing::warn!(
                    dropped,
                    "usage data dropped: events arrive faster than they are delivered"
                );
                self.outage = Some(Outage {
                    since: Instant::now(),
                    delivered,
                    dropped_before: self.dropped,
                });
            }
            None => {}
        }
        self.dropped = dropped;
    }
}

impl Outage {
    fn log_end(&self, dropped: u64) {
        let delivered = self.delivered;
        let dropped = dropped - self.dropped_before;
        let outage_ms = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        if dropped > 0 {
            tracing::warn!(
                delivered,
                dropped,
                outage_ms,
                "usage data delivery recovered"
            );
        } else {
            tracing::info!(
                delivered,
                dropped,
                outage_ms,
                "usage data delivery recovered"
            );
        }
    }
}
