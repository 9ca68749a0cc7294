//! Files of the shapes of upstream's examples and test data: those with sensible values are silent, and the mistakes of
//! two are found.

use goff_engine::FlagFileFormat::{self, Json, Toml, Yaml};
use goff_engine::lint;

use crate::now;

#[track_caller]
fn check(format: FlagFileFormat, text: &str, found: &[&str]) {
    let diagnostics = lint(text, format, now());
    let messages: Vec<&str> = diagnostics.iter().map(|it| &*it.message).collect();
    assert_eq!(messages, found, "{text}");
}

/// examples/openfeature_web: several rules in order, over attributes of a user.
#[test]
fn badges_by_attributes() {
    let text = "
badge-title:
  variations: {authentified: Authenticated, anonymous: Anonymous, premium: Premium User}
  targeting:
    - query: premium eq true
      variation: premium
    - query: anonymous eq false
      variation: authentified
  defaultRule:
    variation: anonymous

beta:
  variations: {beta: true, default: false}
  targeting:
    - query: beta eq true
      variation: beta
  defaultRule:
    variation: default
";
    check(Yaml, text, &[]);
}

/// examples/demo: a split, beside rules that are commented out.
#[test]
fn a_split_beside_comments() {
    let text = "
color-box:
  variations:
    green_var: green
    red_var: red
  targeting:
    # All users with an id that ends with 9
#    - query: key ew \"9\"
#      variation: green_var
  defaultRule:
#    variation: red_var
    percentage:
      green_var: 10
      red_var: 90
";
    check(Yaml, text, &[]);
}

/// examples/rollout_experimentation, with dates that lie ahead.
#[test]
fn an_experiment() {
    let text = "
experimentation-flag:
  variations:
    A_var: A
    B_var: B
  defaultRule:
    percentage:
      A_var: 50
      B_var: 50
  experimentation:
    start: 2030-03-20T00:00:00.10-05:00
    end: 2030-03-21T00:00:00.10-05:00
";
    check(Yaml, text, &[]);
}

/// examples/rollout_progressive.
#[test]
fn a_progressive_rollout() {
    let text = "
progressive-flag:
  variations:
    A: A
    B: B
  targeting:
    - name: legacy
      query: key eq \"random-key\"
      variation: A
  defaultRule:
    name: DefaultRule
    progressiveRollout:
      initial:
        variation: A
        date: 2030-03-20T00:00:00.10-05:00
      end:
        variation: B
        date: 2030-03-21T00:00:00.10-05:00
";
    check(Yaml, text, &[]);
}

/// examples/rollout_scheduled: steps that change the query of a named rule. Upstream gives a variation that nothing
/// serves, and shares of 0 and 100; the linter says so of its file.
#[test]
fn a_schedule() {
    let text = "
new-admin-access:
  variations:
    disabled: false
    enabled: true
  targeting:
    - name: rule_1
      query: key eq \"785a14bf-d2c5-4caa-9c70-2bbc4e3732a5\"
      variation: enabled
  defaultRule:
    variation: disabled
  scheduledRollout:
    - date: 2030-04-10T00:00:00.1+02:00
      targeting:
        - name: rule_1
          query: beta eq true
    - date: 2032-05-12T15:36:00.1+02:00
      targeting:
        - name: rule_1
          query: beta eq true or admin eq true
";
    check(Yaml, text, &[]);
}

/// testdata/flag-config-custom-bucketingkey.yaml, with its `percentage` where it belongs.
#[test]
fn a_bucketing_key() {
    let text = "
my-flag:
  variations:
    variation_A: value_A
    variation_B: value_B
  bucketingKey: teamId
  targeting:
    - query: teamId eq \"team-1\"
      variation: variation_A
  defaultRule:
    percentage:
      variation_A: 33
      variation_B: 67
";
    check(Yaml, text, &[]);
}

