//! The ways in which scenarios are asked: natively and through OpenFeature, over both protocols and in process, and
//! there without `async` too; one form of question and answer for all of them.
//!
//! Every scenario runs on all [`surfaces`], but for those that say why not. What differs in process:
//!
//! * Nothing is cached, so a repeated answer keeps its reason, and what is about the cache is left to
//!   [`remote_surfaces`].
//! * The client records every evaluation by itself and the relay proxy none, so usage data are there only once they
//!   are delivered: [`Surface::events`] sees to that.
//! * Flags are asked for once, not at each evaluation: a wrong key, endpoint or flag set shows when the client
//!   starts, and the evaluations of one that has no flags are PROVIDER_NOT_READY.
//! * Every flag key works, also those that no URL can hold.
//! * Integers beyond 2^53 are rounded, since the official engine reads JSON numbers as doubles.
//! * The text of an error is the engine's, and null is no error in the bulk evaluation either.

mod answer;
mod question;

use std::collections::BTreeMap;
use std::time::Duration;

use goff_provider::{
    EvaluationContext, EvaluationDetails, EvaluationType, GoFeatureFlag, GoFeatureFlagOptions,
    GoFeatureFlagProvider, InitializeError, LocalFlags, RemoteProtocol, ResolutionError,
};
use goff_tests_integration::{EventKind, RelayProxy};
use open_feature::{Client, OpenFeature, StructValue};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

pub(crate) use answer::Seen;
use answer::{json_of, seen, seen_with};
pub(crate) use question::{Asked, User};

/// A connected client, asked natively or through OpenFeature.
pub(crate) struct Surface {
    /// For messages, and to tell the surfaces' users apart.
    pub(crate) name: String,
    pub(crate) goff: GoFeatureFlag,
    api: Api,
}

enum Api {
    Native,
    Local(LocalFlags),
    /// The registry owns the provider, so it lives as long as its client.
    OpenFeature {
        _registry: OpenFeature,
        client: Client,
    },
}

/// Connects all to an endpoint; `adjust` adds options.
pub(crate) async fn surfaces(
    endpoint: &str,
    adjust: impl Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
) -> Vec<Surface> {
    let mut surfaces = remote_surfaces(endpoint, &adjust).await;
    surfaces.extend(in_process_surfaces(endpoint, adjust).await);
    surfaces
}

/// Those whose flags the relay proxy evaluates.
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

/// Those whose flags are evaluated here.
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

/// The same, and how their start went.
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
    // Its own registry, since the tests of one process run side by side.
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
    /// Asked without the SDK.
    pub(crate) fn is_native(&self) -> bool {
        !matches!(self.api, Api::OpenFeature { .. })
    }

    pub(crate) fn is_in_process(&self) -> bool {
        self.goff.evaluation_type() == EvaluationType::InProcess
    }

    pub(crate) async fn ask(&self, flag: &str, asked: Asked, user: &User) -> Seen {
        match &self.api {
            Api::OpenFeature { client, .. } => {
                ask_client(client, flag, asked, &user.open_feature()).await
            }
            Api::Native | Api::Local(_) => self.ask_native(flag, asked, &user.native()).await,
        }
    }

    /// Without any context, which only OpenFeature can express; natively an empty one.
    pub(crate) async fn ask_without_context(&self, flag: &str, default: &'static str) -> Seen {
        match &self.api {
            Api::OpenFeature { client, .. } => {
                let default = json!(default);
                seen(client.get_string_details(flag, None, None).await, default)
            }
            Api::Native | Api::Local(_) => {
                self.ask_native(flag, Asked::Text(default), &User::nobody().native())
                    .await
            }
        }
    }

    /// The reason of an answer that is asked for again.
    pub(crate) fn again(&self, reason: &'static str) -> &'static str {
        match self.is_in_process() {
            true => reason,
            false => "CACHED",
        }
    }

    /// Natively, also where OpenFeature is what is otherwise asked, which has no such thing.
    pub(crate) async fn ask_as<T: DeserializeOwned>(
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

    /// The bulk evaluation, natively as [`ask_as`](Self::ask_as).
    pub(crate) async fn ask_all(
        &self,
        user: &User,
    ) -> Result<BTreeMap<String, EvaluationDetails<Value>>, ResolutionError> {
        match &self.api {
            Api::Local(flags) => flags.evaluate_all(&user.native()),
            _ => self.goff.evaluate_all(&user.native()).await,
        }
    }

    /// What the relay proxy's exporter has of a user's evaluations, as soon as there are `count` events.
    pub(crate) async fn events(&self, relay: &RelayProxy, user: &User, count: usize) -> Vec<Value> {
        if self.is_in_process() {
            self.goff.flush(Duration::from_secs(10)).await;
        }
        let events = relay.recorded_events(EventKind::Feature);
        events.of_user(user.key(), count).await
    }

    async fn ask_native(&self, flag: &str, asked: Asked, context: &EvaluationContext) -> Seen {
        match asked {
            Asked::Bool(default) => self.ask_for(flag, context, default).await,
            Asked::Int(default) => self.ask_for(flag, context, default).await,
            Asked::Float(default) => self.ask_for(flag, context, default).await,
            Asked::Text(default) => self.ask_for(flag, context, default.to_owned()).await,
            Asked::Object(default) => self.ask_for(flag, context, default).await,
        }
    }

    async fn ask_for<T: goff_provider::FlagType + Serialize>(
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

async fn ask_client(
    client: &Client,
    flag: &str,
    asked: Asked,
    context: &open_feature::EvaluationContext,
) -> Seen {
    let context = Some(context);
    let default = asked.default_value();
    match asked {
        Asked::Bool(_) => seen(client.get_bool_details(flag, context, None).await, default),
        Asked::Int(_) => seen(client.get_int_details(flag, context, None).await, default),
        Asked::Float(_) => seen(client.get_float_details(flag, context, None).await, default),
        Asked::Text(_) => seen(
            client.get_string_details(flag, context, None).await,
            default,
        ),
        Asked::Object(_) => {
            let details = client
                .get_struct_details::<StructValue>(flag, context, None)
                .await;
            seen_with(details, default, |object| {
                json_of(&open_feature::Value::Struct(object))
            })
        }
    }
}
