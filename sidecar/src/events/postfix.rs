//! The state of Postfix, as relay-init reports it every ten seconds. What was reported is shown
//! until there is something newer, with its age beside it; what never was has no series.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus::{IntCounter, IntGaugeVec};
use serde::Deserialize;

use crate::labels::{Label, label_enum};
use crate::metrics::{KnownGauges, Registry};

/// Three reports that did not come: relay-init, or Postfix's container, is not there.
const STALE: Duration = Duration::from_secs(30);
/// The longest version that is shown.
const MAX_VERSION: usize = 32;

label_enum! {
    /// Postfix's queues.
    pub enum Queue("queue") {
        Incoming = "incoming",
        Active = "active",
        Deferred = "deferred",
        Hold = "hold",
        Corrupt = "corrupt",
    }
}

label_enum! {
    /// Who is shown a certificate: our clients, or the next hop.
    pub enum CertificateUse("use") {
        Server = "server",
        Client = "client",
    }
}

/// What one queue holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct Totals {
    count: u64,
    bytes: u64,
    oldest_seconds: Option<u64>,
}

pub type Queues = HashMap<String, Totals>;

/// What else there is to know of Postfix.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Report {
    /// Missing as long as Postfix has not started.
    version: Option<String>,
    /// Deliveries that were reported to nobody, since relay-init started.
    lost: u64,
    /// When certificates expire, in seconds since 1970.
    certificates: HashMap<String, u64>,
    /// Those of which there is a newer one that cannot be used.
    not_renewed: Vec<String>,
    volume: Option<Volume>,
}

/// The volume that the queue is on, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
struct Volume {
    size: u64,
    free: u64,
    #[serde(default)]
    inodes: u64,
    #[serde(default)]
    inodes_free: u64,
}

#[derive(Debug)]
pub struct PostfixMetrics {
    messages: KnownGauges<Queue>,
    bytes: KnownGauges<Queue>,
    oldest: KnownGauges<Queue>,
    certificates: KnownGauges<CertificateUse>,
    renewal_failed: KnownGauges<CertificateUse>,
    volume_size: KnownGauges<()>,
    volume_free: KnownGauges<()>,
    inodes: KnownGauges<()>,
    inodes_free: KnownGauges<()>,
    info: IntGaugeVec,
    up: KnownGauges<()>,
    age: KnownGauges<()>,
    uncounted: IntCounter,
    last: Mutex<Last>,
}

/// What the last reports said.
#[derive(Debug, Default)]
struct Last {
    event: Option<Instant>,
    version: Option<String>,
    lost: u64,
}

impl PostfixMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            messages: registry
                .known_gauges("relay_queue_messages", "Messages in Postfix's queues")?,
            bytes: registry.known_gauges("relay_queue_bytes", "Size of the files of a queue")?,
            oldest: registry.known_gauges(
                "relay_queue_oldest_age_seconds",
                "Age of the oldest message in a queue; missing when there is none",
            )?,
            certificates: registry.known_gauges(
                "relay_certificate_expiry_timestamp_seconds",
                "When the certificate expires that clients (server) or the next hop (client) are shown",
            )?,
            renewal_failed: registry.known_gauges(
                "relay_certificate_renewal_failed",
                "Whether there is a newer certificate that cannot be used, so that the old one still is",
            )?,
            volume_size: registry.known_gauges(
                "relay_queue_volume_size_bytes",
                "Size of the volume that the queue is on",
            )?,
            volume_free: registry.known_gauges(
                "relay_queue_volume_free_bytes",
                "Free space for Postfix on the volume that the queue is on",
            )?,
            inodes: registry.known_gauges(
                "relay_queue_volume_inodes",
                "Files that there can be on the volume of the queue; missing where there is no bound",
            )?,
            inodes_free: registry.known_gauges(
                "relay_queue_volume_inodes_free",
                "Files that there can still be for Postfix on the volume of the queue",
            )?,
            info: registry
                .versions("relay_postfix_info", "Version of Postfix; the value is always 1")?,
            up: registry.known_gauges(
                "relay_postfix_up",
                "Whether Postfix runs: 0 when it was not heard of for 30 s; missing before it ever was",
            )?,
            age: registry.known_gauges(
                "relay_postfix_events_age_seconds",
                "Time since Postfix's container was last heard of, and the age of all that it reports",
            )?,
            uncounted: registry.counter(
                "relay_postfix_deliveries_uncounted_total",
                "Deliveries while the sidecar was away or too slow, which are in no other metric",
            )?,
            last: Mutex::default(),
        })
    }

    /// Notes that there was an event.
    pub fn heard(&self, now: Instant) {
        self.last().event = Some(now);
    }

    pub fn queues(&self, queues: &Queues) {
        for queue in Queue::ALL {
            let totals = queues.get(queue.label());
            self.messages.set(*queue, totals.map(|totals| totals.count));
            self.bytes.set(*queue, totals.map(|totals| totals.bytes));
            self.oldest.set(*queue, totals.and_then(|totals| totals.oldest_seconds));
        }
    }

    pub fn report(&self, report: Report) {
        for role in CertificateUse::ALL {
            let expires = report.certificates.get(role.label()).copied();
            self.certificates.set(*role, expires);
            let failed = report.not_renewed.iter().any(|name| name == role.label());
            self.renewal_failed.set(*role, expires.map(|_| u64::from(failed)));
        }
        self.volume_size.set((), report.volume.map(|volume| volume.size));
        self.volume_free.set((), report.volume.map(|volume| volume.free));
        let bounded = report.volume.filter(|volume| volume.inodes > 0);
        self.inodes.set((), bounded.map(|volume| volume.inodes));
        self.inodes_free.set((), bounded.map(|volume| volume.inodes_free));
        let mut last = self.last();
        // A smaller number than before is a new count of a new relay-init.
        let new = report.lost.checked_sub(last.lost).unwrap_or(report.lost);
        self.uncounted.inc_by(new);
        last.lost = report.lost;
        let version = report.version.filter(|version| is_version(version));
        if version != last.version {
            self.info.reset();
            if let Some(version) = &version {
                self.info.with_label_values(&[version]).set(1);
            }
            last.version = version;
        }
    }

    /// Brings what depends on the time up to date.
    pub fn refresh(&self, now: Instant) {
        let last = self.last();
        let age = last.event.map(|event| now.saturating_duration_since(event));
        let is_up = |age| u64::from(age < STALE && last.version.is_some());
        self.age.set((), age.map(|age| age.as_secs()));
        self.up.set((), age.map(is_up));
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_version(text: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    text.len() <= MAX_VERSION && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests;
