//! The replica: records as they come from the engine, their revisions, and how far it has followed.

use heed::{RoTxn, RwTxn};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Kind, Record, name_of};
use crate::dkim::key::KeyRecord;
use crate::limits::account::AccountKey;
use crate::store::records::decode;
use crate::store::{StoreError, Table, UserStore};
use crate::user_name::UserName;
use crate::users::User;

/// How far this replica has followed one kind of record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// Tells the engine's bucket from another one of the same name: when it was made.
    pub bucket: String,
    /// The last revision that was looked at.
    pub revision: u64,
}

/// What became of records that were to be applied.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Keys of records that changed here.
    pub changed: usize,
    /// Those that do not check, which were not applied.
    pub damaged: Vec<String>,
    /// Those that a newer version wrote. They are kept as they are, and nobody logs in with one.
    pub newer: Vec<String>,
}

impl UserStore {
    /// How far this kind of record has been followed; `None` if this database is no replica.
    pub fn position(&self, kind: Kind) -> Result<Option<Position>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        self.position_in(&txn, kind)
    }

    pub(super) fn position_in(
        &self,
        txn: &RoTxn<'_>,
        kind: Kind,
    ) -> Result<Option<Position>, StoreError> {
        let value = self.fleet.get(txn, kind.name().as_bytes());
        let value = value.map_err(|error| self.failed(error))?;
        // What cannot be read is as if nothing had been followed yet, which costs time only.
        Ok(value.map(|value| {
            let nothing = Position { bucket: String::new(), revision: 0 };
            serde_json::from_slice(value).unwrap_or(nothing)
        }))
    }

    /// Makes this database a replica that has followed so far. At 0 it begins anew: revisions that it had are
    /// forgotten, because the engine may have lost some and given their numbers to others.
    pub fn set_position(&self, kind: Kind, position: &Position) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        if position.revision == 0 {
            let cleared = self.revisions(kind).clear(&mut txn);
            cleared.map_err(|error| self.failed(error))?;
        }
        self.put_position(&mut txn, kind, position)?;
        txn.commit().map_err(|error| self.failed(error))
    }

    fn put_position(
        &self,
        txn: &mut RwTxn<'_>,
        kind: Kind,
        position: &Position,
    ) -> Result<(), StoreError> {
        let json = serde_json::to_vec(position).map_err(std::io::Error::from)?;
        let put = self.fleet.put(txn, kind.name().as_bytes(), &json);
        put.map_err(|error| self.failed(error))
    }

    /// Ends the replica: what is here becomes the local database.
    pub fn leave_fleet(&self) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        for database in [&self.fleet, &self.user_revisions, &self.dkim_revisions] {
            database.clear(&mut txn).map_err(|error| self.failed(error))?;
        }
        txn.commit().map_err(|error| self.failed(error))
    }

    /// Removes all users and keys that are here, and ends the replica. The fleet's stay.
    pub fn discard_records(&self) -> Result<(), StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let databases =
            [&self.users, &self.dkim, &self.fleet, &self.user_revisions, &self.dkim_revisions];
        for database in databases {
            database.clear(&mut txn).map_err(|error| self.failed(error))?;
        }
        txn.commit().map_err(|error| self.failed(error))
    }

    /// Applies records that are newer than those here, in one transaction, and notes the position.
    pub fn apply(
        &self,
        kind: Kind,
        records: &[Record],
        position: Option<&Position>,
    ) -> Result<Applied, StoreError> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        let mut applied = Applied::default();
        for record in records {
            if self.revision_in(&txn, kind, &record.key)? < record.revision {
                self.apply_one(&mut txn, kind, record, &mut applied)?;
            }
        }
        if let Some(position) = position {
            // Somebody ended the replica meanwhile.
            if self.position_in(&txn, kind)?.is_none() {
                return Err(StoreError::NotInFleet);
            }
            self.put_position(&mut txn, kind, position)?;
        }
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(applied)
    }

    fn apply_one(
        &self,
        txn: &mut RwTxn<'_>,
        kind: Kind,
        record: &Record,
        applied: &mut Applied,
    ) -> Result<(), StoreError> {
        let name = || name_of(&record.key);
        // Whatever it is, whoever writes this record next has to know that this one was there.
        let revision = record.revision.to_be_bytes();
        let noted = self.revisions(kind).put(txn, &record.key, &revision);
        noted.map_err(|error| self.failed(error))?;
        match &record.value {
            None => self.delete_record(txn, kind, &record.key)?,
            Some(value) => {
                match check(kind, &record.key, value) {
                    Ok(()) => {}
                    Err(StoreError::Newer { .. }) => applied.newer.push(name()),
                    Err(_) => {
                        applied.damaged.push(name());
                        let mark = damage_mark(kind, &record.key);
                        let marked = self.fleet.put(txn, &mark, name().as_bytes());
                        return marked.map_err(|error| self.failed(error));
                    }
                }
                self.put_record(txn, kind, &record.key, value)?;
                if kind == Kind::Users {
                    self.keep_suspended(txn, &record.key)?;
                }
            }
        }
        let mark = damage_mark(kind, &record.key);
        self.fleet.delete(txn, &mark).map_err(|error| self.failed(error))?;
        applied.changed += 1;
        Ok(())
    }

    /// The names of records that came damaged and were not written again since.
    pub fn damaged_records(&self, kind: Kind) -> Result<Vec<String>, StoreError> {
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let marks = self.fleet.prefix_iter(&txn, &damage_mark(kind, b""));
        let marks = marks.map_err(|error| self.failed(error))?;
        let name = |mark: heed::Result<(&[u8], &[u8])>| {
            let (_, name) = mark.map_err(|error| self.failed(error))?;
            Ok(String::from_utf8_lossy(name).into_owned())
        };
        marks.map(name).collect()
    }

    pub(in crate::store) fn put_record(
        &self,
        txn: &mut RwTxn<'_>,
        kind: Kind,
        key: &[u8],
        value: &[u8],
    ) -> Result<(), StoreError> {
        self.records(kind).put(txn, key, value).map_err(|error| self.failed(error))
    }

    /// Removes a record; of a user what is counted, too.
    pub(super) fn delete_record(
        &self,
        txn: &mut RwTxn<'_>,
        kind: Kind,
        key: &[u8],
    ) -> Result<(), StoreError> {
        self.records(kind).delete(txn, key).map_err(|error| self.failed(error))?;
        let user = (kind == Kind::Users).then(|| std::str::from_utf8(key).ok()).flatten();
        if let Some(name) = user.and_then(|name| UserName::parse(name).ok()) {
            let account = AccountKey::User(name).to_string();
            let deleted = self.accounts.delete(txn, account.as_bytes());
            deleted.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    /// The revision of the record that is here, or of the mark of its removal; 0 if there never was one.
    pub(super) fn revision_in(
        &self,
        txn: &RoTxn<'_>,
        kind: Kind,
        key: &[u8],
    ) -> Result<u64, StoreError> {
        let value = self.revisions(kind).get(txn, key).map_err(|error| self.failed(error))?;
        Ok(value.and_then(revision).unwrap_or(0))
    }

    /// Up to `most` records in the order of their keys, those after `after`, as the engine would have them.
    pub fn records_after(
        &self,
        kind: Kind,
        after: Option<&[u8]>,
        most: usize,
    ) -> Result<Vec<Record>, StoreError> {
        use std::ops::Bound;
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let range = self.records(kind).range(&txn, &(start, Bound::Unbounded));
        let mut found = Vec::new();
        for entry in range.map_err(|error| self.failed(error))?.take(most) {
            let (key, value) = entry.map_err(|error| self.failed(error))?;
            let revision = self.revision_in(&txn, kind, key)?;
            let value = Some(Zeroizing::new(value.to_owned()));
            found.push(Record { key: key.to_owned(), value, revision });
        }
        Ok(found)
    }

    pub(super) fn records(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Users => &self.users,
            Kind::Dkim => &self.dkim,
        }
    }

    pub(super) fn revisions(&self, kind: Kind) -> &Table {
        match kind {
            Kind::Users => &self.user_revisions,
            Kind::Dkim => &self.dkim_revisions,
        }
    }
}

/// The key of what says that a record came damaged.
fn damage_mark(kind: Kind, key: &[u8]) -> Vec<u8> {
    [b"damaged:", kind.name().as_bytes(), b":", key].concat()
}

fn check(kind: Kind, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
    match kind {
        Kind::Users => decode::<User>(key, value).map(drop),
        Kind::Dkim => decode::<KeyRecord>(key, value).map(drop),
    }
}

pub(super) fn revision(value: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*value.first_chunk()?))
}
