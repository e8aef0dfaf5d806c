//! The certificate clients see: the operator's pair, checked, or a self-signed one, made and kept.

mod self_signed;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ring::digest;
use rustls::crypto::ring::sign;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use crate::log;
use crate::settings::{ServerTls, Settings};

/// On a volume, so that clients that pinned the self-signed certificate still know it tomorrow.
const SELF_SIGNED_FOLDER: &str = "/var/lib/relay-tls";

/// Why a certificate and a key cannot be used together. The texts stand behind `TLS_CERT=path: `.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    #[error("{0}")]
    Certificate(FileFault),
    #[error("{0}")]
    Key(FileFault),
    #[error("this is a private key, and TLS_KEY names a certificate; swap the two")]
    Swapped,
    #[error("this key does not belong to the certificate in TLS_CERT; use the two of one issue")]
    Mismatch,
}

impl PairError {
    /// Whether TLS_KEY is the variable to name; otherwise it is TLS_CERT.
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
    #[error("there is no certificate in this file; it must hold -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    #[error("the certificate in this file is damaged")]
    DamagedCertificate,
    #[error("there is no private key in this file; it must hold -----BEGIN PRIVATE KEY-----")]
    NoKey,
    #[error("the key is encrypted, and nobody is there to type its passphrase; decrypt it")]
    EncryptedKey,
    #[error(
        "the key cannot be used; it must be RSA (2048 to 8192 bits), ECDSA P-256 or P-384, or Ed25519"
    )]
    UnusableKey,
}

/// The paths for `smtpd_tls_cert_file` and `smtpd_tls_key_file`.
pub fn paths(tls: &ServerTls) -> Option<(PathBuf, PathBuf)> {
    match tls {
        ServerTls::Off => None,
        ServerTls::SelfSigned => Some(self_signed::paths(Path::new(SELF_SIGNED_FOLDER))),
        ServerTls::Files { certificate, key } => Some((certificate.clone(), key.clone())),
    }
}

/// Makes sure that a certificate is there, and logs what a client can compare it with.
pub fn prepare(settings: &Settings) -> anyhow::Result<()> {
    let certificate = match &settings.tls {
        ServerTls::Off => return Ok(()),
        ServerTls::SelfSigned => {
            self_signed::ensure(Path::new(SELF_SIGNED_FOLDER), &settings.hostname)?
        }
        ServerTls::Files { certificate, key } => load_pair(certificate, key)?,
    };
    if !names_host(&certificate, &settings.hostname) {
        log::warning(format_args!(
            "the certificate in TLS_CERT is not for {}; clients that check will refuse it",
            settings.hostname
        ));
    }
    let kind = match settings.tls {
        ServerTls::SelfSigned => "self-signed certificate",
        ServerTls::Off | ServerTls::Files { .. } => "certificate",
    };
    log::info(format_args!("{kind}, SHA-256 fingerprint {}", fingerprint(&certificate)));
    Ok(())
}

/// The first certificate of a pair that belongs together.
pub fn load_pair(certificate: &Path, key: &Path) -> Result<CertificateDer<'static>, PairError> {
    let chain = match load_certificates(certificate) {
        Err(FileFault::NoCertificate) if is_swapped(certificate, key) => {
            return Err(PairError::Swapped);
        }
        other => other.map_err(PairError::Certificate)?,
    };
    let key = load_key(key).map_err(PairError::Key)?;
    let signing_key =
        sign::any_supported_type(&key).map_err(|_| PairError::Key(FileFault::UnusableKey))?;
    let pair = CertifiedKey::new(chain, signing_key);
    match pair.keys_match() {
        Ok(()) => {}
        Err(rustls::Error::InconsistentKeys(_)) => return Err(PairError::Mismatch),
        Err(_) => return Err(PairError::Certificate(FileFault::DamagedCertificate)),
    }
    let first = pair.cert.into_iter().next();
    first.ok_or(PairError::Certificate(FileFault::NoCertificate))
}

/// Every certificate in a PEM file, at least one, each of them well-formed.
pub fn load_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, FileFault> {
    let bytes = Zeroizing::new(fs::read(path)?);
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let certificates = certificates.map_err(|_| FileFault::DamagedCertificate)?;
    if certificates.is_empty() {
        return Err(FileFault::NoCertificate);
    }
    for certificate in &certificates {
        ParsedCertificate::try_from(certificate).map_err(|_| FileFault::DamagedCertificate)?;
    }
    Ok(certificates)
}

fn load_key(path: &Path) -> Result<PrivateKeyDer<'static>, FileFault> {
    let bytes = Zeroizing::new(fs::read(path)?);
    match PrivateKeyDer::from_pem_slice(&bytes) {
        Ok(key) => Ok(key),
        Err(_) if bytes.windows(9).any(|window| window == b"ENCRYPTED") => {
            Err(FileFault::EncryptedKey)
        }
        Err(pem::Error::NoItemsFound) => Err(FileFault::NoKey),
        Err(_) => Err(FileFault::UnusableKey),
    }
}

fn is_swapped(certificate: &Path, key: &Path) -> bool {
    load_key(certificate).is_ok() && load_certificates(key).is_ok()
}

fn names_host(certificate: &CertificateDer<'_>, hostname: &str) -> bool {
    let (Ok(certificate), Ok(name)) =
        (ParsedCertificate::try_from(certificate), ServerName::try_from(hostname))
    else {
        return false;
    };
    rustls::client::verify_server_name(&certificate, &name).is_ok()
}

/// As `openssl x509 -fingerprint -sha256` writes it.
fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = digest::digest(&digest::SHA256, certificate);
    let pairs: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests;
