//! The APIs through which scenarios evaluate: natively and through OpenFeature, over both protocols and in process,
//! there also without `async`; with one form of request and answer for all of them.
//!
//! Scenarios run on all [`surfaces`], unless they say why not. In process there are these differences:
//!
//! * Nothing is cached, so a repeated answer keeps its reason. Scenarios about the cache use [`remote_surfaces`].
//! * The client records every evaluation and the relay proxy none, so events exist once the client has delivered
//!   them: [`Surface::events`] flushes.
//! * The client fetches flags when it starts: a wrong key, endpoint or flag set shows then, and without flags every
//!   evaluation is PROVIDER_NOT_READY.
//! * Every flag key works, including those that no URL can hold.
//! * Integers beyond 2^53 are rounded, because the engine reads JSON numbers as doubles.
//! * Error texts are those of the engine, and null is no error in the bulk evaluation.

mod answer;
mod request;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use goff_provider::native::{EvaluationContext, EvaluationDetails};
use goff_provider::{
    EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, InitializeError,
    LocalFlags, RemoteProtocol, ResolutionError,
};
use goff_tests_integration::{CollectedKind, RelayProxy};
use open_feature::{Client, Hook, OpenFeature, StructValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use answer::{Seen, seen_by_hook};
use answer::{json_of, seen, seen_with};
pub(crate) use request::{Typed, User};

/// A connected client and the API for evaluations.
pub(crate) struct Surface {
    /// For messages and for the keys of users.
    pub(crate) name: String,
    pub(crate) goff: GoFeatureFlag,
    api: Api,
}

pub(crate) type Options = GoFeatureFlagOptions;

enum Api {
    Native,
    Local(LocalFlags),
    /// The registry owns the provider, so it must outlive the client.
    OpenFeature(OpenFeature, Client),
}

/// Connects every surface to an endpoint. `adjust` adds options.
pub(crate) async fn surfaces(endpoint: &str, adjust: impl Fn(Options) -> Options) -> Vec<Surface> {
    let mut surfaces = remote_surfaces(endpoint, &adjust).await;
    surfaces.extend(in_process_surfaces(endpoint, adjust).await);
    surfaces
}

/// The surfaces with remote evaluation.
pub(crate) async fn remote_surfaces(
    endpoint: &str,
    adjust: impl Fn(Options) -> Options,
) -> Vec<Surface> {
    let mut surfaces = Vec::new();
    for protocol in [RemoteProtocol::FeatureEval, RemoteProtocol::Ofrep] {
        let options = || adjust(GoFeatureFlagOptions::new(endpoint).remote_protocol(protocol));
        surfaces.push(native(&format!("{protocol:?}"), options()).await.0);
        surfaces.push(open_feature(&format!("{protocol:?}"), options()).await.0);
    }
    surfaces
}

/// The surfaces with in-process evaluation.
pub(crate) async fn in_process_surfaces(
    endpoint: &str,
    adjust: impl Fn(Options) -> Options,
) -> Vec<Surface> {
    let mut surfaces = Vec::new();
    for (surface, started) in started_in_process(endpoint, adjust).await {
        started.unwrap();
        surfaces.push(surface);
    }
    surfaces
}

/// The surfaces with in-process evaluation, and the results of their initialization.
pub(crate) async fn started_in_process(
    endpoint: &str,
    adjust: impl Fn(Options) -> Options,
) -> Vec<(Surface, Started)> {
    let options = || {
        let options = GoFeatureFlagOptions::new(endpoint);
        adjust(options.evaluation_type(EvaluationType::InProcess))
    };
    let (goff, started) = start(options()).await;
    let api = Api::Local(goff.local().unwrap());
    let local = Surface::new("InProcess", "LocalFlags", goff, api);
    vec![
        native("InProcess", options()).await,
        open_feature("InProcess", options()).await,
        (local, started),
    ]
}

/// The result of an initialization.
pub(crate) type Started = Result<(), InitializeError>;

pub(crate) async fn native(mode: &str, options: GoFeatureFlagOptions) -> (Surface, Started) {
    let (goff, started) = start(options).await;
    (Surface::new(mode, "native", goff, Api::Native), started)
}

pub(crate) async fn open_feature(mode: &str, options: GoFeatureFlagOptions) -> (Surface, Started) {
    let (goff, started) = start(options).await;
    (Surface::through_open_feature(mode, &goff).await, started)
}

/// A client of the OpenFeature SDK over a separate registry, because the tests of a process run concurrently.
pub(crate) async fn open_feature_client(goff: &GoFeatureFlag) -> (OpenFeature, Client) {
    let mut registry = OpenFeature::default();
    registry
        .set_provider(GoFeatureFlagProvider::from(goff))
        .await;
    let client = registry.create_client();
    (registry, client)
}

async fn start(options: GoFeatureFlagOptions) -> (GoFeatureFlag, Started) {
    let goff = GoFeatureFlag::new(options).unwrap();
    let started = goff.initialize().await;
    (goff, started)
}

/// The default options.
pub(crate) fn plain(options: Options) -> Options {
    options
}

impl fmt::Display for Surface {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Surface {
    fn new(mode: &str, name: &str, goff: GoFeatureFlag, api: Api) -> Self {
        let name = format!("{mode} {name}");
        Self { name, goff, api }
    }

    /// The native API of a client that may not be started.
    pub(crate) fn over(mode: &str, goff: &GoFeatureFlag) -> Self {
        Self::new(mode, "native", goff.clone(), Api::Native)
    }

    /// The SDK over a client, which it starts unless that has happened.
    pub(crate) async fn through_open_feature(mode: &str, goff: &GoFeatureFlag) -> Self {
        let (registry, client) = open_feature_client(goff).await;
        let api = Api::OpenFeature(registry, client);
        Self::new(mode, "OpenFeature", goff.clone(), api)
    }

    /// Adds a hook to the client of the SDK, if it is one.
    pub(crate) fn with_hook(mut self, hook: impl Hook) -> Self {
        if let Api::OpenFeature(registry, client) = self.api {
            self.api = Api::OpenFeature(registry, client.with_hook(hook));
        }
        self
    }

    /// A user for one test on this surface. Tests share the relay proxy and tell its events apart by user.
    pub(crate) fn user(&self, test: &str) -> User {
        User::new(format!("{test}: {self}"))
    }

    /// Whether it evaluates without the SDK.
    pub(crate) fn is_native(&self) -> bool {
        !matches!(self.api, Api::OpenFeature(..))
    }

    pub(crate) fn is_in_process(&self) -> bool {
        self.goff.evaluation_type() == EvaluationType::InProcess
    }

    pub(crate) async fn evaluate(
        &self,
        flag: &str,
        default: impl Into<Typed>,
        user: &User,
    ) -> Seen {
        let default = default.into();
        match &self.api {
            Api::OpenFeature(_, client) => {
                evaluate_with_client(client, flag, default, &user.open_feature()).await
            }
            _ => self.evaluate_native(flag, default, &user.native()).await,
        }
    }

    /// Evaluates to text, and checks that the answer is this value.
    pub(crate) async fn serves(&self, flag: &str, user: &User, value: &str) -> Seen {
        self.expect(flag, "default", user, value).await
    }

    /// Evaluates, and checks that the answer is this value.
    pub(crate) async fn expect(
        &self,
        flag: &str,
        default: impl Into<Typed>,
        user: &User,
        value: impl Into<Value>,
    ) -> Seen {
        let (seen, value) = (self.evaluate(flag, default, user).await, value.into());
        let answer = (seen.outcome(), &seen.value);
        assert_eq!(answer, ("ok", &value), "{self}: `{flag}`: {seen:?}");
        seen
    }

    /// Evaluates to text, and checks value and reason.
    pub(crate) async fn expect_reason(
        &self,
        flag: &str,
        user: &User,
        value: &str,
        reason: &str,
    ) -> Seen {
        let seen = self.serves(flag, user, value).await;
        assert_eq!(seen.reason, reason, "{self}: `{flag}`: {seen:?}");
        seen
    }

    /// Evaluates to text, and checks that the answer is this error with the caller's default.
    pub(crate) async fn fails(&self, flag: &str, user: &User, code: &str) -> Seen {
        self.expect_error(flag, "default", user, code).await
    }

    /// Evaluates, and checks that the answer is this error with the caller's default.
    pub(crate) async fn expect_error(
        &self,
        flag: &str,
        default: impl Into<Typed>,
        user: &User,
        code: &str,
    ) -> Seen {
        let default = default.into();
        let value = default.to_json();
        let seen = self.evaluate(flag, default, user).await;
        let answer = (seen.outcome(), &seen.value);
        assert_eq!(answer, (code, &value), "{self}: `{flag}`: {seen:?}");
        seen
    }

    /// Evaluates to text without a context, natively with an empty one.
    pub(crate) async fn evaluate_without_context(&self, flag: &str) -> Seen {
        let default = "default";
        match &self.api {
            Api::OpenFeature(_, client) => {
                let default = json!(default);
                seen(client.get_string_details(flag, None, None).await, default)
            }
            _ => {
                let empty = EvaluationContext::default();
                self.evaluate_native(flag, default.into(), &empty).await
            }
        }
    }

    /// The value of an event for which the caller got its default, which hooks of the SDK do not receive.
    pub(crate) fn recorded_default(&self, default: &Typed) -> Value {
        match self.is_native() {
            true => default.to_json(),
            false => Value::Null,
        }
    }

    /// Whether it falls back to the relay proxy. [`LocalFlags`] never does.
    pub(crate) fn falls_back(&self) -> bool {
        !matches!(self.api, Api::Local(_))
    }

    /// The reason of a repeated answer.
    pub(crate) fn again(&self, reason: &'static str) -> &'static str {
        match self.is_in_process() {
            true => reason,
            false => "CACHED",
        }
    }

    /// Evaluates natively, because OpenFeature has no such method.
    pub(crate) async fn evaluate_as<T: DeserializeOwned>(
        &self,
        flag: &str,
        default: T,
        user: &User,
    ) -> EvaluationDetails<T> {
        match &self.api {
            Api::Local(flags) => flags.evaluate_as(flag, &user.native(), default),
            _ => self.goff.evaluate_as(flag, &user.native(), default).await,
        }
    }

    /// Evaluates all flags, natively as [`evaluate_as`](Self::evaluate_as).
    pub(crate) async fn evaluate_all(
        &self,
        user: &User,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        match &self.api {
            Api::Local(flags) => flags.evaluate_all(&user.native()),
            _ => self.goff.evaluate_all(&user.native()).await,
        }
    }

    /// The exported events of a user's evaluations, once there are `count`.
    pub(crate) async fn events(&self, relay: &RelayProxy, user: &User, count: usize) -> Vec<Value> {
        if self.is_in_process() {
            self.goff.flush(Duration::from_secs(10)).await;
        }
        let events = relay.recorded_events(CollectedKind::Feature);
        events.of_user(user.key(), count).await
    }

    async fn evaluate_native(
        &self,
        flag: &str,
        default: Typed,
        context: &EvaluationContext,
    ) -> Seen {
        match default {
            Typed::Bool(default) => self.evaluate_for(flag, context, default).await,
            Typed::Int(default) => self.evaluate_for(flag, context, default).await,
            Typed::Float(default) => self.evaluate_for(flag, context, default).await,
            Typed::Text(default) => self.evaluate_for(flag, context, default.to_owned()).await,
            Typed::Object(default) => self.evaluate_for(flag, context, default).await,
        }
    }

    async fn evaluate_for<T: goff_provider::FlagType + Serialize>(
        &self,
        flag: &str,
        context: &EvaluationContext,
        default: T,
    ) -> Seen {
        Seen::native(match &self.api {
            Api::Local(flags) => flags.evaluate(flag, context, default),
            _ => self.goff.evaluate(flag, context, default).await,
        })
    }
}

async fn evaluate_with_client(
    client: &Client,
    flag: &str,
    default: Typed,
    context: &open_feature::EvaluationContext,
) -> Seen {
    let context = Some(context);
    let value = default.to_json();
    match default {
        Typed::Bool(_) => seen(client.get_bool_details(flag, context, None).await, value),
        Typed::Int(_) => seen(client.get_int_details(flag, context, None).await, value),
        Typed::Float(_) => seen(client.get_float_details(flag, context, None).await, value),
        Typed::Text(_) => seen(client.get_string_details(flag, context, None).await, value),
        Typed::Object(_) => {
            let details = client.get_struct_details::<StructValue>(flag, context, None);
            let json = |object| json_of(&open_feature::Value::Struct(object));
            seen_with(details.await, value, json)
        }
    }
}
