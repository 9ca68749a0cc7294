//! The parser of the rule language, with the official parser's error recovery.
//!
//! Single-token mistakes are repaired by dropping or inventing a token; after
//! any other mistake tokens are skipped until one that may follow an open rule
//! (docs/engine-semantics.md 17.6).

use super::{
    lexer::{Kind, Operator, Token, tokens},
    literal::Literal,
};

/// A query, as nodes that refer to each other by index.
#[derive(Debug, Default)]
pub(super) struct Tree<'q> {
    pub(super) nodes: Vec<Node<'q>>,
    pub(super) root: usize,
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
        path: Vec<&'q str>,
    },
    Comparison {
        path: Vec<&'q str>,
        operator: Operator,
        literal: Literal<'q>,
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
    let mut parser = Parser {
        tokens: tokens(query),
        at: 0,
        recovering: false,
        open: Vec::new(),
        nodes: Vec::new(),
        taken: Taken::default(),
        depth: 0,
    };
    parser.open.push(Rule::Top);
    let root = parser.query(true)?;
    Ok(Tree {
        nodes: parser.nodes,
        root,
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

/// The tokens taken so far for the node that is being parsed.
#[derive(Debug, Default)]
struct Taken<'q> {
    not: bool,
    /// Remembered for values only.
    tokens: Option<Vec<Token<'q>>>,
}

/// The innermost rule cannot continue.
struct Fail;

struct Parser<'q> {
    tokens: Vec<Token<'q>>,
    at: usize,
    recovering: bool,
    open: Vec<Rule>,
    nodes: Vec<Node<'q>>,
    taken: Taken<'q>,
    depth: usize,
}

impl<'q> Parser<'q> {
    fn look(&self, ahead: usize) -> Kind {
        self.tokens
            .get(self.at + ahead - 1)
            .map_or(Kind::End, |token| token.kind)
    }

    fn take(&mut self) -> Option<Token<'q>> {
        let token = *self.tokens.get(self.at)?;
        self.at += 1;
        self.taken.not |= token.kind == Kind::Not;
        if let Some(tokens) = &mut self.taken.tokens {
            tokens.push(token);
        }
        Some(token)
    }

    /// Takes a token of the wanted kind. Drops or invents one token if that repairs the query.
    fn expect(&mut self, wanted: Kind, after: impl Fn(&Self, Kind) -> bool) -> Result<(), Fail> {
        if self.look(1) == wanted {
            self.recovering = false;
            self.take();
        } else if self.look(2) == wanted {
            self.take();
            self.recovering = false;
            self.take();
        } else if after(self, self.look(1)) {
            if let Some(tokens) = &mut self.taken.tokens {
                let (kind, text) = (wanted, "<missing>");
                tokens.push(Token { kind, text });
            }
            self.recovering = true;
        } else {
            return Err(Fail);
        }
        Ok(())
    }

    /// Ensures that the next token can start the next part; drops one token if that helps.
    fn sync(&mut self, start: impl Fn(Kind) -> bool) -> Result<(), Fail> {
        if self.recovering || start(self.look(1)) {
            Ok(())
        } else if start(self.look(2)) {
            self.take();
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
            match self.look(1) {
                Kind::End => break,
                Kind::Close if close => break,
                Kind::Space if space => break,
                _ => self.take(),
            };
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
        match self.look(1) {
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
        if self.look(1) == Kind::Not {
            self.matched();
        }
        self.sync(|kind| matches!(kind, Kind::Space | Kind::Open))?;
        if self.look(1) == Kind::Space {
            self.matched();
        }
        self.expect(Kind::Open, |_, kind| is_first(kind))?;
        // A failure is ignored, because the code below checks the tokens again.
        let _ignored = self.sync(is_first);
        if self.look(1) == Kind::Space {
            if !is_first(self.look(2)) {
                return Err(Fail);
            }
            self.matched();
        } else if !is_first(self.look(1)) {
            return Err(Fail);
        }
        Ok(())
    }

    fn close_group(&mut self) -> Result<(), Fail> {
        self.sync(|kind| matches!(kind, Kind::Space | Kind::Close))?;
        if self.look(1) == Kind::Space {
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

    fn condition(&mut self) -> (usize, Result<(), Fail>) {
        let mut ahead = 1;
        while self.look(ahead + 1) == Kind::Dot && self.look(ahead + 2) == Kind::Name {
            ahead += 2;
        }
        let operator = match (self.look(ahead + 1), self.look(ahead + 2)) {
            (Kind::Space, Kind::Present) => None,
            (Kind::Space, Kind::Operator(operator)) => Some(operator),
            _ => return (self.node(Node::Unknown), Err(Fail)),
        };
        let mut path = Vec::with_capacity(ahead.div_ceil(2));
        for _ in 0..ahead {
            if let Some(token) = self.matched().filter(|token| token.kind == Kind::Name) {
                path.push(token.text);
            }
        }
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
                literal,
            },
            None => Node::Broken,
        };
        (self.node(node), Ok(()))
    }

    /// Parses `and` and `or` with their right operands.
    fn chain(&mut self, first: usize) -> Result<usize, TooDeep> {
        let mut node = first;
        while self.look(1) == Kind::Space && self.look(2) == Kind::Logic {
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
        let kind = self.look(1);
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
        self.taken.tokens = Some(Vec::new());
        if self.look(1) == Kind::Minus {
            self.matched();
        }
        self.expect(Kind::Int, |parser, kind| {
            kind == Kind::Exponent || parser.after_here(kind)
        })?;
        if self.look(1) == Kind::Exponent {
            self.matched();
        }
        let tokens = self.taken.tokens.take().unwrap_or_default();
        Ok(Literal::Int(
            tokens.iter().map(|token| token.text).collect(),
        ))
    }

    fn list(&mut self) -> Result<Option<Literal<'q>>, Fail> {
        let kind = self.look(2);
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
            self.taken.tokens = Some(Vec::new());
            let fits = self.sync(|found| found == kind).is_ok() && self.look(1) == kind;
            let next = self.look(2);
            if fits && matches!(next, Kind::Comma | Kind::CloseList) {
                self.matched();
                self.matched();
            } else {
                self.recover();
            }
            let tokens = self.taken.tokens.take()?;
            elements.push(tokens.iter().find(|token| token.kind == kind)?.text);
            if !fits || next != Kind::Comma {
                return Some(elements);
            }
        }
    }
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
