//! `GOFF_WASM_MODULE` in wasmtime: the native engine's answers, in bounded memory, and no trap.

use std::time::{Instant, SystemTime};

use goff_engine::{Timestamp, evaluate_document};
use goff_generators::documents;
use goff_tests_wasm::measured_flags::configuration;
use goff_tests_wasm::{
    Compiled, Failure, Guest, STACK, UNLIMITED, agree, document, module_file, vectors,
};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::{Map, Value};

fn module() -> Compiled {
    Compiled::new(&module_file("GOFF_WASM_MODULE"), STACK).unwrap()
}

fn number(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |value| value.replace('_', "").parse().unwrap())
}

fn native(input: &[u8]) -> String {
    evaluate_document(input, Timestamp::from(SystemTime::now()))
}

#[test]
fn recorded_answers() {
    let mut guest = module().instance(UNLIMITED).unwrap();
    let vectors = vectors::all().unwrap();
    assert_eq!(vectors.len(), 6001 + 783);
    // The second time with flags that are kept.
    for vector in vectors.iter().chain(&vectors) {
        let answer = guest.evaluate(vector.input.as_bytes()).unwrap();
        assert_eq!(answer, native(vector.input.as_bytes()), "{}", vector.id);
        assert!(agree(&answer, &vector.output), "{}: {answer}", vector.id);
    }
}

/// As many as `GOFF_WASM_DOCUMENTS` says.
#[test]
fn random_documents() {
    let count = number("GOFF_WASM_DOCUMENTS", 20_000);
    let mut guest = module().instance(UNLIMITED).unwrap();
    let (before, begin) = (guest.memory_size() >> 10, Instant::now());
    let seed = number("GOFF_SEED", 1) as u128;
    let rng = TestRng::from_seed(RngAlgorithm::XorShift, &seed.to_le_bytes());
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let documents = documents();
    for index in 0..count {
        let document = documents.new_tree(&mut runner).unwrap().current().text;
        for _ in 0..2 {
            let answer = guest.evaluate(document.as_bytes()).unwrap();
            assert_eq!(
                answer,
                native(document.as_bytes()),
                "document {index}: {document}"
            );
        }
    }
    println!(
        "{count} documents, each twice: {before} KiB of memory at the start, {} KiB at the end; {:.0} a second",
        guest.memory_size() >> 10,
        count as f64 / begin.elapsed().as_secs_f64(),
    );
}

/// As many evaluations as `GOFF_WASM_EVALUATIONS` says, of 10,000 flags, of which half change
/// every 100 rounds.
#[test]
fn memory_is_bounded() {
    const FLAGS: usize = 10_000;
    let rounds = number("GOFF_WASM_EVALUATIONS", 200_000).div_ceil(FLAGS);
    let begin = Instant::now();
    let flags: Map<String, Value> = serde_json::from_str(&configuration(FLAGS)).unwrap();
    let mut flags: Vec<(String, Value)> = flags.into_iter().collect();
    let mut guest = module().instance(UNLIMITED).unwrap();
    let mut sizes = Vec::new();
    for round in 0..rounds {
        if round % 100 == 0 {
            for (_, flag) in flags.iter_mut().step_by(2) {
                flag["version"] = format!("{round:06}").into();
            }
        }
        for (index, (key, flag)) in flags.iter().enumerate() {
            let input = document(key, flag, &format!("user-{round}"));
            let answer = guest.evaluate(input.as_bytes()).unwrap();
            if index % 101 == round % 101 {
                // A progressive rollout may go on between the two.
                let expected = [native(input.as_bytes()), native(input.as_bytes())];
                assert!(expected.contains(&answer), "{input}: {answer}");
            }
        }
        sizes.push(guest.memory_size() >> 20);
    }
    let after = sizes[0].max(sizes[sizes.len() / 2]);
    let last = sizes[sizes.len() - 1];
    println!(
        "{} evaluations of {FLAGS} flags: {} MiB after the first round, {after} MiB half way, {last} MiB at the end; {:.0} a second",
        rounds * FLAGS,
        sizes[0],
        (rounds * FLAGS) as f64 / begin.elapsed().as_secs_f64(),
    );
    assert!(last <= after + 1 && last <= 100, "{sizes:?}");
}

