//! The events that a relay proxy's exporters have written.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use goff_testkit::{CollectedKind, EmbeddedRelay};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::embedded::EXPORTING_FLAG_SET;

/// The events of one kind, in order, about 100 ms after they arrived at a process.
#[derive(Clone, Debug)]
pub struct RecordedEvents(Place);

#[derive(Clone, Debug)]
enum Place {
    File(PathBuf),
    Memory(Arc<EmbeddedRelay>, CollectedKind),
}

impl RecordedEvents {
    /// A file with one event a line.
    pub(crate) fn in_file(path: PathBuf) -> Self {
        Self(Place::File(path))
    }

    /// The events that an embedded relay proxy has collected.
    pub(crate) fn in_memory(relay: Arc<EmbeddedRelay>, kind: CollectedKind) -> Self {
        Self(Place::Memory(relay, kind))
    }

    /// The events so far.
    pub fn read(&self) -> Vec<Value> {
        match &self.0 {
            Place::File(path) => {
                let text = fs::read_to_string(path).unwrap_or_default();
                // The last line may be incomplete.
                let complete = text.rsplit_once('\n').map_or("", |(complete, _)| complete);
                complete
                    .lines()
                    .filter_map(|line| serde_json::from_str(line).ok())
                    .collect()
            }
            Place::Memory(relay, kind) => {
                let exported = relay.events().into_iter().filter(|event| {
                    let flag_set = event.flag_set.as_deref();
                    event.kind == *kind && flag_set.is_none_or(|name| name == EXPORTING_FLAG_SET)
                });
                exported.map(|event| event.json).collect()
            }
        }
    }

    /// The events of one user, once there are `count` or ten seconds have passed.
    pub async fn of_user(&self, user_key: &str, count: usize) -> Vec<Value> {
        self.wait_for(count, |event| event["userKey"] == user_key)
            .await
    }

    /// The `wanted` events, once there are `count` or ten seconds have passed.
    pub async fn wait_for(&self, count: usize, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let give_up = Instant::now() + Duration::from_secs(10);
        loop {
            let mut events = self.read();
            events.retain(|event| wanted(event));
            if events.len() >= count || Instant::now() > give_up {
                return events;
            }
            // Another process writes the file, so there is nothing else to wait for.
            sleep(Duration::from_millis(20)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_line_is_read_once_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("events");
        let events = RecordedEvents::in_file(path.clone());
        assert!(events.read().is_empty());
        fs::write(&path, "{\"userKey\":\"a\"}\n{\"userKey\":\"b\"}\n{\"userK").unwrap();
        assert_eq!(events.read().len(), 2);
        assert_eq!(
            events.of_user("b", 1).await,
            [serde_json::json!({"userKey": "b"})]
        );
    }
}
