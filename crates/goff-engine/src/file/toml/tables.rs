//! The tables of a TOML file while it is read: statements anywhere in the file add to them.

use std::{hash::BuildHasher, mem, rc::Rc};

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use crate::file::error::Malformed;
use crate::file::tree::{Content, MAX_DEPTH, Object, TOO_DEEP, Tree};

/// Tables by their number. A table of later statements never precedes the table it is in.
pub(super) struct Tables<'t> {
    tables: Vec<Table<'t>>,
    hasher: RandomState,
    /// How many tables may still be made for parts of dotted names. Such a part takes two bytes of
    /// the file, and its table hundreds of memory.
    left: usize,
    empty: Rc<Object<'t>>,
}

/// The table that is the whole file.
pub(super) const ROOT: usize = 0;

struct Table<'t> {
    offset: usize,
    made_by: MadeBy,
    members: Vec<Member<'t>>,
    /// The numbers of the members, once there are many.
    index: Option<Box<HashTable<u32>>>,
}

/// What made a table decides which statements may add to it.
#[derive(Clone, Copy, PartialEq)]
enum MadeBy {
    /// The header of a table within it.
    HeaderOfPart,
    DottedKey,
    /// Its own header or braces.
    Definition,
}

struct Member<'t> {
    name: Tree<'t>,
    value: Value<'t>,
}

enum Value<'t> {
    Complete(Tree<'t>),
    Table(usize),
    /// A list of tables, `[[name]]`.
    Tables(Vec<usize>),
}

impl<'t> Tables<'t> {
    /// The tables of a file of this size.
    pub(super) fn new(size: usize) -> Self {
        let mut tables = Self {
            tables: Vec::new(),
            hasher: RandomState::default(),
            left: 1_000 + size / 10,
            empty: Rc::default(),
        };
        tables.begin(0);
        tables
    }

    /// Makes a table that is in no other yet, such as an inline one.
    pub(super) fn begin(&mut self, offset: usize) -> usize {
        self.tables.push(Table {
            offset,
            made_by: MadeBy::Definition,
            members: Vec::new(),
            index: None,
        });
        self.tables.len() - 1
    }

