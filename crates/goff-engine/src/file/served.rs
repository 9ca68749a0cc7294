//! A flag of a file as the relay proxy serves it.
//!
//! The server decodes a file into typed members and encodes them again. That
//! drops unknown members and nulls, spells known members in the usual way, and
//! completes dates (upstream `modules/core/flag/internal_flag.go`, decoded with
//! `gopkg.in/yaml.v3`, `encoding/json` and `github.com/BurntSushi/toml`).

mod entries;

use std::borrow::Cow;

use serde_json::Number;

use super::{
    format::FlagFileFormat,
    known_members::{CONVERTER, FLAG, Member, STEP, Shape},
    scalar::{self, Scalar, Tag},
    tree::{Content, Object, TOO_DEEP, Tree},
};
use crate::{
    configuration::{date::Date, definition::known},
    presentable::presentable,
};

/// Why the server cannot decode a flag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) offset: usize,
    pub(crate) message: String,
    /// Whether the server refuses the file for it.
    pub(crate) is_servers: bool,
}

fn fault<T>(offset: usize, message: impl Into<String>) -> Result<T, Fault> {
    // One message for each flag is kept, and aliases give many flags one long text.
    let message = presentable(&message.into()).into_owned();
    let is_servers = message != TOO_DEEP;
    Err(Fault {
        offset,
        message,
        is_servers,
    })
}

fn wrong<T>(offset: usize, member: &str, expected: &str) -> Result<T, Fault> {
    fault(offset, format!("member `{member}` is not {expected}"))
}

/// How much the aliases of a file may copy into its flags.
pub(crate) struct CopyBudget {
    pub(crate) left: usize,
}

impl CopyBudget {
    /// The budget for a file of so many bytes. Memory for a copied byte is about six bytes.
    pub(crate) fn of(size: usize) -> Self {
        Self {
            left: (256 * 1024_usize).saturating_add(size.saturating_mul(8)),
        }
    }
}

/// The cost of a copied value beside its text.
const COPIED_VALUE: usize = 24;

/// The flags of a file by name, and whether they are merged into it.
pub(crate) fn flags<'t>(
    root: &Tree<'t>,
    format: FlagFileFormat,
    budget: &mut CopyBudget,
) -> Result<Vec<(String, Tree<'t>, bool)>, Fault> {
    let mut writer = Writer::new(format, budget);
    match &root.target().content {
        Content::Object(object) => {
            let entries = writer.entries(object)?;
            let flag = |entry: Entry<'_, 't>| {
                (
                    entry.name.into_owned(),
                    entry.value.clone(),
                    entry.is_merged,
                )
            };
            Ok(entries.into_iter().map(flag).collect())
        }
        _ if writer.is_null(root) => Ok(Vec::new()),
        _ => fault(root.offset, "expected an object of flags"),
    }
}

/// The JSON of a flag.
pub(crate) fn to_json(
    flag: &Tree<'_>,
    is_merged: bool,
    format: FlagFileFormat,
    budget: &mut CopyBudget,
) -> Result<String, Fault> {
    let mut writer = Writer::new(format, budget);
    writer.copies = usize::from(is_merged);
    writer.value(flag, Shape::Object(FLAG), "flag")?;
    writer.json.shrink_to_fit();
    Ok(writer.json)
}

/// Writes a flag.
struct Writer<'b> {
    format: FlagFileFormat,
    budget: &'b mut CopyBudget,
    /// How many aliases and merged objects lie around what is written.
    copies: usize,
    json: String,
}

/// A member of an object, or of one that is merged into it.
struct Entry<'a, 't> {
    name: Cow<'a, str>,
    value: &'a Tree<'t>,
    is_merged: bool,
}

impl<'b> Writer<'b> {
    fn new(format: FlagFileFormat, budget: &'b mut CopyBudget) -> Self {
        Self {
            format,
            budget,
            copies: 0,
            json: String::new(),
        }
    }

