//! Warnings about names and spellings in a flag file.

use std::{collections::HashSet, ops::Range};

use super::{code::LintCode, report::Report};
use crate::{
    configuration::definition::known,
    file::{
        FlagFileFormat,
        known_members::{FLAG, Member, STEP, Shape},
        scalar::{self, Scalar, Tag},
        tree::{Content, Object, Tree},
    },
};

/// The names of the flags. `begin` makes a flag the one that is reported about.
pub(super) fn keys<'t>(root: &Tree<'t>, walk: &mut Walk<'_, 't>) {
    let Content::Object(object) = &root.content else {
        return;
    };
    let mut seen = HashSet::new();
    for (name, value) in &object.members {
        let key = name.spelling().unwrap_or_default();
        walk.report.begin(key, value);
        if key.is_empty() || key == "." || key == ".." || key.contains('/') {
            let message = "the flag cannot be asked for over HTTP";
            walk.warn(LintCode::UnreachableKey, name, message);
        }
        if !seen.insert(key) && walk.format == FlagFileFormat::Json {
            let message = "the flag is defined twice; the last definition counts";
            walk.warn(LintCode::DuplicateKey, name, message);
        }
        walk.free_name(name);
    }
}

/// A walk through the members of a file.
pub(super) struct Walk<'r, 't> {
    pub(super) text: &'t str,
    pub(super) format: FlagFileFormat,
    pub(super) report: &'r mut Report<'t>,
}

