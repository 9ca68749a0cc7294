//! Flag files in TOML.

use std::{borrow::Cow, rc::Rc};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::Malformed,
    scalar::encoded,
    tree::{Content, Object, Tree},
};
use crate::configuration::{date::Date, json::number};

pub(super) fn parse(text: &str) -> Result<Tree<'_>, Malformed> {
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        Malformed::new(offset, error.message().to_owned())
    })?;
    Ok(Tree::new(0, object(table.into_inner())?))
}

fn object<'t>(table: DeTable<'t>) -> Result<Content<'t>, Malformed> {
    let mut members = Vec::new();
    for (name, value) in table {
        let offset = name.span().start;
        members.push((Tree::new(offset, text(name.into_inner())), tree(value)?));
    }
    // The parser sorts by name.
    members.sort_by_key(|(name, _)| name.offset);
    members.shrink_to_fit();
    let repeated = None;
    Ok(Content::Object(Rc::new(Object { members, repeated })))
}

fn tree(value: Spanned<DeValue<'_>>) -> Result<Tree<'_>, Malformed> {
    let offset = value.span().start;
    let content = match value.into_inner() {
        DeValue::String(value) => text(value),
        DeValue::Boolean(value) => Content::Bool(value),
        DeValue::Integer(value) => {
            let digits = value.as_str().replace('_', "");
            let number = i64::from_str_radix(&digits, value.radix())
                .map_err(|_| Malformed::new(offset, "integer beyond 64 bits"))?;
            Content::Number(Some(number.into()))
        }
        DeValue::Float(value) => {
            let digits = value.as_str().replace('_', "");
            let is_word = digits.ends_with("inf") || digits.ends_with("nan");
            match digits.parse().ok().and_then(number) {
                Some(number) => Content::Number(Some(number)),
                None if is_word => {
                    Content::Unusable("an infinity, and not a number, have no JSON form")
                }
                None => {
                    return Err(Malformed::new(
                        offset,
                        "number beyond the range of a double",
                    ));
                }
            }
        }
        DeValue::Datetime(value) => Content::Date(date(&value.to_string(), offset)?.into()),
        DeValue::Array(elements) => {
            let elements: Result<Vec<_>, _> = elements.into_iter().map(tree).collect();
            Content::List(Rc::new(elements?))
        }
        DeValue::Table(members) => object(members)?,
    };
    Ok(Tree::new(offset, content))
}

/// A date as the server reads it: in UTC without a zone, midnight without a time, in year 0 without
/// a day.
fn date(text: &str, offset: usize) -> Result<String, Malformed> {
    let text = text.to_ascii_uppercase().replace(' ', "T");
    let (day, time) = match text.split_once('T') {
        Some((day, time)) => (day, time),
        None if text.contains(':') => ("0000-01-01", &*text),
        None => (&*text, "00:00:00"),
    };
    let zone_at = time.find(['Z', '+', '-']).unwrap_or(time.len());
    let (time, zone) = time.split_at(zone_at);
    let seconds = if time.len() == 5 { ":00" } else { "" };
    let zone = if zone.is_empty() { "Z" } else { zone };
    let date = format!("{day}T{time}{seconds}{zone}");
    match Date::parse(&date) {
        Some(_) => Ok(encoded(&date)),
        None => Err(Malformed::new(offset, "not a date")),
    }
}

fn text(text: Cow<'_, str>) -> Content<'_> {
    match text {
        Cow::Borrowed(text) => Content::Text(text),
        Cow::Owned(text) => Content::OwnText(text.into()),
    }
}
