//! Compiled queries of the rule language.

use crate::evaluate::{
    attributes::Attributes,
    operand::Operand,
    scope::{NameTable, Slot, Slots, Unreadable},
};

use super::{
    literal::Test,
    parser::{Node, Tree, parse},
};

/// A query as a list of conditions, each of which says where to go on.
///
/// Groups, negations and the logical operators are gone: they decide only
/// which condition comes next, so that neither evaluating nor dropping a
/// program recurses.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    conditions: Box<[Condition]>,
    start: u32,
    /// Whether any path has several segments, so that state can leak between conditions.
    nested: bool,
}

#[derive(Clone, Debug)]
struct Condition {
    path: Path,
    test: Test,
    yes: u32,
    no: u32,
}

#[derive(Clone, Debug)]
enum Path {
    Name(Slot),
    /// The first segment, and at least one more.
    Nested(Box<(Slot, Box<[Box<str>]>)>),
}

const TRUE: u32 = u32::MAX;
const FALSE: u32 = u32::MAX - 1;
/// False as well, whatever surrounds it: a query error, or a damaged part.
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
        conditions: compiler.conditions.into_boxed_slice(),
        start,
        nested: compiler.nested,
    })
}

struct Compiler<'n> {
    names: &'n mut NameTable,
    conditions: Vec<Condition>,
    nested: bool,
}

enum Task {
    /// Compile a node whose outcome goes to these places.
    Node { node: usize, yes: u32, no: u32 },
    /// Compile a left operand, now that it is known where its right operand begins.
    Left {
        node: usize,
        and: bool,
        yes: u32,
        no: u32,
    },
}

