//! Rules that need no interpreter: conditions on attributes and literals.

use super::{
    comparison::{less, less_or_equal, loosely_equal, strictly_equal},
    number,
};
use crate::{
    configuration::compact_json::CompactJson,
    evaluate::{
        attributes::Attributes,
        operand::Operand,
        scope::{NameTable, Slot, Slots, Unreadable},
        work::Work,
    },
    query::stop::Stop,
};

/// A rule whose every part is a boolean.
#[derive(Clone, Debug)]
pub(crate) enum Expression {
    All(Box<[Expression]>),
    Any(Box<[Expression]>),
    Not(Box<Expression>),
    Compare(Comparison, Pair),
    In(Term, Box<[Scalar]>),
    /// Substring search.
    Within(Pair),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    StrictlyEqual,
    StrictlyNotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

type Pair = Box<(Term, Term)>;

#[derive(Clone, Debug)]
pub(crate) enum Term {
    Literal(Scalar),
    Variable(Slot),
    Path(Box<Path>),
}

#[derive(Clone, Debug)]
pub(crate) struct Path {
    root: Slot,
    segments: Box<[Box<str>]>,
    default: Scalar,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text(Box<str>),
}

impl Expression {
    /// Compiles a rule, or leaves it to the interpreter.
    pub(super) fn compile(rule: &CompactJson, names: &mut NameTable) -> Option<Self> {
        let CompactJson::Object(members) = rule else {
            return None;
        };
        let [(operator, argument)] = &**members else {
            return None;
        };
        match (&**operator, argument) {
            ("and", CompactJson::List(list)) if !list.is_empty() => {
                Self::several(list, names).map(Self::All)
            }
            ("or", CompactJson::List(list)) if !list.is_empty() => {
                Self::several(list, names).map(Self::Any)
            }
            ("!", CompactJson::List(list)) => match &**list {
                [only] => Self::compile(only, names).map(|inner| Self::Not(Box::new(inner))),
                _ => None,
            },
            ("!", argument) => {
                Self::compile(argument, names).map(|inner| Self::Not(Box::new(inner)))
            }
            ("in", CompactJson::List(list)) => match &**list {
                [needle, CompactJson::List(elements)] => {
                    let mut scalars = Vec::with_capacity(elements.len());
                    for element in elements {
                        scalars.push(Scalar::compile(element)?);
                    }
                    Some(Self::In(Term::compile(needle, names)?, scalars.into()))
                }
                [needle, hay @ CompactJson::Text(_)] => {
                    Self::pair(needle, hay, names).map(Self::Within)
                }
                _ => None,
            },
            (operator, CompactJson::List(list)) => {
                let [left, right] = &**list else {
                    return None;
                };
                let comparison = match operator {
                    "==" => Comparison::Equal,
                    "!=" => Comparison::NotEqual,
                    "===" => Comparison::StrictlyEqual,
                    "!==" => Comparison::StrictlyNotEqual,
                    "<" => Comparison::Less,
                    "<=" => Comparison::LessOrEqual,
                    ">" => Comparison::Greater,
                    ">=" => Comparison::GreaterOrEqual,
                    _ => return None,
                };
                Self::pair(left, right, names).map(|pair| Self::Compare(comparison, pair))
            }
            _ => None,
        }
    }

    fn pair(left: &CompactJson, right: &CompactJson, names: &mut NameTable) -> Option<Pair> {
        Some(Box::new((
            Term::compile(left, names)?,
            Term::compile(right, names)?,
        )))
    }

    fn several(list: &[CompactJson], names: &mut NameTable) -> Option<Box<[Self]>> {
        let mut several = Vec::with_capacity(list.len());
        for rule in list {
            several.push(Self::compile(rule, names)?);
        }
        Some(several.into())
    }

    #[inline]
    pub(super) fn matches<'a, A: Attributes + ?Sized>(
        &self,
        slots: &Slots<'_, 'a, A>,
    ) -> Result<bool, Unreadable> {
        Stop::resolve(self.holds(slots))
    }

    fn holds<'a, A: Attributes + ?Sized>(&self, slots: &Slots<'_, 'a, A>) -> Result<bool, Stop> {
        Ok(match self {
            Self::All(several) => {
                for one in several {
                    if !one.holds(slots)? {
                        return Ok(false);
                    }
                }
                true
            }
            Self::Any(several) => {
                for one in several {
                    if one.holds(slots)? {
                        return Ok(true);
                    }
                }
                false
            }
            Self::Not(inner) => !inner.holds(slots)?,
            Self::Compare(comparison, pair) => {
                let (left, right) = values_of(pair, slots)?;
                spend_on(left, &slots.work)?;
                spend_on(right, &slots.work)?;
                let (left, right) = (left.into(), right.into());
                match comparison {
                    Comparison::Equal => loosely_equal(left, right),
                    Comparison::NotEqual => !loosely_equal(left, right),
                    Comparison::StrictlyEqual => strictly_equal(left, right),
                    Comparison::StrictlyNotEqual => !strictly_equal(left, right),
                    Comparison::Less => less(left, right),
                    Comparison::LessOrEqual => less_or_equal(left, right),
                    Comparison::Greater => less(right, left),
                    Comparison::GreaterOrEqual => less_or_equal(right, left),
                }
            }
            Self::In(needle, elements) => contained(needle.value(slots)?, elements)?,
            Self::Within(pair) => match values_of(pair, slots)? {
                (Operand::Str(needle), hay @ Operand::Str(text)) => {
                    spend_on(hay, &slots.work)?;
                    text.contains(needle)
                }
                _ => return Err(Stop::Abort),
            },
        })
    }
}

