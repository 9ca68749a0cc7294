//! Texts of a flag file as parts of Rust code. Whatever they contain, they stay literals and comments.

use goff_engine::__internal::is_hidden;
use proc_macro2::{Ident, Literal, Span, TokenStream};
use quote::quote;

/// An identifier, which must be a valid one.
pub(crate) fn ident(name: &str) -> Ident {
    Ident::new(name, Span::call_site())
}

/// A string literal of ASCII characters: rustc and clippy have lints against invisible, bidirectional
/// and denormalized text in literals.
pub(crate) fn text(value: &str) -> TokenStream {
    let mut literal = String::with_capacity(value.len() + 2);
    literal.push('"');
    for c in value.chars() {
        match c {
            '\'' => literal.push(c),
            _ => literal.extend(c.escape_default()),
        }
    }
    literal.push('"');
    number_or_text(&literal)
}

pub(crate) fn integer(value: i64) -> TokenStream {
    let digits = value.unsigned_abs().to_string();
    signed(value < 0, &grouped_from_the_end(&digits))
}

/// An integer whose literal says its type.
pub(crate) fn typed_integer(value: i64) -> TokenStream {
    let digits = value.unsigned_abs().to_string();
    signed(value < 0, &(grouped_from_the_end(&digits) + "_i64"))
}

pub(crate) fn unsigned(value: u64) -> TokenStream {
    number_or_text(&(grouped_from_the_end(&value.to_string()) + "_u64"))
}

pub(crate) fn float(value: f64) -> TokenStream {
    let shortest = format!("{:?}", value.abs());
    let (mantissa, exponent) = match shortest.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, format!("e{exponent}")),
        None => (&*shortest, String::new()),
    };
    let number = match mantissa.split_once('.') {
        Some((whole, fraction)) => format!(
            "{}.{}{exponent}",
            grouped_from_the_end(whole),
            grouped(fraction)
        ),
        None => format!("{mantissa}{exponent}"),
    };
    signed(value.is_sign_negative(), &number)
}

fn signed(is_negative: bool, number: &str) -> TokenStream {
    let number = number_or_text(number);
    match is_negative {
        true => quote!(-#number),
        false => number,
    }
}

fn number_or_text(literal: &str) -> TokenStream {
    // Not reached: the text is made above.
    let nothing = |_| Literal::string("");
    let literal: Literal = literal.parse().unwrap_or_else(nothing);
    quote!(#literal)
}

/// Digits in groups of three, for a fraction.
fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index.is_multiple_of(3) {
            grouped.push('_');
        }
        grouped.push(digit);
    }
    grouped
}

fn grouped_from_the_end(digits: &str) -> String {
    let reversed: String = digits.chars().rev().collect();
    grouped(&reversed).chars().rev().collect()
}

