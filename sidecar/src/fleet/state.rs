//! What this relay knows of its place in the fleet, for status, metrics and `relay fleet status`.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::standing::Standing;
use crate::clock::now;
use crate::store::shared::Kind;

/// Shared by everybody who takes part.
#[derive(Debug, Clone)]
pub struct State(Arc<Mutex<Standing>>);

impl State {
    pub fn new(node: &str) -> Self {
        let standing = Standing { node: node.to_owned(), since: now(), ..Standing::default() };
        Self(Arc::new(Mutex::new(standing)))
    }

    pub fn standing(&self) -> Standing {
        self.lock().clone()
    }

    /// Notes whether the engine answers. Returns whether that is news.
    pub fn set_connected(&self, connected: bool) -> bool {
        let mut standing = self.lock();
        let is_news = standing.connected != connected;
        if is_news {
            standing.connected = connected;
            standing.since = now();
        }
        is_news
    }

    pub fn set_behind(&self, behind: u64) {
        self.lock().behind = behind;
    }

    pub fn set_untold(&self, untold: usize) {
        self.lock().untold = untold as u64;
    }

    pub fn set_missing(&self, missing: Vec<String>) {
        self.lock().missing = missing;
    }

    /// Returns whether that is news.
    pub fn set_double(&self, has_double: bool) -> bool {
        std::mem::replace(&mut self.lock().has_double, has_double) != has_double
    }

    /// Notes records that did not check or are newer than this program.
    pub fn note(&self, kind: Kind, damaged: &[String], newer: &[String]) {
        let mut standing = self.lock();
        for name in damaged {
            tracing::error!(
                record = %name, kind = kind.name(),
                "a record came damaged from the fleet's engine and is not applied: write it again with relay user or \
                 relay dkim"
            );
            standing.damaged.insert(name.clone());
        }
        for name in newer {
            tracing::error!(
                record = %name, kind = kind.name(),
                "a newer version of relay wrote this record: it may be narrower than this version can tell, so nobody \
                 logs in with it here; update this relay"
            );
            standing.newer.insert(name.clone());
        }
    }

    /// Notes that a record is as it should be.
    pub fn is_well(&self, name: &str) {
        let mut standing = self.lock();
        if !standing.damaged.is_empty() || !standing.newer.is_empty() {
            standing.damaged.remove(name);
            standing.newer.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Standing> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
