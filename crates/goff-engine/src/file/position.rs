//! Places in a file.

use std::fmt;

/// A place in a file, from line 1 and column 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The beginnings of lines, to turn byte offsets into positions.
pub(crate) struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
    /// How many characters begin before each block of the text, because a file may be one long line
    /// with many positions.
    characters: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        let starts = std::iter::once(0)
            .chain(text.match_indices('\n').map(|(at, _)| at + 1))
            .collect();
        let mut characters = vec![0];
        let mut before = 0;
        for block in text.as_bytes().chunks_exact(BLOCK) {
            before += beginning_in(block);
            characters.push(before);
        }
        Self {
            text,
            starts,
            characters,
        }
    }

    pub(crate) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self
            .starts
            .get(line.saturating_sub(1))
            .copied()
            .unwrap_or(0);
        Position {
            line,
            column: self.characters_before(offset) - self.characters_before(start) + 1,
        }
    }

    fn characters_before(&self, offset: usize) -> usize {
        let offset = offset.min(self.text.len());
        let block = offset / BLOCK;
        let rest = self.text.as_bytes().get(block * BLOCK..offset);
        let before = self.characters.get(block).copied().unwrap_or(0);
        before + rest.map_or(0, beginning_in)
    }
}

const BLOCK: usize = 256;

/// How many characters begin in a part of a text.
fn beginning_in(part: &[u8]) -> usize {
    // All bytes but the first of a character are 10xxxxxx.
    part.iter().filter(|byte| **byte & 0xc0 != 0x80).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_count_characters_however_long_the_line() {
        for text in [
            String::new(),
            "a".repeat(2 * BLOCK),
            format!("\n{}\n\né{}x", "é".repeat(BLOCK), "€a😀".repeat(3 * BLOCK)),
        ] {
            let lines = Lines::new(&text);
            let (mut line, mut column) = (1, 1);
            for (offset, character) in text.char_indices() {
                assert_eq!(lines.position(offset), Position { line, column });
                (line, column) = match character {
                    '\n' => (line + 1, 1),
                    _ => (line, column + 1),
                };
            }
            assert_eq!(lines.position(text.len()), Position { line, column });
        }
    }
}
