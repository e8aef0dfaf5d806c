//! Keeps the accounts: in memory while they are in use, and on disk at most a second later.
//!
//! What a message costs is counted in memory; a task writes what changed once a second, in one
//! transaction. A commit waits for the disk, so one for every message would halve what a relay can
//! do. A process that is killed loses the last second of counting.
//!
//! An account is read from the database when somebody first needs it and forgotten a minute or two
//! after the last use, so neither start nor any second of work depends on how many accounts there
//! are.

mod accounts;
mod writing;

use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::limits::account::{Account, AccountKey};
use crate::limits::elsewhere::{Counted, Elsewhere, Part};
use crate::limits::limit::{Ceiling, DefaultLimits, Limit, Limits};
use crate::limits::usage::{Exceeded, Usage};
use crate::store::{StoreError, UserStore};
use crate::user_name::UserName;
use crate::users::User;
use accounts::Accounts;

/// Who sends, and within which limits.
#[derive(Debug, Clone)]
pub struct Subject {
    key: AccountKey,
    /// The id of the user record; 0 for clients.
    owner: u64,
    limits: Limits,
    ceiling: Ceiling,
    lifted: u64,
}

/// What the limits say to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charged {
    Within,
    /// One limit is used up; there will be room again later.
    Exceeded(Exceeded),
    /// So much was tried that it cannot be the user: suspend it.
    OverCeiling,
}

#[derive(Debug)]
pub struct Ledger {
    store: UserStore,
    defaults: DefaultLimits,
    /// For how many seconds an address is known after a successful login.
    trust: u64,
    accounts: Mutex<Accounts>,
    /// What other relays of the fleet count.
    elsewhere: Mutex<Elsewhere>,
}

impl Ledger {
    /// Reads nothing yet.
    pub fn new(store: UserStore, defaults: DefaultLimits, trust: Duration) -> Self {
        let accounts = Mutex::new(Accounts::default());
        let elsewhere = Mutex::default();
        Self { store, defaults, trust: trust.as_secs(), accounts, elsewhere }
    }

    /// The limits of a user.
    pub fn user(&self, name: &UserName, user: &User) -> Subject {
        Subject {
            key: AccountKey::User(name.clone()),
            owner: user.id,
            limits: user.limits.clone().unwrap_or_else(|| self.defaults.user.clone()),
            ceiling: self.defaults.ceiling.clone(),
            lifted: user.lifted,
        }
    }

    /// The limits of a client that sends without a login.
    pub fn network(&self, client: IpAddr) -> Subject {
        Subject {
            key: AccountKey::of_client(client),
            owner: 0,
            limits: self.defaults.network.clone(),
            // There is no record to mark as suspended.
            ceiling: Ceiling::Off,
            lifted: 0,
        }
    }

