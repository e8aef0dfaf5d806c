//! The accounts: written often, and worth less than a user. A record that cannot be read counts as
//! absent, and counting starts over.

use std::ops::Bound;

use super::records::{decode, encode};
use super::{StoreError, UserStore};
use crate::limits::account::{Account, AccountKey};

impl UserStore {
    pub fn account(&self, key: &AccountKey) -> Result<Option<Account>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let key = key.to_string();
        let value = self.accounts.get(&txn, key.as_bytes()).map_err(|error| self.failed(error))?;
        Ok(value.and_then(|value| decode(key.as_bytes(), value).ok()))
    }

    /// Reads up to `most` accounts, those after `after` in the order of their keys.
    pub fn accounts_after(
        &self,
        after: Option<&AccountKey>,
        most: usize,
    ) -> Result<Vec<(AccountKey, Account)>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let after = after.map(AccountKey::to_string);
        let start = after.as_deref().map_or(Bound::Unbounded, |a| Bound::Excluded(a.as_bytes()));
        let range = self.accounts.range(&txn, &(start, Bound::Unbounded));
        let mut found = Vec::new();
        for entry in range.map_err(|error| self.failed(error))?.take(most) {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let parsed = std::str::from_utf8(key).ok().and_then(|text| text.parse().ok());
            if let (Some(parsed), Ok(account)) = (parsed, decode(key, value)) {
                found.push((parsed, account));
            }
        }
        Ok(found)
    }

    /// Writes and deletes accounts in one transaction, which waits for the disk.
    pub fn write_accounts(
        &self,
        changed: &[(AccountKey, Option<Account>)],
    ) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        for (key, account) in changed {
            let key = key.to_string();
            let done = match account {
                Some(account) => {
                    let value = encode(key.as_bytes(), account)?;
                    self.accounts.put(&mut txn, key.as_bytes(), &value)
                }
                None => self.accounts.delete(&mut txn, key.as_bytes()).map(drop),
            };
            done.map_err(|error| self.failed(error))?;
        }
        txn.commit().map_err(|error| self.failed(error))
    }
}
