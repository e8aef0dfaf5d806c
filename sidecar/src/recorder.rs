//! The history of decisions and deliveries, shared by those who write it and those who show it.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::now;
use crate::history::{Entry, Excerpt, Filter, History, Redaction, Redactor};

/// Clones share one history.
#[derive(Debug, Clone)]
pub struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    history: Mutex<History>,
    redactor: Redactor,
}

impl Recorder {
    /// Begins now.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers for the key of `LOG_REDACT=hash`.
    pub fn new(redaction: Redaction) -> io::Result<Self> {
        let redactor = Redactor::new(redaction)?;
        Ok(Self(Arc::new(Shared { history: Mutex::new(History::new(now())), redactor })))
    }

    pub fn add(&self, entry: Entry) {
        let entry = entry.kept(&self.0.redactor);
        self.lock().add(entry);
    }

    /// Notes when Postfix tries again, in seconds since 1970, by queue id.
    pub fn retries(&self, times: &HashMap<&str, u64>) {
        self.lock().retries(times);
    }

    /// The newest messages that match, at most `most`. Nobody who records has to wait for it.
    pub fn find(&self, filter: &Filter, most: usize) -> Excerpt {
        let snapshot = self.lock().snapshot();
        snapshot.find(&filter.redacted(&self.0.redactor), most)
    }

    /// A history is whole whenever it is unlocked.
    fn lock(&self) -> MutexGuard<'_, History> {
        self.0.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
