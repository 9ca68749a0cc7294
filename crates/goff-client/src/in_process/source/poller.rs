//! Keeps the flags of in-process evaluation current by polling, and by fetching announced changes at
//! once.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use goff_core::__internal::{BackgroundTask, Backoff, Panicked, contained, random_u64, spread};
use goff_core::{NoRuntimeError, RelayError};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::in_process::compiled_configuration::CompiledConfiguration;
use crate::in_process::current_configuration::{CurrentConfiguration, FirstAttempt};
use crate::in_process::last_known_good::writer::LastKnownGoodWriter;
use crate::in_process::replaced::ReplacedConfigurations;
use crate::in_process::source::compilation::Compilation;
use crate::in_process::source::fetch_schedule::{LONGEST_PAUSE, Schedule};
use crate::in_process::source::load_log::LoadLog;
use crate::in_process::source::pending_changes::PendingChanges;
use crate::in_process::source::refresh_requests::{RefreshRequester, RefreshRequests};
use crate::in_process::source::refresher::Refresher;
use crate::in_process::source::relay_source::{FetchError, Fetched, RelaySource};
use crate::in_process::source::source_key::SourceKey;
use crate::status::error::ClientError;

/// The task that fetches until it is stopped, or until the relay proxy refuses the key before the
/// first load (GOFF-EVT-007).
#[derive(Debug)]
pub(crate) struct ConfigurationPoller {
    task: BackgroundTask,
    first: watch::Receiver<Option<FirstAttempt>>,
    requester: RefreshRequester,
    timeout: Duration,
}

/// The parts of a poller.
pub(crate) struct Poll {
    pub(crate) source: RelaySource,
    pub(crate) current: CurrentConfiguration,
    /// Writes the last-known-good file, and restores from it.
    pub(crate) writer: Option<LastKnownGoodWriter>,
    /// The API key with which flags are fetched.
    pub(crate) key: watch::Receiver<SourceKey>,
    pub(crate) changes: Arc<PendingChanges>,
    pub(crate) requests: RefreshRequests,
    pub(crate) replaced: ReplacedConfigurations,
    pub(crate) interval: Duration,
    pub(crate) compilation: Compilation,
    pub(crate) log: LoadLog,
    /// The time of the last request.
    pub(crate) fetch_took: Duration,
}

impl ConfigurationPoller {
    /// `on_refused` is called when the relay proxy refuses the key, which ends the polling.
    pub(crate) fn start(
        mut poll: Poll,
        requester: RefreshRequester,
        on_refused: Box<dyn FnOnce() + Send>,
    ) -> Result<Self, NoRuntimeError> {
        let (report, first) = watch::channel(None);
        let timeout = poll.source.relay.timeout;
        let task = BackgroundTask::spawn(move |mut stop| async move {
            let polling = async {
                let mut panics = 0;
                let refusal = loop {
                    let polled = contained("polling", pin!(poll.run(&report))).await;
                    match polled {
                        Ok(refusal) => break refusal,
                        Err(panicked) => poll.panicked(panicked, panics, &report).await,
                    }
                    panics += 1;
                };
                on_refused();
                report.send_replace(Some(FirstAttempt::Refused(refusal)));
            };
            tokio::select! {
                () = stop.stopped() => {}
                () = polling => {}
            }
            if let Some(writer) = poll.writer {
                // `stop` of this task sets the limit.
                writer.stop(Duration::MAX).await;
            }
        })?;
        Ok(Self {
            task,
            first,
            requester,
            timeout,
        })
    }

    pub(crate) fn refresher(&self) -> Refresher {
        Refresher {
            tasks: vec![self.requester.clone()],
            timeout: self.timeout,
            #[cfg(feature = "file")]
            files: None,
        }
    }

    /// How the first attempt ended, once it has. It is bounded by the timeout of requests.
    pub(crate) fn first_attempt(&self) -> watch::Receiver<Option<FirstAttempt>> {
        self.first.clone()
    }

    pub(crate) async fn stop(self, grace: Duration) {
        self.task.stop(grace).await;
    }
}

impl Poll {
    /// Polls until the relay proxy refuses the key before the first load.
    async fn run(&mut self, report: &watch::Sender<Option<FirstAttempt>>) -> RelayError {
        match self.load(report).await {
            Ok(()) => self.keep_current().await,
            Err(refusal) => refusal,
        }
    }

