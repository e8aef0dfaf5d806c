//! The users: read by name, listed in pieces, changed in transactions.

use std::ops::Bound;
use std::sync::Arc;

use heed::RoTxn;
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::records::{decode, encode};
use super::shared::Kind;
use super::{StoreError, UserStore};
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

/// Users that are written to a fleet's engine side by side.
const AT_A_TIME: usize = 256;

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
    /// In a fleet they are written one after the other, and those before an error stay.
    ///
    /// Every new user gets an id; one that is replaced keeps its own, and with it its counters.
    pub fn add_all(
        &self,
        entries: impl IntoIterator<Item = std::io::Result<(UserName, Entry)>>,
        replace: bool,
        now: u64,
    ) -> Result<u64, ChangeError> {
        if self.engine.is_some() {
            return self.add_all_to_fleet(entries, replace, now);
        }
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        self.refuse_if_replica(&txn)?;
        let mut count = 0;
        for entry in entries {
            let (name, entry) = entry.map_err(StoreError::from)?;
            let (key, value) = self.entry(&txn, &name, entry, replace, now)?;
            self.put_record(&mut txn, Kind::Users, &key, &value)?;
            count += 1;
        }
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(count)
    }

    fn add_all_to_fleet(
        &self,
        entries: impl IntoIterator<Item = std::io::Result<(UserName, Entry)>>,
        replace: bool,
        now: u64,
    ) -> Result<u64, ChangeError> {
        let (mut count, mut entries) = (0, entries.into_iter());
        loop {
            let some = entries.by_ref().take(AT_A_TIME).collect::<Result<Vec<_>, _>>();
            let some = some.map_err(StoreError::from)?;
            if some.is_empty() {
                return Ok(count);
            }
            // Of a few it is asked what the fleet has; of many, whoever changes them meanwhile is found out anyway.
            let names: Vec<UserName> = some.iter().map(|(name, _)| name.clone()).collect();
            let keys = names.iter().map(|name| name.as_str().as_bytes());
            let keys: Vec<&[u8]> = keys.take(if names.len() == 1 { 1 } else { 0 }).collect();
            count += self.change(Kind::Users, &keys, |txn| {
                let edit = |(name, entry): (UserName, Entry)| {
                    let (key, value) = self.entry(txn, &name, entry, replace, now)?;
                    Ok((key, Some(value)))
                };
                let edits = some.into_iter().map(edit).collect::<Result<Vec<_>, ChangeError>>()?;
                Ok::<_, ChangeError>((edits.len() as u64, edits))
            })?;
        }
    }

    /// The record of an entry, beside the one that there is.
    fn entry(
        &self,
        txn: &RoTxn<'_>,
        name: &UserName,
        entry: Entry,
        replace: bool,
        now: u64,
    ) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), ChangeError> {
        let key = name.as_str().as_bytes();
        let existing = self.users.get(txn, key).map_err(|error| self.failed(error))?;
        if existing.is_some() && !replace {
            return Err(ChangeError::Exists(name.clone()));
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
        Ok((key.to_owned(), Zeroizing::new(encode(key, &User { id, ..user })?)))
    }

    /// Changes a user; nobody else changes it in between.
    pub fn update(
        &self,
        name: &UserName,
        change: impl FnOnce(&mut User),
    ) -> Result<User, ChangeError> {
        let key = name.as_str().as_bytes();
        self.change(Kind::Users, &[key], |txn| {
            let value = self.users.get(txn, key).map_err(|error| self.failed(error))?;
            let Some(value) = value else { return Err(ChangeError::Unknown(name.clone())) };
            let mut user = decode(key, value)?;
            change(&mut user);
            let value = Zeroizing::new(encode(key, &user)?);
            Ok((user, vec![(key.to_owned(), Some(value))]))
        })
    }

    /// Removes a user, even one whose record is damaged.
    pub fn remove(&self, name: &UserName) -> Result<(), ChangeError> {
        let key = name.as_str().as_bytes();
        self.change(Kind::Users, &[key], |txn| {
            match self.users.get(txn, key).map_err(|error| self.failed(error))? {
                Some(_) => Ok(((), vec![(key.to_owned(), None)])),
                None => Err(ChangeError::Unknown(name.clone())),
            }
        })
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
