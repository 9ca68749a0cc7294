//! The native evaluation context: immutable, with its hash.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::context::canonical::{counts, hash_of_content, same_attribute};
use crate::context::content::{Content, Sealed};
use crate::context::{Attribute, AttributeRef, ContextView};

/// The subject of an evaluation: an optional targeting key and attributes by name.
///
/// It is immutable, its clones share their content, and its hash is computed once. An attribute that
/// JSON cannot represent (NaN, for example) stays in the context and makes evaluations fail with
/// `INVALID_CONTEXT`, naming the attribute: every remote one, because the whole context is sent,
/// and in process those that read the attribute.
///
/// `Debug` shows the names of the attributes, and neither their values nor the targeting key:
/// contexts describe people, and `Debug` texts end in logs. [`visit`](ContextView::visit) reads the
/// values.
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
#[derive(Clone)]
pub struct EvaluationContext {
    content: Arc<Content>,
}

impl EvaluationContext {
    /// Starts an empty context.
    pub fn builder() -> EvaluationContextBuilder {
        EvaluationContextBuilder::default()
    }

    /// Copies the content of a view.
    #[must_use]
    pub fn from_view(view: &dyn ContextView) -> Self {
        let mut attributes = Vec::new();
        let _ = view.visit(&mut |name, attribute| {
            attributes.push((name.into(), attribute.to_attribute()));
            ControlFlow::Continue(())
        });
        Self::assemble(view.targeting_key().map(Into::into), attributes)
    }

    /// Whether a view has the same content: the same targeting key and equal attributes of equal
    /// types, in any order and without exporter metadata.
    #[must_use]
    pub fn is_same(&self, view: &dyn ContextView) -> bool {
        if self.targeting_key() != view.targeting_key() {
            return false;
        }
        let (mut visited, mut counted) = (0, 0);
        let compared = view.visit(&mut |name, theirs| {
            let ours = self.find_near(visited, name);
            visited += 1;
            if !counts(name, &theirs) {
                return ControlFlow::Continue(());
            }
            counted += 1;
            match ours {
                Some(ours) if same_attribute(name, &ours.to_ref(), &theirs) => {
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(()),
            }
        });
        compared.is_continue() && counted == self.content.counted
    }

    /// The attribute of that name, which a view of a native context visits at this index.
    fn find_near(&self, index: usize, name: &str) -> Option<&Attribute> {
        match self.content.attributes.get(index) {
            Some((own, attribute)) if **own == *name => Some(attribute),
            _ => self.find(name),
        }
    }

    fn find(&self, name: &str) -> Option<&Attribute> {
        let attributes = &self.content.attributes;
        let index = if attributes.len() <= FEW {
            attributes.iter().position(|(own, _)| **own == *name)
        } else {
            attributes
                .binary_search_by(|(own, _)| (**own).cmp(name))
                .ok()
        };
        attributes.get(index?).map(|(_, attribute)| attribute)
    }

    fn assemble(targeting_key: Option<Box<str>>, attributes: Vec<(Box<str>, Attribute)>) -> Self {
        let mut sorted = attributes;
        // The sort is stable: of equal names the one that was set last comes last and stays.
        sorted.sort_by(|(left, _), (right, _)| left.cmp(right));
        sorted.reverse();
        sorted.dedup_by(|(left, _), (right, _)| left == right);
        sorted.reverse();
        let counted = sorted
            .iter()
            .filter(|(name, attribute)| counts(name, &attribute.to_ref()))
            .count();
        Self {
            content: Arc::new(Content {
                hash: hash_of_content(targeting_key.as_deref(), &sorted),
                targeting_key,
                attributes: sorted.into(),
                counted,
            }),
        }
    }
}

/// Up to so many attributes are searched one by one, which is faster than a binary search (bench
/// row "cached, native, from an SDK context").
const FEW: usize = 16;

impl ContextView for EvaluationContext {
    fn targeting_key(&self) -> Option<&str> {
        self.content.targeting_key.as_deref()
    }

    fn attribute(&self, name: &str) -> Option<AttributeRef<'_>> {
        self.find(name).map(Attribute::to_ref)
    }

    fn visit<'s>(
        &'s self,
        visitor: &mut dyn FnMut(&'s str, AttributeRef<'s>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        self.content
            .attributes
            .iter()
            .try_for_each(|(name, attribute)| visitor(name, attribute.to_ref()))
    }

    fn native(&self, _: Sealed) -> Option<&Arc<Content>> {
        Some(&self.content)
    }
}

