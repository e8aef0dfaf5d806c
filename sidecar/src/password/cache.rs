//! Passwords that were right a moment ago, so that a mail client that logs in for every message
//! does not cost a hash every time.
//!
//! Guarantee: an entry only works with the very hash that it was verified against. A password that
//! was changed, or a user that was removed, disabled or suspended, is refused at once, because the
//! caller reads the record every time and asks with the hash that is in it.
//!
//! The price, to be honest: whoever reads this process's memory finds a fast hash instead of a slow
//! one, for users who logged in lately. The key is random, and gone with the process.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::Password;
use crate::bounded::BoundedMap;

/// A name and a password under this process's key.
pub type Mac = [u8; 32];

#[derive(Debug)]
pub struct VerifiedCache {
    key: Zeroizing<[u8; 32]>,
    lifetime: Duration,
    entries: Mutex<BoundedMap<Mac, Entry>>,
}

#[derive(Debug)]
struct Entry {
    /// Digest of the stored hash that the password was verified against.
    verified_against: blake3::Hash,
    since: Instant,
}

impl VerifiedCache {
    /// A cache of `size` passwords; a size or lifetime of 0 switches it off.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn new(size: usize, lifetime: Duration) -> Result<Self, getrandom::Error> {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut())?;
        let size = if lifetime.is_zero() { 0 } else { size };
        Ok(Self { key, lifetime, entries: Mutex::new(BoundedMap::new(size)) })
    }

    /// The name and the password, with the name's length, so that no two pairs are one text.
    pub fn mac(&self, name: &str, password: &Password) -> Mac {
        let mut hasher = blake3::Hasher::new_keyed(&self.key);
        hasher.update(&(name.len() as u64).to_le_bytes());
        hasher.update(name.as_bytes()).update(password.as_bytes());
        *hasher.finalize().as_bytes()
    }

    /// A text that stands for a name that is nobody's, and may be a password.
    pub fn name_mac(&self, name: &str) -> String {
        blake3::keyed_hash(&self.key, name.as_bytes()).to_hex().to_string()
    }

    /// Whether this password was verified against this stored hash lately.
    pub fn contains(&self, mac: &Mac, phc: &str, now: Instant) -> bool {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.peek(mac).is_some_and(|entry| {
            now.duration_since(entry.since) < self.lifetime
                // blake3::Hash compares in constant time.
                && entry.verified_against == blake3::hash(phc.as_bytes())
        })
    }

    /// Remembers that this password was verified against this stored hash. The lifetime starts with
    /// the verification: being used does not extend it.
    pub fn insert(&self, mac: &Mac, phc: &str, now: Instant) {
        let new = || Entry { verified_against: blake3::hash(phc.as_bytes()), since: now };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.touch(mac, new) {
            *entry = new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        Password::choose(text.as_bytes()).unwrap()
    }

    #[test]
    fn an_entry_works_only_with_its_hash_and_its_name_and_for_its_lifetime() {
        let lifetime = Duration::from_secs(60);
        let cache = VerifiedCache::new(100, lifetime).unwrap();
        let now = Instant::now();
        let mac = cache.mac("alice", &password("secret"));
        cache.insert(&mac, "hash", now);
        assert!(cache.contains(&mac, "hash", now));
        assert!(!cache.contains(&mac, "another hash", now));
        assert!(!cache.contains(&mac, "hash", now + lifetime));
        assert!(!cache.contains(&cache.mac("alice", &password("Secret")), "hash", now));
        assert!(!cache.contains(&cache.mac("bob", &password("secret")), "hash", now));
        assert_ne!(cache.mac("ab", &password("c")), cache.mac("a", &password("bc")));
    }

    #[test]
    fn another_process_has_another_key() {
        let (one, other) = (
            VerifiedCache::new(1, Duration::from_secs(1)).unwrap(),
            VerifiedCache::new(1, Duration::from_secs(1)).unwrap(),
        );
        assert_ne!(one.mac("alice", &password("x")), other.mac("alice", &password("x")));
    }

    #[test]
    fn it_can_be_switched_off() {
        for (size, lifetime) in [(0, 60), (100, 0)] {
            let cache = VerifiedCache::new(size, Duration::from_secs(lifetime)).unwrap();
            let mac = cache.mac("alice", &password("secret"));
            cache.insert(&mac, "hash", Instant::now());
            assert!(!cache.contains(&mac, "hash", Instant::now()));
        }
    }
}
