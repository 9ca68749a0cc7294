//! [`CutAges`]: the regular age at which a middlebox cuts streams, if there is one.

use std::time::Duration;

use goff_core::__internal::shortened;

/// The ages at which streams were cut. Load balancers and gateways often limit the age of a
/// connection, usually to 30 s or some minutes, whatever is sent over it.
#[derive(Debug, Default)]
pub(crate) struct CutAges {
    last: Option<Duration>,
    regular: Option<Duration>,
}

impl CutAges {
    /// Notes that a stream was cut. Two in a row at about the same age make the age regular, until
    /// two in a row agree on another one. A wrong guess costs one handshake for each such age.
    pub(crate) fn note(&mut self, age: Duration) {
        if let Some(last) = self.last
            && last.abs_diff(age) <= last.max(age) / TOLERANCE
        {
            self.regular = Some(last.min(age));
        }
        self.last = Some(age);
    }

    /// The age at which the next stream has to be opened, so that it is open before this one is cut:
    /// four fifths of the regular age, or up to a third of that less, since the streams of many clients
    /// may have been opened together.
    pub(crate) fn hand_over_age(&self, random: u64) -> Option<Duration> {
        self.regular.map(|age| shortened(age * 4 / 5, random))
    }
}

/// Ages that differ by at most this part are the same.
const TOLERANCE: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    /// The age of a hand-over after cuts at these ages, in milliseconds.
    fn after(cuts: &[u64]) -> Option<u128> {
        let mut ages = CutAges::default();
        for age in cuts {
            ages.note(Duration::from_millis(*age));
        }
        let latest = ages.hand_over_age(0)?;
        let earliest = ages.hand_over_age(u64::MAX)?;
        assert!(earliest < latest * 7 / 10 && earliest > latest * 6 / 10);
        Some(latest.as_millis())
    }

    #[test]
    fn two_cuts_at_about_the_same_age_are_regular() {
        assert_eq!(after(&[]), None);
        assert_eq!(after(&[30_000]), None);
        assert_eq!(after(&[30_000, 30_000]), Some(24_000));
        assert_eq!(after(&[30_000, 32_000]), Some(24_000));
        assert_eq!(after(&[300_000, 290_000]), Some(232_000));
        assert_eq!(after(&[30_000, 60_000]), None);
        assert_eq!(after(&[5_000, 30_000, 47_000, 3_600_000]), None);
    }

    #[test]
    fn regular_age_holds_until_two_cuts_agree_on_another() {
        assert_eq!(after(&[30_000, 30_000, 12_000]), Some(24_000));
        assert_eq!(after(&[30_000, 30_000, 12_000, 5_000]), Some(24_000));
        assert_eq!(after(&[30_000, 30_000, 10_000, 10_000]), Some(8_000));
        assert_eq!(after(&[10_000, 10_000, 60_000, 60_000]), Some(48_000));
    }
}
