//! Repeated members of an object.

/// Sorts by name and keeps the last of the entries that share one.
pub(crate) fn keep_last<T, N: Ord + ?Sized>(entries: &mut Vec<T>, name: impl Fn(&T) -> &N) {
    if entries.is_sorted_by(|a, b| name(a) < name(b)) {
        return;
    }
    entries.reverse();
    entries.sort_by(|a, b| name(a).cmp(name(b)));
    entries.dedup_by(|later, kept| name(later) == name(kept));
}
