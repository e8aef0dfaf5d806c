//! Deliveries: what became of them, where they went and how long that took.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

use super::loose;
use crate::history::{Entry, Event};
use crate::labels::{Label, label_enum};
use crate::metrics::{Counters, Durations, Registry};

label_enum! {
    /// How a delivery to one recipient ended.
    pub enum Status("status") {
        Sent = "sent",
        Deferred = "deferred",
        Bounced = "bounced",
        /// Postfix gave a message up because it was too old: one for all recipients that were left.
        Expired = "expired",
        Other = "other",
    }
}

impl Status {
    fn of(word: &str) -> Self {
        // Postfix's word for a message that an operator made expire.
        let word = word.strip_prefix("force-").unwrap_or(word);
        Self::ALL.iter().copied().find(|status| status.label() == word).unwrap_or(Self::Other)
    }
}

label_enum! {
    /// Why a delivery failed, by the subject of its enhanced status code (RFC 3463 section 3).
    pub enum Cause("cause") {
        None = "none",
        Address = "address",
        Mailbox = "mailbox",
        System = "system",
        Network = "network",
        Protocol = "protocol",
        Content = "content",
        /// No TLS, or a certificate that does not prove the next hop's name.
        Tls = "tls",
        Policy = "policy",
        Other = "other",
    }
}

impl Cause {
    fn of(enhanced_status_code: &str) -> Self {
        let mut parts = enhanced_status_code.split('.');
        match (parts.next(), parts.next(), parts.next()) {
            (Some("2"), ..) => Self::None,
            (_, Some("1"), _) => Self::Address,
            (_, Some("2"), _) => Self::Mailbox,
            (_, Some("3"), _) => Self::System,
            (_, Some("4"), _) => Self::Network,
            (_, Some("5"), _) => Self::Protocol,
            (_, Some("6"), _) => Self::Content,
            // Postfix: 4.7.4 when TLS is not offered, 4.7.5 for a certificate.
            (Some("4"), Some("7"), Some("4" | "5")) => Self::Tls,
            (_, Some("7"), _) => Self::Policy,
            _ => Self::Other,
        }
    }
}

label_enum! {
    /// The class of an enhanced status code (RFC 3463 section 2).
    pub enum Class("class") {
        Success = "2",
        Temporary = "4",
        Permanent = "5",
        None = "none",
    }
}

impl Class {
    fn of(enhanced_status_code: &str) -> Self {
        let class = enhanced_status_code.split('.').next();
        Self::ALL.iter().copied().find(|known| Some(known.label()) == class).unwrap_or(Self::None)
    }
}

label_enum! {
    /// Whether the connection to the next hop was encrypted.
    pub enum Encryption("tls") {
        Yes = "yes",
        No = "no",
    }
}

label_enum! {
    /// Who took, or did not take, the message.
    pub enum NextHop("next_hop") {
        Gmail = "gmail",
        Microsoft = "microsoft",
        Yahoo = "yahoo",
        /// One of RELAYHOST, RELAYHOST_MAP and RELAYHOST_FALLBACK.
        Smarthost = "smarthost",
        /// Anybody else, and nobody.
        Other = "other",
    }
}

/// Where the large providers' mail servers are; their customers' domains have them as MX, too.
const PROVIDERS: [(&str, NextHop); 6] = [
    (".google.com", NextHop::Gmail),
    (".googlemail.com", NextHop::Gmail),
    (".outlook.com", NextHop::Microsoft),
    (".mx.microsoft", NextHop::Microsoft),
    (".yahoodns.net", NextHop::Yahoo),
    (".yahoo.com", NextHop::Yahoo),
];

impl NextHop {
    /// `relay` is `host[address]:port`.
    fn of(relay: &str, is_smarthost: bool) -> Self {
        if is_smarthost {
            return Self::Smarthost;
        }
        let host = relay.split('[').next().unwrap_or_default().to_ascii_lowercase();
        let provider = PROVIDERS.iter().find(|(suffix, _)| host.ends_with(suffix));
        provider.map_or(Self::Other, |(_, next_hop)| *next_hop)
    }
}

label_enum! {
    /// The parts of a message's delay, as Postfix divides it (`delays=a/b/c/d`).
    pub enum DelayStage("stage") {
        BeforeQueue = "before_queue",
        InQueue = "in_queue",
        Connection = "connection",
        Transmission = "transmission",
    }
}

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
