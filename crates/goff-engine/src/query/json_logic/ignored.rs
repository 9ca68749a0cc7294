//! The parts of a rule that the engine ignores or cannot apply, for explanations and the linter.

use std::{collections::HashSet, fmt};

use super::described::OPERATORS;
use crate::{
    configuration::json::Node,
    evaluate::seen::{separate, write_text},
    presentable::{excerpt, presentable},
};

/// A part of a rule that does not do what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// It has no effect.
    Ignored(String),
    /// The query matches nothing once it comes to it.
    Broken(String),
}

/// The first of these parts, in the order of the text (docs/engine-semantics.md 18).
pub(crate) fn parts(rule: &str) -> Vec<Part> {
    let mut parts = Parts(Vec::new());
    if let Ok(rule) = Node::parse(rule, super::super::MAX_JSON_NESTING) {
        parts.value(&rule);
    }
    parts.0
}

struct Parts(Vec<Part>);

impl Parts {
    fn ignored(&mut self, part: String) {
        if self.0.len() < MOST_PARTS {
            self.0.push(Part::Ignored(part));
        }
    }

    fn broken(&mut self, part: String) {
        if self.0.len() < MOST_PARTS {
            self.0.push(Part::Broken(part));
        }
    }

    fn value(&mut self, value: &Node<'_>) {
        match value {
            Node::Array(elements) => elements.iter().for_each(|element| self.value(element)),
            Node::Object(members) => self.object(members),
            _ => {}
        }
    }

