//! Configurations that were replaced, until they are freed.

use std::future::pending;
use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::in_process::compiled_configuration::CompiledConfiguration;

/// Replaced configurations. Freeing a large one takes long, and is done where its last reference is
/// dropped: here, so that it delays no evaluation and no request that had a snapshot.
#[derive(Debug, Default)]
pub(crate) struct ReplacedConfigurations {
    new: Vec<Arc<CompiledConfiguration>>,
    /// The oldest first.
    read: Vec<Arc<CompiledConfiguration>>,
}

impl ReplacedConfigurations {
    pub(crate) fn add(&mut self, replaced: Arc<CompiledConfiguration>) {
        self.new.push(replaced);
    }

    /// Frees what nothing reads any more, and keeps the rest. Of many, the last readers of the oldest
    /// free them.
    pub(crate) async fn free(&mut self) {
        if self.new.is_empty() && self.read.iter().all(is_read) {
            return;
        }
        let (new, mut read) = (mem::take(&mut self.new), mem::take(&mut self.read));
        let freeing = move || {
            read.retain(is_read);
            read.extend(new.into_iter().filter_map(retire));
            let over = read.len().saturating_sub(MOST_READ);
            read.drain(..over);
            read
        };
        // An error means that the runtime is ending, or that freeing panicked.
        self.read = tokio::task::spawn_blocking(freeing)
            .await
            .unwrap_or_default();
    }

    /// Waits until [`free`](Self::free) is worth another try.
    pub(crate) async fn wait(&self) {
        match self.read.is_empty() {
            true => pending().await,
            false => tokio::time::sleep(AGAIN).await,
        }
    }
}

fn is_read(compiled: &Arc<CompiledConfiguration>) -> bool {
    Arc::strong_count(compiled) > 1
}

/// Frees a configuration. Gives it back if it is still read after 100 ms, as by a snapshot. Blocks.
pub(crate) fn retire(compiled: Arc<CompiledConfiguration>) -> Option<Arc<CompiledConfiguration>> {
    for _ in 0..100 {
        if !is_read(&compiled) {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
    Some(compiled)
}

/// A snapshot lives for a request, which is usually shorter.
const AGAIN: Duration = Duration::from_secs(1);
/// How many configurations are kept for the time between their last reader and the next try.
const MOST_READ: usize = 4;

#[cfg(test)]
mod tests {
    use std::sync::Weak;

    use super::*;

    fn compiled() -> (Arc<CompiledConfiguration>, Weak<CompiledConfiguration>) {
        let text = r#"{"flag": {"variations": {"a": 1}, "defaultRule": {"variation": "a"}}}"#;
        let compiled = Arc::new(CompiledConfiguration::of_text(text).unwrap());
        let weak = Arc::downgrade(&compiled);
        (compiled, weak)
    }

    #[tokio::test(start_paused = true)]
    async fn configuration_is_not_freed_by_its_last_reader() {
        let mut replaced = ReplacedConfigurations::default();
        let (unread, freed) = compiled();
        let (reader, read) = compiled();
        replaced.add(unread);
        replaced.add(Arc::clone(&reader));
        replaced.free().await;
        assert!(freed.upgrade().is_none());
        drop(reader);
        assert!(read.upgrade().is_some());
        replaced.wait().await;
        replaced.free().await;
        assert!(read.upgrade().is_none());
        let nothing = tokio::time::timeout(10 * AGAIN, replaced.wait()).await;
        assert!(nothing.is_err());
    }

    /// What is replaced while requests hang does not pile up after them.
    #[tokio::test]
    async fn few_configurations_are_kept() {
        let mut replaced = ReplacedConfigurations::default();
        let (readers, all): (Vec<_>, Vec<_>) = (0..MOST_READ + 2).map(|_| compiled()).unzip();
        for reader in &readers {
            replaced.add(Arc::clone(reader));
        }
        replaced.free().await;
        drop(readers);
        let is_kept: Vec<_> = all.iter().map(|weak| weak.upgrade().is_some()).collect();
        assert_eq!(is_kept, [false, false, true, true, true, true]);
    }
}