impl Compiler<'_> {
    /// Works from the end of the query to its beginning, so that every place exists before it is
    /// referred to.
    fn compile(&mut self, tree: &Tree<'_>) -> Option<u32> {
        let mut entry = FALSE;
        let mut tasks = vec![Task::Node {
            node: tree.root,
            yes: TRUE,
            no: FALSE,
        }];
        while let Some(task) = tasks.pop() {
            let (node, yes, no) = match task {
                Task::Node { node, yes, no } => (node, yes, no),
                Task::Left {
                    node,
                    and: true,
                    no,
                    ..
                } => (node, entry, no),
                Task::Left {
                    node,
                    and: false,
                    yes,
                    ..
                } => (node, yes, entry),
            };
            entry = match tree.nodes.get(node)? {
                Node::Unknown if node == tree.root => FALSE,
                Node::Unknown | Node::Broken => ERROR,
                Node::Group { negated, child } => {
                    let (yes, no) = if *negated { (no, yes) } else { (yes, no) };
                    tasks.push(Task::Node {
                        node: *child,
                        yes,
                        no,
                    });
                    continue;
                }
                Node::Logical { and, left, right } => {
                    tasks.push(Task::Left {
                        node: *left,
                        and: *and,
                        yes,
                        no,
                    });
                    tasks.push(Task::Node {
                        node: *right,
                        yes,
                        no,
                    });
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
        let first = self.names.slot(first)?;
        let path = if rest.is_empty() {
            Path::Name(first)
        } else {
            self.nested = true;
            self.names.keep();
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
    /// Whether evaluating it for nobody ends in no error.
    #[cfg(feature = "file")]
    pub(crate) fn holds_without_attributes(&self) -> bool {
        // No attribute is there, so no condition needs the state that leaks between them.
        let mut at = self.start;
        while let Some(condition) = self.conditions.get(at as usize) {
            at = if condition.test.holds(Operand::Null) {
                condition.yes
            } else {
                condition.no
            };
        }
        at != ERROR
    }

    #[inline]
    pub(crate) fn matches<'a, A: Attributes + ?Sized>(
        &self,
        slots: &Slots<'_, 'a, A>,
    ) -> Result<bool, Unreadable> {
        if self.nested {
            return self.matches_nested(slots);
        }
        let mut at = self.start;
        while let Some(condition) = self.conditions.get(at as usize) {
            let Path::Name(slot) = condition.path else {
                return Ok(false);
            };
            at = if slots.test(slot, |operand| condition.test.holds(operand))? {
                condition.yes
            } else {
                condition.no
            };
        }
        Ok(at == TRUE)
    }

    fn matches_nested<'s, 'a: 's, A: Attributes + ?Sized>(
        &self,
        slots: &Slots<'s, 'a, A>,
    ) -> Result<bool, Unreadable> {
        let mut state = State {
            left: Operand::Null,
            stack: Vec::new(),
        };
        let mut at = self.start;
        while let Some(condition) = self.conditions.get(at as usize) {
            if state.read(&condition.path, slots)?.is_err() {
                return Ok(false);
            }
            at = if condition.test.holds(state.left) {
                condition.yes
            } else {
                condition.no
            };
        }
        Ok(at == TRUE)
    }
}

/// What the official evaluator carries from one condition to the next.
///
/// A path whose parents exist leaves nothing behind. One that stops at a
/// missing parent leaves the attribute read before it, and parents on the
/// stack. (Engine semantics: section "Reading the attribute".)
struct State<'s> {
    left: Operand<'s>,
    stack: Vec<Operand<'s>>,
}

/// A member was read of something that is not an object.
struct Abort;

impl<'s> State<'s> {
    fn read<'a: 's, A: Attributes + ?Sized>(
        &mut self,
        path: &Path,
        slots: &Slots<'s, 'a, A>,
    ) -> Result<Result<(), Abort>, Unreadable> {
        let (first, rest) = match path {
            Path::Name(slot) => (*slot, &[] as &[Box<str>]),
            Path::Nested(path) => (path.0, &*path.1),
        };
        if !self.stack.is_empty() {
            return Ok(self.read_from_stack(slots.name(first), rest));
        }
        let root = slots.get(first)?;
        let mut current = root;
        for (index, segment) in rest.iter().enumerate() {
            match current {
                Operand::Null => {
                    let left_behind = if index + 1 == rest.len() {
                        index
                    } else {
                        index + 1
                    };
                    self.leave_behind(root, rest.get(..left_behind).unwrap_or_default());
                    return Ok(Ok(()));
                }
                Operand::Object(members) => {
                    current = members.get(&**segment).map_or(Operand::Null, Operand::from);
                }
                _ => return Ok(Err(Abort)),
            }
        }
        self.left = current;
        Ok(Ok(()))
    }

    /// Keeps the values of as many parents as there are segments, beginning with `root`.
    fn leave_behind(&mut self, root: Operand<'s>, segments: &[Box<str>]) {
        let mut current = root;
        for segment in segments {
            self.stack.push(current);
            current = match current {
                Operand::Object(members) => {
                    members.get(&**segment).map_or(Operand::Null, Operand::from)
                }
                _ => Operand::Null,
            };
        }
    }

    fn read_from_stack(&mut self, first: &str, rest: &[Box<str>]) -> Result<(), Abort> {
        let mut segments = std::iter::once(first).chain(rest.iter().map(|segment| &**segment));
        for segment in segments.by_ref().take(rest.len()) {
            match self.stack.last() {
                Some(Operand::Object(members)) => {
                    let member = members.get(segment).map_or(Operand::Null, Operand::from);
                    self.stack.push(member);
                }
                None | Some(Operand::Null) => return Ok(()),
                Some(_) => return Err(Abort),
            }
        }
        match (self.stack.pop(), segments.next()) {
            (Some(Operand::Object(members)), Some(segment)) => {
                self.left = members.get(segment).map_or(Operand::Null, Operand::from);
                self.stack.clear();
                Ok(())
            }
            (None | Some(Operand::Null), _) => Ok(()),
            _ => Err(Abort),
        }
    }
}
