//! The user of `SMTP_USERNAME`.

use crate::clock::now;
use crate::config::FirstUser;
use crate::password::strength::is_unguessable;
use crate::password::{self, Arena, Cost};
use crate::store::{ChangeError, UserStore};
use crate::users::{NewHash, User};

/// Creates the user of `SMTP_USERNAME`, or gives it the password that the setting has now.
///
/// A setting that was applied before is not applied again: a password that was changed with `relay
/// user passwd`, perhaps because the one in the setting leaked, stays changed. Whether the user is
/// enabled is an operator's business, too.
///
/// # Errors
///
/// When the database cannot be read or written, or the system has no random numbers.
pub fn ensure(store: &UserStore, first: &FirstUser, cost: Cost) -> anyhow::Result<()> {
    let mut arena = Arena::default();
    let mut is_password_of =
        |hash: &str| password::verify(&first.password, hash, &mut arena).unwrap_or(false);
    let existing = store.user(&first.name)?;
    if let Some(user) = &existing {
        let applied = user.from_setting.as_deref().is_some_and(&mut is_password_of);
        if applied || user.credentials.iter().any(|c| is_password_of(&c.hash)) {
            return Ok(());
        }
    }
    let hash = password::hash(&first.password, cost, &mut arena)?;
    let from_setting = Some(hash.clone());
    let password = NewHash { hash, unguessable: is_unguessable(&first.password) };
    if existing.is_none() {
        let user =
            User { from_setting: from_setting.clone(), ..User::new(password.clone(), now()) };
        match store.add(&first.name, &user) {
            Ok(()) => {
                tracing::info!(user = %first.name, "user of SMTP_USERNAME created");
                return Ok(());
            }
            // Somebody added it this very moment: it gets the password below.
            Err(ChangeError::Exists(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    store.update(&first.name, |user| {
        user.set_password(password, now());
        user.from_setting = from_setting;
    })?;
    tracing::info!(user = %first.name, "user of SMTP_USERNAME has its new password");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::password::Password;
    use crate::user_name::UserName;

    const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn setting(password: &str) -> FirstUser {
        FirstUser {
            name: UserName::parse("alice").unwrap(),
            password: Password::choose(password.as_bytes()).unwrap(),
        }
    }

    fn is_right(store: &UserStore, password: &str) -> bool {
        let setting = setting(password);
        let user = store.user(&setting.name).unwrap().unwrap();
        let mut arena = Arena::default();
        let mut hashes = user.credentials.iter().map(|credential| &credential.hash);
        hashes.any(|hash| password::verify(&setting.password, hash, &mut arena).unwrap())
    }

    #[test]
    fn a_setting_is_applied_once_and_undoes_no_later_change() {
        let folder = tempfile::tempdir().unwrap();
        let store = UserStore::open(folder.path()).unwrap();
        ensure(&store, &setting("leaked"), CHEAP).unwrap();
        assert!(is_right(&store, "leaked"));
        // The operator changes it, and restarts.
        let mut arena = Arena::default();
        let hash = password::hash(&setting("changed").password, CHEAP, &mut arena).unwrap();
        let new = NewHash { hash, unguessable: false };
        store.update(&setting("x").name, |user| user.set_password(new, now())).unwrap();
        ensure(&store, &setting("leaked"), CHEAP).unwrap();
        assert!(is_right(&store, "changed") && !is_right(&store, "leaked"));
        // A new setting is applied.
        ensure(&store, &setting("newer"), CHEAP).unwrap();
        assert!(is_right(&store, "newer") && !is_right(&store, "changed"));
    }
}
