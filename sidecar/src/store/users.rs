//! The users: read by name, listed in pieces, changed in transactions.

use std::ops::Bound;
use std::sync::Arc;

use heed::RwTxn;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::records::{decode, encode};
use super::{StoreError, UserStore};
use crate::limits::account::AccountKey;
use crate::user_name::UserName;
use crate::users::{NewHash, User};

/// A change was not made, because of what the database holds.
#[derive(Debug, Error)]
pub enum ChangeError {
    #[error("user {0} already exists")]
    Exists(UserName),
    #[error("there is no user {0}")]
    Unknown(UserName),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to be written for a name.
#[derive(Debug, Serialize, Deserialize)]
pub enum Entry {
    /// All of a user; of an existing one nothing is left but its id.
    User(Box<User>),
    /// A password. An existing user keeps everything else: whether it is enabled, who it may send
    /// as, its limits.
    Password(NewHash),
}

/// A user's name, and the record where it can be read.
pub type Listed = (String, Result<User, StoreError>);

impl UserStore {
    /// Reads one user.
    pub fn user(&self, name: &UserName) -> Result<Option<Arc<User>>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let key = name.as_str().as_bytes();
        let value = self.users.get(&txn, key).map_err(|error| self.failed(error))?;
        value.map(|value| self.decoded.user(key, value)).transpose()
    }

    /// Reads up to `most` users in the order of their names, those after `after`. A record that
    /// cannot be read does not hide the others.
    ///
    /// In pieces, because a transaction that stays open while somebody reads its output keeps every
    /// old page of the file alive.
    pub fn users_after(&self, after: Option<&str>, most: usize) -> Result<Vec<Listed>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let start = after.map_or(Bound::Unbounded, |after| Bound::Excluded(after.as_bytes()));
        let range = self.users.range(&txn, &(start, Bound::Unbounded));
        let entries = range.map_err(|error| self.failed(error))?.take(most);
        let read = |entry: heed::Result<(&[u8], &[u8])>| {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            Ok((String::from_utf8_lossy(key).into_owned(), decode(key, value)))
        };
        entries.map(read).collect()
    }

    /// The number of users, disabled ones included.
    pub fn user_count(&self) -> Result<u64, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        self.users.len(&txn).map_err(|error| self.failed(error))
    }

    /// Adds a user that does not exist yet.
    pub fn add(&self, name: &UserName, user: &User) -> Result<(), ChangeError> {
        let entry = Entry::User(Box::new(user.clone()));
        self.add_all([Ok((name.clone(), entry))], false, user.created).map(drop)
    }

    /// Writes users in one transaction, all of them or none, and returns how many. Existing ones
    /// are replaced when `replace` says so. `now` is in seconds since 1970.
    ///
    /// Every new user gets an id; one that is replaced keeps its own, and with it its counters.
    pub fn add_all(
        &self,
        entries: impl IntoIterator<Item = std::io::Result<(UserName, Entry)>>,
        replace: bool,
        now: u64,
    ) -> Result<u64, ChangeError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let mut count = 0;
        for entry in entries {
            let (name, entry) = entry.map_err(StoreError::from)?;
            let key = name.as_str().as_bytes();
            let existing = self.users.get(&txn, key).map_err(|error| self.failed(error))?;
            if existing.is_some() && !replace {
                return Err(ChangeError::Exists(name));
            }
            // A record that cannot be read is replaced as a whole.
            let existing = existing.and_then(|value| decode::<User>(key, value).ok());
            let id = existing.as_ref().map_or_else(new_id, |user| Ok(user.id))?;
            let user = match (entry, existing) {
                (Entry::User(user), _) => *user,
                (Entry::Password(password), None) => User::new(password, now),
                (Entry::Password(password), Some(mut user)) => {
                    user.set_password(password, now);
                    user
                }
            };
            self.put(&mut txn, &name, &User { id, ..user })?;
            count += 1;
        }
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(count)
    }

    /// Changes a user; reading and writing are one transaction.
    pub fn update(
        &self,
        name: &UserName,
        change: impl FnOnce(&mut User),
    ) -> Result<User, ChangeError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let key = name.as_str().as_bytes();
        let value = self.users.get(&txn, key).map_err(|error| self.failed(error))?;
        let Some(value) = value else { return Err(ChangeError::Unknown(name.clone())) };
        let mut user = decode(key, value)?;
        change(&mut user);
        self.put(&mut txn, name, &user)?;
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(user)
    }

    /// Removes a user, even one whose record is damaged.
    pub fn remove(&self, name: &UserName) -> Result<(), ChangeError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let found = self.users.delete(&mut txn, name.as_str().as_bytes());
        if !found.map_err(|error| self.failed(error))? {
            return Err(ChangeError::Unknown(name.clone()));
        }
        let account = AccountKey::User(name.clone()).to_string();
        let deleted = self.accounts.delete(&mut txn, account.as_bytes());
        deleted.map_err(|error| self.failed(error))?;
        txn.commit().map_err(|error| self.failed(error).into())
    }

    fn put(&self, txn: &mut RwTxn<'_>, name: &UserName, user: &User) -> Result<(), StoreError> {
        let key = name.as_str().as_bytes();
        self.users.put(txn, key, &encode(key, user)?).map_err(|error| self.failed(error))
    }
}

/// Tells a user from an earlier one of the same name.
fn new_id() -> Result<u64, StoreError> {
    loop {
        let id = getrandom::u64().map_err(StoreError::Random)?;
        // 0 is what records of the first release are read with.
        if id != 0 {
            return Ok(id);
        }
    }
}
