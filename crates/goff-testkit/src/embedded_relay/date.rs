//! Times as the relay proxy writes them.

use std::time::SystemTime;

use time::OffsetDateTime;
use time::format_description::well_known::{Rfc2822, Rfc3339};

/// Whole seconds since 1970.
pub(super) fn unix_seconds(time: SystemTime) -> i64 {
    OffsetDateTime::from(time).unix_timestamp()
}

/// RFC 3339 with fractions of a second, in UTC.
pub(super) fn rfc_3339(time: SystemTime) -> String {
    // It fails only beyond year 9999.
    let text = OffsetDateTime::from(time).format(&Rfc3339);
    text.unwrap_or_default()
}

/// An HTTP date with the abbreviation of the server's time zone, here UTC, where HTTP demands GMT
/// (docs/relay-protocol.md 12).
pub(super) fn last_modified(time: SystemTime) -> String {
    // It fails only before year 1900 and beyond year 9999.
    let text = OffsetDateTime::from(time).format(&Rfc2822);
    text.unwrap_or_default().replace("+0000", "UTC")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_have_the_forms_of_the_relay_proxy() {
        let time = SystemTime::UNIX_EPOCH + Duration::new(1_709_254_799, 5_000_000);
        assert_eq!(rfc_3339(time), "2024-03-01T00:59:59.005Z");
        assert_eq!(last_modified(time), "Fri, 01 Mar 2024 00:59:59 UTC");
        assert_eq!(unix_seconds(time), 1_709_254_799);
    }
}
