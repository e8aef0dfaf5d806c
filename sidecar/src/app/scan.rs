//! Looks through all users for damaged records and for suspended users, once, while mail already
//! flows.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::decision::users::SuspendedUsers;
use crate::store::{StoreError, UserStore};
use crate::user_name::UserName;

/// Users that are read in one go.
const BATCH: usize = 256;
/// A pause between two, so that the scan takes a fraction of a core: a million users a minute.
const PAUSE: Duration = Duration::from_millis(15);

/// Starts the scan, in the background: nothing waits for it.
pub fn start(store: UserStore, suspended: Arc<SuspendedUsers>, stopping: CancellationToken) {
    tokio::spawn(async move {
        let mut after = None;
        while !stopping.is_cancelled() {
            let (store, from, found) = (store.clone(), after.clone(), Arc::clone(&suspended));
            let scan = move || scan(&store, from.as_deref(), &found);
            match tokio::task::spawn_blocking(scan).await {
                Ok(Ok(Some(last))) => after = Some(last),
                Ok(Ok(None)) => return suspended.complete(),
                Ok(Err(error)) => {
                    return tracing::error!(%error, "the users cannot be checked for damage");
                }
                Err(_) => return,
            }
            tokio::time::sleep(PAUSE).await;
        }
    });
}

/// Checks the next users; returns the last name, unless there are no more.
fn scan(
    store: &UserStore,
    after: Option<&str>,
    suspended: &SuspendedUsers,
) -> Result<Option<String>, StoreError> {
    let batch = store.users_after(after, BATCH)?;
    for (name, user) in &batch {
        match user {
            Ok(user) if user.suspended.is_some() => {
                if let Ok(name) = UserName::parse(name) {
                    suspended.add(name);
                }
            }
            Ok(_) => {}
            Err(error) => tracing::error!(user = name, %error, "this user cannot log in"),
        }
    }
    Ok(batch.last().map(|(name, _)| name.clone()))
}
