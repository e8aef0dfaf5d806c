//! How the relay is: one set of figures for the status page, `/api/status`, `relay status`, `relay top` and
//! alerts. Pure; time is an argument.
//!
//! The figures come from the metrics registry and from a memory of the last 24 hours (`ring`). They are computed
//! in `figures` and nowhere else, and judged in `concerns`. What is not known is absent, never a zero.

pub mod concerns;
pub mod figures;
pub mod ring;
pub mod words;

use serde::{Deserialize, Serialize};

pub use concerns::{Concern, ConcernKind, Flow};

use crate::fleet::standing::Standing;

/// The name of the last of the senders: all who are not counted by name. No user can have it, because of the blank.
pub const ALL_OTHERS: &str = "all others";

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// When this was true, in seconds since 1970.
    pub time: u64,
    /// Seconds since the sidecar started. Nothing here goes back further.
    pub uptime: u64,
    /// Does mail flow?
    pub flow: Flow,
    /// Why not, or what an operator should look at; the worst first.
    pub concerns: Vec<Concern>,
    pub postfix: Postfix,
    /// In the order of a message's way.
    pub queues: Vec<Queue>,
    pub last_hour: Period,
    pub last_day: Period,
    /// Who sent most, most first.
    pub senders: Vec<Sender>,
    pub users: Option<u64>,
    /// Missing until all users have been looked at.
    pub suspended: Option<u64>,
    pub suspended_users: Vec<String>,
    /// Addresses that guessed too many passwords.
    pub blocked_addresses: u64,
    pub certificates: Vec<Certificate>,
    pub volumes: Vec<Volume>,
    pub hashing: Hashing,
    /// Missing without `DOCTOR_DAILY`, and before its first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkup: Option<Checkup>,
    /// Missing without `FLEET_URL`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fleet: Option<Standing>,
    /// Of the sidecar.
    pub version: String,
    pub plots: Vec<Plot>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Postfix {
    /// `None` if it was never heard of.
    pub up: Option<bool>,
    /// How old all that Postfix's container tells is, in seconds: queue, deliveries, certificates.
    pub age: Option<u64>,
    pub version: Option<String>,
    /// Deliveries that happened while nobody counted.
    pub uncounted: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub name: String,
    pub messages: u64,
    pub bytes: Option<u64>,
    /// Seconds.
    pub oldest: Option<u64>,
}

/// What happened in a stretch of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// Seconds, fewer than the name says after a start.
    pub seconds: u64,
    pub accepted: u64,
    pub recipients: u64,
    /// Deliveries are told by Postfix's container: this and the next three are `None` if it was never heard of.
    pub sent: Option<u64>,
    pub deferred: Option<u64>,
    pub bounced: Option<u64>,
    pub expired: Option<u64>,
    /// Requests without a decision: the database was in trouble, or there were too many at once.
    pub trouble: u64,
    /// By reason, most first.
    pub refused: Vec<Count>,
    pub logins_refused: Vec<Count>,
    /// Why mail was deferred.
    pub deferrals: Vec<Count>,
}

impl Period {
    /// What came back for good.
    pub fn returned(&self) -> Option<u64> {
        Some(self.bounced? + self.expired?)
    }

    /// Everything that was refused.
    pub fn refusals(&self) -> u64 {
        self.refused.iter().chain(&self.logins_refused).map(|count| count.number).sum()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Count {
    /// A label value of the metrics.
    pub what: String,
    pub number: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sender {
    pub user: String,
    pub messages_hour: u64,
    pub messages_day: u64,
    pub recipients_day: u64,
    pub limits: Vec<LimitUse>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitUse {
    /// As in RATE_LIMIT_USER, such as `500/day`.
    pub limit: String,
    pub used: u64,
    pub most: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// Who is shown it: clients (`server`) or the next hop (`client`).
    pub role: String,
    /// Seconds since 1970.
    pub expires: u64,
    /// Whether there is a newer one that cannot be used.
    pub renewal_failed: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Volume {
    /// What is on it: the `queue` or the `users`.
    pub name: String,
    pub size: u64,
    pub free: u64,
    /// How many files there can be, and how many more; missing where there is no bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inodes_free: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Hashing {
    pub threads: u64,
    pub busy: u64,
    pub waiting: u64,
}

/// What the daily run of `relay doctor` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Checkup {
    /// When it looked, in seconds since 1970.
    pub time: u64,
    /// `None` if too little could be looked at.
    pub can_mail_arrive: Option<bool>,
    pub advice: Vec<Advice>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// Mail is refused for it; otherwise it could be better.
    pub is_serious: bool,
    pub found: String,
    /// What to do; may be empty.
    pub remedy: String,
}

/// A curve of the last 24 hours.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plot {
    pub name: String,
    /// When each point was true, in seconds since 1970, and its value. A step that nobody measured is missing.
    pub points: Vec<(u64, u64)>,
}

impl Status {
    /// The same for people who may know how the relay is, and not who uses it.
    #[must_use]
    pub fn without_names(mut self) -> Self {
        let named = self.senders.iter_mut().filter(|sender| sender.user != ALL_OTHERS);
        for (number, sender) in named.enumerate() {
            sender.user = format!("user {}", number + 1);
        }
        self.suspended_users.clear();
        self.fleet = self.fleet.map(Standing::without_names);
        if let Some(checkup) = &mut self.checkup {
            // Senders' domains are in it.
            checkup.advice.clear();
        }
        self
    }
}
