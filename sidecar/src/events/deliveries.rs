//! Deliveries: what became of them, where they went and how long that took.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::kinds::{Cause, Class, DelayStage, Encryption, NextHop, Status};
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

/// What is counted and remembered of a delivery.
#[derive(Debug, Default, PartialEq, Deserialize)]
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
    #[serde(borrow)]
    queue_id: Cow<'a, str>,
    #[serde(borrow)]
    from: Cow<'a, str>,
    #[serde(borrow)]
    to: Cow<'a, str>,
    /// What the next hop answered, or why there is no answer.
    #[serde(borrow)]
    reason: Cow<'a, str>,
    /// Seconds since the message came.
    delay: Option<f64>,
}

/// Postfix's `minimal_backoff_time` and `maximal_backoff_time`, by default: it waits as long as the message has
/// been there, within these.
const BACKOFF: (f64, f64) = (300.0, 4_000.0);

impl Delivery<'_> {
    /// For the history; `now` is when it was heard of.
    pub fn entry(&self, now: u64) -> Entry {
        let event = match Status::of(&self.status) {
            Status::Sent => Event::Sent,
            Status::Bounced => Event::Bounced,
            Status::Expired => Event::Expired,
            Status::Deferred | Status::Other => Event::Deferred,
        };
        let delay = self.delay.filter(|_| event == Event::Deferred);
        Entry {
            queue_id: self.queue_id.clone().into_owned(),
            sender: self.from.clone().into_owned(),
            recipients: self.to.clone().into_owned(),
            next_hop: self.relay.clone().into_owned(),
            answer: self.reason.clone().into_owned(),
            next_try: delay.map(|age| now + age.clamp(BACKOFF.0, BACKOFF.1) as u64),
            ..Entry::new(now, event)
        }
    }
}

/// `0.1/0.02/2/0.3`, as far as it can be read.
fn delays(text: &str) -> impl Iterator<Item = (DelayStage, Duration)> {
    DelayStage::ALL.iter().copied().zip(text.split('/')).filter_map(|(stage, seconds)| {
        Some((stage, Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_are_read_as_far_as_they_go() {
        let read = |text| delays(text).map(|(_, delay)| delay.as_millis()).collect::<Vec<_>>();
        assert_eq!(read("0.1/0.02/2/0.3"), [100, 20, 2_000, 300]);
        assert_eq!(read("0/0/-1/x"), [0, 0]);
        assert_eq!(read("1/2/3/4/5"), [1_000, 2_000, 3_000, 4_000]);
        assert_eq!(read(""), [0; 0]);
        assert_eq!(read("1e300/nan/inf/7"), [7_000]);
    }

    #[test]
    fn what_was_sent_is_counted_with_its_delays() {
        let registry = Registry::default();
        let metrics = DeliveryMetrics::register(&registry).unwrap();
        for status in ["sent", "deferred"] {
            metrics.count(&Delivery {
                status: status.into(),
                dsn: "2.0.0".into(),
                relay: "smtp.google.com[192.0.2.1]:25".into(),
                delays: "0.1/0.02/2/0.3".into(),
                encrypted: true,
                ..Delivery::default()
            });
        }
        let text = String::from_utf8(registry.text().unwrap()).unwrap();
        for expected in [
            "relay_deliveries_total{cause=\"none\",status=\"sent\"} 1\n",
            "relay_deliveries_by_class_total{class=\"2\",status=\"sent\"} 1\n",
            "by_next_hop_total{next_hop=\"gmail\",status=\"sent\",tls=\"yes\"} 1\n",
            "by_next_hop_total{next_hop=\"gmail\",status=\"deferred\",tls=\"yes\"} 1\n",
            "delay_seconds_sum{next_hop=\"gmail\",stage=\"connection\"} 2\n",
            "delay_seconds_count{next_hop=\"gmail\",stage=\"transmission\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }
}
