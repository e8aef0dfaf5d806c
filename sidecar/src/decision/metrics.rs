//! What is counted of decisions, and of the messages that they let in.

use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use super::users::{SuspendedUsers, TopUsers};
use crate::access::Reason;
use crate::labels::{Label, label_enum};
use crate::limits::limit::{Limit, Period, Unit};
use crate::metrics::{Counters, Durations, LabelSet, Registry};
use crate::store::UserStore;
use crate::user_name::UserName;

label_enum! {
    /// Who asks for a decision.
    pub enum Asker("service") {
        Policy = "policy",
        Milter = "milter",
    }
}

label_enum! {
    /// What lets a client in: a login, or its network.
    pub enum ClientKind("client") {
        User = "user",
        Network = "network",
    }
}

label_enum! {
    pub enum LimitUnit("unit") {
        Recipients = "recipients",
        Messages = "messages",
    }
}

label_enum! {
    pub enum LimitPeriod("period") {
        Hour = "hour",
        Day = "day",
    }
}

/// Seconds. A decision is one read of the database; 10 ms and more are a disk that is slow.
const BUCKETS: [f64; 9] = [0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.005, 0.01, 0.1, 1.0];

#[derive(Debug, Clone)]
pub struct DecisionMetrics {
    decisions: Counters<Answer>,
    duration: Durations<Asker>,
    limits: Counters<(ClientKind, LimitUnit, LimitPeriod)>,
    messages: Counters<ClientKind>,
    recipients: Counters<ClientKind>,
    suspensions: IntCounter,
    pub suspended: Arc<SuspendedUsers>,
    top: Arc<TopUsers>,
}

impl DecisionMetrics {
    /// `users` of them are counted by name.
    ///
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry, users: usize) -> prometheus::Result<Self> {
        Ok(Self {
            decisions: registry.counters("relay_decisions_total", "Answers to Postfix")?,
            duration: registry.durations_in(
                &BUCKETS,
                "relay_decision_duration_seconds",
                "Time from a question of Postfix to the decision",
            )?,
            limits: registry.counters(
                "relay_limits_hit_total",
                "Answers that refused mail because of a limit, by the first limit without room",
            )?,
            messages: registry.counters(
                "relay_messages_total",
                "Accepted messages, by what let their client in",
            )?,
            recipients: registry.counters(
                "relay_recipients_total",
                "Recipients of accepted messages, by what let their client in",
            )?,
            suspensions: registry
                .counter("relay_users_suspended_total", "Users suspended by SUSPEND_AFTER")?,
            suspended: Arc::new(SuspendedUsers::register(registry)?),
            top: Arc::new(TopUsers::register(registry, users)?),
        })
    }

    /// Counts an answer.
    pub fn decided(&self, asker: Asker, reason: Reason, took: Duration) {
        self.decisions.inc(Answer { asker, reason });
        self.duration.observe(asker, took);
    }

    /// Counts a message that is accepted; `user` is who logged in.
    pub fn accepted(&self, now: u64, user: Option<&UserName>, recipients: u32) {
        let client = client_kind(user);
        self.messages.inc(client);
        self.recipients.inc_by(client, recipients.into());
        if let Some(user) = user {
            self.top.count(now, user, recipients);
        }
    }

    /// Counts an answer that a limit refused.
    pub fn limit_hit(&self, user: Option<&UserName>, limit: &Limit) {
        let unit = match limit.unit {
            Unit::Recipients => LimitUnit::Recipients,
            Unit::Messages => LimitUnit::Messages,
        };
        let period = match limit.period {
            Period::Hour => LimitPeriod::Hour,
            Period::Day => LimitPeriod::Day,
        };
        self.limits.inc((client_kind(user), unit, period));
    }

    pub fn user_suspended(&self, user: UserName) {
        self.suspensions.inc();
        self.suspended.add(user);
    }

    /// Brings what depends on the database up to date.
    pub fn refresh(&self, store: &UserStore) {
        self.suspended.refresh(store);
        self.top.forget_removed(store);
    }
}

fn client_kind(user: Option<&UserName>) -> ClientKind {
    if user.is_some() { ClientKind::User } else { ClientKind::Network }
}

/// The labels of an answer; the action follows from the reason.
#[derive(Debug, Clone, Copy)]
struct Answer {
    asker: Asker,
    reason: Reason,
}

impl LabelSet for Answer {
    const NAMES: &'static [&'static str] = &["service", "action", "reason"];

    fn all() -> impl Iterator<Item = Self> {
        <(Asker, Reason)>::all().map(|(asker, reason)| Self { asker, reason })
    }

    fn words(self) -> Vec<&'static str> {
        vec![self.asker.label(), self.reason.action(), self.reason.label()]
    }

    fn place(self) -> usize {
        (self.asker, self.reason).place()
    }
}
