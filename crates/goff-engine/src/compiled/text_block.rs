//! Flags that are made one by one, and store their texts together.

use std::{mem, sync::Arc};

use crate::compiled::{
    flag::{BETWEEN, Flag, SharedBody},
    flag_set::FlagSet,
};

/// Flags for a set. A separate text takes 42 bytes more for each flag.
#[derive(Debug, Default)]
pub(crate) struct TextBlock {
    text: String,
    /// Where each key and its JSON end.
    flags: Vec<(usize, usize, SharedBody)>,
}

impl TextBlock {
    /// Adds a flag, for `set` in the end.
    pub(crate) fn push(&mut self, set: &mut FlagSet, (key, json): (&str, &str), body: SharedBody) {
        self.text.push_str(key);
        let key_end = self.text.len();
        self.text.push_str(BETWEEN);
        self.text.push_str(json);
        self.flags.push((key_end, self.text.len(), body));
        if self.text.len() > BLOCK {
            self.move_into(set);
        }
    }

    /// Moves what was added into the set.
    pub(crate) fn move_into(&mut self, set: &mut FlagSet) {
        let mut text = mem::take(&mut self.text);
        text.shrink_to_fit();
        let text = Arc::new(text);
        let mut at = 0;
        for (key_end, end, body) in self.flags.drain(..) {
            let key = text.get(at..key_end).unwrap_or_default();
            let json = text.get(key_end + BETWEEN.len()..end).unwrap_or_default();
            set.insert(Flag::at(Arc::clone(&text), at, (key, json), body));
            at = end;
        }
    }
}

/// Bytes from which on a block is full.
const BLOCK: usize = 16 << 10;
