//! What a query does that its text does not suggest.

use std::ops::Range;

use super::{
    lexer::{Kind, Operator, Token, Tokens},
    literal::{Literal, Test},
    outline::ignored,
    parser::{Node, Tree, parse, place},
    reasons::parts,
    text::lower,
};
use crate::lint::LintCode;

/// Something in a query that its author should know.
pub(crate) struct Remark {
    pub(crate) code: LintCode,
    /// Bytes of the query.
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    /// What to put there.
    pub(crate) replacement: Option<&'static str>,
}

/// How a query compares an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Usage {
    AnyCase,
    ExactCase,
    Integer,
    Fraction,
}

/// The remarks on a query, and how it compares which attribute.
#[derive(Default)]
pub(crate) struct Remarks<'q> {
    pub(crate) remarks: Vec<Remark>,
    pub(crate) usages: Vec<(String, Usage, Range<usize>)>,
    query: &'q str,
}

/// Looks at a trimmed query.
pub(crate) fn find(query: &str) -> Remarks<'_> {
    let mut found = Remarks {
        query,
        ..Remarks::default()
    };
    let Ok(tree) = parse(query) else {
        return found;
    };
    let tokens: Vec<(Token<'_>, usize)> = Tokens::of(query)
        .map(|token| (token, place(query, token.text)))
        .take(MOST_TOKENS)
        .collect();
    found.words(&tokens);
    found.lists(&tokens);
    found.remarks.sort_by_key(|remark| remark.range.start);
    found.ignored(&tree);
    found.nodes(&tree);
    found
}

/// Queries are looked at up to here.
const MOST_TOKENS: usize = 20_000;

