//! Differences from the official engine that random comparison found, as it printed them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use goff_engine::{Timestamp, evaluate_document};
use serde_json::Value;

fn check(input: &str, expected: &str) {
    let now = Timestamp::from_unix_seconds(1_700_000_000);
    let answer: Value = serde_json::from_str(&evaluate_document(input.as_bytes(), now)).unwrap();
    let expected: Value = serde_json::from_str(expected).unwrap();
    assert_eq!(answer, expected, "{input}");
}

/// Percentages whose buckets do not fit 32 bits.
#[test]
fn seed_201_case_185198() {
    check(
        r##"{"flag":{"defaultRule":{"percentage":{"False":1e21}}},"evalContext":{"targetingKey":"5","gofeatureflag":{"currentDateTime":"Z"}}}"##,
        r##"{"trackEvents":true,"variationType":"SdkDefault","failed":true,"version":"","reason":"ERROR","errorCode":"FLAG_CONFIG","errorDetails":"impossible to find the variation","value":null,"cacheable":false}"##,
    );
}