const GOOD: &str = r#"{"flagKey":"good","flag":{"variations":{"A":1},"defaultRule":{"variation":"A"}},"evalContext":{"targetingKey":"u"}}"#;

/// Evaluates without a trap, and again works after it.
#[track_caller]
fn survives(guest: &mut Guest, input: &[u8], what: &str) -> Result<String, Failure> {
    let answer = guest.evaluate(input);
    let good = guest.evaluate(GOOD.as_bytes());
    let good = good.unwrap_or_else(|error| panic!("after {what}, {answer:?}: {error}"));
    assert_eq!(good, native(GOOD.as_bytes()), "after {what}");
    answer
}

/// The answer is the native engine's. What refuses a flag that is too expensive depends on the size of an address.
#[track_caller]
fn same(answer: &str, input: &str, what: &str) {
    let expected = native(input.as_bytes());
    if [answer, &expected].map(|text| text.contains("too expensive")) == [true; 2] {
        return;
    }
    let start = |text: &str| text.chars().take(300).collect::<String>();
    let texts = (start(answer), start(&expected));
    assert!(
        answer == expected,
        "{what}: {} instead of {}",
        texts.0,
        texts.1
    );
}

/// Inputs that would be expensive, each of about so many bytes.
fn expensive(size: usize) -> Vec<(String, String)> {
    let repeated = |before: &str, part: &str, after: &str| {
        format!("{before}{}{after}", part.repeat(size / part.len()))
    };
    let logic = |query: &str, context: &str| {
        let query = Value::from(query);
        format!(
            r#"{{"flagKey":"f","flag":{{"variations":{{"A":1}},"targeting":[{{"query":{query},"variation":"A"}}],"defaultRule":{{"variation":"A"}}}},"evalContext":{context}}}"#
        )
    };
    let value = r#"{"flagKey":"f","flag":{"variations":{"A":[0,"#;
    let served = r#"0]},"defaultRule":{"variation":"A"}}}"#;
    let context = r#"{"flagKey":"f","flag":{},"evalContext":{"a":[0,"#;
    let default = r#"{"flagKey":"f","flag":{"disable":true},"flagContext":{"defaultSdkValue":[0,"#;
    let doubled = r#"{"reduce":[{"var":"a"},{"cat":[{"var":"accumulator"},{"var":"accumulator"}]},"xxxxxxxx"]}"#;
    let list = format!(r#"{{"a":[1{}]}}"#, ",1".repeat(size.min(100)));
    let merged = format!(r#"{{"merge":[{}0]}}"#, r#"{"var":"a"},"#.repeat(900));
    let mapped = format!(
        r#"{{"map":[{{"var":"a"}},{{"merge":[{}0]}}]}}"#,
        r#"{"var":"b"},"#.repeat(900)
    );
    let numbers = format!(
        r#"{{"a":[0{}],"b":[0{}]}}"#,
        ",0".repeat(size.min(1_000)),
        ",0".repeat(size.min(1_000))
    );
    [
        (
            "objects that are served",
            repeated(value, r#"{"":0},"#, served),
        ),
        ("lists that are served", repeated(value, "[],", served)),
        ("digits that are served", repeated(value, "0,", served)),
        ("texts that are served", repeated(value, "\"\",", served)),
        (
            "escapes that are served",
            repeated(value, r#""<","#, served),
        ),
        (
            "objects in the context",
            repeated(context, r#"{"":0},"#, "0]}}"),
        ),
        ("digits in the context", repeated(context, "0,", "0]}}")),
        (
            "objects as the default",
            repeated(default, r#"{"":0},"#, "0]}}"),
        ),
        (
            "attributes",
            repeated(
                r#"{"flagKey":"f","flag":{},"evalContext":{"b":1"#,
                r#","a":1"#,
                "}}",
            ),
        ),
        (
            "rules",
            repeated(r#"{"flagKey":"f","flag":{"targeting":[{}"#, ",{}", "]}}"),
        ),
        (
            "rules with a query",
            repeated(
                r#"{"flagKey":"f","flag":{"targeting":[{}"#,
                r#",{"query":"a pr","variation":"v"}"#,
                "]}}",
            ),
        ),
        (
            "steps",
            repeated(
                r#"{"flagKey":"f","flag":{"scheduledRollout":[{}"#,
                ",{}",
                "]}}",
            ),
        ),
        ("a text that doubles", logic(doubled, &list)),
        ("lists that are merged", logic(&merged, &numbers)),
        ("lists that are merged in a map", logic(&mapped, &numbers)),
        ("an unclosed list", repeated("{\"flagKey\":", "[", "")),
        ("nothing but quotes", repeated("", "\"", "")),
        ("zero bytes", repeated("", "\0", "")),
    ]
    .map(|(name, input)| (format!("{name}, {size}"), input))
    .into()
}

#[test]
fn no_input_traps() {
    let module = module();
    let mut guest = module.instance(UNLIMITED).unwrap();
    for byte in 0..=u8::MAX {
        for input in [
            vec![byte],
            vec![byte; 3],
            [GOOD.as_bytes(), &[byte]].concat(),
        ] {
            let answer = survives(&mut guest, &input, "a byte").unwrap();
            assert_eq!(answer, native(&input), "{input:?}");
        }
    }
    for (index, _) in GOOD.bytes().enumerate() {
        for input in [&GOOD.as_bytes()[..index], &GOOD.as_bytes()[index..]] {
            assert_eq!(
                survives(&mut guest, input, "a part").unwrap(),
                native(input)
            );
        }
        let mut changed = GOOD.as_bytes().to_vec();
        changed[index] = 0xff;
        assert_eq!(
            survives(&mut guest, &changed, "no UTF-8").unwrap(),
            native(&changed)
        );
    }
    for size in [1_000, 100_000, 2_000_000] {
        for (name, input) in expensive(size) {
            let answer = survives(&mut guest, input.as_bytes(), &name).unwrap();
            same(&answer, &input, &name);
        }
    }
}

#[test]
fn addresses_that_are_no_input_are_answered() {
    let mut guest = module().instance(UNLIMITED).unwrap();
    let block = guest.malloc(16).unwrap();
    let end = u32::try_from(guest.memory_size()).unwrap();
    for (address, length) in [
        (0, 0),
        (0, 1),
        (0, u32::MAX),
        (block, 17),
        (block, u32::MAX),
        (block + 16, 1),
        (end - 1, 1),
        (end, 1),
        (u32::MAX, 1),
        (u32::MAX, u32::MAX),
    ] {
        let answer = guest.evaluate_at(address, length).unwrap();
        assert!(
            answer.contains(r#""errorCode":""#) && !answer.contains(r#""errorCode":"""#),
            "{answer}"
        );
    }
    for address in [0, 1, block + 1, end, u32::MAX, block, block] {
        guest.free(address).unwrap();
    }
    assert_ne!(guest.malloc(0).unwrap(), 0);
    assert_eq!(guest.malloc(u32::MAX).unwrap(), 0);
    assert_eq!(guest.malloc(i32::MAX as u32 + 1).unwrap(), 0);
    assert_eq!(
        guest.evaluate(GOOD.as_bytes()).unwrap(),
        native(GOOD.as_bytes())
    );
}

/// The hosts for JavaScript and .NET count units of UTF-16 and write UTF-8. What they evaluate is cut short, as with the
/// official module, and what they write behind the block harms nothing.
#[test]
fn a_text_counted_in_utf_16_is_cut_short_and_harms_nothing() {
    let mut guest = module().instance(UNLIMITED).unwrap();
    for round in 0..2_000 {
        let name = "語".repeat(round % 300 + 1);
        let input = GOOD.replace("targetingKey\":\"u", &format!("targetingKey\":\"{name}"));
        let length = u32::try_from(input.encode_utf16().count()).unwrap();
        let address = guest.malloc(length + 1).unwrap();
        let next = guest.malloc(8).unwrap();
        guest.write(address, input.as_bytes()).unwrap();
        let answer = guest.evaluate_at(address, length).unwrap();
        assert_eq!(
            answer,
            native(&input.as_bytes()[..length as usize]),
            "{input}"
        );
        assert!(answer.contains("PARSE_ERROR"), "{answer}");
        guest.free(address).unwrap();
        survives(&mut guest, input.as_bytes(), "a text counted in UTF-16").unwrap();
        guest.free(next).unwrap();
    }
}

/// With every limit of memory some inputs cannot be evaluated; that is an answer.
#[test]
fn memory_that_the_host_refuses_is_an_answer() {
    let module = module();
    let mut refused = 0;
    for megabytes in [4, 6, 8, 12, 16, 24, 32, 64, 128] {
        let mut guest = module.instance(megabytes << 20).unwrap();
        for size in [100, 10_000, 30_000, 100_000, 1_000_000] {
            for (name, input) in expensive(size) {
                // More than the blocks that are there: `malloc` returns 0.
                let answer = survives(
                    &mut guest,
                    input.as_bytes(),
                    &format!("{name} of {megabytes} MiB"),
                );
                match answer {
                    Ok(answer) if answer.contains("too little memory") => refused += 1,
                    Ok(answer) => same(&answer, &input, &name),
                    Err(error) => {
                        assert_eq!(
                            error.to_string(),
                            "malloc returned 0",
                            "{name} of {megabytes} MiB"
                        );
                        refused += 1;
                    }
                }
            }
        }
        // Flags that are kept give way.
        for (key, flag) in
            serde_json::from_str::<Map<String, Value>>(&configuration(3_000)).unwrap()
        {
            let input = document(&key, &flag, "user");
            let answer = survives(&mut guest, input.as_bytes(), &key).unwrap();
            assert!(
                !answer.contains("too little memory"),
                "{key} of {megabytes} MiB"
            );
        }
    }
    assert!(refused > 0);
}

/// The deepest queries and values, on the stack that hosts give.
#[test]
fn the_usual_stack_suffices() {
    let mut guest = module().instance(UNLIMITED).unwrap();
    let nested = |before: &str, depth: usize, middle: &str, after: &str| {
        format!("{}{middle}{}", before.repeat(depth), after.repeat(depth))
    };
    let queries = [
        nested("(", 64, "a eq 1", ")"),
        nested("not ", 5_000, "(a eq 1)", ""),
        nested("not(", 63, "a eq 1", ")"),
        nested("a eq 1 and  ", 900, "b eq 1", ""),
        nested("(  ", 64, "a eq 1", ")"),
        nested("a eq 1 and ", 999, "b eq 1", ""),
        nested(r#"{"!":"#, 256, "1", "}"),
        nested(r#"{"!":["#, 128, "1", "]}"),
        nested(r#"{"if":[true,"#, 128, "1", "]}"),
        nested(r#"{"cat":["a","#, 127, "\"b\"", "]}"),
        nested(r#"{"map":[[1],"#, 127, "1", "]}"),
        nested(r#"{"filter":[[1],"#, 127, r#"{"var":""}"#, "]}"),
        nested(r#"{"all":[[1],"#, 127, "true", "]}"),
        nested(r#"{"reduce":[[1],"#, 127, "1", ",1]}"),
        nested(r#"{"merge":["#, 127, "1", "]}"),
        nested(r#"{"==":[[1],"#, 127, "1", "]}"),
    ];
    let deep = nested("[", 120, "", "]");
    for query in &queries {
        let json = Value::from(query.as_str());
        let input = format!(
            r#"{{"flagKey":"f","flag":{{"variations":{{"A":{deep}}},"metadata":{{"m":{deep}}},"targeting":[{{"query":{json},"variation":"A"}}],"defaultRule":{{"variation":"A"}}}},"evalContext":{{"a":{deep}}}}}"#
        );
        let answer = survives(&mut guest, input.as_bytes(), query).unwrap();
        assert_eq!(answer, native(input.as_bytes()), "{query}");
    }
}
