//! How Postfix is: learnt from its log and from the certificates, told in the report.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// What others find out, and the report tells.
#[derive(Debug, Clone, Default)]
pub struct Facts(Arc<Mutex<Known>>);

/// A copy of it.
#[derive(Debug, Clone, Default)]
pub struct Known {
    pub version: Option<String>,
    pub certificates: Vec<(&'static str, SystemTime)>,
}

impl Facts {
    /// Postfix has started, and is this version.
    pub fn started(&self, version: &str) {
        self.lock().version = Some(version.to_owned());
    }

    /// What each certificate in use is for, and when it expires.
    pub fn certificates(&self, certificates: Vec<(&'static str, SystemTime)>) {
        self.lock().certificates = certificates;
    }

    /// All that is known by now.
    pub fn known(&self) -> Known {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
