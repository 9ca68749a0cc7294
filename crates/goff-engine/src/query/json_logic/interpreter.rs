//! Evaluation of rules that are not compiled.

use std::cell::{Cell, OnceCell, RefCell};

use super::{
    number,
    value::{List, Object, Text, Value},
};
use crate::{
    configuration::{compact_json::CompactJson, repeated::keep_last},
    evaluate::{
        attributes::Attributes,
        observer::Observer,
        operand::Fetched,
        scope::{Name, Scope, Unreadable},
        work::{STEP, Work},
    },
    query::stop::Stop,
};

pub(super) type Outcome<'v> = Result<Value<'v>, Stop>;

/// What `var` reads: the context as queries see it, or an element of a list.
#[derive(Clone, Debug)]
pub(super) enum Data<'v> {
    Root,
    Value(Value<'v>),
}

/// The context as a trait object, so that the interpreter is not generic.
trait Root<'v> {
    fn member(&self, name: &str) -> Outcome<'v>;
    fn whole(&self) -> Outcome<'v>;
}

/// Evaluates one rule once.
pub(super) struct Interpreter<'e, 'v, O> {
    root: &'e dyn Root<'v>,
    whole: OnceCell<Value<'v>>,
    /// Attributes that the context creates for each read, cached after the first.
    made: RefCell<Vec<(Box<str>, Value<'v>)>>,
    steps_left: Cell<usize>,
    /// What the evaluation may still do.
    work: &'e Work,
    depth: Cell<usize>,
    pub(super) observer: O,
}

/// The most steps of one rule: evaluated nodes, visited elements, and blocks of text.
///
/// The official engine has no such limit. It keeps a rule well under 10 ms; one
/// that exceeds it matches no context.
pub(super) const MAX_STEPS: usize = 60_000;

/// Deepest nesting of evaluations; rules alone reach half of it at most.
const MAX_DEPTH: usize = 512;

impl<'e, 'v, O: Observer> Interpreter<'e, 'v, O> {
    pub(super) fn new<A: Attributes + ?Sized>(
        scope: &'e Scope<'v, A>,
        work: &'e Work,
        observer: O,
    ) -> Self
    where
        'v: 'e,
    {
        Self {
            root: scope,
            whole: OnceCell::new(),
            made: RefCell::new(Vec::new()),
            steps_left: Cell::new(MAX_STEPS),
            work,
            depth: Cell::new(0),
            observer,
        }
    }

    pub(super) fn matches(&self, rule: &'v CompactJson) -> Result<bool, Unreadable> {
        let outcome = self.evaluate(&Value::from(rule), &Data::Root);
        Stop::resolve(outcome.map(|value| value.matches()), self.observer)
    }

    pub(super) fn spend(&self, steps: usize) -> Result<(), Stop> {
        let left = self
            .steps_left
            .get()
            .checked_sub(steps)
            .ok_or(Stop::Abort)?;
        self.steps_left.set(left);
        if self.work.spend(steps.saturating_mul(STEP)) {
            Ok(())
        } else {
            Err(Stop::Abort)
        }
    }

    pub(super) fn spend_text(&self, bytes: usize) -> Result<(), Stop> {
        self.spend(bytes / STEP)
    }

    pub(super) fn evaluate(&self, value: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        self.spend(1)?;
        match value {
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => Ok(value.clone()),
            Value::ZeroMarker => Err(Stop::Abort),
            Value::List(list) => self.evaluate_list(list, data),
            Value::Object(object) => self.apply(object, data),
        }
    }

    fn evaluate_list(&self, list: &List<'v>, data: &Data<'v>) -> Outcome<'v> {
        let depth = self.deeper()?;
        self.spend(list.len())?;
        let elements = list
            .iter()
            .map(|element| self.evaluate(&element, data))
            .collect::<Result<Vec<_>, _>>()?;
        self.depth.set(depth);
        Ok(Value::list(elements))
    }

