//! LOG_REDACT: masks or hashes the mail addresses in a line. The domain stays, because a log of
//! deliveries is useless without it.
//!
//! `mask` keeps the first letter: `a***@example.org`. `hash` replaces the local part with a keyed hash
//! of the whole address, so that the same address always gets the same hash, and addresses cannot be
//! guessed without the key. The key is on the queue's volume, where the mail itself reveals more than
//! any hash; it survives a restart, so lines from before and after can be matched.
//!
//! Message-IDs stay: they look like addresses but identify messages.

use std::fs;
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::{files, log};

pub const KEY_FILE: &str = "/var/spool/postfix/log-redact.key";
/// Bytes of the key.
const KEY_SIZE: usize = 32;
/// Bytes of the hash that are shown. With 64 bits, one log in 37 with a billion addresses contains two
/// that look alike.
const SHOWN_OF_HASH: usize = 8;

/// LOG_REDACT: what becomes of mail addresses in Postfix's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Redaction {
    #[default]
    None,
    Mask,
    Hash,
}

impl Redaction {
    pub fn parse(text: &str) -> Result<Self, String> {
        match text {
            "none" => Ok(Self::None),
            "mask" => Ok(Self::Mask),
            "hash" => Ok(Self::Hash),
            _ => Err("must be none, mask or hash".to_owned()),
        }
    }
}

#[derive(Debug)]
pub enum Redactor {
    Off,
    Mask,
    Hash(hmac::Key),
}

impl Redactor {
    /// `key_file` is created if it does not exist; only hashing needs it.
    pub fn new(redaction: Redaction, key_file: &Path) -> Self {
        match redaction {
            Redaction::None => Self::Off,
            Redaction::Mask => Self::Mask,
            Redaction::Hash => Self::with_key(&key(key_file)),
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

    /// Appends what takes the place of a local part. `domain` starts with its `@`.
    fn replace(&self, local: &[u8], domain: &[u8], result: &mut Vec<u8>) {
        match self {
            Self::Off => result.extend_from_slice(local),
            Self::Mask => {
                let letters = local.strip_prefix(b"\"").unwrap_or(local);
                // The first letter of a one-letter local part would be all of it.
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

/// The offset at which the local part starts that ends where `text` ends.
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
    // `=` is an atom character, and these are logged without brackets around the address.
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
    // A colon or dot after the domain is punctuation.
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
        log::warning(
            "LOG_REDACT=hash: the kernel gave no random numbers for the key, so addresses can be \
             guessed from their hashes",
        );
    }
    if let Err(error) = files::write_atomically(path, &key, 0o600) {
        log::warning(format_args!(
            "LOG_REDACT=hash: {error:#}; addresses will get other hashes after a restart"
        ));
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
    fn addresses_are_masked_anywhere_in_a_line() {
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
    fn a_hash_depends_on_the_whole_address_and_on_the_key() {
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
    fn the_key_is_kept_across_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = key(&path);
        assert_eq!((first.len(), key(&path)), (KEY_SIZE, first));
    }

    #[test]
    fn bytes_that_are_not_utf_8_stay() {
        assert_eq!(Redactor::Mask.apply(b"\xff <alice@b> \xfe".to_vec()), b"\xff <a***@b> \xfe");
        assert_eq!(Redactor::Off.apply(b"alice@b".to_vec()), b"alice@b");
    }
}