    /// Polling panicked: a fault of this crate, or of the application's `tracing` subscriber. After a
    /// pause, or when a refresh is requested, it goes on.
    async fn panicked(
        &mut self,
        panicked: Panicked,
        earlier: u64,
        report: &watch::Sender<Option<FirstAttempt>>,
    ) {
        let error = ClientError::configuration(panicked);
        self.current.failed(error.clone());
        self.requests.end(&Err(error));
        if self.current.held().is_some() {
            self.current.status.stale();
        } else {
            self.current.status.missing();
        }
        report.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(FirstAttempt::Failed);
            is_first
        });
        if earlier == 0 {
            tracing::error!("polling of the flag configuration panicked, trying again");
        } else {
            tracing::debug!("polling of the flag configuration panicked again");
        }
        tokio::select! {
            () = tokio::time::sleep(self.interval.min(LONGEST_PAUSE)) => {}
            () = self.requests.wait() => {}
        }
    }

    /// Tries until a configuration is loaded.
    ///
    /// # Errors
    /// The relay proxy refuses the key.
    async fn load(
        &mut self,
        report: &watch::Sender<Option<FirstAttempt>>,
    ) -> Result<(), RelayError> {
        let mut begun = Instant::now();
        let mut backoff = Backoff::new(self.interval.min(LONGEST_PAUSE));
        let (mut refusals, mut refused_key) = (0, self.key.borrow().number);
        loop {
            self.changes.take();
            let error = match self.refresh().await {
                Ok(_) => {
                    self.log.succeeded();
                    report.send_replace(Some(FirstAttempt::Loaded));
                    return Ok(());
                }
                Err(error) => error,
            };
            if let Some(refusal) = error.refusal()
                && self.current.held().is_none()
            {
                let key = self.key.borrow().number;
                if key != refused_key {
                    (refusals, refused_key, begun) = (0, key, Instant::now());
                }
                refusals += 1;
                // A gateway that restarts may refuse a good key; a bad key is refused each time.
                // Initialization waits, so that only an early refusal is worth another attempt.
                if refusals < REFUSALS_UNTIL_FATAL
                    && (report.borrow().is_some() || begun.elapsed() < EARLY)
                {
                    tracing::debug!(%error, "flag configuration refused, trying again");
                    // A gateway that restarts refuses all clients.
                    let late = spread(PAUSE_AFTER_REFUSAL, random_u64());
                    let pause = Instant::now() + PAUSE_AFTER_REFUSAL * refusals + late;
                    tokio::select! {
                        () = sleep_until(pause) => {}
                        () = rekeyed(&mut self.key) => {}
                    }
                    continue;
                }
                tracing::error!(
                    %error,
                    "flag configuration refused, not trying again: evaluations fail with \
                     PROVIDER_NOT_READY until `initialize` is called"
                );
                self.current.status.refused();
                self.current.failed(error.clone());
                return Err(refusal.clone());
            }
            refusals = 0;
            let is_first = report.borrow().is_none();
            self.failed(error);
            if is_first {
                let first = match self.restore().await {
                    true => {
                        self.log.serves_flags();
                        FirstAttempt::Loaded
                    }
                    false => FirstAttempt::Failed,
                };
                self.current.status.missing();
                report.send_replace(Some(first));
            }
            let pause = Instant::now() + backoff.pause(random_u64());
            // An announced change does not shorten the pause.
            tokio::select! {
                () = sleep_until(pause) => {}
                () = self.compilation.ended() => {}
                () = self.requests.wait() => {}
                () = rekeyed(&mut self.key) => {}
            }
        }
    }

    /// Polls forever.
    async fn keep_current(&mut self) -> ! {
        let mut schedule = Schedule::new(self.interval);
        let mut failures = 0_u32;
        loop {
            tokio::select! {
                () = schedule.wait() => {}
                () = self.changes.wait() => {
                    schedule.announced(random_u64());
                    continue;
                }
                () = self.compilation.ended() => {}
                () = self.requests.wait() => {}
                () = rekeyed(&mut self.key) => failures = 0,
                () = self.replaced.wait() => {
                    self.replaced.free().await;
                    continue;
                }
            }
            let announced = self.changes.take();
            let refreshed = self.refresh().await;
            if announced.any {
                schedule.fetched_announced(self.fetch_took);
            }
            match refreshed {
                Ok(is_loaded) => {
                    self.log.succeeded();
                    failures = 0;
                    schedule.succeeded(is_loaded, announced.names_fetched);
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    self.failed(error);
                    // The flags of a new key are awaited as an announced change is.
                    let key = self.key.borrow().number;
                    let is_owed = |held: Arc<CompiledConfiguration>| !held.is_of_key(key);
                    let owes_flags = self.current.held().is_none_or(is_owed);
                    schedule.failed(announced.any || owes_flags);
                    // GOFF-EVT-005.
                    if failures >= FAILURES_UNTIL_STALE {
                        self.current.status.stale();
                    }
                }
            }
        }
    }

    /// One round, which serves the requests made before it. Returns whether a fetched configuration
    /// was loaded.
    async fn refresh(&mut self) -> Result<bool, FetchError> {
        self.requests.begin();
        let refreshed = self.round().await;
        let reply = refreshed.as_ref().map(drop);
        self.requests
            .end(&reply.map_err(|error| error.clone().into()));
        self.replaced.free().await;
        refreshed
    }

    /// A round with the current key. What was fetched with the key before says nothing about it.
    async fn round(&mut self) -> Result<bool, FetchError> {
        loop {
            let key = self.key.borrow_and_update().clone();
            let refreshed = self.round_with(&key).await;
            if !self.key.has_changed().unwrap_or(false) {
                return refreshed;
            }
            self.compilation.discard();
        }
    }

    /// Fetches, compiles, compares, swaps. While a compilation of an earlier round runs there is no
    /// fetch.
    async fn round_with(&mut self, key: &SourceKey) -> Result<bool, FetchError> {
        if self.compilation.is_begun() {
            self.load_compiled(key).await?;
        }
        let held = self.current.held();
        let held = held.filter(|held| held.is_of_key(key.number));
        let began = Instant::now();
        let mut keys = self.key.clone();
        let fetched = tokio::select! {
            biased;
            () = rekeyed(&mut keys) => return Ok(false),
            fetched = self.source.fetch(held.as_deref()) => fetched,
        };
        self.fetch_took = began.elapsed();
        match fetched? {
            // Flags, enrichment and ETag stay (GOFF-IP-007, GOFF-IP-015).
            Fetched::NotModified => {
                self.current.confirmed();
                if let (Some(writer), Some(held), Some(file)) = (&self.writer, &held, &key.file) {
                    writer.confirmed(held, file.clone());
                }
                Ok(false)
            }
            Fetched::Received(configuration) => {
                drop(held);
                self.log.received(began, &configuration);
                let earlier = self.current.held();
                self.compilation.start(configuration, key.number, earlier);
                self.load_compiled(key).await?;
                Ok(true)
            }
        }
    }

    /// Waits for the compilation, no longer than for a request, and serves what it made.
    async fn load_compiled(&mut self, key: &SourceKey) -> Result<(), FetchError> {
        let timeout = self.source.relay.timeout;
        let mut keys = self.key.clone();
        let compiled = tokio::select! {
            biased;
            () = rekeyed(&mut keys) => return Ok(()),
            compiled = self.compilation.result(timeout) => Arc::new(compiled?),
        };
        if !compiled.is_of_key(key.number) {
            return Ok(());
        }
        // Before it is served: a client that is shut down as soon as it serves the flags stores them.
        if let (Some(writer), Some(file)) = (&self.writer, &key.file) {
            writer.loaded(&compiled, file.clone());
        }
        let held = self.current.held();
        let before = held.as_deref().map(CompiledConfiguration::left_out);
        compiled.left_out().warn(&"flag configuration", before);
        let is_same_version =
            held.as_deref().map(CompiledConfiguration::etag) == Some(compiled.etag());
        drop(held);
        let (current, next) = (self.current.clone(), Arc::clone(&compiled));
        let loading = tokio::task::spawn_blocking(move || current.loaded(next)).await;
        let replaced = loading.map_err(|_| FetchError::Panicked("comparing"))?;
        self.log.loaded(&compiled, is_same_version);
        if let Some(replaced) = replaced {
            self.replaced.add(replaced);
        }
        Ok(())
    }

    /// Serves the configuration of the last-known-good file, if it is valid. Returns whether it is.
    async fn restore(&self) -> bool {
        // What is being compiled is newer, and one compilation at a time is enough.
        let key = self.key.borrow().clone();
        let (Some(writer), Some(file), false) =
            (&self.writer, key.file, self.compilation.is_begun())
        else {
            return false;
        };
        match writer.restore(file).await {
            Some(compiled) => {
                let compiled = compiled.of_key(key.number);
                self.current.restored(Arc::new(compiled));
                true
            }
            None => false,
        }
    }

    fn failed(&mut self, error: FetchError) {
        let shown = match &error {
            FetchError::Relay(body @ RelayError::Body { .. }) => {
                body.without_server_texts().to_string()
            }
            error => error.to_string(),
        };
        self.log.failed(&shown, self.current.held().is_some());
        self.current.failed(error);
    }
}

