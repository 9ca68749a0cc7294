//! Literals of the rule language, prepared for comparison.

use std::cmp::Ordering;

use super::{
    lexer::Operator,
    text::{self, Needle},
};
use crate::{
    evaluate::{operand::Operand, work::Work},
    query::truncation::truncated,
};

/// The six orderings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Eq,
    Ne,
    Gt,
    Lt,
    Ge,
    Le,
}

impl Comparison {
    fn of(operator: Operator) -> Option<Self> {
        Some(match operator {
            Operator::Eq => Self::Eq,
            Operator::Ne => Self::Ne,
            Operator::Gt => Self::Gt,
            Operator::Lt => Self::Lt,
            Operator::Ge => Self::Ge,
            Operator::Le => Self::Le,
            Operator::In | Operator::Co | Operator::Sw | Operator::Ew => return None,
        })
    }

    #[inline]
    pub(super) fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Eq => ordering.is_eq(),
            Self::Ne => ordering.is_ne(),
            Self::Gt => ordering.is_gt(),
            Self::Lt => ordering.is_lt(),
            Self::Ge => ordering.is_ge(),
            Self::Le => ordering.is_le(),
        }
    }
}

/// A test of an attribute. The literal's type selects the comparison
/// (docs/engine-semantics.md 17.4).
#[derive(Clone, Debug)]
pub(super) enum Test {
    Present,
    /// Whether the attribute is null (true), or is not (false).
    Null(bool),
    /// The value to be equal to: `ne true` is the test for false.
    Bool(bool),
    Text(Comparison, Box<str>),
    Contains(Box<Needle>),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    /// Sorted, as the other lists.
    TextIn(Box<[Box<str>]>),
    Int(Comparison, i64),
    IntIn(Box<[i64]>),
    Double(Comparison, f64),
    DoubleIn(Box<[f64]>),
    Version(Comparison, Box<semver::Version>),
    /// Always false, although the attribute is read.
    Never,
}

