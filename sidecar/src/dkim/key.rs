//! A key: what the database keeps of it, what signs with it, and how a new one is made. Pure, but
//! for the system's random numbers.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use getrandom::SysRng;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rsa::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use zeroize::Zeroizing;

use super::names::{Domain, Selector};
use crate::labels::label_enum;

label_enum! {
    /// What a signature is made with.
    pub enum Algorithm("algorithm") {
        /// rsa-sha256 (RFC 6376), which everybody can verify.
        Rsa = "rsa-sha256",
        /// ed25519-sha256 (RFC 8463), for those who can.
        Ed25519 = "ed25519-sha256",
    }
}

impl Algorithm {
    /// A new domain gets a key for each.
    pub const BOTH: [Self; 2] = [Self::Rsa, Self::Ed25519];

    /// The word for it in a record's k= (RFC 6376 section 3.6.1).
    pub fn key_type(self) -> &'static str {
        match self {
            Self::Rsa => "rsa",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// RFC 8301 section 3.2 asks signers for at least this much.
pub const RSA_BITS: usize = 2048;

/// A private key in PKCS#8. It prints as nothing and is wiped when it is dropped.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Zeroizing<String>", into = "Zeroizing<String>")]
pub struct PrivateKey(Zeroizing<Vec<u8>>);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKey(…)")
    }
}

impl TryFrom<Zeroizing<String>> for PrivateKey {
    type Error = &'static str;

    fn try_from(text: Zeroizing<String>) -> Result<Self, Self::Error> {
        let der = STANDARD.decode(text.as_bytes()).map_err(|_| "not base64")?;
        Ok(Self(Zeroizing::new(der)))
    }
}

impl From<PrivateKey> for Zeroizing<String> {
    fn from(key: PrivateKey) -> Self {
        Self::new(STANDARD.encode(&*key.0))
    }
}

/// What the database keeps under a domain and a selector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    pub algorithm: AlgorithmName,
    pub private: PrivateKey,
    /// Seconds since 1970, as every time here.
    pub created: u64,
    /// Since when DNS is known to have the record; `None` while it has not been seen there, or once
    /// it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<u64>,
}

/// An algorithm as the database spells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlgorithmName {
    Rsa,
    Ed25519,
}

impl From<AlgorithmName> for Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Rsa => Self::Rsa,
            AlgorithmName::Ed25519 => Self::Ed25519,
        }
    }
}

/// A key with its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedKey {
    pub domain: Domain,
    pub selector: Selector,
    pub record: KeyRecord,
}

impl fmt::Display for NamedKey {
    /// As the log names it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.selector)
    }
}

/// Why something is no key to sign with. Never says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadKey {
    #[error("this is no private key in PKCS#8, PKCS#1 or base64, or it is damaged")]
    Unreadable,
    #[error("this key has a passphrase: remove it first, with openssl pkey -in FILE -out NEW")]
    Encrypted,
    #[error("this is a public key: the private one is needed")]
    Public,
    #[error(
        "this RSA key has {0} bits; receivers want at least {RSA_BITS} (RFC 8301): make a new one \
         with relay dkim add"
    )]
    TooShort(usize),
    #[error("this RSA key has {0} bits, more than the {MOST_BITS} that can be signed with")]
    TooLong(usize),
    #[error("no random numbers from the system")]
    Random,
}

/// ring signs with keys of up to this size; their records would not fit into a DNS answer either.
const MOST_BITS: usize = 4096;

impl PrivateKey {
    /// Makes a key. An RSA key takes tenths of a second.
    pub fn generate(algorithm: Algorithm) -> Result<Self, BadKey> {
        match algorithm {
            Algorithm::Rsa => {
                let key =
                    rsa::PrivateKey::new(&mut SysRng, RSA_BITS).map_err(|_| BadKey::Random)?;
                Self::from_rsa(&key)
            }
            Algorithm::Ed25519 => {
                let mut seed = Zeroizing::new([0; 32]);
                getrandom::fill(seed.as_mut()).map_err(|_| BadKey::Random)?;
                Ok(Self::from_seed(&seed))
            }
        }
    }

