//! The parser of the rule language, with the official parser's error recovery.
//!
//! Single-token mistakes are repaired by dropping or inventing a token; after
//! any other mistake tokens are skipped until one that may follow an open rule
//! (docs/engine-semantics.md 17.6).

use std::ops::Range;

use super::{
    lexer::{Kind, Operator, Token, Tokens},
    literal::Literal,
};

/// A query, as nodes that refer to each other by index.
#[derive(Debug, Default)]
pub(super) struct Tree<'q> {
    pub(super) nodes: Vec<Node<'q>>,
    pub(super) root: usize,
    pub(super) repairs: Repairs,
    /// Where the text begins that was not parsed.
    pub(super) end: usize,
}

/// What the parser did in order to continue after a mistake.
#[derive(Debug, Default)]
pub(super) struct Repairs {
    /// The parts that were skipped and mean nothing.
    pub(super) skipped: Vec<Range<usize>>,
    /// Where a token was invented, and which.
    pub(super) supplied: Vec<(usize, Kind)>,
}

#[derive(Debug)]
pub(super) enum Node<'q> {
    /// Not recognized. As the whole query it is false; inside another node it acts as broken.
    Unknown,
    /// Damaged beyond repair: evaluating it makes the whole query false.
    Broken,
    Group {
        negated: bool,
        child: usize,
    },
    Logical {
        and: bool,
        left: usize,
        right: usize,
    },
    Present {
        path: Box<[&'q str]>,
    },
    // Boxed, because a query has many nodes, and most of them are smaller.
    Comparison {
        path: Box<[&'q str]>,
        operator: Operator,
        literal: Box<Literal<'q>>,
    },
}

/// Queries nested deeper than [`MAX_DEPTH`] are not parsed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDeep;

/// Deepest nesting of queries, invented parentheses included.
///
/// The official engine is limited only by its stack (docs/engine-semantics.md 22).
pub(super) const MAX_DEPTH: usize = 1000;

pub(super) fn parse(query: &str) -> Result<Tree<'_>, TooDeep> {
    let mut tokens = Tokens::of(query);
    let mut parser = Parser {
        ahead: [tokens.next(), tokens.next()],
        tokens,
        recovering: false,
        open: Vec::new(),
        nodes: Vec::new(),
        taken: Taken::default(),
        repairs: Repairs::default(),
        query,
        end: 0,
        depth: 0,
    };
    parser.open.push(Rule::Top);
    let root = parser.query(true)?;
    Ok(Tree {
        nodes: parser.nodes,
        root,
        repairs: parser.repairs,
        end: parser.end,
    })
}

/// A grammar rule that is being parsed, named after what may follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    Top,
    /// A query inside parentheses.
    Inner,
    /// A right operand.
    Right,
    Value,
    Tail,
}

/// What matters of the tokens taken so far for the node that is being parsed.
#[derive(Debug, Default)]
struct Taken<'q> {
    not: bool,
    value: Value<'q>,
}

#[derive(Debug, Default)]
enum Value<'q> {
    #[default]
    None,
    /// The text of all tokens.
    Integer(String),
    /// The text of the first token of a kind.
    Element(Kind, Option<&'q str>),
}

/// The innermost rule cannot continue.
struct Fail;

struct Parser<'q> {
    /// The next two tokens.
    ahead: [Option<Token<'q>>; 2],
    /// Those after them.
    tokens: Tokens<'q>,
    recovering: bool,
    open: Vec<Rule>,
    nodes: Vec<Node<'q>>,
    taken: Taken<'q>,
    repairs: Repairs,
    query: &'q str,
    /// Where the last token that was taken ends.
    end: usize,
    depth: usize,
}

impl<'q> Parser<'q> {
    /// The kind of the next token.
    fn look(&self) -> Kind {
        self.ahead[0].map_or(Kind::End, |token| token.kind)
    }

    /// The kind of the token after the next one.
    fn look_further(&self) -> Kind {
        self.ahead[1].map_or(Kind::End, |token| token.kind)
    }

