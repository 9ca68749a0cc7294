//! [`DocumentEvaluator`]: the official JSON documents, with flags that are kept compiled.

use std::{borrow::Cow, sync::Arc};

use super::{
    MEMBERS, check_queries, context::DocumentContext, decode_flag_context, evaluate_document,
    limits::MAX_INPUT_NESTING, output::output,
};
use crate::{
    compiled::{body::Body, flag::Flag, flag_set::FlagSet, interner::Interner},
    configuration::{
        budget::Budget,
        date::Timestamp,
        definition::{FlagDefinition, known},
        json::{Node, Reader, SyntaxError},
    },
    evaluate::flag_context::FlagContext,
};

/// Evaluates input documents as [`evaluate_document`] does, and keeps their flags
/// compiled.
///
/// A kept flag is used again while the JSON of the flag is the same, byte for
/// byte; another text under the same `flagKey` replaces it. It is found if
/// `flagKey` comes before `flag` in the document, as in those of every provider.
/// Documents that are not of the usual form, malformed ones among them, are
/// evaluated without it.
///
/// ```
/// use goff_engine::{DocumentEvaluator, Timestamp, evaluate_document};
///
/// let input = br#"{"flagKey": "f", "flag": {"variations": {"A": 1}, "defaultRule": {"variation": "A"}}, "evalContext": {}}"#;
/// let now = || Timestamp::from_unix_seconds(0);
/// let mut evaluator = DocumentEvaluator::new(1 << 20);
/// assert_eq!(evaluator.evaluate(input, now), evaluate_document(input, now()));
/// assert_eq!(evaluator.kept_flags(), 1);
/// ```
#[derive(Debug)]
pub struct DocumentEvaluator {
    flags: FlagSet,
    /// What each of the flags counts as, in their order.
    sizes: Vec<usize>,
    /// The sum of the sizes.
    kept: usize,
    most_kept: usize,
}

impl DocumentEvaluator {
    /// Keeps flags of up to `most_kept` bytes, and forgets all of them when another would
    /// exceed that.
    ///
    /// A flag counts as 1 KiB, 16 bytes for each byte of its JSON, and the memory of its
    /// rules and scheduled steps beyond that. The usual flag takes half of it, and one whose
    /// values are long lists or many objects up to four times as much.
    #[must_use]
    pub fn new(most_kept: usize) -> Self {
        Self {
            flags: FlagSet::default(),
            sizes: Vec::new(),
            kept: 0,
            most_kept,
        }
    }

    /// How many flags are kept.
    #[must_use]
    pub fn kept_flags(&self) -> usize {
        self.flags.len()
    }

    /// Forgets all flags.
    pub fn clear(&mut self) {
        *self = Self::new(self.most_kept);
    }

    /// Evaluates an input document and returns its output document, the same one as
    /// [`evaluate_document`]. The clock is read only if the answer may depend on it.
    pub fn evaluate(&mut self, input: &[u8], now: impl FnOnce() -> Timestamp) -> String {
        let text = std::str::from_utf8(input).ok();
        let document = text.and_then(|text| self.read(text));
        let Some((flag, document)) = document.and_then(|document| {
            let flag = self.flags.get(&document.flag_key);
            flag.map(|flag| (flag, document))
        }) else {
            return evaluate_document(input, now());
        };
        let now = match flag.depends_on_time() {
            true => now(),
            false => Timestamp::from_unix_seconds(0),
        };
        output(&flag.evaluate(&document.attributes, &document.flag_context, now))
    }

