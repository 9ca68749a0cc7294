//! Dates as the official engine reads them.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

/// An instant with nanosecond precision, counted from the Unix epoch.
///
/// The engine reads no clock: each evaluation is given its time.
///
/// ```
/// use std::time::SystemTime;
/// use goff_engine::Timestamp;
///
/// let now = Timestamp::from(SystemTime::now());
/// let release = Timestamp::parse("2024-01-15T00:00:00+01:00").unwrap();
/// assert!(release < now);
/// assert_eq!(release.unix_seconds(), 1_705_273_200);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp {
    seconds: i64,
    nanoseconds: u32,
}

impl Timestamp {
    /// The instant `seconds` whole seconds after the epoch (before it, if negative).
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self {
            seconds,
            nanoseconds: 0,
        }
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.seconds
    }

    /// Reads a date in the format used by flags and by `currentDateTime`.
    ///
    /// That is RFC 3339 with the official parser's leniency: an hour of one
    /// digit, a comma before the fraction and zone offsets up to `+24:60` are
    /// accepted; lower-case `t` and `z`, leap seconds and a missing zone are
    /// not (docs/engine-semantics.md 15; upstream decodes with Go's
    /// `time.Time`).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Date::parse(text).map(|date| date.at)
    }
}

/// RFC 3339 in UTC, as in `2024-01-15T00:00:00Z`, with the fraction of the second if it has one.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.seconds.div_euclid(86_400));
        let time = self.seconds.rem_euclid(86_400);
        let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if self.nanoseconds > 0 {
            let digits = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Year, month and day of a day counted from the epoch, in the Gregorian calendar. Years are
/// counted from March, so that the leap day is a year's last.
fn civil(days: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    let since_march_of_year_0 = days + 719_468;
    let era = since_march_of_year_0.div_euclid(DAYS_OF_400_YEARS);
    let day = since_march_of_year_0.rem_euclid(DAYS_OF_400_YEARS);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self {
                seconds: i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
                nanoseconds: after.subsec_nanos(),
            },
            Err(error) => {
                let before = error.duration();
                let up = u64::from(before.subsec_nanos() > 0);
                let whole = Duration::from_secs(before.as_secs().saturating_add(up));
                let seconds = i64::try_from(whole.as_secs()).unwrap_or(i64::MAX);
                Self {
                    seconds: seconds.saturating_neg(),
                    nanoseconds: whole.saturating_sub(before).subsec_nanos(),
                }
            }
        }
    }
}

/// A date of a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) at: Timestamp,
    /// Whether the zone offset is under a day. The official engine cannot copy a flag with any
    /// other date (docs/engine-semantics.md 11.5).
    pub(crate) copyable: bool,
}

impl Date {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut cursor = Cursor(text.as_bytes());
        let year = cursor.digits(4)?;
        cursor.byte(b'-')?;
        let month = cursor.digits(2)?;
        cursor.byte(b'-')?;
        let day = cursor.digits(2)?;
        cursor.byte(b'T')?;
        let hour = match cursor.digits(2) {
            Some(hour) => hour,
            None => cursor.digits(1)?,
        };
        cursor.byte(b':')?;
        let minute = cursor.digits(2)?;
        cursor.byte(b':')?;
        let second = cursor.digits(2)?;
        let nanoseconds = cursor.fraction()?;
        let offset = cursor.zone()?;
        if !cursor.0.is_empty()
            || !(1..=12).contains(&month)
            || !(1..=days_in_month(year, month)).contains(&day)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return None;
        }
        let time = hour * 3600 + minute * 60 + second;
        Some(Self {
            at: Timestamp {
                seconds: days_since_epoch(year, month, day) * 86_400 + time - offset,
                nanoseconds,
            },
            copyable: offset.abs() < 86_400,
        })
    }
}

struct Cursor<'t>(&'t [u8]);