    fn take(&mut self) -> Option<Token<'q>> {
        let token = self.ahead[0]?;
        self.ahead = [self.ahead[1], self.tokens.next()];
        self.end = place(self.query, token.text) + token.text.len();
        self.taken.not |= token.kind == Kind::Not;
        match &mut self.taken.value {
            Value::Integer(text) => text.push_str(token.text),
            Value::Element(kind, text) if *kind == token.kind => {
                text.get_or_insert(token.text);
            }
            Value::Element(..) | Value::None => {}
        }
        Some(token)
    }

    /// Takes a token that is not part of the query. A skipped `not` still negates its group.
    fn skip(&mut self) {
        let before = self.end;
        let Some(token) = self.take().filter(|token| token.kind != Kind::Not) else {
            return;
        };
        match self.repairs.skipped.last_mut() {
            // What is between two tokens means nothing either.
            Some(last) if last.end == before => last.end = self.end,
            _ => {
                let start = place(self.query, token.text);
                self.repairs.skipped.push(start..self.end);
            }
        }
    }

    /// An element of a list can be among what was skipped last.
    fn unskip(&mut self, element: &str) {
        let start = place(self.query, element);
        let Some(last) = self.repairs.skipped.pop_if(|last| last.contains(&start)) else {
            return;
        };
        let parts = [last.start..start, start + element.len()..last.end];
        let parts = parts.into_iter().filter(|part| !part.is_empty());
        self.repairs.skipped.extend(parts);
    }

    /// Takes a token of the wanted kind. Drops or invents one token if that repairs the query.
    fn expect(&mut self, wanted: Kind, after: impl Fn(&Self, Kind) -> bool) -> Result<(), Fail> {
        if self.look() == wanted {
            self.recovering = false;
            self.take();
        } else if self.look_further() == wanted {
            self.skip();
            self.recovering = false;
            self.take();
        } else if after(self, self.look()) {
            if let Value::Integer(text) = &mut self.taken.value {
                text.push_str("<missing>");
            }
            self.repairs.supplied.push((self.end, wanted));
            self.recovering = true;
        } else {
            return Err(Fail);
        }
        Ok(())
    }

    /// Ensures that the next token can start the next part; drops one token if that helps.
    fn sync(&mut self, start: impl Fn(Kind) -> bool) -> Result<(), Fail> {
        if self.recovering || start(self.look()) {
            Ok(())
        } else if start(self.look_further()) {
            self.skip();
            self.recovering = false;
            Ok(())
        } else {
            Err(Fail)
        }
    }

    /// Skips tokens until one that may follow an open rule.
    fn recover(&mut self) {
        self.recovering = true;
        let is_open = |rule| self.open.contains(&rule);
        let close = is_open(Rule::Inner);
        let space = close || is_open(Rule::Right) || is_open(Rule::Value);
        loop {
            match self.look() {
                Kind::End => break,
                Kind::Close if close => break,
                Kind::Space if space => break,
                _ => self.skip(),
            }
        }
    }

    /// Whether `kind` may follow the innermost rule here.
    fn after_here(&self, kind: Kind) -> bool {
        for rule in self.open.iter().rev() {
            match rule {
                Rule::Top => return kind == Kind::End,
                Rule::Inner => return matches!(kind, Kind::Space | Kind::Close),
                Rule::Right | Rule::Value if kind == Kind::Space => return true,
                Rule::Right | Rule::Value | Rule::Tail => {}
            }
        }
        false
    }

    fn node(&mut self, node: Node<'q>) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// Parses a query; `chains` says whether `and` and `or` may follow.
    fn query(&mut self, chains: bool) -> Result<usize, TooDeep> {
        if self.depth >= MAX_DEPTH {
            return Err(TooDeep);
        }
        self.depth += 1;
        let outer = std::mem::take(&mut self.taken);
        let (mut node, outcome) = self.primary()?;
        if outcome.is_err() {
            self.recover();
        } else if chains {
            node = self.chain(node)?;
        }
        // Tokens skipped above may have negated the group.
        if let Some(Node::Group { negated, .. }) = self.nodes.get_mut(node) {
            *negated = self.taken.not;
        }
        self.taken = outer;
        self.depth -= 1;
        Ok(node)
    }

    /// The first operand of a query: its node so far, and whether the query can continue.
    fn primary(&mut self) -> Result<(usize, Result<(), Fail>), TooDeep> {
        if self.sync(is_first).is_err() {
            return Ok((self.node(Node::Unknown), Err(Fail)));
        }
        match self.look() {
            Kind::Not | Kind::Space | Kind::Open => self.group(),
            Kind::Name => Ok(self.condition()),
            _ => Ok((self.node(Node::Unknown), Err(Fail))),
        }
    }

    fn group(&mut self) -> Result<(usize, Result<(), Fail>), TooDeep> {
        self.taken = Taken::default();
        let broken = self.node(Node::Broken);
        let node = self.node(Node::Group {
            negated: false,
            child: broken,
        });
        if self.open_group().is_err() {
            return Ok((node, Err(Fail)));
        }
        self.open.push(Rule::Inner);
        let inner = self.query(true);
        self.open.pop();
        let inner = inner?;
        if let Some(Node::Group { child, .. }) = self.nodes.get_mut(node) {
            *child = inner;
        }
        Ok((node, self.close_group()))
    }

    fn open_group(&mut self) -> Result<(), Fail> {
        self.sync(|kind| matches!(kind, Kind::Not | Kind::Space | Kind::Open))?;
        if self.look() == Kind::Not {
            self.matched();
        }
        self.sync(|kind| matches!(kind, Kind::Space | Kind::Open))?;
        if self.look() == Kind::Space {
            self.matched();
        }
        self.expect(Kind::Open, |_, kind| is_first(kind))?;
        // A failure is ignored, because the code below checks the tokens again.
        let _ignored = self.sync(is_first);
        if self.look() == Kind::Space {
            if !is_first(self.look_further()) {
                return Err(Fail);
            }
            self.matched();
        } else if !is_first(self.look()) {
            return Err(Fail);
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), Fail> {
        self.sync(|kind| matches!(kind, Kind::Space | Kind::Close))?;
        if self.look() == Kind::Space {
            self.matched();
        }
        self.expect(Kind::Close, |parser, kind| {
            kind == Kind::Space || parser.after_here(kind)
        })
    }

    /// Takes a token that is known to fit.
    fn matched(&mut self) -> Option<Token<'q>> {
        self.recovering = false;
        self.take()
    }

    /// Looks ahead: how many segments the path of a condition has, and the operator; no operator if
    /// it tests for presence.
    fn path_and_operator(&self) -> Option<(usize, Option<Operator>)> {
        let ahead = self.ahead.into_iter().flatten();
        let mut kinds = ahead.chain(self.tokens.clone()).map(|token| token.kind);
        let mut segments = 0;
        while kinds.next()? == Kind::Name {
            segments += 1;
            match kinds.next()? {
                Kind::Dot => {}
                Kind::Space => {
                    return match kinds.next()? {
                        Kind::Present => Some((segments, None)),
                        Kind::Operator(operator) => Some((segments, Some(operator))),
                        _ => None,
                    };
                }
                _ => return None,
            }
        }
        None
    }

    fn condition(&mut self) -> (usize, Result<(), Fail>) {
        let Some((segments, operator)) = self.path_and_operator() else {
            return (self.node(Node::Unknown), Err(Fail));
        };
        let mut path = Vec::with_capacity(segments);
        while path.len() < segments {
            if let Some(token) = self.matched().filter(|token| token.kind == Kind::Name) {
                path.push(token.text);
            }
        }
        let path = path.into_boxed_slice();
        self.matched();
        self.matched();
        let Some(operator) = operator else {
            return (self.node(Node::Present { path }), Ok(()));
        };
        if self.expect(Kind::Space, |_, kind| is_value(kind)).is_err() {
            return (self.node(Node::Broken), Err(Fail));
        }
        let node = match self.value() {
            Some(literal) => Node::Comparison {
                path,
                operator,
                literal: Box::new(literal),
            },
            None => Node::Broken,
        };
        (self.node(node), Ok(()))
    }

    /// Parses `and` and `or` with their right operands.
    fn chain(&mut self, first: usize) -> Result<usize, TooDeep> {
        let mut node = first;
        while self.look() == Kind::Space && self.look_further() == Kind::Logic {
            if let Some(Node::Group { negated, .. }) = self.nodes.get_mut(node) {
                *negated = self.taken.not;
            }
            self.matched();
            let and = self.matched().is_some_and(|token| token.text == "and");
            let continues = self.expect(Kind::Space, |_, kind| is_first(kind)).is_ok();
            let right = if continues {
                self.open.push(Rule::Right);
                let right = self.query(false);
                self.open.pop();
                right?
            } else {
                self.node(Node::Broken)
            };
            let left = node;
            node = self.node(Node::Logical { and, left, right });
            if !continues {
                self.recover();
                break;
            }
        }
        Ok(node)
    }

    fn value(&mut self) -> Option<Literal<'q>> {
        self.open.push(Rule::Value);
        let outer = std::mem::take(&mut self.taken);
        let literal = self.literal().unwrap_or_else(|Fail| {
            self.recover();
            None
        });
        self.taken = outer;
        self.open.pop();
        literal
    }

    fn literal(&mut self) -> Result<Option<Literal<'q>>, Fail> {
        self.sync(is_value)?;
        let kind = self.look();
        let literal: fn(&'q str) -> Literal<'q> = match kind {
            Kind::Bool => Literal::Bool,
            Kind::Null => |_| Literal::Null,
            Kind::Version => Literal::Version,
            Kind::Text => |text| Literal::Text(unquoted(text)),
            Kind::Double => Literal::Double,
            Kind::Minus | Kind::Int => return self.integer().map(Some),
            Kind::OpenList => return self.list(),
            _ => return Err(Fail),
        };
        Ok(self.matched().map(|token| literal(token.text)))
    }

    /// The text of an integer is that of all tokens taken for it.
    fn integer(&mut self) -> Result<Literal<'q>, Fail> {
        self.taken.value = Value::Integer(String::new());
        if self.look() == Kind::Minus {
            self.matched();
        }
        self.expect(Kind::Int, |parser, kind| {
            kind == Kind::Exponent || parser.after_here(kind)
        })?;
        if self.look() == Kind::Exponent {
            self.matched();
        }
        match std::mem::take(&mut self.taken.value) {
            Value::Integer(text) => Ok(Literal::Int(text)),
            Value::Element(..) | Value::None => Err(Fail),
        }
    }

    fn list(&mut self) -> Result<Option<Literal<'q>>, Fail> {
        let kind = self.look_further();
        let literal: fn(Vec<&'q str>) -> Literal<'q> = match kind {
            Kind::Int => Literal::IntList,
            Kind::Double => Literal::DoubleList,
            Kind::Text => |texts| Literal::TextList(texts.into_iter().map(unquoted).collect()),
            _ => return Err(Fail),
        };
        self.matched();
        self.open.push(Rule::Tail);
        let elements = self.elements(kind);
        self.open.pop();
        Ok(elements.map(literal))
    }

    /// The elements of a list, or nothing if one of them is missing.
    fn elements(&mut self, kind: Kind) -> Option<Vec<&'q str>> {
        let mut elements = Vec::new();
        loop {
            self.taken.value = Value::Element(kind, None);
            let fits = self.sync(|found| found == kind).is_ok() && self.look() == kind;
            let next = self.look_further();
            if fits && matches!(next, Kind::Comma | Kind::CloseList) {
                self.matched();
                self.matched();
            } else {
                self.recover();
            }
            match std::mem::take(&mut self.taken.value) {
                Value::Element(_, Some(text)) => {
                    self.unskip(text);
                    elements.push(text);
                }
                _ => return None,
            }
            if !fits || next != Kind::Comma {
                return Some(elements);
            }
        }
    }
}

/// Where a part of the query begins.
pub(super) fn place(query: &str, part: &str) -> usize {
    (part.as_ptr() as usize).saturating_sub(query.as_ptr() as usize)
}

fn unquoted(text: &str) -> &str {
    text.strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text)
}

fn is_first(kind: Kind) -> bool {
    matches!(kind, Kind::Not | Kind::Space | Kind::Open | Kind::Name)
}

fn is_value(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Bool
            | Kind::Null
            | Kind::Version
            | Kind::Text
            | Kind::Double
            | Kind::Minus
            | Kind::Int
            | Kind::OpenList
    )
}
