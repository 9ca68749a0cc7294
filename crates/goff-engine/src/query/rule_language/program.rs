//! Compiled queries of the rule language.

use std::sync::Arc;

use serde_json::{Map, Value};

use crate::{
    evaluate::{
        attributes::Attributes,
        observer::Observer,
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
    /// No match, whatever surrounds it: a query error, or a damaged part. The number tells them
    /// apart.
    Error(u32),
}

#[derive(Debug)]
enum Path {
    Name(Slot),
    /// The first segment, and at least one more.
    Nested(Box<(Slot, Box<[Box<str>]>)>),
}

// Successors that end the evaluation. Those below the first error are the other errors.
const TRUE: u32 = u32::MAX;
const FALSE: u32 = u32::MAX - 1;
const FIRST_ERROR: u32 = u32::MAX - 2;

/// Compiles a trimmed query; `None` if it cannot match.
pub(crate) fn compile(query: &str, names: &mut NameTable) -> Option<Program> {
    compile_tree(&parse(query).ok()?, names, None)
}

/// The nodes of a tree that became the conditions and the errors of its program.
#[derive(Debug, Default)]
pub(super) struct Origins {
    pub(super) conditions: Vec<usize>,
    pub(super) errors: Vec<usize>,
}

/// Compiles a parsed query.
pub(super) fn compile_tree(
    tree: &Tree<'_>,
    names: &mut NameTable,
    origins: Option<&mut Origins>,
) -> Option<Program> {
    let mut compiler = Compiler {
        names,
        conditions: Vec::new(),
        errors: 0,
        nested: false,
        origins,
    };
    let start = compiler.compile(tree)?;
    Some(Program {
        conditions: compiler.conditions.into(),
        start,
        nested: compiler.nested,
    })
}

struct Compiler<'n, 'o> {
    names: &'n mut NameTable,
    conditions: Vec<Condition>,
    errors: u32,
    nested: bool,
    origins: Option<&'o mut Origins>,
}

impl Compiler<'_, '_> {
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
                Node::Unknown | Node::Broken => self.error(node),
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
                Node::Present { path } => self.condition(node, path, Test::Present, yes, no)?,
                Node::Comparison {
                    path,
                    operator,
                    literal,
                } => match Test::new(*operator, literal) {
                    Ok(test) => self.condition(node, path, test, yes, no)?,
                    Err(_) => self.error(node),
                },
            };
        }
        Some(entry)
    }

    fn error(&mut self, node: usize) -> u32 {
        if let Some(origins) = &mut self.origins {
            origins.errors.push(node);
        }
        let error = FIRST_ERROR - self.errors;
        self.errors += 1;
        error
    }

    fn condition(
        &mut self,
        node: usize,
        path: &[&str],
        test: Test,
        yes: u32,
        no: u32,
    ) -> Option<u32> {
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
        if let Some(origins) = &mut self.origins {
            origins.conditions.push(node);
        }
        self.conditions.push(Condition {
            path,
            test,
            yes,
            no,
        });
        Some(index)
    }
}

/// A place in a program.
#[cfg(feature = "lint")]
pub(super) enum Branch<'p> {
    /// The end; whether the query matches.
    End(bool),
    Condition {
        slot: Slot,
        test: &'p Test,
        yes: u32,
        no: u32,
    },
}

#[cfg(feature = "lint")]
impl Program {
    /// A place, or the beginning; `None` if the program reads parts of attributes.
    pub(super) fn branch(&self, at: Option<u32>) -> Option<Branch<'_>> {
        let at = at.unwrap_or(self.start);
        let Some(condition) = self.conditions.get(at as usize) else {
            return Some(Branch::End(at == TRUE));
        };
        match condition.path {
            Path::Name(slot) if !self.nested => Some(Branch::Condition {
                slot,
                test: &condition.test,
                yes: condition.yes,
                no: condition.no,
            }),
            _ => None,
        }
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
        mut holds: impl FnMut(u32, &Condition) -> Result<bool, E>,
    ) -> Result<End, E> {
        let mut at = self.start;
        while let Some(condition) = self.conditions.get(at as usize) {
            at = if holds(at, condition)? {
                condition.yes
            } else {
                condition.no
            };
        }
        Ok(match at {
            TRUE => End::Match,
            FALSE => End::NoMatch,
            error => End::Error(FIRST_ERROR.saturating_sub(error)),
        })
    }

    #[inline]
    pub(crate) fn matches<'a, A: Attributes + ?Sized, O: Observer>(
        &self,
        slots: &Slots<'_, 'a, A, O>,
    ) -> Result<bool, Unreadable> {
        if self.nested {
            return self.matches_nested(slots);
        }
        let end = self.walk(|index, condition| match condition.path {
            Path::Name(slot) => slots.get(slot).map(|operand| {
                let holds = condition.holds(operand, &slots.work);
                slots.observer.condition(index, operand, true, holds);
                holds
            }),
            Path::Nested(_) => Ok(false),
        })?;
        Ok(ends_in_match(end, slots.observer))
    }

    fn matches_nested<'s, 'a: 's, A: Attributes + ?Sized, O: Observer>(
        &self,
        slots: &Slots<'s, 'a, A, O>,
    ) -> Result<bool, Unreadable> {
        let mut state = State {
            left: Operand::Null,
            stack: Vec::new(),
        };
        let end = self.walk(|index, condition| {
            let read = state.read(&condition.path, slots).inspect_err(|stop| {
                if *stop == Stop::Abort {
                    slots.observer.dead_end(index);
                }
            })?;
            let holds = condition.holds(state.left, &slots.work);
            slots.observer.condition(index, state.left, read, holds);
            Ok(holds)
        });
        let matches = end.map(|end| ends_in_match(end, slots.observer));
        Stop::resolve(matches, slots.observer)
    }
}

#[inline]
fn ends_in_match(end: End, observer: impl Observer) -> bool {
    if let End::Error(number) = end {
        observer.error(number);
    }
    end == End::Match
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
    /// Whether the attribute was read; if not, what was read before it stays.
    fn read<'a: 's, A: Attributes + ?Sized, O>(
        &mut self,
        path: &Path,
        slots: &Slots<'s, 'a, A, O>,
    ) -> Result<bool, Stop> {
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
                    return Ok(false);
                }
                Operand::Object(members) => current = member(members, segment),
                _ => return Err(Stop::Abort),
            }
        }
        self.left = current;
        Ok(true)
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

    fn read_from_stack(&mut self, first: &str, rest: &[Box<str>]) -> Result<bool, Stop> {
        let mut segments = std::iter::once(first).chain(rest.iter().map(|segment| &**segment));
        for segment in segments.by_ref().take(rest.len()) {
            match self.stack.last() {
                Some(Operand::Object(members)) => {
                    let member = member(members, segment);
                    self.stack.push(member);
                }
                None | Some(Operand::Null) => return Ok(false),
                Some(_) => return Err(Stop::Abort),
            }
        }
        match (self.stack.pop(), segments.next()) {
            (Some(Operand::Object(members)), Some(segment)) => {
                self.left = member(members, segment);
                self.stack.clear();
                Ok(false)
            }
            (None | Some(Operand::Null), _) => Ok(false),
            _ => Err(Stop::Abort),
        }
    }
}

fn member<'v>(members: &'v Map<String, Value>, name: &str) -> Operand<'v> {
    members.get(name).map_or(Operand::Null, Operand::from)
}
