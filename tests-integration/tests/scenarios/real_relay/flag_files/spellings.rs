//! The files: spellings times positions, in each format, and whole files.

/// A flag file whose flag `f` is evaluated.
pub(super) struct File {
    pub(super) extension: &'static str,
    pub(super) content: Vec<u8>,
}

pub(super) fn files() -> Vec<File> {
    let mut files = Vec::new();
    let mut add = |extension, content: String| {
        let content = content.into_bytes();
        files.push(File { extension, content });
    };
    for value in YAML_SCALARS.split('|').map(str::trim) {
        add(
            "yaml",
            format!("f:\n  variations:\n    a: {value}\n  defaultRule: {{variation: a}}\n"),
        );
        add(
            "yaml",
            format!("f:\n  {YAML}\n  metadata:\n    m:\n      - {value}\n"),
        );
    }
    for value in YAML_NUMBERS.split('|').map(str::trim) {
        let rule = format!("{{percentage: {{a: {value}, b: 300}}}}");
        add(
            "yaml",
            format!("f:\n  variations: {{a: A, b: B}}\n  defaultRule: {rule}\n"),
        );
        let end = format!("{{variation: b, percentage: {value}, date: 2020-01-02}}");
        let rollout =
            format!("{{initial: {{variation: a, percentage: 0, date: 2020-01-01}}, end: {end}}}");
        add(
            "yaml",
            format!(
                "f:\n  variations: {{a: A, b: B}}\n  defaultRule: {{progressiveRollout: {rollout}}}\n"
            ),
        );
    }
    for value in YAML_BOOLEANS.split('|').map(str::trim) {
        add("yaml", format!("f:\n  {YAML}\n  disable: {value}\n"));
        add("yaml", format!("f:\n  {YAML}\n  trackEvents: {value}\n"));
        let rule = format!("{{query: x eq 1, variation: b, disable: {value}}}");
        add("yaml", format!("f:\n  {YAML}\n  targeting: [{rule}]\n"));
    }
    for value in YAML_DATES.split('|').map(str::trim) {
        add(
            "yaml",
            format!("f:\n  {YAML}\n  experimentation:\n    start: {value}\n"),
        );
        add(
            "yaml",
            format!("f:\n  {YAML}\n  metadata:\n    m: {value}\n"),
        );
        let step = format!("\n    - date: {value}\n      defaultRule: {{variation: b}}\n");
        add("yaml", format!("f:\n  {YAML}\n  scheduledRollout:{step}"));
    }
    for value in YAML_TEXTS {
        add(
            "yaml",
            format!("f:\n  {YAML}\n  metadata: {{m: {value}}}\n"),
        );
        add("yaml", format!("f:\n  {YAML}\n  version: {value}\n"));
    }
    for name in YAML_NAMES.split('|').map(str::trim) {
        add(
            "yaml",
            format!("f:\n  variations: {{{name} : A, b: B}}\n  defaultRule: {{variation: b}}\n"),
        );
        add(
            "yaml",
            format!("f:\n  {YAML}\n  metadata: {{m: {{{name} : 1}}}}\n"),
        );
    }
    for file in YAML_FILES {
        add("yaml", file.replace("OK", YAML));
    }
    for value in TOML_VALUES.split('|').map(str::trim) {
        add("toml", format!("[f]\n{TOML}metadata = {{m = {value}}}\n"));
        add(
            "toml",
            format!("[f]\nvariations = {{a = {value}}}\ndefaultRule = {{variation = 'a'}}\n"),
        );
        // The engine has no infinite percentages.
        if value.ends_with("inf") || value.ends_with("nan") {
            continue;
        }
        let rule = format!("{{percentage = {{a = {value}, b = 300}}}}");
        add(
            "toml",
            format!("[f]\nvariations = {{a = 'A', b = 'B'}}\ndefaultRule = {rule}\n"),
        );
    }
    for value in TOML_DATES.split('|').map(str::trim) {
        add(
            "toml",
            format!("[f]\n{TOML}experimentation = {{start = {value}}}\n"),
        );
        add("toml", format!("[f]\n{TOML}metadata = {{m = {value}}}\n"));
    }
    for tables in TOML_TABLES {
        add(
            "toml",
            format!("{tables}variations = {{a = 'A', b = 'B'}}\ndefaultRule.variation = 'a'\n"),
        );
    }
    for member in TOML_MEMBERS.split('|').map(str::trim) {
        add("toml", format!("[f]\n{TOML}{member}\n"));
    }
    for member in JSON_MEMBERS {
        let valid = r#""variations":{"a":"A","b":"B"},"defaultRule":{"variation":"a"}"#;
        add("json", format!("{{\"f\":{{{valid},{member}}}}}"));
    }
    for file in JSON_FILES {
        add("json", (*file).to_owned());
    }
    let text = format!("f:\n  {YAML}\n  version: é😀\n");
    for (mark, units) in [(true, true), (true, false), (false, true)] {
        let marked = if mark { "\u{feff}" } else { "" };
        let units_of = format!("{marked}{text}");
        let content = units_of.encode_utf16().flat_map(|unit| {
            if units {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        });
        for extension in ["yaml", "json", "toml"] {
            let content = content.clone().collect();
            files.push(File { extension, content });
        }
    }
    for (extension, content) in [
        ("yaml", text.replace('é', "\u{feff}")),
        ("yaml", format!("\u{feff}{text}")),
        ("toml", format!("\u{feff}[f]\n{TOML}")),
        (
            "json",
            "\u{feff}{\"f\":{\"variations\":{\"a\":1},\"defaultRule\":{\"variation\":\"a\"}}}"
                .into(),
        ),
    ] {
        let content = content.into_bytes();
        files.push(File { extension, content });
    }
    for (extension, content) in [
        (
            "yaml",
            &b"f: {variations: {a: \"\xff\"}, defaultRule: {variation: a}}"[..],
        ),
        (
            "toml",
            b"[f]\nvariations = {a = '\xff'}\ndefaultRule = {variation = 'a'}\n",
        ),
        (
            "json",
            b"{\"f\":{\"variations\":{\"a\":\"\xff\"},\"defaultRule\":{\"variation\":\"a\"}}}",
        ),
    ] {
        let content = content.to_vec();
        files.push(File { extension, content });
    }
    files
}

const YAML: &str = "variations: {a: A, b: B}\n  defaultRule: {variation: a}";
const TOML: &str = "variations = {a = 'A', b = 'B'}\ndefaultRule = {variation = 'a'}\n";

const YAML_SCALARS: &str = "0755 | 01234 | 1_000 | 0b11 | 0O7 | 0o7 | -0x10 | 0x_ff | 1_000.5 | +1 | +0x10 | 08 | 0o8 | \
    1e3 | 1E+3 | .5 | 5. | -.5 | +.5 | ._5 | .5_ | .5_0 | 1__0 | _1 | 0x | 0b | 0b2 | -0b1 | 0B11 | 0X1F | 1.5e3_0 | 0_7 | \
    -0o7 | -07 | 1e400 | -1e400 | 18446744073709551615 | 9007199254740993 | 0x1p-2 | 1:30 | 190:20:30 | .inf | .nan | \
    -.Inf | 0.1_5 | 1_ | 00 | 0_ | -0 | 1e-400 | 0xfffffffffffffffff | 1e5_0 | 0b_1 | 0o_7 | 0_b1 | 0b-1 | 0o-7 | 1.2.3 | \
    .1e2 | .e2 | 1e | 0e0 | infinity | nan | 0x1.8p1 | -1_0 | +_1 | 1,000 | true | True | TRUE | tRue | yes | on | y | 'yes' | \
    null | ~ | Null | NULL | nULL | '~' | '0755' | !!int '0755' | !!int 1.5 | !!float 1 | !!float '1.5' | !!str 1 | \
    !!bool yes | !!bool 'true' | !!null x | !!binary aGk= | !!binary aGk | !foo 1 | ! 1 | ! '1' | << | = | -";
const YAML_NUMBERS: &str = "0755 | 1_00 | 0b1100100 | 0O144 | 0x_64 | 1_00.5 | '100' | ~ | yes | 1e2 | -5 | 1e400 | \
    !!int '100' | !!float 100 | 2024-01-01 | [100] | 99.5 | 0_100 | .5e2";
const YAML_BOOLEANS: &str = "yes | Yes | YES | yEs | y | Y | on | On | ON | oN | no | No | NO | n | N | off | Off | OFF | \
    'yes' | \"off\" | 'y' | true | 'true' | 1 | 0 | ~ | '' | !!bool yes | !!str yes | !!bool 'true' | [true] | enabled";
const YAML_DATES: &str = "2024-01-01 | '2024-01-01' | 2024-1-1 | 2024-01-01T00:00:00Z | '2024-01-01T00:00:00Z' | \
    2024-01-01 10:00:00 | '2024-01-01 10:00:00' | 2024-01-01 10:00:00Z | 2024-01-01T10:00:00 | 2024-01-01t10:00:00Z | \
    '2024-01-01t10:00:00Z' | 2024-01-01T1:2:3Z | '2024-01-01T1:02:03Z' | 2024-01-01T10:00:00,5Z | 2024-01-01 10:00:00.5 | \
    2024-01-01 10:00 | 2024-01-01T10:00:00+02:00 | 2024-01-01T10:00:00+0200 | !!timestamp '2024-01-01' | \
    !!timestamp 2024-01-01 | !!timestamp x | !!str 2024-01-01 | 20240101 | 1704067200 | ~ | yes | '' | 2024-02-30 | \
    2024-01-01T24:00:00Z | 2024-01-01T10:00:00 Z | 2024-01-01    10:00:00 | '2024-01-01T00:00:00.123456789123Z' | \
    2024-01-01T00:00:00.123456789123Z | 0000-01-01 | '2024-01-01T00:00:60Z' | 2024-01-01T10:00:00-00:00 | \
    2024-1-1T1:2:3.5+23:59 | 10000-01-01 | !foo 2024-01-01 | 2024-01-01T10:00:00z | 2024-00-01 | 2024-01-001";
const YAML_TEXTS: &[&str] = &[
    r#""\/""#,
    r#""a\/b""#,
    r#""\\/""#,
    r#""\a\e\0\v\N\_\L\P""#,
    r#""\x41\u0041\U00000041""#,
    r#""\ud83d\ude00""#,
    r#""\ud800""#,
    r#""\q""#,
    "\"\\\t\"",
    "'a\u{7}b'",
    "\"a\u{7}b\"",
    "a\u{7}b",
    "'\u{7f}'",
    "'a\u{2028}b'",
    "'\u{feff}'",
    "'\u{fffe}'",
    "😀",
    "a\tb",
    "'\t'",
    "x #\u{7}",
    "[a]",
    "{a: b}",
    "1.0",
    "0755",
    "yes",
    "''",
    "a b",
    "'a''b'",
    "!!binary aGk=",
    "!!int x",
    "!foo x",
    "*x",
    "&x x",
    "x:y",
    "http://x",
    "x#y",
];
const YAML_NAMES: &str = "1 | true | ~ | null | 2024-01-01 | 1.5 | 0x10 | yes | '1' | [a] | {a: b} | !!str 1 | !!binary aGk= | \
    ? a | \"\" | .nan | !foo q | '<<' | !!str << | b";
const YAML_FILES: &[&str] = &[
    "f:\n  OK\n  Disable: true\n",
    "f:\n  OK\n  DISABLE: true\n",
    "f:\n  OK\n  TrackEvents: false\n",
    "f:\n  OK\n  defaultrule: {variation: b}\n",
    "f:\n  OK\n  Metadata: {a: 1}\n",
    "f:\n  OK\n  converter: [x]\n",
    "f:\n  OK\n  Converter: [x]\n",
    "f:\n  OK\n  converter: x\n",
    "F:\n  OK\n",
    "f:\n  variations: {a: A}\n  defaultRule: {Variation: a}\n",
    "f:\n  OK\n  targeting: [{Query: x eq 1, variation: b}]\n",
    "f:\n  OK\n  targeting: [{query: x eq 1, Variation: b, variation: a}]\n",
    "f:\n  OK\n  scheduledRollout: [{Date: 2024-01-01, disable: yes}, {date: 2024-01-01, Disable: yes, version: 2}]\n",
    "%YAML 1.2\n---\nf:\n  OK\n",
    "%YAML 1.1\n---\nf:\n  OK\n",
    "%YAML 1.0\n---\nf:\n  OK\n",
    "%FOO x\n---\nf:\n  OK\n",
    "%YAML 1.1\n%YAML 1.1\n---\nf:\n  OK\n",
    "# %YAML 1.2\nf:\n  OK\n",
    "%TAG ! tag:x,2000:\n---\nf:\n  OK\n",
    "---\nf:\n  OK\n---\nf: [\n",
    "f:\n  OK\n...\nf: [\n",
    "a: &a {version: 'x'}\nb: &b {metadata: {m: 1}}\nf:\n  OK\n  <<: *a\n  <<: *b\n",
    "f:\n  OK\n  metadata: {<<: {a: 1}, <<: {b: 1}}\n",
    "a: &a {version: 'x'}\nb: &b {metadata: {m: 1}}\nf:\n  OK\n  <<: [*a, *b]\n",
    "a: &a {metadata: {m: 1}}\nb: &b {metadata: {m: 2}}\nf:\n  OK\n  <<: [*b, *a]\n",
    "a: &a {metadata: {m: 1}}\nf:\n  '<<': *a\n  OK\n",
    "a: &a {metadata: {m: 1}}\nf:\n  <<: *a\n  OK\n  metadata: ~\n",
    "a: &a {metadata: {m: 1}}\nf:\n  !!merge <<: *a\n  OK\n",
    "a: &a {metadata: {m: 1}}\nf:\n  !!str <<: *a\n  OK\n",
    "f:\n  <<: x\n  OK\n",
    "a: &a [1]\nf:\n  <<: *a\n  OK\n",
    "f:\n  <<: {metadata: {m: 1}}\n  OK\n",
    "f:\n  <<: ~\n  OK\n",
    "f:\n  <<: []\n  OK\n",
    "f:\n  <<: [[{metadata: {m: 1}}]]\n  OK\n",
    "x: &x\n  f:\n    variations: {a: A}\n    defaultRule: {variation: a}\n<<: *x\n",
    "f:\n  variations: {<<: {a: A, b: B}, b: C}\n  defaultRule: {variation: b}\n",
    "f:\n  variations: {<<: {1: A, b: B}, 1: C}\n  defaultRule: {variation: 1}\n",
    "f:\n  variations: {<<: {true: A, b: B}, true: C}\n  defaultRule: {variation: true}\n",
    "f:\n  OK\n  metadata: {m: {<<: {x: {p: 1}}, x: {q: 1}}}\n",
    "f:\n  OK\n  metadata: {m: {<<: {1: x}, y: z}}\n",
    "f:\n  OK\n  metadata: {a: 1, 'a': 2}\n",
    "f:\n  OK\n  owner: {a: 1, 'a': 2}\n",
    "f:\n  OK\n  owner: 1\n  owner: 2\n",
    "f:\n  OK\n  metadata: {&k a: 1, *k : 2}\n",
    "f:\n  OK\n  metadata: {&k m: x, n: *k }\n",
    "f:\n  OK\n  &v version: x\n  *v : y\n",
    "f: &f\n  OK\n  metadata: {m: *f}\n",
    "f:\n  OK\n  metadata: {m: *nope}\n",
    "f:\n  OK\n  metadata: {n: &x 1, o: &x 2, m: *x }\n",
    "f:\n  OK\n  metadata: {n: &x '0755', m: *x }\n",
    "f:\n  OK\n  metadata: {n: &x 0755, m: *x }\n",
    "f: ~\n",
    "f: 7\n",
    "f: []\n",
    "[]\n",
    "text\n",
    "~\n",
    "",
    "# c\n",
    "f: !!map\n  OK\n",
    "f:\n  OK\n  targeting: ~\n",
    "f:\n  OK\n  targeting: [~]\n",
    "f:\n  OK\n  targeting: [x]\n",
    "f:\n  OK\n  targeting: {}\n",
    "f:\n  OK\n  scheduledRollout: [~]\n",
    "f:\n  OK\n  metadata: []\n",
    "f:\n  OK\n  metadata: ~\n",
    "f:\n  variations: {a: A, b: B}\n  defaultRule: {percentage: ~, variation: a}\n",
    "f:\n  variations: {a: A, b: B}\n  defaultRule: {percentage: [], variation: a}\n",
    "f:\n  variations: {a: 1, b: 1.5}\n  defaultRule: {variation: a}\n",
    "f:\n  variations: {a: [1], b: {x: 1}}\n  defaultRule: {variation: a}\n",
    "\tf: x\n",
    "f:\n\tvariations: {a: A}\n\tdefaultRule: {variation: a}\n",
    "f: {variations: {a: A,}, defaultRule: {variation: a},}\n",
    "f: {variations: {a: A, , b: B}, defaultRule: {variation: a}}\n",
    "f:\r\n  variations: {a: A}\r\n  defaultRule: {variation: a}\r\n",
    "f: {variations: {a: \"x\"y}, defaultRule: {variation: a}}\n",
    "f: {variations: {\"a\":A}, defaultRule: {variation: a}}\n",
    "f: {variations: {a:A}, defaultRule: {variation: a}}\n",
    "f:\n  variations: {a: A}\n  defaultRule: {variation: a}\n  version: a: b\n",
    "f:\n  variations: {a: @x}\n  defaultRule: {variation: a}\n",
    "f:\n  variations: {a: `x}\n  defaultRule: {variation: a}\n",
    "f:\n  variations: {a: %x}\n  defaultRule: {variation: a}\n",
    "f:\n  variations:\n    a: x\n      y\n  defaultRule: {variation: a}\n",
    "f:\n  variations: {a: x}\n  defaultRule:\n    variation:\n      a\n",
    "f:\n  OK\n  metadata:\n    m: |\n      x\n       y\n\n    n: >-\n      x\n      y\n",
    "f:\n  OK\n  metadata:\n    m: |\n      x",
    "f:\n  OK\n  metadata:\n    m: |+\n      x\n\n",
    "f:\n  OK\n  metadata:\n    m: \"x\n      y\"\n",
    "f:\n  OK\n  metadata:\n    m: 2024-01-01\n     10:00:00\n",
    "{\"f\": {\"variations\": {\"a\": 9007199254740993}, \"defaultRule\": {\"variation\": \"a\"}}}",
];
const TOML_VALUES: &str = "1_000 | 0x10 | 0o17 | 0b11 | +1 | 1e3 | 1E3 | 1.5 | inf | nan | -inf | +nan | 9223372036854775807 | \
    9223372036854775808 | 9007199254740993 | 1e400 | 0755 | 1__0 | -0 | 1.0 | 5e-324 | 0xFFFFFFFFFFFFFFFF | '''x''' | \"\\e\" | \
    \"\\x41\" | \"\\/\" | \"\\q\" | 'a\u{7}b' | '\u{7f}' | '\t' | [1, 'a'] | {x = 1,} | true | 100 | 99.5 | '100'";
const TOML_DATES: &str = "2024-01-01 | 2024-01-01T10:00:00 | 2024-01-01 10:00:00 | 2024-01-01T10:00:00Z | 10:00:00 | 10:00:00.5 | \
    '2024-01-01' | '2024-01-01T00:00:00Z' | '2024-01-01T1:00:00Z' | 2024-01-01T10:00:00.5+02:00 | 2024-01-01t10:00:00z | 1 | true | \
    2024-01-01T10:00 | 10:00 | 2024-01-01T10:00Z | 2024-01-01 10:00:00.123456789123 | 2024-02-30 | [2024-01-01] | \
    2024-01-01T23:59:60Z | 2024-01-01  10:00:00 | 2024-01-01T10:00:00,5Z | 2024-1-1";
/// Dotted keys that add to tables of other headers.
const TOML_TABLES: [&str; 3] = [
    "[[f.targeting]]\nquery = 'x eq 1'\n[f]\ntargeting.percentage.a = 30\ntargeting.percentage.b = 70\n",
    "[[f.targeting]]\nquery = 'x eq 2'\nvariation = 'b'\n[[f.targeting]]\nquery = 'x eq 1'\n[f]\n\
     targeting.percentage.a = 0\ntargeting.percentage.b = 100\n",
    "[f.metadata.m]\nx = 1\n[f]\nmetadata.n = 2\n",
];

const TOML_MEMBERS: &str = "Disable = true | disable = 'yes' | disable = 'true' | disable = 1 | TrackEvents = false | VERSION = 'x' | \
    version = 1 | version = true | version = 1.5 | version = 2024-01-01 | converter = 1 | converter = 'x' | metadata = 1 | \
    metadata = [] | targeting = {} | targeting = [{Query = 'x eq 1', VARIATION = 'b'}] | owner = 1 | disable = true\ndisable = false | \
    METADATA = {m = 1} | Experimentation = {Start = 2999-01-01}";
const JSON_MEMBERS: &[&str] = &[
    r#""Disable":true"#,
    r#""DISABLE":true"#,
    r#""di\u017fable":true"#,
    r#""disable":"yes""#,
    r#""disable":1"#,
    r#""disable":null"#,
    r#""TRACKEVENTS":false"#,
    r#""version":1"#,
    r#""version":"1""#,
    r#""version":null"#,
    r#""converter":1"#,
    r#""converter":"x""#,
    r#""metadata":{"m":1e400}"#,
    r#""owner":1e400"#,
    r#""metadata":{"m":"\u0000\ud800"}"#,
    r#""metadata":{"m":1,"m":2}"#,
    r#""metadata":{"m":1},"metadata":{"n":2}"#,
    r#""defaultRule":{"name":"n"}"#,
    r#""defaultRule":null"#,
    r#""variations":null"#,
    r#""disable":true,"disable":null"#,
    r#""disable":true,"Disable":false"#,
    r#""experimentation":{"start":"2024-01-01"}"#,
    r#""experimentation":{"start":"2024-01-01T00:00:00Z"}"#,
    r#""experimentation":{"START":"2999-01-01T00:00:00Z"}"#,
    r#""experimentation":{"start":1}"#,
    r#""experimentation":{"start":"2024-01-01T1:00:00,5Z"}"#,
    r#""metadata":{"m":9007199254740993,"n":1.0,"o":1e21,"p":1e-7}"#,
    "\"metadata\":{\"m\":\"a\tb\"}",
    r#""metadata":{"m":"\q"}"#,
    r#""metadata":{"m":"\/"}"#,
    r#""metadata":[1]"#,
    r#""metadata":{"m":0755}"#,
    r#""metadata":{"m":1_000}"#,
    r#""metadata":{"m":.5}"#,
    r#""targeting":{}"#,
    r#""targeting":[null]"#,
    r#""targeting":[{"QUERY":"x eq 1","Variation":"b"}]"#,
    r#""a":{"b":1,"b":2}"#,
    r#""x":1,"#,
    "\"x\":1]",
    r#""defaultRule":{"percentage":{"a":"1"}}"#,
    r#""defaultRule":{"percentage":{"a":null,"b":1}}"#,
];
const JSON_FILES: &[&str] = &[
    "null",
    "[]",
    "",
    "{}",
    r#"{"f":null}"#,
    r#"{"f":1}"#,
    r#"{"f":{"variations":{"a":1},"defaultRule":{"variation":"a"}}} x"#,
    r#"{"f":{"variations":{"a":1},"defaultRule":{"variation":"a"}}}  "#,
    r#"{"f":{"variations":{"a":9007199254740993},"defaultRule":{"variation":"a"}}}"#,
    r#"{"f":{"variations":{"a":1},"defaultRule":{"variation":"a"}},"f":{"version":"2"}}"#,
    r#"{"f":{"Variations":{"a":"A"},"defaultRule":{"variation":"a"}},"F":{}}"#,
    "// c\n{\"f\":{\"variations\":{\"a\":1},\"defaultRule\":{\"variation\":\"a\"}}}",
];
