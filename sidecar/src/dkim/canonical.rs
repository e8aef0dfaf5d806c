//! The relaxed forms of a body and of a header field (RFC 6376 section 3.4). Pure.
//!
//! The body is hashed as it comes, in pieces of any size, and nothing of it is kept but where it
//! stands: how many line ends and whether blanks are still open.

use ring::digest::{Context, SHA256};

/// The hash of a body in its relaxed form, so far.
#[derive(Clone)]
pub struct BodyHash {
    hash: Context,
    /// Whether anything was hashed: an empty body has no line end (RFC 6376 section 3.4.4).
    is_empty: bool,
    /// Line ends after the last visible byte. They count only if something visible follows.
    line_ends: u64,
    /// Blanks after the last visible byte of the line. They count as one, if something visible
    /// follows.
    blank: bool,
    /// A CR that is not known yet to begin a line end.
    carriage_return: bool,
}

impl std::fmt::Debug for BodyHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BodyHash").finish_non_exhaustive()
    }
}

impl Default for BodyHash {
    fn default() -> Self {
        let hash = Context::new(&SHA256);
        Self { hash, is_empty: true, line_ends: 0, blank: false, carriage_return: false }
    }
}

const LINE_ENDS: &[u8] = b"\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";

impl BodyHash {
    /// Takes the next piece of the body.
    pub fn update(&mut self, mut piece: &[u8]) {
        while let Some((first, rest)) = piece.split_first() {
            if self.carriage_return {
                self.carriage_return = false;
                if *first == b'\n' {
                    self.line_ends += 1;
                    self.blank = false;
                    piece = rest;
                    continue;
                }
                // A CR alone is a byte like any other.
                self.visible(b"\r");
            }
            match first {
                b' ' | b'\t' => self.blank = true,
                b'\r' => self.carriage_return = true,
                _ => {
                    let (run, rest) = piece.split_at(regular_run(piece));
                    self.visible(run);
                    piece = rest;
                    continue;
                }
            }
            piece = rest;
        }
    }

    /// The hash of the whole body.
    pub fn finish(mut self) -> [u8; 32] {
        if self.carriage_return {
            self.visible(b"\r");
        }
        if !self.is_empty {
            self.hash.update(b"\r\n");
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(self.hash.finish().as_ref());
        hash
    }

    /// Hashes what is there to be seen, after the line ends and the blank that were open.
    fn visible(&mut self, run: &[u8]) {
        while self.line_ends > 0 {
            let most = LINE_ENDS.len() / 2;
            let count = usize::try_from(self.line_ends).map_or(most, |ends| ends.min(most));
            self.hash.update(LINE_ENDS.get(..2 * count).unwrap_or_default());
            self.line_ends -= count as u64;
        }
        if self.blank {
            self.blank = false;
            self.hash.update(b" ");
        }
        self.is_empty = false;
        self.hash.update(run);
    }
}

/// How many bytes stand as they are in the relaxed form: at least one, since the first is visible.
/// A single space or a line end between two visible bytes does not end the run, so that ordinary
/// text is hashed in long pieces.
fn regular_run(piece: &[u8]) -> usize {
    let mut end = 1;
    loop {
        end += regular_blocks(piece.get(end..).unwrap_or_default());
        let Some(next) = piece.get(end..).and_then(first_blank) else { return piece.len() };
        end += next;
        let skipped = match piece.get(end..) {
            Some([b' ', following, ..]) if *following > b' ' => 2,
            Some([b'\r', b'\n', following, ..]) if *following > b' ' => 3,
            Some([b' ' | b'\t' | b'\r', ..]) => return end,
            // Other control characters, a bare LF among them, are bytes like any other.
            _ => 1,
        };
        end += skipped;
    }
}

/// Bytes that are looked at together, by the widest instructions the machine has for it.
const BLOCK: usize = 64;

/// How many bytes from here on stand as they are, by whole blocks, up to the last visible one among
/// them. What ends a run is a tab, a space before a blank or a line end, or a CR alone; two line ends in
/// a row stay, if something visible follows.
fn regular_blocks(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some((block, next)) = bytes.get(end..=end + BLOCK).and_then(with_neighbours)
        && is_regular(block, next)
    {
        end += BLOCK;
    }
    let run = bytes.get(..end).unwrap_or_default();
    run.iter().rposition(|byte| *byte > b' ').map_or(0, |last| last + 1)
}

/// A block, and the byte that follows each of it.
fn with_neighbours(bytes: &[u8]) -> Option<(&[u8; BLOCK], &[u8; BLOCK])> {
    Some((bytes.first_chunk()?, bytes.last_chunk()?))
}

/// Without a branch, so that the compiler makes vector instructions of it.
fn is_regular(block: &[u8; BLOCK], next: &[u8; BLOCK]) -> bool {
    let irregular = |byte: u8, next: u8| {
        (byte == b'\t') | ((byte == b' ') & (next <= b' ')) | ((byte == b'\r') & (next != b'\n'))
    };
    let found =
        block.iter().zip(next).fold(false, |found, (byte, next)| found | irregular(*byte, *next));
    !found
}

/// Where the first byte that is no more than a space stands. It looks at eight bytes at a time:
/// subtracting 0x21 from each sets its top bit where the byte was smaller and had none itself.
fn first_blank(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (words, rest) = bytes.as_chunks::<8>();
    for (position, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = word.wrapping_sub(ONES * 0x21) & !word & (ONES * 0x80);
        if found != 0 {
            // A borrow may mark later bytes wrongly, but never an earlier one than the first.
            return Some(8 * position + (found.trailing_zeros() / 8) as usize);
        }
    }
    let found = rest.iter().position(|byte| *byte <= b' ');
    found.map(|position| 8 * words.len() + position)
}

/// Appends a header field in its relaxed form (RFC 6376 section 3.4.2), with a line end.
pub fn header_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.extend(name.trim_ascii().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    relaxed_value(value, out);
    out.extend_from_slice(b"\r\n");
}

/// Unfolds a value, makes one space of each run of blanks, and leaves none at its ends.
pub fn relaxed_value(value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut blank = false;
    let mut bytes = value.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b' ' | b'\t' => blank = true,
            // The milter's line ends are LF, and those of a message CRLF; only folding has any.
            b'\n' => {}
            b'\r' if bytes.peek() == Some(&&b'\n') => {}
            byte => {
                if blank && out.len() > start {
                    out.push(b' ');
                }
                blank = false;
                out.push(*byte);
            }
        }
    }
}

#[cfg(test)]
mod tests;
