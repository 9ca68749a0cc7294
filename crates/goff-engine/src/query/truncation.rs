//! Doubles as integers.

/// Toward zero; what does not fit becomes the lowest integer, as on the official 64-bit build.
#[inline]
pub(crate) fn truncated(value: f64) -> i64 {
    const TWO_POW_63: f64 = 9_223_372_036_854_775_808.0;
    if (-TWO_POW_63..TWO_POW_63).contains(&value) {
        value as i64
    } else {
        i64::MIN
    }
}
