//! The four ways in which every scenario is asked: natively and through OpenFeature, over both protocols; and one
//! form of question and answer for all of them.

use goff_provider::{
    EvaluationContext, GoFeatureFlag, GoFeatureFlagOptions, GoFeatureFlagProvider, RemoteProtocol,
    attribute,
};
use open_feature::{
    Client, EvaluationContextFieldValue, EvaluationDetails, EvaluationError, FlagMetadataValue,
    OpenFeature, StructValue,
};
use serde_json::{Map, Value, json};

/// A connected client, asked natively or through OpenFeature.
pub(crate) struct Surface {
    /// For messages, and to tell the surfaces' users apart.
    pub(crate) name: String,
    pub(crate) goff: GoFeatureFlag,
    api: Api,
}

enum Api {
    Native,
    /// The registry owns the provider, so it lives as long as its client.
    OpenFeature {
        _registry: OpenFeature,
        client: Client,
    },
}

/// Connects all four to an endpoint; `adjust` adds options.
pub(crate) async fn surfaces(
    endpoint: &str,
    adjust: impl Fn(GoFeatureFlagOptions) -> GoFeatureFlagOptions,
) -> Vec<Surface> {
    let mut surfaces = Vec::new();
    for protocol in [RemoteProtocol::FeatureEval, RemoteProtocol::Ofrep] {
        for native in [true, false] {
            let options = GoFeatureFlagOptions::new(endpoint).remote_protocol(protocol);
            let goff = GoFeatureFlag::connect(adjust(options)).await.unwrap();
            let api = if native {
                Api::Native
            } else {
                // Its own registry, since the tests of one process run side by side.
                let mut registry = OpenFeature::default();
                registry
                    .set_provider(GoFeatureFlagProvider::from(&goff))
                    .await;
                let client = registry.create_client();
                Api::OpenFeature {
                    _registry: registry,
                    client,
                }
            };
            let name = format!(
                "{protocol:?} {}",
                if native { "native" } else { "OpenFeature" }
            );
            surfaces.push(Surface { name, goff, api });
        }
    }
    surfaces
}

/// The default options.
pub(crate) fn plain(options: GoFeatureFlagOptions) -> GoFeatureFlagOptions {
    options
}

/// Who a flag is evaluated for, in no API's words.
#[derive(Clone, Debug, Default)]
pub(crate) struct User {
    key: Option<String>,
    attributes: Vec<(String, Value)>,
}

impl User {
    pub(crate) fn new(key: impl Into<String>) -> Self {
        Self {
            key: Some(key.into()),
            attributes: Vec::new(),
        }
    }

    /// A user of a test's own on one surface: the relay proxy is shared, and its events are told apart by user.
    pub(crate) fn of(surface: &Surface, test: &str) -> Self {
        Self::new(format!("{test}: {}", surface.name))
    }

    /// Without a targeting key.
    pub(crate) fn nobody() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// The user of the Python provider's tests, whom the shared flags target.
    pub(crate) fn john() -> Self {
        Self::new("d45e303a-38c2-11ed-a261-0242ac120002")
            .with("email", "john.doe@gofeatureflag.org")
            .with("firstname", "john")
            .with("lastname", "doe")
            .with("anonymous", false)
            .with("professional", true)
            .with("rate", RATE)
            .with("age", 30)
            .with("company_info", json!({"name": "my_company", "size": 120}))
            .with("labels", json!(["pro", "beta"]))
    }

    pub(crate) fn key(&self) -> &str {
        self.key.as_deref().unwrap_or_default()
    }

    pub(crate) fn native(&self) -> EvaluationContext {
        let mut context = EvaluationContext::builder();
        if let Some(key) = &self.key {
            context = context.targeting_key(key.as_str());
        }
        for (name, value) in &self.attributes {
            context = context.attribute(name.as_str(), attribute(value));
        }
        context.build()
    }

    fn open_feature(&self) -> open_feature::EvaluationContext {
        let mut context = open_feature::EvaluationContext::default();
        context.targeting_key.clone_from(&self.key);
        for (name, value) in &self.attributes {
            let value: EvaluationContextFieldValue = match value {
                Value::Bool(value) => (*value).into(),
                Value::String(text) => text.as_str().into(),
                Value::Number(number) => match number.as_i64() {
                    Some(whole) => whole.into(),
                    None => number.as_f64().unwrap().into(),
                },
                other => EvaluationContextFieldValue::new_struct(other.clone()),
            };
            context.add_custom_field(name.as_str(), value);
        }
        context
    }
}

/// The rate of the shared fixture.
#[expect(clippy::approx_constant, reason = "it is the fixture's number")]
const RATE: f64 = 3.14;