    fn value(&mut self, tree: &Tree<'_>, shape: Shape, member: &str) -> Result<(), Fault> {
        if let Content::Alias(target) = &tree.content {
            self.copies += 1;
            let written = self.value(target, shape, member);
            self.copies -= 1;
            return written;
        }
        self.spend(tree.offset, tree.spelling().map_or(0, str::len))?;
        if let Content::Unusable(why) = tree.content {
            return fault(tree.offset, why);
        }
        match shape {
            Shape::Free => self.free(tree),
            Shape::Object(known_members) => self.object(tree, known_members, member),
            Shape::List(members) => self.list(tree, members, member),
            Shape::InnerSteps => self.list(tree, STEP, member),
            Shape::Values => self.map(tree, Shape::Free, member),
            Shape::Doubles => self.map(tree, Shape::Double, member),
            Shape::Text | Shape::Bool | Shape::Double | Shape::Date => {
                self.scalar(tree, shape, member)
            }
        }
    }

    /// Counts a value that an alias copies.
    fn spend(&mut self, offset: usize, size: usize) -> Result<(), Fault> {
        if self.copies == 0 {
            return Ok(());
        }
        let left = self.budget.left.checked_sub(size + COPIED_VALUE);
        let (message, is_servers) = ("the aliases of the file copy too much", false);
        self.budget.left = left.ok_or_else(|| Fault {
            offset,
            message: message.to_owned(),
            is_servers,
        })?;
        Ok(())
    }

    /// Counts the name of a member that an alias copies, or that is copied with its object.
    fn spend_name(&mut self, name: &Tree<'_>) -> Result<(), Fault> {
        let is_alias = usize::from(matches!(name.content, Content::Alias(_)));
        self.copies += is_alias;
        let spent = self.spend(name.offset, name.spelling().map_or(0, str::len));
        self.copies -= is_alias;
        spent
    }

    /// The scalar that a value is, whatever its member; `None` for lists and objects.
    fn read<'a>(&self, tree: &'a Tree<'_>) -> Result<Option<Scalar<'a>>, Fault> {
        let tree = tree.target();
        let resolved = match &tree.content {
            Content::Null => Ok(Scalar::Null),
            Content::Bool(value) => Ok(Scalar::Bool(*value)),
            Content::Number(None) => {
                return fault(tree.offset, "number beyond the range of a double");
            }
            Content::Number(Some(value)) => Ok(Scalar::Number(value.clone())),
            Content::Date(date) => Ok(Scalar::Date((**date).to_owned())),
            Content::Text(text) => Ok(Scalar::Text((*text).into())),
            Content::OwnText(text) => Ok(Scalar::Text((&**text).into())),
            Content::Plain(text) => scalar::resolve(Tag::None, text),
            Content::Tagged(tagged) => scalar::resolve(tagged.tag, &tagged.text),
            Content::Unusable(why) => Err(*why),
            Content::List(_) | Content::Object(_) | Content::Alias(_) => return Ok(None),
        };
        match resolved {
            Ok(scalar) => Ok(Some(scalar)),
            Err(why) => fault(tree.offset, why),
        }
    }

    fn is_null(&self, tree: &Tree<'_>) -> bool {
        // Without reading a text that aliases repeat: the spellings of null are short.
        const LONGEST: usize = "null".len();
        tree.spelling().is_none_or(|text| text.len() <= LONGEST)
            && matches!(self.read(tree), Ok(Some(Scalar::Null)))
    }

