//! Request bodies as the relay proxy reads them: with Go's `encoding/json`, whose words are in
//! its error answers.
//!
//! One value is read, whatever follows it; member names match in any letter case; a wrong type
//! is reported with Go's name for the right one and the place where it stands.

mod reader;

use std::fmt;

use serde_json::{Map, Number, Value};

pub(super) use reader::read;

/// A JSON value that knows where it stands.
#[derive(Debug)]
pub(super) struct Node {
    /// Bytes read once this value's type is known; where Go says that a type is wrong.
    offset: usize,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Null,
    Bool(bool),
    /// As it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// Why a body cannot be read.
#[derive(Debug)]
pub(super) enum BodyError {
    /// Neither empty nor `application/json`.
    ContentType,
    /// No JSON: what the answer says, and the error behind it.
    Json { says: String, cause: String },
}

impl BodyError {
    /// What the answer says.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::ContentType => "Unsupported Media Type",
            Self::Json { says, .. } => says,
        }
    }

    /// The status of the answer where the endpoint does not choose its own.
    pub(super) fn status(&self) -> u16 {
        match self {
            Self::ContentType => 415,
            Self::Json { .. } => 400,
        }
    }
}

/// The framework's words for the error, cause included.
impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (status, message) = (self.status(), self.message());
        write!(f, "code={status}, message={message}")?;
        match self {
            Self::ContentType => Ok(()),
            Self::Json { cause, .. } => write!(f, ", internal={cause}"),
        }
    }
}

impl Node {
    /// The value with every number a double, whole ones without a fraction; none if a number
    /// does not fit.
    fn to_value(&self, place: &mut Place) -> Value {
        match &self.kind {
            Kind::Null => Value::Null,
            Kind::Bool(value) => (*value).into(),
            Kind::Number(text) => match text.parse().ok().and_then(number) {
                Some(number) => Value::Number(number),
                None => {
                    // Seen one byte later than other types.
                    let (got, offset) = (format!("number {text}"), self.offset + 1);
                    place.report("float64", &got, offset);
                    Value::Null
                }
            },
            Kind::Text(text) => text.as_str().into(),
            Kind::List(elements) => elements
                .iter()
                .map(|element| element.to_value(place))
                .collect(),
            Kind::Object(members) => Value::Object(to_map(members, place)),
        }
    }

    fn kind(&self) -> &'static str {
        match self.kind {
            Kind::Null => "null",
            Kind::Bool(_) => "bool",
            Kind::Number(_) => "number",
            Kind::Text(_) => "string",
            Kind::List(_) => "array",
            Kind::Object(_) => "object",
        }
    }
}

fn to_map(members: &[(String, Node)], place: &mut Place) -> Map<String, Value> {
    members
        .iter()
        .map(|(name, value)| (name.clone(), value.to_value(place)))
        .collect()
}

/// A double as a JSON number: whole values as integers, so that they print without a fraction.
pub(super) fn number(value: f64) -> Option<Number> {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    let is_negative_zero = value == 0.0 && value.is_sign_negative();
    if value.fract() == 0.0 && !is_negative_zero && value.abs() < TWO_POW_63 {
        Some(Number::from(value as i64))
    } else {
        Number::from_f64(value)
    }
}

/// Where decoding is, and the first wrong type it met.
#[derive(Debug, Default)]
pub(super) struct Place {
    path: Vec<&'static str>,
    structs: Vec<&'static str>,
    error: Option<BodyError>,
}

impl Place {
    /// Reads a body into the structure that Go calls `type_name`. Decoding goes on after a wrong
    /// type; the first one is the error.
    pub(super) fn decode<T: Default>(
        body: &Node,
        type_name: &'static str,
        decode: impl FnOnce(&Members<'_>, &mut Self) -> T,
    ) -> Result<T, BodyError> {
        let mut place = Self::default();
        let decoded = place.structure(body, type_name, decode).unwrap_or_default();
        match place.error {
            Some(error) => Err(error),
            None => Ok(decoded),
        }
    }

    fn structure<T>(
        &mut self,
        node: &Node,
        type_name: &'static str,
        decode: impl FnOnce(&Members<'_>, &mut Self) -> T,
    ) -> Option<T> {
        match &node.kind {
            Kind::Null => None,
            Kind::Object(members) => {
                let name = type_name
                    .rsplit_once('.')
                    .map_or(type_name, |(_, name)| name);
                self.structs.push(name);
                let decoded = decode(&Members(members), self);
                self.structs.pop();
                Some(decoded)
            }
            _ => {
                self.wrong(node, type_name);
                None
            }
        }
    }

    /// Decodes what Go has in a structure inside the structure, without a name of its own.
    pub(super) fn inside<T>(
        &mut self,
        name: &'static str,
        decode: impl FnOnce(&mut Self) -> T,
    ) -> T {
        self.path.push(name);
        let decoded = decode(self);
        self.path.pop();
        decoded
    }

    fn wrong(&mut self, node: &Node, expected: &str) {
        self.report(expected, node.kind(), node.offset);
    }

    fn report(&mut self, expected: &str, got: &str, offset: usize) {
        let field = self.path.join(".");
        let target = match self.structs.last() {
            Some(name) if !field.is_empty() => format!("Go struct field {name}.{field}"),
            _ => "Go value".to_owned(),
        };
        self.error.get_or_insert_with(|| BodyError::Json {
            says: format!(
                "Unmarshal type error: expected={expected}, got={got}, field={field}, offset={offset}"
            ),
            cause: format!("json: cannot unmarshal {got} into {target} of type {expected}"),
        });
    }
}

/// The members of a structure.
#[derive(Debug)]
pub(super) struct Members<'n>(&'n [(String, Node)]);

impl Members<'_> {
    /// The last member of that name, in any letter case, unless it is null.
    fn get(&self, name: &str) -> Option<&Node> {
        let member = self.0.iter().rev();
        member
            .filter(|(member, _)| member.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .find(|value| !matches!(value.kind, Kind::Null))
    }

    fn at<T>(
        &self,
        name: &'static str,
        place: &mut Place,
        read: impl FnOnce(&Node, &mut Place) -> Option<T>,
    ) -> Option<T> {
        let node = self.get(name)?;
        place.path.push(name);
        let value = read(node, place);
        place.path.pop();
        value
    }

    pub(super) fn text(&self, name: &'static str, place: &mut Place) -> Option<String> {
        self.at(name, place, |node, place| match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            _ => {
                place.wrong(node, "string");
                None
            }
        })
    }

