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

    /// Says at RCPT whether there is room for one more recipient, so that a client hears early of
    /// a limit. Counts nothing but a refused attempt.
    pub fn look_ahead(&self, subject: &Subject, now: u64) -> Charged {
        let mut accounts = self.lock();
        let within = match accounts.known.get(&subject.key) {
            Some(account) => account.usage.check(now, &subject.limits, 1),
            None => Ok(()),
        };
        match within {
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
        let changed = std::mem::take(&mut accounts.changed);
        // An account in which nothing counts any more is deleted, so that the table follows who
        // sends and not who ever sent.
        let over: Vec<AccountKey> = accounts
            .known
            .iter()
            .filter(|(_, account)| account.is_over(now))
            .map(|(key, _)| key.clone())
            .collect();
        for key in &over {
            accounts.known.remove(key);
        }
        let written = changed.into_iter().map(|key| {
            let account = accounts.known.get(&key).cloned();
            (key, account)
        });
        let written: Vec<_> = written.collect();
        let deleted = over.into_iter().filter(|key| written.iter().all(|(other, _)| other != key));
        let deleted: Vec<_> = deleted.map(|key| (key, None)).collect();
        written.into_iter().chain(deleted).collect()
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
mod tests {
    use super::*;

    const NOW: u64 = 20_000 * 86_400;

    fn ledger(folder: &std::path::Path, user_limits: &str, ceiling: &str) -> Ledger {
        let store = UserStore::open(folder).unwrap();
        let defaults = DefaultLimits {
            user: user_limits.parse().unwrap(),
            network: "2/hour".parse().unwrap(),
            ceiling: ceiling.parse().unwrap(),
        };
        Ledger::open(store, defaults, Duration::from_secs(100)).unwrap()
    }

    fn alice(ledger: &Ledger, change: impl FnOnce(&mut User)) -> Subject {
        let mut user = User::new("x".into(), 0, None);
        change(&mut user);
        ledger.user(&UserName::parse("alice").unwrap(), &user)
    }

    #[test]
    fn a_user_has_the_default_limits_its_own_or_none() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path(), "3/hour", "off");
        let default = alice(&ledger, |_| ());
        assert_eq!(ledger.charge(&default, NOW, 3), Charged::Within);
        assert!(matches!(ledger.charge(&default, NOW, 1), Charged::Exceeded(_)));
        assert!(matches!(ledger.look_ahead(&default, NOW), Charged::Exceeded(_)));
        let own = alice(&ledger, |user| user.limits = Some("5/hour".parse().unwrap()));
        assert_eq!(ledger.look_ahead(&own, NOW), Charged::Within);
        assert_eq!(ledger.charge(&own, NOW, 2), Charged::Within);
        let exempt = alice(&ledger, |user| user.limits = Some(Limits::default()));
        assert_eq!(ledger.charge(&exempt, NOW, 1000), Charged::Within);
    }

    #[test]
    fn clients_of_one_64_have_one_account() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path(), "none", "off");
        let first = ledger.network("2001:db8::1".parse().unwrap());
        let second = ledger.network("2001:db8::2".parse().unwrap());
        assert_eq!(ledger.charge(&first, NOW, 2), Charged::Within);
        assert!(matches!(ledger.charge(&second, NOW, 1), Charged::Exceeded(_)));
    }

    #[test]
    fn refused_recipients_lead_to_the_ceiling() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path(), "1/hour", "10x");
        let subject = alice(&ledger, |_| ());
        assert_eq!(ledger.charge(&subject, NOW, 1), Charged::Within);
        for _ in 0..9 {
            assert!(matches!(ledger.look_ahead(&subject, NOW), Charged::Exceeded(_)));
        }
        assert_eq!(ledger.look_ahead(&subject, NOW), Charged::PassedCeiling);
        let lifted = alice(&ledger, |user| user.lifted = NOW);
        assert!(matches!(ledger.look_ahead(&lifted, NOW), Charged::Exceeded(_)));
    }

    #[test]
    fn what_was_flushed_is_there_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path(), "3/hour", "off");
        let subject = alice(&ledger, |_| ());
        let name = UserName::parse("alice").unwrap();
        let home = "192.0.2.7".parse().unwrap();
        ledger.charge(&subject, NOW, 3);
        ledger.logged_in(&name, "phone", Some(home), NOW);
        ledger.flush(NOW).unwrap();
        ledger.charge(&subject, NOW, 1);
        let Ledger { store, defaults, .. } = ledger;
        let again = Ledger::open(store, defaults, Duration::from_secs(100)).unwrap();
        assert!(matches!(again.look_ahead(&subject, NOW), Charged::Exceeded(_)));
        assert!(again.knows(&name, home, NOW + 99));
    }

    #[test]
    fn an_account_in_which_nothing_counts_is_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path(), "none", "off");
        ledger.charge(&ledger.network("192.0.2.7".parse().unwrap()), NOW, 1);
        ledger.flush(NOW).unwrap();
        assert_eq!(ledger.store.accounts().unwrap().len(), 1);
        ledger.flush(NOW + 3 * 86_400).unwrap();
        assert_eq!(ledger.store.accounts().unwrap().len(), 0);
    }
}
