//! A seeded source of choices.

/// SplitMix64: small, and the same on every machine.
#[derive(Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The source for one case of a run.
    pub(super) fn new(seed: u64, case: u64) -> Self {
        let mut random = Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                ^ case.wrapping_mul(0xd1b5_4a32_d192_ed03),
        };
        random.next();
        random
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if there is none.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        let random = self.next();
        usize::try_from(random.checked_rem(bound as u64).unwrap_or(0)).unwrap_or(0)
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: usize, high: usize) -> usize {
        low + self.below(high + 1 - low)
    }

    /// True in this many of a hundred cases.
    pub(super) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    /// One of several, half of the time one of the first few: so that literals meet attributes.
    pub(super) fn pick_hot<'c, T: ?Sized>(&mut self, choices: &[&'c T]) -> &'c T {
        let few = choices.len().min(6);
        match choices.get(..few) {
            Some(hot) if self.percent(50) => self.pick(hot),
            _ => self.pick(choices),
        }
    }

    /// One of several; the choices must not be empty.
    pub(super) fn pick<'c, T: ?Sized>(&mut self, choices: &[&'c T]) -> &'c T {
        let index = self.below(choices.len());
        #[expect(
            clippy::indexing_slicing,
            reason = "below() is under the length of what is never empty"
        )]
        choices[index]
    }
}
