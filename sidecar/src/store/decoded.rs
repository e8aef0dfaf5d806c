//! Users as they were decoded last, by the bytes that they were decoded from.
//!
//! Every login and every message reads a user, and checking and parsing a record takes longer than
//! finding it. The record is still read from the database each time: only when its bytes are those
//! of the last time is the user taken from here. So nothing here can be out of date.

use std::sync::{Arc, Mutex, PoisonError};

use super::StoreError;
use super::records::decode;
use crate::bounded::BoundedMap;
use crate::users::User;

/// Users that are kept; one takes about a kilobyte.
const CAPACITY: usize = 2048;

#[derive(Debug)]
pub struct Decoded(Mutex<BoundedMap<Vec<u8>, Entry>>);

#[derive(Debug)]
struct Entry {
    record: Vec<u8>,
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
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.peek(key)
            && entry.record == record
        {
            return Ok(Arc::clone(&entry.user));
        }
        let user = Arc::new(decode::<User>(key, record)?);
        let new = || Entry { record: record.to_vec(), user: Arc::clone(&user) };
        if let Some(entry) = entries.touch(key, new) {
            *entry = new();
        }
        Ok(user)
    }
}
