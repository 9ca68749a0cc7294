//! Flag files in JSON.

use std::{borrow::Cow, rc::Rc};

use super::{
    error::Malformed,
    tree::{Content, MAX_DEPTH, Object, TOO_DEEP, Tree},
};
use crate::configuration::json::{Node, Reader, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Tree<'_>, Malformed> {
    let mut reader = Reader::new(text);
    tree(&mut reader, MAX_DEPTH)
        .and_then(|tree| reader.end().map(|()| tree))
        .map_err(|error| Malformed::new(error.offset, error.what))
}

/// Reads a value with the place of each of its parts.
fn tree<'t>(reader: &mut Reader<'t>, depth: usize) -> Result<Tree<'t>, SyntaxError> {
    reader.white_space();
    let offset = reader.at;
    let content = match reader.peek() {
        Some(b'[' | b'{') if depth == 0 => {
            reader.skip_extent()?;
            Content::Unusable(TOO_DEEP)
        }
        Some(b'[') => {
            let mut elements = Vec::new();
            reader.elements(|reader| {
                elements.push(tree(reader, depth - 1)?);
                Ok(())
            })?;
            elements.shrink_to_fit();
            Content::List(Rc::new(elements))
        }
        Some(b'{') => {
            let mut members = Vec::new();
            reader.members(|reader, name| {
                let name = Tree::new(reader.name_at, text(name));
                members.push((name, tree(reader, depth - 1)?));
                Ok(())
            })?;
            members.shrink_to_fit();
            let repeated = None;
            Content::Object(Rc::new(Object { members, repeated }))
        }
        _ => match reader.value(0)? {
            Node::Bool(value) => Content::Bool(value),
            Node::Number(value) => Content::Number(value),
            Node::String(value) => text(value),
            Node::Null | Node::Array(_) | Node::Object(_) => Content::Null,
        },
    };
    Ok(Tree::new(offset, content))
}

fn text(text: Cow<'_, str>) -> Content<'_> {
    match text {
        Cow::Borrowed(text) => Content::Text(text),
        Cow::Owned(text) => Content::OwnText(text.into()),
    }
}
