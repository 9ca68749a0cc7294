//! What compiling flags may cost.

/// A flag would take more memory or work to compile than its text justifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooExpensive;

/// Bytes that may still be spent on a flag, for memory and for work: visiting a part costs as much
/// as storing it.
///
/// It is spent on what can grow faster than the text: the rules and steps of a flag, and the state
/// of the flag after each step. What is proportional to the text, such as a long list, costs
/// nothing here.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    /// How much of it does not depend on the length of the text.
    advance: usize,
}

/// Bytes for each byte of a flag's text. The usual flag needs a third of it.
const PER_BYTE: usize = 16;

/// Bytes that one flag may spend in addition.
const ADVANCE: usize = 256 << 10;

impl Budget {
    /// The budget of a flag that is compiled alone.
    pub(crate) fn new(text_length: usize) -> Self {
        Self::from_advance(text_length, ADVANCE)
    }

    fn from_advance(text_length: usize, advance: usize) -> Self {
        Self {
            left: text_length.saturating_mul(PER_BYTE).saturating_add(advance),
            advance,
        }
    }

    /// Whether nothing of what does not depend on the length of the text is spent.
    pub(crate) fn is_within_share(&self) -> bool {
        self.left >= self.advance
    }

    /// What may still be spent.
    #[cfg(feature = "document")]
    pub(crate) fn left(&self) -> usize {
        self.left
    }

    /// Called before the memory is taken, or the work is done.
    pub(crate) fn spend(&mut self, bytes: usize) -> Result<(), TooExpensive> {
        self.left = self.left.checked_sub(bytes).ok_or(TooExpensive)?;
        Ok(())
    }

    /// The same for `count` parts of a type.
    pub(crate) fn spend_on<T>(&mut self, count: usize) -> Result<(), TooExpensive> {
        self.spend(count.saturating_mul(size_of::<T>()))
    }
}

/// Bytes that the flags of one set share beyond their own budgets, so that many flags cannot each
/// use an advance.
#[derive(Debug)]
pub(crate) struct SharedBudget {
    left: usize,
}

impl Default for SharedBudget {
    fn default() -> Self {
        Self { left: 2 * ADVANCE }
    }
}

impl SharedBudget {
    /// The budget of the next flag.
    pub(crate) fn flag(&self, text_length: usize) -> Budget {
        Budget::from_advance(text_length, self.left.min(ADVANCE))
    }

    /// Counts what a flag that was compiled has used of its advance.
    pub(crate) fn settle(&mut self, flag: &Budget) {
        self.left -= flag.advance.saturating_sub(flag.left).min(self.left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_share_the_advance() {
        let mut shared = SharedBudget::default();
        for _ in 0..2 {
            let mut flag = shared.flag(10);
            assert_eq!(flag.spend(ADVANCE + 10 * PER_BYTE), Ok(()));
            assert_eq!(flag.spend(1), Err(TooExpensive));
            shared.settle(&flag);
        }
        let mut flag = shared.flag(10);
        assert_eq!(flag.spend(10 * PER_BYTE), Ok(()));
        assert_eq!(flag.spend(1), Err(TooExpensive));
        shared.settle(&flag);
    }

    #[test]
    fn a_flag_within_its_own_budget_leaves_the_advance_to_others() {
        let mut shared = SharedBudget::default();
        let mut flag = shared.flag(100);
        flag.spend(100 * PER_BYTE).unwrap();
        shared.settle(&flag);
        assert_eq!(shared.left, 2 * ADVANCE);
    }
}
