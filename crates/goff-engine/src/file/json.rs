//! Flag files in JSON.

use super::{
    error::FlagFileError,
    position::Lines,
    tree::{Content, MAX_DEPTH, Tree},
};
use crate::configuration::json::{Node, Spanned, parse_spanned};

pub(super) fn parse(text: &str) -> Result<Tree, FlagFileError> {
    let lines = Lines::new(text);
    let spanned = parse_spanned(text, MAX_DEPTH)
        .map_err(|error| FlagFileError::new(lines.position(error.offset), error.what))?;
    Ok(tree(spanned, &lines))
}

fn tree(spanned: Spanned<'_>, lines: &Lines<'_>) -> Tree {
    let (offset, content) = match spanned {
        Spanned::Scalar(offset, node) => {
            let content = match node {
                Node::Bool(value) => Content::Bool(value),
                Node::Number(value) => Content::Number(value),
                Node::String(text) => Content::Text(text.into_owned()),
                Node::Exact(value) => Content::Exact(value),
                Node::Null | Node::Array(_) | Node::Object(_) => Content::Null,
            };
            (offset, content)
        }
        Spanned::Array(offset, elements) => {
            let elements = elements.into_iter().map(|element| tree(element, lines));
            (offset, Content::List(elements.collect()))
        }
        Spanned::Object(offset, members) => {
            let members = members
                .into_iter()
                .map(|(name, value)| (name.into_owned(), tree(value, lines)));
            (offset, Content::Object(members.collect()))
        }
    };
    Tree {
        position: lines.position(offset),
        content,
        source: None,
    }
}
