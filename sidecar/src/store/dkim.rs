//! DKIM keys, under their domain and selector.

use std::ops::Bound;

use thiserror::Error;
use zeroize::Zeroizing;

use super::records::{self, encode};
use super::shared::Kind;
use super::{StoreError, UserStore};
use crate::dkim::key::{KeyRecord, NamedKey};
use crate::dkim::names::{Domain, Selector};

/// A change was not made, because of what the database holds.
#[derive(Debug, Error)]
pub enum KeyChangeError {
    #[error("{0} already has a key with the selector {1}")]
    Exists(Domain, Selector),
    #[error("{0} has no key with the selector {1}; relay dkim list shows all keys")]
    Unknown(Domain, Selector),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Tells one version of a record from another without reading it.
pub type Fingerprint = [u8; records::CHECKSUM_LENGTH];

/// A key as it is listed: its name, and the record where it can be read.
#[derive(Debug)]
pub struct ListedKey {
    pub domain: Domain,
    pub selector: Selector,
    pub record: Result<KeyRecord, StoreError>,
}

fn damaged(key: &[u8]) -> StoreError {
    StoreError::DamagedKey(String::from_utf8_lossy(key).replace(SEPARATOR, "/"))
}

/// A key's record; its error names the key and not a user.
fn decode(key: &[u8], value: &[u8]) -> Result<KeyRecord, StoreError> {
    records::decode(key, value).map_err(|error| match error {
        StoreError::Damaged(_) => damaged(key),
        StoreError::Newer { version, .. } => StoreError::NewerKey(version),
        other => other,
    })
}

/// Neither a domain nor a selector has this byte.
const SEPARATOR: char = '\0';

fn database_key(domain: &Domain, selector: &Selector) -> String {
    format!("{domain}{SEPARATOR}{selector}")
}

impl UserStore {
    /// How many keys there are, for all domains together.
    pub fn dkim_count(&self) -> Result<u64, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        self.dkim.len(&txn).map_err(|error| self.failed(error))
    }

    /// Reads every key.
    pub fn dkim_keys(&self) -> Result<Vec<ListedKey>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let entries = self.dkim.iter(&txn).map_err(|error| self.failed(error))?;
        let mut keys = Vec::new();
        for entry in entries {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let text = String::from_utf8_lossy(key);
            let name = text.split_once(SEPARATOR).and_then(|(domain, selector)| {
                Some((domain.parse().ok()?, selector.parse().ok()?))
            });
            let Some((domain, selector)) = name else {
                return Err(damaged(key));
            };
            keys.push(ListedKey { domain, selector, record: decode(key, value) });
        }
        Ok(keys)
    }

    /// The selectors of a domain's keys, each with the fingerprint of its record: what somebody who
    /// has read the records before needs to see that they are still the same.
    pub fn dkim_selectors(&self, domain: &str) -> Result<Vec<(String, Fingerprint)>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let start = format!("{domain}{SEPARATOR}");
        let range = (Bound::Included(start.as_bytes()), Bound::Unbounded);
        let entries = self.dkim.range(&txn, &range).map_err(|error| self.failed(error))?;
        let mut found = Vec::new();
        for entry in entries {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let Some(selector) = key.strip_prefix(start.as_bytes()) else { break };
            let fingerprint = records::fingerprint(value).ok_or_else(|| damaged(key))?;
            found.push((String::from_utf8_lossy(selector).into_owned(), fingerprint));
        }
        Ok(found)
    }

    /// Reads one key.
    pub fn dkim_key(
        &self,
        domain: &Domain,
        selector: &Selector,
    ) -> Result<NamedKey, KeyChangeError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let key = database_key(domain, selector);
        let value = self.dkim.get(&txn, key.as_bytes()).map_err(|error| self.failed(error))?;
        let value =
            value.ok_or_else(|| KeyChangeError::Unknown(domain.clone(), selector.clone()))?;
        let record = decode(key.as_bytes(), value)?;
        Ok(NamedKey { domain: domain.clone(), selector: selector.clone(), record })
    }

    /// Adds keys, all of them or none.
    pub fn add_dkim_keys(&self, keys: &[NamedKey]) -> Result<(), KeyChangeError> {
        let names: Vec<String> =
            keys.iter().map(|key| database_key(&key.domain, &key.selector)).collect();
        let names: Vec<&[u8]> = names.iter().map(String::as_bytes).collect();
        self.change(Kind::Dkim, &names, |txn| {
            let edit = |NamedKey { domain, selector, record }: &NamedKey| {
                let key = database_key(domain, selector).into_bytes();
                if self.dkim.get(txn, &key).map_err(|error| self.failed(error))?.is_some() {
                    return Err(KeyChangeError::Exists(domain.clone(), selector.clone()));
                }
                let value = Zeroizing::new(encode(&key, record)?);
                Ok((key, Some(value)))
            };
            Ok(((), keys.iter().map(edit).collect::<Result<Vec<_>, _>>()?))
        })
    }

    /// Notes since when DNS has a key's record, or that it has it no more.
    pub fn set_published(
        &self,
        domain: &Domain,
        selector: &Selector,
        published: Option<u64>,
    ) -> Result<(), KeyChangeError> {
        let key = database_key(domain, selector).into_bytes();
        self.change(Kind::Dkim, &[&key], |txn| {
            let value = self.dkim.get(txn, &key).map_err(|error| self.failed(error))?;
            let unknown = || KeyChangeError::Unknown(domain.clone(), selector.clone());
            let record = KeyRecord { published, ..decode(&key, value.ok_or_else(unknown)?)? };
            let value = Zeroizing::new(encode(&key, &record)?);
            Ok(((), vec![(key.clone(), Some(value))]))
        })
    }

    /// Removes a key, even one whose record is damaged.
    pub fn remove_dkim_key(
        &self,
        domain: &Domain,
        selector: &Selector,
    ) -> Result<(), KeyChangeError> {
        let key = database_key(domain, selector).into_bytes();
        self.change(Kind::Dkim, &[&key], |txn| {
            match self.dkim.get(txn, &key).map_err(|error| self.failed(error))? {
                Some(_) => Ok(((), vec![(key.clone(), None)])),
                None => Err(KeyChangeError::Unknown(domain.clone(), selector.clone())),
            }
        })
    }
}