#[inline]
fn values_of<'s, 'e: 's, 'a: 's, A: Attributes + ?Sized>(
    pair: &'e Pair,
    slots: &Slots<'s, 'a, A>,
) -> Result<(Operand<'s>, Operand<'s>), Unreadable> {
    Ok((pair.0.value(slots)?, pair.1.value(slots)?))
}

impl Term {
    fn compile(json: &CompactJson, names: &mut NameTable) -> Option<Self> {
        let CompactJson::Object(members) = json else {
            return Scalar::compile(json).map(Self::Literal);
        };
        let [(operator, argument)] = &**members else {
            return None;
        };
        if &**operator != "var" {
            return None;
        }
        let (path, default) = match argument {
            CompactJson::Text(path) => (path, Scalar::Null),
            CompactJson::List(list) => match &**list {
                [CompactJson::Text(path)] => (path, Scalar::Null),
                [CompactJson::Text(path), default] => (path, Scalar::compile(default)?),
                _ => return None,
            },
            _ => return None,
        };
        let mut segments = path.split('.').filter(|segment| !segment.is_empty());
        let root = names.slot(segments.next()?);
        let segments: Box<[Box<str>]> = segments.map(Box::from).collect();
        if segments.is_empty() && default == Scalar::Null {
            return Some(Self::Variable(root));
        }
        Some(Self::Path(Box::new(Path {
            root,
            segments,
            default,
        })))
    }

    #[inline]
    fn value<'s, 'e: 's, 'a: 's, A: Attributes + ?Sized>(
        &'e self,
        slots: &Slots<'s, 'a, A>,
    ) -> Result<Operand<'s>, Unreadable> {
        match self {
            Self::Literal(scalar) => Ok(scalar.operand()),
            Self::Variable(slot) => slots.get(*slot),
            Self::Path(path) => path.value(slots),
        }
    }
}

impl Path {
    fn value<'s, 'e: 's, 'a: 's, A: Attributes + ?Sized>(
        &'e self,
        slots: &Slots<'s, 'a, A>,
    ) -> Result<Operand<'s>, Unreadable> {
        let mut current = slots.get(self.root)?;
        for segment in &self.segments {
            current = match current {
                Operand::Object(members) => {
                    members.get(&**segment).map_or(Operand::Null, Operand::from)
                }
                Operand::List(elements) => number::index(segment)
                    .and_then(|index| elements.get(index))
                    .map_or(Operand::Null, Operand::from),
                _ => Operand::Null,
            };
        }
        Ok(match current {
            Operand::Null => self.default.operand(),
            value => value,
        })
    }
}

impl Scalar {
    fn compile(json: &CompactJson) -> Option<Self> {
        Some(match json {
            CompactJson::Null => Self::Null,
            CompactJson::Bool(value) => Self::Bool(*value),
            CompactJson::Number(value) => Self::Number(value.as_f64()?),
            CompactJson::Text(text) => Self::Text(text.clone()),
            CompactJson::List(_) | CompactJson::Object(_) => return None,
        })
    }

    fn operand(&self) -> Operand<'_> {
        match self {
            Self::Null => Operand::Null,
            Self::Bool(value) => Operand::Bool(*value),
            Self::Number(value) => Operand::Float(*value),
            Self::Text(text) => Operand::Str(text),
        }
    }
}

/// Counts the reading of a text.
#[inline]
fn spend_on(operand: Operand<'_>, work: &Work) -> Result<(), Stop> {
    match operand {
        Operand::Str(text) if !work.spend_on(text) => Err(Stop::Abort),
        _ => Ok(()),
    }
}

fn contained(needle: Operand<'_>, elements: &[Scalar]) -> Result<bool, Stop> {
    if let Operand::Str(needle) = needle {
        return Ok(elements
            .iter()
            .any(|element| matches!(element, Scalar::Text(text) if **text == *needle)));
    }
    let number = match needle {
        Operand::Int(value) => Some(value as f64),
        Operand::Float(value) => Some(value),
        _ => None,
    };
    for element in elements {
        let found = match (number, element, needle) {
            (Some(number), Scalar::Number(element), _) => *element == number,
            (Some(number), Scalar::Text(text), _) => {
                number::parse(text).map_or(0.0, |parsed| parsed.value) == number
            }
            (Some(_), Scalar::Null | Scalar::Bool(_), _) => return Err(Stop::Abort),
            (None, Scalar::Bool(element), Operand::Bool(needle)) => *element == needle,
            (None, Scalar::Null, Operand::Null) => true,
            _ => false,
        };
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
