//! Refreshes that the application asks for.

use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{Panicked, end_after};
use goff_engine::FlagSet;
use tokio::time::timeout_at;

use crate::in_process::InProcessEvaluator;
use crate::in_process::compiled_configuration::CompiledConfiguration;
#[cfg(feature = "file")]
use crate::in_process::file::merged::MergedFiles;
use crate::in_process::left_out::LeftOut;
use crate::in_process::source::refresh_requests::RefreshRequester;
use crate::status::error::ClientError;
use crate::status::events::ChangedFlags;
use crate::status::refresh::Refreshed;

/// Refreshes all that the flags of a session come from.
#[derive(Debug)]
pub(crate) struct Refresher {
    pub(crate) tasks: Vec<RefreshRequester>,
    /// The longest that a caller waits.
    pub(crate) timeout: Duration,
    /// The files, whose tasks know only about one file each.
    #[cfg(feature = "file")]
    pub(crate) files: Option<Arc<MergedFiles>>,
}

impl Refresher {
    /// Refreshes, and compares the flags in use before with those afterwards. `None` if the client
    /// is being shut down. Runs on the session's runtime.
    pub(crate) async fn refresh(
        self,
        evaluator: Arc<InProcessEvaluator>,
    ) -> Option<Result<Refreshed, ClientError>> {
        let before = evaluator.current();
        let replies: Option<Vec<_>> = self.tasks.iter().map(RefreshRequester::ask).collect();
        let end = end_after(self.timeout);
        for reply in replies? {
            match timeout_at(end, reply).await {
                Ok(Ok(Ok(()))) => {}
                Ok(Ok(Err(error))) => return Some(Err(error)),
                Ok(Err(_)) => return None,
                Err(_) => {
                    let error = RefreshTimeout(self.timeout);
                    return Some(Err(ClientError::configuration(error)));
                }
            }
        }
        #[cfg(feature = "file")]
        if let Some(error) = self.files.and_then(|files| files.failure()) {
            return Some(Err(ClientError::configuration(error)));
        }
        let after = evaluator.current()?;
        if before
            .as_ref()
            .is_some_and(|before| Arc::ptr_eq(before, &after))
        {
            return Some(Ok(Refreshed::Unchanged));
        }
        // Comparing and freeing large configurations takes long.
        let comparing = tokio::task::spawn_blocking(move || compare(before, after));
        match comparing.await {
            Ok(refreshed) => Some(Ok(refreshed)),
            Err(error) if error.is_panic() => {
                let error = Panicked("comparing the flags with those before");
                Some(Err(ClientError::configuration(error)))
            }
            // The runtime is ending.
            Err(_) => None,
        }
    }
}

/// Blocks.
fn compare(
    before: Option<Arc<CompiledConfiguration>>,
    after: Arc<CompiledConfiguration>,
) -> Refreshed {
    let none = || {
        Arc::new(CompiledConfiguration::new(
            FlagSet::default(),
            LeftOut::default(),
        ))
    };
    let is_first = before.is_none();
    let difference = after.difference(&before.unwrap_or_else(none));
    if difference.is_empty() && !is_first {
        return Refreshed::Unchanged;
    }
    Refreshed::Changed(ChangedFlags::from(difference).bounded())
}

#[derive(Debug, thiserror::Error)]
#[error("not refreshed within {} s; the refresh goes on", .0.as_secs_f32())]
struct RefreshTimeout(Duration);
