//! Operators on lists.

use std::rc::Rc;

use super::{
    interpreter::{Data, Interpreter, Outcome},
    value::{List, Object, Text, Value},
};
use crate::{
    evaluate::observer::Observer,
    query::{stop::Stop, truncation::truncated},
};

impl<'v, O: Observer> Interpreter<'_, 'v, O> {
    /// The list that a list operator works on: a literal list unevaluated, an object evaluated.
    fn subject(&self, frame: &List<'v>, data: &Data<'v>) -> Outcome<'v> {
        match frame.get(0) {
            Some(Value::List(list)) => Ok(Value::List(list)),
            Some(Value::Object(object)) => self.apply(&object, data),
            _ => Ok(Value::Null),
        }
    }

    /// The elements of that list; none for null.
    fn elements(&self, frame: &List<'v>, data: &Data<'v>) -> Result<Option<List<'v>>, Stop> {
        match self.subject(frame, data)? {
            Value::Null => Ok(None),
            Value::List(list) => Ok(Some(list)),
            _ => Err(Stop::Abort),
        }
    }

    pub(super) fn map(&self, argument: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        let frame = argument.as_list()?;
        let Some(expression) = frame.get(1) else {
            return Ok(Value::list(Vec::new()));
        };
        let Some(list) = self.elements(frame, data)? else {
            return Ok(Value::list(Vec::new()));
        };
        self.spend(list.len())?;
        let elements = list
            .iter()
            .map(|element| self.evaluate(&expression, &Data::Value(element)));
        elements.collect::<Result<_, _>>().map(Value::list)
    }

    pub(super) fn filter(&self, argument: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        let frame = argument.as_list()?;
        let Some(predicate) = frame.get(1) else {
            return Ok(Value::list(Vec::new()));
        };
        let Some(list) = self.elements(frame, data)? else {
            return Ok(Value::list(Vec::new()));
        };
        let predicate = self.resolved(&predicate, data, 0)?;
        let mut kept = Vec::new();
        for element in list.iter() {
            self.spend(1)?;
            let verdict = self.evaluate(&predicate, &Data::Value(element.clone()))?;
            if verdict.is_truthy() {
                kept.push(element);
            }
        }
        Ok(Value::list(kept))
    }

    pub(super) fn reduce(&self, argument: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        let frame = argument.as_list()?;
        let (Some(expression), Some(start)) = (frame.get(1), frame.get(2)) else {
            return Ok(Value::Number(0.0));
        };
        let start = match start {
            Value::Object(object) => self.apply(&object, data)?,
            start => start,
        };
        let kind = match start {
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::Text(_) => "string",
            _ => return Err(Stop::Abort),
        };
        let Some(list) = self.elements(frame, data)? else {
            return Ok(Value::Number(0.0));
        };
        let mut accumulator = start;
        for element in list.iter() {
            self.spend(1)?;
            if matches!(element, Value::Null) {
                continue;
            }
            let Value::Object(expression) = &expression else {
                return Err(Stop::Abort);
            };
            let members: [(Text<'v>, Value<'v>); 3] = [
                (Text::Lent("accumulator"), accumulator),
                (Text::Lent("current"), element),
                (Text::Lent("valueType"), Value::lent(kind)),
            ];
            let scope = Data::Value(Value::Object(Object::Made(Rc::new(members))));
            let value = self.apply(expression, &scope)?;
            accumulator = match kind {
                "bool" => Value::Bool(value.is_truthy()),
                "number" => Value::Number(self.number(&value)?),
                _ => Value::Text(self.text(&value)?),
            };
        }
        Ok(accumulator)
    }

    /// `all`, `some` and `none`.
    pub(super) fn quantifier(
        &self,
        operator: &str,
        argument: &Value<'v>,
        data: &Data<'v>,
    ) -> Outcome<'v> {
        let frame = argument.as_list()?;
        if frame.len() == 0 {
            return Err(Stop::Abort);
        }
        let subject = self.subject(frame, data)?;
        if !subject.is_truthy() {
            return Ok(Value::Bool(operator == "none"));
        }
        let predicate = frame.get(1).ok_or(Stop::Abort)?;
        let predicate = self.resolved(&predicate, data, 0)?;
        let (Value::List(list), Value::Object(predicate)) = (subject, predicate) else {
            return Err(Stop::Abort);
        };
        let stops_at = operator != "all";
        for element in list.iter() {
            self.spend(1)?;
            if self.apply(&predicate, &Data::Value(element))?.is_truthy() == stops_at {
                return Ok(Value::Bool(operator == "some"));
            }
        }
        Ok(Value::Bool(operator != "some"))
    }

    /// A predicate in which every `var` that the outer data knows is replaced by its value.
    fn resolved(&self, value: &Value<'v>, data: &Data<'v>, depth: usize) -> Outcome<'v> {
        self.spend(1)?;
        if depth > MAX_PREDICATE_DEPTH {
            return Err(Stop::Abort);
        }
        match value {
            Value::List(list) if list.len() > 0 => {
                let elements = list
                    .iter()
                    .map(|element| self.resolved(&element, data, depth + 1));
                elements.collect::<Result<_, _>>().map(Value::list)
            }
            Value::Object(object) if object.len() > 0 => {
                if let Some(path) = object.get("var") {
                    let of_element = matches!(&path, Value::Text(text)
                        if text.as_str().is_empty() || text.as_str().starts_with('.'));
                    if !of_element {
                        let found = self.variable(&path, data)?;
                        if !matches!(found, Value::Null) {
                            return Ok(found);
                        }
                    }
                }
                let mut members = object.members();
                for (name, member) in &mut members {
                    if name.as_str() != "var" {
                        *member = self.resolved(member, data, depth + 1)?;
                    }
                }
                Ok(Value::Object(Object::Made(members.into())))
            }
            _ => Ok(value.clone()),
        }
    }

    pub(super) fn contained(&self, list: &List<'v>) -> Result<bool, Stop> {
        let needle = list.get(0).ok_or(Stop::Abort)?;
        let elements = match list.get(1) {
            Some(Value::Text(hay)) => {
                let Value::Text(needle) = needle else {
                    return Err(Stop::Abort);
                };
                self.spend_text(hay.as_str().len().saturating_mul(4))?;
                return Ok(hay.as_str().contains(needle.as_str()));
            }
            Some(Value::List(elements)) => elements,
            _ => return Ok(false),
        };
        for element in elements.iter() {
            self.spend(1)?;
            let found = match (&element, &needle) {
                (Value::List(range), _) => self.in_range(&needle, range)?,
                (_, Value::Number(needle)) => self.number(&element)? == *needle,
                _ => self.same(&needle, &element)?,
            };
            if found {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn in_range(&self, needle: &Value<'v>, range: &List<'v>) -> Result<bool, Stop> {
        let (Some(low), Some(high)) = (range.get(0), range.get(1)) else {
            return Err(Stop::Abort);
        };
        let needle = self.number(needle)?;
        Ok(needle >= self.number(&low)? && self.number(&high)? >= needle)
    }

    /// Identity: same type and equal; lists and objects cannot be compared.
    fn same(&self, left: &Value<'v>, right: &Value<'v>) -> Result<bool, Stop> {
        match (left, right) {
            (Value::Null, Value::Null) | (Value::ZeroMarker, Value::ZeroMarker) => Ok(true),
            (Value::Bool(left), Value::Bool(right)) => Ok(left == right),
            (Value::Number(left), Value::Number(right)) => Ok(left == right),
            (Value::Text(left), Value::Text(right)) => {
                self.spend_text(left.as_str().len().min(right.as_str().len()))?;
                Ok(left.as_str() == right.as_str())
            }
            (Value::List(_), Value::List(_)) | (Value::Object(_), Value::Object(_)) => {
                Err(Stop::Abort)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn contains(&self, operator: &str, list: Option<&List<'v>>) -> Outcome<'v> {
        let (hay, wanted) = match list.map(|list| (list.len(), list.get(0), list.get(1))) {
            Some((2, Some(Value::List(hay)), Some(Value::List(wanted)))) => (hay, wanted),
            _ => return Ok(Value::Bool(operator == "contains_none")),
        };
        for element in wanted.iter() {
            let mut found = false;
            for candidate in hay.iter() {
                self.spend(1)?;
                if self.same(&candidate, &element)? {
                    found = true;
                    break;
                }
            }
            match (operator, found) {
                ("contains_all", false) | ("contains_none", true) => return Ok(Value::Bool(false)),
                ("contains_any", true) => return Ok(Value::Bool(true)),
                _ => {}
            }
        }
        Ok(Value::Bool(operator != "contains_any"))
    }

    pub(super) fn missing(&self, arguments: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        let names = match arguments {
            Value::Text(_) => vec![arguments.clone()],
            Value::List(list) => list.iter().collect(),
            _ => return Err(Stop::Abort),
        };
        self.absent(names, data).map(Value::list)
    }

    pub(super) fn missing_some(&self, list: &List<'v>, data: &Data<'v>) -> Outcome<'v> {
        let wanted = truncated(self.number(&list.get(0).ok_or(Stop::Abort)?)?);
        let names: Vec<_> = match list.get(1).ok_or(Stop::Abort)? {
            Value::List(names) if names.len() > 0 => names.iter().collect(),
            _ => return Ok(Value::list(Vec::new())),
        };
        let total = names.len();
        let absent = self.absent(names, data)?;
        let present = i64::try_from(total - absent.len()).unwrap_or(i64::MAX);
        Ok(Value::list(if wanted > present {
            absent
        } else {
            Vec::new()
        }))
    }

    fn absent(&self, names: Vec<Value<'v>>, data: &Data<'v>) -> Result<Vec<Value<'v>>, Stop> {
        let mut absent = Vec::new();
        for name in names {
            self.spend(1)?;
            if matches!(self.variable(&name, data)?, Value::Null) {
                absent.push(name);
            }
        }
        Ok(absent)
    }

    pub(super) fn merge(&self, arguments: &Value<'v>) -> Outcome<'v> {
        let list = match arguments {
            Value::Bool(_) | Value::Number(_) | Value::Text(_) => {
                return Ok(Value::list(vec![arguments.clone()]));
            }
            Value::List(list) => list,
            _ => return Err(Stop::Abort),
        };
        let mut merged = Vec::new();
        for element in list.iter() {
            self.spend(1)?;
            match element {
                Value::List(inner) => {
                    self.spend(inner.len())?;
                    merged.extend(inner.iter());
                }
                element => merged.push(element),
            }
        }
        Ok(Value::list(merged))
    }

    pub(super) fn set(&self, list: Option<&List<'v>>, data: &Data<'v>) -> Outcome<'v> {
        let Some(list) = list else {
            return Ok(Value::Null);
        };
        match (list.get(0), list.get(1), list.get(2)) {
            (Some(Value::Object(object)), Some(Value::Text(name)), Some(value)) => {
                let value = self.evaluate(&value, data)?;
                self.spend(object.len())?;
                let mut members = object.members();
                match members.binary_search_by(|(member, _)| member.as_str().cmp(name.as_str())) {
                    Ok(found) => {
                        if let Some((_, member)) = members.get_mut(found) {
                            *member = value;
                        }
                    }
                    Err(place) => members.insert(place, (name, value)),
                }
                Ok(Value::Object(Object::Made(members.into())))
            }
            (first, _, _) => Ok(first.unwrap_or(Value::Null)),
        }
    }
}

/// Deepest nesting of a predicate. The size limits keep rules below this.
const MAX_PREDICATE_DEPTH: usize = 512;
