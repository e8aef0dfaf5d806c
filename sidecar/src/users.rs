//! A user: the name, and what the database keeps about it.

pub mod store;

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::access::{Login, Standing};
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

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What the database keeps under a user's name. Fields that a later version adds have defaults, so
/// that older records stay readable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub enabled: bool,
    /// Seconds since 1970.
    pub created: u64,
    pub credentials: Vec<Credential>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// One password of a user.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credential {
    pub label: String,
    /// PHC string: algorithm, parameters, salt and hash.
    pub hash: String,
    /// Seconds since 1970.
    pub created: u64,
}

/// The label of the password that a user is created with.
pub const FIRST_LABEL: &str = "default";

impl fmt::Debug for Credential {
    /// The hash is left out: it is what an attacker would take home to guess at.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("label", &self.label)
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

impl User {
    /// A new, enabled user with one password. `now` is in seconds since 1970.
    pub fn new(hash: String, now: u64, note: Option<String>) -> Self {
        let first = Credential { label: FIRST_LABEL.to_owned(), hash, created: now };
        Self { enabled: true, created: now, credentials: vec![first], note }
    }

    /// Replaces the password with the first label, and leaves every other alone.
    pub fn set_password(&mut self, hash: String, now: u64) {
        self.credentials.retain(|credential| credential.label != FIRST_LABEL);
        let new = Credential { label: FIRST_LABEL.to_owned(), hash, created: now };
        self.credentials.insert(0, new);
    }
}

/// How the user of a login stands now, which may be hours after it.
///
/// # Errors
///
/// When the database cannot be read.
pub fn standing(store: &UserStore, user: &[u8]) -> Result<Login, StoreError> {
    let shown = String::from_utf8_lossy(user).into_owned();
    let Ok(name) = UserName::parse(&shown) else {
        return Ok(Login { user: shown, standing: Standing::Unknown });
    };
    let standing = match store.get(&name)? {
        Some(user) if user.enabled => Standing::Enabled,
        Some(_) => Standing::Disabled,
        None => Standing::Unknown,
    };
    Ok(Login { user: shown, standing })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_mapped_to_one_form() {
        let cases = [
            ("alice", "alice"),
            ("Alice", "alice"),
            ("ALICE@Example.ORG", "alice@example.org"),
            ("ａｌｉｃｅ", "alice"),
            ("e\u{301}va", "\u{e9}va"),
            ("a.b-c_d+e@x", "a.b-c_d+e@x"),
        ];
        for (name, expected) in cases {
            assert_eq!(UserName::parse(name).unwrap().as_str(), expected, "{name}");
        }
    }

    #[test]
    fn mapping_a_canonical_name_changes_nothing() {
        for name in ["Alice", "ａｌｉｃｅ", "e\u{301}va", "STRASSE", "ΑΣ"] {
            let once = UserName::parse(name).unwrap();
            assert_eq!(UserName::parse(once.as_str()).unwrap(), once, "{name}");
        }
    }

    #[test]
    fn names_that_nobody_may_have() {
        let long = "a".repeat(MAX_NAME + 1);
        let cases = [
            "",
            " ",
            "a b",
            "a\tb",
            "a\nb",
            "a\0b",
            "\u{1}",
            "who?",
            "a\u{202e}b",
            "\u{7f}",
            "a\u{ad}b",
            "\u{2167}",
            &long,
        ];
        for name in cases {
            assert!(UserName::parse(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn a_new_password_leaves_the_others_alone() {
        let mut user = User::new("old".into(), 1, None);
        user.credentials.push(Credential {
            label: "printer".into(),
            hash: "other".into(),
            created: 2,
        });
        user.set_password("new".into(), 3);
        let hashes: Vec<_> = user.credentials.iter().map(|c| c.hash.as_str()).collect();
        assert_eq!(hashes, ["new", "other"]);
    }

    #[test]
    fn a_hash_is_not_in_the_debug_output() {
        assert!(!format!("{:?}", User::new("$argon2id$secret".into(), 1, None)).contains("secret"));
    }
}
