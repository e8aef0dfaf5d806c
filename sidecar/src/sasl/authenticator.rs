//! Is this the password of this user?
//!
//! Unknown and disabled users, and names that are none, cost one hash like a wrong password does:
//! neither the answer nor its time tells who exists.

use std::sync::Arc;

use thiserror::Error;

use super::mechanism::Credentials;
use super::outcome::{AuthResult, Outcome};
use crate::password::pool::{HashingPool, PoolError};
use crate::password::{self, Arena, Cost, HashError, Password};
use crate::users::store::{ChangeError, StoreError, UserStore};
use crate::users::{User, UserName};

/// We cannot tell, and must not guess: the client is asked to come back.
#[derive(Debug, Error)]
pub enum AuthTrouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pool(#[from] PoolError),
}

#[derive(Debug, Clone)]
pub struct Authenticator {
    store: UserStore,
    pool: HashingPool,
    cost: Cost,
    /// `ENABLE_SASL`.
    enabled: bool,
    /// The hash that passwords of nobody are checked against.
    decoy: Arc<str>,
}

impl Authenticator {
    /// Makes the decoy hash, which takes as long as one login.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers or argon2 refuses the cost.
    pub fn new(
        store: UserStore,
        pool: HashingPool,
        cost: Cost,
        enabled: bool,
    ) -> Result<Self, HashError> {
        // Any password does: its hash is compared, and the result is thrown away.
        let decoy = password::hash(&Password::received(b"decoy"), cost, &mut Arena::default())?;
        Ok(Self { store, pool, cost, enabled, decoy: decoy.into() })
    }

    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Checks what a client claims.
    ///
    /// # Errors
    ///
    /// When the database or the pool is in trouble; a permanent refusal would then make mail
    /// clients forget a right password.
    pub async fn check(&self, credentials: Credentials) -> Result<Outcome, AuthTrouble> {
        let name = user_name(&credentials.authentication_identity);
        let mut user = self.read(name.as_ref())?;
        loop {
            let result = self.judge(&credentials, name.as_ref(), user.as_ref()).await?;
            // The user may have been changed or removed while the hash was computed, and what is
            // true at the moment of the answer counts.
            let now = self.read(name.as_ref())?;
            if now == user || result != AuthResult::Accepted {
                return Ok(Outcome { result, user: name });
            }
            user = now;
        }
    }

    fn read(&self, name: Option<&UserName>) -> Result<Option<User>, StoreError> {
        name.map_or(Ok(None), |name| self.store.get(name))
    }

    async fn judge(
        &self,
        credentials: &Credentials,
        name: Option<&UserName>,
        user: Option<&User>,
    ) -> Result<AuthResult, AuthTrouble> {
        let stored = user.and_then(|user| user.credentials.first());
        let phc = stored.map_or(&*self.decoy, |credential| credential.hash.as_str());
        let password = credentials.password.clone();
        let matches = self.pool.verify(password.clone(), phc.to_owned()).await?;
        let authorization_identity = &credentials.authorization_identity;
        let acts_as_itself =
            authorization_identity.is_empty() || user_name(authorization_identity).as_ref() == name;
        Ok(match user {
            None => AuthResult::UserUnknown,
            Some(_) if !matches => AuthResult::WrongPassword,
            Some(user) if !user.enabled => AuthResult::UserDisabled,
            Some(_) if !acts_as_itself => AuthResult::OtherIdentity,
            Some(_) => {
                if let Some(name) = name {
                    self.renew_outdated_hash(name, password, phc);
                }
                AuthResult::Accepted
            }
        })
    }

    /// Hashes the password anew when the configured cost has changed; only now is it known. The
    /// login does not wait for it, and goes well without it.
    fn renew_outdated_hash(&self, name: &UserName, password: Password, phc: &str) {
        if !password::is_outdated(phc, self.cost) {
            return;
        }
        let (this, name, old) = (self.clone(), name.clone(), phc.to_owned());
        tokio::spawn(async move {
            let new = match this.pool.hash(password, this.cost).await {
                Ok(new) => new,
                Err(error) => {
                    tracing::warn!(user = %name, %error, "hash not renewed; trying at the next login");
                    return;
                }
            };
            match this.store.update(&name, |user: &mut User| replace_hash(user, &old, new)) {
                Ok(_) => tracing::info!(user = %name, "hash renewed with the configured cost"),
                Err(ChangeError::Unknown(_) | ChangeError::Exists(_)) => {}
                Err(ChangeError::Store(error)) => {
                    tracing::warn!(user = %name, %error, "hash not renewed; trying at the next login");
                }
            }
        });
    }
}

