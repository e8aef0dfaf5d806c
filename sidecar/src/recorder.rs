//! The history of decisions and deliveries, shared by those who write it and those who show it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::now;
use crate::history::{Entry, Excerpt, Filter, History};

/// Clones share one history.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Mutex<History>>);

impl Recorder {
    /// Begins now; `redacted` masks addresses.
    pub fn new(redacted: bool) -> Self {
        Self(Arc::new(Mutex::new(History::new(now(), redacted))))
    }

    pub fn add(&self, entry: Entry) {
        self.lock().add(entry);
    }

    /// The newest entries that match, at most `most`.
    pub fn find(&self, filter: &Filter, most: usize) -> Excerpt {
        self.lock().find(filter, most)
    }

    /// A history is whole whenever it is unlocked.
    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
