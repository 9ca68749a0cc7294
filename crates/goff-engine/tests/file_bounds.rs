//! What a flag file costs to load: memory and time have bounds that depend on its size alone.

use std::time::Instant;

use goff_engine::{FlagFile, FlagFileFormat};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const FLAG: &str = "variations: {a: x}, defaultRule: {variation: a}";

/// Each kind of file at two sizes; the name begins with the format.
fn files() -> Vec<(&'static str, [String; 2])> {
    type Kind = (&'static str, fn(usize) -> String);
    let kinds: [Kind; 27] = [
        ("yaml: aliases of a long scalar", |size| {
            let aliases = "*s, ".repeat(size / 8);
            format!(
                "s: &s {}\nf: {{{FLAG}, metadata: {{m: [{aliases}]}}}}\n",
                "y".repeat(size / 2)
            )
        }),
        ("yaml: flags with an alias of a long query", |size| {
            let list = "\"item\", ".repeat(size / 20);
            let rule = "{query: *q , variation: a}";
            let flag = |index| format!("f{index}: {{{FLAG}, targeting: [{rule}]}}\n");
            let flags: String = (0..size / 200).map(flag).collect();
            format!("q: &q 'x in [{list}\"\"]'\n{flags}")
        }),
        ("yaml: nested anchors", |size| {
            let open: String = (0..200).map(|level| format!("&a{level} [")).collect();
            let items = "x,".repeat(size / 2);
            format!(
                "f: {{{FLAG}, metadata: {{m: {open}{items}{}}}}}\n",
                "]".repeat(200)
            )
        }),
        ("yaml: anchors of anchors", |size| {
            let link =
                |index: usize| format!("a{index}: &a{index} [*a{}, x]\n", index.saturating_sub(1));
            let links: String = (1..size / 30).map(link).collect();
            let last = size / 30 - 1;
            format!("a0: &a0 [x]\n{links}f: {{{FLAG}, metadata: {{m: *a{last} }}}}\n")
        }),
        ("yaml: billion laughs", |size| {
            let mut text = format!("a0: &a0 [{}]\n", "x,".repeat(size / 4));
            for level in 1..9 {
                let aliases = format!("*a{}, ", level - 1).repeat(size / 50);
                text += &format!("a{level}: &a{level} [{aliases}]\n");
            }
            text + &format!("f: {{{FLAG}, metadata: {{m: *a8 }}}}\n")
        }),
        ("yaml: billion laughs in merges", |size| {
            let member = |index| format!("m{index}: 1, ");
            let members: String = (0..size / 20).map(member).collect();
            let mut text = format!("a0: &a0 {{{members}}}\n");
            for level in 1..9 {
                let aliases = format!("*a{}, ", level - 1).repeat(size / 50);
                text += &format!("a{level}: &a{level} {{<<: [{aliases}]}}\n");
            }
            text + &format!("f: {{{FLAG}, metadata: *a8 }}\n")
        }),
        ("yaml: names that are aliases", |size| {
            let object = "{*n : x}, ".repeat(size / 20);
            format!(
                "n: &n {}\nf: {{{FLAG}, metadata: {{m: [{object}]}}}}\n",
                "y".repeat(size / 2)
            )
        }),
        ("yaml: flags that merge a large one", |size| {
            let member = |index| format!("m{index}: 1, ");
            let members: String = (0..size / 20).map(member).collect();
            let flag = |index| format!("f{index}: {{<<: *f , version: '1'}}\n");
            let flags: String = (0..size / 50).map(flag).collect();
            format!("f: &f {{{FLAG}, metadata: {{{members}}}}}\n{flags}")
        }),
        ("yaml: no alias", |size| {
            let items = "x,".repeat(size / 2);
            format!("f: {{variations: {{a: [{items}]}}, defaultRule: {{variation: a}}}}\n")
        }),
        ("yaml: deep lists", |size| {
            let depth = (size / 2).min(100_000);
            "[".repeat(depth) + &"]".repeat(depth)
        }),
        ("yaml: deep objects", |size| {
            let depth = (size / 4).min(100_000);
            "{a: ".repeat(depth) + &"}".repeat(depth)
        }),
        ("yaml: deep blocks", |size| "- ".repeat(size / 2) + "x"),
        ("yaml: small flags", |size| {
            (0..size / 9)
                .map(|index| format!("{index:x}: {{}}\n"))
                .collect()
        }),
        ("yaml: flags that are numbers", |size| {
            (0..size / 7)
                .map(|index| format!("{index:x}: 1\n"))
                .collect()
        }),
        ("json: flags that are numbers", |size| {
            let flags: String = (0..size / 8)
                .map(|index| format!("\"{index:x}\":1,"))
                .collect();
            format!("{{{flags}\"last\":1}}")
        }),
        ("json: small flags", |size| {
            let flags: String = (0..size / 10)
                .map(|index| format!("\"{index:x}\":{{}},"))
                .collect();
            format!("{{{flags}\"last\":{{}}}}")
        }),
        ("json: deep lists", |size| {
            format!(
                "{{\"f\":{}1{}}}",
                "[".repeat(size / 2),
                "]".repeat(size / 2)
            )
        }),
        ("toml: empty tables", |size| {
            (0..size / 7)
                .map(|index| format!("[{index:x}]\n"))
                .collect()
        }),
        ("toml: small tables", |size| {
            let table = |index| format!("[{index:x}]\na=1\n");
            (0..size / 12).map(table).collect()
        }),
        ("toml: small elements", |size| {
            "[[a]]\nb=1\n".repeat(size / 10)
        }),
        ("toml: empty elements", |size| "[[a]]\n".repeat(size / 6)),
        ("toml: members", |size| {
            (0..size / 8)
                .map(|index| format!("{index:x}=1\n"))
                .collect()
        }),
        ("toml: numbers", |size| {
            format!("a=[{}]", "1,".repeat(size / 2))
        }),
        ("toml: lists", |size| {
            format!("a=[{}]", "[1],".repeat(size / 4))
        }),
        ("toml: inline tables", |size| {
            format!("a=[{}]", "{a=1},".repeat(size / 6))
        }),
        ("toml: empty inline tables", |size| {
            format!("a=[{}]", "{},".repeat(size / 3))
        }),
        ("toml: dotted keys", |size| {
            let keys = |index| format!("{index:x}{}=1\n", ".a".repeat(100));
            (0..size / 200).map(keys).collect()
        }),
    ];
    let sizes = [10_000, 400_000];
    kinds.map(|(name, text)| (name, sizes.map(text))).to_vec()
}

/// The release bound is 1 MB + 50 bytes and 20 ms + 1 µs for each byte; a debug build may take ten times as long.
#[test]
fn memory_and_time_depend_on_the_size_of_the_file() {
    let mut beyond = Vec::new();
    for (name, texts) in files() {
        for text in texts {
            let size = text.len();
            ALLOCATOR.reset_peak_usage();
            let (before, start) = (ALLOCATOR.current_usage(), Instant::now());
            let format = match name.get(..4) {
                Some("toml") => FlagFileFormat::Toml,
                Some("json") => FlagFileFormat::Json,
                _ => FlagFileFormat::Yaml,
            };
            let file = FlagFile::parse(&text, format);
            let (time, peak) = (start.elapsed(), ALLOCATOR.peak_usage() - before);
            let shown = format!(
                "{name}, {size} bytes: {peak} bytes ({} each), {time:?}",
                peak / size
            );
            println!("{shown}");
            // A flag that copies too much is left out; the file is read.
            assert!(file.is_ok() || may_be_refused(name), "{name}: {file:?}");
            let allowed_time = 10 * (20 + size as u128 / 1_000);
            if peak > 1_000_000 + 50 * size || time.as_millis() > allowed_time {
                beyond.push(shown);
            }
        }
    }
    assert!(beyond.is_empty(), "{beyond:#?}");
}

/// No server of flags needs such nesting.
fn may_be_refused(name: &str) -> bool {
    name.contains("deep") || name.contains("dotted keys")
}
