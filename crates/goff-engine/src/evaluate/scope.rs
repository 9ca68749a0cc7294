//! What queries can see: attributes, enrichment, and three names that are always visible.

use std::{cell::OnceCell, collections::hash_map::RandomState, hash::BuildHasher};

use hashbrown::HashTable;
use serde_json::{Map, Value};

use crate::configuration::date::Timestamp;
use crate::evaluate::{
    attributes::{Attributes, TARGETING_KEY},
    flag_context::FlagContext,
    operand::{Fetched, Operand},
    work::Work,
};

/// The context of one evaluation.
///
/// The enrichment wins over attributes of the same name
/// (docs/engine-semantics.md 5; upstream `modules/core/utils/` and
/// `modules/core/ffcontext/`).
#[derive(Debug)]
pub(crate) struct Scope<'a, A: ?Sized> {
    pub(crate) attributes: &'a A,
    pub(crate) enrichment: Option<&'a Map<String, Value>>,
    pub(crate) targeting_key: &'a str,
}

impl<A: ?Sized> Clone for Scope<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A: ?Sized> Copy for Scope<'_, A> {}

impl<'a, A: Attributes + ?Sized> Scope<'a, A> {
    #[inline]
    pub(crate) fn new(attributes: &'a A, flag_context: &'a FlagContext) -> Self {
        let enrichment = &flag_context.enrichment;
        Self {
            attributes,
            enrichment: (!enrichment.is_empty()).then_some(enrichment),
            targeting_key: attributes.targeting_key().unwrap_or_default(),
        }
    }

    /// As scheduled steps and experimentations see it (docs/engine-semantics.md 5.1).
    pub(crate) fn without_enrichment(&self) -> Self {
        Self {
            enrichment: None,
            ..*self
        }
    }

    /// The date that the attributes state.
    pub(crate) fn stated_time(&self) -> Result<Option<Timestamp>, Unreadable> {
        let Some(fetched) = self.attribute(GOFEATUREFLAG) else {
            return Ok(None);
        };
        let operand = fetched
            .operand()
            .ok_or_else(|| Unreadable(GOFEATUREFLAG.into()))?;
        Ok(match operand {
            Operand::Object(members) => members
                .get("currentDateTime")
                .and_then(Value::as_str)
                .and_then(Timestamp::parse),
            _ => None,
        })
    }

    /// An attribute as the bucketing key sees it: without the names that only queries see.
    #[inline]
    pub(crate) fn attribute(&self, name: &str) -> Option<Fetched<'a>> {
        if let Some(value) = self.enrichment.and_then(|members| members.get(name)) {
            return Some(Fetched::from_enrichment(value));
        }
        self.attributes.attribute(name).map(Fetched::from_context)
    }

    /// An attribute as queries see it.
    #[inline]
    pub(crate) fn visible(&self, name: &Name) -> Fetched<'a> {
        match name.kind {
            NameKind::TargetingKey => Fetched::Plain(Operand::Str(self.targeting_key)),
            NameKind::Anonymous => self.anonymous(),
            NameKind::Attribute => self.attribute(&name.text).unwrap_or(Fetched::MISSING),
        }
    }

    #[cold]
    fn anonymous(&self) -> Fetched<'a> {
        let fetched = self.attribute(ANONYMOUS).unwrap_or(Fetched::MISSING);
        match fetched.operand() {
            Some(Operand::Bool(_)) | None => fetched,
            Some(_) => Fetched::Plain(Operand::Bool(false)),
        }
    }
}

const ANONYMOUS: &str = "anonymous";
const GOFEATUREFLAG: &str = "gofeatureflag";

/// A top-level name that a query mentions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Name {
    kind: NameKind,
    text: Box<str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum NameKind {
    Attribute,
    TargetingKey,
    Anonymous,
}

impl Name {
    pub(crate) fn new(text: &str) -> Self {
        Self {
            kind: match text {
                TARGETING_KEY | "key" => NameKind::TargetingKey,
                ANONYMOUS => NameKind::Anonymous,
                _ => NameKind::Attribute,
            },
            text: text.into(),
        }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The names that queries see in every context.
    pub(crate) fn always_visible() -> [Self; 3] {
        [ANONYMOUS, "key", TARGETING_KEY].map(Self::new)
    }
}

/// Index of a name among those of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slot(u32);

/// Collects the names that the queries of a flag mention, each once.
///
/// The hashes are seeded at random, because the flag's author chooses the names.
#[derive(Debug, Default)]
pub(crate) struct NameTable {
    names: Vec<Name>,
    by_text: HashTable<u32>,
    hasher: RandomState,
}

impl NameTable {
    pub(crate) fn slot(&mut self, text: &str) -> Slot {
        let Self {
            names,
            by_text,
            hasher,
        } = self;
        let text_of = |index: &u32| names.get(*index as usize).map_or("", Name::text);
        let hash = hasher.hash_one(text);
        let entry = by_text.entry(
            hash,
            |index| text_of(index) == text,
            |index| hasher.hash_one(text_of(index)),
        );
        // The text of a flag would exceed 4 GiB before the number exceeds 32 bits.
        let next = u32::try_from(names.len()).unwrap_or(u32::MAX);
        let index = *entry.or_insert(next).get();
        if index == next {
            names.push(Name::new(text));
        }
        Slot(index)
    }

    pub(crate) fn finish(self) -> Vec<Name> {
        self.names
    }
}

/// The attributes that the queries of a flag mention, fetched at most once per evaluation.
#[derive(Debug)]
pub(crate) struct Slots<'s, 'a, A: ?Sized, O> {
    pub(crate) scope: Scope<'a, A>,
    pub(crate) names: &'s [Name],
    /// One for each name.
    pub(crate) cells: &'s [OnceCell<Fetched<'a>>],
    pub(crate) work: Work,
    pub(crate) observer: O,
}

/// An attribute that was read has no JSON form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) Box<str>);

impl<'s, 'a: 's, A: Attributes + ?Sized, O> Slots<'s, 'a, A, O> {
    #[inline]
    pub(crate) fn get(&self, slot: Slot) -> Result<Operand<'s>, Unreadable> {
        let index = slot.0 as usize;
        let (Some(cell), Some(name)) = (self.cells.get(index), self.names.get(index)) else {
            return Ok(Operand::Null);
        };
        cell.get_or_init(|| self.scope.visible(name))
            .operand()
            .ok_or_else(|| Unreadable(name.text.clone()))
    }

    pub(crate) fn name(&self, slot: Slot) -> &'s str {
        self.names.get(slot.0 as usize).map_or("", Name::text)
    }
}