impl<'t> Walk<'_, 't> {
    /// Looks at the members of a flag.
    pub(super) fn flag(&mut self, flag: &Tree<'t>) {
        self.value(flag, Shape::Object(FLAG), true);
    }

    fn warn(&mut self, code: LintCode, at: &Tree<'_>, message: &str) {
        let span = self.spelled(at).unwrap_or(self.report.word(at.offset));
        self.report.warn_at(code, span, message, None);
    }

    /// Where the file spells a scalar without escapes.
    fn spelled(&self, scalar: &Tree<'_>) -> Option<Range<usize>> {
        let (Content::Text(text) | Content::Plain(text)) = &scalar.content else {
            return None;
        };
        let start = (text.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        Some(start..start + text.len())
    }

    /// Values behind an alias are looked at where they have their anchor, if that is in a flag.
    fn value(&mut self, tree: &Tree<'t>, shape: Shape, is_flag: bool) {
        if self.report.is_full() {
            return;
        }
        match (shape, &tree.content) {
            (Shape::Object(members), Content::Object(object)) => {
                self.object(object, members, is_flag);
            }
            (Shape::List(members), Content::List(elements)) => {
                for element in elements.iter() {
                    self.value(element, Shape::Object(members), false);
                }
            }
            (Shape::InnerSteps, Content::List(elements)) => {
                for element in elements.iter() {
                    self.value(element, Shape::Object(STEP), false);
                }
            }
            (Shape::Doubles, Content::Object(object)) => self.names(object),
            (Shape::Values | Shape::Free, Content::Object(object)) => {
                self.names(object);
                for (_, value) in &object.members {
                    self.value(value, Shape::Free, false);
                }
            }
            (Shape::Free, Content::List(elements)) => {
                for element in elements.iter() {
                    self.value(element, Shape::Free, false);
                }
            }
            (Shape::Free, Content::Plain(text)) => self.plain(tree, text),
            (Shape::Date, _) => self.date(tree),
            _ => {}
        }
    }

    /// An object whose members the relay proxy knows.
    fn object(&mut self, object: &Object<'t>, members: &'static [Member], is_flag: bool) {
        let names: Vec<&'static str> = members.iter().map(|(name, _)| *name).collect();
        let is_yaml = self.format == FlagFileFormat::Yaml;
        let find = |spelling: &str| match is_yaml {
            true => names.iter().copied().find(|name| *name == spelling),
            false => known(spelling, &names),
        };
        let there = object.members.iter();
        let there: HashSet<&str> = there.filter_map(|(name, _)| name.spelling()).collect();
        let mut seen = HashSet::new();
        for (name, value) in &object.members {
            if self.report.is_full() {
                return;
            }
            let Some(spelling) = name.spelling().filter(|_| !name.is_merge()) else {
                continue;
            };
            let Some(found) = find(spelling) else {
                // Announced, and not served yet.
                if !(is_flag && known(spelling, &["needs"]).is_some()) {
                    self.unknown(name, spelling, &names, &there);
                }
                continue;
            };
            if !seen.insert(found) {
                let message = format!("member `{found}` is defined twice");
                self.warn(LintCode::DuplicateKey, name, &message);
            }
            if let Some((_, shape)) = members.iter().find(|(name, _)| *name == found) {
                self.value(value, *shape, false);
            }
        }
    }

    fn unknown(
        &mut self,
        name: &Tree<'_>,
        spelling: &str,
        names: &[&'static str],
        there: &HashSet<&str>,
    ) {
        let mut near: Vec<(usize, &'static str)> = names
            .iter()
            .filter_map(|known| Some((distance(spelling, known)?, *known)))
            .collect();
        near.sort_unstable();
        let nearest = match near.as_slice() {
            [(one, _), (other, _), ..] if one == other => None,
            [(_, nearest), ..] if !there.contains(nearest) => Some(*nearest),
            _ => None,
        };
        let message = match nearest {
            Some(nearest) => format!(
                "member `{spelling}` is unknown and has no effect; did you mean `{nearest}`?"
            ),
            None => format!("member `{spelling}` is unknown and has no effect"),
        };
        let exact = self.spelled(name);
        let span = exact.clone().unwrap_or(self.report.word(name.offset));
        // A short name can be one letter away from another that is meant.
        let is_sure =
            |nearest: &&str| nearest.len() >= SURE_LENGTH || nearest.eq_ignore_ascii_case(spelling);
        let fix = nearest.filter(is_sure).filter(|_| exact.is_some());
        self.report
            .warn_at(LintCode::UnknownMember, span, &message, fix);
    }

    /// The free names of an object.
    fn names(&mut self, object: &Object<'t>) {
        let mut seen = HashSet::new();
        for (name, _) in &object.members {
            let Some(spelling) = name.spelling() else {
                continue;
            };
            if self.format == FlagFileFormat::Json && !seen.insert(spelling) {
                let message = format!("`{spelling}` is defined twice; the last definition counts");
                self.warn(LintCode::DuplicateKey, name, &message);
            }
            self.free_name(name);
        }
    }

    fn free_name(&mut self, name: &Tree<'_>) {
        let Content::Plain(text) = name.content else {
            return;
        };
        let message = match scalar::resolve(Tag::None, text) {
            Ok(Scalar::Null) => format!(
                "YAML reads the name `{text}` as null, and the member is left out; quote it"
            ),
            Ok(Scalar::Number(_) | Scalar::NotFinite) => {
                format!("YAML reads the name `{text}` as a number; quote it")
            }
            Ok(Scalar::Date(_)) => format!("YAML reads the name `{text}` as a date; quote it"),
            _ => return,
        };
        self.warn(LintCode::SurprisingYaml, name, &message);
    }

    /// An unquoted value of any type.
    fn plain(&mut self, value: &Tree<'_>, text: &str) {
        let digits = text.trim_start_matches(['-', '+']);
        let is_unusual = digits.contains('_')
            || (digits.len() > 1
                && digits.starts_with('0')
                && !digits.starts_with("0.")
                && !digits.starts_with("0e"));
        let message = match scalar::resolve(Tag::None, text) {
            Ok(Scalar::Number(number)) if is_unusual => format!("`{text}` is the number {number}"),
            Ok(Scalar::Date(date)) => format!("`{text}` is a date and becomes the text \"{date}\""),
            Ok(Scalar::Text(_)) if text.len() > 1 && scalar::boolean(text).is_some() => {
                format!("`{text}` is text here, not a boolean")
            }
            _ => return,
        };
        self.warn(LintCode::SurprisingYaml, value, &message);
    }

    fn date(&mut self, date: &Tree<'_>) {
        let spelled = match &date.content {
            Content::Plain(text) => *text,
            // Of TOML.
            Content::Date(_) => {
                let rest = self.text.get(date.offset..).unwrap_or_default();
                rest.split(['\n', '\r', ',', '#', '}', ']'])
                    .next()
                    .unwrap_or_default()
                    .trim()
            }
            _ => return,
        };
        let time = spelled
            .find(['T', 't', ' '])
            .and_then(|at| spelled.get(at..));
        if time.is_none_or(|time| !time.contains(['Z', 'z', '+', '-']))
            && !spelled.is_empty()
            && is_date(spelled)
        {
            let message = format!("date `{spelled}` has no zone and counts as one in UTC");
            self.warn(LintCode::DateWithoutZone, date, &message);
        }
    }
}

fn is_date(text: &str) -> bool {
    text.as_bytes().first().is_some_and(u8::is_ascii_digit)
}

/// Letters of a name that is not taken for another.
const SURE_LENGTH: usize = 6;

/// How many letters differ, without regard to their case; `None` if too many.
fn distance(one: &str, other: &str) -> Option<usize> {
    const LONGEST: usize = 30;
    let one: Vec<char> = one
        .chars()
        .take(LONGEST)
        .map(|char| char.to_ascii_lowercase())
        .collect();
    let other: Vec<char> = other
        .chars()
        .map(|char| char.to_ascii_lowercase())
        .collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, char) in one.iter().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        let mut next = vec![left];
        for (at, wanted) in other.iter().enumerate() {
            let above = row.get(at + 1).copied().unwrap_or(LONGEST);
            let cost = usize::from(char != wanted);
            left = (diagonal + cost).min(above + 1).min(left + 1);
            diagonal = above;
            next.push(left);
        }
        row = next;
    }
    let distance = row.last().copied()?;
    (distance <= 2 && distance * 3 <= other.len()).then_some(distance)
}
