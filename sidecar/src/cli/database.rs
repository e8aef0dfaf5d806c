//! The database, for commands.

use std::path::Path;
use std::sync::Arc;

use super::failure::Failure;
use crate::config::{Config, ProcessEnvironment};
use crate::fleet::engine::NatsEngine;
use crate::store::UserStore;

/// To look at what is there.
pub fn open(folder: &Path) -> Result<UserStore, Failure> {
    UserStore::open(folder).map_err(Failure::trouble)
}

/// To change it: in a fleet, by way of the engine, which is called when there is something to change.
pub fn open_to_change(folder: &Path) -> Result<UserStore, Failure> {
    let store = open(folder)?;
    Ok(match Config::fleet(&ProcessEnvironment)? {
        Some(fleet) => store.with_engine(Arc::new(NatsEngine::of_command(fleet))),
        None => store,
    })
}