    fn object(&mut self, members: &[(impl AsRef<str>, Node<'_>)]) {
        let names: HashSet<&str> = members.iter().map(|(name, _)| name.as_ref()).collect();
        let Some((name, argument)) = members.last() else {
            return;
        };
        let name = name.as_ref();
        if names.len() > 1 {
            let operator = members.iter().map(|(name, _)| name.as_ref());
            if let Some(operator) = operator.into_iter().find(|name| OPERATORS.contains(name)) {
                self.ignored(format!(
                    "{operator} in an object with several members, which is a value"
                ));
            }
            return;
        }
        if members.len() > 1 {
            self.ignored(format!("all but the last {}", presentable(name)));
        }
        self.operation(name, argument);
    }

    fn operation(&mut self, operator: &str, argument: &Node<'_>) {
        if !OPERATORS.contains(&operator) {
            self.broken(format!("`{}` is no operator", presentable(operator)));
            return;
        }
        let is_raw = matches!(
            operator,
            "and" | "or" | "if" | "?:" | "map" | "filter" | "reduce" | "all" | "some" | "none"
        );
        let arguments = match argument {
            Node::Array(arguments) => arguments,
            Node::Object(members) if members.len() == 1 && !is_raw => {
                return self.value(argument);
            }
            _ => return self.bare(operator, is_raw),
        };
        let count = arguments.len();
        let most = match operator {
            "!" | "!!" | "abs" => 1,
            "<" | "<=" | ">" | ">=" if count == 3 => 3,
            "var" if count > 2 => 1,
            "substr" if count == 3 => 3,
            "==" | "!=" | "===" | "!==" | "<" | "<=" | ">" | ">=" | "%" | "in" | "missing_some"
            | "map" | "filter" | "all" | "some" | "none" | "substr" => 2,
            "contains_all" | "contains_any" | "contains_none" if count != 2 => 0,
            "set" | "reduce" => 3,
            _ => usize::MAX,
        };
        for (index, argument) in arguments.iter().enumerate().skip(most) {
            if self.0.len() >= MOST_PARTS {
                return;
            }
            let text = excerpt(MOST_OF_ARGUMENT, |out| write(argument, out));
            self.ignored(format!("argument {} of {operator}, {text}", index + 1));
        }
        if matches!(
            operator,
            "==" | "!=" | "===" | "!==" | "<" | "<=" | ">" | ">="
        ) && count < 2
        {
            self.ignored(format!("{operator} with fewer than two arguments"));
        }
        let is_operation = |element: &Node<'_>| {
            matches!(element, Node::Object(members)
                if matches!(&**members, [(name, _)] if OPERATORS.contains(&&**name)))
        };
        let takes_list = is_raw && !matches!(operator, "and" | "or" | "if" | "?:");
        for (index, argument) in arguments.iter().enumerate().take(most) {
            match argument {
                Node::Array(elements) if takes_list && index == 0 => {
                    if elements.iter().any(is_operation) {
                        self.ignored(format!("operators in the list of {operator}"));
                    }
                }
                argument => self.value(argument),
            }
        }
    }

    /// An argument that is no list.
    fn bare(&mut self, operator: &str, is_raw: bool) {
        match operator {
            "-" | "*" | "/" | "max" | "min" | "===" | "!==" | "set" | "contains_all"
            | "contains_any" | "contains_none" => {
                self.ignored(format!("the argument of {operator}, which is no list"));
            }
            "==" | "!=" | "<" | "<=" | ">" | ">=" | "%" | "in" | "missing_some" | "substr" => {
                self.broken(format!("`{operator}` needs a list of arguments"));
            }
            _ if is_raw => self.broken(format!("`{operator}` needs a list of arguments")),
            _ => {}
        }
    }
}

fn write(node: &Node<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
    match node {
        Node::Null => out.write_str("null"),
        Node::Bool(value) => write!(out, "{value}"),
        Node::Number(value) => match value {
            Some(value) => write!(out, "{value}"),
            None => out.write_str("a number"),
        },
        Node::String(text) => write_text(text, out),
        Node::Array(elements) => {
            out.write_char('[')?;
            for (index, element) in elements.iter().enumerate() {
                separate(index, out)?;
                write(element, out)?;
            }
            out.write_char(']')
        }
        Node::Object(members) => {
            out.write_char('{')?;
            for (index, (name, value)) in members.iter().enumerate() {
                separate(index, out)?;
                write_text(name, out)?;
                out.write_char(':')?;
                write(value, out)?;
            }
            out.write_char('}')
        }
    }
}

const MOST_PARTS: usize = 5;
const MOST_OF_ARGUMENT: usize = 40;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_without_effect_are_found() {
        let ignored = |text: &str| vec![Part::Ignored(text.to_owned())];
        let broken = |text: &str| vec![Part::Broken(text.to_owned())];
        for (rule, expected) in [
            (r#"{"==": [{"var": "a"}, 1]}"#, vec![]),
            (r#"{"<": [1, {"var": "a"}, 3]}"#, vec![]),
            (r#"{"and": [true, true, true, true]}"#, vec![]),
            (
                r#"{"==": [{"var": ["a", 2]}, {"x": 1}]}"#,
                broken("`x` is no operator"),
            ),
            (r#"{"in": [{"var": "a"}, [1, 2, 3]]}"#, vec![]),
            (r#"{"!": {"var": "a"}}"#, vec![]),
            (
                r#"{"some": [{"var": "a"}, {"==": [{"var": ""}, 1]}]}"#,
                vec![],
            ),
            (
                r#"{"==": [{"var": "a"}, 1, "x"]}"#,
                ignored("argument 3 of ==, \"x\""),
            ),
            (
                r#"{"!": [{"var": "a"}, {"var": "b"}]}"#,
                ignored("argument 2 of !, {\"var\":\"b\"}"),
            ),
            (
                r#"{"<": [1, 2, 3, 4]}"#,
                [ignored("argument 3 of <, 3"), ignored("argument 4 of <, 4")].concat(),
            ),
            (
                r#"{"var": ["a", 1, 2]}"#,
                [
                    ignored("argument 2 of var, 1"),
                    ignored("argument 3 of var, 2"),
                ]
                .concat(),
            ),
            (
                r#"{"==": [1, 1], "and": []}"#,
                ignored("== in an object with several members, which is a value"),
            ),
            (
                r#"{"==": [1, 1], "==": [1, 2]}"#,
                ignored("all but the last =="),
            ),
            (
                r#"{"and": [{"starts_with": [1]}]}"#,
                broken("`starts_with` is no operator"),
            ),
            (
                r#"{"and": {"==": [1, 1]}}"#,
                broken("`and` needs a list of arguments"),
            ),
            (r#"{"==": 1}"#, broken("`==` needs a list of arguments")),
            (
                r#"{"<": [{"-": 5}, 1]}"#,
                ignored("the argument of -, which is no list"),
            ),
            (
                r#"{"==": [1]}"#,
                ignored("== with fewer than two arguments"),
            ),
            (
                r#"{"some": [[{"var": "a"}], {"==": [{"var": ""}, 1]}]}"#,
                ignored("operators in the list of some"),
            ),
            ("[", vec![]),
        ] {
            assert_eq!(parts(rule), expected, "{rule}");
        }
        let many = format!("{{\"==\": [{}1]}}", "1,".repeat(100));
        assert_eq!(parts(&many).len(), MOST_PARTS);
    }
}
