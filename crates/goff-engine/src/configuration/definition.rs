//! A flag as its configuration states it, before it is compiled.
//!
//! Decoding follows the official decoder: member names are matched without
//! regard to letter case, repeated members are merged, `null` means absent,
//! unknown members are skipped, and a wrong type is an error
//! (docs/engine-semantics.md 3; upstream `modules/core/flag/internal_flag.go`).

use std::{borrow::Cow, fmt};

use crate::configuration::{
    budget::{Budget, TooExpensive},
    compact_json::CompactJson,
    date::Date,
    json::{Member, Node},
    repeated::keep_last,
};

/// A member of a flag that cannot be decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DecodeError {
    /// Name of the member.
    pub(crate) member: &'static str,
    /// What it should have been.
    pub(crate) expected: &'static str,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member `{}` is not {}", self.member, self.expected)
    }
}

fn wrong(member: &'static str, expected: &'static str) -> DecodeError {
    DecodeError { member, expected }
}

type Decoded = Result<(), DecodeError>;
type Text<'t> = Cow<'t, str>;

/// A flag, or a step of a scheduled rollout.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct FlagDefinition<'t> {
    pub(crate) variations: Option<Vec<(Text<'t>, CompactJson)>>,
    pub(crate) targeting: Option<Vec<RuleDefinition<'t>>>,
    pub(crate) bucketing_key: Option<Text<'t>>,
    pub(crate) default_rule: Option<RuleDefinition<'t>>,
    pub(crate) experimentation: Option<WindowDefinition>,
    pub(crate) scheduled_rollout: Option<Vec<FlagDefinition<'t>>>,
    pub(crate) track_events: Option<bool>,
    pub(crate) disable: Option<bool>,
    pub(crate) version: Option<Text<'t>>,
    pub(crate) metadata: Option<Vec<(Text<'t>, CompactJson)>>,
    /// The flags that this one depends on; steps cannot change it.
    pub(crate) needs: Option<Vec<Text<'t>>>,
    /// When a step becomes due; only steps have it.
    pub(crate) date: Option<Date>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RuleDefinition<'t> {
    pub(crate) name: Option<Text<'t>>,
    pub(crate) query: Option<Text<'t>>,
    pub(crate) variation: Option<Text<'t>>,
    pub(crate) percentage: Option<Vec<(Text<'t>, f64)>>,
    pub(crate) progressive_rollout: Option<Box<ProgressiveRolloutDefinition<'t>>>,
    pub(crate) disable: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ProgressiveRolloutDefinition<'t> {
    pub(crate) initial: Option<RolloutEndDefinition<'t>>,
    pub(crate) end: Option<RolloutEndDefinition<'t>>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct RolloutEndDefinition<'t> {
    pub(crate) variation: Option<Text<'t>>,
    pub(crate) percentage: Option<f64>,
    pub(crate) date: Option<Date>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct WindowDefinition {
    pub(crate) start: Option<Date>,
    pub(crate) end: Option<Date>,
}

/// An object whose members the configuration defines.
trait Definition<'t>: Default {
    const MEMBERS: &'static [&'static str];

    /// Decodes one of the members; repeated members merge.
    fn member(&mut self, name: &'static str, value: &Node<'t>, budget: &mut Budget) -> Decoded;

    fn merge(&mut self, node: &Node<'t>, name: &'static str, budget: &mut Budget) -> Decoded {
        for (member, value) in members(node, name)?.unwrap_or_default() {
            if let Some(member) = known(member, Self::MEMBERS) {
                self.member(member, value, budget)?;
            }
        }
        Ok(())
    }
}

impl<'t> FlagDefinition<'t> {
    pub(crate) fn decode(node: &Node<'t>, budget: &mut Budget) -> Result<Self, DecodeError> {
        let mut flag = Self::default();
        flag.merge_flag(node, budget)?;
        flag.settle();
        Ok(flag)
    }

    /// Merges a flag, which has no date, unlike a step. [`settle`](Self::settle) ends the merging.
    pub(crate) fn merge_flag(&mut self, node: &Node<'t>, budget: &mut Budget) -> Decoded {
        for (member, value) in members(node, "flag")?.unwrap_or_default() {
            match known(member, Self::MEMBERS) {
                Some("date") | None => {}
                Some(member) => self.member(member, value, budget)?,
            }
        }
        Ok(())
    }

    /// Sorts the entries of all objects with free member names. Of repeated names the last counts.
    ///
    /// Once at the end, because each repeated member adds entries.
    pub(crate) fn settle(&mut self) {
        settle(&mut self.variations);
        settle(&mut self.metadata);
        for rule in self
            .targeting
            .iter_mut()
            .flatten()
            .chain(&mut self.default_rule)
        {
            settle(&mut rule.percentage);
        }
        for step in self.scheduled_rollout.iter_mut().flatten() {
            step.settle();
        }
    }

    /// Whether all dates have a zone offset that the official engine can write.
    pub(crate) fn is_copyable(&self) -> bool {
        let copyable = |date: Option<Date>| date.is_none_or(|date| date.copyable);
        let window = self
            .experimentation
            .is_none_or(|window| copyable(window.start) && copyable(window.end));
        let ends = self
            .rules()
            .filter_map(|rule| rule.progressive_rollout.as_deref())
            .flat_map(|rollout| [&rollout.initial, &rollout.end])
            .flatten();
        let mut steps = self.scheduled_rollout.iter().flatten();
        window
            && copyable(self.date)
            && ends.into_iter().all(|end| copyable(end.date))
            && steps.all(Self::is_copyable)
    }

    /// The targeting rules, then the default rule.
    pub(crate) fn rules(&self) -> impl Iterator<Item = &RuleDefinition<'t>> {
        self.targeting.iter().flatten().chain(&self.default_rule)
    }
}

impl<'t> Definition<'t> for FlagDefinition<'t> {
    const MEMBERS: &'static [&'static str] = &[
        "variations",
        "targeting",
        "bucketingKey",
        "defaultRule",
        "experimentation",
        "scheduledRollout",
        "trackEvents",
        "disable",
        "version",
        "metadata",
        "needs",
        "date",
    ];

    fn member(&mut self, name: &'static str, value: &Node<'t>, budget: &mut Budget) -> Decoded {
        match name {
            "variations" => map(&mut self.variations, value, name, compact),
            "targeting" => list(&mut self.targeting, value, name, budget),
            "bucketingKey" => text(&mut self.bucketing_key, value, name),
            "defaultRule" => optional(&mut self.default_rule, value, name, budget),
            "experimentation" => optional(&mut self.experimentation, value, name, budget),
            "scheduledRollout" => list(&mut self.scheduled_rollout, value, name, budget),
            "trackEvents" => boolean(&mut self.track_events, value, name),
            "disable" => boolean(&mut self.disable, value, name),
            "version" => text(&mut self.version, value, name),
            "metadata" => map(&mut self.metadata, value, name, compact),
            "needs" => {
                self.needs = needs(value);
                Ok(())
            }
            _ => date(&mut self.date, value, name),
        }
    }
}

