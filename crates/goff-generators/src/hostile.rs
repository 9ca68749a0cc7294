//! Flag files, configurations and answers made to exhaust who reads them.

use proptest::prelude::*;
use proptest::sample::{Index, select};

/// What reads an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reader {
    /// A flag file in JSON, and a flag configuration, which holds the same object of flags.
    JsonFlags,
    /// A flag file in YAML.
    Yaml,
    /// A flag file in TOML.
    Toml,
    /// The answer to an evaluation.
    Answer,
}

/// An input, and where it comes from.
#[derive(Clone, Debug)]
pub struct Hostile {
    /// The name of its shape.
    pub shape: &'static str,
    /// What reads it.
    pub reader: Reader,
    /// The text, which need not be UTF-8.
    pub bytes: Vec<u8>,
}

/// Inputs of up to about `size` bytes. One in four is changed at random afterwards: cut off, a few
/// bytes replaced, or in another encoding.
pub fn hostile_inputs(size: usize) -> impl Strategy<Value = Hostile> + Clone {
    // Small inputs as well, because a fixed cost is a bound of theirs too.
    let sizes = prop_oneof![Just(size), Just(size / 2), Just(size / 16), Just(200)];
    (select(SHAPES.to_vec()), sizes, change()).prop_map(|((shape, reader, build), size, change)| {
        let mut bytes = build(size).into_bytes();
        change.apply(&mut bytes);
        Hostile {
            shape,
            reader,
            bytes,
        }
    })
}

/// Each shape once, unchanged.
pub fn every_hostile_input(size: usize) -> impl Iterator<Item = Hostile> {
    SHAPES.iter().map(move |(shape, reader, build)| Hostile {
        shape,
        reader: *reader,
        bytes: build(size).into_bytes(),
    })
}

#[derive(Clone, Debug)]
enum Change {
    None,
    CutOff(Index),
    Replaced(Vec<(Index, u8)>),
    Utf16 { big_endian: bool },
}

fn change() -> impl Strategy<Value = Change> + Clone {
    prop_oneof![
        9 => Just(Change::None),
        1 => any::<Index>().prop_map(Change::CutOff),
        1 => prop::collection::vec(any::<(Index, u8)>(), 1..5).prop_map(Change::Replaced),
        1 => any::<bool>().prop_map(|big_endian| Change::Utf16 { big_endian }),
    ]
    .boxed()
}

impl Change {
    fn apply(self, bytes: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::CutOff(at) => bytes.truncate(at.index(bytes.len() + 1)),
            Self::Replaced(replacements) => {
                for (at, byte) in replacements {
                    let at = at.index(bytes.len());
                    if let Some(old) = bytes.get_mut(at) {
                        *old = byte;
                    }
                }
            }
            Self::Utf16 { big_endian } => {
                let text = format!("\u{feff}{}", String::from_utf8_lossy(bytes));
                let units = text.encode_utf16();
                *bytes = match big_endian {
                    true => units.flat_map(u16::to_be_bytes).collect(),
                    false => units.flat_map(u16::to_le_bytes).collect(),
                };
            }
        }
    }
}

