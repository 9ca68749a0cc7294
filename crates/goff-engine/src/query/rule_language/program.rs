//! Compiled queries of the rule language.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    evaluate::{
        attributes::Attributes,
        operand::Operand,
        scope::{NameTable, Slot, Slots, Unreadable},
        work::Work,
    },
    query::stop::Stop,
};

use super::{
    literal::Test,
    parser::{Node, Tree, parse},
};

/// A query as a list of conditions, each of which names its successors.
///
/// Groups, negations and logical operators only decide which condition comes
/// next, so that neither evaluating nor dropping a program recurses.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    /// Shared by the states of a flag.
    conditions: Arc<[Condition]>,
    start: u32,
    /// Whether any path has several segments, so that state can leak between conditions.
    nested: bool,
}

#[derive(Debug)]
pub(crate) struct Condition {
    path: Path,
    test: Test,
    yes: u32,
    no: u32,
}

/// How the evaluation of a query ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Match,
    NoMatch,
    /// No match, whatever surrounds it: a query error, or a damaged part.
    Error,
}

#[derive(Debug)]
enum Path {
    Name(Slot),
    /// The first segment, and at least one more.
    Nested(Box<(Slot, Box<[Box<str>]>)>),
}

// Successors that end the evaluation.
const TRUE: u32 = u32::MAX;
const FALSE: u32 = u32::MAX - 1;
const ERROR: u32 = u32::MAX - 2;

/// Compiles a trimmed query; `None` if it cannot match.
pub(crate) fn compile(query: &str, names: &mut NameTable) -> Option<Program> {
    let tree = parse(query).ok()?;
    let mut compiler = Compiler {
        names,
        conditions: Vec::new(),
        nested: false,
    };
    let start = compiler.compile(&tree)?;
    Some(Program {
        conditions: compiler.conditions.into(),
        start,
        nested: compiler.nested,
    })
}

struct Compiler<'n> {
    names: &'n mut NameTable,
    conditions: Vec<Condition>,
    nested: bool,
}

impl Compiler<'_> {
    /// Works from the end of the query to its beginning, so that successors exist before they are
    /// referred to.
    fn compile(&mut self, tree: &Tree<'_>) -> Option<u32> {
        let mut entry = FALSE;
        // Nodes with their successors. What was compiled last takes the place of a missing one.
        let mut tasks = vec![(tree.root, Some(TRUE), Some(FALSE))];
        while let Some((node, yes, no)) = tasks.pop() {
            let (yes, no) = (yes.unwrap_or(entry), no.unwrap_or(entry));
            entry = match tree.nodes.get(node)? {
                Node::Unknown if node == tree.root => FALSE,
                Node::Unknown | Node::Broken => ERROR,
                Node::Group { negated, child } => {
                    let (yes, no) = if *negated { (no, yes) } else { (yes, no) };
                    tasks.push((*child, Some(yes), Some(no)));
                    continue;
                }
                Node::Logical { and, left, right } => {
                    tasks.push(if *and {
                        (*left, None, Some(no))
                    } else {
                        (*left, Some(yes), None)
                    });
                    tasks.push((*right, Some(yes), Some(no)));
                    continue;
                }
                Node::Present { path } => self.condition(path, Test::Present, yes, no)?,
                Node::Comparison {
                    path,
                    operator,
                    literal,
                } => match Test::new(*operator, literal) {
                    Ok(test) => self.condition(path, test, yes, no)?,
                    Err(_) => ERROR,
                },
            };
        }
        Some(entry)
    }

    fn condition(&mut self, path: &[&str], test: Test, yes: u32, no: u32) -> Option<u32> {
        let (first, rest) = path.split_first()?;
        let first = self.names.slot(first);
        let path = if rest.is_empty() {
            Path::Name(first)
        } else {
            self.nested = true;
            Path::Nested(Box::new((
                first,
                rest.iter().map(|segment| (*segment).into()).collect(),
            )))
        };
        let index = u32::try_from(self.conditions.len()).ok()?;
        self.conditions.push(Condition {
            path,
            test,
            yes,
            no,
        });
        Some(index)
    }
}

impl Program {
    /// Whether anything of the query was recognized. If not, it matches no context.
    pub(crate) fn is_recognized(&self) -> bool {
        self.start != FALSE
    }

