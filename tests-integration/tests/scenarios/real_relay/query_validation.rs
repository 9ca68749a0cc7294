//! Which queries a real relay proxy refuses when it loads its flags.

use std::collections::BTreeSet;
use std::time::Duration;

use goff_engine::{FlagFile, FlagFileFormat};
use goff_tests_integration::{Instance, own_relay, request};
use serde_json::{Map, Value, json};

/// A flag whose query is not one is refused alone. The engine's validation refuses the same ones.
#[tokio::test]
#[ignore = "needs a relay proxy: cargo xtask integration"]
async fn the_same_queries_are_refused() {
    let queries = queries();
    assert!(queries.len() > 400, "{}", queries.len());
    let mut flags = Map::new();
    for (index, query) in queries.iter().enumerate() {
        let flag = json!({
            "variations": {"a": 1, "b": 2},
            "targeting": [{"query": query, "variation": "a"}],
            "defaultRule": {"variation": "b"},
        });
        flags.insert(format!("f{index}"), flag);
    }
    let last = json!({"variations": {"a": 1}, "defaultRule": {"variation": "a"}});
    flags.insert("zz-last".to_owned(), last);
    // JSON is YAML.
    let text = Value::from(flags).to_string();

    let relay = own_relay(Instance::Open);
    relay.set_flags(&text).unwrap();
    let give_up = tokio::time::Instant::now() + Duration::from_secs(20);
    let served: BTreeSet<String> = loop {
        let all = json!({});
        let answer = request(relay.address(), "/v1/flag/configuration", &[], Some(&all)).await;
        let answer = answer.unwrap().json();
        let flags = answer["flags"].as_object().unwrap();
        if flags.contains_key("zz-last") {
            break flags.keys().cloned().collect();
        }
        assert!(tokio::time::Instant::now() < give_up, "{answer:#}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };

    let file = FlagFile::parse(&text, FlagFileFormat::Yaml).unwrap();
    let problems: BTreeSet<_> = file.problems.iter().map(|problem| problem.flag()).collect();
    let mut refused = 0;
    let mut differ = Vec::new();
    for (index, query) in queries.iter().enumerate() {
        let key = format!("f{index}");
        let (served, ours) = (served.contains(&key), !problems.contains(&*key));
        refused += usize::from(!served);
        if served != ours {
            differ.push(format!("{query:?}: served there: {served}, here: {ours}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
    assert!(refused > 100 && refused + 100 < queries.len(), "{refused}");
}

/// Well-formed queries, queries of other languages, and what typing errors make of them.
fn queries() -> BTreeSet<String> {
    let mut queries: BTreeSet<String> = [
        "",
        " ",
        "  ",
        "\n",
        "null",
        " null",
        "true",
        "false",
        "1",
        "\"a\"",
        "[]",
        "[1]",
        "{}",
        "{",
        "}",
        "()",
        "(",
        ")",
        "a",
        "a b",
        "a b c",
        "a = 1",
        "a := 1",
        "a is 1",
        "a like \"x\"",
        "a == 1",
        "a==1",
        "a=1",
        "a != 1",
        "a <> 1",
        "a => 1",
        "a =< 1",
        "a in 1",
        "a in (1,2)",
        "a in [1;2]",
        "a not in [1]",
        "not a",
        "!a",
        "!(a eq 1)",
        "a pr",
        "a PR",
        "a pr pr",
        "pr",
        "pr a",
        "a eq",
        "eq 1",
        "a eq b",
        "a eq 'x'",
        "a eq \"x",
        "a eq x\"",
        "a eq 1 and",
        "a eq 1 or",
        "and a eq 1",
        "a eq 1 && b eq 2",
        "a eq 1 || b eq 2",
        "a eq 1 AND b eq 2",
        "a eq 1 xor b eq 2",
        "a eq 1, b eq 2",
        "a eq 1; b eq 2",
        "a.b.c eq 1",
        "a..b eq 1",
        ".a eq 1",
        "a. eq 1",
        "a[0] eq 1",
        "$a eq 1",
        "@a eq 1",
        "_a eq 1",
        "a-b eq 1",
        "a:b eq 1",
        "a_b eq 1",
        "1a eq 1",
        "é eq 1",
        "a eq é",
        "a eq \"é\"",
        "a eq 1.2.3",
        "a ge 1.2.3-beta+5",
        "a in 1.2.3",
        "a co 1.2.3",
        "a eq 1.2.3.4",
        "a eq 1.",
        "a eq .5",
        "a eq 1e5",
        "a eq 1e+5",
        "a eq 007",
        "a eq +1",
        "a eq -1",
        "a eq - 1",
        "a eq --1",
        "a in [-1]",
        "a in [-1.0]",
        "a in [1, 2.5]",
        "a in [1,]",
        "a in [,1]",
        "a in [",
        "a in [1",
        "a in [1 ,2]",
        "a in [1,\"b\"]",
        "a in [true]",
        "a in [null]",
        "a eq True",
        "a eq TRUE",
        "a eq nil",
        "a gt true",
        "a in true",
        "a gt null",
        "a co null",
        "a ne null",
        "a eq 99999999999999999999",
        "a in [99999999999999999999]",
        "a eq 1.5e999",
        "a in [1.5e999]",
        "IF(a, 1, 2)",
        "a ? 1 : 2",
        "a matches \"x\"",
        "a ~ \"x\"",
        "regex(a)",
        "{{a}} eq 1",
        "${a} eq 1",
        "a eq 1\nand b eq 2",
        "a eq 1 \nand b eq 2",
        "a\teq 1",
        "a eq 1\t",
        "\ta eq 1",
        "a  eq 1",
        "a eq  1",
        " a eq 1",
        "a eq 1 ",
        "{\"==\":",
        "{\"==\":[1,1]",
        "{\"==\":[1,1]}",
        "{\"nope\":[1]}",
        "{\"==\":[{\"nope\":1},1]}",
        "{\"a\":1,\"b\":2}",
        "{\"var\":\"a\"}",
        "{\"var\":[\"a\"]}",
        "{\"var\":{\"nope\":1}}",
        "{\"var\":null}",
        "{\"and\":null}",
        "{\"and\":{}}",
        "{\"and\":[{}]}",
        "{\"and\":[{\"a\":1,\"b\":2}]}",
        "{\"==\":[{\"var\":\"a\n b\"},1]}",
        "{\"==\":[1e400,1]}",
        "{'==':[1,1]}",
        "[{\"==\":[1,1]}]",
        "{\"log\":1}",
        "{\"method\":[]}",
        "{\"?:\":[true,1,2]}",
        "{\"set\":[{},\"a\",1]}",
        "{\"!\":true}",
        "{\"AND\":[]}",
        "{\"==\":[1,1]} x",
        "{\"==\":[1,1],}",
        "// a eq 1",
        "# a eq 1",
    ]
    .map(str::to_owned)
    .into();
    let operators = [
        "eq", "ne", "gt", "lt", "ge", "le", "co", "sw", "ew", "in", "EQ", "==", "=", "Eq", "is",
        "like",
    ];
    let literals = [
        "1", "1.5", "\"x\"", "true", "null", "1.2.3", "[1,2]", "[1.5]", "[\"x\"]", "x", "[]", "(1)",
    ];
    for operator in operators {
        for literal in literals {
            queries.insert(format!("a {operator} {literal}"));
        }
    }
    // What surrounds a part decides whether its error counts.
    for part in [
        "a = 1", "a eq 1", "a co 1", "a eq", "x", "a in []", "a.b pr",
    ] {
        for around in [
            "(_",
            "(_)",
            "not (_)",
            "not _",
            "b eq 1 or _",
            "b eq 1 and _",
            "_ or b eq 1",
            "_ and b eq 1",
            "((_) or b pr)",
            "_ _",
            "not not (_)",
        ] {
            queries.insert(around.replace('_', part));
        }
    }
    queries
}
