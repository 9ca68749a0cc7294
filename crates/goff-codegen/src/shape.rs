//! The type of a flag, from its values.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::names;

/// What values of a flag, of a member or of an item look like.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Shape {
    Boolean,
    Integer,
    Float,
    Text,
    /// One of these texts, which are words.
    Choice(Vec<String>),
    List(Box<Self>),
    /// A struct: every member is a word.
    Object(Vec<Member>),
    /// An object of which no struct can be made.
    AnyObject,
    /// Anything.
    Any,
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) field: String,
    pub(crate) shape: Shape,
    /// Whether some objects have it not, or null.
    pub(crate) is_optional: bool,
}

impl Shape {
    /// The shape that all of these values have.
    pub(crate) fn of(values: &[&Value]) -> Self {
        Self::of_level(values, 0)
    }

    fn of_level(values: &[&Value], level: usize) -> Self {
        let all = |is_one: fn(&Value) -> bool| values.iter().all(|value| is_one(value));
        if values.is_empty() || level > DEEPEST {
            Self::Any
        } else if all(Value::is_boolean) {
            Self::Boolean
        } else if all(Value::is_i64) {
            Self::Integer
        } else if all(Value::is_number) {
            Self::Float
        } else if all(Value::is_string) {
            Self::Text
        } else if all(Value::is_array) {
            let lists = values.iter().filter_map(|value| value.as_array());
            let items: Vec<&Value> = lists.flatten().collect();
            Self::List(Box::new(Self::of_level(&items, level + 1)))
        } else if all(Value::is_object) {
            Self::of_objects(values, level)
        } else {
            Self::Any
        }
    }

    fn of_objects(objects: &[&Value], level: usize) -> Self {
        let mut members: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
        for object in objects.iter().filter_map(|value| value.as_object()) {
            for (name, value) in object {
                let values = members.entry(name).or_default();
                if !value.is_null() {
                    values.push(value);
                }
            }
        }
        let members = members.into_iter().map(|(name, values)| {
            let is_optional = values.len() < objects.len();
            (name, Self::of_level(&values, level + 1), is_optional)
        });
        Self::object(members.collect())
    }

    /// A struct of these members, sorted by name, if they are words.
    fn object(members: Vec<(&str, Self, bool)>) -> Self {
        let words: Vec<&str> = members.iter().map(|(name, ..)| *name).collect();
        let Some(fields) = names::fields(&words) else {
            return Self::AnyObject;
        };
        let members = members.into_iter().zip(fields);
        Self::Object(
            members
                .map(|((name, shape, is_optional), field)| Member {
                    name: name.to_owned(),
                    field,
                    shape,
                    is_optional,
                })
                .collect(),
        )
    }

    /// The shape that a schema of a manifest describes.
    pub(crate) fn of_schema(schema: &Value) -> Self {
        Self::of_schema_level(schema, 0)
    }

    fn of_schema_level(schema: &Value, level: usize) -> Self {
        if level > DEEPEST {
            return Self::Any;
        }
        match schema.get("type").and_then(Value::as_str) {
            Some("boolean") => Self::Boolean,
            Some("integer") => Self::Integer,
            Some("number") => Self::Float,
            Some("string") => Self::Text,
            Some("array") => {
                let items = schema.get("items").unwrap_or(&Value::Null);
                Self::List(Box::new(Self::of_schema_level(items, level + 1)))
            }
            Some("object") => {
                let properties = schema.get("properties").and_then(Value::as_object);
                let required = schema.get("required").and_then(Value::as_array);
                let is_optional = |name: &str| {
                    !required.is_some_and(|required| required.iter().any(|one| one == name))
                };
                let mut members: Vec<(&str, Self, bool)> = properties
                    .into_iter()
                    .flatten()
                    .map(|(name, schema)| {
                        let shape = Self::of_schema_level(schema, level + 1);
                        (&**name, shape, is_optional(name))
                    })
                    .collect();
                members.sort_by_key(|(name, ..)| *name);
                Self::object(members)
            }
            _ => Self::Any,
        }
    }

    /// The shape with an enum in place of these texts, if they are words.
    pub(crate) fn with_choice(self, values: &[&Value]) -> Self {
        if self != Self::Text {
            return self;
        }
        let mut texts: Vec<&str> = values.iter().filter_map(|value| value.as_str()).collect();
        texts.sort_unstable();
        texts.dedup();
        match texts.len() > 1 && names::variants(&texts).is_some() {
            true => Self::Choice(texts.into_iter().map(ToOwned::to_owned).collect()),
            false => Self::Text,
        }
    }

