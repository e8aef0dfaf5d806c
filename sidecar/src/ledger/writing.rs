//! Writes the accounts to the database once a second, and deletes those in which nothing counts.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Ledger;
use crate::clock::now;
use crate::limits::account::{Account, AccountKey};
use crate::store::StoreError;

/// How much counting a killed process may lose.
const FLUSH_EVERY: Duration = Duration::from_secs(1);
/// For each account written, this many on disk are looked at, and deleted when nothing in them
/// counts any longer. So the table follows who sends, and not who ever sent.
const LOOKED_AT_PER_WRITE: usize = 2;

impl Ledger {
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
}