impl<'t> Definition<'t> for RuleDefinition<'t> {
    const MEMBERS: &'static [&'static str] = &[
        "name",
        "query",
        "variation",
        "percentage",
        "progressiveRollout",
        "disable",
    ];

    fn member(&mut self, name: &'static str, value: &Node<'t>, budget: &mut Budget) -> Decoded {
        match name {
            "name" => text(&mut self.name, value, name),
            "query" => text(&mut self.query, value, name),
            "variation" => text(&mut self.variation, value, name),
            "percentage" => map(&mut self.percentage, value, name, double),
            "progressiveRollout" => optional(&mut self.progressive_rollout, value, name, budget),
            _ => boolean(&mut self.disable, value, name),
        }
    }
}

impl RuleDefinition<'_> {
    /// Whether an evaluation that reaches this rule needs a bucketing key.
    pub(crate) fn needs_bucketing(&self) -> bool {
        let percentages = self.percentage.as_deref().unwrap_or_default();
        self.progressive_rollout.is_some() || !percentages.is_empty()
    }
}

impl<'t> Definition<'t> for ProgressiveRolloutDefinition<'t> {
    const MEMBERS: &'static [&'static str] = &["initial", "end"];

    fn member(&mut self, name: &'static str, value: &Node<'t>, budget: &mut Budget) -> Decoded {
        let end = match name {
            "initial" => &mut self.initial,
            _ => &mut self.end,
        };
        optional(end, value, "progressiveRollout", budget)
    }
}

