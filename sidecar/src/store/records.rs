//! A record as LMDB holds it: one byte of format version, a checksum, and the value as JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use super::StoreError;

/// The format that is written. 2 knows a user's `id` and which passwords cannot be guessed; 1 is
/// the first release's, and is read as records that lack them.
const VERSION: u8 = 2;
const OLDEST_VERSION: u8 = 1;
pub const CHECKSUM_LENGTH: usize = 16;

pub fn encode(key: &[u8], record: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    // It may hold a private key.
    let json = Zeroizing::new(serde_json::to_vec(record).map_err(std::io::Error::from)?);
    let mut value = Vec::with_capacity(1 + CHECKSUM_LENGTH + json.len());
    value.push(VERSION);
    value.extend_from_slice(&checksum(key, &json));
    value.extend_from_slice(&json);
    Ok(value)
}

/// # Errors
///
/// When the record is damaged or newer than this program. A record that only looks readable is
/// never returned.
pub fn decode<T: DeserializeOwned>(key: &[u8], value: &[u8]) -> Result<T, StoreError> {
    let damaged = || StoreError::Damaged(String::from_utf8_lossy(key).into_owned());
    let (version, rest) = value.split_first().ok_or_else(damaged)?;
    let (stored, json) = rest.split_at_checked(CHECKSUM_LENGTH).ok_or_else(damaged)?;
    if stored != checksum(key, json) {
        return Err(damaged());
    }
    match *version {
        OLDEST_VERSION..=VERSION => serde_json::from_slice(json).map_err(|_| damaged()),
        0 => Err(damaged()),
        version => {
            Err(StoreError::Newer { user: String::from_utf8_lossy(key).into_owned(), version })
        }
    }
}

/// What stands before the JSON: the version and the checksum, unchecked. It differs whenever the value does.
pub fn head(value: &[u8]) -> Option<&[u8; 1 + CHECKSUM_LENGTH]> {
    value.first_chunk()
}

/// The checksum that a value carries, unchecked: it differs whenever the value does.
pub fn fingerprint(value: &[u8]) -> Option<[u8; CHECKSUM_LENGTH]> {
    head(value)?.last_chunk().copied()
}

/// It covers the key, so that a record cannot turn up under another user's name.
fn checksum(key: &[u8], json: &[u8]) -> [u8; CHECKSUM_LENGTH] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&(key.len() as u64).to_le_bytes()).update(key).update(json);
    let mut sum = [0; CHECKSUM_LENGTH];
    hasher.finalize_xof().fill(&mut sum);
    sum
}
