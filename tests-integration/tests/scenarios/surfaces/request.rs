//! The request for an evaluation, independent of the API: the user and the default.

use goff_provider::Attribute;
use goff_provider::native::EvaluationContext;
use open_feature::EvaluationContextFieldValue;
use serde_json::{Value, json};

/// The user for whom a flag is evaluated.
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

    /// Without a targeting key.
    pub(crate) fn without_key() -> Self {
        Self::default()
    }

    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.attributes.push((name.to_owned(), value.into()));
        self
    }

    /// The user of the Python provider's tests, at whom the shared flags are targeted.
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
            context = context.attribute(name.as_str(), Attribute::from_serialize(value));
        }
        context.build()
    }

    pub(super) fn open_feature(&self) -> open_feature::EvaluationContext {
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

/// The `rate` of that user.
#[expect(clippy::approx_constant, reason = "the fixture has this number")]
const RATE: f64 = 3.14;

/// The caller's default, whose type is the requested one.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'static str),
    /// An object through OpenFeature, any JSON natively.
    Object(Value),
}

macro_rules! typed {
    ($($default:ty => $variant:ident,)*) => {
        $(impl From<$default> for Typed {
            fn from(value: $default) -> Self {
                Self::$variant(value)
            }
        })*
    };
}

typed! { bool => Bool, i64 => Int, f64 => Float, &'static str => Text, Value => Object, }

impl Typed {
    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::Float(value) => json!(value),
            Self::Text(value) => json!(value),
            Self::Object(value) => value.clone(),
        }
    }
}
