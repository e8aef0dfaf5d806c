//! A user: the name, and what the database keeps about it.

pub mod import;
pub mod store;

use std::fmt;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use ipnet::IpNet;
use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::access::senders::SenderPattern;
use crate::access::{Login, Standing};
use crate::limits::rate::Limits;
use store::{StoreError, UserStore};

/// Longest name in bytes. LMDB takes keys of up to 511 bytes, and clients send what they like.
pub const MAX_NAME: usize = 255;

/// A user name in canonical form: mapped by PRECIS UsernameCaseMapped (RFC 8265 section 3.3), so
/// that `Alice`, `alice` and fullwidth `ａlice` are one user. The same function runs when a user is
/// created and at each login.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadName {
    #[error("a user name is not empty")]
    Empty,
    #[error("a user name has at most {MAX_NAME} bytes")]
    TooLong,
    #[error(
        "a user name has letters, digits and signs such as . - _ + @ only: no spaces, no control \
         characters, no ? and no mixture of writing directions"
    )]
    Characters,
}

impl UserName {
    /// Maps a name to its canonical form.
    ///
    /// # Errors
    ///
    /// Says what a name must be like. The name itself is not in the error: it may be a password
    /// that somebody typed into the wrong field.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        let mapped = UsernameCaseMapped::enforce(name).map_err(|_| BadName::Characters)?;
        // Normalisation can make a character of two allowed ones that is none itself ("=" and a
        // stroke become "≠"): such a name would be another one the next time it is mapped.
        if UsernameCaseMapped::enforce(mapped.as_ref()).ok().as_ref() != Some(&mapped) {
            return Err(BadName::Characters);
        }
        // Postfix prints what it cannot show as `?`, so a name with one would be ambiguous in
        // its log; PRECIS has already refused spaces and control characters.
        if mapped.contains('?') {
            return Err(BadName::Characters);
        }
        if mapped.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        Ok(Self(mapped.into_owned()))
    }

    /// The name in what a peer sent; `None` when it is no name, which is then nobody's.
    pub fn from_bytes(name: &[u8]) -> Option<Self> {
        Self::parse(std::str::from_utf8(name).ok()?).ok()
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the database keeps under a user's name. A field that this version does not know is an
/// error: it may restrict what the user may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub enabled: bool,
    /// Seconds since 1970, as every time here.
    pub created: u64,
    pub credentials: Vec<Credential>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who the user may send as; empty is anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<SenderPattern>,
    /// The user's own limits; `None` is `RATE_LIMIT_USER`, and an empty list no limit at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Where the user may log in from; empty is anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub login_networks: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// When the user passed `SUSPEND_AFTER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<u64>,
    /// When an operator last lifted a suspension.
    #[serde(default)]
    pub lifted: u64,
}

/// One password of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub label: String,
    /// PHC string, or the modular crypt format of an imported hash.
    pub hash: String,
    pub created: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// The label of the password that a user is created with.
pub const FIRST_LABEL: &str = "default";
/// Passwords of one user. A wrong password costs a hash for each.
pub const MAX_CREDENTIALS: usize = 8;
/// Longest label in characters.
const MAX_LABEL: usize = 64;

impl fmt::Debug for Credential {
    /// The hash is left out: it is what an attacker would take home to guess at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("label", &self.label)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

impl Credential {
    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Checks a label: it is printed, and typed on the command line.
    ///
    /// # Errors
    ///
    /// Says what a label must be like.
    pub fn check_label(label: &str) -> Result<(), String> {
        let fits = !label.is_empty() && label.chars().count() <= MAX_LABEL;
        let printable = label.chars().all(|c| c.is_alphanumeric() || " -_.@+".contains(c));
        if fits && printable && label.trim() == label {
            return Ok(());
        }
        Err(format!(
            "{label:?} is no label: use up to {MAX_LABEL} letters, digits, spaces and - _ . @ +"
        ))
    }
}

impl User {
    /// A new, enabled user with one password.
    pub fn new(hash: String, now: u64, note: Option<String>) -> Self {
        let first = Credential { label: FIRST_LABEL.to_owned(), hash, created: now, expires: None };
        Self {
            enabled: true,
            created: now,
            credentials: vec![first],
            note,
            senders: Vec::new(),
            limits: None,
            login_networks: Vec::new(),
            expires: None,
            suspended: None,
            lifted: 0,
        }
    }

    /// Replaces the password with the first label, and leaves every other alone.
    pub fn set_password(&mut self, hash: String, now: u64) {
        self.credentials.retain(|credential| credential.label != FIRST_LABEL);
        let new = Credential { label: FIRST_LABEL.to_owned(), hash, created: now, expires: None };
        self.credentials.insert(0, new);
    }

    /// Enables the user, and lifts a suspension.
    pub fn enable(&mut self, now: u64) {
        self.enabled = true;
        if self.suspended.take().is_some() {
            self.lifted = now;
        }
    }

    /// How the user stands at this time.
    pub fn standing(&self, now: u64) -> Standing {
        if !self.enabled {
            Standing::Disabled
        } else if self.suspended.is_some() {
            Standing::Suspended
        } else if self.expires.is_some_and(|expires| expires <= now) {
            Standing::Expired
        } else {
            Standing::Enabled
        }
    }

    /// Whether the user may log in from this address.
    pub fn may_log_in_from(&self, address: Option<IpAddr>) -> bool {
        self.login_networks.is_empty()
            || address.is_some_and(|address| {
                let address = address.to_canonical();
                self.login_networks.iter().any(|network| network.contains(&address))
            })
    }
}

/// The user of a login, and how it stands now, which may be hours after it.
///
/// # Errors
///
/// When the database cannot be read.
pub fn find(store: &UserStore, user: &[u8]) -> Result<Option<(UserName, User)>, StoreError> {
    let Some(name) = UserName::from_bytes(user) else { return Ok(None) };
    Ok(store.get(&name)?.map(|user| (name, user)))
}

/// What the decision needs to know of a login; a name that is nobody's any more is one too.
pub fn login(name: &[u8], found: Option<&(UserName, User)>, now: u64) -> Login {
    Login {
        user: String::from_utf8_lossy(name).into_owned(),
        standing: found.map_or(Standing::Unknown, |(_, user)| user.standing(now)),
        senders: found.map(|(_, user)| user.senders.clone()).unwrap_or_default(),
    }
}

/// Seconds since 1970; 0 on a machine whose clock stands before.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests;
