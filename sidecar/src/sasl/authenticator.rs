//! Is this the password of this user?
//!
//! The order is: guessing limits, cache, hash. Unknown and disabled users, and names that are none,
//! go the same way as a wrong password: neither the answer nor its time tells who exists.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Instant;

use thiserror::Error;

use super::mechanism::Credentials;
use super::outcome::{AuthResult, Outcome};
use crate::access::Standing;
use crate::ledger::Ledger;
use crate::limits::guessing::{GuessLimits, GuessedBy, Guesses};
use crate::metrics::Metrics;
use crate::password::cache::{Mac, VerifiedCache};
use crate::password::pool::{HashingPool, PoolError};
use crate::password::{self, Arena, Cost, HashError, Password};
use crate::users::store::{ChangeError, StoreError, UserStore};
use crate::users::{Credential, User, UserName, now};

/// We cannot tell, and must not guess: the client is asked to come back.
#[derive(Debug, Error)]
pub enum AuthTrouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Pool(#[from] PoolError),
}

/// What an authenticator works with.
#[derive(Debug)]
pub struct Parts {
    pub store: UserStore,
    pub ledger: Arc<Ledger>,
    pub pool: HashingPool,
    pub cache: VerifiedCache,
    pub guess_limits: GuessLimits,
    /// Addresses under which anybody may appear: no guess is held against them, and none of them
    /// is anybody's known address.
    pub gateways: Vec<IpAddr>,
    pub cost: Cost,
    /// `ENABLE_SASL`.
    pub enabled: bool,
    pub metrics: Metrics,
}

#[derive(Debug, Clone)]
pub struct Authenticator(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Parts,
    gateway_seen: Once,
    guesses: Mutex<Guesses>,
    /// The hash that passwords of nobody are checked against.
    decoy: String,
}

impl Authenticator {
    /// Makes the decoy hash, which takes as long as one login.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers or argon2 refuses the cost.
    pub fn new(parts: Parts) -> Result<Self, HashError> {
        // Any password does: its hash is compared, and the result is thrown away.
        let decoy = Password::received(b"decoy");
        let decoy = password::hash(&decoy, parts.cost, &mut Arena::default())?;
        let guesses = Mutex::new(Guesses::new(parts.guess_limits));
        Ok(Self(Arc::new(Shared { parts, gateway_seen: Once::new(), guesses, decoy })))
    }

    pub fn enabled(&self) -> bool {
        self.0.parts.enabled
    }

    /// Checks what a client claims, and counts it when it is wrong.
    ///
    /// # Errors
    ///
    /// When the database or the pool is in trouble; a permanent refusal would then make mail
    /// clients forget a right password.
    pub async fn check(
        &self,
        credentials: &Credentials,
        client: Option<IpAddr>,
    ) -> Result<Outcome, AuthTrouble> {
        let identity = &credentials.authentication_identity;
        let name = UserName::from_bytes(identity);
        // Guesses at what is no name count like others; what they are filed under is never shown.
        let filed_under = name.as_ref().map_or_else(
            || String::from_utf8_lossy(identity).into_owned(),
            |name| name.as_str().to_owned(),
        );
        let claim = Claim {
            credentials,
            client,
            guesser: self.0.guesser(client),
            name: name.as_ref(),
            filed_under: &filed_under,
        };
        if let Some(result) = self.0.guessed_too_often(&claim) {
            return Ok(Outcome { result, user: name });
        }
        let mut user = self.0.read(name.as_ref())?;
        loop {
            let result = self.0.judge(&claim, user.as_ref()).await?;
            // The user may have been changed or removed while the hash was computed, and what is
            // true at the moment of the answer counts.
            let now = self.0.read(name.as_ref())?;
            if now == user || !matches!(result, Judged::Right(_)) {
                let result = self.settle(&claim, user.as_ref(), result);
                return Ok(Outcome { result, user: name });
            }
            user = now;
        }
    }

    /// The effects of a judgement on the accounts.
    fn settle(&self, claim: &Claim<'_>, user: Option<&User>, judged: Judged) -> AuthResult {
        let credential = match judged {
            Judged::Wrong(result) => return result,
            Judged::Right(credential) => credential,
        };
        let (Some(name), Some(user)) = (claim.name, user) else { return AuthResult::UserUnknown };
        let authorization_identity = &claim.credentials.authorization_identity;
        let acts_as_itself = authorization_identity.is_empty()
            || UserName::from_bytes(authorization_identity).as_ref() == Some(name);
        match user.standing(now()) {
            Standing::Enabled if !acts_as_itself => AuthResult::OtherIdentity,
            Standing::Enabled if !user.may_log_in_from(claim.client) => AuthResult::OtherNetwork,
            Standing::Enabled => {
                self.0.parts.ledger.logged_in(name, &credential.label, claim.client, now());
                self.renew_outdated_hash(name, &claim.credentials.password, &credential.hash);
                AuthResult::Accepted
            }
            Standing::Disabled => AuthResult::UserDisabled,
            Standing::Suspended => AuthResult::UserSuspended,
            Standing::Expired => AuthResult::Expired,
            Standing::Unknown => AuthResult::UserUnknown,
        }
    }

