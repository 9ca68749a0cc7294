//! Times as the relay proxy writes them.

use std::time::SystemTime;

/// Whole seconds since 1970.
pub(super) fn unix_seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// RFC 3339 with nanoseconds, in UTC; year 1 for never.
pub(super) fn rfc_3339(time: Option<SystemTime>) -> String {
    let Some(since) = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) else {
        return "0001-01-01T00:00:00Z".to_owned();
    };
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let fraction = match since.subsec_nanos() {
        0 => String::new(),
        nanoseconds => format!(".{nanoseconds:09}")
            .trim_end_matches('0')
            .to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// An HTTP date with the abbreviation of the server's zone, here UTC, where HTTP has GMT
/// (section 12 of the protocol).
pub(super) fn last_modified(time: Option<SystemTime>) -> String {
    let Some(since) = time.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()) else {
        return "Mon, 01 Jan 0001 00:00:00 UTC".to_owned();
    };
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let name = |names: &[&'static str], index: u64| {
        let index = usize::try_from(index).unwrap_or_default();
        names.get(index).copied().unwrap_or_default()
    };
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let (weekday, month) = (name(&DAYS, days % 7), name(&MONTHS, month - 1));
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} UTC")
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are counted from March of year 0, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (seconds, nanoseconds, rfc, http) in [
            (
                0,
                0,
                "1970-01-01T00:00:00Z",
                "Thu, 01 Jan 1970 00:00:00 UTC",
            ),
            (
                1_709_254_799,
                5_000_000,
                "2024-03-01T00:59:59.005Z",
                "Fri, 01 Mar 2024 00:59:59 UTC",
            ),
            (
                1_709_164_800,
                0,
                "2024-02-29T00:00:00Z",
                "Thu, 29 Feb 2024 00:00:00 UTC",
            ),
            (
                1_795_333_913,
                0,
                "2026-11-22T07:51:53Z",
                "Sun, 22 Nov 2026 07:51:53 UTC",
            ),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            assert_eq!(rfc_3339(Some(time)), rfc);
            assert_eq!(last_modified(Some(time)), http);
        }
        assert_eq!(rfc_3339(None), "0001-01-01T00:00:00Z");
    }
}