/// The type asked for, with the caller's default.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Asked {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'static str),
    /// An object through OpenFeature, any JSON natively.
    Object(Value),
}

impl Asked {
    pub(crate) fn default_value(&self) -> Value {
        match self {
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::Float(value) => json!(value),
            Self::Text(value) => json!(value),
            Self::Object(value) => value.clone(),
        }
    }
}

/// What an evaluation gave.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// What the caller ends up with: OpenFeature callers use their default where there is an error.
    pub(crate) value: Value,
    /// Through OpenFeature, `ERROR` where there is an error: its error carries no reason.
    pub(crate) reason: String,
    pub(crate) variant: Option<String>,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) error_code: Option<String>,
    pub(crate) message: String,
}

impl Seen {
    /// The error code, or `ok`.
    pub(crate) fn outcome(&self) -> &str {
        self.error_code.as_deref().unwrap_or("ok")
    }
}

impl Surface {
    pub(crate) fn is_native(&self) -> bool {
        matches!(self.api, Api::Native)
    }

    pub(crate) async fn ask(&self, flag: &str, asked: Asked, user: &User) -> Seen {
        match &self.api {
            Api::Native => self.ask_native(flag, asked, &user.native()).await,
            Api::OpenFeature { client, .. } => {
                ask_client(client, flag, asked, &user.open_feature()).await
            }
        }
    }

    /// Without any context, which only OpenFeature can express; natively an empty one.
    pub(crate) async fn ask_without_context(&self, flag: &str, default: &'static str) -> Seen {
        match &self.api {
            Api::Native => {
                self.ask_native(flag, Asked::Text(default), &User::nobody().native())
                    .await
            }
            Api::OpenFeature { client, .. } => {
                let default = json!(default);
                seen(client.get_string_details(flag, None, None).await, default)
            }
        }
    }

    async fn ask_native(&self, flag: &str, asked: Asked, context: &EvaluationContext) -> Seen {
        // One macro, since the details' type differs with the value's.
        macro_rules! ask {
            ($default:expr) => {{
                let details = self.goff.evaluate(flag, context, $default).await;
                Seen {
                    reason: details.reason().as_str().to_owned(),
                    variant: details.variant().map(str::to_owned),
                    metadata: details.metadata().clone(),
                    error_code: details
                        .error()
                        .map(|error| error.code().as_str().to_owned()),
                    message: details.error().map(ToString::to_string).unwrap_or_default(),
                    value: json!(details.value),
                }
            }};
        }
        match asked {
            Asked::Bool(default) => ask!(default),
            Asked::Int(default) => ask!(default),
            Asked::Float(default) => ask!(default),
            Asked::Text(default) => ask!(default.to_owned()),
            Asked::Object(default) => ask!(default),
        }
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

fn seen<T: Into<Value>>(
    details: Result<EvaluationDetails<T>, EvaluationError>,
    default: Value,
) -> Seen {
    seen_with(details, default, Into::into)
}

fn seen_with<T>(
    details: Result<EvaluationDetails<T>, EvaluationError>,
    default: Value,
    value: impl FnOnce(T) -> Value,
) -> Seen {
    match details {
        Ok(details) => Seen {
            value: value(details.value),
            reason: details
                .reason
                .map(|reason| reason.to_string())
                .unwrap_or_default(),
            variant: details.variant,
            metadata: details
                .flag_metadata
                .values
                .into_iter()
                .map(|(key, value)| (key, scalar(value)))
                .collect(),
            error_code: None,
            message: String::new(),
        },
        Err(error) => Seen {
            value: default,
            reason: "ERROR".to_owned(),
            error_code: Some(error.code.to_string()),
            message: error.message.unwrap_or_default(),
            ..Seen::default()
        },
    }
}

fn scalar(value: FlagMetadataValue) -> Value {
    match value {
        FlagMetadataValue::Bool(value) => value.into(),
        FlagMetadataValue::Int(value) => value.into(),
        FlagMetadataValue::Float(value) => value.into(),
        FlagMetadataValue::String(value) => value.into(),
    }
}

fn json_of(value: &open_feature::Value) -> Value {
    match value {
        open_feature::Value::Bool(value) => json!(value),
        open_feature::Value::Int(value) => json!(value),
        open_feature::Value::Float(value) => json!(value),
        open_feature::Value::String(value) => json!(value),
        open_feature::Value::Array(items) => items.iter().map(json_of).collect(),
        open_feature::Value::Struct(object) => Value::Object(
            object
                .fields
                .iter()
                .map(|(name, value)| (name.clone(), json_of(value)))
                .collect(),
        ),
    }
}
