//! Text from a peer, made safe to print.

use std::fmt;

/// Prints bytes from a peer as one word: spaces, control characters and invalid UTF-8 are escaped,
/// and long text is cut. A peer can then forge neither a log line nor a field of one, nor move a
/// terminal's cursor.
#[derive(Clone, Copy)]
pub struct Printable<'a>(pub &'a [u8]);

/// Longest printed text in characters: an address has at most 320 (RFC 3696, erratum 1690).
const MAX_SHOWN: usize = 320;

impl<'a> Printable<'a> {
    /// The text when it can be printed as it is, as nearly all can: writing it character by character took a tenth of all
    /// instructions of a message.
    fn plain(self) -> Option<&'a str> {
        let is_plain = |byte: &u8| byte.is_ascii_graphic() && *byte != b'\\';
        let fits = self.0.len() <= MAX_SHOWN && self.0.iter().all(is_plain);
        fits.then(|| std::str::from_utf8(self.0).ok()).flatten()
    }
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(text) = self.plain() {
            return f.write_str(text);
        }
        let mut shown = 0;
        for chunk in self.0.utf8_chunks() {
            for c in chunk.valid().chars() {
                if shown >= MAX_SHOWN {
                    return f.write_str("…");
                }
                shown += 1;
                if c == '\\' {
                    f.write_str("\\\\")?;
                } else if is_unsafe(c) {
                    write!(f, "{}", c.escape_unicode())?;
                } else {
                    write!(f, "{c}")?;
                }
            }
            for byte in chunk.invalid() {
                if shown >= MAX_SHOWN {
                    return f.write_str("…");
                }
                shown += 1;
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Text of a table that an operator reads: as [`Printable`], but whole, and with its spaces.
pub fn on_a_terminal(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c != ' ' && is_unsafe(c) {
            true => safe.extend(c.escape_unicode()),
            false => safe.push(c),
        }
    }
    safe
}

/// Spaces, controls, line separators, marks of direction, and everything that is invisible by
/// definition (Default_Ignorable_Code_Point of Unicode).
fn is_unsafe(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e0fff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_a_peer_reaches_the_log_as_a_control() {
        let cases: [(&[u8], &str); 9] = [
            (b"x client=192.0.2.1", "x\\u{20}client=192.0.2.1"),
            (b"alice@example.org", "alice@example.org"),
            (b"a\r\nb", "a\\u{d}\\u{a}b"),
            (b"\x1b[2J", "\\u{1b}[2J"),
            (b"a\xffb", "a\\xffb"),
            ("caf\u{e9}".as_bytes(), "caf\u{e9}"),
            ("\u{202e}gro".as_bytes(), "\\u{202e}gro"),
            (b"a\\x", "a\\\\x"),
            ("a\u{ad}\u{61c}\u{e0041}".as_bytes(), "a\\u{ad}\\u{61c}\\u{e0041}"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(Printable(bytes).to_string(), expected);
        }
        for (length, shown) in [(0, 0), (MAX_SHOWN, MAX_SHOWN), (5000, MAX_SHOWN + 1)] {
            let printed = Printable(&vec![b'x'; length]).to_string();
            assert_eq!(printed.chars().count(), shown, "{length}");
        }
        // The cut must not be stepped over by bytes that are no characters.
        let around_the_cut = [vec![b'x'; MAX_SHOWN - 1], b"\xff\xff".to_vec(), vec![b'x'; 5000]];
        let printed = Printable(&around_the_cut.concat()).to_string();
        assert!(printed.chars().count() < MAX_SHOWN + 10, "{printed}");
    }

    #[test]
    fn a_table_keeps_spaces_and_shows_what_is_invisible() {
        for (text, expected) in [
            ("Fax, 2nd floor", "Fax, 2nd floor"),
            ("DOMAIN\\büro", "DOMAIN\\büro"),
            ("a\u{202e}b\u{200b}", "a\\u{202e}b\\u{200b}"),
            ("a\nb\x1b[2J\u{a0}", "a\\u{a}b\\u{1b}[2J\\u{a0}"),
        ] {
            assert_eq!(on_a_terminal(text), expected);
        }
        assert_eq!(on_a_terminal(&"x".repeat(5000)).len(), 5000);
    }
}
