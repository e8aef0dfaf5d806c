//! Where the mail addresses are in a line of Postfix's log, or in what it quotes. Pure.

use std::collections::BTreeSet;

/// Where an address is in a line.
pub struct Address {
    pub start: usize,
    /// Its last `@`.
    pub at: usize,
}

/// The addresses in a line, from left to right. Rather too much is taken for a local part than too
/// little: it may be quoted, with spaces, brackets and other `@` inside, and Postfix's replies to
/// clients have it without the quotes.
pub fn addresses(line: &[u8]) -> Vec<Address> {
    let marks = Marks::of(line);
    let mut found: Vec<Address> = Vec::new();
    // From right to left, because what belongs to a local part shows at its end.
    for &(at, bracket) in marks.ats.iter().rev() {
        if found.last().is_some_and(|address| at >= address.start) {
            continue;
        }
        let start = bracket.map_or_else(|| start_of_local_part(line, at, &marks.quotes), |b| b + 1);
        found.push(Address { start, at });
    }
    found.reverse();
    found
}

/// What delimits the addresses of a line.
#[derive(Default)]
struct Marks {
    /// Each `@`, and the bracket that is open there.
    ats: Vec<(usize, Option<usize>)>,
    /// Quotes that are not escaped.
    quotes: Vec<usize>,
}

impl Marks {
    fn of(line: &[u8]) -> Self {
        let mut marks = Self::default();
        let goes_on = brackets_that_may_be_inside(line);
        let (mut bracket, mut is_escaped, mut is_quoted) = (None, false, false);
        for (position, byte) in line.iter().enumerate() {
            match byte {
                b'@' => marks.ats.push((position, bracket)),
                b'"' if !is_escaped => {
                    marks.quotes.push(position);
                    // Postfix quotes a local part as a whole.
                    is_quoted = !is_quoted && bracket.is_some_and(|at| at + 1 == position);
                }
                b'<' if bracket.is_none() => (bracket, is_quoted) = (Some(position), false),
                b'>' if !is_quoted => {
                    let behind = line.get(position + 1..).unwrap_or_default();
                    let is_inside = goes_on.contains(&position) && !is_pair(behind);
                    if ends_an_address(behind) && !is_inside {
                        bracket = None;
                    }
                }
                _ => {}
            }
            is_escaped = *byte == b'\\' && !is_escaped;
        }
        marks
    }
}

/// Each `>` with a space behind it that may be inside a local part: an `@` and another `>` follow before
/// the next `<`.
fn brackets_that_may_be_inside(line: &[u8]) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let (mut closes, mut has_address) = (false, false);
    for (position, byte) in line.iter().enumerate().rev() {
        match byte {
            b'<' => (closes, has_address) = (false, false),
            b'@' => has_address |= closes,
            b'>' => {
                closes = true;
                if has_address && line.get(position + 1) == Some(&b' ') {
                    found.insert(position);
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether a `>` ends an address in brackets, by what is behind it in Postfix's lines.
fn ends_an_address(behind: &[u8]) -> bool {
    behind.first().is_none_or(|next| b" ,:;.)]}'\"".contains(next))
}

/// ` proto=ESMTP`, which is Postfix's.
fn is_pair(behind: &[u8]) -> bool {
    let name = behind.strip_prefix(b" ").unwrap_or_default();
    let end = name.iter().position(|byte| !byte.is_ascii_lowercase()).unwrap_or(name.len());
    end > 0 && name.get(end) == Some(&b'=')
}

/// The offset at which the local part starts that ends at `at`, where no bracket is open.
fn start_of_local_part(line: &[u8], at: usize, quotes: &[usize]) -> usize {
    let mut start = at;
    loop {
        let before = line.get(..start).unwrap_or_default();
        let atom = before.iter().rposition(|byte| !is_atom(byte)).map_or(0, |at| at + 1);
        if atom < start {
            start = atom + name_length(before.get(atom..).unwrap_or_default());
            if start > atom {
                return start;
            }
        } else if before.last() == Some(&b'"') {
            // A quoted part starts at the quote before its last one.
            let closing = quotes.partition_point(|quote| *quote < start - 1);
            match closing.checked_sub(1).and_then(|opening| quotes.get(opening)) {
                Some(opening) => start = *opening,
                None => return start,
            }
        } else {
            return start;
        }
    }
}

/// Atoms of RFC 5322 3.2.3, dots, and the bytes of other alphabets.
pub fn is_atom(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || !byte.is_ascii() || b"!#$%&'*+-/=?^_`{|}~.".contains(byte)
}

/// `=` is an atom character, and these are logged without brackets around the address.
fn name_length(local: &[u8]) -> usize {
    let names = [b"sasl_username=".as_slice(), b"sasl_sender=", b"user="];
    names.into_iter().find(|name| local.starts_with(name)).map_or(0, <[u8]>::len)
}

pub fn domain_length(text: &[u8]) -> usize {
    let is_domain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(byte) || !byte.is_ascii();
    let domain = text.iter().position(|byte| !is_domain(byte)).unwrap_or(text.len());
    // A colon or dot after the domain is punctuation.
    let trimmed = text.get(..domain).unwrap_or_default();
    trimmed.iter().rposition(|byte| !b".:".contains(byte)).map_or(0, |at| at + 1)
}
