//! Is this the password of this user?
//!
//! The order is: guessing limits, cache, hash. Unknown and disabled users, and names that cannot be
//! anybody's, go the same way as a wrong password: neither the answer nor its time tells who
//! exists.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use thiserror::Error;

use super::guessing::{Admission, Guessing};
use super::mechanism::Credentials;
use super::metrics::{AuthMetrics, CacheLookup};
use super::outcome::{AuthResult, Outcome};
use super::renewal::Renewal;
use crate::access::Standing;
use crate::clock::now;
use crate::gateways::Gateways;
use crate::ledger::Ledger;
use crate::limits::guessing::{Attempt, Fingerprint, GuessLimits, Target};
use crate::password::cache::{Mac, VerifiedCache};
use crate::password::pool::{HashingPool, PoolError};
use crate::password::{self, Cost, HashError};
use crate::store::{StoreError, UserStore};
use crate::user_name::UserName;
use crate::users::{Credential, User};

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
pub struct Dependencies {
    pub store: UserStore,
    pub ledger: Arc<Ledger>,
    pub pool: HashingPool,
    pub cache: VerifiedCache,
    pub guess_limits: GuessLimits,
    /// Addresses that many clients share: no guess is held against them, and none of them is
    /// anybody's known address.
    pub gateways: Gateways,
    pub cost: Cost,
    /// `ENABLE_SASL`.
    pub enabled: bool,
    pub metrics: AuthMetrics,
}

#[derive(Debug)]
pub struct Authenticator {
    with: Dependencies,
    renewal: Renewal,
    pub guessing: Guessing,
    /// The hash that passwords for nobody are checked against.
    decoy: String,
}

impl Authenticator {
    /// Makes the decoy hash.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers or argon2 refuses the cost.
    pub fn new(with: Dependencies) -> Result<Self, HashError> {
        let decoy = password::decoy(with.cost)?;
        let gateways = with.gateways.clone();
        let guessing = Guessing::new(with.guess_limits, gateways, with.metrics.clone());
        let renewal = Renewal::new(with.store.clone(), with.pool.clone(), with.cost);
        Ok(Self { with, renewal, guessing, decoy })
    }

    pub fn enabled(&self) -> bool {
        self.with.enabled
    }

    /// Counts the addresses that have to wait, for a scrape.
    pub fn count_blocked(&self) {
        self.with.metrics.blocked(self.guessing.blocked_addresses());
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
        let name = UserName::from_bytes(&credentials.authentication_identity);
        let mut user = self.read(name.as_ref())?;
        let claim = self.claim(credentials, client, name.as_ref(), user.as_deref())?;
        loop {
            let judged = self.judge(&claim, user.as_deref()).await?;
            // The user may have been changed or removed while the hash was computed, and what
            // counts is what is true at the moment of the answer.
            let current = self.read(name.as_ref())?;
            if current == user || !matches!(judged, Judged::Right(..)) {
                let result = self.settle(&claim, user.as_deref(), judged)?;
                return Ok(Outcome { result, user: name });
            }
            user = current;
        }
    }

