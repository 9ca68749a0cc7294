//! Flag files that are unusual or invalid.

/// Files with flags in unusual or invalid forms. The served flags show how a relay proxy reads them.
pub(super) const FLAG_FILES: &[&str] = &[
    // Unknown members, nulls, names of other types.
    "\
f:
  owner: team
  variations: {a: 1, b: 2.0, c: -0.5}
  targeting:
    - {name: 7, query: x eq 1, variation: a, comment: none}
    - {name: null, query: x eq 2, variation: b, disable: true}
  defaultRule: {percentage: {a: 10, b: 90.5}, by: us}
  trackEvents: null
  version: 1.0
  metadata: {version: 1.0, date: 2024-01-01, moment: 2024-1-2 3:04:05.60, zoned: 2024-01-01T1:00:00+02:00, text: '2024-01-01', no-date: 2024-13-01, list: [1, null, yes], none: null}
",
    // Dates in every form.
    "\
f:
  variations: {a: true, b: false}
  defaultRule:
    progressiveRollout:
      initial: {variation: a, percentage: 0, date: 2024-01-01T00:00:00.500Z}
      end: {variation: b, percentage: 100, date: 2024-02-01T00:00:00+02:00}
  experimentation: {start: 2024-01-01, end: 2999-12-31T10:00:00.120000000-01:30}
  scheduledRollout:
    - {date: 2024-01-01T00:00:00Z, disable: false, note: x, metadata: {a: 1}}
    - {date: 2998-01-01T00:00:00Z, targeting: [{name: r, query: x eq 1, variation: a}]}
",
    // Integers of every size, in variations and metadata.
    "\
f:
  variations: {a: 9007199254740993, b: -9223372036854775808, c: 0x10, d: 0}
  defaultRule: {variation: a}
  metadata: {m: 18446744073709551615, n: 9007199254740993, o: 1e3, p: 0o17}
g:
  variations: {a: 1e21, b: 1.5e-7, c: 100.0}
  defaultRule: {variation: a}
",
    // Invalid flags are left out.
    "\
fine: {variations: {a: text}, defaultRule: {variation: a}}
no-variations: {defaultRule: {variation: a}}
no-default-rule: {variations: {a: 1}}
mixed-types: {variations: {a: 1, b: text}, defaultRule: {variation: a}}
null-variation: {variations: {a: null}, defaultRule: {variation: a}}
unknown-variation: {variations: {a: 1}, defaultRule: {variation: b}}
bad-query: {variations: {a: 1}, targeting: [{query: x eq, variation: a}], defaultRule: {variation: a}}
no-query: {variations: {a: 1}, targeting: [{variation: a}], defaultRule: {variation: a}}
same-names: {variations: {a: 1}, targeting: [{name: r, query: x eq 1, variation: a}, {name: r, query: x eq 1, variation: a}], defaultRule: {variation: a}}
zero-percentages: {variations: {a: 1}, defaultRule: {percentage: {a: 0}}}
no-percentages: {variations: {a: 1}, defaultRule: {percentage: {}}}
",
    // Anchors, merges, block scalars, empty lists.
    "\
base: &base
  variations: {a: [1, {b: c}], b: []}
  defaultRule: {variation: a}
copy: {<<: *base, disable: true}
folded:
  variations: {a: x}
  targeting:
    - query: >-
        x eq 1
        and x eq 1
      variation: a
  defaultRule: {variation: a}
empty: {variations: {a: {}}, targeting: [], defaultRule: {variation: a}, metadata: {}, scheduledRollout: []}
<html> & \"quotes\": {variations: {a: \"<b>\"}, defaultRule: {variation: a}}
",
    // JSON, which is YAML.
    r#"{"f": {"variations": {"a": 1, "b": 2}, "targeting": [{"query": "{\"==\": [{\"var\": \"x\"}, 1]}", "variation": "b"}],
        "defaultRule": {"variation": "a"}, "bucketingKey": "team"}}"#,
    // Refused files, which leave the earlier flags.
    "f: {variations: 7}",
    "f: {variations: {a: 1}, defaultRule: {variation: a}, disable: maybe}",
    "f: {variations: {a: 1}, defaultRule: {percentage: {a: many}}}",
    "f: [",
    "[]",
    "text",
    // No flags.
    "{}",
    "f: {}",
];
