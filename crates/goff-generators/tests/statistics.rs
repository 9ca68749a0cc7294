//! What the generated documents contain, and how often.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use goff_generators::{Area, Document, documents, flag_files};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

fn draw<S: Strategy>(strategy: &S, count: usize) -> Vec<S::Value> {
    let mut runner = TestRunner::deterministic();
    let draw = |_| strategy.new_tree(&mut runner).unwrap().current();
    (0..count).map(draw).collect()
}

#[test]
fn each_feature_is_in_some_of_five_thousand_documents() {
    // A bar separates the features of an area, an ampersand the parts of a feature.
    const FEATURES: &[&str] = &[
        // Flags.
        r#""scheduledRollout":[{|"scheduledRollout":[{&"percentage":{&:-1"#,
        r#""progressiveRollout":{"initial":{|"experimentation":{"start":&"end":"#,
        r#""percentage":{&99.&"variation"|"bucketingKey":"targetingKey""#,
        r#""bucketingKey":"company.|"bucketingKey":""|"disable":true|"trackEvents":false"#,
        r#""metadata":{"evaluatedRuleName"|"version":"|T00:00:00+00:60|+24:00"#,
        r#""date":"tomorrow"|"variation":"missing""#,
        // Contexts.
        r#""defaultSdkValue":|"evaluationContextEnrichment":{|"targetingKey":"user-"#,
        r#""targetingKey":null|1e21|9007199254740993|-0.0|5e-324|Straße|\u000a"#,
        // Rule language.
        r#" pr"| in [1|not (| sw \"& or |1.5e999|((&eq|007"#,
        // JSONLogic.
        r#"\"reduce\"|\"accumulator\"|\"missing_some\"|\"substr\"&-2|\"contains_none\""#,
        r#"\"===\"|\"method\"|tags.-1"#,
        // Decoding.
        r#""unknown":|1e400|\ud800|[1,]|ſ"#,
    ];
    let documents = draw(&documents(), 5000);
    for parts in FEATURES.iter().flat_map(|features| features.split('|')) {
        let has = |text: &str| parts.split('&').all(|part| text.contains(part));
        let having = documents.iter().filter(|document| has(&document.text));
        assert!(having.count() >= 3, "{parts} is rare");
    }
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
        let of_area = documents.iter().filter(|document| document.area == area);
        let share = of_area.count() / 20;
        assert!(share.abs_diff(percent) < 5, "{area:?}: {share} %");
    }
}

#[test]
fn documents_are_one_line_and_set_the_date() {
    for Document { text, .. } in draw(&documents(), 2000) {
        assert!(!text.contains(['\n', '\r']), "{text}");
        assert!(text.contains("\"currentDateTime\":\""), "{text}");
    }
}

#[test]
fn the_same_seed_gives_the_same_files() {
    let files = draw(&flag_files(), 20);
    assert_eq!(files, draw(&flag_files(), 20));
    let flags = files
        .iter()
        .map(|file| file.matches("\"variations\"").count());
    assert!(flags.max() > Some(2));
}
