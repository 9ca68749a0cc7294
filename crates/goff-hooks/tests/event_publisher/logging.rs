//! What the publisher logs.

use crate::fixture::*;

/// docs/python-parity.md B16, C17; GOFF-ERR-006: one warning when an outage begins, one summary
/// when it is over.
#[tokio::test(start_paused = true)]
async fn outage_is_logged_once_at_either_end() {
    let (log, _guard) = Log::capture();
    let (relay, publisher) = running(small());
    relay.set_collector_failure(refusal(502));
    for id in 0..10 {
        record(&publisher, id..id + 1);
        pass(MINUTE).await;
    }
    log.assert_count("WARN", 1);
    log.assert_count("WARN usage data not delivered", 1);
    log.assert_count("502", 1);
    relay.set_collector_failure(None);
    pass(2 * INTERVAL).await;
    log.assert_count("WARN", 2);
    let recovered = "WARN usage data delivery recovered delivered=8 dropped=2";
    log.assert_count(recovered, 1);
    // The next outage is a new one; nothing is lost in it.
    relay.set_collector_failure(refusal(503));
    record(&publisher, 0..1);
    pass(INTERVAL).await;
    relay.set_collector_failure(None);
    pass(INTERVAL).await;
    log.assert_count("WARN", 3);
    let recovered = "INFO usage data delivery recovered delivered=1 dropped=0";
    log.assert_count(recovered, 1);
}

/// Also without an outage: events that arrive faster than they are delivered.
#[tokio::test(start_paused = true)]
async fn loss_under_load_is_logged_once_at_either_end() {
    let (log, _guard) = Log::capture();
    let (relay, publisher) = running(small());
    relay.set_collector_delay(Some(SECOND));
    for _ in 0..10 {
        record(&publisher, 0..20);
        pass(SECOND).await;
    }
    log.assert_count("WARN", 1);
    log.assert_count("WARN usage data dropped: events arrive faster", 1);
    pass(10 * SECOND).await;
    record(&publisher, 0..4);
    pass(10 * SECOND).await;
    log.assert_count("WARN", 2);
    log.assert_count("WARN usage data delivery recovered", 1);
    counts(&publisher.flush(MINUTE).await);
}

/// GOFF-ERR-006.
#[tokio::test(start_paused = true)]
async fn shutdown_logs_what_is_not_delivered() {
    let (log, _guard) = Log::capture();
    let (relay, publisher) = running(options());
    record(&publisher, 0..1);
    publisher.shutdown(SECOND).await;
    log.assert_count("WARN", 0);
    relay.set_collector_failure(refusal(503));
    publisher.start().unwrap();
    record(&publisher, 0..2);
    publisher.shutdown(SECOND).await;
    let shut_down = "WARN event publisher shut down before all usage data was delivered \
                     delivered=1 dropped=0 pending=2";
    log.assert_count(shut_down, 1);
}

/// The option `debug`: deliveries at INFO.
#[tokio::test(start_paused = true)]
async fn deliveries_are_logged_at_debug_or_info() {
    let (log, _guard) = Log::capture();
    for debug in [false, true] {
        let (_, publisher) = running(options().debug(debug));
        record(&publisher, 0..2);
        publisher.flush(SECOND).await;
    }
    log.assert_count("DEBUG usage data delivered delivered=2", 1);
    log.assert_count("INFO usage data delivered delivered=2", 1);
}

/// A user's text may be refused again and again; that is one warning.
#[tokio::test(start_paused = true)]
async fn rejected_event_is_logged_once() {
    let (log, _guard) = Log::capture();
    let (relay, publisher) = running(options());
    for id in 0..3 {
        relay.set_collector_failure(refusal(422));
        record(&publisher, id..id + 1);
        pass(INTERVAL).await;
        assert_eq!(publisher.stats().rejected, id.cast_unsigned() + 1);
    }
    log.assert_count("WARN", 1);
    log.assert_count("WARN usage data refused for its content", 1);
    log.assert_count("DEBUG usage data refused for its content", 2);
    publisher.shutdown(SECOND).await;
    log.assert_count("delivered=0 dropped=0 pending=0 rejected=3", 1);
}