/// Replaces this very hash; a password that was changed in the meantime stays as it is.
fn replace_hash(user: &mut User, old: &str, new: String) {
    if let Some(credential) = user.credentials.iter_mut().find(|c| c.hash == old) {
        credential.hash = new;
    }
}

fn user_name(identity: &[u8]) -> Option<UserName> {
    std::str::from_utf8(identity).ok().and_then(|text| UserName::parse(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    const CHEAP: Cost = Cost { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn authenticator(folder: &std::path::Path, cost: Cost) -> Authenticator {
        let pool = HashingPool::start(1, &Metrics::new().unwrap()).unwrap();
        Authenticator::new(UserStore::open(folder).unwrap(), pool, cost, true).unwrap()
    }

    fn claim(authorization: &str, authentication: &str, password: &str) -> Credentials {
        Credentials {
            authentication_identity: authentication.into(),
            authorization_identity: authorization.into(),
            password: Password::received(password.as_bytes()),
        }
    }

    fn add(store: &UserStore, name: &str, password: &str) -> UserName {
        let name = UserName::parse(name).unwrap();
        let password = Password::choose(password.as_bytes()).unwrap();
        let hash = password::hash(&password, CHEAP, &mut Arena::default()).unwrap();
        store.add(&name, &User::new(hash, 0, None)).unwrap();
        name
    }

    #[tokio::test]
    async fn who_is_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let authenticator = authenticator(folder.path(), CHEAP);
        add(&authenticator.store, "alice", "secret");
        let disabled = add(&authenticator.store, "bob", "secret");
        authenticator.store.update(&disabled, |user| user.enabled = false).unwrap();
        let cases = [
            ("", "alice", "secret", AuthResult::Accepted, Some("alice")),
            ("alice", "alice", "secret", AuthResult::Accepted, Some("alice")),
            ("ALICE", "Alice", "secret", AuthResult::Accepted, Some("alice")),
            ("bob", "alice", "secret", AuthResult::OtherIdentity, Some("alice")),
            ("\u{ff}", "alice", "secret", AuthResult::OtherIdentity, Some("alice")),
            ("", "alice", "Secret", AuthResult::WrongPassword, Some("alice")),
            ("", "alice", "secret ", AuthResult::WrongPassword, Some("alice")),
            ("", "bob", "secret", AuthResult::UserDisabled, Some("bob")),
            ("", "bob", "wrong", AuthResult::WrongPassword, Some("bob")),
            ("", "carol", "secret", AuthResult::UserUnknown, Some("carol")),
            ("", "not a name", "secret", AuthResult::UserUnknown, None),
        ];
        for (authorization, authentication, password, result, user) in cases {
            let outcome =
                authenticator.check(claim(authorization, authentication, password)).await.unwrap();
            assert_eq!(outcome.result, result, "{authorization} {authentication} {password}");
            assert_eq!(outcome.user.as_ref().map(UserName::as_str), user);
        }
    }

    #[tokio::test]
    async fn a_good_login_renews_a_hash_of_another_cost() {
        let folder = tempfile::tempdir().unwrap();
        let dearer = Cost { iterations: 2, ..CHEAP };
        let authenticator = authenticator(folder.path(), dearer);
        let alice = add(&authenticator.store, "alice", "secret");
        authenticator.check(claim("", "alice", "secret")).await.unwrap();
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        loop {
            let user = authenticator.store.get(&alice).unwrap().unwrap();
            if !password::is_outdated(&user.credentials[0].hash, dearer) {
                break;
            }
            assert!(std::time::Instant::now() < deadline, "the hash was not renewed");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let outcome = authenticator.check(claim("", "alice", "secret")).await.unwrap();
        assert_eq!(outcome.result, AuthResult::Accepted);
    }
}