impl<'t> Definition<'t> for RolloutEndDefinition<'t> {
    const MEMBERS: &'static [&'static str] = &["variation", "percentage", "date"];

    fn member(&mut self, name: &'static str, value: &Node<'t>, _: &mut Budget) -> Decoded {
        match (name, value) {
            ("variation", _) => text(&mut self.variation, value, name)?,
            ("percentage", Node::Null) => self.percentage = None,
            ("percentage", _) => self.percentage = Some(double(value, name)?),
            _ => date(&mut self.date, value, name)?,
        }
        Ok(())
    }
}

impl<'t> Definition<'t> for WindowDefinition {
    const MEMBERS: &'static [&'static str] = &["start", "end"];

    fn member(&mut self, name: &'static str, value: &Node<'t>, _: &mut Budget) -> Decoded {
        match name {
            "start" => date(&mut self.start, value, name),
            _ => date(&mut self.end, value, name),
        }
    }
}

type Members<'n, 't> = &'n [Member<'t>];

/// The members of an object; `None` for null.
pub(crate) fn members<'n, 't>(
    node: &'n Node<'t>,
    member: &'static str,
) -> Result<Option<Members<'n, 't>>, DecodeError> {
    match node {
        Node::Null => Ok(None),
        Node::Object(members) => Ok(Some(members)),
        _ => Err(wrong(member, "an object")),
    }
}

/// The member of `names` that `name` spells, under simple case folding.
pub(crate) fn known(name: &str, names: &[&'static str]) -> Option<&'static str> {
    let folds_to = |known: &str| {
        let mut folded = name.chars().map(|char| match char {
            'ſ' => 's',
            '\u{212a}' => 'k',
            other => other.to_ascii_lowercase(),
        });
        known
            .chars()
            .all(|char| folded.next() == Some(char.to_ascii_lowercase()))
            && folded.next().is_none()
    };
    names
        .iter()
        .find(|known| **known == name)
        .or_else(|| names.iter().find(|known| folds_to(known)))
        .copied()
}

impl<'t, T: Definition<'t>> Definition<'t> for Box<T> {
    const MEMBERS: &'static [&'static str] = T::MEMBERS;

    fn member(&mut self, name: &'static str, value: &Node<'t>, budget: &mut Budget) -> Decoded {
        T::member(self, name, value, budget)
    }
}

/// Decodes into an optional object, merging with what is there already.
fn optional<'t, T: Definition<'t>>(
    target: &mut Option<T>,
    node: &Node<'t>,
    member: &'static str,
    budget: &mut Budget,
) -> Decoded {
    if *node == Node::Null {
        *target = None;
        return Ok(());
    }
    target.get_or_insert_default().merge(node, member, budget)
}

fn list<'t, T: Definition<'t>>(
    target: &mut Option<Vec<T>>,
    node: &Node<'t>,
    member: &'static str,
    budget: &mut Budget,
) -> Decoded {
    match node {
        Node::Null => *target = None,
        Node::Array(elements) => {
            budget
                .spend_on::<T>(elements.len())
                .map_err(|TooExpensive| wrong(member, "within the flag's budget: too expensive"))?;
            let list = target.get_or_insert_default();
            list.resize_with(elements.len(), T::default);
            for (entry, element) in list.iter_mut().zip(elements) {
                entry.merge(element, member, budget)?;
            }
        }
        _ => return Err(wrong(member, "an array")),
    }
    Ok(())
}