    /// Hashes the password anew when the configured cost has changed or the hash came from another
    /// server; only now is the password known. The login does not wait for it.
    fn renew_outdated_hash(&self, name: &UserName, password: &Password, phc: &str) {
        if !password::is_outdated(phc, self.0.parts.cost) {
            return;
        }
        let (this, name) = (Arc::clone(&self.0), name.clone());
        let (password, old) = (password.clone(), phc.to_owned());
        tokio::spawn(async move {
            let parts = &this.parts;
            let new = match parts.pool.hash(password, parts.cost).await {
                Ok(new) => new,
                Err(error) => {
                    tracing::warn!(user = %name, %error, "hash not renewed; trying at the next login");
                    return;
                }
            };
            match parts.store.update(&name, |user: &mut User| replace_hash(user, &old, new)) {
                Ok(_) => tracing::info!(user = %name, "hash renewed with the configured cost"),
                Err(ChangeError::Unknown(_) | ChangeError::Exists(_)) => {}
                Err(ChangeError::Store(error)) => {
                    tracing::warn!(user = %name, %error, "hash not renewed; trying at the next login");
                }
            }
        });
    }
}

/// What a client claims, and from where.
struct Claim<'a> {
    credentials: &'a Credentials,
    client: Option<IpAddr>,
    /// The client, unless its address is that of many.
    guesser: Option<IpAddr>,
    name: Option<&'a UserName>,
    filed_under: &'a str,
}

/// What a password turned out to be.
enum Judged {
    Right(Credential),
    Wrong(AuthResult),
}

impl Shared {
    fn read(&self, name: Option<&UserName>) -> Result<Option<User>, StoreError> {
        name.map_or(Ok(None), |name| self.parts.store.get(name))
    }

    fn guesses(&self) -> MutexGuard<'_, Guesses> {
        self.guesses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counting guesses by the gateway's address would let one stranger lock everybody out.
    fn guesser(&self, client: Option<IpAddr>) -> Option<IpAddr> {
        let client = client?.to_canonical();
        if !self.parts.gateways.contains(&client) {
            return Some(client);
        }
        self.gateway_seen.call_once(|| {
            tracing::warn!(
                gateway = %client,
                "clients appear under the address of the container's gateway, so they cannot be \
                 told apart: limits by address do not work for them (for IPv6, give the Docker \
                 network an IPv6 subnet; rootless engines need a port driver that keeps addresses)"
            );
        });
        None
    }

    fn guessed_too_often(&self, claim: &Claim<'_>) -> Option<AuthResult> {
        let ledger = &self.parts.ledger;
        let known = claim.name.zip(claim.guesser);
        let known = known.is_some_and(|(name, client)| ledger.knows(name, client, now()));
        match self.guesses().judge(now(), claim.guesser, claim.filed_under, known)? {
            GuessedBy::Address => Some(AuthResult::LimitedAddress),
            GuessedBy::User => Some(AuthResult::LimitedUser),
        }
    }

    /// Compares the password with each of the user's: from the cache where it can be, otherwise
    /// hash by hash.
    async fn judge(&self, claim: &Claim<'_>, user: Option<&User>) -> Result<Judged, AuthTrouble> {
        let password = &claim.credentials.password;
        let mac = self.parts.cache.mac(claim.filed_under, password);
        let stored: Vec<&Credential> = user
            .map(|user| user.credentials.iter().filter(|c| !c.is_expired(now())).collect())
            .unwrap_or_default();
        let cached = stored
            .iter()
            .find(|credential| self.parts.cache.contains(&mac, &credential.hash, Instant::now()));
        if let Some(credential) = cached {
            return Ok(Judged::Right((*credential).clone()));
        }
        // Bound to the stored hashes, so that a password that becomes right is not refused.
        let fingerprint = fingerprint(&mac, &stored);
        let known_wrong = self.guesses().known_wrong(claim.filed_under, fingerprint);
        if !known_wrong {
            if stored.is_empty() {
                self.parts.pool.verify(password.clone(), self.decoy.clone()).await?;
            }
            for credential in &stored {
                let phc = credential.hash.clone();
                if self.parts.pool.verify(password.clone(), phc).await? {
                    self.parts.cache.insert(&mac, &credential.hash, Instant::now());
                    return Ok(Judged::Right((*credential).clone()));
                }
            }
        }
        self.count_wrong(claim, fingerprint);
        let result =
            if user.is_some() { AuthResult::WrongPassword } else { AuthResult::UserUnknown };
        Ok(Judged::Wrong(result))
    }

    fn count_wrong(&self, claim: &Claim<'_>, fingerprint: u64) {
        let mut guesses = self.guesses();
        guesses.wrong(now(), claim.guesser, claim.filed_under, fingerprint);
        let evicted = guesses.take_evicted();
        self.parts.metrics.guesses(guesses.remembered(), evicted);
        drop(guesses);
        if evicted > 0 {
            tracing::warn!(
                evicted,
                "wrong passwords come from so many addresses that the oldest counts were forgotten"
            );
        }
    }
}

/// Tells distinct wrong passwords apart without keeping one.
fn fingerprint(mac: &Mac, stored: &[&Credential]) -> u64 {
    let mut hasher = blake3::Hasher::new_keyed(mac);
    for credential in stored {
        hasher.update(credential.hash.as_bytes()).update(b"\0");
    }
    let mut short = [0; 8];
    hasher.finalize_xof().fill(&mut short);
    u64::from_le_bytes(short)
}

/// Replaces this very hash; a password that was changed in the meantime stays as it is.
fn replace_hash(user: &mut User, old: &str, new: String) {
    if let Some(credential) = user.credentials.iter_mut().find(|c| c.hash == old) {
        credential.hash = new;
    }
}

#[cfg(test)]
pub mod tests;
