//! Input documents of the engine.

use proptest::prelude::*;

use crate::context::{attributes, scalar, value};
use crate::json::{Text, mostly, object, one_of, quoted, string};
use crate::{flag, json_logic, rule_language};

/// An input document, as one line of JSON.
#[derive(Clone, Debug)]
pub struct Document {
    /// What the document is mostly about.
    pub area: Area,
    /// The JSON text.
    pub text: String,
}

/// What a document is mostly about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Area {
    /// Flags of every kind.
    Flags,
    /// Queries of the rule language; the answer says which is the first to match.
    RuleLanguage,
    /// JSONLogic rules; the answer says which is the first to match.
    JsonLogic,
    /// Respelled and repeated members, odd literals: most do not change the answer.
    Decoding,
}

/// Documents of each area. They set the date of the evaluation, so that answers do not depend on the clock.
pub fn documents() -> impl Strategy<Value = Document> + Clone {
    let of = |area, flag: Text| {
        document(flag, area == Area::Decoding).prop_map(move |text| Document { area, text })
    };
    prop_oneof![
        7 => of(Area::Flags, flag::flag(false)),
        6 => of(Area::RuleLanguage, queries(&rule_language::query())),
        5 => of(Area::JsonLogic, queries(&json_logic::rule())),
        2 => of(Area::Decoding, flag::flag(true)),
    ]
    .boxed()
}

fn document(flag: Text, quirks: bool) -> Text {
    let keys = one_of(&["flag", "my-flag", "", "ключ", "new_checkout", "a/b"]);
    let members = vec![
        (97, "flagKey", string(&keys)),
        (100, "flag", flag),
        (100, "evalContext", eval_context(quirks)),
        (100, "flagContext", flag_context(quirks)),
    ];
    object(members, false)
}

/// A flag with up to six rules, the variant of each named after its place.
fn queries(query: &Text) -> Text {
    prop::collection::vec(query.clone(), 1..7)
        .prop_map(|queries| {
            let rules = queries.iter().enumerate();
            let rules = rules.map(|(index, query)| {
                format!("{{\"query\":{},\"variation\":\"T{index}\"}}", quoted(query))
            });
            let rules = rules.collect::<Vec<_>>().join(",");
            format!("{{\"targeting\":[{rules}],\"defaultRule\":{{\"variation\":\"F\"}}}}")
        })
        .boxed()
}

fn eval_context(quirks: bool) -> Text {
    let user = (0..1000_u16).prop_map(|number| quoted(&format!("user-{number}")));
    let key = mostly(90, &user.boxed(), &scalar());
    let with = |percent| {
        let mut members = attributes(percent);
        members.push((93, "targetingKey", key.clone()));
        object(members, quirks)
    };
    // The date stays as it is, because without it the clock decides.
    (now(), mostly(70, &with(75), &with(36)))
        .prop_map(|(now, context)| match context.strip_prefix('{') {
            Some(rest) if rest != "}" => format!("{{\"gofeatureflag\":{now},{rest}"),
            _ => format!("{{\"gofeatureflag\":{now}}}"),
        })
        .boxed()
}

fn now() -> Text {
    object(vec![(100, "currentDateTime", string(&flag::date()))], false)
}

fn flag_context(quirks: bool) -> Text {
    let with = |percent| {
        let mut members = attributes(percent);
        members.push((10, "gofeatureflag", now()));
        members.push((10, "targetingKey", scalar()));
        object(members, quirks)
    };
    let enrichment = mostly(70, &with(75), &with(15));
    let members = vec![
        (60, "defaultSdkValue", value(3)),
        (25, "evaluationContextEnrichment", enrichment),
    ];
    object(members, quirks)
}
