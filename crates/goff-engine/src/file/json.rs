//! Flag files in JSON.

use super::{
    error::FlagFileError,
    position::Lines,
    tree::{Content, MAX_DEPTH, Tree},
};
use crate::configuration::json::{Node, Reader, SyntaxError};

pub(super) fn parse(text: &str) -> Result<Tree, FlagFileError> {
    let lines = Lines::new(text);
    // The plain reader finds all mistakes, so that the second pass can rely on the syntax.
    Node::parse(text, MAX_DEPTH)
        .and_then(|_| tree(&mut Reader::new(text), &lines))
        .map_err(|error| FlagFileError::new(lines.position(error.offset), error.what))
}

/// Reads a value with the position of each of its parts.
fn tree(reader: &mut Reader<'_>, lines: &Lines<'_>) -> Result<Tree, SyntaxError> {
    reader.white_space();
    let position = lines.position(reader.at);
    let content = if reader.take_if(b'[') {
        let mut elements = Vec::new();
        reader.white_space();
        while !reader.take_if(b']') {
            elements.push(tree(reader, lines)?);
            reader.white_space();
            reader.take_if(b',');
        }
        Content::List(elements)
    } else if reader.take_if(b'{') {
        let mut members = Vec::new();
        reader.white_space();
        while !reader.take_if(b'}') {
            reader.white_space();
            let name = reader.member_name()?.into_owned();
            members.push((name, tree(reader, lines)?));
            reader.white_space();
            reader.take_if(b',');
        }
        Content::Object(members)
    } else {
        match reader.value(0)? {
            Node::Bool(value) => Content::Bool(value),
            Node::Number(value) => Content::Number(value),
            Node::String(text) => Content::Text(text.into_owned()),
            Node::Null | Node::Array(_) | Node::Object(_) => Content::Null,
        }
    };
    Ok(Tree {
        position,
        content,
        source: None,
    })
}
