//! What the generated documents contain, and how often.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use goff_generators::{Area, documents, flag_files};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn draw<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    let draw = |_| strategy.new_tree(&mut runner).unwrap().current();
    (0..count).map(draw).collect()
}

#[test]
fn each_feature_is_in_some_of_five_thousand_documents() {
    const FEATURES: &[&[&str]] = &[
        // Flags.
        &["\"scheduledRollout\":[{"],
        &["\"scheduledRollout\":[{", "\"percentage\":{", ":-1"],
        &["\"progressiveRollout\":{\"initial\":{"],
        &["\"experimentation\":{\"start\":", "\"end\":"],
        &["\"percentage\":{", "99.", "\"variation\""],
        &["\"bucketingKey\":\"targetingKey\""],
        &["\"bucketingKey\":\"company."],
        &["\"bucketingKey\":\"\""],
        &["\"disable\":true"],
        &["\"trackEvents\":false"],
        &["\"metadata\":{\"evaluatedRuleName\""],
        &["\"version\":\""],
        &["T00:00:00+00:60"],
        &["+24:00"],
        &["\"date\":\"tomorrow\""],
        &["\"variation\":\"missing\""],
        // Contexts.
        &["\"defaultSdkValue\":"],
        &["\"evaluationContextEnrichment\":{"],
        &["\"targetingKey\":\"user-"],
        &["\"targetingKey\":null"],
        &["1e21"],
        &["9007199254740993"],
        &["-0.0"],
        &["5e-324"],
        &["Straße"],
        &["\\u000a"],
        // Rule language.
        &[" pr\""],
        &[" in [1"],
        &["not ("],
        &[" sw \\\"", " or "],
        &["1.5e999"],
        &["((", "eq"],
        &["007"],
        // JSONLogic.
        &["\\\"reduce\\\""],
        &["\\\"accumulator\\\""],
        &["\\\"missing_some\\\""],
        &["\\\"substr\\\"", "-2"],
        &["\\\"contains_none\\\""],
        &["\\\"===\\\""],
        &["\\\"method\\\""],
        &["tags.-1"],
        // Decoding.
        &["\"unknown\":"],
        &["1e400"],
        &["\\ud800"],
        &["[1,]"],
        &["ſ"],
    ];
    let documents = draw(&documents(), 5000);
    let rare = FEATURES.iter().filter(|parts| {
        let has = |text: &str| parts.iter().all(|part| text.contains(part));
        documents
            .iter()
            .filter(|document| has(&document.text))
            .count()
            < 3
    });
    let rare: Vec<_> = rare.collect();
    assert!(rare.is_empty(), "{rare:?}");
}

#[test]
fn each_area_has_its_share() {
    let documents = draw(&documents(), 2000);
    for (area, percent) in [
        (Area::Flags, 35),
        (Area::RuleLanguage, 30),
        (Area::JsonLogic, 25),
        (Area::Decoding, 10),
    ] {
        let count = documents
            .iter()
            .filter(|document| document.area == area)
            .count();
        assert!(
            (count / 20).abs_diff(percent) < 5,
            "{area:?}: {count} of 2000"
        );
    }
}

#[test]
fn documents_are_one_line_and_set_the_date() {
    for document in draw(&documents(), 2000) {
        assert!(!document.text.contains(['\n', '\r']), "{}", document.text);
        assert!(
            document.text.contains("\"currentDateTime\":\""),
            "{}",
            document.text
        );
    }
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let files = draw(&flag_files(), 20);
    assert_eq!(files, draw(&flag_files(), 20));
    assert!(
        files
            .iter()
            .any(|file| file.matches("\"variations\"").count() > 2)
    );
}