    fn scalar(&mut self, tree: &Tree<'_>, shape: Shape, member: &str) -> Result<(), Fault> {
        let expected = match shape {
            Shape::Bool => "a boolean",
            Shape::Double => "a number within the range of a double",
            Shape::Date => "an RFC 3339 date",
            _ => "a string",
        };
        // In YAML any scalar is text where text is expected.
        let spelling = match tree.content {
            Content::Plain(_) | Content::Tagged(_) => tree.spelling(),
            _ => None,
        };
        match (shape, self.read(tree)?) {
            (Shape::Double, Some(Scalar::Null)) => self.json.push('0'),
            (_, Some(Scalar::Null)) => self.json.push_str("null"),
            (Shape::Bool, Some(Scalar::Bool(value))) => {
                self.json.push_str(if value { "true" } else { "false" });
            }
            (Shape::Bool, Some(Scalar::Text(text))) if self.format == FlagFileFormat::Yaml => {
                match scalar::boolean(&text) {
                    Some(value) => self.json.push_str(if value { "true" } else { "false" }),
                    None => return wrong(tree.offset, member, expected),
                }
            }
            (Shape::Double, Some(Scalar::Number(value))) if self.is_double(&value) => {
                self.json.push_str(&value.to_string());
            }
            (Shape::Date, Some(Scalar::Date(date))) => self.text(&date),
            (Shape::Date, Some(Scalar::Text(text))) if Date::parse(&text).is_some() => {
                self.text(&scalar::encoded(&text));
            }
            (Shape::Text, Some(Scalar::Text(text))) => self.text(&text),
            (Shape::Text, Some(_)) if spelling.is_some() => {
                self.text(spelling.unwrap_or_default());
            }
            _ => return wrong(tree.offset, member, expected),
        }
        Ok(())
    }

    /// In TOML, an integer must be exact as a double.
    fn is_double(&self, number: &Number) -> bool {
        let exact = number
            .as_i64()
            .is_none_or(|value| value.unsigned_abs() < 1 << 53);
        exact || self.format != FlagFileFormat::Toml
    }

    fn free(&mut self, tree: &Tree<'_>) -> Result<(), Fault> {
        match &tree.content {
            Content::List(elements) => {
                self.json.push('[');
                for (index, element) in elements.iter().enumerate() {
                    if index > 0 {
                        self.json.push(',');
                    }
                    self.value(element, Shape::Free, "")?;
                }
                self.json.push(']');
                return Ok(());
            }
            Content::Object(object) => {
                // The server cannot write an object with other names as JSON.
                for (name, _) in &object.members {
                    self.spend_name(name)?;
                    if !name.is_merge() && !self.is_text_tagged(name) {
                        let spelling = presentable(name.spelling().unwrap_or("null"));
                        let message = format!("member name `{spelling}` is not text; quote it");
                        return fault(name.offset, message);
                    }
                }
                return self.members(object, Shape::Free);
            }
            _ => {}
        }
        match self.read(tree)? {
            Some(Scalar::Null) | None => self.json.push_str("null"),
            Some(Scalar::Bool(value)) => self.json.push_str(if value { "true" } else { "false" }),
            Some(Scalar::Number(value)) => self.json.push_str(&value.to_string()),
            Some(Scalar::NotFinite) => {
                let spelling = presentable(tree.spelling().unwrap_or_default());
                return fault(tree.offset, format!("number `{spelling}` has no JSON form"));
            }
            Some(Scalar::Date(text)) => self.text(&text),
            Some(Scalar::Text(text)) => self.text(&text),
        }
        Ok(())
    }

    fn is_text_tagged(&self, name: &Tree<'_>) -> bool {
        match &name.target().content {
            Content::Tagged(tagged) if tagged.tag != Tag::None => false,
            Content::Plain(_) | Content::Tagged(_) => {
                matches!(self.read(name), Ok(Some(Scalar::Text(_))))
            }
            _ => true,
        }
    }

    /// An object with free member names.
    fn map(&mut self, tree: &Tree<'_>, shape: Shape, member: &str) -> Result<(), Fault> {
        match &tree.content {
            Content::Object(object) => self.members(object, shape),
            _ if self.is_null(tree) => {
                self.json.push_str("null");
                Ok(())
            }
            // The server's decoder takes any value for an empty table.
            _ if self.format == FlagFileFormat::Toml => {
                self.json.push_str("{}");
                Ok(())
            }
            _ => wrong(tree.offset, member, "an object"),
        }
    }

    fn members(&mut self, object: &Object<'_>, shape: Shape) -> Result<(), Fault> {
        self.json.push('{');
        for (index, entry) in self.entries(object)?.into_iter().enumerate() {
            if index > 0 {
                self.json.push(',');
            }
            self.text(&entry.name);
            self.json.push(':');
            self.entry(&entry, shape, "percentage")?;
        }
        self.json.push('}');
        Ok(())
    }

