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

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::limits::account::{Account, AccountKey};
use crate::limits::limit::{Ceiling, DefaultLimits, Limits};
use crate::limits::usage::Exceeded;
use crate::store::{StoreError, UserStore};
use crate::user_name::UserName;
use crate::users::User;
use accounts::Accounts;

/// How much counting a killed process may lose.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// For each account written, this many on disk are looked at, and deleted when nothing in them
/// counts any longer. So the table follows who sends, and not who ever sent.
const LOOKED_AT_PER_WRITE: usize = 2;

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
}

impl Ledger {
    /// Reads nothing yet.
    pub fn new(store: UserStore, defaults: DefaultLimits, trust: Duration) -> Self {
        let accounts = Mutex::new(Accounts::default());
        Self { store, defaults, trust: trust.as_secs(), accounts }
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
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &subject.key, subject.owner)?;
        account.usage.settle(now);
        Ok(match account.usage.check(now, &subject.limits, recipients) {
            Ok(()) => Charged::Within,
            Err(exceeded) => {
                let over = attempt(account, subject, now, 1);
                accounts.changed(&subject.key);
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
        let mut accounts = self.lock();
        let account = accounts.get(&self.store, &subject.key, subject.owner)?;
        account.usage.settle(now);
        let charged = attempt(account, subject, now, recipients).unwrap_or_else(|| {
            match account.usage.check(now, &subject.limits, recipients) {
                Ok(()) => {
                    account.usage.charge(now, recipients);
                    Charged::Within
                }
                Err(exceeded) => Charged::Exceeded(exceeded),
            }
        });
        accounts.changed(&subject.key);
        Ok(charged)
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

    /// Writes what changed since the last time, and tidies up in proportion to that.
    ///
    /// # Errors
    ///
    /// When the database cannot be written; the same accounts are written the next time.
    pub fn flush(&self, now: u64) -> Result<(), StoreError> {
        let mut changes = self.lock().take_changed();
        let written: Vec<AccountKey> = changes.iter().map(|(key, _)| key.clone()).collect();
        // Tidying up can wait; a database that cannot be read shows when it is written, too.
        changes.extend(self.over(now, LOOKED_AT_PER_WRITE * written.len()).unwrap_or_default());
        let done = match changes.as_slice() {
            [] => Ok(()),
            changes => self.store.write_accounts(changes),
        };
        let mut accounts = self.lock();
        if done.is_err() {
            written.iter().for_each(|key| accounts.changed(key));
        }
        let forgotten = accounts.forget_unused(now);
        drop(accounts);
        // A large table takes its time to be freed, and nobody waits for the lock meanwhile.
        drop(forgotten);
        done
    }

    /// The next accounts on disk in which nothing counts any longer, or whose user is gone.
    fn over(
        &self,
        now: u64,
        look_at: usize,
    ) -> Result<Vec<(AccountKey, Option<Account>)>, StoreError> {
        if look_at == 0 {
            return Ok(Vec::new());
        }
        let after = self.lock().swept_to.take();
        let batch = self.store.accounts_after(after.as_ref(), look_at)?;
        let swept_to = batch.last().map(|(key, _)| key.clone());
        let mut over = Vec::new();
        for (key, account) in batch {
            let gone = match &key {
                AccountKey::User(name) => self
                    .store
                    .user(name)
                    .is_ok_and(|user| user.is_none_or(|u| u.id != account.owner)),
                AccountKey::Network(_) => false,
            };
            if gone || account.is_over(now) {
                over.push((key, None));
            }
        }
        let mut accounts = self.lock();
        accounts.swept_to = swept_to;
        // One that is in use is written when it changes.
        over.retain(|(key, _)| !accounts.holds(key));
        Ok(over)
    }

    /// Writes once a second until the process stops, and once more at the end.
    pub async fn run(self: Arc<Self>, stopping: CancellationToken) {
        let mut failing = false;
        loop {
            let stop = tokio::select! {
                () = tokio::time::sleep(FLUSH_EVERY) => false,
                () = stopping.cancelled() => true,
            };
            let this = Arc::clone(&self);
            // A commit waits for the disk.
            let flushed = tokio::task::spawn_blocking(move || this.flush(now())).await;
            match flushed {
                Ok(Ok(())) => failing = false,
                Ok(Err(error)) if !failing => {
                    failing = true;
                    tracing::error!(
                        %error,
                        "usage is counted but cannot be saved; a restart now would forget it \
                         (retrying every second)"
                    );
                }
                Ok(Err(_)) | Err(_) => {}
            }
            if stop {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts an attempt, which may be the one too many.
fn attempt(account: &mut Account, subject: &Subject, now: u64, recipients: u32) -> Option<Charged> {
    let Subject { limits, ceiling, lifted, .. } = subject;
    let over = account.usage.attempt(now, recipients, limits, ceiling, *lifted);
    over.then_some(Charged::OverCeiling)
}

#[cfg(test)]
mod tests;