    /// Whether a value has this shape.
    pub(crate) fn accepts(&self, value: &Value) -> bool {
        match self {
            Self::Boolean => value.is_boolean(),
            Self::Integer => value.is_i64(),
            Self::Float => value.is_number(),
            Self::Text => value.is_string(),
            Self::Choice(texts) => texts.iter().any(|text| value == text),
            Self::List(item) => value
                .as_array()
                .is_some_and(|items| items.iter().all(|value| item.accepts(value))),
            Self::Object(members) => value.as_object().is_some_and(|object| {
                members.iter().all(|member| match object.get(&member.name) {
                    None | Some(Value::Null) => member.is_optional,
                    Some(value) => member.shape.accepts(value),
                })
            }),
            Self::AnyObject => value.is_object(),
            Self::Any => true,
        }
    }

    /// What the documentation calls it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Boolean => "a boolean",
            Self::Integer => "an integer",
            Self::Float => "a number",
            Self::Text | Self::Choice(_) => "a string",
            Self::List(_) => "an array",
            Self::Object(_) | Self::AnyObject => "an object",
            Self::Any => "a JSON value",
        }
    }
}

/// Levels of an object that become structs; what is below is JSON.
const DEEPEST: usize = 8;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(values: &[Value], expected: Shape) {
        let values: Vec<&Value> = values.iter().collect();
        let shape = Shape::of(&values).with_choice(&values);
        assert_eq!(shape, expected, "{values:?}");
        if expected != Shape::Any {
            assert!(values.iter().all(|value| shape.accepts(value)));
            assert!(!shape.accepts(&Value::Null));
        }
    }

    fn member(name: &str, shape: Shape, is_optional: bool) -> Member {
        Member {
            name: name.to_owned(),
            field: name.to_owned(),
            shape,
            is_optional,
        }
    }

    #[test]
    fn values_have_the_narrowest_shape_of_all() {
        check(&[json!(true), json!(false)], Shape::Boolean);
        check(&[json!(1), json!(-2)], Shape::Integer);
        check(&[json!(1), json!(2.5)], Shape::Float);
        check(&[json!(u64::MAX)], Shape::Float);
        check(&[json!("Sunny days!"), json!("x")], Shape::Text);
        check(&[json!("only")], Shape::Text);
        let plans = ["free", "pro"].map(str::to_owned).to_vec();
        check(&[json!("pro"), json!("free")], Shape::Choice(plans));
        let list = Shape::List(Box::new(Shape::Integer));
        check(&[json!([]), json!([1, 2])], list);
        check(&[json!([])], Shape::List(Box::new(Shape::Any)));
        check(&[json!({})], Shape::AnyObject);
        check(&[json!({"a": 1, "A": 2})], Shape::AnyObject);
        check(&[json!({"a b": 1})], Shape::AnyObject);
        check(&[json!(1), json!("1")], Shape::Any);
        let members = vec![
            member("a", Shape::Float, false),
            member("b", Shape::Text, true),
            member("c", Shape::Any, true),
        ];
        check(
            &[
                json!({"a": 1, "b": "x", "c": null}),
                json!({"a": 1.5, "b": null}),
            ],
            Shape::Object(members),
        );
    }

    #[test]
    fn deep_objects_end_in_json() {
        let deep = (0..500).fold(json!(1), |value, _| json!({"a": value}));
        let mut shape = &Shape::of(&[&deep]);
        let mut levels = 0;
        while let Shape::Object(members) = shape {
            shape = &members[0].shape;
            levels += 1;
        }
        assert_eq!((levels, shape), (DEEPEST + 1, &Shape::Any));
    }

    #[test]
    fn a_schema_has_a_shape() {
        let schema = json!({
            "type": "object",
            "required": ["b"],
            "properties": {
                "b": {"type": "array", "items": {"type": "string"}},
                "a": {"type": "number"},
            }
        });
        let members = vec![
            member("a", Shape::Float, true),
            member("b", Shape::List(Box::new(Shape::Text)), false),
        ];
        assert_eq!(Shape::of_schema(&schema), Shape::Object(members));
        assert_eq!(
            Shape::of_schema(&json!({"type": "object"})),
            Shape::AnyObject
        );
        assert_eq!(Shape::of_schema(&json!(7)), Shape::Any);
    }
}