impl Cursor<'_> {
    fn byte(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == wanted).then(|| self.0 = rest)
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let mut number = 0;
        for digit in digits {
            if !digit.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(digit - b'0');
        }
        self.0 = rest;
        Some(number)
    }

    /// Nanoseconds of an optional fraction; digits after the ninth are dropped.
    fn fraction(&mut self) -> Option<u32> {
        if self.byte(b'.').is_none() && self.byte(b',').is_none() {
            return Some(0);
        }
        let (mut nanoseconds, mut unit) = (0, 100_000_000);
        let length = self.0.len();
        while let Some(digit) = self.digits(1) {
            nanoseconds += u32::try_from(digit).ok()? * unit;
            unit /= 10;
        }
        (self.0.len() < length).then_some(nanoseconds)
    }

    /// Seconds east of UTC.
    fn zone(&mut self) -> Option<i64> {
        if self.byte(b'Z').is_some() {
            return Some(0);
        }
        let sign = if self.byte(b'+').is_some() {
            1
        } else {
            self.byte(b'-')?;
            -1
        };
        let hours = self.digits(2)?;
        self.byte(b':')?;
        let minutes = self.digits(2)?;
        (hours <= 24 && minutes <= 60).then_some(sign * (hours * 3600 + minutes * 60))
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 in the proleptic Gregorian calendar, for years from 0.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_the_official_parser_accepts() {
        for (text, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2024-01-15T1:00:00Z", 1_705_280_400),
            ("2024-01-15T00:00:00,5Z", 1_705_276_800),
            ("2024-01-15T00:00:00+24:00", 1_705_190_400),
            ("2024-02-29T23:59:59.999999999999-00:60", 1_709_254_799),
            ("0000-01-01T00:00:00Z", -62_167_219_200),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let parsed = Timestamp::parse(text).map(Timestamp::unix_seconds);
            assert_eq!(parsed, Some(seconds), "{text}");
        }
    }

    #[test]
    fn dates_are_written_in_utc() {
        for (text, written) in [
            ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
            ("2024-03-01T00:30:00+01:00", "2024-02-29T23:30:00Z"),
            ("2000-02-29T12:34:56.0780Z", "2000-02-29T12:34:56.078Z"),
            ("1900-03-01T00:00:00Z", "1900-03-01T00:00:00Z"),
            ("0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z"),
            (
                "9999-12-31T23:59:59.000000001Z",
                "9999-12-31T23:59:59.000000001Z",
            ),
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), written);
        }
        for day in -800_000_i64..800_000 {
            let written = Timestamp::from_unix_seconds(day * 86_400).to_string();
            if let Some(parsed) = Timestamp::parse(&written) {
                assert_eq!(parsed.unix_seconds(), day * 86_400, "{written}");
            }
        }
        for seconds in [i64::MIN, i64::MAX] {
            assert!(
                Timestamp::from_unix_seconds(seconds)
                    .to_string()
                    .ends_with('Z')
            );
        }
    }

    #[test]
    fn rejects_what_the_official_parser_rejects() {
        for text in [
            "",
            "2024-01-15",
            "2024-01-15 00:00:00Z",
            "2024-01-15T00:00Z",
            "2024-01-15t00:00:00z",
            "2024-01-15T23:59:60Z",
            "2024-01-15T24:00:00Z",
            "2024-01-15T00:00:00",
            "2024-01-15T00:00:00.Z",
            "2024-01-15T00:00:00+0100",
            "2024-01-15T00:00:00+01",
            "2023-02-29T00:00:00Z",
            "2024-00-01T00:00:00Z",
            " 2024-01-15T00:00:00Z",
            "2024-01-15T00:00:00Z ",
            "2024-01-15T00:00:00+25:00",
            "2024-01-15T00:00:00+00:61",
            "24-01-15T00:00:00Z",
            "1705276800",
            "2024-01-15T000:00:00Z",
            "2024-01-15T00:0:00Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn orders_by_nanoseconds_within_a_second() {
        let early = Timestamp::parse("2024-01-15T00:00:00.000000001Z").unwrap();
        let late = Timestamp::parse("2024-01-15T00:00:00.000000002Z").unwrap();
        assert!(early < late);
    }

    #[test]
    fn system_times_before_the_epoch_round_down() {
        let time = Timestamp::from(SystemTime::UNIX_EPOCH - Duration::from_millis(1500));
        assert_eq!((time.seconds, time.nanoseconds), (-2, 500_000_000));
    }

    #[test]
    fn a_zone_of_a_day_cannot_be_copied() {
        assert!(!Date::parse("2024-01-15T00:00:00+23:60").unwrap().copyable);
        assert!(Date::parse("2024-01-15T00:00:00-23:59").unwrap().copyable);
    }
}
