//! Flag files in YAML.

use std::{collections::HashMap, rc::Rc};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span};

use super::{
    error::Malformed,
    scalar::Tag,
    tree::{Content, MAX_DEPTH, Object, TOO_DEEP, Tagged, Tree},
};

/// Reads the first document of a text.
pub(super) fn parse(text: &str) -> Result<Tree<'_>, Malformed> {
    check_characters(text)?;
    check_directives(text)?;
    let mut builder = Builder {
        text,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        skipped: 0,
    };
    let options = granit_parser::options! {
        // As the server's decoder, whose scanner is that of libyaml.
        bom_inside_document_as_content: true,
        block_scalar_eof_without_line_feed: true,
        // The server's limit is 10,000 levels, which would take 3 MB for a file of 10 kB.
        flow_nesting_limit: 2_000,
        block_nesting_limit: 2_000,
    };
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) =
            event.map_err(|error| Malformed::new(offset(error.marker()), error.info()))?;
        if builder.event(event, &span)? {
            break;
        }
    }
    Ok(builder.root.unwrap_or(Tree::new(0, Content::Null)))
}

fn offset(marker: &Marker) -> usize {
    // There is one for each marker of a text in memory.
    marker.byte_offset().unwrap_or(marker.index())
}

/// The server's decoder refuses control characters, even in comments.
fn check_characters(text: &str) -> Result<(), Malformed> {
    let is_allowed = |char: char| {
        matches!(char,
            '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..)
    };
    match text.char_indices().find(|(_, char)| !is_allowed(*char)) {
        Some((offset, _)) => Err(Malformed::new(offset, "control characters are not allowed")),
        None => Ok(()),
    }
}

/// The server's decoder knows version 1.1 only.
fn check_directives(text: &str) -> Result<(), Malformed> {
    let mut offset = 0;
    let mut has_version = false;
    for line in text.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("%YAML") if has_version => {
                return Err(Malformed::new(offset, "directive `%YAML` is repeated"));
            }
            Some("%YAML") => {
                has_version = true;
                if words.next() != Some("1.1") {
                    let what = "version is not supported; write `%YAML 1.1` or leave it out";
                    return Err(Malformed::new(offset, what));
                }
            }
            Some("%TAG") => {}
            Some(word) if word.starts_with('%') && line.starts_with('%') => {
                return Err(Malformed::new(offset, "unknown directive"));
            }
            Some(word) if !word.starts_with('#') => break,
            _ => {}
        }
        offset += line.len();
    }
    Ok(())
}

/// Puts events together without recursion.
struct Builder<'t> {
    text: &'t str,
    open: Vec<Open<'t>>,
    /// Complete values with an anchor, and how deeply each is nested.
    anchors: HashMap<usize, (Rc<Tree<'t>>, usize)>,
    root: Option<Tree<'t>>,
    /// How many lists and objects are open that are nested too deeply to be read.
    skipped: usize,
}

/// A list or an object that is not complete.
struct Open<'t> {
    offset: usize,
    anchor: usize,
    /// How deeply its parts are nested, aliases included.
    height: usize,
    parts: Parts<'t>,
}

enum Parts<'t> {
    List(Vec<Tree<'t>>),
    Object {
        members: Vec<(Tree<'t>, Tree<'t>)>,
        /// The name of the next member.
        name: Option<Tree<'t>>,
    },
}

