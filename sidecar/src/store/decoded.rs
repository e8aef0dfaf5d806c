//! Users as they were decoded last, by what stands before the JSON that they were decoded from.
//!
//! Every login and every message reads a user, and checking and parsing a record takes longer than
//! finding it. The record is still read from the database each time: only when its version and its
//! checksum, which covers the name and the JSON, are those of the last time is the user taken from
//! here. So nothing here can be out of date.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, PoisonError};

use super::StoreError;
use super::records::{CHECKSUM_LENGTH, decode, head};
use crate::bounded::BoundedMap;
use crate::users::User;

/// Users that are kept; one takes about half a kilobyte.
const CAPACITY: usize = 2048;

/// By the last eight bytes of the checksum that a record carries. They are as good as random, and
/// nobody outside chooses them, so that they need no hashing.
#[derive(Debug)]
pub struct Decoded(Mutex<BoundedMap<u64, Entry, BuildHasherDefault<AsItIs>>>);

#[derive(Debug)]
struct Entry {
    key: Box<[u8]>,
    head: [u8; 1 + CHECKSUM_LENGTH],
    user: Arc<User>,
}

impl Default for Decoded {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(CAPACITY)))
    }
}

impl Decoded {
    /// The user in a record, which is checked and parsed if it is not the one of the last time.
    ///
    /// # Errors
    ///
    /// As [`decode`].
    pub fn user(&self, key: &[u8], record: &[u8]) -> Result<Arc<User>, StoreError> {
        let Some(head) = head(record) else { return decode(key, record).map(Arc::new) };
        let place = head.last_chunk().copied().map(u64::from_le_bytes).unwrap_or_default();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The key, too: a whole record may have been copied under another user's name.
        if let Some(entry) = entries.peek(&place)
            && *entry.key == *key
            && entry.head == *head
        {
            return Ok(Arc::clone(&entry.user));
        }
        let user = Arc::new(decode::<User>(key, record)?);
        let new = || Entry { key: key.into(), head: *head, user: Arc::clone(&user) };
        if let Some(entry) = entries.touch(&place, new) {
            *entry = new();
        }
        Ok(user)
    }
}

/// A hash that is the number itself.
#[derive(Debug, Default)]
pub struct AsItIs(u64);

impl Hasher for AsItIs {
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    /// Not called: the keys are numbers. Whatever is hashed by its bytes is in one place.
    fn write(&mut self, _: &[u8]) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::records::encode;
    use crate::users::NewHash;

    fn record(key: &[u8], created: u64) -> Vec<u8> {
        let user = User::new(NewHash { hash: String::new(), unguessable: true }, created);
        encode(key, &user).unwrap()
    }

    #[test]
    fn a_user_is_decoded_again_when_its_record_changes_and_only_then() {
        let decoded = Decoded::default();
        let first = decoded.user(b"alice", &record(b"alice", 1)).unwrap();
        assert!(Arc::ptr_eq(&first, &decoded.user(b"alice", &record(b"alice", 1)).unwrap()));
        assert_eq!(decoded.user(b"alice", &record(b"alice", 2)).unwrap().created, 2);
        assert_eq!(decoded.user(b"bob", &record(b"bob", 1)).unwrap().created, 1);
        assert_eq!(decoded.user(b"alice", &record(b"alice", 1)).unwrap().created, 1);
    }

    #[test]
    fn a_record_that_was_read_before_is_damaged_under_another_name_or_with_another_head() {
        let decoded = Decoded::default();
        let mut record = record(b"alice", 1);
        decoded.user(b"alice", &record).unwrap();
        assert!(decoded.user(b"bob", &record).is_err());
        for byte in 0..1 + CHECKSUM_LENGTH {
            record[byte] ^= 1;
            assert!(decoded.user(b"alice", &record).is_err(), "{byte}");
            record[byte] ^= 1;
        }
        for length in 0..=CHECKSUM_LENGTH {
            assert!(decoded.user(b"alice", &record[..length]).is_err(), "{length}");
        }
    }
}