/// The names of the flags that a flag depends on: `[{"flag": …, "value": …}, …]`.
///
/// Announced upstream in issue 5567 of `thomaspoignant/go-feature-flag`, and written in its pull
/// request 5583, `modules/core/flag/needs.go`. The engine described does not know the member, so
/// that no shape of it is an error; an entry without a name counts with an empty one.
fn needs<'t>(node: &Node<'t>) -> Option<Vec<Text<'t>>> {
    let flag = |entry: &Node<'t>| match entry {
        Node::Object(members) => members
            .iter()
            .rev()
            .find_map(|(member, value)| match value {
                Node::String(name) if known(member, &["flag"]).is_some() => Some(name.clone()),
                _ => None,
            }),
        _ => None,
    };
    match node {
        Node::Null => None,
        Node::Array(entries) => Some(
            entries
                .iter()
                .map(|entry| flag(entry).unwrap_or_default())
                .collect(),
        ),
        _ => Some(vec![Text::default()]),
    }
}

pub(crate) fn text<'t>(
    target: &mut Option<Text<'t>>,
    node: &Node<'t>,
    member: &'static str,
) -> Decoded {
    *target = match node {
        Node::Null => None,
        Node::String(text) => Some(text.clone()),
        _ => return Err(wrong(member, "a string")),
    };
    Ok(())
}

fn boolean(target: &mut Option<bool>, node: &Node<'_>, member: &'static str) -> Decoded {
    *target = match node {
        Node::Null => None,
        Node::Bool(value) => Some(*value),
        _ => return Err(wrong(member, "a boolean")),
    };
    Ok(())
}

fn date(target: &mut Option<Date>, node: &Node<'_>, member: &'static str) -> Decoded {
    let wrong = || wrong(member, "an RFC 3339 date");
    *target = match node {
        Node::Null => None,
        Node::String(text) => Some(Date::parse(text).ok_or_else(wrong)?),
        _ => return Err(wrong()),
    };
    Ok(())
}

fn double(node: &Node<'_>, member: &'static str) -> Result<f64, DecodeError> {
    match node {
        Node::Null => Some(0.0),
        Node::Number(Some(value)) => value.as_f64(),
        _ => None,
    }
    .ok_or(wrong(member, "a number within the range of a double"))
}

/// An object with free member names; repeated objects add and overwrite entries. The entries stay
/// in the order of the text until they are settled.
fn map<'t, T>(
    target: &mut Option<Vec<(Text<'t>, T)>>,
    node: &Node<'t>,
    member: &'static str,
    read: impl Fn(&Node<'t>, &'static str) -> Result<T, DecodeError>,
) -> Decoded {
    let Some(members) = members(node, member)? else {
        *target = None;
        return Ok(());
    };
    let entries = target.get_or_insert_default();
    if entries.is_empty() {
        entries.reserve_exact(members.len());
    }
    for (name, value) in members {
        entries.push((name.clone(), read(value, member)?));
    }
    Ok(())
}