/// A line of documentation.
pub(crate) fn doc(line: &str) -> TokenStream {
    let line = match line.is_empty() {
        true => String::new(),
        false => format!(" {line}"),
    };
    quote!(#[doc = #line])
}

/// A text in backticks, with what cannot stand there as in a Rust literal.
pub(crate) fn code(value: &str) -> String {
    let shown: String = value.chars().take(LONGEST_CODE).map(shown).collect();
    let end = match value.chars().nth(LONGEST_CODE) {
        Some(_) => "…",
        None => "",
    };
    // A text that begins or ends with spaces would lose them.
    match value.is_empty() || value.trim() != value {
        true => format!("`\"{shown}{end}\"`"),
        false => format!("`{shown}{end}`"),
    }
}

/// A description as one paragraph of Markdown that shows its characters: it has no links, code that
/// would be compiled as an example, or HTML.
pub(crate) fn prose(description: &str) -> String {
    let mut prose = String::new();
    let mut length = 0;
    for word in description.split_whitespace() {
        if length > LONGEST_PROSE {
            prose += " …";
            break;
        }
        if length > 0 {
            prose.push(' ');
            length += 1;
        }
        for c in word.chars().take(LONGEST_PROSE) {
            length += 1;
            // At the beginning these would start a list or a heading.
            let starts_block = match c {
                '-' | '+' | '=' => length == 1,
                '.' | ')' => prose.chars().all(|c| c.is_ascii_digit()),
                _ => false,
            };
            if starts_block || SYNTAX.contains(&c) {
                prose.push('\\');
                prose.push(c);
            } else {
                prose += &shown_in_prose(c);
            }
        }
    }
    prose
}

fn shown(c: char) -> String {
    match c {
        '`' => "\\u{60}".to_owned(),
        _ => shown_in_prose(c),
    }
}

fn shown_in_prose(c: char) -> String {
    // A combining character counts as printable only after another.
    let is_printable = c.is_ascii_graphic()
        || c == ' '
        || (!c.is_ascii() && ['a', c].iter().collect::<String>().escape_debug().count() == 2);
    match is_printable && !is_hidden(c) {
        true => c.to_string(),
        false => c.escape_unicode().to_string(),
    }
}

/// What Markdown gives a meaning.
const SYNTAX: &[char] = &[
    '\\', '`', '*', '_', '{', '}', '[', ']', '<', '>', '#', '~', '|', '&', '$', '!', '^',
];
const LONGEST_CODE: usize = 200;
const LONGEST_PROSE: usize = 1_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_and_exact() {
        for (value, expected) in [
            (0, "0"),
            (-1_234_567, "- 1_234_567"),
            (i64::MIN, "- 9_223_372_036_854_775_808"),
        ] {
            assert_eq!(integer(value).to_string(), expected);
        }
        for (value, expected) in [
            (0.0, "0.0"),
            (-0.0, "- 0.0"),
            (1234.56789, "1_234.567_89"),
            (1e21, "1e21"),
            (1.25e-9, "1.25e-9"),
        ] {
            assert_eq!(float(value).to_string(), expected);
        }
    }

    #[test]
    fn texts_are_literals_of_ascii() {
        for (value, expected) in [
            ("new-checkout", r#""new-checkout""#),
            ("a\"; b\\\n", r#""a\"; b\\\n""#),
            ("it's", r#""it's""#),
            ("\u{202e}é", r#""\u{202e}\u{e9}""#),
        ] {
            assert_eq!(text(value).to_string(), expected);
        }
    }

    #[test]
    fn prose_is_one_inert_paragraph() {
        for (description, expected) in [
            ("Shows the  new\n\ncheckout.", "Shows the new checkout."),
            (
                "```rust\nloop {}\n```",
                "\\`\\`\\`rust loop \\{\\} \\`\\`\\`",
            ),
            ("    indented", "indented"),
            ("- 1) a_b", "\\- 1) a\\_b"),
            ("12. x", "12\\. x"),
            ("[x](y) <b>", "\\[x\\](y) \\<b\\>"),
            ("\u{202e}*/ größe", "\\u{202e}\\*/ größe"),
        ] {
            assert_eq!(prose(description), expected);
        }
        assert!(prose(&"word ".repeat(1_000)).len() < 1_100);
    }

    #[test]
    fn code_has_no_backticks_and_no_invisible_characters() {
        assert_eq!(code("a`b\u{200b}"), "`a\\u{60}b\\u{200b}`");
        for hidden in [
            '\u{fe0f}',
            '\u{e0100}',
            '\u{34f}',
            '\u{115f}',
            '\u{3164}',
            '\u{2800}',
        ] {
            let text = format!("a{hidden}b");
            let shown = format!("a{}b", hidden.escape_unicode());
            assert_eq!(code(&text), format!("`{shown}`"));
            assert_eq!(prose(&text), shown);
        }
        assert_eq!(code("cafe\u{301}"), "`cafe\u{301}`");
        assert_eq!(code(""), "`\"\"`");
        assert_eq!(code(" a"), "`\" a\"`");
    }
}