    /// Reads a document of the usual form, and keeps its flag.
    ///
    /// `None` leaves the document to [`evaluate_document`]: repeated members, other spellings of
    /// their names, and all that is rejected.
    fn read<'t>(&mut self, text: &'t str) -> Option<UsualDocument<'t>> {
        let mut reader = Reader::new(text);
        reader.white_space();
        if reader.peek() != Some(b'{') {
            return None;
        }
        let (mut flag_key, mut has_flag) = (None, false);
        let (mut attributes, mut flag_context) = (None, None);
        let members = reader.members(|reader, name| {
            reader.white_space();
            let is_usual = match known(&name, &MEMBERS) {
                Some("flagKey") if name == "flagKey" && flag_key.is_none() => {
                    flag_key = match reader.value(0)? {
                        Node::String(key) => Some(key),
                        _ => None,
                    };
                    flag_key.is_some()
                }
                Some("flag") if name == "flag" && !has_flag => {
                    has_flag = true;
                    match &flag_key {
                        Some(key) => self.keep(key, text, reader)?,
                        None => false,
                    }
                }
                Some("evalContext") if name == "evalContext" && attributes.is_none() => {
                    attributes = DocumentContext::read(reader, DEPTH)?;
                    attributes.is_some()
                }
                Some("flagContext") if name == "flagContext" && flag_context.is_none() => {
                    let node = reader.value(DEPTH)?;
                    let context = flag_context.insert(FlagContext::default());
                    decode_flag_context(context, &node).is_ok()
                }
                Some(_) => false,
                None => reader.value(DEPTH).map(|_| true)?,
            };
            match is_usual {
                true => Ok(()),
                false => Err(reader.error("not of the usual form")),
            }
        });
        members.and_then(|()| reader.end()).ok()?;
        has_flag.then_some(UsualDocument {
            flag_key: flag_key?,
            attributes: attributes.unwrap_or_default(),
            flag_context: flag_context.unwrap_or_default(),
        })
    }

    /// Reads the flag that the text has where the reader is, and keeps it; false if
    /// [`evaluate_document`] rejects it.
    fn keep<'t>(
        &mut self,
        key: &str,
        text: &'t str,
        reader: &mut Reader<'t>,
    ) -> Result<bool, SyntaxError> {
        let start = reader.at;
        if let Some(kept) = self.flags.get(key) {
            // Where an object's text is known to be complete, it ends with its last bracket.
            let (rest, json) = (reader.rest(), kept.raw_json().as_bytes());
            if rest.get(..json.len()).is_some_and(|rest| equal(rest, json)) {
                reader.at += json.len();
                return Ok(true);
            }
        }
        let node = reader.value(DEPTH)?;
        let json = text.get(start..reader.at).unwrap_or_default();
        // The whole document may allow a flag more, so a flag that exceeds this is not kept.
        let mut budget = Budget::new(json.len());
        let available = budget.left();
        let body = match (&node, FlagDefinition::decode(&node, &mut budget)) {
            (Node::Object(_), Ok(definition)) => check_queries(&definition)
                .and_then(|()| Body::compile(definition, &mut Interner::default(), &mut budget)),
            _ => return Ok(false),
        };
        if body.is_err() {
            return Ok(false);
        }
        let spent = available.saturating_sub(budget.left());
        let size = EACH + PER_BYTE.saturating_mul(json.len()) + spent;
        self.insert(Flag::new(key, json, Arc::new(body)), size);
        Ok(true)
    }

    /// Keeps a flag in place of the one of the same name; alone if it exceeds the bound with the others.
    fn insert(&mut self, flag: Flag, size: usize) {
        let mut index = self.flags.get_full(flag.key()).map(|(index, _)| index);
        let replaced = index.and_then(|index| self.sizes.get(index)).copied();
        let others = self.kept.saturating_sub(replaced.unwrap_or_default());
        self.kept = others.saturating_add(size);
        if self.kept > self.most_kept {
            self.clear();
            self.kept = size;
            index = None;
        }
        match index.and_then(|index| self.sizes.get_mut(index)) {
            Some(replaced) => *replaced = size,
            None => self.sizes.push(size),
        }
        self.flags.insert(flag);
    }
}

/// A document whose flag is kept.
struct UsualDocument<'t> {
    flag_key: Cow<'t, str>,
    attributes: DocumentContext<'t>,
    flag_context: FlagContext,
}