    /// Walks through the conditions; `holds` decides each.
    #[inline]
    pub(crate) fn walk<E>(
        &self,
        mut holds: impl FnMut(&Condition) -> Result<bool, E>,
    ) -> Result<End, E> {
        let mut at = self.start;
        while let Some(condition) = self.conditions.get(at as usize) {
            at = if holds(condition)? {
                condition.yes
            } else {
                condition.no
            };
        }
        Ok(match at {
            TRUE => End::Match,
            ERROR => End::Error,
            _ => End::NoMatch,
        })
    }

    #[inline]
    pub(crate) fn matches<'a, A: Attributes + ?Sized>(
        &self,
        slots: &Slots<'_, 'a, A>,
    ) -> Result<bool, Unreadable> {
        if self.nested {
            return self.matches_nested(slots);
        }
        let end = self.walk(|condition| match condition.path {
            Path::Name(slot) => slots
                .get(slot)
                .map(|operand| condition.holds(operand, &slots.work)),
            Path::Nested(_) => Ok(false),
        })?;
        Ok(end == End::Match)
    }

    fn matches_nested<'s, 'a: 's, A: Attributes + ?Sized>(
        &self,
        slots: &Slots<'s, 'a, A>,
    ) -> Result<bool, Unreadable> {
        let mut state = State {
            left: Operand::Null,
            stack: Vec::new(),
        };
        let end = self.walk(|condition| {
            state.read(&condition.path, slots)?;
            Ok(condition.holds(state.left, &slots.work))
        });
        Stop::resolve(end.map(|end| end == End::Match))
    }
}

impl Condition {
    /// Whether the condition holds for the value of its attribute.
    #[inline]
    pub(crate) fn holds(&self, operand: Operand<'_>, work: &Work) -> bool {
        self.test.holds(operand, work)
    }
}

/// What the official evaluator carries from one condition to the next
/// (docs/engine-semantics.md 17.3).
///
/// A path whose parents exist leaves nothing behind. A path that stops at a
/// missing parent leaves the attribute read before it, and parents on the
/// stack.
struct State<'s> {
    left: Operand<'s>,
    stack: Vec<Operand<'s>>,
}

impl<'s> State<'s> {
    fn read<'a: 's, A: Attributes + ?Sized>(
        &mut self,
        path: &Path,
        slots: &Slots<'s, 'a, A>,
    ) -> Result<(), Stop> {
        let (first, rest) = match path {
            Path::Name(slot) => (*slot, &[] as &[Box<str>]),
            Path::Nested(path) => (path.0, &*path.1),
        };
        if !self.stack.is_empty() {
            return self.read_from_stack(slots.name(first), rest);
        }
        let root = slots.get(first)?;
        let mut current = root;
        for (index, segment) in rest.iter().enumerate() {
            match current {
                Operand::Null => {
                    let left_behind = index + usize::from(index + 1 < rest.len());
                    self.leave_behind(root, rest.get(..left_behind).unwrap_or_default());
                    return Ok(());
                }
                Operand::Object(members) => current = member(members, segment),
                _ => return Err(Stop::Abort),
            }
        }
        self.left = current;
        Ok(())
    }

    /// Keeps the values of as many parents as there are segments, beginning with `root`.
    fn leave_behind(&mut self, root: Operand<'s>, segments: &[Box<str>]) {
        let mut current = root;
        for segment in segments {
            self.stack.push(current);
            current = match current {
                Operand::Object(members) => member(members, segment),
                _ => Operand::Null,
            };
        }
    }

    fn read_from_stack(&mut self, first: &str, rest: &[Box<str>]) -> Result<(), Stop> {
        let mut segments = std::iter::once(first).chain(rest.iter().map(|segment| &**segment));
        for segment in segments.by_ref().take(rest.len()) {
            match self.stack.last() {
                Some(Operand::Object(members)) => {
                    let member = member(members, segment);
                    self.stack.push(member);
                }
                None | Some(Operand::Null) => return Ok(()),
                Some(_) => return Err(Stop::Abort),
            }
        }
        match (self.stack.pop(), segments.next()) {
            (Some(Operand::Object(members)), Some(segment)) => {
                self.left = member(members, segment);
                self.stack.clear();
                Ok(())
            }
            (None | Some(Operand::Null), _) => Ok(()),
            _ => Err(Stop::Abort),
        }
    }
}

fn member<'v>(members: &'v Map<String, Value>, name: &str) -> Operand<'v> {
    members.get(name).map_or(Operand::Null, Operand::from)
}
