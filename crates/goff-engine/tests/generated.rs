//! Properties of evaluation that hold for every document and every flag file.

use goff_engine::{DocumentEvaluator, FlagSet, Timestamp, evaluate_document};
use goff_generators::{documents, flag_files};
use proptest::prelude::*;
use serde_json::Value;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// The document sets the date.
    #[test]
    fn an_answer_does_not_depend_on_the_clock(document in documents()) {
        let input = document.text.as_bytes();
        let answer = evaluate_document(input, Timestamp::from_unix_seconds(0));
        let later = evaluate_document(input, Timestamp::from_unix_seconds(4_000_000_000));
        prop_assert_eq!(&answer, &later);
        let answer: Value = serde_json::from_str(&answer)?;
        for member in ["trackEvents", "variationType", "failed", "version", "reason", "value", "cacheable"] {
            prop_assert!(answer.get(member).is_some(), "{} in {}", member, answer);
        }
        prop_assert_eq!(&answer["failed"], &Value::Bool(answer["reason"] == "ERROR"));
    }

    /// Twice, so that the second answer is of a flag that was kept; with one part of the document
    /// repeated or left out, too.
    #[test]
    fn an_evaluator_that_keeps_flags_gives_the_same_answers(
        documents in prop::collection::vec((documents(), any::<(prop::sample::Index, prop::sample::Index, bool)>()), 1..8),
    ) {
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let mut evaluator = DocumentEvaluator::new(64 << 10);
        for (document, (from, to, repeats)) in &documents {
            let text = document.text.as_bytes();
            let (from, to) = (from.index(text.len()), to.index(text.len()));
            let (from, to) = (from.min(to), from.max(to));
            let rest = if *repeats { &text[from..] } else { &text[to..] };
            let changed = [&text[..if *repeats { to } else { from }], rest].concat();
            for input in [text, text, &changed, text] {
                let answer = evaluator.evaluate(input, || now);
                prop_assert_eq!(answer, evaluate_document(input, now));
            }
        }
    }

    #[test]
    fn a_document_with_trailing_bytes_is_no_document(document in documents(), rest in "[x{}1\"]{1,3}") {
        let input = document.text + &rest;
        let answer = evaluate_document(input.as_bytes(), Timestamp::from_unix_seconds(0));
        prop_assert!(answer.contains("PARSE_ERROR"), "{}", answer);
    }

    #[test]
    fn a_flag_set_has_each_flag_of_its_file(file in flag_files()) {
        let flags: serde_json::Map<String, Value> = serde_json::from_str(&file)?;
        let set = FlagSet::from_json(file.as_bytes())?;
        prop_assert_eq!(set.len(), flags.len());
        prop_assert!(flags.keys().all(|key| set.get(key).is_some()));
    }

    /// JSON is YAML, where the names in an object are distinct.
    #[test]
    #[cfg(feature = "file")]
    fn a_flag_file_has_the_same_flags_in_yaml(file in flag_files()) {
        use goff_engine::{FlagFile, FlagFileFormat};

        let json = FlagFile::parse(&file, FlagFileFormat::Json)?;
        if let Ok(yaml) = FlagFile::parse(&file, FlagFileFormat::Yaml) {
            let keys = |file: &FlagFile| file.flags.iter().map(|flag| flag.key().to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(keys(&json), keys(&yaml));
        }
    }
}
