//! The accounts in use, in memory.

use std::collections::{HashMap, HashSet};

use crate::limits::account::{Account, AccountKey};
use crate::limits::elsewhere::Counted;
use crate::store::{StoreError, UserStore};

/// An account that was not used for this long, in seconds, is forgotten; at the latest after twice
/// as long.
const FORGET_AFTER: u64 = 60;

/// Two generations: what is used moves to the young one; once a minute the old one is dropped and
/// the young one takes its place. Nothing ever walks over all of them.
#[derive(Debug, Default)]
pub struct Accounts {
    young: HashMap<AccountKey, Account>,
    old: HashMap<AccountKey, Account>,
    changed: HashSet<AccountKey>,
    /// Whether other relays want to know what is counted, and whose counts they do not know yet.
    pub is_shared: bool,
    counted: HashSet<AccountKey>,
    grew_old: u64,
    /// How far the accounts on disk have been tidied up; `None` is the start.
    pub swept_to: Option<AccountKey>,
}

impl Accounts {
    /// An account that belongs to this owner: in use already, from the database, or a new one.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn get(
        &mut self,
        store: &UserStore,
        key: &AccountKey,
        owner: u64,
    ) -> Result<&mut Account, StoreError> {
        if !self.young.contains_key(key) {
            let account = match self.old.remove(key) {
                Some(account) => account,
                None => store.account(key)?.unwrap_or_default(),
            };
            self.young.insert(key.clone(), account);
        }
        let account = self.young.entry(key.clone()).or_default();
        // Somebody else had this name before.
        if account.owner != owner {
            *account = Account::of(owner);
        }
        Ok(account)
    }

    /// Notes that an account is to be written.
    pub fn changed(&mut self, key: &AccountKey) {
        if !self.changed.contains(key) {
            self.changed.insert(key.clone());
        }
    }

    /// As [`Accounts::changed`], when something was counted.
    pub fn counted(&mut self, key: &AccountKey) {
        self.changed(key);
        if self.is_shared && !self.counted.contains(key) {
            self.counted.insert(key.clone());
        }
    }

    /// Copies of what was counted since the last call.
    pub fn take_counted(&mut self) -> Vec<Counted> {
        let counted = std::mem::take(&mut self.counted);
        let copied = counted.into_iter().filter_map(|key| {
            let account = self.young.get(&key).or_else(|| self.old.get(&key))?;
            Some(Counted { owner: account.owner, usage: account.usage.clone(), key })
        });
        copied.collect()
    }

    pub fn holds(&self, key: &AccountKey) -> bool {
        self.young.contains_key(key) || self.old.contains_key(key)
    }

    /// Copies of what is to be written.
    pub fn take_changed(&mut self) -> Vec<(AccountKey, Option<Account>)> {
        let changed = std::mem::take(&mut self.changed);
        let copied = changed.into_iter().filter_map(|key| {
            let account = self.young.get(&key).or_else(|| self.old.get(&key))?.clone();
            Some((key, Some(account)))
        });
        copied.collect()
    }

    /// Forgets what was not used for a while, unless it is still to be written. Returns what is
    /// forgotten, to be dropped without the lock.
    pub fn forget_unused(&mut self, now: u64) -> HashMap<AccountKey, Account> {
        // Also when the clock was set back.
        if (self.grew_old..self.grew_old + FORGET_AFTER).contains(&now) {
            return HashMap::new();
        }
        self.grew_old = now;
        let mut forgotten = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
        for key in &self.changed {
            if let Some(account) = forgotten.remove(key) {
                self.young.insert(key.clone(), account);
            }
        }
        forgotten
    }
}
