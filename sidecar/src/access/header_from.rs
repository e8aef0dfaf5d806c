//! Who a message may be from, going by its header fields From and Sender. Pure.
//!
//! Programs differ in which address of a malformed field they show, and receivers differ from both.
//! So this does not pick one: every address that stands in the field for everybody to see, outside
//! of quoted strings and comments, is a candidate, and whoever sends the message must be allowed to
//! use all of them. Which one a reader's program picks then does not matter.

use thiserror::Error;

use super::senders::Address;

/// More bytes of From and Sender fields than this are refused. RFC 5322 sets no limit; a thousand
/// authors fit.
pub const MAX_FIELDS: usize = 64 * 1024;

/// Why nobody can say who a message is from.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum UnclearAuthor {
    #[error("more than one {0} header field: send exactly one")]
    Repeated(&'static str),
    #[error(
        "the {0} header field can be read in more than one way: write it as \"Your Name\" \
         <you@example.org>"
    )]
    Unreadable(&'static str),
    #[error("the From and Sender header fields have more than {MAX_FIELDS} bytes")]
    TooLong,
}

/// The From and Sender fields of one message, collected as they arrive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AuthorFields {
    from: Vec<Vec<u8>>,
    sender: Vec<Vec<u8>>,
    bytes: usize,
}

/// The fields that name an author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AuthorField {
    From,
    Sender,
}

impl AuthorField {
    fn named(name: &[u8]) -> Option<Self> {
        // Postfix takes "From :" for a From field, and so do mail programs.
        let name = name.trim_ascii();
        if name.eq_ignore_ascii_case(b"From") {
            Some(Self::From)
        } else if name.eq_ignore_ascii_case(b"Sender") {
            Some(Self::Sender)
        } else {
            None
        }
    }
}

/// Whether a header field of this name is one of those that [`AuthorFields`] keeps.
pub fn names_author(name: &[u8]) -> bool {
    AuthorField::named(name).is_some()
}

/// Those of a message whose header has not been sent yet.
pub static NOT_SENT: AuthorFields = AuthorFields { from: Vec::new(), sender: Vec::new(), bytes: 0 };

impl AuthorFields {
    /// Keeps a header field, if it is one of the two.
    pub fn add(&mut self, name: &[u8], value: &[u8]) {
        let fields = match AuthorField::named(name) {
            Some(AuthorField::From) => &mut self.from,
            Some(AuthorField::Sender) => &mut self.sender,
            None => return,
        };
        self.bytes = self.bytes.saturating_add(value.len());
        // Two of a kind are refused already; a million empty ones must not be kept.
        if self.bytes <= MAX_FIELDS && fields.len() < 2 {
            fields.push(value.to_vec());
        }
    }

    /// Every address that the message may be from; none when it has neither field.
    ///
    /// # Errors
    ///
    /// When a field is repeated or cannot be read as addresses.
    pub fn authors(&self) -> Result<Vec<Address>, UnclearAuthor> {
        if self.bytes > MAX_FIELDS {
            return Err(UnclearAuthor::TooLong);
        }
        let mut authors = Vec::new();
        for (name, fields) in [("From", &self.from), ("Sender", &self.sender)] {
            match fields.as_slice() {
                [] => {}
                [field] => {
                    authors.extend(candidates(field).ok_or(UnclearAuthor::Unreadable(name))?);
                }
                [_, _, ..] => return Err(UnclearAuthor::Repeated(name)),
            }
        }
        Ok(authors)
    }

    /// The one author that From names; `None` when it names none or several, or can be read in more
    /// than one way.
    pub fn author(&self) -> Option<Address> {
        let [from] = self.from.as_slice() else { return None };
        if self.bytes > MAX_FIELDS {
            return None;
        }
        let mut authors = candidates(from)?;
        authors.dedup();
        authors.pop().filter(|_| authors.is_empty())
    }
}

/// Every address in one field, at least one; `None` when something in it could be one and cannot
/// be read.
fn candidates(field: &[u8]) -> Option<Vec<Address>> {
    // A line break in a value is folding. Any other control character is not allowed in a header
    // line, and programs differ in what they make of it.
    if field.iter().any(|byte| byte.is_ascii_control() && !b"\t\r\n".contains(byte)) {
        return None;
    }
    let visible = without_quotes_and_comments(field)?;
    let mut found = Vec::new();
    for phrase in visible.split(|byte| b"<>,;:".contains(byte)) {
        let words: Vec<&[u8]> =
            phrase.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        for (position, word) in words.iter().enumerate().filter(|(_, word)| word.contains(&b'@')) {
            // The obsolete syntax (RFC 5322 section 4.4) allows spaces around dots, so a word that
            // ends or begins with one may be part of the address beside it.
            let before = position.checked_sub(1).and_then(|before| words.get(before));
            let after = words.get(position + 1);
            if before.is_some_and(|word| word.ends_with(b"."))
                || after.is_some_and(|word| word.starts_with(b"."))
                || word.starts_with(b".")
            {
                return None;
            }
            found.push(address(word)?);
        }
    }
    (!found.is_empty()).then_some(found)
}

fn address(word: &[u8]) -> Option<Address> {
    let text = std::str::from_utf8(word).ok()?;
    // With two of them it is up to the reader where the domain begins.
    Address::parse(text).filter(|_| text.matches('@').count() == 1)
}

/// What is outside of quoted strings and comments (RFC 5322 section 3.2), each of which leaves a
/// space. `None` when one does not end, or when a backslash stands where it escapes nothing:
/// programs differ in what they make of that.
fn without_quotes_and_comments(field: &[u8]) -> Option<Vec<u8>> {
    let (mut visible, mut depth, mut quoted) = (Vec::new(), 0_usize, false);
    let mut bytes = field.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted || depth > 0 => {
                bytes.next()?;
            }
            b'\\' => return None,
            b'"' if depth == 0 => {
                quoted = !quoted;
                visible.push(b' ');
            }
            b'(' if !quoted => {
                depth += 1;
                visible.push(b' ');
            }
            b')' if !quoted => depth = depth.checked_sub(1)?,
            byte if !quoted && depth == 0 => visible.push(*byte),
            _ => {}
        }
    }
    (!quoted && depth == 0).then_some(visible)
}

#[cfg(test)]
mod tests;