    /// Completes the table that was begun last.
    pub(super) fn end(&mut self, table: usize) -> Content<'t> {
        let content = self.content(table);
        self.tables.truncate(table);
        content
    }

    /// Completes a table and those in it.
    fn content(&mut self, table: usize) -> Content<'t> {
        let members = self
            .tables
            .get_mut(table)
            .map(|table| mem::take(&mut table.members));
        let members = members.unwrap_or_default();
        if members.is_empty() {
            return Content::Object(Rc::clone(&self.empty));
        }
        let mut complete = Vec::with_capacity(members.len());
        for Member { name, value } in members {
            let value = match value {
                Value::Complete(tree) => tree,
                Value::Table(table) => self.tree(table),
                Value::Tables(list) => {
                    let elements = list.into_iter().map(|table| self.tree(table)).collect();
                    Tree::new(name.offset, Content::List(Rc::new(elements)))
                }
            };
            complete.push((name, value));
        }
        Content::Object(Rc::new(Object {
            members: complete,
            repeated: None,
        }))
    }

    fn tree(&mut self, table: usize) -> Tree<'t> {
        let offset = self.tables.get(table).map_or(0, |table| table.offset);
        Tree::new(offset, self.content(table))
    }

    /// The table that a header opens; `is_element` is that of `[[name]]`.
    pub(super) fn open(
        &mut self,
        path: Vec<Tree<'t>>,
        is_element: bool,
        offset: usize,
    ) -> Result<usize, Malformed> {
        let (table, name) = self.descend(ROOT, path, MadeBy::HeaderOfPart)?;
        let found = self.find(table, &name);
        match found.and_then(|index| self.member(table, index)) {
            None => {
                let new = self.begin(offset);
                let value = match is_element {
                    true => Value::Tables(vec![new]),
                    false => Value::Table(new),
                };
                self.add(table, name, value);
                Ok(new)
            }
            Some(Value::Tables(_)) if is_element => {
                let new = self.begin(offset);
                if let Some(Value::Tables(list)) = found.and_then(|index| self.member(table, index))
                {
                    list.push(new);
                }
                Ok(new)
            }
            Some(Value::Table(existing)) if !is_element => {
                let existing = *existing;
                match self.tables.get_mut(existing) {
                    Some(table) if table.made_by == MadeBy::HeaderOfPart => {
                        table.made_by = MadeBy::Definition;
                        table.offset = offset;
                        Ok(existing)
                    }
                    _ => Err(repeated(&name)),
                }
            }
            Some(_) => Err(repeated(&name)),
        }
    }

    /// Sets a value. Only the last part of a dotted key is its name.
    pub(super) fn set(
        &mut self,
        table: usize,
        path: Vec<Tree<'t>>,
        value: Tree<'t>,
    ) -> Result<(), Malformed> {
        let is_dotted = path.len() > 1;
        let (table, name) = self.descend(table, path, MadeBy::DottedKey)?;
        let is_defined = self.made_by(table) == Some(MadeBy::Definition);
        if (is_dotted && is_defined) || self.find(table, &name).is_some() {
            return Err(repeated(&name));
        }
        self.add(table, name, Value::Complete(value));
        Ok(())
    }

    /// The table that all but the last part of a path lead to, made if needed, and the last part.
    fn descend(
        &mut self,
        mut table: usize,
        mut path: Vec<Tree<'t>>,
        by: MadeBy,
    ) -> Result<(usize, Tree<'t>), Malformed> {
        let Some(last) = path.pop() else {
            return Err(Malformed::new(0, "a key is missing"));
        };
        for name in path {
            let found = self.find(table, &name);
            table = match found.and_then(|index| self.member(table, index)) {
                None => {
                    let new = self.make(by, name.offset)?;
                    self.add(table, name, Value::Table(new));
                    new
                }
                Some(Value::Complete(_)) => {
                    return Err(Malformed::new(
                        name.offset,
                        "the value of this key is complete, nothing can be added to it",
                    ));
                }
                Some(Value::Tables(list)) => list.last().copied().unwrap_or(ROOT),
                Some(Value::Table(next)) => {
                    let next = *next;
                    if by == MadeBy::DottedKey
                        && let Some(existing) = self.tables.get_mut(next)
                    {
                        if existing.made_by == MadeBy::Definition {
                            return Err(repeated(&name));
                        }
                        existing.made_by = MadeBy::DottedKey;
                    }
                    next
                }
            };
        }
        Ok((table, last))
    }

    fn make(&mut self, by: MadeBy, offset: usize) -> Result<usize, Malformed> {
        let Some(left) = self.left.checked_sub(1) else {
            let what = "too many tables for a file of this size";
            return Err(Malformed::new(offset, what));
        };
        self.left = left;
        let table = self.begin(offset);
        if let Some(table) = self.tables.get_mut(table) {
            table.made_by = by;
        }
        Ok(table)
    }

    fn made_by(&self, table: usize) -> Option<MadeBy> {
        self.tables.get(table).map(|table| table.made_by)
    }

    fn member(&mut self, table: usize, index: usize) -> Option<&mut Value<'t>> {
        let member = self.tables.get_mut(table)?.members.get_mut(index)?;
        Some(&mut member.value)
    }

    fn find(&self, table: usize, name: &Tree<'_>) -> Option<usize> {
        let table = self.tables.get(table)?;
        let is_it = |member: &Member<'_>| member.name.spelling() == name.spelling();
        let Some(index) = &table.index else {
            return table.members.iter().position(is_it);
        };
        let is_it = |number: &u32| table.members.get(*number as usize).is_some_and(is_it);
        let found = index.find(self.hasher.hash_one(name.spelling()), is_it);
        found.map(|number| *number as usize)
    }

    fn add(&mut self, table: usize, name: Tree<'t>, value: Value<'t>) {
        let Some(table) = self.tables.get_mut(table) else {
            return;
        };
        let members = &mut table.members;
        if members.len() == members.capacity() {
            // Most tables are small, and a vector would make room for four.
            members.reserve_exact(members.len().max(1));
        }
        members.push(Member { name, value });
        let hash = |number: &u32| {
            let name = members
                .get(*number as usize)
                .and_then(|member| member.name.spelling());
            self.hasher.hash_one(name)
        };
        let count = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let new = match &table.index {
            None if members.len() <= FEW_MEMBERS => 0..0,
            None => 0..count,
            Some(_) => count - 1..count,
        };
        for number in new {
            let index = table.index.get_or_insert_default();
            index.insert_unique(hash(&number), number, hash);
        }
    }
}

/// Up to so many names are compared one by one.
const FEW_MEMBERS: usize = 16;

fn repeated(name: &Tree<'_>) -> Malformed {
    Malformed::new(name.offset, "duplicate key")
}

/// Refuses what is nested more deeply than a file may be.
pub(super) fn check_depth(depth: usize, offset: usize) -> Result<(), Malformed> {
    match depth > MAX_DEPTH {
        true => Err(Malformed::new(offset, TOO_DEEP)),
        false => Ok(()),
    }
}
