//! LOG_REDACT: mail addresses in a line, masked or hashed. The domain stays, because without it a
//! log of deliveries is of no use.
//!
//! `mask` leaves the first letter: `a***@example.org`. `hash` puts a keyed hash of the whole address
//! in the place of its local part: the same address has the same hash, and without the key nobody
//! can try out addresses. The key stands on the queue's volume, whose mail says more than any hash,
//! so that lines from before and after a restart can be told to be of one address.
//!
//! Message-IDs stay: they have the form of an address, but name a message.

use std::fs;
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::settings::LogRedaction;
use crate::{files, log};

pub const KEY_FILE: &str = "/var/spool/postfix/log-redact.key";
const KEY_SIZE: usize = 32;
/// 64 bits: two of a billion addresses are alike once in 37 such logs.
const SHOWN_OF_HASH: usize = 8;

#[derive(Debug)]
pub enum Redactor {
    Off,
    Mask,
    Hash(hmac::Key),
}

impl Redactor {
    /// `key_file` is made when there is none.
    pub fn new(redaction: LogRedaction, key_file: &Path) -> Self {
        match redaction {
            LogRedaction::None => Self::Off,
            LogRedaction::Mask => Self::Mask,
            LogRedaction::Hash => Self::with_key(&key(key_file)),
        }
    }

