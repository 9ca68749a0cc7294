//! This client's own evaluation context: built once, then immutable, with its hash at hand.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::context::{Attribute, AttributeRef};
use crate::context::{ContextError, ContextView, canonical, is_name};

/// Who a flag is evaluated for: an optional targeting key and attributes by name.
///
/// Immutable once built, so that evaluations share it and its hash is computed once. An attribute
/// that JSON cannot hold (NaN, for example) is kept and makes every evaluation with this context
/// fail with `INVALID_CONTEXT`, naming the attribute.
///
/// ```
/// # use goff_core::EvaluationContext;
/// let context = EvaluationContext::builder()
///     .targeting_key("user-1")
///     .attribute("email", "john.doe@example.org")
///     .attribute("age", 30)
///     .attribute("labels", vec!["pro", "beta"])
///     .build();
/// ```
#[derive(Debug, Clone)]
pub struct EvaluationContext {
    targeting_key: Option<Box<str>>,
    /// Sorted by name; names are unique.
    attributes: Box<[(Box<str>, Attribute)]>,
    /// How many of the attributes count when contexts are compared.
    counted: usize,
    hash: Result<u64, ContextError>,
    /// Shared by a context, its clones, and what is copied from a view of it.
    identity: Identity,
}

/// Equal for contexts of one origin, which are the same context, exporter metadata aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity(u64);

impl Identity {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl EvaluationContext {
    /// Starts an empty context.
    pub fn builder() -> EvaluationContextBuilder {
        EvaluationContextBuilder::default()
    }

    /// Copies what a view shows.
    #[must_use]
    pub fn from_view(view: &dyn ContextView) -> Self {
        let mut attributes = Vec::new();
        let _ = view.visit(&mut |name, attribute| {
            attributes.push((name.into(), attribute.to_attribute()));
            ControlFlow::Continue(())
        });
        let mut context = Self::assemble(view.targeting_key().map(Into::into), attributes);
        if let Some(built) = view.built() {
            context.identity = built.identity;
        }
        context
    }

    /// Whether a view shows the same context: equal attributes of equal types in any order,
    /// exporter metadata aside.
    #[must_use]
    pub fn is_same(&self, view: &dyn ContextView) -> bool {
        if let Some(built) = view.built()
            && built.identity == self.identity
        {
            return true;
        }
        if self.targeting_key() != view.targeting_key() {
            return false;
        }
        let view = view.without_exporter_metadata().unwrap_or(view);
        let mut seen = 0;
        let compared = view.visit(&mut |name, theirs| {
            if !canonical::counts(name, &theirs) {
                return ControlFlow::Continue(());
            }
            seen += 1;
            match self.find(name) {
                Some(ours) if canonical::same_attribute(name, ours, &theirs) => {
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(()),
            }
        });
        compared.is_continue() && seen == self.counted
    }

    #[inline]
    fn find(&self, name: &str) -> Option<&Attribute> {
        // Up to about a dozen attributes a scan is faster than a search.
        let found = if self.attributes.len() <= SCANNED {
            self.attributes.iter().find(|(own, _)| is_name(own, name))
        } else {
            self.attributes
                .binary_search_by(|(own, _)| (**own).cmp(name))
                .ok()
                .and_then(|index| self.attributes.get(index))
        };
        found.map(|(_, attribute)| attribute)
    }

    fn assemble(targeting_key: Option<Box<str>>, attributes: Vec<(Box<str>, Attribute)>) -> Self {
        let mut sorted = attributes;
        // Stable, so that of equal names the one set last comes last and is the one kept.
        sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
        sorted.reverse();
        sorted.dedup_by(|(left, _), (right, _)| left == right);
        sorted.reverse();
        let counted = sorted
            .iter()
            .filter(|(name, attribute)| canonical::counts(name, &attribute.to_ref()))
            .count();
        let mut context = Self {
            targeting_key,
            attributes: sorted.into(),
            counted,
            hash: Ok(0),
            identity: Identity::new(),
        };
        context.hash = canonical::hash(&context);
        context
    }
}

impl ContextView for EvaluationContext {
    fn targeting_key(&self) -> Option<&str> {
        self.targeting_key.as_deref()
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        self.find(name).map(Attribute::to_ref)
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.attributes
            .iter()
            .try_for_each(|(name, attribute)| visitor(name, attribute.to_ref()))
    }

    fn canonical_hash(&self) -> Result<u64, ContextError> {
        self.hash.clone()
    }

