//! Rust names for flag keys, values and members.

use std::collections::{HashMap, HashSet};

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};

use crate::error::CodegenError;
use crate::tokens::code;

/// The names of the functions for `keys`, in the same order; no two are equal.
///
/// A name depends on its key alone, unless keys share a name: then each of them gets the hash of its
/// key. So a flag that is added or removed does not pass its name on to another flag of the same file.
///
/// # Errors
/// Hashes of keys that share a name are equal, or equal to another name.
pub(crate) fn functions(keys: &[&str]) -> Result<Vec<String>, CodegenError> {
    let mut names: Vec<String> = keys.iter().map(|key| function(key)).collect();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for name in &names {
        *counts.entry(name.clone()).or_default() += 1;
    }
    let mut taken: HashMap<String, &str> = HashMap::new();
    for (name, key) in names.iter_mut().zip(keys) {
        if counts.get(name).is_some_and(|count| *count > 1) {
            *name = format!("{name}_{}", hash(key)).replace("__", "_");
        }
        if let Some(other) = taken.insert(name.clone(), *key) {
            let other = code(other);
            let message = format!("its function and that of flag {other} would both be `{name}`");
            return Err(CodegenError::flag(key, message));
        }
    }
    Ok(names)
}

/// The name that a function would have if its key were the only one.
fn function(key: &str) -> String {
    let mut words = String::new();
    let mut is_cut = false;
    for c in key.chars() {
        match c.is_ascii() {
            true => words.push(c),
            false => words += &format!(" u{:04x} ", u32::from(c)),
        }
        if words.len() > LONGEST {
            is_cut = true;
            break;
        }
    }
    let name = words.to_snake_case();
    let name = match name.chars().next() {
        None => "flag".to_owned(),
        Some('0'..='9') => format!("flag_{name}"),
        Some(_) => name,
    };
    match is_cut {
        true => format!("{name}_{}", hash(key)),
        false => unkeyworded(name),
    }
}

/// The name of a type for a flag with this function.
pub(crate) fn type_name(function: &str) -> String {
    function.to_upper_camel_case()
}

/// The name of the type of a member of an object.
pub(crate) fn member_type(owner: &str, member: &str) -> String {
    owner.to_owned() + &member.to_upper_camel_case()
}

/// The variants of an enum with these values; none if they are not words.
pub(crate) fn variants(values: &[&str]) -> Option<Vec<String>> {
    distinct(values, |value| value.to_upper_camel_case())
        .filter(|variants| variants.iter().all(|variant| variant != "Self"))
}

/// The fields of a struct with these members; none if they are not words.
pub(crate) fn fields(members: &[&str]) -> Option<Vec<String>> {
    distinct(members, |member| unkeyworded(member.to_snake_case()))
}

fn distinct(words: &[&str], name: impl Fn(&str) -> String) -> Option<Vec<String>> {
    let is_word = |word: &&str| {
        let is_inside = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        word.starts_with(|c: char| c.is_ascii_alphabetic())
            && word.len() <= LONGEST_WORD
            && word.chars().all(is_inside)
    };
    if words.is_empty() || words.len() > MOST_WORDS || !words.iter().all(is_word) {
        return None;
    }
    let names: Vec<String> = words.iter().map(|word| name(word)).collect();
    let different: HashSet<&String> = names.iter().collect();
    (different.len() == names.len()).then_some(names)
}

/// Whether the module uses a type name for something else.
pub(crate) fn is_reserved_type(name: &str) -> bool {
    RESERVED_TYPES.contains(&name)
}

/// FNV-1a of 32 bits, as eight hexadecimal digits.
pub(crate) fn hash(key: &str) -> String {
    let step = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", key.bytes().fold(0x811c_9dc5, step))
}

fn unkeyworded(name: String) -> String {
    match KEYWORDS.contains(&&*name) {
        true => name + "_",
        false => name,
    }
}

const LONGEST: usize = 80;
const LONGEST_WORD: usize = 40;
const MOST_WORDS: usize = 64;

/// Keywords of every edition, reserved ones included.
const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate",
    "do", "dyn", "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl",
    "in", "let", "loop", "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref",
    "return", "self", "static", "struct", "super", "trait", "true", "try", "type", "typeof",
    "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The prelude, and what the modules import.
const RESERVED_TYPES: &[&str] = &[
    "AsMut",
    "AsRef",
    "AsyncFn",
    "AsyncFnMut",
    "AsyncFnOnce",
    "Box",
    "Client",
    "Clone",
    "ContextView",
    "Copy",
    "Cow",
    "Debug",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "EvaluationContext",
    "EvaluationDetails",
    "EvaluationError",
    "EvaluationErrorCode",
    "EvaluationResult",
    "ExactSizeIterator",
    "Extend",
    "FlagType",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Future",
    "GoFeatureFlag",
    "Hash",
    "HashMap",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "LocalFlags",
    "Map",
    "None",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Read",
    "Result",
    "Self",
    "Send",
    "Sized",
    "Some",
    "String",
    "StructValue",
    "Sync",
    "ToOwned",
    "ToString",
    "TryFrom",
    "TryInto",
    "Unpin",
    "Value",
    "Vec",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_valid_and_depend_on_the_key_alone() {
        for (key, expected) in [
            ("new-checkout", "new_checkout"),
            ("newCheckout", "new_checkout"),
            ("HTTPServer.v2", "http_server_v2"),
            ("type", "type_"),
            ("Self", "self_"),
            ("2fa", "flag_2fa"),
            ("", "flag"),
            ("--", "flag"),
            ("größe", "gr_u00f6_u00df_e"),
            ("a\"; b", "a_b"),
            ("_x_", "x"),
        ] {
            assert_eq!(function(key), expected, "{key}");
        }
        assert_eq!(
            function(&"a".repeat(1_000_000)),
            format!("{}_8569d985", "a".repeat(81))
        );
    }

    #[test]
    fn keys_that_share_a_name_all_get_their_hash() {
        let keys = ["new-checkout", "new.checkout", "banner", "type", "type_"];
        assert_eq!(
            functions(&keys).unwrap(),
            [
                "new_checkout_16d95dc0",
                "new_checkout_53935131",
                "banner",
                "type_5127f14d",
                "type_d3e07f56",
            ]
        );
    }

    #[test]
    fn a_name_that_looks_like_one_with_a_hash_is_refused() {
        let names = functions(&["a-b", "a.b"]).unwrap();
        let error = functions(&["a-b", "a.b", &names[0]]).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "flag `{0}`: its function and that of flag `a-b` would both be `{0}`",
                names[0]
            )
        );
    }

    #[test]
    fn words_become_variants_and_fields() {
        let variants = |values: &[&str]| variants(values).map(|names| names.join(" "));
        assert_eq!(variants(&["free", "pro-plus"]), Some("Free ProPlus".into()));
        for values in [&["Sunny days!"][..], &["a", "A"], &["self"], &["1"], &[]] {
            assert_eq!(variants(values), None, "{values:?}");
        }
        let fields = |members: &[&str]| fields(members).map(|names| names.join(" "));
        assert_eq!(fields(&["maxSize", "type"]), Some("max_size type_".into()));
        assert_eq!(fields(&["maxSize", "max_size"]), None);
    }
}
