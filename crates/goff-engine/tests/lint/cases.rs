//! A flag file for each code, and how to write it instead.

use goff_engine::FlagFileFormat::{self, Json, Toml, Yaml};
use goff_engine::LintCode::{self, *};

/// A code, a file that shows it, and the file without it; empty where there is none.
pub(crate) type Case = (LintCode, FlagFileFormat, String, String);

/// A flag with these members between its variations and its default rule.
fn flag(members: &str) -> String {
    format!(
        "new-checkout:\n  variations:\n    enabled: true\n    disabled: false\n{members}  defaultRule:\n    variation: disabled\n"
    )
}

/// A flag with a rule for each query.
fn rules(queries: &[&str]) -> String {
    let rule = |query: &&str| format!("    - query: '{query}'\n      variation: enabled\n");
    let rules: String = queries.iter().map(rule).collect();
    flag(&format!("  targeting:\n{rules}"))
}

/// A flag whose default rule is this.
fn default(rule: &str) -> String {
    format!(
        "new-checkout:\n  variations:\n    enabled: true\n    disabled: false\n  defaultRule:\n{rule}"
    )
}

fn step(members: &str) -> String {
    flag(&format!(
        "  scheduledRollout:\n    - {members}\n      defaultRule:\n        variation: enabled\n"
    ))
}

