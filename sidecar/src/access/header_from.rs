//! Who a message says it is from: the header fields From and Sender.
//!
//! mail-parser reads the fields. It is made to get something out of any mail, and takes `<a@x>
//! <b@y>` for one address; what a recipient's program shows is then anybody's guess. So its answer
//! counts only when it is what stands in the field for everybody to see: each word with an `@`
//! outside of quotes and comments is one of its addresses, letter by letter.

use mail_parser::MessageParser;
use thiserror::Error;

use super::senders::Address;

/// More bytes of From and Sender fields than this are refused. RFC 5322 sets no bound; a thousand
/// authors fit.
pub const MAX_FIELDS: usize = 64 * 1024;

/// Why the author of a message cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Ambiguous {
    #[error("more than one {0} header field")]
    Repeated(&'static str),
    #[error("the {0} header field cannot be read as a list of addresses")]
    Unreadable(&'static str),
    #[error("From and Sender header fields of more than {MAX_FIELDS} bytes")]
    TooLong,
}

/// The From and Sender fields of one message, as the milter notes them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct AuthorFields {
    from: Vec<Vec<u8>>,
    sender: Vec<Vec<u8>>,
    bytes: usize,
}

impl AuthorFields {
    /// Notes a header field; those of other names are ignored.
    pub fn note(&mut self, name: &[u8], value: &[u8]) {
        // Postfix takes "From :" for a From field, and so do the programs of recipients.
        let name = name.trim_ascii();
        let fields = if name.eq_ignore_ascii_case(b"From") {
            &mut self.from
        } else if name.eq_ignore_ascii_case(b"Sender") {
            &mut self.sender
        } else {
            return;
        };
        self.bytes = self.bytes.saturating_add(value.len());
        if self.bytes <= MAX_FIELDS {
            fields.push(value.to_vec());
        }
    }

    /// Every address that the message claims to come from; none when it has neither field.
    ///
    /// # Errors
    ///
    /// When two programs could read two different authors.
    pub fn authors(&self) -> Result<Vec<Address>, Ambiguous> {
        if self.bytes > MAX_FIELDS {
            return Err(Ambiguous::TooLong);
        }
        let mut authors = Vec::new();
        for (name, fields) in [("From", &self.from), ("Sender", &self.sender)] {
            match fields.as_slice() {
                [] => {}
                [field] => authors.extend(read(field).ok_or(Ambiguous::Unreadable(name))?),
                [_, _, ..] => return Err(Ambiguous::Repeated(name)),
            }
        }
        Ok(authors)
    }
}

/// The addresses of one field; `None` when it is not certain that these are all.
fn read(value: &[u8]) -> Option<Vec<Address>> {
    // A line break in the value is folding; anything else that a header line cannot have could
    // make two programs see two fields.
    if value.iter().any(|byte| byte.is_ascii_control() && !b"\t\r\n".contains(byte)) {
        return None;
    }
    let unfolded: Vec<u8> =
        value.iter().map(|byte| if b"\r\n".contains(byte) { b' ' } else { *byte }).collect();
    let message = [b"From: ", unfolded.as_slice(), b"\r\n\r\n"].concat();
    let parsed = MessageParser::new().parse(&message)?;
    let found = parsed.from()?.iter().map(mail_parser::Addr::address);
    let found: Vec<&str> = found.collect::<Option<_>>()?;
    let bare = without_quotes_and_comments(&unfolded)?;
    if found.is_empty() || found != words_with_at_sign(&bare) {
        return None;
    }
    found
        .into_iter()
        .map(|text| Address::parse(text).filter(|_| text.matches('@').count() == 1))
        .collect()
}

/// What stands outside of quoted strings and comments (RFC 5322 section 3.2), each of which leaves
/// a space. `None` when one does not end, or a backslash escapes what needs no escape: programs
/// differ in what they make of that.
fn without_quotes_and_comments(value: &[u8]) -> Option<String> {
    let (mut bare, mut depth, mut quoted) = (Vec::new(), 0_usize, false);
    let mut bytes = value.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if quoted || depth > 0 => {
                bytes.next()?;
            }
            b'\\' => return None,
            b'"' if depth == 0 => {
                quoted = !quoted;
                bare.push(b' ');
            }
            b'(' if !quoted => {
                depth += 1;
                bare.push(b' ');
            }
            b')' if !quoted => depth = depth.checked_sub(1)?,
            byte if !quoted && depth == 0 => bare.push(*byte),
            _ => {}
        }
    }
    if quoted || depth > 0 { None } else { String::from_utf8(bare).ok() }
}

