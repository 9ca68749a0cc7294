//! What a process says, in one text.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::{Mutex, PoisonError};

static CAPTURED: Mutex<String> = Mutex::new(String::new());

pub(crate) fn capture(text: &str) {
    let mut captured = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner);
    captured.push_str(text);
    captured.push('\n');
}

/// What was captured so far.
pub(crate) fn captured() -> String {
    let captured = CAPTURED.lock().unwrap_or_else(PoisonError::into_inner);
    captured.clone()
}

/// Captures what dependencies say through the crate `log`.
pub(crate) fn capture_log() {
    log::set_logger(&CaptureLog).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
}

struct CaptureLog;

impl log::Log for CaptureLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        capture(&format!("{} {}", record.target(), record.args()));
    }

    fn flush(&self) {}
}
