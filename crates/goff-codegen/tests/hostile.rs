//! Flag files that are made to break the generator, or what it generates.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;
use std::time::{Duration, Instant};

use goff_codegen::{Api, FlagDefinitions, FlagFileFormat, ModuleOptions};
use serde_json::{Map, Value, json};

const APIS: [Api; 4] = [Api::Native, Api::Local, Api::Blocking, Api::OpenFeature];

fn flag(value: &Value, description: &str) -> Value {
    json!({
        "variations": {"a": value},
        "defaultRule": {"variation": "a"},
        "metadata": {"description": description},
    })
}

/// Generates from flags, and checks that the modules are what they should be: nothing but functions,
/// constants, types, imports and the modules for them, with no invisible text.
fn generate(flags: &Map<String, Value>) -> Vec<String> {
    let text = Value::Object(flags.clone()).to_string();
    let definitions = FlagDefinitions::from_flag_file(text, FlagFileFormat::Json).unwrap();
    let modules = APIS.map(|api| {
        let module = definitions.module(&ModuleOptions::new(api)).unwrap();
        let again = definitions.module(&ModuleOptions::new(api)).unwrap();
        assert_eq!(module.code(), again.code());
        let names: HashSet<&str> = module.functions().iter().map(|one| &*one.name).collect();
        assert_eq!(names.len(), module.functions().len());
        check(module.code(), &names);
        module.code().to_owned()
    });
    modules.into()
}

fn check(code: &str, functions: &HashSet<&str>) {
    // Unicode's default ignorable characters among them.
    let is_hidden = |c: char| {
        matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0001}'..='\u{e01ef}')
    };
    let is_visible = |c: char| c == '\n' || !(c.is_control() || is_hidden(c));
    assert!(code.chars().all(is_visible), "{code}");
    let file = syn::parse_file(code).unwrap();
    let lines = |text: &str| -> Vec<String> {
        let is_code = |line: &&str| !line.is_empty() && !line.starts_with("// ");
        text.lines()
            .filter(is_code)
            .map(ToOwned::to_owned)
            .collect()
    };
    assert_eq!(lines(&prettyplease::unparse(&file)), lines(code));
    for item in file.items {
        match item {
            syn::Item::Fn(function) => {
                assert!(functions.contains(&*function.sig.ident.to_string()));
            }
            syn::Item::Mod(module) => {
                let name = module.ident.to_string();
                assert!(["keys", "details", "read"].contains(&&*name), "{name}");
            }
            syn::Item::Use(_) | syn::Item::Struct(_) | syn::Item::Enum(_) | syn::Item::Impl(_) => {}
            _ => unreachable!("an item of another kind in\n{code}"),
        }
    }
}

const EVIL: &[&str] = &[
    "",
    " ",
    "*/ fn evil() {} /*",
    "\"; fn evil() {} //",
    "\\",
    "\\\"",
    "\n} fn evil() {} mod x {",
    "\r\n",
    "\0\u{1b}[31m",
    "\u{202e}evil\u{2066}",
    "\u{200b}\u{feff}\u{2028}",
    "a\u{ad}\u{34f}\u{115f}\u{3164}\u{ffa0}\u{2800}\u{fe0f}\u{e0100}\u{e0041}b",
    "```rust\nfn evil() {}\n```",
    "    evil();",
    "#![no_std]",
    "{evil} {0} {}",
    "$x $crate",
    "r#\"",
    "'a' b'c'",
    "<script>alert(1)</script>",
    "[evil](http://x) <http://x> ![x](y)",
    "1. x",
    "- x",
    "# x",
    "a|b\n-|-",
    "\u{1F600} é e\u{301} \u{10ffff}",
    "self",
    "Self",
    "crate",
    "super",
    "_",
    "__",
    "r#type",
    "'static",
    "macro_rules!",
    "Vec",
    "String",
    "Cow",
    "Value",
    "read::member",
    "keys::X",
    "details",
    "_2",
    "2",
    "0x7f",
    "1e5",
    "١٢",
];

#[test]
fn nothing_in_a_file_becomes_code() {
    let values = |evil: &str| {
        [
            json!(true),
            json!(-1),
            json!(1.5),
            json!(evil),
            json!([evil]),
            json!({evil: evil}),
            json!({"a": {evil: [{evil: evil}]}, "b": [evil], "c": {"d": evil}}),
        ]
    };
    for number in 0..7 {
        let mut flags = Map::new();
        for evil in EVIL {
            flags.insert((*evil).to_owned(), flag(&values(evil)[number], evil));
        }
        for code in generate(&flags) {
            assert!(!code.contains("\nfn evil"), "{code}");
        }
    }
}

#[test]
fn flags_that_share_a_name_all_get_functions() {
    let words = [
        "a-b", "a_b", "a.b", "a b", "aB", "AB", "A-B", "a--b", "-a-b", "a/b", "A_b",
    ];
    let mut flags = Map::new();
    for word in words {
        flags.insert(word.to_owned(), flag(&json!({"c": {"d": 1}}), word));
        flags.insert(format!("{word}-c"), flag(&json!({"d": 1}), word));
    }
    generate(&flags);
}

#[test]
fn ten_thousand_flags_take_time_linear_in_their_number() {
    let make = |count: usize| {
        let mut flags = Map::new();
        for number in 0..count {
            let value = match number % 4 {
                0 => json!(true),
                1 => json!({"a": number, "b": {"c": "x"}}),
                2 => json!("Some text."),
                _ => json!(number),
            };
            // All of them share a name with another.
            let separator = if number % 2 == 0 { '-' } else { '.' };
            let key = format!("flag{separator}{}", number / 2);
            flags.insert(key, flag(&value, "A *flag* with a description."));
        }
        let text = Value::Object(flags).to_string();
        let started = Instant::now();
        let flags = FlagDefinitions::from_flag_file(text, FlagFileFormat::Json).unwrap();
        let module = flags.module(&ModuleOptions::new(Api::Native)).unwrap();
        assert_eq!(module.functions().len(), count);
        started.elapsed()
    };
    make(100);
    let (few, many) = (make(1_000), make(10_000));
    assert!(many < few * 40, "{few:?} for 1,000, {many:?} for 10,000");
    assert!(many < Duration::from_secs(120), "{many:?}");
}

#[test]
fn large_and_deep_flags_are_errors_or_short() {
    let mut flags = Map::new();
    flags.insert(
        "k".repeat(1 << 20),
        flag(&json!(true), &"d".repeat(1 << 20)),
    );
    let wide: Map<String, Value> = (0..10_000).map(|n| (format!("m{n}"), json!(n))).collect();
    flags.insert("wide".to_owned(), flag(&Value::Object(wide), ""));
    flags.insert("long".to_owned(), flag(&json!(vec![1; 10_000]), ""));
    let code = &generate(&flags)[0];
    // The key and the object are once in it as they are.
    assert!(code.len() < (1 << 20) + 1_000_000, "{}", code.len());
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    let text = json!({"deep": flag(&json!("deep"), "")}).to_string();
    let text = text.replace("\"deep\"}", &format!("{deep}}}"));
    let error = FlagDefinitions::from_flag_file(text, FlagFileFormat::Json).unwrap_err();
    assert_eq!(
        error.to_string(),
        "flag `deep`: its default is nested deeper than 64 levels"
    );
}
