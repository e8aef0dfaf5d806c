//! LOG_REDACT: masks or hashes the mail addresses in a line. The domain stays, because a log of
//! deliveries is useless without it.
//!
//! `mask` keeps the first letter: `a***@example.org`. `hash` replaces the local part with a keyed hash
//! of the whole address, so that the same address always gets the same hash, and addresses cannot be
//! guessed without the key. The key is on the queue's volume, where the mail itself reveals more than
//! any hash; it survives a restart, so lines from before and after can be matched.
//!
//! Message-IDs stay: they look like addresses but identify messages.

mod addresses;

use std::fs;
use std::path::Path;

use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};

use crate::{files, log};
use addresses::{Address, addresses, domain_length, is_atom};

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
        for Address { start, at } in addresses(&line) {
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
                // The first letter of a one-letter local part would be all of it.
                let is_plain = local.len() > 1 && local.iter().all(is_atom);
                result.extend(local.first().filter(|b| is_plain && b.is_ascii_alphanumeric()));
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
mod tests;