fn settle<T>(entries: &mut Option<Vec<(Text<'_>, T)>>) {
    if let Some(entries) = entries {
        keep_last(entries, |(name, _)| name);
    }
}

/// A value to serve. Served it takes up to 80 bytes for each part, and 640 for an object, however short
/// its text is, so the parts are counted.
pub(crate) fn compact(node: &Node<'_>, member: &'static str) -> Result<CompactJson, DecodeError> {
    if !spend_on_parts(node, &mut { MAX_PARTS }) {
        let expected = "of values with at most 131,072 parts, an object counting as eight";
        return Err(wrong(member, expected));
    }
    CompactJson::from_node(node).map_err(|_| overflow(member))
}

/// Whether [`compact`] accepts it.
#[cfg(feature = "document")]
pub(crate) fn is_compactible(node: &Node<'_>) -> bool {
    fn fits(node: &Node<'_>) -> bool {
        match node {
            Node::Number(value) => value.is_some(),
            Node::Array(elements) => elements.iter().all(fits),
            Node::Object(members) => members.iter().all(|(_, value)| fits(value)),
            Node::Null | Node::Bool(_) | Node::String(_) => true,
        }
    }
    spend_on_parts(node, &mut { MAX_PARTS }) && fits(node)
}

/// Takes the parts of a value off `left`; false if there are more.
fn spend_on_parts(node: &Node<'_>, left: &mut usize) -> bool {
    let cost = if matches!(node, Node::Object(_)) {
        8
    } else {
        1
    };
    let Some(rest) = left.checked_sub(cost) else {
        return false;
    };
    *left = rest;
    match node {
        Node::Array(elements) => elements.iter().all(|element| spend_on_parts(element, left)),
        Node::Object(members) => members.iter().all(|(_, value)| spend_on_parts(value, left)),
        _ => true,
    }
}

/// As many as an answer of the relay proxy to a remote evaluation may have.
const MAX_PARTS: usize = 131_072;

fn overflow(member: &'static str) -> DecodeError {
    wrong(member, "free of numbers beyond the range of a double")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::json::MAX_NESTING;

    fn decode(text: &str) -> Result<FlagDefinition<'_>, DecodeError> {
        let node = Node::parse(text, MAX_NESTING).unwrap();
        FlagDefinition::decode(&node, &mut Budget::new(text.len()))
    }

    #[test]
    fn member_names_fold_case_with_two_letters_outside_ascii() {
        let flag = decode(r#"{"VARIATIONſ":{"A":1},"buc\u212aetingKey":"x"}"#).unwrap();
        assert!(flag.variations.is_some());
        assert_eq!(flag.bucketing_key.as_deref(), Some("x"));
    }

    #[test]
    fn repeated_members_merge() {
        let flag = decode(
            r#"{"defaultRule":{"variation":"A","name":"n"},"DEFAULTRULE":{"variation":"B"},
                "targeting":[{"query":"a"},{"query":"b"}],"targeting":[{"variation":"A"}]}"#,
        )
        .unwrap();
        let rule = flag.default_rule.unwrap();
        assert_eq!(rule.variation.as_deref(), Some("B"));
        assert_eq!(rule.name.as_deref(), Some("n"));
        let rules = flag.targeting.unwrap();
        assert_eq!(rules.len(), 1);
        assert_eq!(rules[0].query.as_deref(), Some("a"));
        assert_eq!(rules[0].variation.as_deref(), Some("A"));
    }

    #[test]
    fn dependencies_have_any_shape() {
        for (text, names) in [
            ("{}", None),
            (r#"{"needs":null}"#, None),
            (r#"{"needs":[]}"#, Some(vec![])),
            (
                r#"{"needs":[{"flag":"a"},{"FLAG":"b","value":[1]}]}"#,
                Some(vec!["a", "b"]),
            ),
            (r#"{"Needs":[{"flag":1},"x",null,{}]}"#, Some(vec![""; 4])),
            (r#"{"needs":{"flag":"a"}}"#, Some(vec![""])),
            (r#"{"needs":"a"}"#, Some(vec![""])),
            (
                r#"{"needs":[{"flag":"a"}],"needs":[{"flag":"b"}]}"#,
                Some(vec!["b"]),
            ),
        ] {
            let needs = decode(text).unwrap().needs;
            let needs = needs
                .as_ref()
                .map(|names| names.iter().map(AsRef::as_ref).collect::<Vec<&str>>());
            assert_eq!(needs, names, "{text}");
        }
    }

    #[test]
    fn wrong_types_are_errors_and_unknown_members_are_not() {
        for text in [
            r#"{"disable":"true"}"#,
            r#"{"version":1}"#,
            r#"{"bucketingKey":7}"#,
            r#"[]"#,
            r#"{"defaultRule":{"percentage":{"A":"1"}}}"#,
            r#"{"experimentation":{"start":1}}"#,
            r#"{"variations":{"A":1e400}}"#,
            r#"{"scheduledRollout":[{"date":"tomorrow"}]}"#,
        ] {
            assert!(decode(text).is_err(), "{text}");
        }
        assert!(decode(r#"{"unknown":1e400,"date":5}"#).is_ok());
    }
}
