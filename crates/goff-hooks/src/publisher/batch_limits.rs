//! How large the next batch may be, and what a refused batch says about its events.

use goff_core::RelayError;

/// The limits of the next batch. A gateway may accept less than the data collector, and a firewall
/// may refuse a batch for one of its events, such as one that holds a text from an end user. So a
/// refused batch is sent again in halves, until the events that are refused are alone.
#[derive(Debug)]
pub(super) struct BatchLimits {
    /// The size of a batch as JSON, in bytes.
    bytes: usize,
    /// How many events the next batches hold: the parts of refused batches, the next one last.
    parts: Vec<usize>,
    /// A batch was accepted since the first of these parts was refused.
    accepts_others: bool,
    /// Single events that were refused since a batch was accepted.
    refused_in_a_row: usize,
}

/// What to do after a batch was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The batch stays, and the next delivery sends it again: the refusal is not about its events.
    Keep,
    /// The next batches are the halves of this one.
    Halve,
    /// The batch is one event, which will never be accepted.
    Reject,
    /// As `Reject`, but only if another batch is accepted.
    RejectIfOthersAreAccepted,
}

impl BatchLimits {
    pub(super) fn new() -> Self {
        Self {
            bytes: MOST_BYTES,
            parts: Vec::new(),
            accepts_others: false,
            refused_in_a_row: 0,
        }
    }

    /// Begins a delivery. Only the limit of bytes is remembered.
    pub(super) fn begin_delivery(&mut self) {
        *self = Self {
            bytes: self.bytes,
            ..Self::new()
        };
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The largest number of events in the next batch.
    pub(super) fn next_count(&mut self) -> usize {
        self.parts.pop().unwrap_or_else(|| {
            self.accepts_others = false;
            usize::MAX
        })
    }

    pub(super) fn accepted(&mut self) {
        self.accepts_others = true;
        self.refused_in_a_row = 0;
    }

    /// The batch of `count` events and `bytes` was refused.
    pub(super) fn refused(&mut self, error: &RelayError, count: usize, bytes: usize) -> Refused {
        let refusal = Refusal::of(error);
        if refusal == Refusal::TooLarge && count > 1 {
            self.bytes = self.bytes.min(bytes / 2).max(FEWEST_BYTES);
        }
        match refusal {
            Refusal::OfAnything => return Refused::Keep,
            _ if count > 1 => {
                self.parts.extend([count - count / 2, count / 2]);
                return Refused::Halve;
            }
            _ => {}
        }
        self.refused_in_a_row += 1;
        match refusal {
            Refusal::Forbidden if !self.accepts_others => {
                if self.refused_in_a_row > MOST_FORBIDDEN_IN_A_ROW {
                    return Refused::Keep;
                }
                Refused::RejectIfOthersAreAccepted
            }
            _ if self.refused_in_a_row > MOST_REFUSED_IN_A_ROW => Refused::Keep,
            _ => Refused::Reject,
        }
    }
}

/// What a failure to deliver says about the events of the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// Nothing: any other batch would have failed too.
    OfAnything,
    /// They are too many, or one is too large.
    TooLarge,
    /// One of them is refused.
    Content,
    /// One of them is refused, or the API key is.
    Forbidden,
}

impl Refusal {
    fn of(error: &RelayError) -> Self {
        match error.status() {
            Some(413) => Self::TooLarge,
            Some(400) if is_about_flag_set(error) => Self::OfAnything,
            Some(400 | 422) => Self::Content,
            Some(403) => Self::Forbidden,
            _ => Self::OfAnything,
        }
    }
}

/// The relay proxy answers every request so if the API key has no flag set (docs/relay-protocol.md 4).
fn is_about_flag_set(error: &RelayError) -> bool {
    let RelayError::Status { message, .. } = error else {
        return false;
    };
    let message = message.as_deref().unwrap_or_default().to_lowercase();
    message.contains("flagset") || message.contains("flag set")
}

/// The limit of the data collector (1 MB).
const MOST_BYTES: usize = 1_000_000;

/// No gateway is expected to accept less (10 kB). Below it batches are halved only as long as they
/// are refused, so that a gateway that once refused everything does not cost a request for each
/// event ever after.
const FEWEST_BYTES: usize = 10_000;

/// A collector that refuses so many single events one after the other refuses anything: it may be
/// misconfigured. The rest is kept for the next delivery.
const MOST_REFUSED_IN_A_ROW: usize = 100;

/// As above for 403, the usual answer to an API key that is not valid.
const MOST_FORBIDDEN_IN_A_ROW: usize = 10;

#[cfg(test)]
mod tests {
    use goff_core::ErrorCode;

    use super::*;

    fn answer(status: u16, message: Option<&str>) -> RelayError {
        RelayError::Status {
            status,
            path: "/v1/data/collector".to_owned(),
            message: message.map(ToOwned::to_owned),
            code: ErrorCode::General,
            server: None,
        }
    }

    #[test]
    fn status_says_whether_other_events_would_be_refused() {
        for (status, refusal) in [
            (400, Refusal::Content),
            (401, Refusal::OfAnything),
            (403, Refusal::Forbidden),
            (404, Refusal::OfAnything),
            (413, Refusal::TooLarge),
            (422, Refusal::Content),
            (429, Refusal::OfAnything),
            (500, Refusal::OfAnything),
            (503, Refusal::OfAnything),
        ] {
            assert_eq!(Refusal::of(&answer(status, None)), refusal, "{status}");
        }
        let flag_set = "error while getting flagset: flagset not found for API key";
        let no_flag_set = answer(400, Some(flag_set));
        assert_eq!(Refusal::of(&no_flag_set), Refusal::OfAnything);
        let timeout = RelayError::Timeout {
            timeout: std::time::Duration::from_secs(1),
            sent: true,
            server: None,
        };
        assert_eq!(Refusal::of(&timeout), Refusal::OfAnything);
    }

    /// The first refusal halves, and no number of refusals goes below the floor.
    #[test]
    fn limit_of_bytes_is_halved_and_remembered() {
        let mut limits = BatchLimits::new();
        let too_large = answer(413, None);
        assert_eq!(limits.refused(&too_large, 9, 1_000_000), Refused::Halve);
        assert_eq!(limits.bytes(), 500_000);
        // A batch below the limit says more about the gateway than the limit.
        assert_eq!(limits.refused(&too_large, 9, 300_000), Refused::Halve);
        limits.begin_delivery();
        assert_eq!(limits.bytes(), 150_000);
        // One event that is too large says nothing about batches.
        assert_eq!(limits.refused(&too_large, 1, 100_000), Refused::Reject);
        assert_eq!(limits.bytes(), 150_000);
        for _ in 0..10 {
            limits.refused(&too_large, 2, limits.bytes());
        }
        assert_eq!(limits.bytes(), FEWEST_BYTES);
    }
}
