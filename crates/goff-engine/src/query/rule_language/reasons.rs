//! Why a condition holds or does not, in words.

use std::fmt;

use super::{
    lexer::Operator,
    literal::{Literal, finite, version},
    parser::Node,
    text,
};
use crate::{
    evaluate::{
        operand::Operand,
        seen::{Condition, SeenValue, quoted, separate},
    },
    query::truncation::truncated,
};

/// A condition that was evaluated.
pub(super) fn condition(
    node: &Node<'_>,
    operand: Operand<'_>,
    read: bool,
    holds: bool,
) -> Option<Condition> {
    let (path, comparison) = parts(node)?;
    let name = quoted(&path.join("."));
    let seen = SeenValue::new(operand);
    let mut why = match comparison {
        None => format!("{name} is {seen}"),
        Some((operator, literal)) => compared(&name, operator, literal, operand, &seen, holds),
    };
    if !read {
        why.push_str(
            "; the path does not lead to this value, the engine kept it or its parent from a condition before",
        );
    }
    let mut values = vec![seen];
    values.extend(comparison.map(|(_, literal)| literal.seen()));
    Some(Condition::new(written(node), values, Some(holds), why))
}

/// A condition whose path leads through a value that is no object.
pub(super) fn dead_end(node: &Node<'_>) -> Option<Condition> {
    let (path, _) = parts(node)?;
    let why = format!(
        "{} leads through a value that is no object, which stops the query",
        quoted(&path.join("."))
    );
    Some(Condition::new(written(node), Vec::new(), None, why))
}

/// A part that makes the whole query false.
pub(super) fn error(node: &Node<'_>) -> Condition {
    let (what, values) = match node {
        Node::Comparison {
            operator, literal, ..
        } => {
            let searches = matches!(operator, Operator::Co | Operator::Sw | Operator::Ew);
            let operator = quoted(operator.word());
            let what = match &**literal {
                Literal::Int(_) | Literal::IntList(_) | Literal::DoubleList(_) if !searches => {
                    format!("{} is no number that the engine can read", literal.seen())
                }
                literal => format!("{operator} is not defined for {}", literal.noun()),
            };
            (what, vec![literal.seen()])
        }
        _ => (
            "this part of the query cannot be understood".to_owned(),
            Vec::new(),
        ),
    };
    let why = format!("{what}, which makes the whole query false");
    Condition::new(written(node), values, None, why)
}

pub(super) type Comparison<'n, 'q> = Option<(Operator, &'n Literal<'q>)>;

pub(super) fn parts<'n, 'q>(node: &'n Node<'q>) -> Option<(&'n [&'q str], Comparison<'n, 'q>)> {
    match node {
        Node::Present { path } => Some((path, None)),
        Node::Comparison {
            path,
            operator,
            literal,
        } => Some((path, Some((*operator, literal)))),
        _ => None,
    }
}

fn written(node: &Node<'_>) -> impl FnOnce(&mut dyn fmt::Write) -> fmt::Result {
    move |out| {
        let Some((path, comparison)) = parts(node) else {
            return out.write_str("…");
        };
        for (index, segment) in path.iter().enumerate() {
            out.write_str(if index > 0 { "." } else { "" })?;
            out.write_str(segment)?;
        }
        match comparison {
            None => out.write_str(" pr"),
            Some((operator, literal)) => {
                write!(out, " {} ", operator.word())?;
                literal.write(out)
            }
        }
    }
}

/// docs/engine-semantics.md 17.4.
fn compared(
    name: &str,
    operator: Operator,
    literal: &Literal<'_>,
    operand: Operand<'_>,
    seen: &SeenValue,
    holds: bool,
) -> String {
    let subject = format!("{name} is {seen}");
    let is_list = matches!(
        literal,
        Literal::TextList(_) | Literal::IntList(_) | Literal::DoubleList(_)
    );
    let word = quoted(operator.word());
    if matches!(literal, Literal::Null) {
        return subject;
    }
    if is_list != (operator == Operator::In) {
        return if is_list {
            format!("{subject}, and {word} with a list is always false")
        } else {
            format!("{subject}, and {word} is always false without a list")
        };
    }
    let also = if operator == Operator::Ne {
        format!(", also with {word}")
    } else {
        String::new()
    };
    let wanted = literal.noun();
    let unread = match literal {
        Literal::Double(text) if finite(text).is_none() => Some("number"),
        Literal::Version(text) if version(text).is_none() => Some("semantic version"),
        _ => None,
    };
    if let Some(what) = unread {
        let literal = literal.seen();
        return format!(
            "{subject}, and {literal} is no {what} that the engine can read, so the comparison is false{also}"
        );
    }
    let fits = match (literal, operand) {
        (_, Operand::Null) => {
            return format!("{subject}, and a comparison with a missing attribute is false{also}");
        }
        (Literal::IntList(_), Operand::Float(value)) => {
            let why = if value.fract() == 0.0 {
                "a number from the enrichment or from inside an object"
            } else {
                "a number with a fraction"
            };
            return format!("{subject}, and {why} is never in {wanted}");
        }
        (Literal::Text(_) | Literal::TextList(_) | Literal::Version(_), operand) => {
            matches!(operand, Operand::Str(_))
        }
        (Literal::Bool(_), operand) => matches!(operand, Operand::Bool(_)),
        (_, operand) => matches!(operand, Operand::Int(_) | Operand::Float(_)),
    };
    if !fits {
        let given = article(seen.kind);
        return match operator {
            Operator::Ne => {
                format!("{subject}, and comparing {given} with {wanted} is false{also}")
            }
            _ => format!("{subject}, and {given} {} {wanted}", operator.never()),
        };
    }
    if let (Literal::Version(_), Operand::Str(text)) = (literal, operand)
        && text.len() <= MOST_OF_ATTRIBUTE
        && version(text).is_none()
    {
        return format!("{subject}, which is no semantic version (major.minor.patch)");
    }
    let mut why = subject;
    match (literal, operand) {
        (Literal::Int(_), Operand::Float(value)) => why.push_str(&format!(
            ", of which a comparison with an integer takes {}",
            truncated(value)
        )),
        (Literal::Text(literal), Operand::Str(attribute))
            if ignores_case(operator, attribute, literal, holds) =>
        {
            why.push_str(&format!(", and {word} ignores the case of letters"));
        }
        (Literal::TextList(texts), Operand::Str(attribute))
            if !holds
                && texts
                    .iter()
                    .any(|entry| text::equal(attribute, &text::lowered(entry))) =>
        {
            why.push_str(&format!(", and {word} does not ignore the case of letters"));
        }
        _ => {}
    }
    if !holds {
        why.push_str(&format!(
            ", which {} {}",
            operator.negation(),
            literal.bare()
        ));
    }
    why
}

