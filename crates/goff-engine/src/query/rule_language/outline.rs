//! The parts of a query, for explanations: what its conditions are, and what the engine ignores.

use std::fmt;

use super::{
    lexer::{Kind, Tokens},
    parser::{Node, Tree, parse, place},
    program::{Origins, compile_tree},
    reasons,
};
use crate::evaluate::{operand::Operand, scope::NameTable, seen::Condition};

/// A parsed query beside the program that it is compiled to.
#[derive(Debug)]
pub(crate) struct Outline<'q> {
    query: &'q str,
    tree: Tree<'q>,
    origins: Origins,
}

impl<'q> Outline<'q> {
    /// Of a trimmed query; `None` if it is nested too deeply to be parsed.
    pub(crate) fn of(query: &'q str) -> Option<Self> {
        let tree = parse(query).ok()?;
        let mut origins = Origins::default();
        compile_tree(&tree, &mut NameTable::default(), Some(&mut origins))?;
        Some(Self {
            query,
            tree,
            origins,
        })
    }

    /// Whether nothing of the query was recognized. It matches no context then.
    pub(crate) fn is_unrecognized(&self) -> bool {
        is_unrecognized(&self.tree)
    }

    /// The condition with this index in the program, evaluated.
    pub(crate) fn condition(
        &self,
        index: u32,
        operand: Operand<'_>,
        read: bool,
        holds: bool,
    ) -> Option<Condition> {
        reasons::condition(self.conditions(index)?, operand, read, holds)
    }

    /// The condition whose path leads through a value that is no object.
    pub(crate) fn dead_end(&self, index: u32) -> Option<Condition> {
        reasons::dead_end(self.conditions(index)?)
    }

    /// The error with this number in the program.
    pub(crate) fn error(&self, number: u32) -> Option<Condition> {
        let node = *self.origins.errors.get(number as usize)?;
        Some(reasons::error(self.tree.nodes.get(node)?))
    }

    fn conditions(&self, index: u32) -> Option<&Node<'q>> {
        let node = *self.origins.conditions.get(index as usize)?;
        self.tree.nodes.get(node)
    }

    /// The parts that the engine ignores, in the order of the text.
    pub(crate) fn ignored(&self) -> impl Iterator<Item = &'q str> {
        ignored(self.query, &self.tree)
    }

    /// The tokens that the parser supplied, each with the text before it.
    pub(crate) fn supplied(&self) -> impl Iterator<Item = Supplied<'q>> {
        self.tree
            .repairs
            .supplied
            .iter()
            .map(|(at, kind)| Supplied {
                before: self.query.get(..*at).unwrap_or_default(),
                what: match kind {
                    Kind::Open => "(",
                    Kind::Close => ")",
                    Kind::Space => "a space",
                    _ => "a number",
                },
            })
    }
}

fn is_unrecognized(tree: &Tree<'_>) -> bool {
    matches!(tree.nodes.get(tree.root), Some(Node::Unknown))
}

/// The parts of a query that the engine ignores, in the order of the text.
pub(super) fn ignored<'q>(query: &'q str, tree: &Tree<'q>) -> impl Iterator<Item = &'q str> {
    let rest = (!is_unrecognized(tree)).then_some(tree.end..query.len());
    let mut ranges = tree.repairs.skipped.clone();
    ranges.extend(rest);
    // What is between two tokens means nothing.
    let mut before = 0;
    for token in Tokens::of(query) {
        let start = place(query, token.text);
        if start >= tree.end {
            break;
        }
        ranges.push(before..start);
        before = start + token.text.len();
    }
    ranges.retain(|range| !range.is_empty());
    ranges.sort_unstable_by_key(|range| (range.start, range.end));
    let mut covered = 0;
    ranges.into_iter().filter_map(move |range| {
        let start = range.start.max(covered);
        covered = covered.max(range.end);
        let part = query.get(start..range.end)?.trim_matches(' ');
        (!part.is_empty()).then_some(part)
    })
}

/// A token that is missing in the query.
#[derive(Debug)]
pub(crate) struct Supplied<'q> {
    before: &'q str,
    what: &'static str,
}

impl fmt::Display for Supplied<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.before.char_indices().rev().nth(CONTEXT - 1);
        let before = start.and_then(|(at, _)| self.before.get(at..));
        write!(
            f,
            "`{}` after `{}`",
            self.what,
            before.unwrap_or(self.before)
        )
    }
}

/// Characters that show where something is missing.
const CONTEXT: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_parts_are_found() {
        for (query, expected) in [
            ("x eq 1", &[][..]),
            ("x eq 1 AND y eq 2", &["AND y eq 2"]),
            ("x eq 1 garbage", &["garbage"]),
            ("x eq 1)", &[")"]),
            ("x eq 1e5", &["e5"]),
            ("x eq 007", &["07"]),
            ("_x eq 1", &["_"]),
            ("x eq +1", &["+"]),
            ("x eq 1 && y eq 3", &["&& y eq 3"]),
            ("(x eq 1 junk)", &["junk"]),
            ("(x eq 2 not)", &[]),
            ("x eq 1 and and y eq 2", &["and"]),
            ("x in [1 2]", &["2]"]),
            ("x eq \"a", &["\"a"]),
            ("not (x eq 1) or y pr", &[]),
            ("x", &["x"]),
        ] {
            let outline = Outline::of(query).unwrap();
            assert_eq!(outline.ignored().collect::<Vec<_>>(), expected, "{query}");
        }
    }

    #[test]
    fn supplied_tokens_are_found() {
        for (query, expected) in [
            ("x eq 1", &[][..]),
            ("(x eq 1", &[]),
            ("x >=1", &["`a space` after `x >=`"]),
            ("x eq 1 and  y eq 3", &["`(` after `x eq 1 and  `"]),
        ] {
            let outline = Outline::of(query).unwrap();
            let supplied: Vec<_> = outline.supplied().map(|one| one.to_string()).collect();
            assert_eq!(supplied, expected, "{query}");
        }
    }
}
