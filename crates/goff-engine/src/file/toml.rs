//! Flag files in TOML.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::FlagFileError,
    position::Lines,
    tree::{Content, Tree},
};

pub(super) fn parse(text: &str) -> Result<Tree, FlagFileError> {
    let lines = Lines::new(text);
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        FlagFileError::new(lines.position(offset), error.message())
    })?;
    let members = table.get_ref().iter();
    Ok(Tree::new(lines.position(0), object(members, &lines)?))
}

fn object<'v, 't: 'v>(
    members: impl Iterator<Item = (&'v Spanned<Cow<'t, str>>, &'v Spanned<DeValue<'t>>)>,
    lines: &Lines<'_>,
) -> Result<Content, FlagFileError> {
    let mut entries: Vec<(usize, (String, Tree))> = Vec::new();
    for (name, value) in members {
        let entry = (name.get_ref().as_ref().to_owned(), tree(value, lines)?);
        entries.push((name.span().start, entry));
    }
    // The parser sorts by name.
    entries.sort_by_key(|(start, _)| *start);
    Ok(Content::Object(
        entries.into_iter().map(|(_, entry)| entry).collect(),
    ))
}

fn tree(value: &Spanned<DeValue<'_>>, lines: &Lines<'_>) -> Result<Tree, FlagFileError> {
    let position = lines.position(value.span().start);
    let content = match value.get_ref() {
        DeValue::String(text) => Content::Text(text.as_ref().to_owned()),
        DeValue::Boolean(value) => Content::Bool(*value),
        DeValue::Integer(value) => {
            let text = value.as_str().replace('_', "");
            let number = i64::from_str_radix(&text, value.radix())
                .map_err(|_| FlagFileError::new(position, "integer beyond 64 bits"))?;
            Content::Number(Some(number.into()))
        }
        DeValue::Float(value) => {
            let text = value.as_str().replace('_', "");
            let number: f64 = text.parse().unwrap_or(f64::NAN);
            if !number.is_finite() {
                return FlagFileError::at(position, format!("number `{text}` has no JSON form"));
            }
            Content::double(number)
        }
        DeValue::Datetime(date) => Content::Text(date.to_string()),
        DeValue::Array(elements) => Content::List(
            elements
                .iter()
                .map(|element| tree(element, lines))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(members) => object(members.iter(), lines)?,
    };
    Ok(Tree::new(position, content))
}