    fn built(&self) -> Option<&EvaluationContext> {
        Some(self)
    }
}

impl Default for EvaluationContext {
    /// No targeting key, no attributes.
    fn default() -> Self {
        Self::assemble(None, Vec::new())
    }
}

impl PartialEq for EvaluationContext {
    /// The same context, exporter metadata aside.
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash && self.is_same(other)
    }
}

/// Collects what an [`EvaluationContext`] is made of. Setters never fail.
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct EvaluationContextBuilder {
    targeting_key: Option<Box<str>>,
    attributes: Vec<(Box<str>, Attribute)>,
}

impl EvaluationContextBuilder {
    /// Whom the evaluation is for; decides percentage rollouts.
    pub fn targeting_key(mut self, key: impl Into<String>) -> Self {
        self.targeting_key = Some(key.into().into());
        self
    }

    /// Sets an attribute. A name that was set before takes the new value.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Attribute>) -> Self {
        self.attributes.push((name.into().into(), value.into()));
        self
    }

    /// The finished context.
    #[must_use]
    pub fn build(self) -> EvaluationContext {
        EvaluationContext::assemble(self.targeting_key, self.attributes)
    }
}

const SCANNED: usize = 16;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn context(
        attributes: impl IntoIterator<Item = (&'static str, Attribute)>,
    ) -> EvaluationContext {
        attributes
            .into_iter()
            .fold(EvaluationContext::builder(), |builder, (name, value)| {
                builder.attribute(name, value)
            })
            .build()
    }

    #[test]
    fn attribute_set_last_wins() {
        let context = EvaluationContext::builder()
            .attribute("a", 1)
            .attribute("b", true)
            .attribute("a", 2)
            .attribute("a", 3)
            .build();
        assert_eq!(context.attribute("a").unwrap(), Attribute::from(3));
        assert_eq!(context.attribute("b").unwrap(), Attribute::from(true));
        assert_eq!(context.attributes.len(), 2);
        assert!(context.attribute("c").is_none());
    }

    #[test]
    fn attribute_is_found_among_many() {
        let names: Vec<String> = (0..100).map(|n| format!("attribute-{n}")).collect();
        let context = names
            .iter()
            .enumerate()
            .fold(EvaluationContext::builder(), |builder, (n, name)| {
                builder.attribute(name.clone(), n as u64)
            })
            .build();
        for (n, name) in names.iter().enumerate() {
            assert_eq!(context.attribute(name).unwrap(), Attribute::from(n as u64));
        }
        assert!(context.attribute("attribute-100").is_none());
    }

    #[test]
    fn kinds_of_value_make_different_contexts() {
        let kinds = [
            Attribute::from(1),
            Attribute::from(1.0),
            Attribute::from("1"),
            Attribute::from(true),
            Attribute::from(Value::Null),
            Attribute::from(json!([1])),
            Attribute::from(json!([1.0])),
            Attribute::from(json!({"a": 1})),
            Attribute::from(json!({"a": 1.0})),
            Attribute::from(u64::MAX),
            Attribute::from(""),
        ];
        for (i, left) in kinds.iter().enumerate() {
            for (j, right) in kinds.iter().enumerate() {
                let (a, b) = (
                    context([("x", left.clone())]),
                    context([("x", right.clone())]),
                );
                assert_eq!(a == b, i == j, "{left:?} and {right:?}");
                assert_eq!(a.hash == b.hash, i == j, "{left:?} and {right:?}");
            }
        }
    }

    #[test]
    fn missing_empty_and_real_targeting_keys_differ() {
        let contexts = [
            EvaluationContext::default(),
            EvaluationContext::builder().targeting_key("").build(),
            EvaluationContext::builder().targeting_key("a").build(),
            EvaluationContext::builder()
                .attribute("targetingKey", "a")
                .build(),
        ];
        for (i, left) in contexts.iter().enumerate() {
            for (j, right) in contexts.iter().enumerate() {
                assert_eq!(left == right, i == j);
            }
        }
    }

    /// GOFF-CACHE-004: constant exporter metadata is no part of the key, `currentDateTime` is.
    #[test]
    fn exporter_metadata_does_not_count_and_its_siblings_do() {
        let goff = |value: Value| context([("gofeatureflag", value.into())]);
        let plain = EvaluationContext::default();
        for insignificant in [
            json!({}),
            json!({"exporterMetadata": {"a": 1}}),
            json!("not a map"),
            json!(null),
        ] {
            let context = goff(insignificant);
            assert_eq!(plain, context);
            assert_eq!(context, plain);
            assert_eq!(plain.hash, context.hash);
        }
        let dated = goff(json!({"currentDateTime": "2026-01-01T00:00:00Z"}));
        let later = goff(json!({"currentDateTime": "2026-01-02T00:00:00Z"}));
        let enriched = goff(json!({
            "currentDateTime": "2026-01-01T00:00:00Z",
            "exporterMetadata": {"provider": "rust"},
        }));
        assert_ne!(plain, dated);
        assert_ne!(dated, plain);
        assert_ne!(dated, later);
        assert_eq!(dated, enriched);
        assert_eq!(dated.hash, enriched.hash);
    }

    #[test]
    fn unreadable_attribute_is_named() {
        let context = context([("fine", 1.into()), ("rate", f64::NAN.into())]);
        let error = context.canonical_hash().unwrap_err();
        assert_eq!(error.attribute, "rate");
        assert_eq!(
            error.to_string(),
            "attribute `rate` holds NaN or an infinity, which JSON cannot"
        );
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..3_i64).prop_map(Value::from),
            (-3..3_i32).prop_map(|n| Value::from(f64::from(n))),
            "[a-c]{0,2}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]{1,2}", inner, 0..3)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn any_attributes() -> impl Strategy<Value = Vec<(String, Value)>> {
        prop::collection::btree_map("[a-d]{1,2}|gofeatureflag", any_json(), 0..5)
            .prop_map(|map| map.into_iter().collect())
    }

    fn build(key: Option<&str>, attributes: &[(String, Value)]) -> EvaluationContext {
        let builder = attributes
            .iter()
            .fold(EvaluationContext::builder(), |builder, (name, value)| {
                builder.attribute(name.clone(), value.clone())
            });
        match key {
            None => builder,
            Some(key) => builder.targeting_key(key),
        }
        .build()
    }

    /// What the key stands for, spelled out: attributes by name, `gofeatureflag` cut down to the
    /// caller's members.
    fn meaning(key: Option<&str>, attributes: &[(String, Value)]) -> String {
        let mut map = serde_json::Map::new();
        for (name, value) in attributes {
            let mut value = value.clone();
            if name == "gofeatureflag" {
                let Value::Object(members) = &mut value else {
                    continue;
                };
                members.remove("exporterMetadata");
                if members.is_empty() {
                    continue;
                }
            }
            map.insert(name.clone(), value);
        }
        format!("{key:?} {}", Value::Object(map))
    }

    #[test]
    fn contexts_of_one_origin_are_known_without_a_look() {
        let context = context([("x", 1.into())]);
        let copy = EvaluationContext::from_view(&context);
        assert_eq!(copy.identity, context.identity);
        assert_eq!(context.clone().identity, context.identity);
        let twin = self::context([("x", 1.into())]);
        assert_ne!(twin.identity, context.identity);
        assert_eq!(twin, context);
    }

    proptest! {
        #[test]
        fn insertion_order_never_matters(
            attributes in any_attributes(),
            key in prop::option::of("[ab]?"),
            seed in any::<u64>(),
        ) {
            let mut shuffled = attributes.clone();
            for i in (1..shuffled.len()).rev() {
                shuffled.swap(i, (seed.rotate_left(i as u32) as usize) % (i + 1));
            }
            let (left, right) = (
                build(key.as_deref(), &attributes),
                build(key.as_deref(), &shuffled),
            );
            prop_assert_eq!(&left.hash, &right.hash);
            prop_assert_eq!(left, right);
        }

        #[test]
        fn contexts_are_equal_exactly_when_they_mean_the_same(
            left in any_attributes(),
            right in any_attributes(),
            left_key in prop::option::of("[ab]?"),
            right_key in prop::option::of("[ab]?"),
        ) {
            let same = meaning(left_key.as_deref(), &left) == meaning(right_key.as_deref(), &right);
            let (left, right) = (
                build(left_key.as_deref(), &left),
                build(right_key.as_deref(), &right),
            );
            prop_assert_eq!(left == right, same);
            prop_assert_eq!(left.is_same(&right), same);
            prop_assert_eq!(right.is_same(&left), same);
            if same {
                prop_assert_eq!(left.hash, right.hash);
            }
        }

        #[test]
        fn copy_of_a_view_is_the_same_context(attributes in any_attributes()) {
            let context = build(Some("user"), &attributes);
            prop_assert_eq!(EvaluationContext::from_view(&context), context);
        }
    }
}
