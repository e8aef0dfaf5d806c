//! Deliveries: what became of them, where they went and how long that took.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::kinds::{Cause, Class, DelayStage, Encryption, NextHop, Status};
use super::loose;
use crate::history::{Entry, Event};
use crate::labels::Label as _;
use crate::metrics::{Counters, Durations, Registry};

/// Seconds, from a delivery at once to one after a day in the queue.
const BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];

#[derive(Debug, Clone)]
pub struct DeliveryMetrics {
    by_cause: Counters<(Status, Cause)>,
    by_class: Counters<(Status, Class)>,
    by_next_hop: Counters<(NextHop, Status, Encryption)>,
    delays: Durations<(NextHop, DelayStage)>,
}

impl DeliveryMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            by_cause: registry.counters(
                "relay_deliveries_total",
                "Deliveries by Postfix, one for each recipient",
            )?,
            by_class: registry.counters(
                "relay_deliveries_by_class_total",
                "Deliveries by the class of the enhanced status code",
            )?,
            by_next_hop: registry.counters(
                "relay_deliveries_by_next_hop_total",
                "Deliveries by next hop, and whether the connection to it was encrypted",
            )?,
            delays: registry.durations_in(
                &BUCKETS,
                "relay_delivery_delay_seconds",
                "Where the time went of what was sent: before the queue, in the queue, connecting to \
                 the next hop, transmission",
            )?,
        })
    }

    pub fn count(&self, delivery: &Delivery<'_>) {
        let status = Status::of(&delivery.status);
        let next_hop = NextHop::of(&delivery.relay, delivery.smarthost);
        let encryption = if delivery.encrypted { Encryption::Yes } else { Encryption::No };
        self.by_cause.inc((status, Cause::of(&delivery.dsn)));
        self.by_class.inc((status, Class::of(&delivery.dsn)));
        self.by_next_hop.inc((next_hop, status, encryption));
        if status == Status::Sent {
            for (stage, delay) in delays(&delivery.delays) {
                self.delays.observe((next_hop, stage), delay);
            }
        }
    }
}

/// What is counted and remembered of a delivery. What is only remembered may be missing, or anything: it must not
/// lose the count.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Delivery<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    dsn: Cow<'a, str>,
    #[serde(borrow)]
    relay: Cow<'a, str>,
    #[serde(borrow)]
    delays: Cow<'a, str>,
    encrypted: bool,
    smarthost: bool,
    #[serde(borrow, deserialize_with = "loose::text")]
    queue_id: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "loose::text")]
    from: Cow<'a, str>,
    #[serde(borrow, deserialize_with = "loose::text")]
    to: Cow<'a, str>,
    /// What the next hop answered, or why there is no answer.
    #[serde(borrow, deserialize_with = "loose::text")]
    reason: Cow<'a, str>,
}

impl Delivery<'_> {
    /// For the history; `now` is when it was heard of. `None` for what became of no message.
    pub fn entry(&self, now: u64) -> Option<Entry> {
        let event = match Status::of(&self.status) {
            Status::Sent => Event::Sent,
            Status::Deferred => Event::Deferred,
            Status::Bounced => Event::Bounced,
            Status::Expired => Event::Expired,
            Status::Other => return None,
        };
        Some(Entry {
            queue_id: self.queue_id.clone().into_owned(),
            sender: self.from.clone().into_owned(),
            recipients: self.to.clone().into_owned(),
            next_hop: self.relay.clone().into_owned(),
            answer: self.reason.clone().into_owned(),
            ..Entry::new(now, event)
        })
    }
}

/// `0.1/0.02/2/0.3`, as far as it can be read.
fn delays(text: &str) -> impl Iterator<Item = (DelayStage, Duration)> {
    DelayStage::ALL.iter().copied().zip(text.split('/')).filter_map(|(stage, seconds)| {
        Some((stage, Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?))
    })
}

#[cfg(test)]
mod tests;
