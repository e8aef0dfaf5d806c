//! A user, as the database keeps it. Pure.

pub mod import;

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;
use serde::{Deserialize, Serialize};

use crate::access::senders::SenderPattern;
use crate::access::{Login, Standing};
use crate::limits::guessing::Target;
use crate::limits::limit::Limits;

/// What the database keeps under a user's name. A field that this version does not know is an
/// error, because it may restrict what the user may do.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Tells this user from an earlier one of the same name. The store assigns it; 0 is a user of
    /// the first release.
    #[serde(default)]
    pub id: u64,
    pub enabled: bool,
    /// Seconds since 1970, as every time here.
    pub created: u64,
    pub credentials: Vec<Credential>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Who the user may send as; empty means anybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub senders: Vec<SenderPattern>,
    /// The user's own limits; `None` means `RATE_LIMIT_USER`, an empty list no limit at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
    /// Where the user may log in from; empty means anywhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub login_networks: Vec<IpNet>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// When the user went over `SUSPEND_AFTER`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<u64>,
    /// When an operator last lifted a suspension.
    #[serde(default)]
    pub lifted: u64,
    /// The hash of the `SMTP_PASSWORD` that was last applied to this user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_setting: Option<String>,
    /// Sessions that logged in before this have to log in again: the password was changed then, or
    /// rights were taken away.
    #[serde(default)]
    pub sessions_since: u64,
}

/// One password of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    pub label: String,
    /// PHC string, or the modular crypt format of an imported hash.
    pub hash: String,
    pub created: u64,
    /// Whether it is too long and too random to be guessed, so that strangers who try cannot slow
    /// its owner down.
    #[serde(default)]
    pub unguessable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
}

/// The label of the password that a user is created with.
pub const FIRST_LABEL: &str = "default";
/// Passwords of one user. A wrong one costs a hash for each of them.
pub const MAX_CREDENTIALS: usize = 8;
/// Longest label in characters.
const MAX_LABEL: usize = 64;

impl fmt::Debug for Credential {
    /// Without the hash, which is what an attacker would take home to crack.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("label", &self.label)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

/// The hash of a password, and what is known of the password itself.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewHash {
    pub hash: String,
    pub unguessable: bool,
}

impl fmt::Debug for NewHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NewHash(unguessable: {})", self.unguessable)
    }
}

impl Credential {
    /// A password that does not expire.
    pub fn new(label: &str, password: NewHash, now: u64) -> Self {
        Self {
            label: label.to_owned(),
            hash: password.hash,
            created: now,
            unguessable: password.unguessable,
            expires: None,
        }
    }

    pub fn is_expired(&self, now: u64) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Checks a label, which is printed and typed on the command line.
    ///
    /// # Errors
    ///
    /// Says what a label must look like.
    pub fn check_label(label: &str) -> Result<(), String> {
        let fits = !label.is_empty() && label.chars().count() <= MAX_LABEL;
        let printable = label.chars().all(|c| c.is_alphanumeric() || " -_.@+".contains(c));
        if fits && printable && label.trim() == label {
            return Ok(());
        }
        Err(format!(
            "{label:?} is not a label: use up to {MAX_LABEL} letters, digits, spaces and - _ . @ +"
        ))
    }
}

impl fmt::Debug for User {
    /// Without hashes, as for each of its credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("User")
            .field("id", &self.id)
            .field("enabled", &self.enabled)
            .field("credentials", &self.credentials)
            .field("suspended", &self.suspended)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

impl User {
    /// A new, enabled user with one password.
    pub fn new(password: NewHash, now: u64) -> Self {
        Self {
            id: 0,
            enabled: true,
            created: now,
            credentials: vec![Credential::new(FIRST_LABEL, password, now)],
            note: None,
            senders: Vec::new(),
            limits: None,
            login_networks: Vec::new(),
            expires: None,
            suspended: None,
            lifted: 0,
            from_setting: None,
            sessions_since: now,
        }
    }

    /// Replaces the password with the first label, and leaves all others alone.
    pub fn set_password(&mut self, password: NewHash, now: u64) {
        self.credentials.retain(|credential| credential.label != FIRST_LABEL);
        self.credentials.insert(0, Credential::new(FIRST_LABEL, password, now));
        self.sessions_since = now;
    }

    /// Enables the user, and lifts a suspension.
    pub fn enable(&mut self, now: u64) {
        self.enabled = true;
        // Whoever was sending when the user was disabled may still be connected.
        self.sessions_since = now;
        if self.suspended.take().is_some() {
            self.lifted = now;
        }
    }

    /// The user's standing at this time.
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

    /// The passwords that are valid at this time.
    pub fn valid_credentials(&self, now: u64) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(move |credential| !credential.is_expired(now))
    }

    /// What guessing at this user's passwords could achieve.
    pub fn as_target(&self, now: u64) -> Target {
        if self.valid_credentials(now).all(|credential| credential.unguessable) {
            Target::Unguessable
        } else {
            Target::Guessable
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

/// A session is no longer than this, in seconds: smtpd hangs up on a client that says nothing but
/// NOOP long before (`smtpd_junk_command_limit`, `smtpd_timeout`). After that it does not matter
/// when its client logged in.
const LONGEST_SESSION: u64 = 86_400;

/// What the decision needs to know of a login. A name that is nobody's any longer is one, too.
/// `up_to_date` says that this client logged in since password and rights are what they are.
pub fn login(
    name: &[u8],
    user: Option<&User>,
    client: Option<IpAddr>,
    up_to_date: bool,
    now: u64,
) -> Login {
    let standing = user.map_or(Standing::Unknown, |user| match user.standing(now) {
        Standing::Enabled if !user.may_log_in_from(client) => Standing::OtherNetwork,
        // A clock that was set back since the change leaves no way to tell.
        Standing::Enabled
            if !up_to_date
                && (user.sessions_since..user.sessions_since + LONGEST_SESSION).contains(&now) =>
        {
            Standing::LoginOutdated
        }
        standing => standing,
    });
    Login {
        user: String::from_utf8_lossy(name).into_owned(),
        standing,
        senders: user.map(|user| user.senders.clone()).unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests;