    pub(super) fn boolean(&self, name: &'static str, place: &mut Place) -> Option<bool> {
        self.at(name, place, |node, place| match node.kind {
            Kind::Bool(value) => Some(value),
            _ => {
                place.wrong(node, "bool");
                None
            }
        })
    }

    /// Anything; null if absent.
    pub(super) fn any(&self, name: &'static str, place: &mut Place) -> Value {
        self.at(name, place, |node, place| Some(node.to_value(place)))
            .unwrap_or_default()
    }

    /// An object with names of its own.
    pub(super) fn object(
        &self,
        name: &'static str,
        place: &mut Place,
    ) -> Option<Map<String, Value>> {
        self.at(name, place, object)
    }

    pub(super) fn structure<T>(
        &self,
        name: &'static str,
        type_name: &'static str,
        place: &mut Place,
        decode: impl FnOnce(&Members<'_>, &mut Place) -> T,
    ) -> Option<T> {
        self.at(name, place, |node, place| {
            place.structure(node, type_name, decode)
        })
    }

    pub(super) fn texts(&self, name: &'static str, place: &mut Place) -> Option<Vec<String>> {
        self.list(name, "[]string", place, |node, place| match &node.kind {
            Kind::Text(text) => text.clone(),
            Kind::Null => String::new(),
            _ => {
                place.wrong(node, "string");
                String::new()
            }
        })
    }

    /// A list of objects; null among them is an empty one.
    pub(super) fn objects(
        &self,
        name: &'static str,
        place: &mut Place,
    ) -> Option<Vec<Map<String, Value>>> {
        self.list(name, "[]map[string]interface {}", place, |node, place| {
            object(node, place).unwrap_or_default()
        })
    }

    fn list<T>(
        &self,
        name: &'static str,
        type_name: &str,
        place: &mut Place,
        element: impl Fn(&Node, &mut Place) -> T,
    ) -> Option<Vec<T>> {
        self.at(name, place, |node, place| match &node.kind {
            Kind::List(elements) => {
                Some(elements.iter().map(|node| element(node, place)).collect())
            }
            _ => {
                place.wrong(node, type_name);
                None
            }
        })
    }
}

fn object(node: &Node, place: &mut Place) -> Option<Map<String, Value>> {
    match &node.kind {
        Kind::Null => None,
        Kind::Object(members) => Some(to_map(members, place)),
        _ => {
            place.wrong(node, "map[string]interface {}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(body: &str) -> String {
        let decoded = read(body.as_bytes()).and_then(|node| {
            Place::decode(&node, "model.EvalFlagRequest", |members, place| {
                members.structure("user", "model.UserRequest", place, |user, place| {
                    user.text("key", place);
                    user.object("custom", place);
                });
                members.any("defaultValue", place);
            })
        });
        decoded.unwrap_err().message().to_owned()
    }

    /// As the relay proxy words them; the comparison with a real one asks for more.
    #[test]
    fn errors_are_worded_as_go_words_them() {
        for (body, says) in [
            (
                "{b",
                "Syntax error: offset=2, error=invalid character 'b' looking for beginning of object key string",
            ),
            ("", "EOF"),
            ("{\"a\":", "unexpected EOF"),
            (
                "[1,]",
                "Syntax error: offset=4, error=invalid character ']' looking for beginning of value",
            ),
            (
                "{\"a\":tru!}",
                "Syntax error: offset=9, error=invalid character '!' in literal true (expecting 'e')",
            ),
            (
                "[]",
                "Unmarshal type error: expected=model.EvalFlagRequest, got=array, field=, offset=1",
            ),
            (
                r#"{"user":{"key":1}}"#,
                "Unmarshal type error: expected=string, got=number, field=user.key, offset=16",
            ),
            (
                r#"{"user":{"custom":[]}}"#,
                "Unmarshal type error: expected=map[string]interface {}, got=array, field=user.custom, offset=19",
            ),
            (
                r#"{"user":"u"}"#,
                "Unmarshal type error: expected=model.UserRequest, got=string, field=user, offset=11",
            ),
            (
                r#"{"defaultValue":1e400}"#,
                "Unmarshal type error: expected=float64, got=number 1e400, field=defaultValue, offset=22",
            ),
        ] {
            assert_eq!(error(body), says, "{body}");
        }
    }

    #[test]
    fn one_value_is_read_with_names_in_any_case_and_repaired_text() {
        let node =
            read(b"{\"A\":\"\\ud83d\\ude00\\ud800\xff\",\"b\":[1.0,1e3,9007199254740993]} rest")
                .unwrap();
        let decoded = Place::decode(&node, "T", |members, place| {
            (members.text("a", place), members.any("B", place))
        });
        let (text, list) = decoded.unwrap();
        assert_eq!(text.as_deref(), Some("\u{1f600}\u{fffd}\u{fffd}"));
        assert_eq!(list.to_string(), "[1,1000,9007199254740992]");
    }
}
