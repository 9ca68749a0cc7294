//! What a scenario holds: a provider, and what happened to it.

use std::fmt;
use std::net::TcpListener;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use cucumber::World;
use goff_provider::{
    ChangedFlags, ClientEvent, GoFeatureFlag, GoFeatureFlagOptions, State, Subscription,
};
use goff_tests_integration::{
    BreakableProxy, CANONICAL_FLAGS, Instance, RelayProxy, own_relay, own_relay_with_flags,
};
use serde_json::Value;
use tokio::time::timeout;

use crate::configuration::{Api, Configuration};
use crate::following::stream_opens;
use crate::recording_hook::Recording;
use crate::surfaces::{Seen, Surface, Typed, User};

#[derive(Default, World)]
pub(crate) struct Tck {
    proxy: Option<BreakableProxy>,
    goff: Option<GoFeatureFlag>,
    surface: Option<Surface>,
    events: Option<Subscription>,
    /// Of the last announced change.
    pub(crate) changed: Option<ChangedFlags>,
    pub(crate) hook: Recording,
    /// The flag to evaluate, and the caller's default.
    pub(crate) flag: Option<(String, Typed)>,
    /// Absent without a context.
    pub(crate) user: Option<User>,
    pub(crate) seen: Option<Seen>,
    pub(crate) remembered: Option<Value>,
    pub(crate) shutdown_took: Option<Duration>,
}

impl fmt::Debug for Tck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tck")
            .field("flag", &self.flag)
            .field("user", &self.user)
            .field("seen", &self.seen)
            .finish_non_exhaustive()
    }
}

/// The suite's limits for an event and for becoming ready.
const EVENT: Duration = Duration::from_secs(12);
const READY: Duration = Duration::from_secs(30);

impl Tck {
    /// Starts a provider of the current configuration through a proxy that can be broken.
    pub(crate) async fn start_stable(&mut self) {
        let proxy = BreakableProxy::start(relay()).await.unwrap();
        self.start(configuration().options(&proxy.endpoint())).await;
        self.proxy = Some(proxy);
        assert!(
            self.goff().wait_until_ready(READY).await,
            "{:?}",
            self.goff().status()
        );
    }

    /// Starts one at a port where nothing listens.
    pub(crate) async fn start_unavailable(&mut self) {
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        self.start(configuration().options(&format!("http://{port}")))
            .await;
    }

    /// Starts one with a key that the relay proxy refuses.
    pub(crate) async fn start_fatal(&mut self) {
        static LOCKED: OnceLock<RelayProxy> = OnceLock::new();
        let locked = LOCKED.get_or_init(|| own_relay(Instance::Authenticated));
        let options = configuration().options(locked.endpoint());
        self.start(options.api_key("wrong-key")).await;
    }

    /// One that is not started; through the SDK, which starts each, one that was stopped.
    pub(crate) async fn make_not_ready(&mut self) {
        let configuration = configuration();
        let options = configuration.options(relay().endpoint());
        match configuration.api {
            Api::OpenFeature => {
                self.start(options).await;
                self.goff().shutdown(READY).await;
            }
            Api::Native => {
                let goff = GoFeatureFlag::new(options).unwrap();
                self.surface = Some(Surface::over(configuration.mode.name(), &goff));
                self.goff = Some(goff);
            }
        }
    }

    async fn start(&mut self, options: GoFeatureFlagOptions) {
        let configuration = configuration();
        let goff = GoFeatureFlag::new(options).unwrap();
        self.events = Some(goff.subscribe());
        let mode = configuration.mode.name();
        self.surface = Some(match configuration.api {
            Api::OpenFeature => Surface::through_open_feature(mode, &goff).await,
            Api::Native => {
                // A failure is in the status.
                let _ = goff.initialize().await;
                Surface::over(mode, &goff)
            }
        });
        self.goff = Some(goff);
    }

    pub(crate) fn add_hook(&mut self) {
        let surface = self.surface.take().unwrap();
        self.surface = Some(surface.with_hook(self.hook.clone()));
    }

    pub(crate) fn goff(&self) -> &GoFeatureFlag {
        self.goff.as_ref().expect("no provider was started")
    }

    pub(crate) fn seen(&self) -> &Seen {
        self.seen.as_ref().expect("nothing was evaluated")
    }

