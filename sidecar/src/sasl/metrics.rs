//! What is counted of logins.

use std::time::Duration;

use prometheus::{IntCounter, IntGauge};

use super::mechanism::Mechanism;
use super::outcome::AuthResult;
use crate::labels::label_enum;
use crate::metrics::{self, Counters, Durations, Registry};

label_enum! {
    /// The mechanism, or that it is none of ours.
    pub enum MechanismLabel("mechanism") {
        Plain = "PLAIN",
        Login = "LOGIN",
        Other = "other",
    }
}

impl From<Option<Mechanism>> for MechanismLabel {
    fn from(mechanism: Option<Mechanism>) -> Self {
        match mechanism {
            Some(Mechanism::Plain) => Self::Plain,
            Some(Mechanism::Login) => Self::Login,
            None => Self::Other,
        }
    }
}

label_enum! {
    /// Whether a login cost a hash.
    pub enum CacheLookup("result") {
        Hit = "hit",
        Miss = "miss",
    }
}

#[derive(Debug, Clone)]
pub struct AuthMetrics {
    attempts: Counters<(MechanismLabel, AuthResult)>,
    duration: Durations<AuthResult>,
    cache: Counters<CacheLookup>,
    blocked: IntGauge,
    guesses: IntGauge,
    guesses_evicted: IntCounter,
}

impl AuthMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            attempts: registry.counters("relay_auth_attempts_total", "Finished SASL exchanges")?,
            duration: registry.durations(
                "relay_auth_duration_seconds",
                "Time from the last response of a SASL exchange to its answer",
            )?,
            cache: registry.counters(
                "relay_login_cache_lookups_total",
                "Passwords looked for among those verified lately; a miss costs a hash",
            )?,
            blocked: registry.gauge(
                "relay_blocked_addresses",
                "Addresses (IPv6: /64) that have to wait because of LOGIN_FAILURES_ADDRESS",
            )?,
            guesses: registry.gauge(
                "relay_guess_counters",
                "Addresses and user names with wrong passwords on record",
            )?,
            guesses_evicted: registry.counter(
                "relay_guess_counters_evicted_total",
                "Such records dropped to make room for newer ones",
            )?,
        })
    }

    pub fn finished(&self, mechanism: Option<Mechanism>, result: AuthResult, took: Duration) {
        self.attempts.inc((mechanism.into(), result));
        self.duration.observe(result, took);
    }

    pub fn looked_up(&self, lookup: CacheLookup) {
        self.cache.inc(lookup);
    }

    pub fn blocked(&self, addresses: usize) {
        metrics::set(&self.blocked, addresses);
    }

    pub fn guesses(&self, remembered: usize, evicted: u64) {
        metrics::set(&self.guesses, remembered);
        self.guesses_evicted.inc_by(evicted);
    }
}