/// Whether the comparison would have another result if the case of letters counted.
fn ignores_case(operator: Operator, attribute: &str, literal: &str, holds: bool) -> bool {
    match operator {
        // Of a long text this is not worth the time.
        _ if attribute.len() > MOST_OF_ATTRIBUTE => false,
        Operator::Eq => holds && attribute != literal,
        Operator::Ne => !holds && attribute != literal,
        Operator::Co => holds && !attribute.contains(literal),
        Operator::Sw => holds && !attribute.starts_with(literal),
        Operator::Ew => holds && !attribute.ends_with(literal),
        _ => false,
    }
}

fn article(kind: &str) -> &'static str {
    match kind {
        "string" => "a string",
        "number" => "a number",
        "boolean" => "a boolean",
        "list" => "a list",
        _ => "an object",
    }
}

impl Operator {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Eq => "eq",
            Self::Ne => "ne",
            Self::Gt => "gt",
            Self::Lt => "lt",
            Self::Ge => "ge",
            Self::Le => "le",
            Self::Co => "co",
            Self::Sw => "sw",
            Self::Ew => "ew",
        }
    }

    fn never(self) -> &'static str {
        match self {
            Self::In => "is never in",
            Self::Eq => "never equals",
            Self::Ne => "never differs from",
            Self::Gt => "is never greater than",
            Self::Lt => "is never less than",
            Self::Ge => "is never at least",
            Self::Le => "is never at most",
            Self::Co => "never contains",
            Self::Sw => "never starts with",
            Self::Ew => "never ends with",
        }
    }

    fn negation(self) -> &'static str {
        match self {
            Self::In => "is not in",
            Self::Eq => "does not equal",
            Self::Ne => "equals",
            Self::Gt => "is not greater than",
            Self::Lt => "is not less than",
            Self::Ge => "is less than",
            Self::Le => "is greater than",
            Self::Co => "does not contain",
            Self::Sw => "does not start with",
            Self::Ew => "does not end with",
        }
    }
}

impl Literal<'_> {
    fn noun(&self) -> &'static str {
        match self {
            Self::Bool(_) => "a boolean",
            Self::Null => "null",
            Self::Version(_) => "a version",
            Self::Text(_) => "a string",
            Self::Double(_) | Self::Int(_) => "a number",
            Self::TextList(_) => "a list of strings",
            Self::IntList(_) => "a list of integers",
            Self::DoubleList(_) => "a list of numbers",
        }
    }

    fn seen(&self) -> SeenValue {
        let as_written = |kind| SeenValue::written(kind, |out| self.write(out));
        match self {
            Self::Bool(text) => SeenValue::plain("boolean", *text == "true"),
            Self::Null => SeenValue::new(Operand::Null),
            Self::Text(text) => SeenValue::text("string", text),
            Self::Version(_) => as_written("version"),
            Self::Int(text) => match text.parse::<i64>() {
                Ok(value) => SeenValue::plain("integer", value),
                Err(_) => as_written("integer"),
            },
            Self::Double(text) => match finite(text) {
                Some(value) => SeenValue::number(value),
                None => as_written("number"),
            },
            Self::TextList(_) => as_written("list of strings"),
            Self::IntList(_) => as_written("list of integers"),
            Self::DoubleList(_) => as_written("list of numbers"),
        }
    }

    /// The literal as it is written, cut.
    fn bare(&self) -> String {
        crate::presentable::excerpt(MOST_OF_LITERAL, |out| self.write(out))
    }

    fn write(&self, out: &mut dyn fmt::Write) -> fmt::Result {
        let mut list = |texts: &[&str], quote: bool| {
            out.write_char('[')?;
            for (index, text) in texts.iter().enumerate() {
                separate(index, out)?;
                if quote {
                    write!(out, "\"{text}\"")?;
                } else {
                    out.write_str(text)?;
                }
            }
            out.write_char(']')
        };
        match self {
            Self::TextList(texts) => list(texts, true),
            Self::IntList(texts) | Self::DoubleList(texts) => list(texts, false),
            // The escapes of a literal are not decoded.
            Self::Text(text) => write!(out, "\"{text}\""),
            Self::Bool(text) | Self::Version(text) | Self::Double(text) => out.write_str(text),
            Self::Int(text) => out.write_str(text),
            Self::Null => out.write_str("null"),
        }
    }
}

const MOST_OF_LITERAL: usize = 80;

/// Bytes of an attribute that is looked at for an explanation.
const MOST_OF_ATTRIBUTE: usize = 4096;
