//! [`Module`]: what an instance holds, and what its exports do.

use std::{borrow::Cow, cell::Cell, collections::BTreeMap, hint::black_box};

use goff_engine::{DocumentEvaluator, Timestamp};

/// The state of one instance: compiled flags, the host's blocks of memory, and the last output.
///
/// Addresses are those of the memory that this process, or this instance, has.
#[derive(Debug)]
pub struct Module {
    evaluator: DocumentEvaluator,
    /// The host's blocks by their addresses. The host writes to them between calls.
    blocks: BTreeMap<usize, Vec<u8>>,
    output: Cow<'static, str>,
}

impl Default for Module {
    fn default() -> Self {
        Self {
            evaluator: DocumentEvaluator::new(MOST_KEPT),
            blocks: BTreeMap::new(),
            output: Cow::Borrowed(""),
        }
    }
}

impl Module {
    /// The address of a new block of `size` bytes, all zero, which stays until it is freed. `None` if
    /// memory is short. A block of no bytes has an address, too.
    ///
    /// What a host writes behind the block, up to three times its size in all, does no harm: those for
    /// JavaScript and .NET ask for as many bytes as their texts have units of UTF-16, and write UTF-8.
    pub fn allocate(&mut self, size: usize) -> Option<usize> {
        let mut block = Vec::new();
        let room = size.max(1).checked_mul(UTF_8_PER_UTF_16)?;
        block.try_reserve_exact(room).ok()?;
        if !has_room(ADVANCE) {
            return None;
        }
        block.resize(size.max(1), 0);
        let address = block.as_ptr().addr();
        self.blocks.insert(address, block);
        Some(address)
    }

    /// A block of `size` bytes that begins with what the one at `address` holds, which is freed. `None`
    /// if memory is short or there is no such block, which then stays as it is.
    pub fn reallocate(&mut self, address: usize, size: usize) -> Option<usize> {
        if address != 0 && !self.blocks.contains_key(&address) {
            return None;
        }
        let new = self.allocate(size)?;
        if let Some(old) = self.blocks.remove(&address)
            && let Some(new) = self.blocks.get_mut(&new)
        {
            new.iter_mut().zip(old).for_each(|(new, old)| *new = old);
        }
        Some(new)
    }

    /// Frees a block; an address that is none is ignored.
    pub fn free(&mut self, address: usize) {
        self.blocks.remove(&address);
    }

    /// The block that begins at `address`, for hosts in this process.
    pub fn block(&mut self, address: usize) -> Option<&mut [u8]> {
        self.blocks.get_mut(&address).map(Vec::as_mut_slice)
    }

    /// Evaluates the input document of `length` bytes at `address`, which is in a block. The output
    /// document stays until the next call.
    pub fn evaluate(
        &mut self,
        address: usize,
        length: usize,
        clock: impl Fn() -> Option<Timestamp>,
    ) -> &str {
        self.output = Cow::Borrowed("");
        let Some(input) = bytes(&self.blocks, address, length) else {
            self.output = Cow::Borrowed(NO_BLOCK);
            return &self.output;
        };
        let needed = length
            .saturating_mul(NEEDED_PER_BYTE)
            .saturating_add(ADVANCE);
        if !has_room(needed) {
            self.evaluator.clear();
            if !has_room(needed) {
                self.output = Cow::Borrowed(NO_MEMORY);
                return &self.output;
            }
        }
        let has_clock = Cell::new(true);
        let output = self.evaluator.evaluate(input, || {
            clock().unwrap_or_else(|| {
                has_clock.set(false);
                Timestamp::from_unix_seconds(0)
            })
        });
        self.output = match has_clock.get() {
            true => Cow::Owned(output),
            false => Cow::Borrowed(NO_CLOCK),
        };
        &self.output
    }
}

/// The bytes from `address` on, if they are in one of the blocks.
fn bytes(blocks: &BTreeMap<usize, Vec<u8>>, address: usize, length: usize) -> Option<&[u8]> {
    if length == 0 {
        return Some(&[]);
    }
    let (start, block) = blocks.range(..=address).next_back()?;
    let from = address.checked_sub(*start)?;
    block.get(from..from.checked_add(length)?)
}

/// Whether so much memory can be had at once. Where it can, smaller parts of it can be had, too: an
/// allocation that fails during an evaluation would end the instance.
fn has_room(size: usize) -> bool {
    let mut room = Vec::<u8>::new();
    let has_room = room.try_reserve_exact(size).is_ok();
    // Otherwise the compiler could leave the allocation out.
    black_box(room.as_ptr());
    has_room
}

/// What the flags that are kept count as, at most; see [`DocumentEvaluator::new`]. With flags of
/// 1 KiB these are 15,000.
const MOST_KEPT: usize = 256 << 20;

/// Bytes of a text in UTF-8 for each unit of UTF-16, at most.
const UTF_8_PER_UTF_16: usize = 3;

/// What an evaluation takes at most, beside what it takes for each byte of its input.
const ADVANCE: usize = 1 << 20;
const NEEDED_PER_BYTE: usize = 128;

/// An output document for an input that cannot be evaluated (docs/engine-semantics.md 13.3).
macro_rules! general_error {
    ($details:literal) => {
        concat!(
            r#"{"trackEvents":false,"variationType":"","failed":false,"version":"","reason":"","#,
            r#""errorCode":"GENERAL","errorDetails":""#,
            $details,
            r#"","value":null,"cacheable":false}"#
        )
    };
}