pub(crate) fn cases() -> Vec<Case> {
    let split = "    percentage:\n      enabled: 20\n      disabled: 80\n";
    let rollout = |initial: &str, end: &str| {
        default(&format!(
            "    progressiveRollout:\n      initial:\n        variation: disabled\n        percentage: 0\n        date: {initial}\n      end:\n        variation: enabled\n        percentage: 100\n        date: {end}\n"
        ))
    };
    let json = |members: &str| {
        format!(
            "{{\"banner\": {{\n  \"variations\": {{\"red\": \"r\", \"blue\": \"b\"}},\n  {members}\n  \"defaultRule\": {{\"percentage\": {{\"red\": 50, \"blue\": 50}}}}\n}}}}\n"
        )
    };
    let named = |name: &str| {
        format!(
            "{name}:\n  variations: {{a: 1, b: 2}}\n  defaultRule: {{percentage: {{a: 50, b: 50}}}}\n"
        )
    };
    let pair = |of: fn(&[&str]) -> String, wrong: &str, right: &str| (of(&[wrong]), of(&[right]));
    let query = |wrong: &str, right: &str| pair(rules, wrong, right);
    let case = |code, (wrong, right): (String, String)| (code, Yaml, wrong, right);
    vec![
        case(MalformedFile, (rules(&["age ge 18"]).replace("  targeting:", " targeting:"), rules(&["age ge 18"]))),
        case(UndecodableFlag, (flag("  disable: soon\n"), flag("  disable: true\n  targeting:\n    - query: 'age ge 18'\n      variation: enabled\n"))),
        case(InvalidFlag, (rules(&["age ge 18"]).replace("on: enabled", "on: on"), rules(&["age ge 18"]))),
        case(MissingDefaultRule, (rules(&["age ge 18"]).replace("  defaultRule:\n    variation: disabled\n", ""), rules(&["age ge 18"]))),
        case(MixedVariationTypes, (rules(&["age ge 18"]).replace("enabled: true", "enabled: \"on\""), rules(&["age ge 18"]))),
        (BeyondLimit, Yaml, String::new(), String::new()),
        case(UppercaseOperator, query("plan eq \"pro\" AND age ge 18", "plan eq \"pro\" and age ge 18")),
        case(IgnoredText, query("plan eq \"pro\" && age ge 18", "plan eq \"pro\" and age ge 18")),
        case(MixedAndOr, query("country eq \"FR\" or country eq \"DE\" and age ge 18", "country eq \"FR\" or (country eq \"DE\" and age ge 18)")),
        case(NotWithoutParentheses, query("not plan eq \"free\" and age ge 18", "not (plan eq \"free\") and age ge 18")),
        case(NeMissing, query("plan ne \"free\"", "plan pr and plan ne \"free\"")),
        case(EqIgnoresCase, (rules(&["country eq \"FR\" and age ge 18", "country in [\"FR\", \"DE\"]"]), rules(&["country in [\"FR\"] and age ge 18", "country in [\"FR\", \"DE\"]"]))),
        case(FractionWithInteger, (rules(&["score gt 4.5 or score eq 1"]), rules(&["score gt 4.5 or score eq 1.0"]))),
        case(UnsupportedOperator, query("age ge 18 and zip sw 75", "age ge 18 and zip sw \"75\"")),
        case(MixedList, query("age ge 18 and code in [1, \"2\"]", "age ge 18 and code in [\"1\", \"2\"]")),
        case(UnquotedVersion, query("appVersion ge 1.10", "appVersion ge 1.10.0")),
        case(QuotedVersion, query("appVersion ge \"1.10.0\"", "appVersion ge 1.10.0")),
        case(DateWithoutZone, (step("date: 2030-06-01 08:00:00"), step("date: 2030-06-01T08:00:00+02:00"))),
        case(UnwritableDate, (step("date: 2030-06-01T08:00:00+24:00"), step("date: 2030-06-01T08:00:00+02:00"))),
        case(PercentagesNot100, (default(&split.replace("80", "70")), default(split))),
        case(ZeroPercentage, (default(&split.replace("20", "0").replace("80", "100")), default(split))),
        case(NegativePercentage, (default(&split.replace("20", "-20").replace("80", "120")), default(split))),
        case(PercentageTooPrecise, (default(&split.replace("20", "20.0004").replace("80", "79.9996")), default(split))),
        case(NeverMatches, query("plan eq \"pro\" and plan eq \"team\"", "plan eq \"pro\" or plan eq \"team\"")),
        case(AlwaysMatches, query("anonymous pr", "anonymous eq true")),
        case(ShadowedRule, (rules(&["age ge 18", "age ge 65 and plan eq \"pro\""]), rules(&["age ge 65 and plan eq \"pro\"", "age ge 18"]))),
        case(UnreachableRule, (rules(&["targetingKey pr", "age ge 18"]), rules(&["age ge 18"]))),
        case(DisabledRule, (rules(&["age ge 18", "plan eq \"pro\""]).replacen("      variation: enabled\n", "      variation: enabled\n      disable: true\n", 1), rules(&["plan eq \"pro\""]))),
        case(HiddenMember, (default(&format!("{split}    variation: enabled\n")), default(split))),
        case(UnusedVariation, (flag(""), rules(&["age ge 18"]))),
        case(UnknownVariation, (step("date: 2030-06-01T08:00:00Z").replace("on: enabled", "on: all").replace("  scheduled", "  targeting:\n    - query: 'age ge 18'\n      variation: enabled\n  scheduled"), step("date: 2030-06-01T08:00:00Z"))),
        case(RolloutOrder, (rollout("2030-07-01T00:00:00Z", "2030-06-01T00:00:00Z"), rollout("2030-06-01T00:00:00Z", "2030-07-01T00:00:00Z"))),
        case(StepWithoutDate, (step("disable: false"), step("date: 2030-06-01T08:00:00Z"))),
        case(PastStep, (step("date: 2029-06-01T08:00:00Z"), step("date: 2030-06-01T08:00:00Z"))),
        case(StepOrder, (step("date: 2030-06-01T08:00:00Z").replace("  defaultRule:\n    variation: disabled", "    - date: 2030-05-01T08:00:00Z\n      disable: true\n  defaultRule:\n    variation: disabled"), step("date: 2030-05-01T08:00:00Z\n      disable: true\n    - date: 2030-06-01T08:00:00Z"))),
        case(RepeatedStep, (step("date: 2030-06-01T08:00:00Z\n      disable: false").replace("      defaultRule:\n        variation: enabled\n", "").replacen("  scheduled", "  targeting:\n    - query: 'age ge 18'\n      variation: enabled\n  scheduled", 1), step("date: 2030-06-01T08:00:00Z"))),
        case(ExperimentationOver, (rules(&["age ge 18"]) + "  experimentation:\n    start: 2029-01-01T00:00:00Z\n    end: 2029-02-01T00:00:00Z\n", rules(&["age ge 18"]))),
        case(ExperimentationOrder, (rules(&["age ge 18"]) + "  experimentation:\n    start: 2030-03-01T00:00:00Z\n    end: 2030-02-01T00:00:00Z\n", rules(&["age ge 18"]) + "  experimentation:\n    start: 2030-02-01T00:00:00Z\n    end: 2030-03-01T00:00:00Z\n")),
        case(DisabledByStep, (rules(&["age ge 18"]) + "  scheduledRollout:\n    - date: 2029-06-01T08:00:00Z\n      disable: true\n", rules(&["age ge 18"]))),
        case(UnknownMember, (rules(&["age ge 18"]).replace("targeting", "targetting").replace("on: disabled", "on: enabled").replacen("    disabled: false\n", "", 1), rules(&["age ge 18"]))),
        case(SurprisingYaml, ("retries:\n  variations:\n    few: 010\n    many: 50\n  defaultRule:\n    percentage:\n      few: 50\n      many: 50\n".to_owned(), "retries:\n  variations:\n    few: 10\n    many: 50\n  defaultRule:\n    percentage:\n      few: 50\n      many: 50\n".to_owned())),
        (DuplicateKey, Json, json("\"version\": \"1\",\n  \"version\": \"2\","), json("\"version\": \"2\",")),
        case(UnreachableKey, (named("checkout/new"), named("checkout-new"))),
        case(BucketingKeyUnmentioned, (rules(&["age ge 18"]).replace("variation: disabled", "percentage:\n      enabled: 20\n      disabled: 80") + "  bucketingKey: teamId\n", rules(&["teamId pr and age ge 18"]).replace("variation: disabled", "percentage:\n      enabled: 20\n      disabled: 80") + "  bucketingKey: teamId\n")),
        case(BucketingKeyUnused, (rules(&["age ge 18"]) + "  bucketingKey: teamId\n", rules(&["age ge 18"]))),
        case(MetadataNotScalar, (rules(&["age ge 18"]) + "  metadata:\n    owners: [checkout, payment]\n", rules(&["age ge 18"]) + "  metadata:\n    owners: checkout, payment\n")),
        (TooManyDiagnostics, Toml, String::new(), String::new()),
    ]
}