impl fmt::Debug for EvaluationContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Content {
            targeting_key,
            attributes,
            ..
        } = &*self.content;
        write_names(f, "EvaluationContext", targeting_key.is_some(), attributes)
    }
}

impl fmt::Debug for EvaluationContextBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_key = self.targeting_key.is_some();
        write_names(f, "EvaluationContextBuilder", has_key, &self.attributes)
    }
}

fn write_names(
    f: &mut fmt::Formatter<'_>,
    type_name: &str,
    has_targeting_key: bool,
    attributes: &[(Box<str>, Attribute)],
) -> fmt::Result {
    let names: Vec<_> = attributes.iter().map(|(name, _)| name).collect();
    f.debug_struct(type_name)
        .field("has_targeting_key", &has_targeting_key)
        .field("attributes", &names)
        .finish_non_exhaustive()
}

impl Default for EvaluationContext {
    /// No targeting key, no attributes.
    fn default() -> Self {
        Self::assemble(None, Vec::new())
    }
}

impl PartialEq for EvaluationContext {
    /// The same content, without exporter metadata.
    fn eq(&self, other: &Self) -> bool {
        self.content.hash == other.content.hash && self.is_same(other)
    }
}

/// Collects the content of an [`EvaluationContext`]. Setters never fail.
/// `Debug` shows what that of the context does.
#[derive(Clone, Default)]
#[must_use]
pub struct EvaluationContextBuilder {
    targeting_key: Option<Box<str>>,
    attributes: Vec<(Box<str>, Attribute)>,
}

impl EvaluationContextBuilder {
    /// Identifies the subject; percentage rollouts depend on it. `None` leaves it out.
    pub fn targeting_key(mut self, key: impl IntoTargetingKey) -> Self {
        self.targeting_key = key.into_targeting_key();
        self
    }

    /// Sets an attribute. Setting a name again replaces its value.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<Attribute>) -> Self {
        self.attributes.push((name.into().into(), value.into()));
        self
    }

    /// Builds the context.
    #[must_use]
    pub fn build(self) -> EvaluationContext {
        EvaluationContext::assemble(self.targeting_key, self.attributes)
    }
}

/// What [`EvaluationContextBuilder::targeting_key`] takes: a text, or an `Option` of one.
pub trait IntoTargetingKey {
    /// The targeting key, if there is one.
    fn into_targeting_key(self) -> Option<Box<str>>;
}

macro_rules! into_targeting_key {
    ($($type:ty),*) => {$(
        impl IntoTargetingKey for $type {
            fn into_targeting_key(self) -> Option<Box<str>> {
                Some(self.into())
            }
        }
    )*};
}