/// Name, reader, and the function that builds an input of about so many bytes.
type Shape = (&'static str, Reader, fn(usize) -> String);

const SHAPES: &[Shape] = &[
    ("value of lists", Reader::JsonFlags, |n| {
        with_value(&nested(n / 2, "[", "1", "]"))
    }),
    ("value of objects", Reader::JsonFlags, |n| {
        with_value(&nested(n / 6, r#"{"a":"#, "1", "}"))
    }),
    ("value of many empty objects", Reader::JsonFlags, |n| {
        with_value(&list(n / 7, r#"{"":0}"#))
    }),
    ("value with one long text", Reader::JsonFlags, |n| {
        with_value(&format!("\"{}\"", "x".repeat(n)))
    }),
    ("value with escapes", Reader::JsonFlags, |n| {
        with_value(&format!("\"{}\"", r"\u0001\ud83d\ude00".repeat(n / 18)))
    }),
    ("value with lone surrogates", Reader::JsonFlags, |n| {
        with_value(&format!("\"{}\"", r"\ud800".repeat(n / 6)))
    }),
    ("value with huge numbers", Reader::JsonFlags, |n| {
        with_value(&list(
            n / 45,
            "1e308,-1e-999,123456789012345678901234567890",
        ))
    }),
    ("number with many digits", Reader::JsonFlags, |n| {
        with_value(&"9".repeat(n))
    }),
    ("number with a huge exponent", Reader::JsonFlags, |n| {
        with_value(&format!("1e{}", "9".repeat(n)))
    }),
    ("repeated metadata", Reader::JsonFlags, |n| {
        with_members(&repeated(n / 18, r#""metadata":{"a":1}"#))
    }),
    ("repeated variations", Reader::JsonFlags, |n| {
        with_members(&repeated(n / 23, r#""variations":{"c":true}"#))
    }),
    ("repeated percentages", Reader::JsonFlags, |n| {
        with_members(&repeated(
            n / 40,
            r#""defaultRule":{"percentage":{"a":50,"b":50}}"#,
        ))
    }),
    ("repeated flag", Reader::JsonFlags, |n| {
        format!("{{{}}}", repeated(n / 80, &format!("\"flag\":{FLAG}")))
    }),
    ("many flags", Reader::JsonFlags, |n| {
        let flags: Vec<_> = (0..n / 80).map(|i| format!("\"{i}\":{FLAG}")).collect();
        format!("{{{}}}", flags.join(","))
    }),
    ("many variations", Reader::JsonFlags, |n| {
        let more: Vec<_> = (0..n / 8).map(|i| format!("\"{i}\":1")).collect();
        with_members(&format!("\"variations\":{{{}}}", more.join(",")))
    }),
    ("many percentages", Reader::JsonFlags, |n| {
        let of: Vec<_> = (0..n / 20).map(|i| format!("\"{i}\":0.001")).collect();
        let variations: Vec<_> = (0..n / 20).map(|i| format!("\"{i}\":1")).collect();
        with_members(&format!(
            "\"variations\":{{{}}},\"defaultRule\":{{\"percentage\":{{{}}}}}",
            variations.join(","),
            of.join(",")
        ))
    }),
    ("many rules", Reader::JsonFlags, |n| {
        with_rules(&list(n / 45, r#"{"query":"a eq 1","variation":"a"}"#))
    }),
    ("query of many conditions", Reader::JsonFlags, |n| {
        with_query(&repeat_joined(n / 10, "a eq 1", " or "))
    }),
    ("query of text searches", Reader::JsonFlags, |n| {
        with_query(&repeat_joined(n / 20, r#"text co \"b\""#, " or "))
    }),
    ("query of parentheses", Reader::JsonFlags, |n| {
        with_query(&nested(n / 2, "(", "a eq 1", ")"))
    }),
    ("query of open parentheses", Reader::JsonFlags, |n| {
        with_query(&"(".repeat(n))
    }),
    ("query of negations", Reader::JsonFlags, |n| {
        with_query(&format!("{} (a eq 1)", "not ".repeat(n / 4)))
    }),
    ("query with a long list", Reader::JsonFlags, |n| {
        with_query(&format!("a in [{}]", repeat_joined(n / 6, r#"\"x\""#, ",")))
    }),
    ("query with a long path", Reader::JsonFlags, |n| {
        with_query(&format!("{} eq 1", repeat_joined(n / 2, "a", ".")))
    }),
    ("query with one long text", Reader::JsonFlags, |n| {
        with_query(&format!(r#"a eq \"{}\""#, "x".repeat(n)))
    }),
    ("query that is noise", Reader::JsonFlags, |n| {
        with_query(&"a = 1 )( and or 'x".repeat(n / 18))
    }),
    ("JSONLogic, nested", Reader::JsonFlags, |n| {
        with_query(&escaped(&nested(n / 16, r#"{"!":["#, "true", "]}")))
    }),
    ("JSONLogic, wide", Reader::JsonFlags, |n| {
        let condition = r#"{"==":[{"var":"a"},1]}"#;
        let all = repeat_joined(n / 30, condition, ",");
        with_query(&escaped(&format!(r#"{{"or":[{all}]}}"#)))
    }),
    ("JSONLogic, products of lists", Reader::JsonFlags, |n| {
        let numbers = list(n / 8, "1");
        let doubled = r#"{"merge":[{"var":"accumulator"},{"var":"accumulator"}]}"#;
        let reduced = format!(r#"{{"reduce":[{numbers},{doubled},[1]]}}"#);
        with_query(&escaped(&format!(r#"{{"in":[2,{reduced}]}}"#)))
    }),
    ("schedule of toggles", Reader::JsonFlags, |n| {
        with_schedule(n / 60, r#""disable":true"#, "")
    }),
    ("schedule over long lists", Reader::JsonFlags, |n| {
        let query = repeat_joined(n / 12, "1", ",");
        with_schedule(n / 120, r#""disable":true"#, &query)
    }),
    ("schedule over many rules", Reader::JsonFlags, |n| {
        let rules = list(n / 90, r#"{"query":"a eq 1","variation":"a"}"#);
        let steps = list(n / 80, r#"{"date":"2020-01-01T00:00:00Z"}"#);
        with_members(&format!(
            "\"targeting\":{rules},\"scheduledRollout\":{steps}"
        ))
    }),
    ("schedule of queries", Reader::JsonFlags, |n| {
        let rule = r#""targeting":[{"name":"r","query":"a in [1, 2, 3]","variation":"b"}]"#;
        with_schedule(n / 140, rule, "1,2,3")
    }),
    ("schedule of percentages", Reader::JsonFlags, |n| {
        with_schedule(
            n / 110,
            r#""defaultRule":{"percentage":{"a":10,"b":90}}"#,
            "",
        )
    }),
    ("schedule with a big value", Reader::JsonFlags, |n| {
        let value = "x".repeat(n / 2);
        let steps = list(n / 140, &step(r#""variations":{"b":false}"#));
        format!(
            r#"{{"flag":{{"variations":{{"a":"{value}","b":true}},"defaultRule":{{"variation":"a"}},"scheduledRollout":{steps}}}}}"#
        )
    }),
    ("dates out of range", Reader::JsonFlags, |n| {
        let date = format!("{}-01-01T00:00:00Z", "9".repeat(n));
        with_members(&format!(
            r#""experimentation":{{"start":"{date}","end":"{date}"}}"#
        ))
    }),
    ("bytes that are no JSON", Reader::JsonFlags, |n| {
        "\u{0}\u{1b}[31m\u{202e}".repeat(n / 9)
    }),
    ("open braces", Reader::JsonFlags, |n| {
        "{\"a\":".repeat(n / 5)
    }),
    ("white space", Reader::JsonFlags, |n| {
        format!("{}{{\"flag\":{FLAG}}}", " \n".repeat(n / 2))
    }),
    ("aliases of one long text", Reader::Yaml, |n| {
        yaml(&format!(
            "x: &x {}\n    y: [{}]",
            "x".repeat(n / 2),
            repeat_joined(n / 8, "*x", ", ")
        ))
    }),
    ("anchors inside anchors", Reader::Yaml, |n| {
        let open: String = (0..250).map(|i| format!("&a{i} [")).collect();
        let items = repeat_joined(n / 4, "1", ", ");
        yaml(&format!("x: {open}{items}{}", "]".repeat(250)))
    }),
    ("aliases of aliases", Reader::Yaml, |n| {
        let mut lines = "    x0: &x0 [1, 1, 1, 1, 1, 1, 1, 1]\n".to_owned();
        for i in 1..(n / 60).clamp(1, 2_000) {
            let items = repeat_joined(8, &format!("*x{}", i - 1), ", ");
            lines += &format!("    x{i}: &x{i} [{items}]\n");
        }
        format!(
            "flag:\n  variations: {{a: 1}}\n  defaultRule: {{variation: a}}\n  metadata:\n{lines}"
        )
    }),
    ("merged anchors", Reader::Yaml, |n| {
        let members: String = (0..n / 20).map(|i| format!("k{i}: 1, ")).collect();
        let merges = "    - {<<: *m}\n".repeat(n / 30);
        yaml(&format!("x: &m {{{members}}}\n    y:\n{merges}"))
    }),
    ("merges of merges", Reader::Yaml, |n| {
        let count = (n / 50).clamp(1, 2_000);
        let mut lines = format!("x0: &x0 {FLAG}\n");
        for i in 1..count {
            let before = i - 1;
            lines += &format!("x{i}: &x{i} {{<<: [*x{before}, *x{before}], a: {i}}}\n");
        }
        format!("{lines}flag: {{<<: *x{}, disable: false}}\n", count - 1)
    }),
    ("merges of empty objects", Reader::Yaml, |n| {
        let count = (n / 30).clamp(1, 100);
        let mut lines = "a0: &a0 {}\n".to_owned();
        for i in 1..count {
            let before = i - 1;
            lines += &format!("a{i}: &a{i} {{<<: [*a{before}, *a{before}]}}\n");
        }
        format!("{lines}{}", " \n".repeat(n / 2))
    }),
    ("names of one long text", Reader::Yaml, |n| {
        let text = "x".repeat(n / 2);
        let flags: String = (0..n / 50)
            .map(|i| format!("f{i}: {{*x : 1, *x : 2}}\n"))
            .collect();
        format!("x: &x {text}\n{flags}")
    }),
    ("numbers of many digits by alias", Reader::Yaml, |n| {
        let flags: String = (0..n / 60)
            .map(|i| format!("f{i}: {{version: *x, metadata: {{*x : 1}}}}\n"))
            .collect();
        format!("x: &x {}\n{flags}", "1".repeat(n / 2))
    }),
    ("nulls by alias", Reader::Yaml, |n| {
        let flags: String = (0..n / 50)
            .map(|i| format!("f{i}: {{targeting: *x}}\n"))
            .collect();
        format!("x: &x [{}]\n{flags}", repeat_joined(n / 6, "~", ", "))
    }),
    ("needs by alias", Reader::Yaml, |n| {
        let entries = repeat_joined((n / 16).min(900), "*e", ", ");
        let flags: String = (0..n / 160)
            .map(|i| {
                format!(
                    "f{i}: {{needs: *n, variations: {{a: 1}}, defaultRule: {{variation: a}}}}\n"
                )
            })
            .collect();
        let text = "x".repeat(n / 2);
        format!("k: &k {text}\ne: &e {{flag: *k}}\nn: &n [{entries}]\n{flags}")
    }),
    ("alias as a key", Reader::Yaml, |n| {
        let keys: String = (0..n / 20).map(|i| format!("    *x : {i}\n")).collect();
        yaml(&format!("x: &x {}\n{keys}", "x".repeat(n / 2)))
    }),
    ("deep flow lists", Reader::Yaml, |n| {
        yaml(&format!("x: {}", nested(n / 2, "[", "1", "]")))
    }),
    ("deep block lists", Reader::Yaml, |n| {
        yaml(&format!("x:\n    {} 1", "- ".repeat(n / 2)))
    }),
    ("many documents", Reader::Yaml, |n| {
        "---\na: 1\n".repeat(n / 9)
    }),
    ("odd numbers", Reader::Yaml, |n| {
        let numbers = list(n / 40, "0755, 0b11, 1_000, .inf, -.NaN, 0x_ff, 1e999");
        yaml(&format!("x: {numbers}"))
    }),
    ("tags and comments", Reader::Yaml, |n| {
        let lines = "    - !!float \"1\" # comment\n".repeat(n / 30);
        yaml(&format!("x:\n{lines}"))
    }),
    ("quotes that never end", Reader::Yaml, |n| {
        yaml(&format!("x: \"{}", "x\n ".repeat(n / 3)))
    }),
    ("dotted keys", Reader::Toml, |n| {
        toml(&format!("{} = 1", repeat_joined(n / 2, "a", ".")))
    }),
    ("dotted tables", Reader::Toml, |n| {
        toml(&format!("[{}]\n", repeat_joined(n / 2, "a", ".")))
    }),
    ("inline tables", Reader::Toml, |n| {
        toml(&format!("x = {}", nested(n / 6, "{a = ", "1", "}")))
    }),
    ("arrays of tables", Reader::Toml, |n| {
        toml(&"[[flag.targeting]]\nquery = 'a eq 1'\n".repeat(n / 40))
    }),
    ("tables with one prefix", Reader::Toml, |n| {
        let tables: String = (0..n / 20).map(|i| format!("[x.y.z.k{i}]\n")).collect();
        toml(&tables)
    }),
    ("dates and numbers", Reader::Toml, |n| {
        toml(&format!(
            "x = {}",
            list(n / 60, "1979-05-27T07:32:00Z, 1979-05-27, 0xffff_ffff, inf")
        ))
    }),
    ("answer of empty objects", Reader::Answer, |n| {
        answer(&list(n / 7, r#"{"":0}"#))
    }),
    ("answer of lists", Reader::Answer, |n| {
        answer(&nested(n / 2, "[", "1", "]"))
    }),
    ("answer with one long text", Reader::Answer, |n| {
        answer(&format!("\"{}\"", "x".repeat(n)))
    }),
    (
        "answer of objects after an odd member",
        Reader::Answer,
        |n| {
            let value = list(n / 7, r#"{"":0}"#);
            format!(r#"{{"x":1e999,"value":{value},"reason":"STATIC","variationType":"a"}}"#)
        },
    ),
    ("answer with a huge number", Reader::Answer, |n| {
        answer(&"9".repeat(n))
    }),
    ("answer with a long error code", Reader::Answer, |n| {
        let code = r"A\n\u001b[31m".repeat(n / 14);
        format!(r#"{{"value":null,"errorCode":"{code}","reason":"ERROR"}}"#)
    }),
    ("answer with repeated members", Reader::Answer, |n| {
        format!("{{{}}}", repeated(n / 13, r#""value":true"#))
    }),
    ("answer with big metadata", Reader::Answer, |n| {
        let members: Vec<_> = (0..n / 10).map(|i| format!("\"{i}\":{{}}")).collect();
        let members = members.join(",");
        format!(r#"{{"value":true,"reason":"STATIC","cacheable":true,"metadata":{{{members}}}}}"#)
    }),
    ("answer that never ends", Reader::Answer, |n| "[".repeat(n)),
];

const FLAG: &str = r#"{"variations":{"a":true,"b":false},"defaultRule":{"variation":"a"}}"#;

fn with_value(value: &str) -> String {
    format!(r#"{{"flag":{{"variations":{{"a":{value}}},"defaultRule":{{"variation":"a"}}}}}}"#)
}

/// `members` follow those of a good flag, so that they replace them.
fn with_members(members: &str) -> String {
    format!(
        r#"{{"flag":{{"variations":{{"a":true,"b":false}},"defaultRule":{{"variation":"a"}},{members}}}}}"#
    )
}

fn with_rules(rules: &str) -> String {
    with_members(&format!("\"targeting\":{rules}"))
}

/// `query` is escaped already.
fn with_query(query: &str) -> String {
    with_rules(&format!(r#"[{{"query":"{query}","variation":"b"}}]"#))
}

fn with_schedule(steps: usize, change: &str, items: &str) -> String {
    let rule = format!(r#"[{{"name":"r","query":"a in [{items}]","variation":"b"}}]"#);
    let rule = if items.is_empty() { "[]" } else { &rule };
    let steps = list(steps, &step(change));
    with_members(&format!(
        "\"targeting\":{rule},\"scheduledRollout\":{steps}"
    ))
}

fn step(change: &str) -> String {
    format!(r#"{{"date":"2020-01-01T00:00:00Z",{change}}}"#)
}

/// A flag whose metadata has these lines.
fn yaml(metadata: &str) -> String {
    format!(
        "flag:\n  variations: {{a: 1}}\n  defaultRule: {{variation: a}}\n  metadata:\n    {metadata}\n"
    )
}

fn toml(more: &str) -> String {
    format!(
        "[flag]\nvariations = {{a = 1}}\ndefaultRule = {{variation = 'a'}}\n[flag.metadata]\n{more}\n"
    )
}

fn answer(value: &str) -> String {
    format!(r#"{{"value":{value},"reason":"STATIC","variationType":"a","cacheable":true}}"#)
}

fn nested(levels: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
}

fn list(count: usize, item: &str) -> String {
    format!("[{}]", repeat_joined(count, item, ","))
}

fn repeated(count: usize, member: &str) -> String {
    repeat_joined(count.max(1), member, ",")
}

fn repeat_joined(count: usize, item: &str, separator: &str) -> String {
    let mut text = format!("{item}{separator}").repeat(count.max(1));
    text.truncate(text.len() - separator.len());
    text
}

/// As the inside of a JSON string.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('"', r#"\""#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_about_as_large_as_wanted() {
        for input in every_hostile_input(60_000) {
            let length = input.bytes.len();
            assert!(
                (10_000..300_000).contains(&length),
                "{}: {length} bytes",
                input.shape
            );
        }
    }
}
