//! The evaluation context as the engine reads it.

use serde_json::{Map, Value};

/// An evaluation context: who or what a flag is evaluated for.
///
/// The engine reads a context only through this trait, so that a caller can
/// lend its own representation instead of building a JSON document. It is
/// implemented for [`serde_json::Map`], where the targeting key is the member
/// `targetingKey` if that is a string.
///
/// # Contract
///
/// An evaluation calls [`targeting_key`](Self::targeting_key) once,
/// [`attribute`](Self::attribute) at most a few times for the same name, and
/// [`for_each`](Self::for_each) only for the JSONLogic expression
/// `{"var": ""}`. The results must not change during an evaluation and must be
/// those of the JSON document that the official engine receives. In particular
/// `attribute` and `for_each` include the targeting key under the name
/// `targetingKey`. The engine itself adds the enrichment and the names that
/// queries always see (`key`, `targetingKey`, `anonymous`).
///
/// ```
/// use goff_engine::{Attribute, Attributes};
///
/// struct Customer { id: String, seats: i64 }
///
/// impl Attributes for Customer {
///     fn targeting_key(&self) -> Option<&str> {
///         Some(&self.id)
///     }
///     fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
///         match name {
///             "targetingKey" => Some(Attribute::Str(&self.id)),
///             "seats" => Some(Attribute::Int(self.seats)),
///             _ => None,
///         }
///     }
///     fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
///         visit("targetingKey", Attribute::Str(&self.id));
///         visit("seats", Attribute::Int(self.seats));
///     }
/// }
/// ```
pub trait Attributes {
    /// The key that identifies the subject; `None` and the empty string mean the same.
    fn targeting_key(&self) -> Option<&str>;

    /// The attribute called `name`, or `None` if the context has none of that name.
    fn attribute(&self, name: &str) -> Option<Attribute<'_>>;

    /// Calls `visit` for every attribute, once each, in any order.
    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>));
}

/// One attribute of an evaluation context.
///
/// Numbers go through a double, as they do in the official engine: an integer
/// beyond 2⁵³ loses its last digits, a [`Float`](Self::Float) without a
/// fraction is an integer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Attribute<'a> {
    /// Present, and null.
    Null,
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A number; one that is not finite is treated as [`Unreadable`](Self::Unreadable).
    Float(f64),
    /// Text that lives as long as the context.
    Str(&'a str),
    /// Text made for this evaluation, such as a formatted date.
    Text(Box<str>),
    /// Any JSON value that lives as long as the context.
    Json(&'a Value),
    /// An object that lives as long as the context.
    Object(&'a Map<String, Value>),
    /// Any JSON value made for this evaluation.
    Owned(Box<Value>),
    /// An attribute that has no JSON form: reading it ends the evaluation with
    /// [`ErrorCode::InvalidContext`](crate::ErrorCode::InvalidContext).
    Unreadable,
}

impl Attributes for Map<String, Value> {
    fn targeting_key(&self) -> Option<&str> {
        self.get(TARGETING_KEY).and_then(Value::as_str)
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.get(name).map(Attribute::Json)
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        for (name, value) in self {
            visit(name, Attribute::Json(value));
        }
    }
}

impl<A: Attributes + ?Sized> Attributes for &A {
    fn targeting_key(&self) -> Option<&str> {
        (**self).targeting_key()
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        (**self).attribute(name)
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        (**self).for_each(visit);
    }
}

pub(crate) const TARGETING_KEY: &str = "targetingKey";
