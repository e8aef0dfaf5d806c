//! Where every view of the relay gets its figures: the registry, the memory of the last day, the history of
//! decisions and deliveries, and the few things that only the user database has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::clock::now;
use crate::decision::metrics::DecisionMetrics;
use crate::fleet::state::State;
use crate::ledger::Ledger;
use crate::limits::account::AccountKey;
use crate::limits::limit::Limit;
use crate::limits::usage::Usage;
use crate::metrics::{Reading, Registry};
use crate::recorder::Recorder;
use crate::status::figures::{self, Known};
use crate::status::ring::{MINUTE, Ring, Sample};
use crate::status::{Checkup, LimitUse, Status};
use crate::store::UserStore;
use crate::user_name::UserName;

/// Clones share everything.
#[derive(Debug, Clone)]
pub struct Overview {
    registry: Registry,
    store: UserStore,
    ledger: Arc<Ledger>,
    decisions: DecisionMetrics,
    pub history: Recorder,
    ring: Arc<Mutex<Ring>>,
    checkup: Arc<Mutex<Option<Checkup>>>,
    fleet: Arc<OnceLock<State>>,
    started: u64,
}

impl Overview {
    /// Begins to remember with what has been counted by now.
    pub fn new(
        registry: Registry,
        store: UserStore,
        ledger: Arc<Ledger>,
        decisions: DecisionMetrics,
        history: Recorder,
    ) -> Self {
        let started = now();
        // Nothing has been counted yet, and a first reading would have to wait for the database.
        let first = Sample::of(&Reading::default(), started);
        let ring = Arc::new(Mutex::new(Ring::new(first)));
        let (checkup, fleet) = (Arc::default(), Arc::default());
        Self { registry, store, ledger, decisions, history, ring, checkup, fleet, started }
    }

    /// All figures as they are now. Takes about a millisecond, however many users there are.
    pub fn status(&self) -> Status {
        let now = now();
        let reading = self.registry.read();
        let known = Known {
            limits: self.limits(&reading, now),
            suspended_users: self.decisions.suspended.names(),
            fleet: self.fleet.get().map(State::standing),
            started: self.started,
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let checkup = lock(&self.checkup).clone();
        Status { checkup, ..figures::status(&reading, &lock(&self.ring), known, now) }
    }

    /// From now on it is shown how this relay stands in its fleet.
    pub fn set_fleet(&self, state: State) {
        drop(self.fleet.set(state));
    }

    /// What a user used by way of other relays of the fleet: the relay's name, and the counts.
    pub fn used_elsewhere(&self, name: &UserName) -> Vec<(String, Usage)> {
        let Ok(Some(user)) = self.store.user(name) else { return Vec::new() };
        let parts = self.ledger.parts_elsewhere(&AccountKey::User(name.clone()), user.id);
        parts.into_iter().map(|part| (part.node.to_string(), part.usage)).collect()
    }

    /// What a daily run found is shown from now on.
    pub fn set_checkup(&self, checkup: Checkup) {
        *lock(&self.checkup) = Some(checkup);
    }

    /// Remembers a sample a minute until the process stops.
    pub async fn keep(self, stopping: CancellationToken) {
        let mut minute = tokio::time::interval(Duration::from_secs(MINUTE));
        minute.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = minute.tick() => {
                    let sample = Sample::of(&self.registry.read(), now());
                    lock(&self.ring).add(sample);
                }
                () = stopping.cancelled() => return,
            }
        }
    }

    /// What those users have used of their limits who are counted by name.
    fn limits(&self, reading: &Reading, now: u64) -> BTreeMap<String, Vec<LimitUse>> {
        let users = reading.series("relay_user_messages_total").iter();
        let used = users.filter_map(|point| {
            let name = UserName::parse(point.label("user")).ok()?;
            // One that cannot be read is shown without limits; the log has the reason.
            let user = self.store.user(&name).ok()??;
            let used = self.ledger.used(&self.ledger.user(&name, &user), now).ok()?;
            let limits = used.into_iter().map(|(limit, used)| limit_use(&limit, used));
            Some((name.as_str().to_owned(), limits.collect()))
        });
        used.collect()
    }
}

fn limit_use(limit: &Limit, used: u32) -> LimitUse {
    LimitUse { limit: limit.to_string(), used: used.into(), most: limit.most.into() }
}

/// Nothing that is locked here is left half-done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