/// A literal as written.
#[derive(Clone, Debug)]
pub(super) enum Literal<'q> {
    Bool(&'q str),
    Null,
    Version(&'q str),
    Text(&'q str),
    Double(&'q str),
    Int(String),
    TextList(Vec<&'q str>),
    IntList(Vec<&'q str>),
    DoubleList(Vec<&'q str>),
}

/// The comparison is a query error: the whole query matches no context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct QueryError;

impl Test {
    pub(super) fn new(operator: Operator, literal: &Literal<'_>) -> Result<Self, QueryError> {
        let comparison = Comparison::of(operator);
        let searches = matches!(operator, Operator::Co | Operator::Sw | Operator::Ew);
        Ok(match literal {
            Literal::Text(text) => Self::text(operator, text),
            Literal::TextList(texts) if operator == Operator::In => {
                let mut texts: Box<[Box<str>]> = texts.iter().map(|text| (*text).into()).collect();
                texts.sort_unstable();
                Self::TextIn(texts)
            }
            Literal::TextList(_) => Self::Never,
            Literal::Int(_) | Literal::IntList(_) | Literal::Double(_) | Literal::DoubleList(_)
                if searches =>
            {
                return Err(QueryError);
            }
            Literal::Int(text) => {
                let value = text.parse().map_err(|_| QueryError)?;
                comparison.map_or(Self::Never, |comparison| Self::Int(comparison, value))
            }
            Literal::IntList(texts) => {
                let values: Result<Box<[i64]>, _> = texts.iter().map(|text| text.parse()).collect();
                let mut values = values.map_err(|_| QueryError)?;
                values.sort_unstable();
                if operator == Operator::In {
                    Self::IntIn(values)
                } else {
                    Self::Never
                }
            }
            Literal::Double(text) => match (comparison, finite(text)) {
                (Some(comparison), Some(value)) => Self::Double(comparison, value),
                _ => Self::Never,
            },
            Literal::DoubleList(texts) => {
                let values: Option<Box<[f64]>> = texts.iter().map(|text| finite(text)).collect();
                let mut values = values.ok_or(QueryError)?;
                values.sort_unstable_by(f64::total_cmp);
                if operator == Operator::In {
                    Self::DoubleIn(values)
                } else {
                    Self::Never
                }
            }
            Literal::Bool(text) => Self::Bool(equality(operator)? == (*text == "true")),
            Literal::Null => Self::Null(equality(operator)?),
            Literal::Version(text) => {
                let comparison = comparison.ok_or(QueryError)?;
                match version(text) {
                    Some(version) => Self::Version(comparison, Box::new(version)),
                    None => Self::Never,
                }
            }
        })
    }

    fn text(operator: Operator, literal: &str) -> Self {
        let literal = text::lowered(literal).into_boxed_str();
        match operator {
            Operator::Co => Self::Contains(Box::new(Needle::new(&literal))),
            Operator::Sw => Self::StartsWith(literal),
            Operator::Ew => Self::EndsWith(literal),
            _ => Comparison::of(operator)
                .map_or(Self::Never, |comparison| Self::Text(comparison, literal)),
        }
    }

    // Always: a sixth of the bench row "ten rules".
    #[inline(always)]
    pub(super) fn holds(&self, operand: Operand<'_>, work: &Work) -> bool {
        match self {
            Self::Present => !matches!(operand, Operand::Null),
            Self::Null(wanted) => matches!(operand, Operand::Null) == *wanted,
            Self::Bool(wanted) => matches!(operand, Operand::Bool(value) if value == *wanted),
            Self::Text(comparison, literal) => match (operand, comparison) {
                (Operand::Str(text), Comparison::Eq) => text::equal(text, literal),
                (Operand::Str(text), Comparison::Ne) => !text::equal(text, literal),
                (Operand::Str(text), _) => comparison.holds(text::compare(text, literal)),
                _ => false,
            },
            Self::Contains(needle) => match operand {
                Operand::Str(text) => work.spend_on(text) && needle.is_in(text),
                _ => false,
            },
            Self::StartsWith(literal) => match operand {
                Operand::Str(text) => text::starts_with(text, literal),
                _ => false,
            },
            Self::EndsWith(literal) => match operand {
                Operand::Str(text) => text::ends_with(text, literal),
                _ => false,
            },
            Self::TextIn(list) => match operand {
                Operand::Str(text) => is_in(list, |entry| (**entry).cmp(text)),
                _ => false,
            },
            Self::Int(comparison, literal) => match operand {
                Operand::Int(value) => comparison.holds(value.cmp(literal)),
                Operand::Float(value) => comparison.holds(truncated(value).cmp(literal)),
                _ => false,
            },
            Self::IntIn(list) => match operand {
                Operand::Int(value) => is_in(list, |entry| entry.cmp(&value)),
                _ => false,
            },
            Self::Double(comparison, literal) => double(operand)
                .and_then(|value| value.partial_cmp(literal))
                .is_some_and(|ordering| comparison.holds(ordering)),
            // The order of all doubles has -0 before 0, which are equal.
            Self::DoubleIn(list) => double(operand).is_some_and(|value| {
                is_in(list, |entry| {
                    entry.partial_cmp(&value).unwrap_or(Ordering::Less)
                })
            }),
            Self::Version(comparison, literal) => match operand {
                Operand::Str(text) if work.spend_on(text) => version(text)
                    .is_some_and(|version| comparison.holds(version.cmp_precedence(literal))),
                _ => false,
            },
            Self::Never => false,
        }
    }
}

/// Whether a sorted list has an entry that compares as equal.
#[inline]
fn is_in<T>(list: &[T], mut compare: impl FnMut(&T) -> Ordering) -> bool {
    if list.len() <= 8 {
        list.iter().any(|entry| compare(entry).is_eq())
    } else {
        list.binary_search_by(compare).is_ok()
    }
}

fn equality(operator: Operator) -> Result<bool, QueryError> {
    match operator {
        Operator::Eq => Ok(true),
        Operator::Ne => Ok(false),
        _ => Err(QueryError),
    }
}

fn double(operand: Operand<'_>) -> Option<f64> {
    match operand {
        Operand::Int(value) => Some(value as f64),
        Operand::Float(value) => Some(value),
        _ => None,
    }
}

pub(super) fn finite(text: &str) -> Option<f64> {
    text.parse().ok().filter(|value: &f64| value.is_finite())
}

/// A strict semantic version whose numeric pre-release identifiers fit 64 bits.
pub(super) fn version(text: &str) -> Option<semver::Version> {
    let version = semver::Version::parse(text).ok()?;
    let fits = |identifier: &str| {
        !identifier.bytes().all(|byte| byte.is_ascii_digit()) || identifier.parse::<u64>().is_ok()
    };
    (version.pre.is_empty() || version.pre.split('.').all(fits)).then_some(version)
}
