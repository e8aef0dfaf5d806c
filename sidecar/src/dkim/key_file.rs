//! Files that private keys come in: PEM with PKCS#8 or PKCS#1 inside, and the bare base64 that
//! dkimpy and rspamd write for Ed25519. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::Ed25519KeyPair;
use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::DecodePrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use zeroize::Zeroizing;

use super::key::{AlgorithmName, BadKey, KeyRecord, PrivateKey, check_bits};
use super::signer::Signer;

/// Longest file that is read; an RSA key of 4096 bits has three kilobytes.
pub const MAX_FILE: usize = 64 * 1024;

/// A key, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parsed {
    pub algorithm: AlgorithmName,
    pub private: PrivateKey,
}

impl Parsed {
    pub fn into_record(self, created: u64) -> KeyRecord {
        KeyRecord { algorithm: self.algorithm, private: self.private, created, published: None }
    }
}

/// Reads a key file.
///
/// # Errors
///
/// Says what is wrong with it, and nothing of what is in it.
pub fn parse(file: &[u8]) -> Result<Parsed, BadKey> {
    if file.len() > MAX_FILE {
        return Err(BadKey::Unreadable);
    }
    let text = std::str::from_utf8(file).map_err(|_| BadKey::Unreadable)?;
    let Some((label, base64)) = pem(text) else { return bare(text) };
    if label.contains("PUBLIC") {
        return Err(BadKey::Public);
    }
    if label.contains("ENCRYPTED") || text.contains("ENCRYPTED") {
        return Err(BadKey::Encrypted);
    }
    let der = decode(base64).ok_or(BadKey::Unreadable)?;
    let rsa = match label {
        "RSA PRIVATE KEY" => rsa::PrivateKey::from_pkcs1_der(&der),
        "PRIVATE KEY" => match ed25519_seed(&der) {
            Some(seed) => return Ok(ed25519(seed)),
            None => {
                return from_rsa(
                    &rsa::PrivateKey::from_pkcs8_der(&der).map_err(|_| BadKey::Unreadable)?,
                );
            }
        },
        _ => return Err(BadKey::Unreadable),
    };
    from_rsa(&rsa.map_err(|_| BadKey::Unreadable)?)
}

fn from_rsa(key: &rsa::PrivateKey) -> Result<Parsed, BadKey> {
    check_bits(usize::try_from(key.n().bit_width()).unwrap_or(usize::MAX))?;
    let parsed = Parsed { algorithm: AlgorithmName::Rsa, private: PrivateKey::from_rsa(key)? };
    // What cannot sign is found now, and not with the first message.
    Signer::new(&parsed.private, parsed.algorithm.into())?;
    Ok(parsed)
}

fn ed25519(seed: &[u8; 32]) -> Parsed {
    Parsed { algorithm: AlgorithmName::Ed25519, private: PrivateKey::from_seed(seed) }
}

/// The first block of a PEM file: its label, and what is between its lines.
fn pem(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (inside, _) = rest.split_once("-----END ")?;
    Some((label, inside))
}

/// The 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410 section 7), with or without its public part.
fn ed25519_seed(der: &[u8]) -> Option<&[u8; 32]> {
    Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).ok()?;
    // ring has checked the structure, in which an octet string holds the octet string of the key.
    let start = der.windows(4).position(|bytes| bytes == [4, 0x22, 4, 0x20])?;
    der.get(start + 4..)?.first_chunk()
}

/// dkimpy writes the 32 bytes of an Ed25519 key, rspamd these or all 64 of libsodium's form, whose
/// second half is the public part.
fn bare(text: &str) -> Result<Parsed, BadKey> {
    let bytes = decode(text).ok_or(BadKey::Unreadable)?;
    let seed = bytes.first_chunk::<32>().ok_or(BadKey::Unreadable)?;
    match bytes.get(32..) {
        Some([]) => Ok(ed25519(seed)),
        Some(public) if public.len() == 32 => {
            Ed25519KeyPair::from_seed_and_public_key(seed, public)
                .map_err(|_| BadKey::Unreadable)?;
            Ok(ed25519(seed))
        }
        _ => Err(BadKey::Unreadable),
    }
}

/// Base64 with line breaks and blanks anywhere.
fn decode(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let mut packed = Zeroizing::new(Vec::with_capacity(text.len()));
    packed.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    STANDARD.decode(&*packed).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests;
