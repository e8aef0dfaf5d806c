//! Reads which login a message was submitted with from its queue file. Pure, and total.
//!
//! A queue file is a sequence of records: a type letter, the length in groups of seven bits (lowest
//! first, the high bit set while more follow), and that many bytes (Postfix's rec_type.h). The
//! envelope comes first; `A` is an attribute `name=value`, and `M` starts the message.

const ATTRIBUTE: u8 = b'A';
const MESSAGE: u8 = b'M';
const USER: &[u8] = b"sasl_username=";

/// The login a message was submitted with, if any. `start` may end in the middle of a record.
pub fn user(start: &[u8]) -> Option<String> {
    let mut rest = start;
    loop {
        let (kind, after) = rest.split_first()?;
        let (length, after) = length(after)?;
        let (data, after) = after.split_at_checked(length)?;
        if *kind == MESSAGE {
            return None;
        }
        if let Some(user) = data.strip_prefix(USER).filter(|_| *kind == ATTRIBUTE) {
            return Some(String::from_utf8_lossy(user).into_owned());
        }
        rest = after;
    }
}

fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0_usize;
    // Four groups hold lengths up to 256 MiB; no record is longer than a line.
    for (at, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((length, bytes.get(at + 1..)?));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u8, data: &[u8]) -> Vec<u8> {
        let mut record = vec![kind];
        let mut length = data.len();
        while length > 0x7f {
            record.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
            length >>= 7;
        }
        record.push(u8::try_from(length).unwrap());
        [record.as_slice(), data].concat()
    }

    #[test]
    fn the_login_is_an_attribute_of_the_envelope() {
        let login = record(b'A', b"sasl_username=alice@example.org");
        let other = record(b'A', &[b"x=".as_slice(), &[b'y'; 300]].concat());
        let time = record(b'T', b"1795000000 123456");
        let not = record(b'N', b"sasl_username=mallory");
        let message = record(b'M', b"");
        let alice = Some("alice@example.org".to_owned());
        for (file, expected) in [
            ([&time, &other, &not, &login, &message].map(Vec::as_slice).concat(), alice),
            ([&time, &message, &login].map(Vec::as_slice).concat(), None),
            (vec![], None),
            (vec![b'A', 0xff, 0xff, 0xff, 0xff, 0xff], None),
        ] {
            assert_eq!(user(&file), expected);
            for end in 0..file.len() {
                user(&file[..end]);
            }
        }
    }
}
