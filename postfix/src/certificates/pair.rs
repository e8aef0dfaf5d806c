//! A certificate chain with its private key: reads and checks the pair, and prints what clients can
//! compare it with.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest;
use rustls::crypto::ring::sign;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::validity::{self, Validity};

/// Why a certificate and a key cannot be used together. The text follows the file's name, as in
/// `TLS_CERT=/certs/cert.pem: `.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error("{0}")]
    Certificate(FileFault),
    #[error("{0}")]
    Key(FileFault),
    #[error("this file is the private key and the other one the certificate; swap the two")]
    Swapped,
    #[error(
        "this key does not match the certificate; use the key that the certificate was issued for"
    )]
    Mismatch,
}

impl PairError {
    /// Whether the file at fault is the key; otherwise it is the certificate.
    pub fn concerns_key(&self) -> bool {
        match self {
            Self::Key(_) | Self::Mismatch => true,
            Self::Certificate(_) | Self::Swapped => false,
        }
    }
}

/// Why one file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    #[error("cannot read this file: {0}")]
    Unreadable(#[from] io::Error),
    #[error(
        "there is no certificate in this file; it must be PEM, with -----BEGIN CERTIFICATE-----"
    )]
    NoCertificate,
    #[error("the certificate in this file is damaged")]
    DamagedCertificate,
    #[error(
        "there is no private key in this file; it must be PEM, with -----BEGIN PRIVATE KEY-----"
    )]
    NoKey,
    #[error("the key is encrypted, and there is nobody to type its passphrase; store it decrypted")]
    EncryptedKey,
    #[error(
        "the key cannot be used; it must be RSA (2048 to 8192 bits), ECDSA P-256 or P-384, or Ed25519"
    )]
    UnusableKey,
}

/// A certificate chain and the key that belongs to it.
pub struct Pair {
    chain: Vec<CertificateDer<'static>>,
    key: Zeroizing<Vec<u8>>,
    /// The label in the PEM header and footer of the key.
    key_label: &'static str,
    /// SubjectPublicKeyInfo, which stays the same when a certificate is renewed with its key.
    public_key: Vec<u8>,
    pub validity: Validity,
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair").field("validity", &self.validity).finish_non_exhaustive()
    }
}

impl Pair {
    /// Reads certificate and key from files and checks that they match.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, PairError> {
        let certificate =
            fs::read(certificate).map_err(|error| PairError::Certificate(error.into()));
        let key = fs::read(key).map(Zeroizing::new).map_err(|error| PairError::Key(error.into()));
        Self::from_pem(&certificate?, &key?)
    }

    /// Parses certificate and key, which may be in the same file, in any order.
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain = match certificates_in(certificate) {
            Err(FileFault::NoCertificate) if is_swapped(certificate, key) => {
                return Err(PairError::Swapped);
            }
            other => other.map_err(PairError::Certificate)?,
        };
        let key = key_in(key).map_err(PairError::Key)?;
        let unusable = || PairError::Key(FileFault::UnusableKey);
        let damaged = || PairError::Certificate(FileFault::DamagedCertificate);
        let signing_key = sign::any_supported_type(&key).map_err(|_| unusable())?;
        let public_key = signing_key.public_key().ok_or_else(unusable)?.to_vec();
        let pair = CertifiedKey::new(chain, signing_key);
        match pair.keys_match() {
            Ok(()) => {}
            Err(rustls::Error::InconsistentKeys(_)) => return Err(PairError::Mismatch),
            Err(_) => return Err(damaged()),
        }
        let first = pair.cert.first().ok_or(PairError::Certificate(FileFault::NoCertificate))?;
        let validity = validity::read(first).ok_or_else(damaged)?;
        let key_label = match &key {
            PrivateKeyDer::Pkcs1(_) => "RSA PRIVATE KEY",
            PrivateKeyDer::Sec1(_) => "EC PRIVATE KEY",
            _ => "PRIVATE KEY",
        };
        let key = Zeroizing::new(key.secret_der().to_vec());
        Ok(Self { chain: pair.cert, key, key_label, public_key, validity })
    }

    /// The pair as one PEM file with the key first, as Postfix's `…_tls_chain_files` requires.
    pub fn to_pem(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(16 * 1024));
        push_pem(&mut text, self.key_label, &self.key);
        for certificate in &self.chain {
            push_pem(&mut text, "CERTIFICATE", certificate);
        }
        text
    }

    /// Whether the other pair has the same chain, and therefore the same key.
    pub fn is(&self, other: &Self) -> bool {
        self.chain == other.chain
    }

    /// Whether a client that connects to this host would accept the names in the certificate.
    pub fn names_host(&self, hostname: &str) -> bool {
        let parsed = self.chain.first().map(ParsedCertificate::try_from);
        let (Some(Ok(certificate)), Ok(name)) = (parsed, ServerName::try_from(hostname)) else {
            return false;
        };
        rustls::client::verify_server_name(&certificate, &name).is_ok()
    }

    /// The SHA-256 fingerprint, as `openssl x509 -fingerprint -sha256` prints it.
    pub fn fingerprint(&self) -> String {
        let first = self.chain.first().map_or(&[][..], |first| first.as_ref());
        let pairs: Vec<String> = sha256(first).iter().map(|byte| format!("{byte:02X}")).collect();
        pairs.join(":")
    }

    /// The pin of the public key (RFC 7469), which curl and many libraries take as `sha256//…`.
    pub fn pin(&self) -> String {
        BASE64.encode(sha256(&self.public_key))
    }

    /// The data of a TLSA record (RFC 6698) for the SHA-256 of this public key: 3 1 1.
    pub fn tlsa(&self) -> String {
        let digest = sha256(&self.public_key);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("3 1 1 {hex}")
    }

    pub fn is_valid_at(&self, now: SystemTime) -> bool {
        self.validity.contains(now)
    }
}

fn sha256(data: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, data).as_ref().to_vec()
}

fn push_pem(text: &mut String, label: &str, der: &[u8]) {
    let encoded = Zeroizing::new(BASE64.encode(der));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = encoded.as_str();
    while let Some((line, after)) = rest.split_at_checked(64) {
        text.push_str(line);
        text.push('\n');
        rest = after;
    }
    if !rest.is_empty() {
        text.push_str(rest);
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
}

/// Reads the certificates in a PEM file: at least one, each of them well-formed.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    certificates_in(&Zeroizing::new(fs::read(path)?))
}

fn certificates_in(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let certificates = certificates.map_err(|_| FileFault::DamagedCertificate)?;
    if certificates.is_empty() {
        return Err(FileFault::NoCertificate);
    }
    for certificate in &certificates {
        ParsedCertificate::try_from(certificate).map_err(|_| FileFault::DamagedCertificate)?;
    }
    Ok(certificates)
}

fn key_in(pem: &[u8]) -> Result<PrivateKeyDer<'static>, FileFault> {
    match PrivateKeyDer::from_pem_slice(pem) {
        Ok(key) => Ok(key),
        Err(_) if pem.windows(9).any(|window| window == b"ENCRYPTED") => {
            Err(FileFault::EncryptedKey)
        }
        Err(pem::Error::NoItemsFound) => Err(FileFault::NoKey),
        Err(_) => Err(FileFault::UnusableKey),
    }
}

fn is_swapped(certificate: &[u8], key: &[u8]) -> bool {
    key_in(certificate).is_ok() && certificates_in(key).is_ok()
}

#[cfg(test)]
mod tests;