/// openfeature/provider_tests: a flag of each type, with metadata, in JSON.
#[test]
fn a_flag_of_each_type() {
    let flag = |name: &str, on: &str, off: &str| {
        format!(
            r#""{name}": {{"variations": {{"True": {on}, "Default": {off}}},
                "targeting": [{{"name": "rule1", "query": "email eq \"john.doe@gofeatureflag.org\"", "variation": "True"}}],
                "defaultRule": {{"name": "defaultRule", "variation": "Default"}},
                "metadata": {{"description": "a flag", "pr_link": "https://example.com/1", "owners": 2}},
                "version": "1.2.0", "trackEvents": true}}"#
        )
    };
    let flags = [
        flag("bool_targeting_match", "true", "false"),
        flag("string_key", r#""CC0000""#, r#""CC0002""#),
        flag("integer_key", "100", "101"),
        flag("double_key", "100.25", "101.25"),
        flag("object_key", r#"{"test": "a"}"#, r#"{"test": "b"}"#),
        flag("list_key", r#"["a", "b"]"#, r#"["c"]"#),
    ];
    check(Json, &format!("{{{}}}", flags.join(",")), &[]);
}

/// testdata/test.toml: the same in TOML.
#[test]
fn a_file_in_toml() {
    let text = r#"
[test-flag]
trackEvents = false
[test-flag.variations]
true_var = true
false_var = false
[[test-flag.targeting]]
name = "rule1"
query = 'key eq "random-key"'
[test-flag.targeting.percentage]
true_var = 20
false_var = 80
[test-flag.defaultRule]
name = "defaultRule"
variation = "false_var"
[test-flag.metadata]
description = "a simple feature flag"
"#;
    check(Toml, text, &[]);
}

/// Queries as upstream's documentation writes them.
#[test]
fn queries_of_the_documentation() {
    let text = r#"
queries:
  variations: {a: 1, b: 2}
  targeting:
    - {query: 'email co "@company.com" and beta eq true', variation: a}
    - {query: 'version ge 1.10.0', variation: a}
    - {query: 'company.size gt 100', variation: a}
    - {query: '(country eq "FR" and plan in ["pro", "team"]) or admin pr', variation: a}
    - {query: '{"and": [{">=": [{"var": "age"}, 18]}, {"in": [{"var": "plan"}, ["pro", "team"]]}]}', variation: a}
  defaultRule: {variation: b}
"#;
    check(Yaml, text, &[]);
}

/// A flag that is switched off by hand stays in the file for a while.
#[test]
fn a_flag_that_is_switched_off() {
    let text = "
disabled_bool:
  variations: {on: true, off: false}
  targeting:
    - {query: beta eq true, variation: on}
  defaultRule: {variation: off}
  disable: true
";
    let diagnostics = lint(text, Yaml, now());
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
}

/// examples/rollout_scheduled and testdata/flag-config-custom-bucketingkey.yaml with the mistakes that they have.
#[test]
fn mistakes_of_upstream_s_files_are_found() {
    let text = "
new-admin-access:
  variations: {default: false, false_var: false, true_var: true}
  targeting:
    - query: key eq \"785a14bf\"
      name: rule_1
      percentage: {false_var: 0, true_var: 100}
  defaultRule: {variation: default}
  scheduledRollout:
    - targeting: [{name: rule_1, query: beta eq \"true\"}]
      date: 2020-04-10T00:00:00.1+02:00
";
    let found = [
        "flag `new-admin-access`: variation `false_var` has a share of 0, so no context gets it",
        "flag `new-admin-access`: the scheduled step is in effect since its date",
    ];
    check(Yaml, text, &found);
    let text = "
my-flag:
  variations: {variation_A: value_A, variation_B: value_B, variation_C: value_C}
  bucketingKey: teamId
  defaultRule:
      variation: variation_A
      percentage:
      variation_A: 33
      variation_B: 67
";
    let found = [
        "flag `my-flag`: variation `variation_B` is never served",
        "flag `my-flag`: variation `variation_C` is never served",
        "flag `my-flag`: nothing is split by `teamId`, and contexts without it end in an error",
        "flag `my-flag`: member `variation_A` is unknown and has no effect",
        "flag `my-flag`: member `variation_B` is unknown and has no effect",
    ];
    check(Yaml, text, &found);
}