impl<'t> Builder<'t> {
    /// Handles an event; true at the end of the document.
    fn event(&mut self, event: Event<'_>, span: &Span) -> Result<bool, Malformed> {
        let at = offset(&span.start);
        if self.skipped > 0 {
            match event {
                Event::SequenceStart(..) | Event::MappingStart(..) => self.skipped += 1,
                Event::SequenceEnd | Event::MappingEnd => self.skipped -= 1,
                _ => {}
            }
            return Ok(false);
        }
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(|tag| Tag::of(&format!("{}{}", tag.handle(), tag.suffix())));
                let content = match tag {
                    None | Some(Some(Tag::None)) if style == ScalarStyle::Plain => {
                        match self.spelled(&text, at) {
                            Some(text) => Content::Plain(text),
                            None => tagged(Tag::None, &text),
                        }
                    }
                    Some(Some(tag)) if tag != Tag::None => tagged(tag, &text),
                    _ => {
                        let quote = usize::from(style != ScalarStyle::Plain);
                        match self.spelled(&text, at + quote) {
                            Some(text) => Content::Text(text),
                            None => Content::OwnText(text.into()),
                        }
                    }
                };
                if style == ScalarStyle::DoubleQuoted {
                    self.check_escapes(at, offset(&span.end))?;
                }
                self.add(Tree::new(at, content), 0, anchor);
            }
            Event::SequenceStart(_, anchor, _) => {
                self.begin(Parts::List(Vec::new()), anchor, at);
            }
            Event::MappingStart(_, anchor, _) => {
                let (members, name) = (Vec::new(), None);
                self.begin(Parts::Object { members, name }, anchor, at);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.open.pop() {
                    let tree = Tree::new(open.offset, complete(open.parts));
                    self.add(tree, open.height + 1, open.anchor);
                }
            }
            Event::Alias(anchor) => {
                let (content, height) = match self.anchors.get(&anchor) {
                    None => (Content::Unusable("an alias of a value that contains it"), 0),
                    Some((_, height)) if self.open.len() + height > MAX_DEPTH => {
                        (Content::Unusable(TOO_DEEP), 0)
                    }
                    Some((tree, height)) => (Content::Alias(Rc::clone(tree)), *height),
                };
                self.add(Tree::new(at, content), height, 0);
            }
            Event::DocumentEnd => return Ok(true),
            // No other event is a value.
            _ => {}
        }
        Ok(false)
    }

    /// The part of the file that spells a scalar, unless it differs.
    fn spelled(&self, scalar: &str, offset: usize) -> Option<&'t str> {
        let spelled = self.text.get(offset..offset + scalar.len())?;
        (spelled == scalar).then_some(spelled)
    }

    /// Refuses escapes that the server's decoder does not know: `\/`, and halves of surrogate pairs.
    fn check_escapes(&self, start: usize, end: usize) -> Result<(), Malformed> {
        let quoted = self.text.get(start..end).unwrap_or_default();
        let mut from = 0;
        while let Some(at) = quoted.get(from..).and_then(|rest| rest.find('\\')) {
            let escape = from + at;
            let rest = quoted.get(escape + 1..).unwrap_or_default();
            let code = rest.strip_prefix('u').and_then(|digits| digits.get(..4));
            let code = code.and_then(|digits| u16::from_str_radix(digits, 16).ok());
            if rest.starts_with('/') || code.is_some_and(|code| (0xd800..0xe000).contains(&code)) {
                return Err(Malformed::new(start + escape, "unknown escape"));
            }
            from = escape + 1 + rest.chars().next().map_or(0, char::len_utf8);
        }
        Ok(())
    }

    fn begin(&mut self, parts: Parts<'t>, anchor: usize, offset: usize) {
        if self.open.len() >= MAX_DEPTH {
            self.skipped = 1;
            self.add(Tree::new(offset, Content::Unusable(TOO_DEEP)), 0, 0);
            return;
        }
        self.open.push(Open {
            offset,
            anchor,
            height: 0,
            parts,
        });
    }

    /// Adds a complete value to the innermost open list or object.
    fn add(&mut self, tree: Tree<'t>, height: usize, anchor: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (Rc::new(tree.clone()), height));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(tree);
            return;
        };
        open.height = open.height.max(height);
        match &mut open.parts {
            Parts::List(elements) => elements.push(tree),
            Parts::Object { members, name } => match name.take() {
                None => *name = Some(tree),
                Some(name) => members.push((name, tree)),
            },
        }
    }
}

fn tagged<'t>(tag: Tag, text: &str) -> Content<'t> {
    let text = text.into();
    Content::Tagged(Rc::new(Tagged { tag, text }))
}

fn complete(parts: Parts<'_>) -> Content<'_> {
    match parts {
        Parts::List(mut elements) => {
            elements.shrink_to_fit();
            Content::List(Rc::new(elements))
        }
        Parts::Object { mut members, .. } => {
            members.shrink_to_fit();
            let repeated = repeated(&members);
            Content::Object(Rc::new(Object { members, repeated }))
        }
    }
}

/// The index of a name that an earlier member has. Names are compared as they are spelled, and
/// aliases by what they refer to.
fn repeated(members: &[(Tree<'_>, Tree<'_>)]) -> Option<usize> {
    let name = |index: usize| {
        let (name, _) = members.get(index)?;
        match &name.content {
            Content::Alias(target) => Some((Rc::as_ptr(target).addr(), "")),
            _ => Some((0, name.spelling()?)),
        }
    };
    if members.len() <= FEW_MEMBERS {
        return (1..members.len()).find(|later| {
            name(*later).is_some() && (0..*later).any(|index| name(index) == name(*later))
        });
    }
    let mut sorted: Vec<usize> = (0..members.len())
        .filter(|index| name(*index).is_some())
        .collect();
    sorted.sort_by(|a, b| name(*a).cmp(&name(*b)));
    let pairs = sorted.iter().zip(sorted.iter().skip(1));
    let repeated = pairs.filter(|(one, next)| name(**one) == name(**next));
    repeated.map(|(_, next)| *next).min()
}

/// Up to so many names are compared one by one.
const FEW_MEMBERS: usize = 16;
