//! A log in memory.

use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::NoSubscriber;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber};

/// A `tracing` subscriber that keeps its lines. Clones share them.
///
/// `tracing` caches for the whole process whether a line is enabled. While there is a single
/// subscriber, it decides by that of the thread that reaches the line first, which may have none; a
/// `RecordingLog` therefore registers others that are never used.
#[derive(Debug, Clone, Default)]
pub struct RecordingLog {
    targets: &'static str,
    lines: Arc<Mutex<Vec<LogLine>>>,
    panics: Arc<Mutex<(&'static str, usize)>>,
}

/// A line of a [`RecordingLog`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct LogLine {
    /// The level.
    pub level: Level,
    /// The target, usually a module's path.
    pub target: &'static str,
    /// `message field=value …`.
    pub text: String,
}

impl RecordingLog {
    /// A log of the targets that begin with `targets`, such as `goff`; of all targets if it is empty.
    #[must_use]
    pub fn of(targets: &'static str) -> Self {
        static UNUSED: OnceLock<[Dispatch; 2]> = OnceLock::new();
        UNUSED.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
        Self {
            targets,
            ..Self::default()
        }
    }

    /// The lines so far: each event as `message field=value …`, each span as `name field=value …`.
    #[must_use]
    pub fn lines(&self) -> Vec<(Level, String)> {
        let lines = self.targeted_lines().into_iter();
        lines.map(|line| (line.level, line.text)).collect()
    }

    /// The lines so far, with their targets. The values of a span that are recorded later have none.
    #[must_use]
    pub fn targeted_lines(&self) -> Vec<LogLine> {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.clone()
    }

    /// The lines of a level so far.
    #[must_use]
    pub fn at(&self, level: Level) -> Vec<String> {
        let lines = self.lines().into_iter();
        lines
            .filter_map(|(of, line)| (of == level).then_some(line))
            .collect()
    }

    /// Panics at the next events with this text, so often: as a fault in the subscriber of an
    /// application. The lines are kept too.
    pub fn panic_at(&self, text: &'static str, times: usize) {
        *self.panics.lock().unwrap_or_else(PoisonError::into_inner) = (text, times);
    }

    /// How many panics are still to come.
    #[must_use]
    pub fn panics_left(&self) -> usize {
        self.panics.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    fn panics_at(&self, message: &str) -> bool {
        let mut panics = self.panics.lock().unwrap_or_else(PoisonError::into_inner);
        let panics_now = panics.1 > 0 && message.contains(panics.0);
        panics.1 -= usize::from(panics_now);
        panics_now
    }

    fn add(&self, level: Level, target: &'static str, line: Line) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.push(LogLine {
            level,
            target,
            text: line.message + &line.fields,
        });
    }
}

impl Subscriber for RecordingLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with(self.targets)
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut line = Line::default();
        line.message.push_str(span.metadata().name());
        span.record(&mut line);
        self.add(*span.metadata().level(), span.metadata().target(), line);
        Id::from_u64(1)
    }

    fn event(&self, event: &Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        let panics = self.panics_at(&line.message);
        self.add(*event.metadata().level(), event.metadata().target(), line);
        assert!(!panics, "on purpose");
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut line = Line::default();
        values.record(&mut line);
        self.add(Level::TRACE, "", line);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_kept_though_a_thread_without_a_log_reached_it_first() {
        let log = RecordingLog::of("goff_testkit");
        let _guard = tracing::subscriber::set_default(log.clone());
        let say = || tracing::info!("said");
        std::thread::spawn(say).join().unwrap();
        say();
        assert_eq!(log.at(Level::INFO), ["said"]);
    }
}
