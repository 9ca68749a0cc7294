//! Flag files in YAML.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{
    error::FlagFileError,
    position::Position,
    scalars::timestamp,
    tree::{Content, MAX_DEPTH, Tree},
};

/// The most nodes of a file after its aliases are replaced.
const MAX_NODES: usize = 1_000_000;

/// Reads the first document of a text.
pub(super) fn parse(text: &str) -> Result<Tree, FlagFileError> {
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| FlagFileError::new(position(error.marker()), error.info()))?;
        if builder.event(event, position(&span.start))? {
            break;
        }
    }
    let start = Position { line: 1, column: 1 };
    Ok(builder.root.unwrap_or(Tree::new(start, Content::Null)))
}

fn position(marker: &Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

/// Puts events together without recursion.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Tree>,
    root: Option<Tree>,
    nodes: usize,
}

struct Open {
    tree: Tree,
    anchor: usize,
    /// The name of the next member.
    name: Option<String>,
    /// Names of members, once there are too many for a linear search.
    names: HashSet<String>,
    /// Objects merged with `<<`.
    merged: Vec<(String, Tree)>,
    merged_names: HashSet<String>,
}

impl Open {
    fn has_member(&mut self, name: &str) -> bool {
        let Content::Object(members) = &self.tree.content else {
            return false;
        };
        if members.len() < MANY_MEMBERS {
            return members.iter().any(|(member, _)| member == name);
        }
        let known = self.names.len();
        let added = members.iter().skip(known).map(|(member, _)| member.clone());
        self.names.extend(added);
        self.names.contains(name)
    }
}

const MANY_MEMBERS: usize = 32;

impl Builder {
    /// Handles an event; true at the end of the document.
    fn event(&mut self, event: Event<'_>, position: Position) -> Result<bool, FlagFileError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_plain = match tag {
                    None => style == ScalarStyle::Plain,
                    Some(tag) => ["int", "float", "bool", "null"].contains(&tag.suffix.as_str()),
                };
                let content = if is_plain {
                    plain(&text, position)?
                } else {
                    Content::Text(text.to_string())
                };
                let text = text.into_owned();
                let mut tree = Tree::new(position, content);
                tree.source = Some(text.clone());
                self.add(tree, anchor, Some(text))?;
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(Content::List(Vec::new()), anchor, position)?;
            }
            Event::MappingStart(anchor, _) => {
                self.begin(Content::Object(Vec::new()), anchor, position)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(mut open) = self.open.pop() {
                    for (name, value) in std::mem::take(&mut open.merged) {
                        if !open.has_member(&name)
                            && let Content::Object(members) = &mut open.tree.content
                        {
                            members.push((name, value));
                        }
                    }
                    self.add(open.tree, open.anchor, None)?;
                }
            }
            Event::Alias(anchor) => {
                let Some(tree) = self.anchors.get(&anchor).cloned() else {
                    return FlagFileError::at(position, "alias of an anchor that is not complete");
                };
                self.count(&tree, position)?;
                let name = tree.source.clone();
                self.add(tree, 0, name)?;
            }
            Event::DocumentEnd => return Ok(true),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
        Ok(false)
    }

    fn begin(
        &mut self,
        content: Content,
        anchor: usize,
        position: Position,
    ) -> Result<(), FlagFileError> {
        if self.open.len() >= MAX_DEPTH {
            return FlagFileError::at(position, "nested too deeply");
        }
        self.open.push(Open {
            tree: Tree::new(position, content),
            anchor,
            name: None,
            names: HashSet::new(),
            merged: Vec::new(),
            merged_names: HashSet::new(),
        });
        Ok(())
    }

    /// Adds a complete value to the innermost open list or object; a scalar may be a member name.
    fn add(
        &mut self,
        tree: Tree,
        anchor: usize,
        text: Option<String>,
    ) -> Result<(), FlagFileError> {
        if anchor != 0 {
            self.anchors.insert(anchor, tree.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(tree);
            return Ok(());
        };
        if let Content::List(elements) = &mut open.tree.content {
            elements.push(tree);
            return Ok(());
        }
        let Some(name) = open.name.take() else {
            let Some(name) = text else {
                return FlagFileError::at(tree.position, "the name of a member is not a scalar");
            };
            if open.has_member(&name) {
                return FlagFileError::at(
                    tree.position,
                    format!("member `{name}` is defined twice"),
                );
            }
            open.name = Some(name);
            return Ok(());
        };
        if name == "<<" {
            let merged = match tree.content {
                Content::List(trees) => trees,
                content => vec![Tree { content, ..tree }],
            };
            for tree in merged {
                if let Content::Object(members) = tree.content {
                    for (name, value) in members {
                        if open.merged_names.insert(name.clone()) {
                            open.merged.push((name, value));
                        }
                    }
                }
            }
        } else if let Content::Object(members) = &mut open.tree.content {
            members.push((name, tree));
        }
        Ok(())
    }

    /// Counts the nodes of a copy, so that aliases of aliases do not exhaust the memory.
    fn count(&mut self, tree: &Tree, position: Position) -> Result<(), FlagFileError> {
        let mut pending = vec![tree];
        while let Some(tree) = pending.pop() {
            self.nodes += 1;
            if self.nodes > MAX_NODES {
                return FlagFileError::at(position, "too many nodes through aliases");
            }
            match &tree.content {
                Content::List(elements) => pending.extend(elements),
                Content::Object(members) => pending.extend(members.iter().map(|(_, value)| value)),
                _ => {}
            }
        }
        Ok(())
    }
}

/// A plain scalar in the core schema of YAML 1.2.
fn plain(text: &str, position: Position) -> Result<Content, FlagFileError> {
    let integer = |prefix, radix| {
        let value = i64::from_str_radix(text.strip_prefix(prefix)?, radix).ok()?;
        Content::integer(value.into())
    };
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Content::Null,
        "true" | "True" | "TRUE" => Content::Bool(true),
        "false" | "False" | "FALSE" => Content::Bool(false),
        ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF"
        | "-.inf" | "-.Inf" | "-.INF" => {
            return FlagFileError::at(position, format!("number `{text}` has no JSON form"));
        }
        _ => {
            let prefixed = integer("0x", 16).or_else(|| integer("0o", 8));
            let begins_like_a_number =
                text.starts_with(|first: char| "+-.0123456789".contains(first));
            match (prefixed, text.parse::<f64>()) {
                (Some(number), _) => number,
                (None, Ok(number))
                    if begins_like_a_number && text.bytes().any(|byte| byte.is_ascii_digit()) =>
                {
                    // An integer beyond 64 bits is a float.
                    let exact = text.parse().ok().and_then(Content::integer);
                    exact.unwrap_or(Content::double(number))
                }
                // The source keeps the spelling for members that are text.
                _ => Content::Text(timestamp(text).unwrap_or_else(|| text.to_owned())),
            }
        }
    })
}
