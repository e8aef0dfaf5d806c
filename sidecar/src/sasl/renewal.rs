//! Renews what the database has of a password at a login, the only moment at which it is known:
//! the hash, when its cost has changed or another server made it, and whether it can be guessed.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use crate::password::pool::HashingPool;
use crate::password::strength::is_unguessable;
use crate::password::{self, Cost, Password};
use crate::store::{ChangeError, UserStore};
use crate::user_name::UserName;
use crate::users::{Credential, User};

#[derive(Debug, Clone)]
pub struct Renewal {
    store: UserStore,
    pool: HashingPool,
    cost: Cost,
    /// One at a time for each user: a client logs in over many connections at once.
    running: Arc<Mutex<HashSet<UserName>>>,
}

impl Renewal {
    pub fn new(store: UserStore, pool: HashingPool, cost: Cost) -> Self {
        Self { store, pool, cost, running: Arc::default() }
    }

    /// Renews this credential if need be, in a task of its own: the login does not wait for it.
    pub fn renew(&self, name: &UserName, password: &Password, credential: &Credential) {
        let outdated = password::is_outdated(&credential.hash, self.cost);
        let unguessable = is_unguessable(password);
        if !outdated && unguessable == credential.unguessable {
            return;
        }
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if !running.insert(name.clone()) {
            return;
        }
        drop(running);
        let (this, name) = (self.clone(), name.clone());
        let old = credential.hash.clone();
        let to_hash = outdated.then(|| password.clone());
        tokio::spawn(async move {
            this.carry_out(&name, to_hash, old, unguessable).await;
            this.running.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
        });
    }

    /// `to_hash` is the password where its hash is outdated.
    async fn carry_out(
        &self,
        name: &UserName,
        to_hash: Option<Password>,
        old: String,
        unguessable: bool,
    ) {
        let outdated = to_hash.is_some();
        let new = match to_hash {
            None => old.clone(),
            Some(password) => match self.pool.hash(password, self.cost).await {
                Ok(new) => new,
                Err(error) => {
                    tracing::warn!(user = %name, %error, "hash not renewed; the next login tries again");
                    return;
                }
            },
        };
        let (store, user) = (self.store.clone(), name.clone());
        let change = move |user: &mut User| replace_hash(user, &old, new, unguessable);
        // A commit waits for the disk.
        let done = tokio::task::spawn_blocking(move || store.update(&user, change).map(drop)).await;
        match done {
            Ok(Ok(())) if outdated => {
                tracing::info!(user = %name, "hash renewed with the configured cost");
            }
            // Removed a moment ago; or the process stops.
            Ok(Ok(()) | Err(ChangeError::Unknown(_) | ChangeError::Exists(_))) | Err(_) => {}
            Ok(Err(ChangeError::Store(error))) => {
                tracing::warn!(user = %name, %error, "hash not renewed; the next login tries again");
            }
        }
    }
}

/// Replaces this very hash; a password that was changed in the meantime stays as it is.
fn replace_hash(user: &mut User, old: &str, new: String, unguessable: bool) {
    if let Some(credential) = user.credentials.iter_mut().find(|c| c.hash == old) {
        credential.hash = new;
        credential.unguessable = unguessable;
    }
}
