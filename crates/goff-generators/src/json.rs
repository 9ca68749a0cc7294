//! JSON as text, assembled from strategies.

use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// A strategy for text: JSON, or part of a query.
pub(crate) type Text = BoxedStrategy<String>;

/// One of these words, which a space separates; two spaces have an empty word between them.
pub(crate) fn word(words: &'static str) -> Text {
    one_of(&words.split(' ').collect::<Vec<_>>())
}

pub(crate) fn one_of(choices: &[&'static str]) -> Text {
    select(choices.to_owned()).prop_map(str::to_owned).boxed()
}

/// One of several, half of the time one of the first six, so that literals meet attributes.
pub(crate) fn hot(choices: &'static [&'static str]) -> Text {
    let (few, _) = choices.split_at(choices.len().min(6));
    prop_oneof![one_of(few), one_of(choices)].boxed()
}

/// The strategy's value in that many of a hundred cases.
pub(crate) fn sometimes<T: Clone + std::fmt::Debug + 'static>(
    percent: u8,
    value: impl Strategy<Value = T> + 'static,
) -> BoxedStrategy<Option<T>> {
    match percent {
        0 => Just(None).boxed(),
        100.. => value.prop_map(Some).boxed(),
        _ => option::weighted(f64::from(percent) / 100.0, value).boxed(),
    }
}

/// The first strategy's value in that many of a hundred cases, else the second's.
pub(crate) fn mostly(percent: u32, first: &Text, second: &Text) -> Text {
    prop_oneof![percent => first.clone(), 100 - percent => second.clone()].boxed()
}

pub(crate) fn quoted(text: &str) -> String {
    let mut quoted = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\0'..='\u{1f}' => quoted.push_str(&format!("\\u{:04x}", u32::from(character))),
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

/// Each text as a JSON string.
pub(crate) fn string(text: &Text) -> Text {
    text.clone().prop_map(|text| quoted(&text)).boxed()
}

pub(crate) fn bool(percent_true: u32) -> Text {
    prop_oneof![100 - percent_true => Just("false"), percent_true => Just("true")]
        .prop_map(str::to_owned)
        .boxed()
}

/// A list whose number of elements is in the range.
pub(crate) fn list(element: &Text, length: std::ops::Range<usize>) -> Text {
    prop::collection::vec(element.clone(), length)
        .prop_map(|elements| list_of(&elements))
        .boxed()
}

/// A list with these elements.
pub(crate) fn list_with<const N: usize>(elements: [&Text; N]) -> Text {
    let elements: Vec<Text> = elements.into_iter().cloned().collect();
    elements.prop_map(|elements| list_of(&elements)).boxed()
}

pub(crate) fn list_of(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

pub(crate) fn object_of<'m>(members: impl IntoIterator<Item = &'m (String, String)>) -> String {
    let members = members.into_iter();
    let members = members.map(|(name, value)| format!("{}:{value}", quoted(name)));
    format!("{{{}}}", members.collect::<Vec<_>>().join(","))
}

/// A member of an object: in how many of a hundred cases, its name, and its value.
pub(crate) type Member = (u8, &'static str, Text);

/// An object of members, each there with its own chance. With quirks, some of it is spelled in ways that only a
/// decoder notices.
pub(crate) fn object(members: Vec<Member>, quirks: bool) -> Text {
    let members = members.into_iter().map(|(percent, name, value)| {
        let value = value
            .prop_map(move |value| vec![(name.to_owned(), value)])
            .boxed();
        sometimes(percent, if quirks { quirky(value) } else { value })
    });
    let members: Vec<_> = members.collect();
    members
        .prop_map(|members| object_of(members.iter().flatten().flatten()))
        .boxed()
}

type Members = Vec<(String, String)>;

/// A member as it is, or in a few of a hundred cases respelled, repeated, replaced, or beside an unknown one.
fn quirky(member: BoxedStrategy<Members>) -> BoxedStrategy<Members> {
    // No negative number: as a percentage it would be evaluated differently by the official builds.
    let literal = word(
        r#"null true 0 50 1.5 "" "A" [] {} [1,null] {"x":1} "\ud800" "\ud83d\ude00" "\u0041\/" 1e400 [1,] "\x" 01 nul"#,
    );
    let quirk = (member.clone(), literal, 0..6_u8, any::<[u8; 16]>());
    let quirk = quirk.prop_map(|(mut members, literal, kind, spelling)| {
        let Some((name, value)) = members.first_mut() else {
            return members;
        };
        let other_name = respelled(name, &spelling);
        match kind {
            0 => *value = literal,
            1 | 2 => *name = other_name,
            3 => {
                let value = value.clone();
                members.push((other_name, value));
            }
            4 => {
                let name = name.clone();
                members.push((name, literal));
            }
            _ => members.push(("unknown".to_owned(), literal)),
        }
        members
    });
    prop_oneof![95 => member, 5 => quirk].boxed()
}

/// The name in another letter case, with letters from beyond ASCII where they fold.
fn respelled(name: &str, spelling: &[u8]) -> String {
    let letters = name.chars().zip(spelling.iter().cycle());
    let letters = letters.map(|(letter, choice)| match (choice % 8, letter) {
        (0 | 1, letter) => letter.to_ascii_uppercase(),
        (2, 's') => 'ſ',
        (2, 'k') => '\u{212a}',
        (_, letter) => letter,
    });
    letters.collect()
}
