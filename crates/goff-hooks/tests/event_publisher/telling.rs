//! What the publisher logs of an outage and of its deliveries.

use crate::*;

/// One warning when an outage begins, one summary when it is over (Python B16, C17).
/// GOFF-ERR-006.
#[tokio::test(start_paused = true)]
async fn outage_is_told_once_at_either_end() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, small());
    relay.set_collector_failure(refusal(400));
    for id in 0..10 {
        record(&publisher, id..id + 1);
        pass(MINUTE).await;
    }
    assert_eq!(log.count("WARN"), 1);
    assert_eq!(log.count("WARN usage data were not delivered"), 1);
    assert_eq!(log.count("400"), 1);
    relay.set_collector_failure(None);
    pass(MINUTE).await;
    pass(MINUTE).await;
    assert_eq!(log.count("WARN"), 2);
    assert_eq!(
        log.count("WARN usage data are delivered again delivered=8 dropped=2"),
        1
    );
    // The next outage is another one; nothing was lost in it.
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..1);
    pass(MINUTE).await;
    relay.set_collector_failure(None);
    pass(MINUTE).await;
    assert_eq!(log.count("WARN"), 3);
    assert_eq!(
        log.count("INFO usage data are delivered again delivered=1 dropped=0"),
        1
    );
}

/// Without an outage too: events that come faster than they are taken.
#[tokio::test(start_paused = true)]
async fn loss_under_load_is_told_once_at_either_end() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    relay.set_collector_delay(Some(SECOND));
    let publisher = started(&relay, small());
    for _ in 0..10 {
        record(&publisher, 0..20);
        pass(SECOND).await;
    }
    assert_eq!(log.count("WARN"), 1);
    assert_eq!(
        log.count("WARN usage data are dropped: they come faster"),
        1
    );
    pass(10 * SECOND).await;
    record(&publisher, 0..4);
    pass(10 * SECOND).await;
    assert_eq!(log.count("WARN"), 2);
    assert_eq!(log.count("WARN usage data are delivered again"), 1);
    counts(&publisher.flush(MINUTE).await);
}

/// GOFF-ERR-006.
#[tokio::test(start_paused = true)]
async fn shutdown_tells_what_is_lost() {
    let (log, _guard) = Log::capture();
    let relay = ScriptedRelay::new();
    let publisher = started(&relay, options());
    record(&publisher, 0..1);
    publisher.shutdown(SECOND).await;
    assert_eq!(log.count("WARN"), 0);
    relay.set_collector_failure(refusal(503));
    publisher.start().unwrap();
    record(&publisher, 0..2);
    publisher.shutdown(SECOND).await;
    assert_eq!(
        log.count("WARN usage data were not all delivered by the time of shutdown delivered=1 dropped=0 buffered=2"),
        1
    );
}

/// The option `debug`: deliveries at INFO.
#[tokio::test(start_paused = true)]
async fn deliveries_are_logged_at_debug_or_info() {
    let (log, _guard) = Log::capture();
    for debug in [false, true] {
        let publisher = started(&ScriptedRelay::new(), options().debug(debug));
        record(&publisher, 0..2);
        publisher.flush(SECOND).await;
    }
    assert_eq!(log.count("DEBUG usage data delivered delivered=2"), 1);
    assert_eq!(log.count("INFO usage data delivered delivered=2"), 1);
}

/// What this thread logs: level, message, other fields.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    pub(crate) fn capture() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let guard = tracing::subscriber::set_default(log.clone());
        (log, guard)
    }

    /// How many lines hold `text`.
    pub(crate) fn count(&self, text: &str) -> usize {
        let lines = self.0.lock().unwrap();
        lines.iter().filter(|line| line.contains(text)).count()
    }
}

impl tracing::Subscriber for Log {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target().starts_with("goff_hooks")
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        struct Line(String, String);
        impl tracing::field::Visit for Line {
            fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn Debug) {
                if field.name() == "message" {
                    write!(self.0, " {value:?}").unwrap();
                } else {
                    write!(self.1, " {field}={value:?}").unwrap();
                }
            }
        }
        let mut line = Line(event.metadata().level().to_string(), String::new());
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0 + &line.1);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}
