//! User names in their canonical form. Pure.

use std::fmt;

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::PrecisFastInvocation;
use thiserror::Error;

/// Longest name in bytes. LMDB takes keys of up to 511 bytes, and clients send whatever they like.
pub const MAX_NAME: usize = 255;

/// A user name in canonical form: mapped by PRECIS UsernameCaseMapped (RFC 8265 section 3.3), so
/// that `Alice`, `alice` and fullwidth `ａlice` are one user. The same function runs when a user is
/// created and at every login.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(String);

#[derive(Debug, Error, PartialEq, Eq)]
pub enum BadName {
    #[error("a user name cannot be empty")]
    Empty,
    #[error("a user name can have at most {MAX_NAME} bytes")]
    TooLong,
    #[error(
        "a user name can have letters, digits and signs such as . - _ + @, but no spaces, control \
         characters or question marks, and not both writing directions"
    )]
    Characters,
}

impl UserName {
    /// Maps a name to its canonical form.
    ///
    /// # Errors
    ///
    /// Says what a name must look like. The name itself is not in the error: it may be a password
    /// that somebody typed into the wrong field.
    pub fn parse(name: &str) -> Result<Self, BadName> {
        if name.is_empty() {
            return Err(BadName::Empty);
        }
        if name.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        // Nearly every name, at nearly every login: letters, digits and signs of ASCII, in lower
        // case, are what the mapping leaves as it is.
        let stays = |byte: u8| matches!(byte, b'!'..=b'>' | b'@' | b'['..=b'~');
        if name.bytes().fold(true, |all, byte| all & stays(byte)) {
            return Ok(Self(name.to_owned()));
        }
        Self::map(name)
    }

    /// The mapping in full.
    fn map(name: &str) -> Result<Self, BadName> {
        let mapped = UsernameCaseMapped::enforce(name).map_err(|_| BadName::Characters)?;
        // Normalisation can combine two allowed characters into one that is not ("=" and a stroke
        // become "≠"); such a name would map to something else the next time.
        if UsernameCaseMapped::enforce(mapped.as_ref()).ok().as_ref() != Some(&mapped) {
            return Err(BadName::Characters);
        }
        // Postfix prints `?` for what it cannot show, so a name with one would be ambiguous in its
        // log. PRECIS has already refused spaces and control characters.
        if mapped.contains('?') {
            return Err(BadName::Characters);
        }
        if mapped.len() > MAX_NAME {
            return Err(BadName::TooLong);
        }
        Ok(Self(mapped.into_owned()))
    }

    /// The name in what a peer sent; `None` when it cannot be anybody's.
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
    fn a_name_that_is_not_mapped_would_have_stayed_as_it_is() {
        for byte in 0..=u8::MAX {
            for name in [[byte].as_slice(), &[b'a', byte], &[byte, b'a', byte]] {
                let Ok(name) = std::str::from_utf8(name) else { continue };
                assert_eq!(UserName::parse(name), UserName::map(name), "{name:?}");
            }
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
            "=\u{338}yo",
            "\u{2167}",
            &long,
        ];
        for name in cases {
            assert!(UserName::parse(name).is_err(), "{name:?}");
        }
    }
}