    /// An RSA key, whatever file it came in.
    pub fn from_rsa(key: &rsa::PrivateKey) -> Result<Self, BadKey> {
        let der = key.to_pkcs8_der().map_err(|_| BadKey::Unreadable)?;
        Ok(Self(Zeroizing::new(der.as_bytes().to_vec())))
    }

    /// An Ed25519 key from its 32 bytes, in the form of RFC 8410 section 7.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        const BEFORE: [u8; 16] =
            [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
        Self(Zeroizing::new([BEFORE.as_slice(), seed].concat()))
    }

    /// The key as a PEM file, for programs that sign elsewhere.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let base64 = Zeroizing::new(STANDARD.encode(&*self.0));
        let mut pem = Zeroizing::new(String::with_capacity(base64.len() * 2));
        pem.push_str("-----BEGIN PRIVATE KEY-----\n");
        for (position, letter) in base64.chars().enumerate() {
            if position > 0 && position % 64 == 0 {
                pem.push('\n');
            }
            pem.push(letter);
        }
        pem.push_str("\n-----END PRIVATE KEY-----\n");
        pem
    }

    /// What p= holds in the record: a SubjectPublicKeyInfo for RSA, which everybody publishes
    /// though RFC 6376 says otherwise (erratum 3017); the bare key for Ed25519 (RFC 8463 section 4).
    pub fn public(&self, algorithm: Algorithm) -> Result<Vec<u8>, BadKey> {
        match algorithm {
            Algorithm::Rsa => {
                let key =
                    rsa::PrivateKey::from_pkcs8_der(&self.0).map_err(|_| BadKey::Unreadable)?;
                let der = key.to_public_key().to_public_key_der();
                Ok(der.map_err(|_| BadKey::Unreadable)?.into_vec())
            }
            Algorithm::Ed25519 => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&self.0);
                Ok(key.map_err(|_| BadKey::Unreadable)?.public_key().as_ref().to_vec())
            }
        }
    }

    /// For whoever signs.
    pub(super) fn pkcs8(&self) -> &[u8] {
        &self.0
    }
}

/// Whether an RSA key of this size can be signed with.
pub fn check_bits(bits: usize) -> Result<(), BadKey> {
    match bits {
        ..RSA_BITS => Err(BadKey::TooShort(bits)),
        RSA_BITS..=MOST_BITS => Ok(()),
        _ => Err(BadKey::TooLong(bits)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_survive_the_database() {
        for (algorithm, name) in
            [(Algorithm::Rsa, AlgorithmName::Rsa), (Algorithm::Ed25519, AlgorithmName::Ed25519)]
        {
            let private = PrivateKey::generate(algorithm).unwrap();
            let record = KeyRecord { algorithm: name, private, created: 7, published: None };
            let json = serde_json::to_string(&record).unwrap();
            let read: KeyRecord = serde_json::from_str(&json).unwrap();
            assert_eq!(read, record);
        }
    }

    #[test]
    fn nothing_prints_a_private_key() {
        let private = PrivateKey::from_seed(&[7; 32]);
        let record = KeyRecord {
            algorithm: AlgorithmName::Ed25519,
            private: private.clone(),
            created: 0,
            published: None,
        };
        assert!(format!("{record:?}").contains("PrivateKey(…)"));
    }

    /// The example of RFC 8463 appendix A.2.
    #[test]
    fn the_public_part_of_the_key_in_rfc_8463() {
        let seed = STANDARD.decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=").unwrap();
        let key = PrivateKey::from_seed(seed.as_slice().try_into().unwrap());
        let public = STANDARD.encode(key.public(Algorithm::Ed25519).unwrap());
        assert_eq!(public, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
    }
}
