//! Looks through all users for damaged records, once, while mail already flows.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::store::UserStore;

/// Users that are read in one go.
const BATCH: usize = 256;
/// A pause between two, so that the scan takes a fraction of a core: a million users a minute.
const PAUSE: Duration = Duration::from_millis(15);

/// Starts the scan, in the background: nothing waits for it.
pub fn start(store: UserStore, stopping: CancellationToken) {
    tokio::spawn(async move {
        let mut after = None;
        while !stopping.is_cancelled() {
            let (store, from) = (store.clone(), after.clone());
            let scanned = tokio::task::spawn_blocking(move || scan(&store, from.as_deref())).await;
            match scanned {
                Ok(Some(last)) => after = Some(last),
                Ok(None) | Err(_) => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Checks the next users; returns the last name, unless there are no more.
fn scan(store: &UserStore, after: Option<&str>) -> Option<String> {
    let batch = match store.users_after(after, BATCH) {
        Ok(batch) => batch,
        Err(error) => {
            tracing::error!(%error, "the users cannot be checked for damage");
            return None;
        }
    };
    for (name, user) in &batch {
        if let Err(error) = user {
            tracing::error!(user = name, %error, "this user cannot log in");
        }
    }
    batch.last().map(|(name, _)| name.clone())
}
