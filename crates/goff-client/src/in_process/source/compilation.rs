//! Compiling a received configuration beside the polling.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use goff_core::FlagConfiguration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::source::relay_source::FetchError;

/// At most one running compilation, and its result until it is taken. Compiling runs on a thread
/// for blocking work, which cannot be interrupted: dropping this only drops the result.
#[derive(Debug)]
pub(crate) struct Compilation {
    permit: Arc<Semaphore>,
    task: JoinSet<Result<CompiledConfiguration, FetchError>>,
    done: Option<Result<CompiledConfiguration, FetchError>>,
}

impl Compilation {
    /// `permit` has one permit, for all that is compiled.
    pub(crate) fn new(permit: Arc<Semaphore>) -> Self {
        Self {
            permit,
            task: JoinSet::new(),
            done: None,
        }
    }

    /// Begins to compile what was fetched with the API key of this number, as far as it differs from
    /// the configuration held. The result of an earlier compilation has been taken.
    pub(crate) fn start(
        &mut self,
        configuration: FlagConfiguration,
        key: u64,
        held: Option<Arc<CompiledConfiguration>>,
    ) {
        let permit = Arc::clone(&self.permit);
        self.task.spawn(async move {
            let compiled = compile(permit, move || {
                CompiledConfiguration::compile(configuration, held.as_deref())
            })
            .await;
            let compiled = compiled
                .ok_or(FetchError::Panicked("compiling"))?
                .map_err(FetchError::Unreadable)?;
            Ok(compiled.of_key(key))
        });
    }

    /// Drops what is being compiled, or was.
    pub(crate) fn discard(&mut self) {
        *self = Self::new(Arc::clone(&self.permit));
    }

    /// Whether a compilation was begun whose result is not taken.
    pub(crate) fn is_begun(&self) -> bool {
        self.done.is_some() || !self.task.is_empty()
    }

    /// Waits until a compilation has ended; without one forever.
    pub(crate) async fn ended(&mut self) {
        if self.done.is_some() {
            return;
        }
        match self.task.join_next().await {
            Some(Ok(result)) => self.done = Some(result),
            Some(Err(_)) => self.done = Some(Err(FetchError::Panicked("compiling"))),
            None => pending().await,
        }
    }

    /// Takes the result, if it comes within `timeout`. The compilation goes on if it does not.
    pub(crate) async fn result(
        &mut self,
        timeout: Duration,
    ) -> Result<CompiledConfiguration, FetchError> {
        let _ = tokio::time::timeout(timeout, self.ended()).await;
        self.done.take().unwrap_or(Err(FetchError::Slow(timeout)))
    }
}

/// Runs `compile` on a thread for blocking work once the permit is free, and keeps the permit until
/// it ends. `None` if it panics, or the runtime is ending.
pub(crate) async fn compile<T: Send + 'static>(
    permit: Arc<Semaphore>,
    compile: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let permit = permit.acquire_owned().await.ok()?;
    let compiling = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        compile()
    });
    compiling.await.ok()
}