    fn with_key(key: &[u8]) -> Self {
        Self::Hash(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// The line without the addresses in it.
    pub fn apply(&self, line: Vec<u8>) -> Vec<u8> {
        if matches!(self, Self::Off) || !line.contains(&b'@') {
            return line;
        }
        let mut result = Vec::with_capacity(line.len() + 32);
        let mut done = 0;
        for (at, _) in line.iter().enumerate().filter(|(_, byte)| **byte == b'@') {
            let before = line.get(done..at).unwrap_or_default();
            let start = done + start_of_local_part(before);
            let end = at + 1 + domain_length(line.get(at + 1..).unwrap_or_default());
            let kept = line.get(done..start).unwrap_or_default();
            result.extend_from_slice(kept);
            let local = line.get(start..at).unwrap_or_default();
            if kept.ends_with(b"message-id=<") {
                result.extend_from_slice(local);
            } else {
                self.replace(local, line.get(at..end).unwrap_or_default(), &mut result);
            }
            done = at;
        }
        result.extend_from_slice(line.get(done..).unwrap_or_default());
        result
    }

    /// `domain` begins with its `@`.
    fn replace(&self, local: &[u8], domain: &[u8], result: &mut Vec<u8>) {
        match self {
            Self::Off => result.extend_from_slice(local),
            Self::Mask => {
                let letters = local.strip_prefix(b"\"").unwrap_or(local);
                // The only letter of an address is all of it.
                if letters.len() > 1 && letters.first().is_some_and(u8::is_ascii_alphanumeric) {
                    result.extend(letters.first());
                }
                result.extend_from_slice(b"***");
            }
            Self::Hash(key) => {
                let address = [local, domain].concat().to_ascii_lowercase();
                let tag = hmac::sign(key, &address);
                for byte in tag.as_ref().iter().take(SHOWN_OF_HASH) {
                    result.extend_from_slice(format!("{byte:02x}").as_bytes());
                }
            }
        }
    }
}

/// Where the local part begins that ends at the end of `text`.
fn start_of_local_part(text: &[u8]) -> usize {
    if let Some(inner) = text.strip_suffix(b"\"") {
        return inner.iter().rposition(|byte| *byte == b'"').unwrap_or(0);
    }
    // Atoms of RFC 5322 3.2.3, dots, and the bytes of other alphabets.
    let is_atom = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || byte.is_ascii() && b"!#$%&'*+-/=?^_`{|}~.".contains(byte)
            || !byte.is_ascii()
    };
    let start = text.iter().rposition(|byte| !is_atom(byte)).map_or(0, |at| at + 1);
    // `=` may stand in an address, and stands before this one without brackets.
    let local = text.get(start..).unwrap_or_default();
    let name = [b"sasl_username=".as_slice(), b"sasl_sender=", b"user="]
        .into_iter()
        .find(|name| local.starts_with(name));
    start + name.map_or(0, <[u8]>::len)
}

fn domain_length(text: &[u8]) -> usize {
    let is_domain =
        |byte: &u8| byte.is_ascii_alphanumeric() || b".-_[]:".contains(byte) || !byte.is_ascii();
    let domain = text.iter().position(|byte| !is_domain(byte)).unwrap_or(text.len());
    // A colon or a dot behind the domain belongs to the sentence.
    let trimmed = text.get(..domain).unwrap_or_default();
    trimmed.iter().rposition(|byte| !b".:".contains(byte)).map_or(0, |at| at + 1)
}

fn key(path: &Path) -> Vec<u8> {
    match fs::read(path) {
        Ok(key) if key.len() == KEY_SIZE => return key,
        _ => {}
    }
    let mut key = vec![0; KEY_SIZE];
    if SystemRandom::new().fill(&mut key).is_err() {
        log::warning("the kernel gives no random numbers; hashes in the log are easy to guess");
    }
    if let Err(error) = files::write_atomically(path, &key, 0o600) {
        log::warning(format_args!("{error:#}; after a restart addresses have other hashes"));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn masked(line: &str) -> String {
        String::from_utf8(Redactor::Mask.apply(line.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn addresses_are_masked_wherever_they_stand() {
        for (line, expected) in [
            ("to=<alice@example.org>, relay=x", "to=<a***@example.org>, relay=x"),
            ("from=<>, x", "from=<>, x"),
            ("sasl_username=alice@example.org", "sasl_username=a***@example.org"),
            ("from=<b+bob=example.net@lists.test>", "from=<b***@lists.test>"),
            ("to=<\"al ice\"@example.org>", "to=<a***@example.org>"),
            ("to=<x@example.org>", "to=<***@example.org>"),
            (
                "550 <bob@example.net>: no bob@example.net.",
                "550 <b***@example.net>: no b***@example.net.",
            ),
            ("two a.b@c d.e@f", "two a***@c d***@f"),
            ("message-id=<abc@host>", "message-id=<abc@host>"),
            ("resent-message-id=<abc@host>", "resent-message-id=<abc@host>"),
            ("to=<grüße@example.org>", "to=<g***@example.org>"),
            ("to=<ü.x@example.org>", "to=<***@example.org>"),
            ("to=<a@b@example.org>", "to=<***@***@example.org>"),
            ("no address, a@", "no address, ***@"),
            ("@", "***@"),
        ] {
            assert_eq!(masked(line), expected, "{line}");
        }
    }

    #[test]
    fn a_hash_is_of_the_whole_address_and_of_the_key() {
        let line = |address: &str| format!("to=<{address}>, x").into_bytes();
        let redactor = Redactor::with_key(&[7; KEY_SIZE]);
        let hashed = redactor.apply(line("alice@example.org"));
        assert_eq!(hashed, redactor.apply(line("Alice@Example.org")).to_ascii_lowercase());
        assert_ne!(hashed, redactor.apply(line("alice@example.net")));
        assert_ne!(hashed, Redactor::with_key(&[8; KEY_SIZE]).apply(line("alice@example.org")));
        let hashed = String::from_utf8(hashed).unwrap();
        let local = hashed.strip_prefix("to=<").unwrap().strip_suffix("@example.org>, x").unwrap();
        assert!(
            local.len() == 16 && local.bytes().all(|byte| byte.is_ascii_hexdigit()),
            "{hashed}"
        );
    }

    #[test]
    fn the_key_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = key(&path);
        assert_eq!((first.len(), key(&path)), (KEY_SIZE, first));
    }

    #[test]
    fn bytes_that_are_no_text_stay() {
        assert_eq!(Redactor::Mask.apply(b"\xff <alice@b> \xfe".to_vec()), b"\xff <a***@b> \xfe");
        assert_eq!(Redactor::Off.apply(b"alice@b".to_vec()), b"alice@b");
    }
}
