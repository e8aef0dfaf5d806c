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
    pub certificates: Vec<CertificateState>,
}

/// A certificate in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CertificateState {
    /// Who is shown it: `server` for clients, `client` for the next hop.
    pub role: &'static str,
    pub expires: SystemTime,
    /// Whether there is a newer one that cannot be used.
    pub is_not_renewed: bool,
}

impl Facts {
    /// Postfix has started, and is this version.
    pub fn started(&self, version: &str) {
        self.lock().version = Some(version.to_owned());
    }

    /// The certificates in use.
    pub fn certificates(&self, certificates: Vec<CertificateState>) {
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
