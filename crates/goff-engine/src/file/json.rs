//! Flag files in JSON.

use super::{
    error::FlagFileError,
    position::Lines,
    tree::{Content, MAX_DEPTH, Tree},
};
use crate::configuration::json::{Node, Reader, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Tree, FlagFileError> {
    let lines = Lines::new(text);
    let mut reader = Reader::new(text);
    tree(&mut reader, &lines, MAX_DEPTH)
        .and_then(|tree| reader.end().map(|()| tree))
        .map_err(|error| FlagFileError::new(lines.position(error.offset), error.what))
}

/// Reads a value with the position of each of its parts.
fn tree(reader: &mut Reader<'_>, lines: &Lines<'_>, depth: usize) -> Result<Tree, SyntaxError> {
    reader.white_space();
    let position = lines.position(reader.at);
    let content = match reader.peek() {
        Some(b'[') => {
            let depth = reader.deeper(depth)?;
            let mut elements = Vec::new();
            reader.elements(|reader| {
                elements.push(tree(reader, lines, depth)?);
                Ok(())
            })?;
            Content::List(elements)
        }
        Some(b'{') => {
            let depth = reader.deeper(depth)?;
            let mut members = Vec::new();
            reader.members(|reader, name| {
                members.push((name.into_owned(), tree(reader, lines, depth)?));
                Ok(())
            })?;
            Content::Object(members)
        }
        _ => match reader.value(0)? {
            Node::Bool(value) => Content::Bool(value),
            Node::Number(value) => Content::Number(value),
            Node::String(text) => Content::Text(text.into_owned()),
            Node::Null | Node::Array(_) | Node::Object(_) => Content::Null,
        },
    };
    Ok(Tree::new(position, content))
}