/// Waits until there is another key than the one seen last.
async fn rekeyed(key: &mut watch::Receiver<SourceKey>) {
    if key.changed().await.is_err() {
        pending::<()>().await;
    }
}

const FAILURES_UNTIL_STALE: u32 = 3;
const REFUSALS_UNTIL_FATAL: u32 = 3;
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(200);

/// The time since the start in which a refusal of the first attempt is tried again.
const EARLY: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering::Relaxed;

    use goff_core::FlagConfiguration;
    use goff_testkit::ScriptedRelay;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::in_process::InProcessEvaluator;
    use crate::remote::bounded_relay::BoundedRelay;
    use crate::status::{State, StatusCell};

    fn flags(value: i64) -> FlagConfiguration {
        let variations = format!(r#"{{"a":{value}}}"#);
        FlagConfiguration::new(format!(
            r#"{{"flag":{{"variations":{variations},"defaultRule":{{"variation":"a"}}}}}}"#
        ))
    }

    async fn until(is_so: impl Fn() -> bool) {
        let limit = Duration::from_secs(24 * 60 * 60);
        let waiting = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(limit, waiting).await.unwrap();
    }

    /// A poller with a timeout of 5 s, and an interval of 100 s.
    fn start(
        relay: &ScriptedRelay,
        current: &CurrentConfiguration,
        key: watch::Receiver<SourceKey>,
        permit: &Arc<Semaphore>,
    ) -> ConfigurationPoller {
        let (requester, requests) = RefreshRequests::channel();
        let poll = Poll {
            source: RelaySource {
                relay: BoundedRelay {
                    client: Arc::new(relay.clone()),
                    timeout: Duration::from_secs(5),
                    keeps_timeout: false,
                    requests: Arc::default(),
                },
                flags: Arc::default(),
            },
            current: current.clone(),
            writer: None,
            key,
            changes: Arc::new(PendingChanges::new(Arc::default())),
            requests,
            replaced: ReplacedConfigurations::default(),
            interval: Duration::from_secs(100),
            compilation: Compilation::new(Arc::clone(permit)),
            log: LoadLog::default(),
            fetch_took: Duration::ZERO,
        };
        ConfigurationPoller::start(poll, requester, Box::new(|| {})).unwrap()
    }

    /// Refusals of the key before do not count, and their time does not either: a new key has three
    /// attempts.
    #[cfg(feature = "http")]
    #[tokio::test(start_paused = true)]
    async fn new_key_has_all_attempts() {
        for (delay, refusals_before) in [(0, 2), (900, 1)] {
            let relay = ScriptedRelay::new();
            relay.set_configuration_failure(Some(RelayError::Status {
                status: 401,
                path: String::new(),
                message: None,
                code: goff_core::ErrorCode::General,
                server: None,
            }));
            relay.set_configuration_delay(Some(Duration::from_millis(delay)));
            let status = Arc::new(StatusCell::new());
            let current = CurrentConfiguration {
                evaluator: Arc::new(InProcessEvaluator::new(None, Arc::default())),
                status: status.begin(),
            };
            let key = watch::Sender::new(SourceKey::default());
            let permit = Arc::new(Semaphore::new(1));
            let poller = start(&relay, &current, key.subscribe(), &permit);
            relay.wait_for_configuration_requests(refusals_before).await;
            // In the pause after the refusal.
            tokio::time::sleep(Duration::from_millis(delay + 50)).await;
            relay.set_configuration_delay(None);
            key.send_modify(|source| source.replace(b"new"));
            until(|| relay.configuration_requests().len() >= refusals_before + 2).await;
            relay.set_configuration(flags(1));
            relay.set_configuration_failure(None);
            let mut first = poller.first_attempt();
            let attempt = first.wait_for(Option::is_some).await.unwrap().clone();
            assert!(matches!(attempt, Some(FirstAttempt::Loaded)), "{attempt:?}");
            assert_eq!(
                relay.configuration_requests().len(),
                refusals_before + 3,
                "{delay}"
            );
        }
    }

    /// A snapshot that outlives its configuration is not what frees it.
    #[tokio::test(start_paused = true)]
    async fn configuration_is_freed_after_its_last_reader() {
        let relay = ScriptedRelay::new();
        relay.set_configuration(flags(1));
        let current = CurrentConfiguration {
            evaluator: Arc::new(InProcessEvaluator::new(None, Arc::default())),
            status: Arc::new(StatusCell::new()).begin(),
        };
        let key = watch::Sender::new(SourceKey::default()).subscribe();
        let poller = start(&relay, &current, key, &Arc::new(Semaphore::new(1)));
        until(|| current.held().is_some()).await;
        let reader = current.held().unwrap();
        let replaced = Arc::downgrade(&reader);
        relay.set_configuration(flags(2));
        until(|| !Arc::ptr_eq(&reader, &current.held().unwrap())).await;
        tokio::time::sleep(Duration::from_secs(10)).await;
        drop(reader);
        assert!(replaced.upgrade().is_some());
        let dropped = Instant::now();
        until(|| replaced.strong_count() == 0).await;
        assert!(dropped.elapsed() < Duration::from_secs(3));
        poller.stop(Duration::from_secs(1)).await;
    }

    /// A compilation that takes longer than `timeout` is a failed refresh. It goes on alone, without
    /// another fetch, and its flags are served as soon as it is done.
    #[tokio::test(start_paused = true)]
    async fn slow_compilation_is_a_failed_refresh_and_goes_on() {
        let relay = ScriptedRelay::new();
        relay.set_configuration(flags(1));
        let status = Arc::new(StatusCell::new());
        let current = CurrentConfiguration {
            evaluator: Arc::new(InProcessEvaluator::new(None, Arc::default())),
            status: status.begin(),
        };
        let permit = Arc::new(Semaphore::new(1));
        let requests = || relay.configuration_requests().len();
        let failures = || current.evaluator.counters.failed_refreshes.load(Relaxed);
        // As long as the permit is taken, the compilation does not end.
        let slow = Arc::clone(&permit).acquire_owned().await.unwrap();
        let begun = Instant::now();
        let key = watch::Sender::new(SourceKey::default()).subscribe();
        let poller = start(&relay, &current, key, &permit);
        let mut first = poller.first_attempt();
        let attempt = first.wait_for(Option::is_some).await.unwrap().clone();
        assert!(matches!(attempt, Some(FirstAttempt::Failed)), "{attempt:?}");
        assert!(begun.elapsed() < Duration::from_secs(6));
        assert_eq!(status.state(), State::Error);
        let error = status.get(None).last_error.unwrap().to_string();
        assert!(
            error.contains("received but not loaded within 5 s"),
            "{error}"
        );
        until(|| failures() >= 3).await;
        assert_eq!(requests(), 1);
        drop(slow);
        until(|| status.state() == State::Ready).await;
        assert!(current.held().is_some());

        // Later three such failures are stale.
        let slow = Arc::clone(&permit).acquire_owned().await.unwrap();
        relay.set_configuration(flags(2));
        let before = failures();
        until(|| status.state() == State::Stale).await;
        assert_eq!(failures(), before + 3);
        let at_stale = requests();
        until(|| failures() >= before + 5).await;
        assert_eq!(requests(), at_stale);
        drop(slow);
        until(|| status.state() == State::Ready).await;

        // Stopping does not wait for what cannot be interrupted.
        let _slow = Arc::clone(&permit).acquire_owned().await.unwrap();
        let before = failures();
        relay.set_configuration(flags(3));
        until(|| failures() > before).await;
        let begun = Instant::now();
        poller.stop(Duration::from_secs(1)).await;
        assert!(begun.elapsed() < Duration::from_secs(1));
    }
}