    /// An object with one member is an operator; any other is a value.
    pub(super) fn apply(&self, object: &Object<'v>, data: &Data<'v>) -> Outcome<'v> {
        let Some((operator, argument)) = object.single() else {
            return Ok(Value::Object(object.clone()));
        };
        let depth = self.deeper()?;
        let value = self.operate(operator.as_str(), &argument, data)?;
        self.depth.set(depth);
        Ok(value)
    }

    /// Counts one level of nesting and returns the count to go back to.
    fn deeper(&self) -> Result<usize, Stop> {
        let depth = self.depth.get();
        if depth >= MAX_DEPTH {
            return Err(Stop::Abort);
        }
        self.depth.set(depth + 1);
        Ok(depth)
    }

    /// The data as a value.
    pub(super) fn whole(&self, data: &Data<'v>) -> Outcome<'v> {
        match data {
            Data::Value(value) => Ok(value.clone()),
            Data::Root => {
                if let Some(whole) = self.whole.get() {
                    return Ok(whole.clone());
                }
                let whole = self.root.whole()?;
                if let Value::Object(object) = &whole {
                    self.spend(object.len())?;
                }
                Ok(self.whole.get_or_init(|| whole).clone())
            }
        }
    }

    /// The operator `var`.
    pub(super) fn variable(&self, argument: &Value<'v>, data: &Data<'v>) -> Outcome<'v> {
        let argument = self.evaluate(argument, data)?;
        let (path, default) = match &argument {
            Value::Null => {
                return match data {
                    Data::Value(Value::Bool(_) | Value::Number(_) | Value::Text(_)) => {
                        self.whole(data)
                    }
                    _ => Ok(Value::Null),
                };
            }
            Value::Number(number) => (Text::Made(number::plain(*number).into()), Value::Null),
            Value::Text(path) => (path.clone(), Value::Null),
            Value::List(list) => {
                let default = if list.len() == 2 { list.get(1) } else { None };
                match list.get(0) {
                    None => return self.whole(data),
                    Some(Value::Text(path)) => {
                        return self.lookup(path.as_str(), data, default.unwrap_or(Value::Null));
                    }
                    Some(_) => return Err(Stop::Abort),
                }
            }
            // Without data the path does not matter.
            _ if matches!(data, Data::Value(Value::Null)) => return Ok(Value::Null),
            _ => return Err(Stop::Abort),
        };
        if path.as_str().is_empty() {
            return self.whole(data);
        }
        self.lookup(path.as_str(), data, default)
    }

    fn attribute(&self, name: &str) -> Outcome<'v> {
        self.spend(self.made.borrow().len() / STEP)?;
        if let Some((_, value)) = self.made.borrow().iter().find(|(made, _)| **made == *name) {
            return Ok(value.clone());
        }
        let value = self.root.member(name)?;
        if let Value::List(List::Made(_))
        | Value::Object(Object::Made(_))
        | Value::Text(Text::Made(_)) = &value
        {
            self.made.borrow_mut().push((name.into(), value.clone()));
        }
        Ok(value)
    }

    fn lookup(&self, path: &str, data: &Data<'v>, default: Value<'v>) -> Outcome<'v> {
        self.spend_text(path.len())?;
        let mut segments = path.split('.').filter(|segment| !segment.is_empty());
        let mut current = match data {
            Data::Value(value) => value.clone(),
            Data::Root => match segments.next() {
                None => return self.whole(data),
                Some(segment) => self.attribute(segment)?,
            },
        };
        if matches!(current, Value::Null) {
            return Ok(default);
        }
        for segment in segments {
            self.spend(1)?;
            let member = match &current {
                Value::Object(object) => object.get(segment),
                Value::List(list) => number::index(segment).and_then(|index| list.get(index)),
                _ => None,
            };
            current = match member {
                None | Some(Value::Null) => return Ok(default),
                Some(member) => member,
            };
        }
        Ok(current)
    }
}

impl<'v, A: Attributes + ?Sized> Root<'v> for Scope<'v, A> {
    fn member(&self, name: &str) -> Outcome<'v> {
        value(self.visible(&Name::new(name)), name)
    }

    fn whole(&self) -> Outcome<'v> {
        let mut members: Vec<(Text<'v>, Value<'v>)> = Vec::new();
        let mut unreadable = None;
        self.attributes.for_each(&mut |name, attribute| match value(
            Fetched::from_context(attribute),
            name,
        ) {
            Ok(value) => members.push((Text::Lent(name), value)),
            Err(stop) => unreadable = Some(stop),
        });
        if let Some(stop) = unreadable {
            return Err(stop);
        }
        for (name, enriched) in self.enrichment.into_iter().flatten() {
            members.push((Text::Lent(name), Value::from(enriched)));
        }
        for name in Name::always_visible() {
            let visible = value(self.visible(&name), name.text())?;
            members.push((Text::Made(name.text().into()), visible));
        }
        keep_last(&mut members, |(name, _)| name.as_str());
        Ok(Value::Object(Object::Made(members.into())))
    }
}

fn value<'v>(fetched: Fetched<'v>, name: &str) -> Outcome<'v> {
    match fetched {
        Fetched::Plain(operand) => Ok(Value::from(operand)),
        Fetched::Text(text) => Ok(Value::text(text)),
        Fetched::Owned(owned) => Ok(Value::copied(&owned)),
        Fetched::Unreadable => Err(Unreadable(name.into()).into()),
    }
}