const NO_BLOCK: &str = general_error!(
    "the input is not in memory that `malloc` returned: write it there, and pass that address"
);
const NO_MEMORY: &str = general_error!(
    "too little memory to evaluate the input: raise the host's limit of memory or shorten the input"
);
const NO_CLOCK: &str = general_error!("the host's clock cannot be read");

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str =
        r#"{"flagKey":"f","flag":{"variations":{"A":1},"defaultRule":{"variation":"A"}}}"#;
    const WINDOW: &str =
        r#"{"flagKey":"f","flag":{"experimentation":{"end":"2020-01-01T00:00:00Z"}}}"#;

    fn now() -> Option<Timestamp> {
        Some(Timestamp::from_unix_seconds(1_700_000_000))
    }

    /// Does what a host does.
    fn evaluated(module: &mut Module, input: &[u8]) -> String {
        let address = module.allocate(input.len() + 1).unwrap();
        module.block(address).unwrap()[..input.len()].copy_from_slice(input);
        let output = module.evaluate(address, input.len(), now).to_owned();
        module.free(address);
        output
    }

    #[test]
    fn an_output_outlives_the_input_and_other_blocks() {
        let mut module = Module::default();
        let address = module.allocate(DOCUMENT.len()).unwrap();
        let block = module.block(address).unwrap();
        block.copy_from_slice(DOCUMENT.as_bytes());
        let expected = goff_engine::evaluate_document(DOCUMENT.as_bytes(), now().unwrap());
        assert_eq!(module.evaluate(address, DOCUMENT.len(), now), expected);
        module.free(address);
        for size in [0, 1, 100_000] {
            let block = module.allocate(size).unwrap();
            module.block(block).unwrap().fill(b'x');
        }
        assert_eq!(module.output, expected);
    }

    #[test]
    fn a_block_is_zero_keeps_its_bytes_when_it_grows_and_is_freed_once() {
        let mut module = Module::default();
        let address = module.allocate(3).unwrap();
        assert_eq!(module.block(address).unwrap(), [0; 3]);
        module.block(address).unwrap().copy_from_slice(b"abc");
        let grown = module.reallocate(address, 5).unwrap();
        assert_eq!(module.block(grown).unwrap(), b"abc\0\0");
        let shrunk = module.reallocate(grown, 2).unwrap();
        assert_eq!(module.block(shrunk).unwrap(), b"ab");
        assert_eq!(module.reallocate(shrunk + 1, 2), None);
        assert!(module.reallocate(0, 2).is_some());
        module.free(shrunk);
        module.free(shrunk);
        module.free(7);
        assert_eq!(module.blocks.len(), 1);
        assert_eq!(module.allocate(usize::MAX), None);
        assert!(module.allocate(0).is_some_and(|address| address != 0));
    }

    #[test]
    fn behind_a_block_is_room_for_a_text_counted_in_utf_16() {
        let mut module = Module::default();
        for size in [0, 1, 10, 1_000] {
            let address = module.allocate(size).unwrap();
            let block = module.blocks.get(&address).unwrap();
            assert!(block.capacity() >= 3 * size && block.len() == size.max(1));
        }
    }

    #[test]
    fn only_what_is_in_a_block_is_read() {
        let mut module = Module::default();
        let address = module.allocate(10).unwrap();
        for (address, length) in [
            (0, 1),
            (1, 1),
            (address, 11),
            (address, usize::MAX),
            (address + 10, 1),
            (usize::MAX, 1),
            (usize::MAX, usize::MAX),
        ] {
            assert_eq!(module.evaluate(address, length, now), NO_BLOCK);
        }
        // A part of a block, and no bytes at all, are inputs.
        for (address, length) in [(address + 9, 1), (address, 0), (0, 0)] {
            let output = module.evaluate(address, length, now);
            assert!(output.contains("PARSE_ERROR"), "{output}");
        }
        let expected = goff_engine::evaluate_document(DOCUMENT.as_bytes(), now().unwrap());
        assert_eq!(evaluated(&mut module, DOCUMENT.as_bytes()), expected);
    }

    #[test]
    fn without_a_clock_only_flags_that_need_it_are_errors() {
        let mut module = Module::default();
        for (input, is_error) in [(DOCUMENT, false), (WINDOW, true), (DOCUMENT, false)] {
            // The first evaluation leaves the flag compiled.
            evaluated(&mut module, input.as_bytes());
            let address = module.allocate(input.len()).unwrap();
            let block = module.block(address).unwrap();
            block.copy_from_slice(input.as_bytes());
            let output = module.evaluate(address, input.len(), || None);
            assert_eq!(output == NO_CLOCK, is_error, "{output}");
        }
    }

    #[test]
    fn errors_of_the_module_have_the_shape_of_the_official_ones() {
        let rejected = goff_engine::evaluate_document(b"[]", now().unwrap());
        let (before, after) = rejected.split_once("PARSE_ERROR").unwrap();
        let end = after.split_once(r#"","value""#).unwrap().1;
        for error in [NO_BLOCK, NO_MEMORY, NO_CLOCK] {
            assert!(error.starts_with(before) && error.ends_with(end), "{error}");
        }
    }
}
