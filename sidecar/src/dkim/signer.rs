//! A key that is ready to sign. Pure.

use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use thiserror::Error;

use super::key::{Algorithm, BadKey, PrivateKey};

/// Signs. ring's keys print no secret.
#[derive(Debug)]
pub enum Signer {
    Rsa(Box<RsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

#[derive(Debug, Error)]
#[error("the signature could not be computed; make a new key with relay dkim rotate")]
pub struct SigningError;

impl Signer {
    /// Makes a key ready to sign.
    pub fn new(private: &PrivateKey, algorithm: Algorithm) -> Result<Self, BadKey> {
        let pkcs8 = private.pkcs8();
        match algorithm {
            Algorithm::Rsa => {
                let key = RsaKeyPair::from_pkcs8(pkcs8).map_err(|_| BadKey::Unreadable)?;
                Ok(Self::Rsa(Box::new(key)))
            }
            Algorithm::Ed25519 => {
                let key = Ed25519KeyPair::from_pkcs8_maybe_unchecked(pkcs8);
                Ok(Self::Ed25519(Box::new(key.map_err(|_| BadKey::Unreadable)?)))
            }
        }
    }

    pub fn algorithm(&self) -> Algorithm {
        match self {
            Self::Rsa(_) => Algorithm::Rsa,
            Self::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Signs the header hash's input. Ed25519 signs the hash (RFC 8463 section 3), RSA hashes by
    /// itself.
    pub fn sign(&self, input: &[u8]) -> Result<Vec<u8>, SigningError> {
        match self {
            Self::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                let signed =
                    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature);
                signed.map(|()| signature).map_err(|_| SigningError)
            }
            Self::Ed25519(key) => {
                let hash = ring::digest::digest(&ring::digest::SHA256, input);
                Ok(key.sign(hash.as_ref()).as_ref().to_vec())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_sign() {
        for algorithm in Algorithm::BOTH {
            let private = PrivateKey::generate(algorithm).unwrap();
            let signer = Signer::new(&private, algorithm).unwrap();
            assert_eq!(signer.algorithm(), algorithm);
            assert!(signer.sign(b"input").unwrap().len() >= 64);
        }
    }

    #[test]
    fn nothing_prints_the_key() {
        let signer = Signer::new(&PrivateKey::from_seed(&[7; 32]), Algorithm::Ed25519).unwrap();
        assert!(!format!("{signer:?}").contains("7, 7"), "{signer:?}");
    }
}
