//! The codes of diagnostics.

use std::fmt;

/// How bad what a diagnostic says is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LintSeverity {
    /// The file is served as it is, and does something that its author probably does not want.
    Warning,
    /// The relay proxy refuses the file, or leaves the flag out.
    Error,
}

impl fmt::Display for LintSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Warning => "warning",
            Self::Error => "error",
        })
    }
}

/// Defines the codes: variant, name, explanation.
macro_rules! codes {
    ($($variant:ident, $name:literal, $explanation:literal;)*) => {
        /// What kind of thing a diagnostic is about. Each has a page `docs/lint/CODE.md`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum LintCode {
            $(
                #[doc = $explanation]
                $variant,
            )*
        }

        impl LintCode {
            /// All codes, in the order of their definition.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name, in lower case with hyphens. It does not change.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }

            /// Why the engine behaves so, and what to do, in one or two sentences.
            #[must_use]
            pub const fn explanation(self) -> &'static str {
                match self {
                    $(Self::$variant => $explanation,)*
                }
            }
        }
    };
}

codes! {
    MalformedFile, "malformed-file",
        "The relay proxy cannot read the file, so it serves none of its flags.";
    UndecodableFlag, "undecodable-flag",
        "A member has a type that the relay proxy cannot decode, and it refuses the whole file for it.";
    InvalidFlag, "invalid-flag",
        "The relay proxy checks each flag when it loads the file, and leaves out one that fails.";
    MissingDefaultRule, "missing-default-rule",
        "A flag without a default rule has no answer where no rule matches, so the relay proxy leaves it out. Add `defaultRule`.";
    MixedVariationTypes, "mixed-variation-types",
        "An application asks for one type; a variation of another type is an error for it. Give all variations one type.";
    BeyondLimit, "beyond-limit",
        "The flag needs more memory or time than this engine spends on one flag; the relay proxy has no such limit.";
    UppercaseOperator, "uppercase-operator",
        "`and`, `or`, `true`, `false`, `null` and `pr` are lower-case only. Any other spelling ends the query, and the rest of it is ignored.";
    IgnoredText, "ignored-text",
        "The engine reads a query as far as it understands it and ignores the rest. Correct the query, or remove the rest.";
    MixedAndOr, "mixed-and-or",
        "`and` and `or` have one precedence and are evaluated from left to right: `a or b and c` is `(a or b) and c`. Write the parentheses.";
    NotWithoutParentheses, "not-without-parentheses",
        "`not` negates what is in parentheses; without them it negates all that follows, `and` and `or` included. Write the parentheses.";
    NeMissing, "ne-missing",
        "A comparison with a missing attribute is false, `ne` too. Write `not (x eq …)` to match contexts without the attribute, or `x pr and x ne …` to show that they are excluded.";
    EqIgnoresCase, "eq-ignores-case",
        "`eq` and `ne` ignore the case of text, `in` does not. Use one of them for one attribute.";
    FractionWithInteger, "fraction-with-integer",
        "Compared with an integer literal, a fraction loses its decimals: 1.9 is equal to 1. Write the literal with a point, as `1.0`.";
    UnsupportedOperator, "unsupported-operator",
        "The literal's type decides which operators there are. Another one makes the comparison false, or the whole query once it is reached.";
    MixedList, "mixed-list",
        "The elements of a list have one type: text, decimals, or integers without a sign. Any other list breaks the query.";
    UnquotedVersion, "unquoted-version",
        "Only a literal with three numbers, as `1.2.0`, is a version. `1.2` is a decimal, which text never equals.";
    QuotedVersion, "quoted-version",
        "Versions in quotes are compared as text, where \"1.10.0\" is less than \"1.9.0\". Remove the quotes.";
    DateWithoutZone, "date-without-zone",
        "A date without a zone is one in UTC. Write the zone, as in `2030-01-31T08:00:00+01:00`.";
    UnwritableDate, "unwritable-date",
        "The relay proxy cannot copy a flag with a scheduled rollout and a zone offset of 24 hours, and evaluates it to an error.";
    PercentagesNot100, "percentages-not-100",
        "Percentages are shares of their sum, so that 50 alone is every user. Let them add up to 100.";
    ZeroPercentage, "zero-percentage",
        "A percentage of zero serves its variation to no context. Remove it, or give it a share.";
    NegativePercentage, "negative-percentage",
        "A negative percentage serves nothing and moves the shares of others; the relay proxy's answer can be random. Only in scheduled steps it has a meaning: it removes the variation.";
    PercentageTooPrecise, "percentage-too-precise",
        "Percentages count in thousandths; further decimals have no effect or lose users. Round to three decimals.";
    NeverMatches, "never-matches",
        "No context satisfies the query, so the rule serves nothing.";
    AlwaysMatches, "always-matches",
        "Every context satisfies the query, so that no later rule and no default rule is reached. Make it the default rule.";
    ShadowedRule, "shadowed-rule",
        "An earlier rule matches every context that this one matches, so this one serves nothing. Reorder or remove it.";
    UnreachableRule, "unreachable-rule",
        "An earlier rule matches every context, so this one serves nothing.";
    DisabledRule, "disabled-rule",
        "The rule is disabled for ever, because no scheduled step enables it. Remove it.";
    HiddenMember, "hidden-member",
        "A progressive rollout hides percentages, and both hide a variation of the same rule. Remove what is hidden.";
    UnusedVariation, "unused-variation",
        "No rule and no scheduled step serves the variation. Remove it, or serve it.";
    UnknownVariation, "unknown-variation",
        "A scheduled step serves a variation that neither the flag nor a step before has; its value is null.";
    RolloutOrder, "rollout-order",
        "A progressive rollout needs two dates, the second after the first. Otherwise each evaluation that reaches it is an error.";
    StepWithoutDate, "step-without-date",
        "A scheduled step without a date is never applied. Add `date`.";
    PastStep, "past-step",
        "The date of the scheduled step is over, and the step is in effect. Merge it into the flag.";
    StepOrder, "step-order",
        "Scheduled steps are applied by date, not in the order of the file. Sort them.";
    RepeatedStep, "repeated-step",
        "The scheduled step changes nothing: it states what holds already, or only members that steps cannot change. Remove it.";
    ExperimentationOver, "experimentation-over",
        "After the end of its experimentation a flag behaves as disabled. Remove the window, or the flag.";
    ExperimentationOrder, "experimentation-order",
        "The experimentation does not end after it begins, so that the flag is always disabled.";
    DisabledByStep, "disabled-by-step",
        "A scheduled step has disabled the flag more than 30 days ago. Remove the flag.";
    UnknownMember, "unknown-member",
        "Members that the relay proxy does not know have no effect. In YAML their names are case-sensitive.";
    SurprisingYaml, "surprising-yaml",
        "YAML gives unquoted scalars types: `0755` is the number 493, `1.0` is 1, `2030-01-01` is a date, and `yes` is text. Quote text, and write `true` and `false` for booleans.";
    DuplicateKey, "duplicate-key",
        "JSON allows a name twice; the server merges both or takes the last. Remove one.";
    UnreachableKey, "unreachable-key",
        "The key is part of a URL: one that is empty, `.`, `..` or contains `/` cannot be asked for over HTTP.";
    BucketingKeyUnmentioned, "bucketing-key-unmentioned",
        "A context without the attribute of `bucketingKey` ends in an error before any rule, and no query here is about that attribute.";
    BucketingKeyUnused, "bucketing-key-unused",
        "Nothing of the flag is split, yet a context without the attribute of `bucketingKey` ends in an error. Remove `bucketingKey`.";
    MetadataNotScalar, "metadata-not-scalar",
        "The metadata of OpenFeature holds booleans, numbers and text only; SDKs leave out other values or turn them into text.";
    TooManyDiagnostics, "too-many-diagnostics",
        "There is more to say about the file. Correct what is listed first.";
}

impl fmt::Display for LintCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
