//! Rules that need no interpreter: conditions on attributes and literals.

use std::fmt;

use super::{
    comparison::{Comparable, less, less_or_equal, loosely_equal, strictly_equal},
    described, number,
};
use crate::{
    configuration::compact_json::CompactJson,
    evaluate::{
        attributes::Attributes,
        observer::Observer,
        operand::Operand,
        scope::{NameTable, Slot, Slots, Unreadable},
        seen::{Condition, SeenValue, separate, write_operand, write_text},
        work::Work,
    },
    presentable::excerpt,
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
    pub(super) fn matches<'a, A: Attributes + ?Sized, O: Observer>(
        &self,
        slots: &Slots<'_, 'a, A, O>,
    ) -> Result<bool, Unreadable> {
        Stop::resolve(self.holds(slots), slots.observer)
    }

    fn holds<'a, A: Attributes + ?Sized, O: Observer>(
        &self,
        slots: &Slots<'_, 'a, A, O>,
    ) -> Result<bool, Stop> {
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
                let holds = comparison.holds(left.into(), right.into());
                slots.observer.operation(|| {
                    let right = Side::Term(&pair.1, right);
                    described(
                        slots,
                        comparison.operator(),
                        (&pair.0, left),
                        &right,
                        Some(holds),
                    )
                });
                holds
            }
            Self::In(needle, elements) => {
                let value = needle.value(slots)?;
                let outcome = contained(value, elements);
                slots.observer.operation(|| {
                    let holds = outcome.as_ref().ok().copied();
                    described(slots, "in", (needle, value), &Side::List(elements), holds)
                });
                outcome?
            }
            Self::Within(pair) => {
                let (needle, hay) = values_of(pair, slots)?;
                let outcome = match (needle, hay) {
                    (Operand::Str(needle), Operand::Str(text)) => {
                        spend_on(hay, &slots.work)?;
                        Ok(text.contains(needle))
                    }
                    _ => Err(Stop::Abort),
                };
                slots.observer.operation(|| {
                    let holds = outcome.as_ref().ok().copied();
                    let right = Side::Term(&pair.1, hay);
                    described(slots, "in", (&pair.0, needle), &right, holds)
                });
                outcome?
            }
        })
    }
}

/// The right side of a comparison.
enum Side<'e, 's> {
    Term(&'e Term, Operand<'s>),
    List(&'e [Scalar]),
}

/// A comparison in words.
fn described<'a, A: Attributes + ?Sized, O>(
    slots: &Slots<'_, 'a, A, O>,
    operator: &str,
    (term, left): (&Term, Operand<'_>),
    right: &Side<'_, '_>,
    holds: Option<bool>,
) -> Condition {
    let write_list = |list: &[Scalar], out: &mut dyn fmt::Write| {
        out.write_char('[')?;
        for (index, element) in list.iter().enumerate() {
            separate(index, out)?;
            write_operand(element.operand(), out)?;
        }
        out.write_char(']')
    };
    let (seen, side) = match right {
        Side::Term(_, value) => (SeenValue::new(*value), Comparable::from(*value)),
        Side::List(list) => {
            let list = SeenValue::written("list", |out| write_list(list, out));
            (list, Comparable::Other)
        }
    };
    let write = |out: &mut dyn fmt::Write| {
        write!(out, "{{\"{operator}\":[")?;
        term.write(slots, out)?;
        out.write_char(',')?;
        match right {
            Side::Term(term, _) => term.write(slots, out)?,
            Side::List(list) => write_list(list, out)?,
        }
        out.write_str("]}")
    };
    let seen = vec![SeenValue::new(left), seen];
    described::comparison(operator, write, seen, (left.into(), side), holds)
}

impl Comparison {
    #[inline]
    pub(super) fn holds(self, left: Comparable<'_>, right: Comparable<'_>) -> bool {
        match self {
            Self::Equal => loosely_equal(left, right),
            Self::NotEqual => !loosely_equal(left, right),
            Self::StrictlyEqual => strictly_equal(left, right),
            Self::StrictlyNotEqual => !strictly_equal(left, right),
            Self::Less => less(left, right),
            Self::LessOrEqual => less_or_equal(left, right),
            Self::Greater => less(right, left),
            Self::GreaterOrEqual => less_or_equal(right, left),
        }
    }

    fn operator(self) -> &'static str {
        match self {
            Self::Equal => "==",
            Self::NotEqual => "!=",
            Self::StrictlyEqual => "===",
            Self::StrictlyNotEqual => "!==",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

#[inline]
fn values_of<'s, 'e: 's, 'a: 's, A: Attributes + ?Sized, O>(
    pair: &'e Pair,
    slots: &Slots<'s, 'a, A, O>,
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
    fn value<'s, 'e: 's, 'a: 's, A: Attributes + ?Sized, O>(
        &'e self,
        slots: &Slots<'s, 'a, A, O>,
    ) -> Result<Operand<'s>, Unreadable> {
        match self {
            Self::Literal(scalar) => Ok(scalar.operand()),
            Self::Variable(slot) => slots.get(*slot),
            Self::Path(path) => path.value(slots),
        }
    }

    /// Writes the term as the rule does.
    fn write<'a, A: Attributes + ?Sized, O>(
        &self,
        slots: &Slots<'_, 'a, A, O>,
        out: &mut dyn fmt::Write,
    ) -> fmt::Result {
        let (root, segments, default) = match self {
            Self::Literal(scalar) => return write_operand(scalar.operand(), out),
            Self::Variable(slot) => (*slot, &[][..], &Scalar::Null),
            Self::Path(path) => (path.root, &*path.segments, &path.default),
        };
        out.write_str("{\"var\":")?;
        let names = std::iter::once(slots.name(root)).chain(segments.iter().map(|name| &**name));
        let path = excerpt(MOST_OF_PATH, |out| {
            for (index, name) in names.enumerate() {
                out.write_str(if index > 0 { "." } else { "" })?;
                out.write_str(name)?;
            }
            Ok(())
        });
        if *default == Scalar::Null {
            write_text(&path, out)?;
        } else {
            out.write_char('[')?;
            write_text(&path, out)?;
            out.write_char(',')?;
            write_operand(default.operand(), out)?;
            out.write_char(']')?;
        }
        out.write_char('}')
    }
}

const MOST_OF_PATH: usize = 160;

impl Path {
    fn value<'s, 'e: 's, 'a: 's, A: Attributes + ?Sized, O>(
        &'e self,
        slots: &Slots<'s, 'a, A, O>,
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

    pub(super) fn operand(&self) -> Operand<'_> {
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

pub(super) fn contained(needle: Operand<'_>, elements: &[Scalar]) -> Result<bool, Stop> {
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