    fn claim<'a>(
        &self,
        credentials: &'a Credentials,
        client: Option<IpAddr>,
        name: Option<&'a UserName>,
        user: Option<&User>,
    ) -> Result<Claim<'a>, StoreError> {
        let guesser = self.guessing.guesser(client);
        let known = match (name, user, guesser) {
            (Some(name), Some(user), Some(client)) => {
                self.with.ledger.knows(name, user, client, now())?
            }
            _ => false,
        };
        let identity = match name {
            Some(name) => name.as_str().into(),
            None => String::from_utf8_lossy(&credentials.authentication_identity),
        };
        let mac = self.with.cache.mac(&identity, &credentials.password);
        // People type passwords into the wrong field, so what is nobody's name is kept as a MAC.
        let filed_under = match user {
            Some(_) => identity.into_owned(),
            None => self.with.cache.name_mac(&identity),
        };
        Ok(Claim { credentials, client, guesser, known, name, filed_under, mac })
    }

    /// Compares the password with the user's: from the cache where that is possible, otherwise
    /// hash by hash.
    async fn judge(&self, claim: &Claim<'_>, user: Option<&User>) -> Result<Judged, AuthTrouble> {
        let stored: Vec<&Credential> =
            user.map(|user| user.valid_credentials(now()).collect()).unwrap_or_default();
        // It covers the stored hashes, so that a password that becomes right is not refused.
        let attempt = claim.attempt(user, fingerprint(&claim.mac, &stored));
        let look = match self.guessing.admit(&attempt).await {
            Admission::Look(look) => look,
            Admission::KnownWrong => return Ok(Judged::wrong(user)),
            Admission::Refused(result) => return Ok(Judged::Wrong(result)),
        };
        let cached = stored
            .iter()
            .find(|stored| self.with.cache.contains(&claim.mac, &stored.hash, Instant::now()));
        if let Some(credential) = cached {
            self.with.metrics.looked_up(CacheLookup::Hit);
            return Ok(Judged::Right((*credential).clone(), Proof::Cache));
        }
        self.with.metrics.looked_up(CacheLookup::Miss);
        let hashes = match stored.as_slice() {
            [] => vec![self.decoy.clone()],
            stored => stored.iter().map(|credential| credential.hash.clone()).collect(),
        };
        let found = self.with.pool.verify(claim.credentials.password.clone(), hashes).await?;
        if let Some(credential) = found.and_then(|position| stored.get(position)) {
            self.with.cache.insert(&claim.mac, &credential.hash, Instant::now());
            return Ok(Judged::Right((*credential).clone(), Proof::Hash));
        }
        look.wrong();
        Ok(Judged::wrong(user))
    }

    /// The effects of a judgement on the account.
    fn settle(
        &self,
        claim: &Claim<'_>,
        user: Option<&User>,
        judged: Judged,
    ) -> Result<AuthResult, StoreError> {
        let (credential, proof) = match judged {
            Judged::Wrong(result) => return Ok(result),
            Judged::Right(credential, proof) => (credential, proof),
        };
        let (Some(name), Some(user)) = (claim.name, user) else {
            return Ok(AuthResult::UserUnknown);
        };
        let acts_as = &claim.credentials.authorization_identity;
        let acts_as_itself =
            acts_as.is_empty() || UserName::from_bytes(acts_as).as_ref() == Some(name);
        Ok(match user.standing(now()) {
            Standing::Enabled if !acts_as_itself => AuthResult::OtherIdentity,
            Standing::Enabled if !user.may_log_in_from(claim.client) => AuthResult::OtherNetwork,
            Standing::Enabled => {
                self.with.ledger.logged_in(name, user, &credential.label, claim.client, now())?;
                // To look whether a hash is outdated takes longer than a login that is cached.
                if proof == Proof::Hash {
                    self.renewal.renew(name, &claim.credentials.password, &credential);
                }
                AuthResult::Accepted
            }
            Standing::Disabled => AuthResult::UserDisabled,
            Standing::Suspended => AuthResult::UserSuspended,
            Standing::Expired => AuthResult::Expired,
            Standing::OtherNetwork => AuthResult::OtherNetwork,
            Standing::Unknown | Standing::LoginOutdated => AuthResult::UserUnknown,
        })
    }

    fn read(&self, name: Option<&UserName>) -> Result<Option<Arc<User>>, StoreError> {
        name.map_or(Ok(None), |name| self.with.store.user(name))
    }
}

/// What a client claims, and from where.
struct Claim<'a> {
    credentials: &'a Credentials,
    client: Option<IpAddr>,
    /// The client, unless many share its address.
    guesser: Option<IpAddr>,
    /// Whether it logged in as this user lately.
    known: bool,
    name: Option<&'a UserName>,
    /// What guesses are counted under.
    filed_under: String,
    mac: Mac,
}

impl Claim<'_> {
    fn attempt(&self, user: Option<&User>, password: Fingerprint) -> Attempt<'_> {
        Attempt {
            address: self.guesser,
            user: &self.filed_under,
            target: user.map_or(Target::Nobody, |user| user.as_target(now())),
            password,
            known: self.known,
        }
    }
}

/// What a password turned out to be.
enum Judged {
    Right(Credential, Proof),
    Wrong(AuthResult),
}

/// How a password was seen to be right.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Proof {
    Cache,
    Hash,
}

impl Judged {
    fn wrong(user: Option<&User>) -> Self {
        Self::Wrong(match user {
            Some(_) => AuthResult::WrongPassword,
            None => AuthResult::UserUnknown,
        })
    }
}

/// Tells distinct wrong passwords apart without keeping one.
fn fingerprint(mac: &Mac, stored: &[&Credential]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new_keyed(mac);
    for credential in stored {
        hasher.update(credential.hash.as_bytes()).update(b"\0");
    }
    let mut short = [0; 8];
    hasher.finalize_xof().fill(&mut short);
    u64::from_le_bytes(short)
}

#[cfg(test)]
pub mod tests;
