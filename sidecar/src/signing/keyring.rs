//! The keys that sign, as the database has them now, ready for use.
//!
//! Reading a key and preparing it takes longer than signing with Ed25519, so prepared keys are kept
//! by the fingerprint of their record: a change takes effect with the next message.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::dkim::choice::{KeyFacts, Outcome, Rules, domains, in_use, still_to_sign};
use crate::dkim::key::{BadKey, NamedKey};
use crate::dkim::present::PresentSignatures;
use crate::dkim::signer::Signer;
use crate::store::{Fingerprint, KeyChangeError, StoreError, UserStore};
use thiserror::Error;

/// A key that can sign.
#[derive(Debug)]
pub struct ReadyKey {
    pub domain: String,
    pub selector: String,
    pub facts: KeyFacts,
    pub signer: Signer,
}

/// Why nobody knows whether a message is to be signed.
#[derive(Debug, Error)]
pub enum KeyTrouble {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the DKIM key {0}: {1}")]
    Unusable(String, BadKey),
}

/// Handles share the prepared keys.
#[derive(Debug, Clone)]
pub struct Keyring {
    store: UserStore,
    rules: Rules,
    /// By domain. A key that was removed is dropped with the next message of its domain.
    ready: Arc<RwLock<HashMap<String, Prepared>>>,
}

/// The keys of a domain as they were when they were prepared.
#[derive(Debug)]
struct Prepared {
    selectors: Vec<(String, Fingerprint)>,
    keys: Vec<Arc<ReadyKey>>,
}

impl Keyring {
    pub fn new(store: UserStore, rules: Rules) -> Self {
        Self { store, rules, ready: Arc::default() }
    }

    pub fn rules(&self) -> Rules {
        self.rules
    }

