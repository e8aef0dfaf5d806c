//! Going through all users, and writing about them.

use std::io;

use super::failure::Failure;
use crate::store::{StoreError, UserStore};
use crate::users::User;

/// Whoever closes the pipe early (`relay user list | head`) has seen enough.
pub fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::trouble(format!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}

/// Users that are read in one go.
const BATCH: usize = 1_000;

/// Calls with every user in the order of their names, without holding more than some of them.
pub fn for_each_user(
    store: &UserStore,
    mut act: impl FnMut(&str, Result<User, StoreError>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut after: Option<String> = None;
    loop {
        let batch = store.users_after(after.as_deref(), BATCH).map_err(Failure::trouble)?;
        let Some((last, _)) = batch.last() else { return Ok(()) };
        after = Some(last.clone());
        for (name, user) in batch {
            act(&name, user)?;
        }
    }
}