    pub(crate) async fn evaluate(&mut self) {
        let (flag, default) = self.flag.clone().expect("no flag was named");
        let surface = self.surface.as_ref().expect("no provider was started");
        let mut seen = match (&self.user, &default) {
            (None, Typed::Text(_)) => surface.evaluate_without_context(&flag).await,
            (None, _) => {
                surface
                    .evaluate(&flag, default.clone(), &User::without_key())
                    .await
            }
            (Some(user), _) => surface.evaluate(&flag, default.clone(), user).await,
        };
        // Without a context the surface evaluates with a default of its choice.
        if seen.error_code.is_some() || seen.reason == "DISABLED" {
            seen.value = default.to_json();
        }
        self.seen = Some(seen);
    }

    /// Waits for the next such event, from the start of the provider on, or from the last one that was waited for.
    pub(crate) async fn event(&mut self, name: &str, within: Option<Duration>) {
        let events = self.events.as_mut().expect("no provider was started");
        let flag = self.flag.as_ref().map(|(flag, _)| flag.as_str());
        let wanted = async {
            while let Some(event) = events.next().await {
                let is_it = match (&event, name) {
                    (ClientEvent::Ready, "ready") | (ClientEvent::Stale, "stale") => true,
                    (ClientEvent::Error(_), "error") => true,
                    // Relay proxies announce changes of other flags too.
                    (ClientEvent::ConfigurationChanged(changed), "change") => {
                        self.changed = Some(changed.clone());
                        flag.is_none_or(|flag| names(changed, flag))
                    }
                    _ => false,
                };
                if is_it {
                    return;
                }
            }
            panic!("the events ended");
        };
        let in_time = timeout(within.unwrap_or(EVENT), wanted).await;
        assert!(
            in_time.is_ok(),
            "no {name} event; {:?}",
            self.goff.as_ref().map(GoFeatureFlag::status)
        );
    }

    /// Changes and the loss of the connection are noticed by the stream, which opens after the start.
    pub(crate) async fn stream_opens(&self) {
        stream_opens(self.goff(), 0).await;
    }

    pub(crate) async fn lose_connection(&mut self) {
        self.stream_opens().await;
        self.proxy.as_mut().unwrap().break_off().await;
    }

    pub(crate) async fn restore_connection(&mut self) {
        self.proxy.as_mut().unwrap().repair().await.unwrap();
    }

    /// As the specification names it.
    pub(crate) fn status(&self) -> &'static str {
        match self.goff().status().state {
            State::Ready => "READY",
            State::Stale => "STALE",
            State::Error => "ERROR",
            State::Fatal => "FATAL",
            _ => "NOT_READY",
        }
    }
}

/// Whether a change names a flag.
pub(crate) fn names(changed: &ChangedFlags, flag: &str) -> bool {
    match changed {
        ChangedFlags::Named(flags) => flags.contains(flag),
        ChangedFlags::Compared {
            added,
            updated,
            removed,
            ..
        } => [added, updated, removed]
            .iter()
            .any(|flags| flags.contains(flag)),
        _ => false,
    }
}

/// Gives `changing-flag` its other value.
pub(crate) fn modify_flag() {
    let with =
        |value: &str| format!("{{ foo: foo, bar: bar }}\n  defaultRule: {{ variation: {value} }}");
    let (one, other) = (with("foo"), with("bar"));
    let relay = relay();
    relay
        .edit_flags(&one, &other)
        .or_else(|_| relay.edit_flags(&other, &one))
        .unwrap();
}

static CONFIGURATION: Mutex<Option<Configuration>> = Mutex::new(None);

/// The configuration of the scenarios that follow; cucumber makes the worlds.
pub(crate) fn enter(configuration: Configuration) {
    let mut current = CONFIGURATION.lock().unwrap_or_else(PoisonError::into_inner);
    *current = Some(configuration);
}

fn configuration() -> Configuration {
    let current = CONFIGURATION.lock().unwrap_or_else(PoisonError::into_inner);
    current.clone().expect("a configuration was entered")
}

/// The relay proxy with the suites' flags; one for the whole run.
pub(crate) fn relay() -> &'static RelayProxy {
    static RELAY: OnceLock<RelayProxy> = OnceLock::new();
    RELAY.get_or_init(|| own_relay_with_flags(Instance::Open, CANONICAL_FLAGS))
}