into_targeting_key!(&str, String, Box<str>, Cow<'_, str>);

impl IntoTargetingKey for &String {
    fn into_targeting_key(self) -> Option<Box<str>> {
        self.as_str().into_targeting_key()
    }
}

impl<T: IntoTargetingKey> IntoTargetingKey for Option<T> {
    fn into_targeting_key(self) -> Option<Box<str>> {
        self.and_then(T::into_targeting_key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::context::canonical_hash;

    fn build<N: Into<String>>(
        key: Option<&str>,
        attributes: impl IntoIterator<Item = (N, Attribute)>,
    ) -> EvaluationContext {
        let mut builder = EvaluationContext::builder();
        for (name, value) in attributes {
            builder = builder.attribute(name, value);
        }
        key.into_iter()
            .fold(builder, EvaluationContextBuilder::targeting_key)
            .build()
    }

    fn context<N: Into<String>>(
        attributes: impl IntoIterator<Item = (N, Attribute)>,
    ) -> EvaluationContext {
        build(None, attributes)
    }

    fn all_differ(contexts: &[EvaluationContext]) {
        for (i, left) in contexts.iter().enumerate() {
            for (j, right) in contexts.iter().enumerate() {
                assert_eq!(left == right, i == j, "{left:?} and {right:?}");
                assert_eq!(
                    left.content.hash == right.content.hash,
                    i == j,
                    "{left:?} and {right:?}"
                );
            }
        }
    }

    #[test]
    fn targeting_key_is_optional() {
        let key = |key: Option<&str>| EvaluationContext::builder().targeting_key(key).build();
        assert_eq!(key(Some("a")).targeting_key(), Some("a"));
        assert_eq!(key(None).targeting_key(), None);
        let owned = "a".to_owned();
        let builder = EvaluationContext::builder().targeting_key(&owned);
        assert_eq!(builder.targeting_key(Some(owned)).build(), key(Some("a")));
    }

    #[test]
    fn attribute_that_is_set_last_wins() {
        let context = context([
            ("a", 1.into()),
            ("b", true.into()),
            ("a", 2.into()),
            ("a", 3.into()),
        ]);
        assert_eq!(context.attribute("a").unwrap(), Attribute::from(3));
        assert_eq!(context.attribute("b").unwrap(), Attribute::from(true));
        assert_eq!(context.content.attributes.len(), 2);
        assert!(context.attribute("c").is_none());
    }

    #[test]
    fn attribute_is_found_among_many() {
        let name = |n| format!("attribute-{n}");
        let context = context((0..100).map(|n| (name(n), n.into())));
        for n in 0..100 {
            assert_eq!(context.attribute(&name(n)).unwrap(), Attribute::from(n));
        }
        assert!(context.attribute("attribute-100").is_none());
    }

    #[test]
    fn values_of_different_kinds_differ() {
        let kinds = json!([
            1, 1.0, "1", true, null, [1], [1.0], {"a": 1}, {"a": 1.0}, u64::MAX, "",
        ]);
        let kinds = kinds.as_array().unwrap().iter();
        all_differ(
            &kinds
                .map(|kind| context([("x", kind.clone().into())]))
                .collect::<Vec<_>>(),
        );
    }

    #[test]
    fn missing_empty_and_real_targeting_keys_differ() {
        let of_key = |key| build::<&str>(Some(key), []);
        let attribute = context([("targetingKey", "a".into())]);
        all_differ(&[
            EvaluationContext::default(),
            of_key(""),
            of_key("a"),
            attribute,
        ]);
    }

    /// GOFF-CACHE-004: exporter metadata is not part of the key, `currentDateTime` is.
    #[test]
    fn exporter_metadata_does_not_count_but_its_siblings_do() {
        let goff = |value: Value| context([("gofeatureflag", value.into())]);
        let plain = EvaluationContext::default();
        let metadata = json!({"exporterMetadata": {"a": 1}});
        for insignificant in [json!({}), metadata, json!("not a map"), json!(null)] {
            let context = goff(insignificant);
            assert_eq!(plain, context);
            assert_eq!(context, plain);
            assert_eq!(plain.content.hash, context.content.hash);
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
        assert_eq!(dated.content.hash, enriched.content.hash);
    }

    #[test]
    fn unreadable_attribute_is_named() {
        let context = context([("fine", 1.into()), ("rate", f64::NAN.into())]);
        let error = canonical_hash(&context).unwrap_err();
        assert_eq!(error.attribute, "rate");
        let message = "attribute `rate` is NaN or infinite, which JSON cannot represent";
        assert_eq!(error.to_string(), message);
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

    fn of_json(key: Option<&str>, attributes: &[(String, Value)]) -> EvaluationContext {
        build(
            key,
            attributes
                .iter()
                .map(|(name, value)| (name, value.clone().into())),
        )
    }

    /// The content that the key represents: attributes by name, of `gofeatureflag` the caller's own
    /// members.
    fn content(key: Option<&str>, attributes: &[(String, Value)]) -> String {
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
            let key = key.as_deref();
            let (left, right) = (of_json(key, &attributes), of_json(key, &shuffled));
            prop_assert_eq!(&left.content.hash, &right.content.hash);
            prop_assert_eq!(left, right);
        }

        #[test]
        fn contexts_are_equal_exactly_when_their_content_is(
            left in any_attributes(),
            right in any_attributes(),
            left_key in prop::option::of("[ab]?"),
            right_key in prop::option::of("[ab]?"),
        ) {
            let (left_key, right_key) = (left_key.as_deref(), right_key.as_deref());
            let same = content(left_key, &left) == content(right_key, &right);
            let (left, right) = (of_json(left_key, &left), of_json(right_key, &right));
            prop_assert_eq!(left == right, same);
            prop_assert_eq!(left.is_same(&right), same);
            prop_assert_eq!(right.is_same(&left), same);
            if same {
                prop_assert_eq!(left.content.hash, right.content.hash);
            }
        }

        #[test]
        fn copy_of_a_view_is_the_same_context(attributes in any_attributes()) {
            let context = of_json(Some("user"), &attributes);
            prop_assert_eq!(EvaluationContext::from_view(&context), context);
        }
    }
}