/// Whether both are the same, eight bytes at a time: the `memcmp` of WASI's libc takes one.
fn equal(a: &[u8], b: &[u8]) -> bool {
    a.as_chunks::<8>() == b.as_chunks::<8>()
}

/// How deep a member of the document may be nested.
const DEPTH: usize = MAX_INPUT_NESTING - 1;

/// Bytes that a kept flag counts as, and for each byte of its JSON.
const EACH: usize = 1 << 10;
const PER_BYTE: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_700_000_000);

    fn document(key: &str, value: usize) -> String {
        let flag = format!(r#"{{"variations":{{"A":{value}}},"defaultRule":{{"variation":"A"}}}}"#);
        format!(r#"{{"flagKey":"{key}","flag":{flag},"evalContext":{{"targetingKey":"u"}}}}"#)
    }

    /// Answers as `evaluate_document` does, twice; says how many flags are kept.
    #[track_caller]
    fn check(evaluator: &mut DocumentEvaluator, input: &[u8], kept: usize) {
        for _ in 0..2 {
            let answer = evaluator.evaluate(input, || NOW);
            let text = String::from_utf8_lossy(input);
            assert_eq!(answer, evaluate_document(input, NOW), "{text}");
            assert_eq!(evaluator.kept_flags(), kept, "{text}");
        }
    }

    #[test]
    fn a_flag_is_kept_until_its_text_changes() {
        let mut evaluator = DocumentEvaluator::new(1 << 20);
        for (key, value, kept) in [("a", 1, 1), ("a", 2, 1), ("b", 2, 2), ("a", 1, 2)] {
            check(&mut evaluator, document(key, value).as_bytes(), kept);
        }
    }

    #[test]
    fn flags_that_change_count_once() {
        let mut evaluator = DocumentEvaluator::new(100 << 10);
        for index in 0..1_000 {
            for key in ["often", "also"] {
                let _ = evaluator.evaluate(document(key, index).as_bytes(), || NOW);
            }
            check(&mut evaluator, document("stable", 1).as_bytes(), 3);
        }
        // A smaller flag leaves room for others.
        let long = document("long", 1).replace("\"A\"", &format!("\"{}\"", "A".repeat(1_000)));
        let _ = evaluator.evaluate(long.as_bytes(), || NOW);
        let others = evaluator.kept_flags();
        check(&mut evaluator, document("long", 1).as_bytes(), others);
        assert_eq!(evaluator.kept, evaluator.sizes.iter().sum::<usize>());
        assert_eq!(evaluator.sizes.len(), evaluator.kept_flags());
    }

    #[test]
    fn all_flags_are_forgotten_when_another_would_exceed_the_bound() {
        let mut evaluator = DocumentEvaluator::new(100 << 10);
        let mut most = 0;
        for index in 0..1_000 {
            let _ = evaluator.evaluate(document(&format!("f{index}"), index).as_bytes(), || NOW);
            most = most.max(evaluator.kept_flags());
        }
        assert!((20..100).contains(&most), "{most}");
        // A flag that is larger than the bound is kept alone.
        let mut evaluator = DocumentEvaluator::new(0);
        check(&mut evaluator, document("a", 1).as_bytes(), 1);
        check(&mut evaluator, document("b", 1).as_bytes(), 1);
    }

    #[test]
    fn attributes_are_found_among_few_and_many_and_the_last_of_repeated_ones_counts() {
        for query in [
            r#"a eq 2"#,
            r#"c.d eq \"x\""#,
            r#"{\"in\":[2,{\"var\":\"b\"}]}"#,
            r#"{\"some\":[[{\"var\":\"\"}],{\"==\":[{\"var\":\"a\"},2]}]}"#,
            r#"{\"some\":[[{\"var\":\"\"}],{\"==\":[{\"var\":\"n\"},-0.5]}]}"#,
        ] {
            for others in [0, 9, 10, 100] {
                let others: String = (0..others).map(|it| format!(r#""k{it}":{it},"#)).collect();
                let context = format!(
                    r#"{{"a":1,"n":-0.5,"b":[1,2],{others}"targetingKey":7,"c":{{"d":"x"}},"a":2,"targetingKey":"u"}}"#
                );
                let input = format!(
                    r#"{{"flagKey":"f","flag":{{"variations":{{"A":1}},"targeting":[{{"query":"{query}","variation":"A"}}]}},"evalContext":{context}}}"#
                );
                let mut evaluator = DocumentEvaluator::new(1 << 20);
                check(&mut evaluator, input.as_bytes(), 1);
                let answer = evaluator.evaluate(input.as_bytes(), || NOW);
                assert!(answer.contains("TARGETING_MATCH"), "{input}: {answer}");
            }
        }
    }

    #[test]
    fn documents_that_are_not_of_the_usual_form_are_evaluated_without_it() {
        let flag = r#"{"variations":{"A":1},"defaultRule":{"variation":"A"}}"#;
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        for (input, kept) in [
            (String::new(), 0),
            ("null".to_owned(), 0),
            ("[]".to_owned(), 0),
            (format!(r#"{{"flag":{flag},"flagKey":"f"}}"#), 0),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"flag":{{"disable":true}}}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"FLAG":{{"disable":true}}}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flagKey":null,"flag":{flag}}}"#),
                0,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"flagKey":"g"}}"#),
                1,
            ),
            (format!(r#"{{"flagKey":7,"flag":{flag}}}"#), 0),
            (r#"{"flagKey":"f","flag":null}"#.to_owned(), 0),
            (r#"{"flagKey":"f","flag":{"disable":7}}"#.to_owned(), 0),
            (r#"{"flagKey":"f"}"#.to_owned(), 0),
            (format!(r#"{{"flagKey":"f","flag":{flag}x}}"#), 1),
            (format!(r#"{{"flagKey":"f","flag":{flag}}} x"#), 1),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"evalContext":[]}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"evalContext":null}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"evalContext":{{"a":[1e400]}}}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"evalContext":{{"a":1e400}}}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"flagContext":7}}"#),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"other":[1e400]}}"#),
                1,
            ),
            (
                format!(
                    r#"{{"flagKey":"f","flag":{flag},"evalContext":{{"a":{}}}}}"#,
                    deep(126)
                ),
                1,
            ),
            (
                format!(
                    r#"{{"flagKey":"f","flag":{flag},"evalContext":{{"a":{}}}}}"#,
                    deep(127)
                ),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"other":{}}}"#, deep(127)),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{flag},"other":{}}}"#, deep(128)),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{{"other":{}}}}}"#, deep(126)),
                1,
            ),
            (
                format!(r#"{{"flagKey":"f","flag":{{"other":{}}}}}"#, deep(127)),
                0,
            ),
        ] {
            check(&mut DocumentEvaluator::new(1 << 20), input.as_bytes(), kept);
        }
        let invalid = b"{\"flagKey\":\"f\xff\",\"flag\":{}}";
        check(&mut DocumentEvaluator::new(1 << 20), invalid, 0);
    }

    #[test]
    fn the_clock_is_read_only_for_flags_that_depend_on_it() {
        let mut evaluator = DocumentEvaluator::new(1 << 20);
        let clock = || -> Timestamp { panic!("the clock was read") };
        let input = document("f", 1);
        assert!(
            evaluator
                .evaluate(input.as_bytes(), clock)
                .contains("STATIC")
        );
        let window = r#"{"flagKey":"g","flag":{"experimentation":{"end":"2020-01-01T00:00:00Z"}}}"#;
        check(&mut evaluator, window.as_bytes(), 2);
        let mut reads = 0;
        let _ = evaluator.evaluate(window.as_bytes(), || {
            reads += 1;
            NOW
        });
        assert_eq!(reads, 1);
    }
}
