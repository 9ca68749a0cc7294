//! The evaluation context of an input document, read without copying its texts.

use std::{borrow::Cow, ptr};

use serde_json::Number;

use crate::{
    configuration::{
        compact_json::CompactJson,
        definition::is_compactible,
        json::{Node, Reader, SyntaxError},
        repeated::keep_last,
    },
    evaluate::attributes::{Attribute, Attributes, TARGETING_KEY},
};

/// Attributes as they are in the text. More than [`FEW`] are sorted by name, no name twice.
#[derive(Debug, Default)]
pub(super) struct DocumentContext<'t>(Vec<(Cow<'t, str>, Node<'t>)>);

impl<'t> DocumentContext<'t> {
    /// Reads an object or null, nested at most `depth` deep; `None` for anything that
    /// [`evaluate_document`](super::evaluate_document) rejects.
    pub(super) fn read(reader: &mut Reader<'t>, depth: usize) -> Result<Option<Self>, SyntaxError> {
        if reader.peek() != Some(b'{') {
            let is_null = reader.value(0)? == Node::Null;
            return Ok(is_null.then(Self::default));
        }
        let mut entries = Vec::with_capacity(FEW);
        let mut fits = true;
        reader.members(|reader, name| {
            let node = reader.value(depth.saturating_sub(1))?;
            fits &= is_compactible(&node);
            entries.push((name, node));
            Ok(())
        })?;
        if entries.len() > FEW {
            keep_last(&mut entries, |(name, _)| &**name);
        }
        Ok(fits.then_some(Self(entries)))
    }

    /// Of a repeated name the last attribute.
    fn get(&self, name: &str) -> Option<&Node<'t>> {
        let (_, node) = if self.0.len() > FEW {
            let index = self.0.binary_search_by(|(other, _)| (**other).cmp(name));
            self.0.get(index.ok()?)?
        } else {
            self.0.iter().rev().find(|(other, _)| *other == name)?
        };
        Some(node)
    }
}

/// A list or an object becomes a JSON value only here, since few flags read one.
fn attribute<'s>(node: &'s Node<'_>) -> Attribute<'s> {
    match node {
        Node::Null => Attribute::Null,
        Node::Bool(value) => Attribute::Bool(*value),
        Node::Number(value) => {
            let value = value.as_ref().and_then(Number::as_f64);
            value.map_or(Attribute::Unreadable, Attribute::Float)
        }
        Node::String(text) => Attribute::Str(text),
        Node::Array(_) | Node::Object(_) => match CompactJson::from_node(node) {
            Ok(value) => Attribute::Owned(Box::new(value.to_value())),
            Err(_) => Attribute::Unreadable,
        },
    }
}

impl Attributes for DocumentContext<'_> {
    fn targeting_key(&self) -> Option<&str> {
        match self.get(TARGETING_KEY)? {
            Node::String(text) => Some(text),
            _ => None,
        }
    }

    fn attribute(&self, name: &str) -> Option<Attribute<'_>> {
        self.get(name).map(attribute)
    }

    fn for_each<'s>(&'s self, visit: &mut dyn FnMut(&'s str, Attribute<'s>)) {
        for (name, node) in &self.0 {
            if self.get(name).is_some_and(|last| ptr::eq(last, node)) {
                visit(name, attribute(node));
            }
        }
    }
}

/// So many are found sooner by looking at each than sorted.
const FEW: usize = 16;
