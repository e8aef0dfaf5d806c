//! Hashes that other servers made, and that were imported: bcrypt, SHA-512-crypt, SHA-256-crypt.
//!
//! They are verified, never made: the first good login replaces one with argon2id.

use sha_crypt::{PasswordVerifier as _, ShaCrypt};

use super::{HashError, Password};

/// The least that the algorithm allows.
const MIN_BCRYPT_COST: u32 = 4;
/// 2^14 rounds take about a second of a core.
const MAX_BCRYPT_COST: u32 = 14;
/// As many rounds of SHA-512 take about half a second of a core; 5,000 are usual.
const MAX_SHA_ROUNDS: u32 = 1_000_000;

/// A kind of hash, by the prefix of its modular crypt format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Bcrypt,
    ShaCrypt,
}

/// Which kind of foreign hash this is; `None` for argon2 and for what is none.
pub fn kind(hash: &str) -> Option<Kind> {
    if ["$2a$", "$2b$", "$2x$", "$2y$"].iter().any(|prefix| hash.starts_with(prefix)) {
        Some(Kind::Bcrypt)
    } else if hash.starts_with("$5$") || hash.starts_with("$6$") {
        Some(Kind::ShaCrypt)
    } else {
        None
    }
}

/// Whether a hash of this kind can be verified, and is cheap enough. A SHA-crypt hash is tried
/// once, because the library's parser has no door of its own; that costs a few milliseconds.
pub fn check(kind: Kind, hash: &str) -> Result<(), HashError> {
    match kind {
        Kind::Bcrypt => check_cost(kind, hash),
        Kind::ShaCrypt => {
            let digest = hash.rsplit('$').next().unwrap_or_default();
            let complete = if hash.starts_with("$5$") { 43 } else { 86 };
            if digest.len() != complete {
                return Err(HashError::Unreadable);
            }
            verify(kind, &Password::received(b""), hash).map(drop)
        }
    }
}

fn check_cost(kind: Kind, hash: &str) -> Result<(), HashError> {
    let too_costly = match kind {
        Kind::Bcrypt => {
            let parts: bcrypt::HashParts = hash.parse().map_err(|_| HashError::Unreadable)?;
            // $2x$ marks hashes of a faulty implementation, under which passwords with umlauts
            // collide; a cost below 4 is none that bcrypt has.
            if hash.starts_with("$2x$") || parts.get_cost() < MIN_BCRYPT_COST {
                return Err(HashError::Unreadable);
            }
            parts.get_cost() > MAX_BCRYPT_COST
        }
        Kind::ShaCrypt => {
            let rounds = hash.split('$').nth(2).and_then(|field| field.strip_prefix("rounds="));
            let rounds = rounds.map_or(Ok(5_000), str::parse::<u32>);
            rounds.map_err(|_| HashError::Unreadable)? > MAX_SHA_ROUNDS
        }
    };
    if too_costly { Err(HashError::TooCostly) } else { Ok(()) }
}

/// Whether this is the password of this hash.
pub fn verify(kind: Kind, password: &Password, hash: &str) -> Result<bool, HashError> {
    check_cost(kind, hash)?;
    match kind {
        Kind::Bcrypt => {
            bcrypt::verify(password.as_bytes(), hash).map_err(|_| HashError::Unreadable)
        }
        Kind::ShaCrypt => {
            use sha_crypt::password_hash::Error;
            match ShaCrypt::default().verify_password(password.as_bytes(), hash) {
                Ok(()) => Ok(true),
                Err(Error::PasswordInvalid) => Ok(false),
                Err(_) => Err(HashError::Unreadable),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by `openssl passwd -6` and `-5`, and by crypt(3) of libxcrypt.
    const OF_SECRET: [&str; 4] = [
        "$6$abcdefgh$ltjgWl6579NluT/Vi1nwEvcil.G5Nbc4NiXZaNGStk8PSwGfQv72N2CKPPrVACtLtip/cZ/1GM/O6IND4WQhG.",
        "$5$abcdefgh$gruCpC7VkOTspMQTTSAR8mtlO9Upms.fwqE5y16JVM.",
        "$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a",
        "$6$rounds=10000$abcdefgh$dtkgtX8ow6kub/Iulo6m6YRiWBlfmJEeDmTXbQPwlPu6qBjkZV2Ix8CeH0sE3NMp3Sq63bHshmKLBUGe7mWYy/",
    ];

    #[test]
    fn hashes_of_other_servers_verify_only_their_password() {
        let right = Password::choose(b"secret").unwrap();
        let wrong = Password::choose(b"Secret").unwrap();
        for hash in OF_SECRET {
            let kind = kind(hash).unwrap();
            assert!(verify(kind, &right, hash).unwrap(), "{hash}");
            assert!(!verify(kind, &wrong, hash).unwrap(), "{hash}");
        }
    }

    #[test]
    fn hashes_that_are_incomplete_or_too_costly_are_not_verified() {
        let costly_bcrypt = OF_SECRET[2].replacen("$05$", "$20$", 1);
        let costly_sha = OF_SECRET[0].replacen("$6$", "$6$rounds=999999999$", 1);
        let cheap_bcrypt = OF_SECRET[2].replacen("$05$", "$03$", 1);
        let cut = OF_SECRET[0].get(..60).unwrap();
        let no_digit = OF_SECRET[0].replace("ltjg", "lt(g");
        for hash in
            [&costly_bcrypt, &cheap_bcrypt, &costly_sha, cut, &no_digit, "$2y$05$short", "$6$$"]
        {
            let kind = kind(hash).unwrap();
            let right = Password::choose(b"secret").unwrap();
            assert!(check(kind, hash).is_err(), "{hash}");
            // A cut digest is one that nothing matches, and nothing must.
            assert!(!verify(kind, &right, hash).unwrap_or(false), "{hash}");
        }
        for hash in OF_SECRET {
            assert!(check(kind(hash).unwrap(), hash).is_ok(), "{hash}");
        }
        for hash in ["", "secret", "$1$abc$def", "$apr1$abc$def", "$argon2id$v=19$m=64"] {
            assert_eq!(kind(hash), None, "{hash}");
        }
    }
}
