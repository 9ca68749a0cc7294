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
use std::time::Duration;

use goff_provider::native::{EvaluationContext, EvaluationDetails};
use goff_provider::{
    EvaluationType, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, InitializeError,
    LocalFlags, RemoteProtocol, ResolutionError,
};
use goff_tests_integration::{CollectedKind, RelayProxy};
use open_feature::{Client, OpenFeature, StructValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use answer::Seen;
use answer::{json_of, seen, seen_with};
pub(crate) use request::{Typed, User};

/// A connected client and the API for evaluations.
pub(crate) struct Surface {
    /// For messages and for the keys of users.
    pub(crate) name: String,
    pub(crate) goff: GoFeatureFlag,
    api: Api,
}

enum Api {
    Native,
    Local(LocalFlags),
    /// The registry owns the provider, so it must outlive the client.
    OpenFeature {
        _registry: OpenFeature,
        client: Client,
    },
}

/// Connects every surface to an endpoint. `adjust` adds options.
pub(crate) async fn surfaces(
    endpoint: &str,
    adjust: impl Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
) -> Vec<Surface> {
    let mut surfaces = remote_surfaces(endpoint, &adjust).await;
    surfaces.extend(in_process_surfaces(endpoint, adjust).await);
    surfaces
}

/// The surfaces with remote evaluation.
pub(crate) async fn remote_surfaces(
    endpoint: &str,
    adjust: impl Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
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
    adjust: impl Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
) -> Vec<Surface> {
    let started = started_in_process(endpoint, adjust).await;
    started
        .into_iter()
        .map(|(surface, started)| {
            started.unwrap();
            surface
        })
        .collect()
}

/// The surfaces with in-process evaluation, and the results of their initialization.
pub(crate) async fn started_in_process(
    endpoint: &str,
    adjust: impl Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
) -> Vec<(Surface, Result<(), InitializeError>)> {
    let options = || {
        let options = GoFeatureFlagOptions::new(endpoint);
        adjust(options.evaluation_type(EvaluationType::InProcess))
    };
    let (goff, started) = start(options()).await;
    let local = Surface {
        name: "InProcess LocalFlags".to_owned(),
        api: Api::Local(goff.local().unwrap()),
        goff,
    };
    vec![
        native("InProcess", options()).await,
        open_feature("InProcess", options()).await,
        (local, started),
    ]
}

async fn native(
    mode: &str,
    options: GoFeatureFlagOptions,
) -> (Surface, Result<(), InitializeError>) {
    let (goff, started) = start(options).await;
    let surface = Surface {
        name: format!("{mode} native"),
        goff,
        api: Api::Native,
    };
    (surface, started)
}

async fn open_feature(
    mode: &str,
    options: GoFeatureFlagOptions,
) -> (Surface, Result<(), InitializeError>) {
    let (goff, started) = start(options).await;
    // A separate registry, because the tests of a process run concurrently.
    let mut registry = OpenFeature::default();
    registry
        .set_provider(GoFeatureFlagProvider::from(&goff))
        .await;
    let client = registry.create_client();
    let surface = Surface {
        name: format!("{mode} OpenFeature"),
        goff,
        api: Api::OpenFeature {
            _registry: registry,
            client,
        },
    };
    (surface, started)
}

async fn start(options: GoFeatureFlagOptions) -> (GoFeatureFlag, Result<(), InitializeError>) {
    let goff = GoFeatureFlag::new(options).unwrap();
    let started = goff.initialize().await;
    (goff, started)
}

/// The default options.
pub(crate) fn plain(options: GoFeatureFlagOptions) -> GoFeatureFlagOptions {
    options
}

impl Surface {
    /// A user for one test on this surface. Tests share the relay proxy and tell its events apart by user.
    pub(crate) fn user(&self, test: &str) -> User {
        User::new(format!("{test}: {}", self.name))
    }

    /// Whether it evaluates without the SDK.
    pub(crate) fn is_native(&self) -> bool {
        !matches!(self.api, Api::OpenFeature { .. })
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
            Api::OpenFeature { client, .. } => {
                evaluate_with_client(client, flag, default, &user.open_feature()).await
            }
            Api::Native | Api::Local(_) => {
                self.evaluate_native(flag, default, &user.native()).await
            }
        }
    }

    /// Evaluates, and checks that the answer is this value.
    pub(crate) async fn expect(
        &self,
        flag: &str,
        default: impl Into<Typed>,
        user: &User,
        value: impl Into<Value>,
    ) -> Seen {
        let seen = self.evaluate(flag, default, user).await;
        let place = format!("{}: `{flag}`: {seen:?}", self.name);
        assert_eq!(
            (seen.outcome(), &seen.value),
            ("ok", &value.into()),
            "{place}"
        );
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
        let seen = self.expect(flag, "default", user, value).await;
        assert_eq!(seen.reason, reason, "{}: `{flag}`: {seen:?}", self.name);
        seen
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
        let place = format!("{}: `{flag}`: {seen:?}", self.name);
        assert_eq!((seen.outcome(), &seen.value), (code, &value), "{place}");
        seen
    }

    /// Evaluates without a context, natively with an empty one.
    pub(crate) async fn evaluate_without_context(&self, flag: &str, default: &'static str) -> Seen {
        match &self.api {
            Api::OpenFeature { client, .. } => {
                let default = json!(default);
                seen(client.get_string_details(flag, None, None).await, default)
            }
            Api::Native | Api::Local(_) => {
                self.evaluate_native(flag, Typed::Text(default), &User::without_key().native())
                    .await
            }
        }
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
            let details = client
                .get_struct_details::<StructValue>(flag, context, None)
                .await;
            seen_with(details, value, |object| {
                json_of(&open_feature::Value::Struct(object))
            })
        }
    }
}
