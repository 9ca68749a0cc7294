//! The contents of a flag file in any format, with the place of each value.

use std::rc::Rc;

use serde_json::Number;

use super::scalar::Tag;
use crate::{configuration::definition::known, validation::Step};

/// A value of a flag file. A clone shares the parts.
#[derive(Clone, Debug)]
pub(crate) struct Tree<'t> {
    /// Byte offset of its first character in the text.
    pub(crate) offset: usize,
    pub(crate) content: Content<'t>,
}

#[derive(Clone, Debug)]
pub(crate) enum Content<'t> {
    Null,
    Bool(bool),
    /// `None` is a number that JSON cannot express as a double.
    Number(Option<Number>),
    /// A date of TOML, as RFC 3339.
    Date(Rc<str>),
    Text(&'t str),
    /// A text that the file spells in another way, with escapes for example.
    OwnText(Rc<str>),
    /// An unquoted scalar of YAML, whose type depends on the member.
    Plain(&'t str),
    Tagged(Rc<Tagged>),
    List(Rc<Vec<Tree<'t>>>),
    Object(Rc<Object<'t>>),
    /// A reference of YAML to a value elsewhere in the file.
    Alias(Rc<Tree<'t>>),
    /// Why there is no value. That matters only in a flag that uses it.
    Unusable(&'static str),
}

/// A scalar of YAML with a tag, or an unquoted one that spans lines.
#[derive(Debug)]
pub(crate) struct Tagged {
    pub(crate) tag: Tag,
    pub(crate) text: Box<str>,
}

#[derive(Debug, Default)]
pub(crate) struct Object<'t> {
    /// Names and values in the order of the file.
    pub(crate) members: Vec<(Tree<'t>, Tree<'t>)>,
    /// Index of a member whose name YAML does not allow, because an earlier one has it.
    pub(crate) repeated: Option<usize>,
}

/// Deepest nesting of a file, aliases included.
pub(crate) const MAX_DEPTH: usize = 256;

pub(crate) const TOO_DEEP: &str = "nested too deeply";

impl<'t> Tree<'t> {
    pub(crate) fn new(offset: usize, content: Content<'t>) -> Self {
        Self { offset, content }
    }

    /// The value itself, where it may be an alias.
    pub(crate) fn target(&self) -> &Self {
        match &self.content {
            Content::Alias(target) => target,
            _ => self,
        }
    }

    /// A scalar of text or of YAML as it is spelled.
    pub(crate) fn spelling(&self) -> Option<&str> {
        match &self.target().content {
            Content::Text(text) | Content::Plain(text) => Some(text),
            Content::OwnText(text) => Some(text),
            Content::Tagged(tagged) => Some(&tagged.text),
            _ => None,
        }
    }

    /// Whether it is the name of members that are merged into an object.
    pub(crate) fn is_merge(&self) -> bool {
        match &self.content {
            Content::Plain(text) => *text == "<<",
            Content::Tagged(tagged) => tagged.tag == Tag::Merge && &*tagged.text == "<<",
            _ => false,
        }
    }

    /// The byte offset of a part of a flag, or of the last existing part on the path to it.
    pub(crate) fn locate(&self, path: &[Step]) -> usize {
        self.part(path).offset
    }

    /// A part of a flag, or the last existing part on the path to it.
    pub(crate) fn part(&self, path: &[Step]) -> &Self {
        let mut current = self.target();
        for step in path {
            let next = match (step, &current.content) {
                (Step::Member(name), Content::Object(object)) => {
                    let folded = |member: &str| known(member, &[name]).is_some();
                    let exact = Search::new(&|member| member == *name).last(object);
                    exact.or_else(|| Search::new(&folded).last(object))
                }
                (Step::Entry(name), Content::Object(object)) => {
                    Search::new(&|member| member == name).last(object)
                }
                (Step::Index(index), Content::List(elements)) => elements.get(*index),
                _ => None,
            };
            let Some(next) = next else { break };
            current = next.target();
        }
        current
    }

    /// The names of the flags that a flag depends on, by its member `needs`
    /// (`configuration/definition.rs`). The server does not serve the member yet. `budget` is how many
    /// bytes the names may take: many flags can share one long list by an alias. Beyond it, one name
    /// is empty.
    pub(crate) fn needs(&self, budget: &mut usize) -> Vec<Box<str>> {
        let Content::Object(flag) = &self.target().content else {
            return Vec::new();
        };
        let is_needs = |member: &str| known(member, &["needs"]).is_some();
        let mut search = Search::new(&is_needs);
        let Some(needs) = search.last(flag) else {
            // Of a flag that was not searched to its end it is not known that it needs none.
            return if search.is_exhausted() {
                vec!["".into()]
            } else {
                Vec::new()
            };
        };
        let is_flag = |member: &str| known(member, &["flag"]).is_some();
        let mut search = Search::new(&is_flag);
        match &needs.target().content {
            Content::Null | Content::Plain("" | "~" | "null" | "Null" | "NULL") => Vec::new(),
            Content::List(entries) => {
                let mut names = Vec::new();
                for entry in entries.iter() {
                    let name = match &entry.target().content {
                        Content::Object(entry) => search.last(entry).and_then(Self::spelling),
                        _ => None,
                    };
                    let name = name.unwrap_or_default();
                    let Some(left) = budget.checked_sub(name.len() + NAME) else {
                        return vec!["".into()];
                    };
                    *budget = left;
                    names.push(name.into());
                }
                names
            }
            _ => vec!["".into()],
        }
    }
}

/// The memory of a name beside its text.
const NAME: usize = 24;

/// A search for a member, also in merged objects, which may be merged again and again. So it ends
/// after a number of steps.
struct Search<'a> {
    is: &'a dyn Fn(&str) -> bool,
    steps: usize,
}

impl<'a> Search<'a> {
    /// The members that a search looks at, at most.
    const STEPS: usize = 2_000;

    fn new(is: &'a dyn Fn(&str) -> bool) -> Self {
        Self {
            is,
            steps: Self::STEPS,
        }
    }

    fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    /// The value of the last member of a name, or of the first merged one.
    fn last<'o, 't>(&mut self, object: &'o Object<'t>) -> Option<&'o Tree<'t>> {
        self.find(object, MAX_DEPTH)
    }

    fn find<'o, 't>(&mut self, object: &'o Object<'t>, levels: usize) -> Option<&'o Tree<'t>> {
        self.steps = self.steps.saturating_sub(object.members.len() + 1);
        if self.is_exhausted() || levels == 0 {
            self.steps = 0;
            return None;
        }
        let mut members = object.members.iter().rev();
        if let Some((_, value)) = members.find(|(name, _)| name.spelling().is_some_and(self.is)) {
            return Some(value);
        }
        let (_, merged) = object.members.iter().find(|(name, _)| name.is_merge())?;
        match &merged.target().content {
            Content::Object(object) => self.find(object, levels - 1),
            Content::List(elements) => {
                for element in elements.iter() {
                    if let Content::Object(object) = &element.target().content
                        && let Some(found) = self.find(object, levels - 1)
                    {
                        return Some(found);
                    }
                    if self.is_exhausted() {
                        break;
                    }
                }
                None
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of two-byte values has a node for each two bytes.
    #[test]
    fn a_node_is_small() {
        assert!(size_of::<Tree<'_>>() <= 32);
        assert!(size_of::<Object<'_>>() <= 40);
    }
}
