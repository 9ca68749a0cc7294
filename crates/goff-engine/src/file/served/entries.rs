//! The members of an object, with those that `<<` merges into it.

use std::{borrow::Cow, collections::HashSet};

use super::{Entry, Fault, Writer, fault};
use crate::{
    file::{
        scalar::Scalar,
        tree::{Content, Object, Tree},
    },
    presentable::presentable,
};

impl Writer<'_> {
    /// The members of an object with those that it merges, without those whose name is null.
    pub(super) fn entries<'a, 't>(
        &mut self,
        object: &'a Object<'t>,
    ) -> Result<Vec<Entry<'a, 't>>, Fault> {
        let mut entries = Vec::with_capacity(object.members.len());
        let merged = self.own_entries(object, &mut |name, value| {
            entries.push(Entry {
                name,
                value,
                is_merged: false,
            });
        })?;
        if let Some(merged) = merged {
            // The server's decoder compares the values of names, so that a merged member replaces
            // one that is called by a number.
            let mut seen = HashSet::new();
            for (name, _) in &object.members {
                if let Ok(Some(Scalar::Text(name))) = self.read(name) {
                    seen.insert(name);
                }
            }
            self.copies += 1;
            let result = self.merge(merged, &mut seen, &mut entries);
            self.copies -= 1;
            result?;
        }
        Ok(entries)
    }

    /// Visits the members of an object, except the merged ones, whose value it returns.
    fn own_entries<'a, 't>(
        &mut self,
        object: &'a Object<'t>,
        visit: &mut dyn FnMut(Cow<'a, str>, &'a Tree<'t>),
    ) -> Result<Option<&'a Tree<'t>>, Fault> {
        let repeated = object.repeated.and_then(|index| object.members.get(index));
        if let Some((name, _)) = repeated {
            let spelling = presentable(name.spelling().unwrap_or_default());
            return fault(name.offset, format!("member `{spelling}` is defined twice"));
        }
        let mut merged = None;
        for (name, value) in &object.members {
            if name.is_merge() {
                merged = Some(value);
                continue;
            }
            // Before its text is read.
            self.spend_name(name)?;
            let offset = name.offset;
            let name = match (self.read(name)?, name.spelling()) {
                (Some(Scalar::Null), _) => continue,
                (Some(Scalar::Text(name)), _) => name,
                (_, Some(spelling)) => Cow::Borrowed(spelling),
                (_, None) => return fault(offset, "the name of a member is not a scalar"),
            };
            visit(name, value);
        }
        Ok(merged)
    }

    /// Adds the members of an object, or of each object of a list, unless their name is taken.
    fn merge<'a, 't>(
        &mut self,
        merged: &'a Tree<'t>,
        seen: &mut HashSet<Cow<'a, str>>,
        entries: &mut Vec<Entry<'a, 't>>,
    ) -> Result<(), Fault> {
        let objects = match &merged.content {
            Content::List(elements) => elements.as_slice(),
            _ => std::slice::from_ref(merged),
        };
        for tree in objects {
            // Objects without members can be merged into each other again and again.
            self.spend(tree.offset, 0)?;
            let Content::Object(object) = &tree.target().content else {
                return fault(
                    tree.offset,
                    "the value of `<<` is no object and no list of objects",
                );
            };
            let inner = self.own_entries(object, &mut |name, value| {
                if seen.insert(name.clone()) {
                    entries.push(Entry {
                        name,
                        value,
                        is_merged: true,
                    });
                }
            })?;
            if let Some(inner) = inner {
                self.merge(inner, seen, entries)?;
            }
        }
        Ok(())
    }
}