/// The addresses as a reader's eye finds them.
fn words_with_at_sign(bare: &str) -> Vec<&str> {
    let words = bare.split(|c: char| c.is_whitespace() || "<>,;:".contains(c));
    words.filter(|word| word.contains('@')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn authors(fields: &[(&str, &str)]) -> Result<Vec<String>, Ambiguous> {
        let mut noted = AuthorFields::default();
        for (name, value) in fields {
            noted.note(name.as_bytes(), value.as_bytes());
        }
        Ok(noted.authors()?.iter().map(Address::to_string).collect())
    }

    #[test]
    fn fields_whose_author_is_certain() {
        let cases: [(&str, &[&str]); 16] = [
            ("a@x.org", &["a@x.org"]),
            ("<a@x.org>", &["a@x.org"]),
            ("Alice <A@X.org>", &["a@x.org"]),
            ("\"boss@victim.test\" <a@x.org>", &["a@x.org"]),
            ("\"a \\\"b@c\\\"\" <a@x.org>", &["a@x.org"]),
            ("a@x.org (victim@z.test)", &["a@x.org"]),
            ("(victim@z.test (nested@q.test)) a@x.org", &["a@x.org"]),
            ("=?utf-8?q?victim=40z.test?= <a@x.org>", &["a@x.org"]),
            ("=?utf-8?b?PHZpY3RpbUB6LnRlc3Q+?= <a@x.org>", &["a@x.org"]),
            ("a@x.org, Bob <b@y.org>", &["a@x.org", "b@y.org"]),
            ("Team: a@x.org, b@y.org;", &["a@x.org", "b@y.org"]),
            ("Alice\r\n <a@x.org>", &["a@x.org"]),
            ("Alice\n\t<a@x.org>,\r\n b@y.org", &["a@x.org", "b@y.org"]),
            ("a@x.org,", &["a@x.org"]),
            ("x@b\u{fc}cher.example", &["x@xn--bcher-kva.example"]),
            ("J. R. \"Bob\" D <a@x.org>", &["a@x.org"]),
        ];
        for (value, expected) in cases {
            assert_eq!(authors(&[("From", value)]).unwrap(), expected, "{value:?}");
        }
    }

    #[test]
    fn fields_that_two_programs_could_read_in_two_ways() {
        let values = [
            "",
            " ",
            "nobody",
            "<>",
            "undisclosed:;",
            "<a@x.org> <victim@z.test>",
            "a@x.org victim@z.test",
            "<a@x.org>victim@z.test",
            "a@x.org:victim@z.test",
            "<@h1,@h2:a@x.org>",
            "a@@x.org",
            "a@x.org@z.test",
            "\"unterminated <a@x.org>",
            "(unterminated a@x.org",
            "a@x.org)",
            "a@x.org>",
            "a@x.org\0victim@z.test",
            "\"quoted local\"@x.org",
            "a@[192.0.2.1]",
            "=?utf-8?q?a=40x.org?=",
            "a @ x.org",
            "< Ba\\x.oa@x.org>",
            "a@x.org \\",
            "a(comment)@x.org",
            "a\"b\"@x.org",
            "=?utf-8?q?Bob?=<a@x.org> =?utf-8?q?<b=40y.org>?=\\",
        ];
        for value in values {
            let found = authors(&[("From", value)]);
            assert_eq!(found, Err(Ambiguous::Unreadable("From")), "{value:?}");
        }
    }

    #[test]
    fn one_field_of_each_name() {
        let twice = [("From", "a@x.org"), ("from", "a@x.org")];
        assert_eq!(authors(&twice), Err(Ambiguous::Repeated("From")));
        let spaced = [("From", "a@x.org"), ("From ", "victim@z.test")];
        assert_eq!(authors(&spaced), Err(Ambiguous::Repeated("From")));
        let both = [("From", "a@x.org"), ("Sender", "b@y.org"), ("Reply-To", "c@z.org")];
        assert_eq!(authors(&both).unwrap(), ["a@x.org", "b@y.org"]);
        assert_eq!(authors(&[("Subject", "x")]).unwrap(), Vec::<String>::new());
        let long = "a@x.org, ".repeat(MAX_FIELDS / 8);
        assert_eq!(authors(&[("From", &long)]), Err(Ambiguous::TooLong));
    }
}
