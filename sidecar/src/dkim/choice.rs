//! Which keys sign a message, and which messages are left alone. Pure.

use std::time::Duration;

use super::key::Algorithm;
use super::names::Domain;
use super::present::PresentSignatures;
use crate::labels::label_enum;

/// The settings that decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `DKIM_REQUIRE_DNS`: a key is used once DNS has its record.
    pub require_dns: bool,
    /// `DKIM_RESIGN=always`: a signature of the author's domain is no reason to make none.
    pub resign: bool,
    /// `DKIM_FAIL_OPEN`: a message that cannot be signed leaves unsigned.
    pub fail_open: bool,
}

/// What is known of a key of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFacts {
    pub algorithm: Algorithm,
    pub created: u64,
    pub published: Option<u64>,
}

impl KeyFacts {
    pub fn is_usable(&self, rules: Rules) -> bool {
        !rules.require_dns || self.published.is_some()
    }
}

label_enum! {
    /// What was done about a message's signature.
    pub enum Outcome("result") {
        Signed = "signed",
        /// It bears a signature of its author's domain.
        AlreadySigned = "already_signed",
        /// From names no author, or several.
        AuthorUnclear = "author_unclear",
        NoKey = "no_key",
        /// There is a key, and DNS does not have its record yet.
        WaitingForDns = "waiting_for_dns",
        /// It could not be signed, and was refused.
        Failed = "failed",
        /// It could not be signed, and left unsigned.
        FailedOpen = "failed_open",
    }
}

/// Of the keys of one domain those that sign: the newest usable one of each algorithm. Older ones
/// stay for messages that are on their way.
pub fn in_use(rules: Rules, keys: &[KeyFacts]) -> Vec<usize> {
    Algorithm::BOTH
        .into_iter()
        .filter_map(|algorithm| {
            let usable = keys
                .iter()
                .enumerate()
                .filter(|(_, key)| key.algorithm == algorithm && key.is_usable(rules));
            usable.max_by_key(|(_, key)| key.created).map(|(position, _)| position)
        })
        .collect()
}

/// For how long the record of a key stays after the next key took over: mail that it signed is in
/// queues for up to five days (RFC 5321 section 4.5.4.1), and verified somewhat later.
pub const STAYS_PUBLISHED: Duration = Duration::from_secs(7 * 86_400);

/// Since when a newer key of the domain signs in a key's place.
pub fn replaced_since(keys: &[KeyFacts], key: KeyFacts) -> Option<u64> {
    let newer =
        keys.iter().filter(|other| other.algorithm == key.algorithm && other.created > key.created);
    newer.filter_map(|other| other.published).min()
}

/// Whether a key is the next one, and waits for DNS while an older one signs.
pub fn waits_to_replace(keys: &[KeyFacts], key: KeyFacts) -> bool {
    let mut older =
        keys.iter().filter(|other| other.algorithm == key.algorithm && other.created < key.created);
    key.published.is_none() && older.any(|other| other.published.is_some())
}

/// Where to look for the keys of an author: the domain, then its parents (relaxed alignment,
/// RFC 7489 section 3.1.1).
///
/// # Errors
///
/// Why no key is looked for.
pub fn domains<'a>(
    rules: Rules,
    author: Option<&'a str>,
    present: &PresentSignatures,
) -> Result<impl Iterator<Item = &'a str> + use<'a>, Outcome> {
    let author = author.ok_or(Outcome::AuthorUnclear)?;
    if !rules.resign && present.is_of(author) {
        return Err(Outcome::AlreadySigned);
    }
    Ok(Domain::with_parents(author))
}

/// Whether the keys of this domain, which may be a parent of the author's, still have to sign.
pub fn still_to_sign(rules: Rules, key_domain: &str, present: &PresentSignatures) -> bool {
    rules.resign || !present.is_of(key_domain)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules { require_dns: true, resign: false, fail_open: false };

    fn signed_by(domain: &str) -> PresentSignatures {
        let mut present = PresentSignatures::default();
        present.add(b"DKIM-Signature", format!("v=1; d={domain}; h=from").as_bytes());
        present
    }

    #[test]
    fn the_newest_published_key_of_each_algorithm_signs() {
        let key = |algorithm, created, published| KeyFacts { algorithm, created, published };
        use Algorithm::{Ed25519, Rsa};
        let keys =
            [key(Rsa, 1, Some(2)), key(Rsa, 5, Some(6)), key(Rsa, 9, None), key(Ed25519, 1, None)];
        assert_eq!(in_use(RULES, &keys), [1]);
        assert_eq!(in_use(Rules { require_dns: false, ..RULES }, &keys), [2, 3]);
        assert_eq!(in_use(RULES, &keys[2..]), [0; 0]);
    }

    #[test]
    fn keys_are_looked_for_at_the_authors_domain_and_above() {
        let none = PresentSignatures::default();
        let found: Vec<_> = domains(RULES, Some("a.example.org"), &none).unwrap().collect();
        assert_eq!(found, ["a.example.org", "example.org"]);
        assert_eq!(domains(RULES, None, &none).err(), Some(Outcome::AuthorUnclear));
    }

    #[test]
    fn a_message_that_its_author_signed_is_left_alone_unless_told_otherwise() {
        let always = Rules { resign: true, ..RULES };
        let own = signed_by("EXAMPLE.org");
        assert_eq!(domains(RULES, Some("example.org"), &own).err(), Some(Outcome::AlreadySigned));
        assert!(domains(always, Some("example.org"), &own).is_ok());
        // A mailing list's signature, or a provider's, is not the author's.
        assert!(domains(RULES, Some("example.org"), &signed_by("list.test")).is_ok());
        // The home server signs for the parent.
        assert!(domains(RULES, Some("a.example.org"), &own).is_ok());
        assert!(!still_to_sign(RULES, "example.org", &own));
        assert!(still_to_sign(always, "example.org", &own));
    }
}
