//! A change of users or keys: here alone, or by way of the engine.

use heed::RoTxn;
use zeroize::Zeroizing;

use super::{Change, Engine, EngineError, Kind, Record};
use crate::store::{StoreError, UserStore};

/// A record that is to be written, or removed where it has no value.
pub type Edit = (Vec<u8>, Option<Zeroizing<Vec<u8>>>);

impl UserStore {
    /// Lets `edit` say what is to be written, and writes it, all of it or nothing.
    ///
    /// In a fleet the newest versions of `keys` are asked for first, so that an edit begins with what the fleet has; and
    /// whoever else changes one of them meanwhile makes this fail. There, several records are written one by one.
    pub(in crate::store) fn change<R, E: From<StoreError>>(
        &self,
        kind: Kind,
        keys: &[&[u8]],
        edit: impl FnOnce(&RoTxn<'_>) -> Result<(R, Vec<Edit>), E>,
    ) -> Result<R, E> {
        let Some(engine) = &self.engine else { return self.change_here(kind, edit) };
        if self.position(Kind::Users)?.is_none() {
            return Err(StoreError::NotInFleet.into());
        }
        for key in keys {
            if let Some(record) = engine.newest(kind, key).map_err(StoreError::from)? {
                self.apply(kind, &[record], None)?;
            }
        }
        let txn = self.env.read_txn().map_err(|error| self.failed(error))?;
        let (result, edits) = edit(&txn)?;
        let change = |(key, value): Edit| {
            let expected = self.revision_in(&txn, kind, &key)?;
            Ok(Change { kind, key, value, expected })
        };
        let changes = edits.into_iter().map(change).collect::<Result<Vec<_>, StoreError>>()?;
        drop(txn);
        self.change_in_fleet(engine.as_ref(), changes)?;
        Ok(result)
    }

    fn change_here<R, E: From<StoreError>>(
        &self,
        kind: Kind,
        edit: impl FnOnce(&RoTxn<'_>) -> Result<(R, Vec<Edit>), E>,
    ) -> Result<R, E> {
        let mut txn = self.env.write_txn().map_err(|error| self.failed(error))?;
        self.refuse_if_replica(&txn)?;
        let (result, edits) = edit(&txn)?;
        for (key, value) in edits {
            match value {
                Some(value) => self.put_record(&mut txn, kind, &key, &value)?,
                None => self.delete_record(&mut txn, kind, &key)?,
            }
        }
        txn.commit().map_err(|error| self.failed(error))?;
        Ok(result)
    }

    /// # Errors
    ///
    /// When this is a replica and nobody said where its engine is.
    pub(in crate::store) fn refuse_if_replica(&self, txn: &RoTxn<'_>) -> Result<(), StoreError> {
        match self.position_in(txn, Kind::Users)? {
            Some(_) => Err(StoreError::InFleet),
            None => Ok(()),
        }
    }

    /// Writes to the engine, and what it took here. The first thing that went wrong is the error.
    fn change_in_fleet(&self, engine: &dyn Engine, changes: Vec<Change>) -> Result<(), StoreError> {
        let results = engine.write(&changes);
        let mut failed = None;
        for (Change { kind, key, value, .. }, result) in changes.into_iter().zip(results) {
            match result {
                Ok(revision) => drop(self.apply(kind, &[Record { key, value, revision }], None)?),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(()), |error: EngineError| Err(error.into()))
    }
}