impl Remarks<'_> {
    fn add(&mut self, code: LintCode, range: Range<usize>, message: impl Into<String>) {
        self.remarks.push(Remark {
            code,
            range,
            message: message.into(),
            replacement: None,
        });
    }

    /// Text that the parser ignores, unless more is said about it already.
    fn ignored(&mut self, tree: &Tree<'_>) {
        let known: Vec<Range<usize>> = self.remarks.iter().map(|one| one.range.clone()).collect();
        let mut parts: Vec<Range<usize>> = Vec::new();
        for part in ignored(self.query, tree) {
            let start = place(self.query, part);
            let range = start..start + part.len();
            let gap = parts
                .last()
                .and_then(|last| self.query.get(last.end..start));
            match parts.last_mut() {
                // Spaces between two parts are ignored, too.
                Some(last) if gap.is_some_and(|gap| gap.trim_matches(' ').is_empty()) => {
                    last.end = range.end;
                }
                _ => parts.push(range),
            }
        }
        let mut known = known.iter().peekable();
        for range in parts {
            while known.next_if(|known| known.end <= range.start).is_some() {}
            if known.peek().is_some_and(|known| known.start <= range.start) {
                continue;
            }
            self.ignored_part(range);
        }
    }

    fn ignored_part(&mut self, range: Range<usize>) {
        let text = self.query.get(range.clone()).unwrap_or_default();
        let before = self.query.get(..range.start).unwrap_or_default();
        let end = text.find(|char: char| !char.is_ascii_alphanumeric() && char != '_');
        let word = text.get(..end.unwrap_or(text.len())).unwrap_or_default();
        let operator = ["and", "or"]
            .into_iter()
            .find(|operator| word.eq_ignore_ascii_case(operator));
        let is_spaced = before.ends_with(' ');
        let in_list = before.rfind('[') > before.rfind(']');
        match operator {
            Some(operator) if operator != word && is_spaced && !in_list => {
                self.remarks.push(Remark {
                    code: LintCode::UppercaseOperator,
                    range: range.start..range.start + word.len(),
                    message: format!(
                        "`{word}` is no operator; it and the rest of the query are ignored"
                    ),
                    replacement: Some(operator),
                });
            }
            _ => {
                let why = match operator {
                    Some(_) if before.ends_with("  ") => "; there are two spaces before it",
                    Some(_) if !is_spaced => "; two lines are joined without a space, for example",
                    _ => "",
                };
                let message = format!("`{text}` is ignored{why}");
                self.add(LintCode::IgnoredText, range, message);
            }
        }
    }

    /// Words in another case than they need, and `not` without parentheses.
    fn words(&mut self, tokens: &[(Token<'_>, usize)]) {
        for (index, (token, start)) in tokens.iter().enumerate() {
            let kind = |at: usize| tokens.get(at).map(|(token, _)| token.kind);
            let range = *start..start + token.text.len();
            let is_value = index >= 2
                && kind(index - 1) == Some(Kind::Space)
                && matches!(kind(index - 2), Some(Kind::Operator(_)));
            let word = ["true", "false", "null"]
                .into_iter()
                .find(|word| token.text.eq_ignore_ascii_case(word));
            if let (Kind::Name, true, Some(word)) = (token.kind, is_value, word) {
                self.remarks.push(Remark {
                    code: LintCode::UppercaseOperator,
                    range: range.clone(),
                    message: format!("`{}` is no value; write `{word}`", token.text),
                    replacement: Some(word),
                });
            }
            if token.kind != Kind::Not {
                continue;
            }
            let next = tokens
                .iter()
                .skip(index + 1)
                .find(|(token, _)| token.kind != Kind::Space);
            let is_bare = next.is_some_and(|(token, _)| token.kind == Kind::Name);
            if is_bare && is_chain(tokens.get(index..)) {
                self.add(
                    LintCode::NotWithoutParentheses,
                    range,
                    "`not` without parentheses negates all conditions that follow it",
                );
            }
        }
    }

    /// Lists that are empty, or whose elements have several types.
    fn lists(&mut self, tokens: &[(Token<'_>, usize)]) {
        let mut begin = None;
        let mut kinds: Vec<Kind> = Vec::new();
        for (token, start) in tokens {
            match (token.kind, begin) {
                (Kind::OpenList, _) => {
                    begin = Some(*start);
                    kinds.clear();
                }
                (Kind::CloseList, Some(from)) => {
                    let element = matches!(
                        kinds.as_slice(),
                        [Kind::Int] | [Kind::Double] | [Kind::Text]
                    );
                    if !element {
                        let message = match kinds.as_slice() {
                            [] => "an empty list breaks the query",
                            kinds if kinds.contains(&Kind::Minus) => {
                                "a list has no negative integers; write them as decimals, `-1.0`"
                            }
                            _ => {
                                "the elements of the list have several types, or one that lists do not have"
                            }
                        };
                        self.add(LintCode::MixedList, from..start + 1, message);
                    }
                    begin = None;
                }
                (Kind::Comma | Kind::Space, _) | (_, None) => {}
                (kind, Some(_)) if kinds.contains(&kind) => {}
                (kind, Some(_)) => kinds.push(kind),
            }
        }
    }

    fn nodes(&mut self, tree: &Tree<'_>) {
        let is_guard = |node: &&Node<'_>| match node {
            Node::Present { .. } => true,
            Node::Comparison { literal, .. } => matches!(**literal, Literal::Null),
            _ => false,
        };
        let guarded: std::collections::HashSet<&[&str]> = tree
            .nodes
            .iter()
            .filter(is_guard)
            .filter_map(path)
            .collect();
        for node in &tree.nodes {
            match node {
                Node::Comparison {
                    path,
                    operator,
                    literal,
                } => self.comparison(path, *operator, literal, guarded.contains(&**path)),
                Node::Logical {
                    and: true,
                    left,
                    right,
                } => {
                    let is_or = matches!(
                        tree.nodes.get(*left),
                        Some(Node::Logical { and: false, .. })
                    );
                    if is_or {
                        self.mixed(tree, *right);
                    }
                }
                _ => {}
            }
        }
    }

    /// An `and` after an `or`.
    fn mixed(&mut self, tree: &Tree<'_>, right: usize) {
        let mut at = right;
        for _ in 0..tree.nodes.len() {
            at = match tree.nodes.get(at) {
                Some(Node::Group { child, .. }) => *child,
                Some(Node::Logical { left, .. }) => *left,
                _ => break,
            };
        }
        let first = tree
            .nodes
            .get(at)
            .and_then(path)
            .and_then(|path| path.first());
        let start = first.map_or(self.query.len(), |first| place(self.query, first));
        let before = self.query.get(..start).unwrap_or_default();
        let and = before.rfind(" and").map_or(0, |at| at + 1);
        self.add(
            LintCode::MixedAndOr,
            and..(and + "and".len()).min(self.query.len()),
            "`and` does not bind stronger than `or`: all before this `and` is its left side",
        );
    }

    fn comparison(
        &mut self,
        path: &[&str],
        operator: Operator,
        literal: &Literal<'_>,
        is_guarded: bool,
    ) {
        let (Some(first), Some(last)) = (path.first(), path.last()) else {
            return;
        };
        let start = place(self.query, first);
        let range = start..place(self.query, last) + last.len();
        let name = path.join(".");
        let is_always =
            matches!(path, [only] if ["key", "targetingKey", "anonymous"].contains(only));
        match Test::new(operator, literal) {
            Err(_) => {
                let message = format!(
                    "the comparison of `{name}` has an operator or a number that its type does not have; the query matches nothing once it is reached"
                );
                self.add(LintCode::UnsupportedOperator, range, message);
                return;
            }
            Ok(Test::Never) => {
                let message = format!(
                    "the comparison of `{name}` is always false: the type of its value does not have the operator"
                );
                self.add(LintCode::UnsupportedOperator, range, message);
                return;
            }
            Ok(_) => {}
        }
        let is_null = matches!(literal, Literal::Null);
        if operator == Operator::Ne && !is_null && !is_guarded && !is_always {
            let message = format!("`{name} ne …` is false for a context without `{name}`");
            self.add(LintCode::NeMissing, range.clone(), message);
        }
        let is_ordering = matches!(
            operator,
            Operator::Gt | Operator::Lt | Operator::Ge | Operator::Le
        );
        let is_cased = |text: &str| {
            text.chars()
                .any(|char| lower(char) != char || char.to_uppercase().next() != Some(char))
        };
        let number = match literal {
            Literal::Double(text) => Some(*text),
            Literal::Int(text) => Some(text.as_str()),
            _ => None,
        };
        if let Some(number) = number.filter(|_| is_version(last)) {
            let message = format!(
                "`{name}` is compared with the number {number}, which no version as text satisfies; write three numbers"
            );
            self.add(LintCode::UnquotedVersion, range.clone(), message);
        }
        let usage = match literal {
            Literal::Text(text) if is_ordering && semver::Version::parse(text).is_ok() => {
                let message =
                    format!("`{name}` is compared with \"{text}\" as text, not as a version");
                self.add(LintCode::QuotedVersion, range.clone(), message);
                None
            }
            Literal::Text(text) => {
                let is_equality = matches!(operator, Operator::Eq | Operator::Ne);
                (is_equality && is_cased(text)).then_some(Usage::AnyCase)
            }
            Literal::TextList(texts) => texts
                .iter()
                .any(|text| is_cased(text))
                .then_some(Usage::ExactCase),
            Literal::Double(text) => {
                let is_whole = text.parse().is_ok_and(|value: f64| value.fract() == 0.0);
                (!is_whole).then_some(Usage::Fraction)
            }
            Literal::Int(_) => Some(Usage::Integer),
            _ => None,
        };
        if let Some(usage) = usage {
            self.usages.push((name, usage, range));
        }
    }
}

/// Tokens that are looked at after a `not`.
const MOST_AHEAD: usize = 500;

/// Whether a name ends with the word `version`.
fn is_version(name: &str) -> bool {
    let Some(at) = name.len().checked_sub("version".len()) else {
        return false;
    };
    let (Some(before), Some(word)) = (name.get(..at), name.get(at..)) else {
        return false;
    };
    let begins_word = match before.chars().next_back() {
        None => true,
        Some(last) if last.is_lowercase() || last.is_numeric() => word.starts_with('V'),
        Some(last) => !last.is_alphabetic(),
    };
    begins_word && word.eq_ignore_ascii_case("version")
}

/// Whether `and` or `or` follows before the end of a group.
fn is_chain(tokens: Option<&[(Token<'_>, usize)]>) -> bool {
    let mut open = 0_usize;
    for (token, _) in tokens.unwrap_or_default().iter().take(MOST_AHEAD) {
        match token.kind {
            Kind::Open => open += 1,
            Kind::Close if open == 0 => return false,
            Kind::Close => open -= 1,
            Kind::Logic if open == 0 => return true,
            _ => {}
        }
    }
    false
}

fn path<'n, 'q>(node: &'n Node<'q>) -> Option<&'n [&'q str]> {
    parts(node).map(|(path, _)| path)
}
