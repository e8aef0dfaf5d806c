//! What this relay knows of its place in the fleet, for status, metrics and `relay fleet status`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::standing::Standing;
use crate::clock::now;
use crate::store::shared::Kind;

/// Shared by everybody who takes part.
#[derive(Debug, Clone, Default)]
pub struct State(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    known: Mutex<Known>,
    caught_up: Notify,
}

#[derive(Debug, Default)]
struct Known {
    standing: Standing,
    /// How many records are still to come; a kind that was not heard of yet is missing.
    behind: HashMap<Kind, u64>,
    /// What is here and not in the engine, in words.
    missing: HashMap<Kind, Vec<String>>,
}

impl State {
    pub fn new(node: &str) -> Self {
        let state = Self::default();
        state.lock().standing =
            Standing { node: node.to_owned(), since: now(), ..Standing::default() };
        state
    }

    pub fn standing(&self) -> Standing {
        let known = self.lock();
        let missing = Kind::ALL.iter().filter_map(|kind| known.missing.get(kind)).flatten();
        Standing {
            behind: known.behind.values().sum(),
            missing: missing.cloned().collect(),
            ..known.standing.clone()
        }
    }

    /// Notes whether the engine answers. Returns whether that is news.
    pub fn set_connected(&self, connected: bool) -> bool {
        let mut known = self.lock();
        let is_news = known.standing.connected != connected;
        if is_news {
            known.standing.connected = connected;
            known.standing.since = now();
        }
        is_news
    }

    pub fn set_behind(&self, kind: Kind, behind: u64) {
        self.lock().behind.insert(kind, behind);
        self.0.caught_up.notify_waiters();
    }

    /// Waits until this relay has all that the engine has.
    pub async fn caught_up(&self) {
        loop {
            let changed = self.0.caught_up.notified();
            let has_all = |kind| self.lock().behind.get(kind) == Some(&0);
            if Kind::ALL.iter().all(has_all) {
                return;
            }
            changed.await;
        }
    }

    pub fn set_untold(&self, untold: usize) {
        self.lock().standing.untold = untold as u64;
    }

    pub fn set_missing(&self, kind: Kind, missing: Vec<String>) {
        self.lock().missing.insert(kind, missing);
    }

    /// Returns whether that is news.
    pub fn set_double(&self, has_double: bool) -> bool {
        std::mem::replace(&mut self.lock().standing.has_double, has_double) != has_double
    }

    /// Notes records that did not check or are newer than this program.
    pub fn note(&self, kind: Kind, damaged: &[String], newer: &[String]) {
        let mut known = self.lock();
        for name in damaged {
            tracing::error!(
                record = %name, kind = kind.name(),
                "a record came damaged from the fleet's engine and is not applied: write it again with relay user or \
                 relay dkim"
            );
            known.standing.damaged.insert(name.clone());
        }
        for name in newer {
            tracing::error!(
                record = %name, kind = kind.name(),
                "a newer version of relay wrote this record: it may be narrower than this version can tell, so nobody \
                 logs in with it here; update this relay"
            );
            known.standing.newer.insert(name.clone());
        }
    }

    /// Notes that a record is as it should be.
    pub fn is_well(&self, name: &str) {
        let standing = &mut self.lock().standing;
        if !standing.damaged.is_empty() || !standing.newer.is_empty() {
            standing.damaged.remove(name);
            standing.newer.remove(name);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_relay_has_caught_up_when_nothing_of_any_kind_is_to_come() {
        let state = State::new("a");
        state.set_behind(Kind::Users, 0);
        let waiting = tokio::time::timeout(std::time::Duration::from_millis(10), state.caught_up());
        assert!(waiting.await.is_err(), "nothing is known of keys");
        let later = async {
            state.set_behind(Kind::Dkim, 7);
            assert_eq!(state.standing().behind, 7);
            tokio::task::yield_now().await;
            state.set_behind(Kind::Dkim, 0);
        };
        tokio::join!(state.caught_up(), later);
    }

    #[test]
    fn what_is_missing_of_one_kind_says_nothing_of_the_other() {
        let state = State::new("a");
        state.set_missing(Kind::Users, vec!["user alice".to_owned()]);
        state.set_missing(Kind::Dkim, Vec::new());
        assert_eq!(state.standing().missing, ["user alice"]);
        state.set_missing(Kind::Users, Vec::new());
        assert!(!state.standing().is_apart());
    }
}
