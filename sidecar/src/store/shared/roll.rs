//! Comparing all that is here with all that the engine has, without holding either in memory.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::replica::revision;
use super::{Kind, Record, name_of};
use crate::store::{StoreError, UserStore};

/// The keys that the engine has, each with its revision: 16 bytes for one, whatever its length. Two keys in 2^64 look alike.
#[derive(Debug, Default)]
pub struct Roll {
    hasher: RandomState,
    revisions: HashMap<u64, u64>,
}

impl Roll {
    pub fn insert(&mut self, key: &[u8], revision: u64) {
        self.revisions.insert(self.hasher.hash_one(key), revision);
    }

    pub fn len(&self) -> usize {
        self.revisions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty()
    }

    fn revision(&self, key: &[u8]) -> Option<u64> {
        self.revisions.get(&self.hasher.hash_one(key)).copied()
    }
}

/// How a replica differs from the engine.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// What is here and not there, without its value.
    pub strangers: Vec<Record>,
    /// Whether all that is there is here, in the same version.
    pub has_all: bool,
}

impl UserStore {
    /// How many records and marks of removed ones are known: as many as the engine's bucket has.
    pub fn known_revisions(&self, kind: Kind) -> Result<u64, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        self.revisions(kind).len(&txn).map_err(|error| self.failed(error))
    }

    /// Compares what is here with what the engine had at the revision `last`. What came here later is no stranger.
    pub fn compare(&self, kind: Kind, there: &Roll, last: u64) -> Result<Difference, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let (mut strangers, mut same) = (Vec::new(), 0);
        for entry in self.revisions(kind).iter(&txn).map_err(|error| self.failed(error))? {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let here = revision(value).unwrap_or(0);
            match there.revision(key) {
                Some(revision) => same += usize::from(revision == here),
                None if here > last => {}
                None => strangers.push(Record { key: key.to_owned(), value: None, revision: here }),
            }
        }
        Ok(Difference { strangers, has_all: same == there.len() })
    }

    /// Removes what the engine no longer has, unless it changed here meanwhile. Returns the keys of records that were there.
    pub fn forget(&self, kind: Kind, strangers: &[Record]) -> Result<Vec<String>, StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let mut removed = Vec::new();
        for Record { key, revision, .. } in strangers {
            if self.revision_in(&txn, kind, key)? != *revision {
                continue;
            }
            let present = self.records(kind).get(&txn, key).map_err(|error| self.failed(error))?;
            if present.is_some() {
                removed.push(name_of(key));
            }
            self.delete_record(&mut txn, kind, key)?;
            self.revisions(kind).delete(&mut txn, key).map_err(|error| self.failed(error))?;
        }
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(removed)
    }
}
