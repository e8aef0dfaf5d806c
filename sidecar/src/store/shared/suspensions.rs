//! Suspensions: a decision that cannot wait for the network. The user is marked here at once, and the fleet is told by
//! whoever looks after [`UserStore::suspensions`], now or when its engine is back.

use heed::RwTxn;
use zeroize::Zeroizing;

use super::Kind;
use crate::store::records::{decode, encode};
use crate::store::{ChangeError, StoreError, UserStore};
use crate::user_name::UserName;
use crate::users::User;

/// A suspension that the fleet does not know of yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    pub user: UserName,
    /// Seconds since 1970.
    pub since: u64,
}

/// Before the name, in the database of what concerns the fleet.
const PREFIX: &str = "suspended:";

fn key_of(name: &[u8]) -> Vec<u8> {
    [PREFIX.as_bytes(), name].concat()
}

impl UserStore {
    /// Marks a user as suspended, here and at once. Returns whether it was not before.
    ///
    /// # Errors
    ///
    /// When there is no such user, or the database cannot be written.
    pub fn suspend(&self, name: &UserName, now: u64) -> Result<bool, ChangeError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let key = name.as_str().as_bytes();
        let value = self.users.get(&txn, key).map_err(|error| self.failed(error))?;
        let Some(value) = value else { return Err(ChangeError::Unknown(name.clone())) };
        let mut user: User = decode(key, value)?;
        let is_first = user.suspended.is_none();
        if is_first {
            user.suspended = Some(now);
            self.users.put(&mut txn, key, &encode(key, &user)?).map_err(|e| self.failed(e))?;
            if self.position_in(&txn, Kind::Users)?.is_some() {
                let noted = self.fleet.put(&mut txn, &key_of(key), &now.to_be_bytes());
                noted.map_err(|error| self.failed(error))?;
            }
            txn.commit().map_err(|error| self.failed(error))?;
        }
        Ok(is_first)
    }

    /// What the fleet is still to be told.
    pub fn suspensions(&self) -> Result<Vec<Suspension>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let entries = self.fleet.prefix_iter(&txn, PREFIX.as_bytes());
        let mut found = Vec::new();
        for entry in entries.map_err(|error| self.failed(error))? {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let name = key.get(PREFIX.len()..).and_then(|name| std::str::from_utf8(name).ok());
            let user = name.and_then(|name| UserName::parse(name).ok());
            if let (Some(user), Some(since)) = (user, value.first_chunk()) {
                found.push(Suspension { user, since: u64::from_be_bytes(*since) });
            }
        }
        Ok(found)
    }

    /// Tells the fleet, and forgets that it was to be told.
    ///
    /// # Errors
    ///
    /// As every change in a fleet; it is still to be told then.
    pub fn publish_suspension(&self, suspension: &Suspension) -> Result<(), ChangeError> {
        let Suspension { user, since } = suspension;
        // Applying the fleet's newest version has merged it: what is here is what is to be written.
        match self.update(user, |_| {}) {
            Ok(_) | Err(ChangeError::Unknown(_)) => {}
            Err(error) => return Err(error),
        }
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let key = key_of(user.as_str().as_bytes());
        let noted = self.fleet.get(&txn, &key).map_err(|error| self.failed(error))?;
        // A later one is to be told by itself.
        if noted == Some(&since.to_be_bytes()) {
            self.fleet.delete(&mut txn, &key).map_err(|error| self.failed(error))?;
        }
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(())
    }

    /// Keeps a user suspended that the fleet does not know to be, unless an operator lifted it since.
    pub(super) fn keep_suspended(
        &self,
        txn: &mut RwTxn<'_>,
        name: &[u8],
    ) -> Result<(), StoreError> {
        let key = key_of(name);
        let since = self.fleet.get(txn, &key).map_err(|error| self.failed(error))?;
        let Some(since) = since.and_then(|value| value.first_chunk()) else { return Ok(()) };
        let since = u64::from_be_bytes(*since);
        let value = self.users.get(txn, name).map_err(|error| self.failed(error))?;
        // One that a newer version wrote lets nobody in.
        let Some(Ok(mut user)) = value.map(|value| decode::<User>(name, value)) else {
            return Ok(());
        };
        if user.lifted >= since || user.suspended.is_some() {
            self.fleet.delete(txn, &key).map_err(|error| self.failed(error))?;
            return Ok(());
        }
        user.suspended = Some(since);
        let value = Zeroizing::new(encode(name, &user)?);
        self.put_record(txn, Kind::Users, name, &value)
    }
}
