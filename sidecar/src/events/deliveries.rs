//! Deliveries: what became of them, where they went and how long that took.

use std::borrow::Cow;
use std::time::Duration;

use serde::Deserialize;

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
    fn deliveries_are_sorted_by_status_cause_and_class() {
        for (status, dsn, expected) in [
            ("sent", "2.0.0", (Status::Sent, Cause::None, Class::Success)),
            ("deferred", "4.4.1", (Status::Deferred, Cause::Network, Class::Temporary)),
            ("deferred", "4.7.5", (Status::Deferred, Cause::Tls, Class::Temporary)),
            ("deferred", "4.7.4", (Status::Deferred, Cause::Tls, Class::Temporary)),
            ("bounced", "5.7.1", (Status::Bounced, Cause::Policy, Class::Permanent)),
            ("bounced", "5.1.1", (Status::Bounced, Cause::Address, Class::Permanent)),
            ("bounced", "5.2.2", (Status::Bounced, Cause::Mailbox, Class::Permanent)),
            ("expired", "", (Status::Expired, Cause::Other, Class::None)),
            ("force-expired", "", (Status::Expired, Cause::Other, Class::None)),
            ("undeliverable", "5.1.1", (Status::Other, Cause::Address, Class::Permanent)),
            ("deferred", "nonsense", (Status::Deferred, Cause::Other, Class::None)),
        ] {
            let found = (Status::of(status), Cause::of(dsn), Class::of(dsn));
            assert_eq!(found, expected, "{status} {dsn}");
        }
    }

    #[test]
    fn next_hops_are_sorted_by_the_name_of_the_host() {
        for (relay, is_smarthost, expected) in [
            ("gmail-smtp-in.l.google.com[192.0.2.1]:25", false, NextHop::Gmail),
            ("ASPMX2.GOOGLEMAIL.COM[192.0.2.1]:25", false, NextHop::Gmail),
            ("example-org.mail.protection.outlook.com[192.0.2.1]:25", false, NextHop::Microsoft),
            ("example-org.j-v1.mx.microsoft[192.0.2.1]:25", false, NextHop::Microsoft),
            ("mta5.am0.yahoodns.net[2001:db8::1]:25", false, NextHop::Yahoo),
            ("mx.example.net[192.0.2.1]:25", false, NextHop::Other),
            ("notgoogle.com[192.0.2.1]:25", false, NextHop::Other),
            ("none", false, NextHop::Other),
            ("", false, NextHop::Other),
            ("smtp.google.com[192.0.2.1]:587", true, NextHop::Smarthost),
            ("none", true, NextHop::Smarthost),
        ] {
            assert_eq!(NextHop::of(relay, is_smarthost), expected, "{relay}");
        }
    }

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