    /// Says at RCPT whether there is room for a message to so many recipients, so that a client
    /// hears of a limit early. Counts nothing but a refused attempt.
    ///
    /// # Errors
    ///
    /// When the account has to be read from the database and cannot be.
    pub fn look_ahead(
        &self,
        subject: &Subject,
        now: u64,
        recipients: u32,
    ) -> Result<Charged, StoreError> {
        if subject.limits.0.is_empty() {
            return Ok(Charged::Within);
        }
        let elsewhere = self.elsewhere().usage(&subject.key, subject.owner);
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &subject.key, subject.owner)?;
        account.usage.settle(now);
        Ok(match account.usage.check(now, &subject.limits, recipients, &elsewhere) {
            Ok(()) => Charged::Within,
            Err(exceeded) => {
                let over = attempt(account, subject, now, 1, &elsewhere);
                accounts.counted(&subject.key);
                over.unwrap_or(Charged::Exceeded(exceeded))
            }
        })
    }

    /// Charges a message that is about to be accepted, with its recipients; or charges nothing and
    /// says which limit has no room.
    ///
    /// # Errors
    ///
    /// As [`Ledger::look_ahead`].
    pub fn charge(
        &self,
        subject: &Subject,
        now: u64,
        recipients: u32,
    ) -> Result<Charged, StoreError> {
        let elsewhere = self.elsewhere().usage(&subject.key, subject.owner);
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &subject.key, subject.owner)?;
        account.usage.settle(now);
        let charged =
            attempt(account, subject, now, recipients, &elsewhere).unwrap_or_else(|| match account
                .usage
                .check(now, &subject.limits, recipients, &elsewhere)
            {
                Ok(()) => {
                    account.usage.charge(now, recipients);
                    Charged::Within
                }
                Err(exceeded) => Charged::Exceeded(exceeded),
            });
        accounts.counted(&subject.key);
        Ok(charged)
    }

    /// What has been used of each limit, in the whole fleet.
    ///
    /// # Errors
    ///
    /// As [`Ledger::look_ahead`].
    pub fn used(&self, subject: &Subject, now: u64) -> Result<Vec<(Limit, u32)>, StoreError> {
        let elsewhere = self.elsewhere().usage(&subject.key, subject.owner);
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &subject.key, subject.owner)?;
        let used = |limit: &Limit| (*limit, account.usage.used_in_all(now, limit, &elsewhere));
        Ok(subject.limits.0.iter().map(used).collect())
    }

    /// Remembers a successful login.
    ///
    /// # Errors
    ///
    /// As [`Ledger::look_ahead`].
    pub fn logged_in(
        &self,
        name: &UserName,
        user: &User,
        label: &str,
        address: Option<IpAddr>,
        now: u64,
    ) -> Result<(), StoreError> {
        let key = AccountKey::User(name.clone());
        let mut accounts = self.lock();
        accounts.get(&self.store, &key, user.id)?.record_login(now, label, address);
        accounts.changed(&key);
        Ok(())
    }

    /// Whether this client may have logged in as this user since the user's password or rights were
    /// changed.
    ///
    /// # Errors
    ///
    /// As [`Ledger::look_ahead`].
    pub fn logged_in_since_change(
        &self,
        name: &UserName,
        user: &User,
        client: IpAddr,
    ) -> Result<bool, StoreError> {
        let key = AccountKey::User(name.clone());
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &key, user.id)?;
        Ok(account.may_have_logged_in_since(client, user.sessions_since))
    }

    /// Whether this address logged in as this user lately, and since its password was changed.
    ///
    /// # Errors
    ///
    /// As [`Ledger::look_ahead`].
    pub fn knows(
        &self,
        name: &UserName,
        user: &User,
        address: IpAddr,
        now: u64,
    ) -> Result<bool, StoreError> {
        let key = AccountKey::User(name.clone());
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &key, user.id)?;
        let since = account.last_login_from(address).unwrap_or_default();
        Ok(account.knows(now, address, self.trust) && since >= user.sessions_since)
    }

    /// From now on, notes whose counts change, for [`Ledger::take_counted`].
    pub fn share(&self) {
        self.lock().is_shared = true;
    }

    /// The counts that changed since the last call.
    pub fn take_counted(&self) -> Vec<Counted> {
        self.lock().take_counted()
    }

    /// Up to `most` accounts of the database, those after `after`, and the key to go on from.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn counted_after(
        &self,
        after: Option<&AccountKey>,
        most: usize,
    ) -> Result<(Vec<Counted>, Option<AccountKey>), StoreError> {
        let accounts = self.store.accounts_after(after, most)?;
        let last = accounts.last().map(|(key, _)| key.clone());
        let counted = accounts.into_iter().map(|(key, account)| Counted {
            key,
            owner: account.owner,
            usage: account.usage,
        });
        Ok((counted.collect(), last))
    }

    /// Takes what another relay says of an account.
    pub fn count_elsewhere(&self, key: AccountKey, part: Part) {
        self.elsewhere().set(key, part);
    }

    /// What a user used by way of each other relay.
    pub fn parts_elsewhere(&self, key: &AccountKey, owner: u64) -> Vec<Part> {
        self.elsewhere().parts(key, owner).cloned().collect()
    }

    /// Forgets what other relays counted and what no longer counts.
    pub fn forget_elsewhere(&self, now: u64) {
        self.elsewhere().forget_over(now);
    }

    fn elsewhere(&self) -> MutexGuard<'_, Elsewhere> {
        self.elsewhere.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an attempt, which may be the one too many.
fn attempt(
    account: &mut Account,
    subject: &Subject,
    now: u64,
    recipients: u32,
    elsewhere: &[Usage],
) -> Option<Charged> {
    let Subject { limits, ceiling, lifted, .. } = subject;
    let over = account.usage.attempt(now, recipients, (limits, ceiling), *lifted, elsewhere);
    over.then_some(Charged::OverCeiling)
}

#[cfg(test)]
mod tests;
