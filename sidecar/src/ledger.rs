//! Keeps the accounts: in memory while the process runs, and on disk at most a second later.
//!
//! What a message costs is counted in memory; a task writes what has changed once a second, in one
//! transaction. A commit waits for the disk, so one a message would halve what a relay can do. A
//! process that is killed loses the last second of counting.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::limits::account::{Account, AccountKey};
use crate::limits::rate::{Ceiling, Exceeded, Limits};
use crate::users::store::{StoreError, UserStore};
use crate::users::{User, UserName, now};

/// How much counting a killed process may lose.
const FLUSH_EVERY: Duration = Duration::from_secs(1);

/// The limits that settings give to whoever has none of his own.
#[derive(Debug, Clone, Default)]
pub struct DefaultLimits {
    pub user: Limits,
    pub network: Limits,
    pub ceiling: Ceiling,
}

/// Who sends, and within which limits.
#[derive(Debug, Clone)]
pub struct Subject {
    pub key: AccountKey,
    limits: Limits,
    ceiling: Ceiling,
    lifted: u64,
}

/// What the limits say to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Charged {
    Within,
    /// One limit is used up; later there is room again.
    Exceeded(Exceeded),
    /// So much was tried that it cannot be the user: suspend it.
    PassedCeiling,
}

#[derive(Debug)]
pub struct Ledger {
    store: UserStore,
    defaults: DefaultLimits,
    /// For how many seconds an address is known after a good login.
    trust: u64,
    accounts: Mutex<Accounts>,
}

#[derive(Debug, Default)]
struct Accounts {
    known: HashMap<AccountKey, Account>,
    changed: HashSet<AccountKey>,
}

impl Accounts {
    fn change(&mut self, key: &AccountKey) -> &mut Account {
        self.changed.insert(key.clone());
        self.known.entry(key.clone()).or_default()
    }
}

impl Ledger {
    /// Reads what was counted before.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn open(
        store: UserStore,
        defaults: DefaultLimits,
        trust: Duration,
    ) -> Result<Self, StoreError> {
        let known = store.accounts()?.into_iter().collect();
        let accounts = Mutex::new(Accounts { known, changed: HashSet::new() });
        Ok(Self { store, defaults, trust: trust.as_secs(), accounts })
    }

    /// The limits of a user.
    pub fn user(&self, name: &UserName, user: &User) -> Subject {
        Subject {
            key: AccountKey::User(name.clone()),
            limits: user.limits.clone().unwrap_or_else(|| self.defaults.user.clone()),
            ceiling: self.defaults.ceiling.clone(),
            lifted: user.lifted,
        }
    }

    /// The limits of a client that is known by its network.
    pub fn network(&self, client: IpAddr) -> Subject {
        Subject {
            key: AccountKey::of_client(client),
            limits: self.defaults.network.clone(),
            // There is no record to mark as suspended.
            ceiling: Ceiling::Off,
            lifted: 0,
        }
    }

    /// Says at RCPT whether there is room for a message to so many recipients, so that a client
    /// hears early of a limit. Counts nothing but a refused attempt.
    pub fn look_ahead(&self, subject: &Subject, now: u64, recipients: u32) -> Charged {
        let mut accounts = self.lock();
        let unused = Account::default();
        let account = accounts.known.get(&subject.key).unwrap_or(&unused);
        match account.usage.check(now, &subject.limits, recipients) {
            Ok(()) => Charged::Within,
            Err(exceeded) => {
                let account = accounts.change(&subject.key);
                attempted(account, subject, now, 1).unwrap_or(Charged::Exceeded(exceeded))
            }
        }
    }

    /// Charges a message at DATA with the recipients that were accepted, or charges nothing and
    /// says which limit stands in the way.
    pub fn charge(&self, subject: &Subject, now: u64, recipients: u32) -> Charged {
        let mut accounts = self.lock();
        let account = accounts.change(&subject.key);
        if let Some(passed) = attempted(account, subject, now, recipients) {
            return passed;
        }
        match account.usage.check(now, &subject.limits, recipients) {
            Ok(()) => {
                account.usage.charge(now, recipients);
                Charged::Within
            }
            Err(exceeded) => Charged::Exceeded(exceeded),
        }
    }

    /// Notes a good login.
    pub fn logged_in(&self, name: &UserName, label: &str, address: Option<IpAddr>, now: u64) {
        let key = AccountKey::User(name.clone());
        self.lock().change(&key).note_login(now, label, address);
    }

    /// Whether this address has logged in as this user lately.
    pub fn knows(&self, name: &UserName, address: IpAddr, now: u64) -> bool {
        let accounts = self.lock();
        let account = accounts.known.get(&AccountKey::User(name.clone()));
        account.is_some_and(|account| account.knows(now, address, self.trust))
    }

    /// Writes what has changed since the last time.
    ///
    /// # Errors
    ///
    /// When the database cannot be written; what was to be written is tried again.
    pub fn flush(&self, now: u64) -> Result<(), StoreError> {
        let changed = self.take_changed(now);
        if changed.is_empty() {
            return Ok(());
        }
        self.store.write_accounts(&changed).inspect_err(|_| {
            let keys = changed.iter().map(|(key, _)| key.clone());
            self.lock().changed.extend(keys);
        })
    }

    fn take_changed(&self, now: u64) -> Vec<(AccountKey, Option<Account>)> {
        let mut accounts = self.lock();
        let mut changed = std::mem::take(&mut accounts.changed);
        // An account in which nothing counts any more is deleted, so that the table follows who
        // sends and not who ever sent.
        let over: Vec<AccountKey> = accounts
            .known
            .iter()
            .filter(|(_, account)| account.is_over(now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in over {
            accounts.known.remove(&key);
            changed.insert(key);
        }
        let written = changed.into_iter().map(|key| {
            let account = accounts.known.get(&key).cloned();
            (key, account)
        });
        written.collect()
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
                    tracing::error!(%error, "limits are counted, but cannot be written; trying on");
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

fn attempted(
    account: &mut Account,
    subject: &Subject,
    now: u64,
    recipients: u32,
) -> Option<Charged> {
    let Subject { limits, ceiling, lifted, .. } = subject;
    let passed = account.usage.attempt(now, recipients, limits, ceiling, *lifted);
    passed.then_some(Charged::PassedCeiling)
}

#[cfg(test)]
mod tests;
