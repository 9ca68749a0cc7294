//! The flags that a context restricts a bulk evaluation to.

use std::collections::BTreeSet;

use goff_core::{AttributeRef, ContextView, GOFEATUREFLAG};

/// The flags that the context restricts a bulk evaluation to (docs/relay-protocol.md 6.3).
pub(crate) fn flag_list(context: &dyn ContextView) -> Option<BTreeSet<String>> {
    let goff = context.attribute(GOFEATUREFLAG)?;
    let goff = AttributeRef::into_map(goff)?;
    let listed: BTreeSet<_> = goff
        .get("flagList")?
        .as_array()?
        .iter()
        .filter_map(|key| key.as_str().map(str::to_owned))
        .collect();
    (!listed.is_empty()).then_some(listed)
}