    /// Whether there is no key for anybody, so that no message needs a signature.
    pub fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.store.dkim_count()? == 0)
    }

    /// The keys that have to sign a message of this author.
    ///
    /// # Errors
    ///
    /// When the database or a key in it cannot be read.
    pub fn choose(
        &self,
        author: Option<&str>,
        present: &PresentSignatures,
    ) -> Result<Result<Vec<Arc<ReadyKey>>, Outcome>, KeyTrouble> {
        let mut why = Outcome::NoKey;
        let domains = match domains(self.rules, author, present) {
            Ok(domains) => domains,
            Err(outcome) => return Ok(Err(outcome)),
        };
        for domain in domains {
            let keys = self.keys_of(domain)?;
            let facts: Vec<KeyFacts> = keys.iter().map(|key| key.facts).collect();
            let in_use = in_use(self.rules, &facts);
            if !in_use.is_empty() {
                if !still_to_sign(self.rules, domain, present) {
                    return Ok(Err(Outcome::AlreadySigned));
                }
                let chosen = in_use.into_iter().filter_map(|position| keys.get(position).cloned());
                return Ok(Ok(chosen.collect()));
            }
            if !keys.is_empty() {
                why = Outcome::WaitingForDns;
            }
        }
        Ok(Err(why))
    }

    fn keys_of(&self, domain: &str) -> Result<Vec<Arc<ReadyKey>>, KeyTrouble> {
        let selectors = self.store.dkim_selectors(domain)?;
        {
            let ready = self.ready.read().unwrap_or_else(PoisonError::into_inner);
            match ready.get(domain) {
                Some(prepared) if prepared.selectors == selectors => {
                    return Ok(prepared.keys.clone());
                }
                None if selectors.is_empty() => return Ok(Vec::new()),
                _ => {}
            }
        }
        let keys: Vec<Arc<ReadyKey>> = selectors
            .iter()
            .map(|(selector, _)| self.prepare(domain, selector).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let mut ready = self.ready.write().unwrap_or_else(PoisonError::into_inner);
        if keys.is_empty() {
            ready.remove(domain);
        } else {
            ready.insert(domain.to_owned(), Prepared { selectors, keys: keys.clone() });
        }
        Ok(keys)
    }

    /// Reads a key. Should its record have changed since its fingerprint was taken, the next message
    /// prepares it once more.
    fn prepare(&self, domain: &str, selector: &str) -> Result<ReadyKey, KeyTrouble> {
        let damaged = || StoreError::DamagedKey(format!("{domain}/{selector}"));
        let names = (domain.parse(), selector.parse());
        let (Ok(domain_name), Ok(selector_name)) = names else { return Err(damaged().into()) };
        let key = self.store.dkim_key(&domain_name, &selector_name);
        let NamedKey { record, .. } = key.map_err(|error| match error {
            KeyChangeError::Store(error) => error,
            // Removed this very moment: the client comes again, and finds it gone.
            KeyChangeError::Unknown(..) | KeyChangeError::Exists(..) => damaged(),
        })?;
        let algorithm = record.algorithm.into();
        let signer = Signer::new(&record.private, algorithm);
        let name = || format!("{domain}/{selector}");
        let signer = signer.map_err(|error| KeyTrouble::Unusable(name(), error))?;
        let facts = KeyFacts { algorithm, created: record.created, published: record.published };
        Ok(ReadyKey { domain: domain.to_owned(), selector: selector.to_owned(), facts, signer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dkim::key::{AlgorithmName, KeyRecord, PrivateKey};

    const RULES: Rules = Rules { require_dns: true, resign: false, fail_open: false };

    fn key(domain: &str, selector: &str, created: u64) -> NamedKey {
        let record = KeyRecord {
            algorithm: AlgorithmName::Ed25519,
            private: PrivateKey::from_seed(&[1; 32]),
            created,
            published: None,
        };
        NamedKey { domain: domain.parse().unwrap(), selector: selector.parse().unwrap(), record }
    }

    fn chosen(ring: &Keyring, author: &str) -> Result<Vec<String>, Outcome> {
        let chosen = ring.choose(Some(author), &PresentSignatures::default()).unwrap()?;
        Ok(chosen.iter().map(|key| format!("{}/{}", key.domain, key.selector)).collect())
    }

    #[test]
    fn a_key_signs_once_dns_has_it_and_a_parents_until_then() {
        let folder = tempfile::tempdir().unwrap();
        let store = UserStore::open(folder.path()).unwrap();
        let ring = Keyring::new(store.clone(), RULES);
        assert!(ring.is_empty().unwrap());
        let [parent, child] = [key("example.org", "s1", 1), key("a.example.org", "s1", 1)];
        store.add_dkim_keys(&[parent.clone(), child.clone()]).unwrap();
        assert!(!ring.is_empty().unwrap());
        assert_eq!(chosen(&ring, "a.example.org"), Err(Outcome::WaitingForDns));
        assert_eq!(chosen(&ring, "other.test"), Err(Outcome::NoKey));
        store.set_published(&parent.domain, &parent.selector, Some(5)).unwrap();
        assert_eq!(chosen(&ring, "a.example.org").unwrap(), ["example.org/s1"]);
        store.set_published(&child.domain, &child.selector, Some(6)).unwrap();
        assert_eq!(chosen(&ring, "a.example.org").unwrap(), ["a.example.org/s1"]);
        // The next key takes over when DNS has it, and the old one when it is gone again.
        let next = key("a.example.org", "s2", 2);
        store.add_dkim_keys(std::slice::from_ref(&next)).unwrap();
        assert_eq!(chosen(&ring, "a.example.org").unwrap(), ["a.example.org/s1"]);
        store.set_published(&next.domain, &next.selector, Some(7)).unwrap();
        assert_eq!(chosen(&ring, "a.example.org").unwrap(), ["a.example.org/s2"]);
        store.remove_dkim_key(&next.domain, &next.selector).unwrap();
        assert_eq!(chosen(&ring, "a.example.org").unwrap(), ["a.example.org/s1"]);
    }
}