    fn entry(&mut self, entry: &Entry<'_, '_>, shape: Shape, member: &str) -> Result<(), Fault> {
        let copies = self.copies;
        self.copies += usize::from(entry.is_merged);
        let written = self.value(entry.value, shape, member);
        self.copies = copies;
        written
    }

    /// An object whose members the server knows. It leaves out the others, and nulls.
    fn object(
        &mut self,
        tree: &Tree<'_>,
        known_members: &'static [Member],
        member: &str,
    ) -> Result<(), Fault> {
        let Content::Object(object) = &tree.content else {
            if self.is_null(tree) {
                self.json.push_str("{}");
                return Ok(());
            }
            return wrong(tree.offset, member, "an object");
        };
        let is_yaml = self.format == FlagFileFormat::Yaml;
        let index = |name: &str| {
            let exact = known_members
                .iter()
                .position(|(known_name, _)| *known_name == name);
            let folded = || {
                let is_it = |(known_name, _): &Member| known(name, &[known_name]).is_some();
                known_members.iter().position(is_it).filter(|_| !is_yaml)
            };
            exact.or_else(folded)
        };
        let mut found: Vec<(usize, Entry<'_, '_>)> = Vec::new();
        for entry in self.entries(object)? {
            let Some(index) = index(&entry.name) else {
                continue;
            };
            let is_set = is_yaml && found.iter().any(|(other, _)| *other == index);
            if is_set && !entry.is_merged {
                let name = presentable(&entry.name);
                let message = format!("member `{name}` is defined twice");
                return fault(entry.value.offset, message);
            }
            if !is_set {
                found.push((index, entry));
            }
        }
        found.sort_by_key(|(index, _)| *index);
        self.json.push('{');
        let start = self.json.len();
        for (place, (index, entry)) in found.iter().enumerate() {
            let Some((name, shape)) = known_members.get(*index) else {
                continue;
            };
            // Repeated members merge; a null then undoes the earlier ones.
            let is_alone = [place.checked_sub(1), place.checked_add(1)]
                .iter()
                .flatten()
                .all(|beside| found.get(*beside).is_none_or(|(other, _)| other != index));
            let is_null = self.is_null(entry.value);
            if is_alone && is_null {
                continue;
            }
            let before = self.json.len();
            if before > start {
                self.json.push(',');
            }
            self.json.push('"');
            self.json.push_str(name);
            self.json.push_str("\":");
            if is_null {
                self.json.push_str("null");
            } else {
                self.entry(entry, *shape, name)?;
            }
            if *name == CONVERTER {
                self.json.truncate(before);
            }
        }
        self.json.push('}');
        Ok(())
    }

    fn list(
        &mut self,
        tree: &Tree<'_>,
        members: &'static [Member],
        member: &str,
    ) -> Result<(), Fault> {
        let Content::List(elements) = &tree.content else {
            if self.is_null(tree) {
                self.json.push_str("null");
                return Ok(());
            }
            return wrong(tree.offset, member, "an array");
        };
        self.json.push('[');
        let start = self.json.len();
        for element in elements.iter() {
            // The server's decoder of YAML leaves them out.
            if self.format == FlagFileFormat::Yaml && self.is_null(element) {
                self.spend(element.offset, 0)?;
                continue;
            }
            if self.json.len() > start {
                self.json.push(',');
            }
            self.value(element, Shape::Object(members), member)?;
        }
        self.json.push(']');
        Ok(())
    }

    /// Writes a text in quotes.
    fn text(&mut self, text: &str) {
        let is_plain = |byte: u8| (b' '..0x7f).contains(&byte) && byte != b'"' && byte != b'\\';
        if text.bytes().all(is_plain) {
            self.json.push('"');
            self.json.push_str(text);
            self.json.push('"');
        } else {
            self.json
                .push_str(&serde_json::Value::from(text).to_string());
        }
    }
}
