//! Dates as attributes: RFC 3339 in UTC, in which they compare as texts.

use std::time::SystemTime;

use time::format_description::well_known::Rfc3339;
use time::{Duration, OffsetDateTime, UtcOffset};

use crate::context::{Attribute, Unreadable};

/// The text of a date.
pub(crate) fn date_text(date: OffsetDateTime) -> Result<String, Unreadable> {
    let utc = date.checked_to_offset(UtcOffset::UTC);
    utc.and_then(|utc| utc.format(&Rfc3339).ok())
        .ok_or(Unreadable::NotADate)
}

fn attribute(date: Option<OffsetDateTime>) -> Attribute {
    match date.ok_or(Unreadable::NotADate).and_then(date_text) {
        Ok(text) => text.into(),
        Err(reason) => reason.into(),
    }
}

/// As RFC 3339 in UTC, such as `2026-03-01T12:00:00Z` (feature `time`).
impl From<OffsetDateTime> for Attribute {
    fn from(date: OffsetDateTime) -> Self {
        attribute(Some(date))
    }
}

/// As RFC 3339 in UTC, such as `2026-03-01T12:00:00Z` (feature `time`).
impl From<SystemTime> for Attribute {
    fn from(date: SystemTime) -> Self {
        let epoch = OffsetDateTime::UNIX_EPOCH;
        attribute(match date.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => Duration::try_from(since)
                .ok()
                .and_then(|since| epoch.checked_add(since)),
            Err(before) => Duration::try_from(before.duration())
                .ok()
                .and_then(|before| epoch.checked_sub(before)),
        })
    }
}

/// As RFC 3339 in UTC, such as `2026-03-01T12:00:00Z` (feature `chrono`).
#[cfg(feature = "chrono")]
impl<Zone: chrono::TimeZone> From<chrono::DateTime<Zone>> for Attribute {
    fn from(date: chrono::DateTime<Zone>) -> Self {
        let seconds = OffsetDateTime::from_unix_timestamp(date.timestamp()).ok();
        let fraction = Duration::nanoseconds(date.timestamp_subsec_nanos().into());
        attribute(seconds.and_then(|date| date.checked_add(fraction)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration as StdDuration;

    use super::*;

    const SECONDS: u64 = 1_772_366_400;
    const TEXT: &str = "2026-03-01T12:00:00.25Z";

    fn read(date: impl Into<Attribute>) -> Result<serde_json::Value, Unreadable> {
        date.into().to_ref().to_json()
    }

    #[test]
    fn dates_of_every_kind_have_one_text() {
        let fraction = StdDuration::from_millis(250);
        let system = SystemTime::UNIX_EPOCH + StdDuration::from_secs(SECONDS) + fraction;
        let offset = OffsetDateTime::from(system);
        let elsewhere = offset.to_offset(UtcOffset::from_hms(5, 30, 0).unwrap());
        assert_eq!(read(system).unwrap(), TEXT);
        assert_eq!(read(offset).unwrap(), TEXT);
        assert_eq!(read(elsewhere).unwrap(), TEXT);
        assert_eq!(read(Some(offset)).unwrap(), TEXT);
        let before = SystemTime::UNIX_EPOCH - StdDuration::from_secs(1);
        assert_eq!(read(before).unwrap(), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn date_without_a_text_is_unreadable() {
        let late = SystemTime::UNIX_EPOCH + StdDuration::from_secs(300_000_000_000);
        assert_eq!(read(late), Err(Unreadable::NotADate));
    }

    #[cfg(feature = "chrono")]
    #[test]
    fn chrono_dates_have_the_same_text() {
        let date = chrono::DateTime::from_timestamp(SECONDS.cast_signed(), 250_000_000).unwrap();
        assert_eq!(read(date).unwrap(), TEXT);
        let zone = chrono::FixedOffset::west_opt(3600).unwrap();
        assert_eq!(read(date.with_timezone(&zone)).unwrap(), TEXT);
        let late = chrono::DateTime::<chrono::Utc>::MAX_UTC;
        assert_eq!(read(late), Err(Unreadable::NotADate));
    }
}
