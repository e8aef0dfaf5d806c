//! Events for the sidecar's metrics and its history: what became of mail, as datagrams to `events.sock`.
//!
//! Each datagram has one JSON object or more, each on a line of its own (UTF-8, at most 16 KiB in all).
//! Receivers ignore members and events they do not know, so that either side can be newer.
//!
//! * Deliveries, at once after a pause and then those of a tenth of a second together:
//!   `{"v":2,"event":"delivery","time":"2026-11-23T05:10:16.123Z","level":"info","service":"smtp",
//!   "pid":7,"queue_id":"…", …}`. The remaining members are those of the JSON log, each present only if
//!   the line has it: `to orig_to relay delay delays dsn status reason`, and two of ours, present only if
//!   true: `encrypted` (the connection to the next hop was) and `smarthost` (the next hop is one of
//!   RELAYHOST, RELAYHOST_MAP and RELAYHOST_FALLBACK). A message that Postfix gives up because of its age
//!   is one event with the status `expired`, `from` and no `to`. Addresses are not redacted: LOG_REDACT is
//!   about the log. Nothing else that Postfix logs is sent, because nothing else is counted.
//! * Every ten seconds the queue, `{"v":2,"event":"queue","time":"…","queues":{"incoming":{"count":0,
//!   "bytes":0},"active":{"count":2,"bytes":7012,"oldest_seconds":3}, "deferred":…, "hold":…,
//!   "corrupt":…}}`, and the state of Postfix, `{"v":2,"event":"postfix","time":"…","version":"3.10.13",
//!   "lost":0,"certificates":{"server":1795435200},"volume":{"size":0,"free":0}}`. `version` is missing
//!   until Postfix has started; `lost` counts the deliveries that nobody was told of since relay-init was
//!   started; certificates have the second since 1970 at which they expire,
//!   and `not_renewed`, if it is there, lists those of which there is a newer one that cannot be used; `volume` is the queue's, in
//!   bytes. `report.rs` sends both.
//! * With them, when Postfix tries again to deliver messages that were deferred since the last report, in
//!   seconds since 1970: `{"v":2,"event":"retries","time":"…","next":{"4hLkX53kNtzjk":1795435200}}`. A
//!   message of which that cannot be told yet follows later; with many, there are several such events.
//!
//! Best effort: if nobody reads, or not fast enough, datagrams are dropped at once. Neither Postfix
//! nor its log ever waits.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;

use super::encryption::Encryption;
use super::facts::Facts;
use super::line::{self, Line};
use super::message::Kind;
use super::waiting::Waiting;

/// Version of the format, the member `v`. With 1, every datagram was one object.
pub const VERSION: u8 = 2;
/// Bytes of a datagram. One line of Postfix's log becomes less than half of it.
const MAX_DATAGRAM: usize = 16 << 10;
/// How long deliveries are gathered after a datagram. Each one wakes the sidecar.
const GATHER: Duration = Duration::from_millis(100);
/// What master logs once it runs; the version follows.
const STARTED: &str = "daemon started -- version ";

/// The sender of events. Clones share one socket and all that is counted and known.
#[derive(Debug, Clone)]
pub struct Events {
    socket: Arc<UnixDatagram>,
    path: PathBuf,
    lost: Arc<AtomicU64>,
    facts: Facts,
    waiting: Waiting,
}

impl Events {
    /// `path` is bound by the sidecar, now or later.
    pub fn to(path: PathBuf) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        let (lost, facts, waiting) = (Arc::default(), Facts::default(), Waiting::default());
        Ok(Self { socket: Arc::new(socket), path, lost, facts, waiting })
    }

    /// Whether there may be somebody who listens.
    pub fn is_wanted(&self) -> bool {
        self.path.exists()
    }

    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Messages of which the next try is to be told.
    pub fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    /// Deliveries that nobody was told of.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Sends a datagram; `false` if nobody listens, or has room for it.
    pub fn send(&self, datagram: &[u8]) -> bool {
        self.socket.send_to(datagram, &self.path).is_ok()
    }
}

/// The next hops that are smarthosts.
#[derive(Debug, Default)]
pub struct Smarthosts {
    /// With RELAYHOST no message goes anywhere else.
    pub all: bool,
    /// Their names, or their addresses where they have none.
    pub hosts: Vec<String>,
}

impl Smarthosts {
    /// `relay` is `host[address]:port`, or `none` when no connection was made.
    fn contain(&self, relay: Option<&str>) -> bool {
        let host = relay.and_then(|relay| relay.split('[').next()).unwrap_or_default();
        self.all || self.hosts.iter().any(|known| known.eq_ignore_ascii_case(host))
    }
}

/// Whether a line may be worth parsing for the sake of events. Cheaper than parsing it.
pub fn may_matter(text: &str) -> bool {
    line::is_delivery(text) || text.contains(" TLS connection ") || text.contains(STARTED)
}

/// Makes events of lines, and sends deliveries together.
#[derive(Debug)]
pub struct Batch {
    events: Events,
    smarthosts: Smarthosts,
    encryption: Encryption,
    datagram: Vec<u8>,
    /// Deliveries in the datagram.
    count: u64,
    /// Until when deliveries are gathered, after the last datagram.
    gathering: Option<Instant>,
}

impl Batch {
    pub fn new(events: Events, smarthosts: Smarthosts) -> Self {
        let datagram = Vec::with_capacity(MAX_DATAGRAM);
        let encryption = Encryption::default();
        Self { events, smarthosts, encryption, datagram, count: 0, gathering: None }
    }

    /// Takes a line. A delivery is sent when there is no room for more, or when it is due.
    pub fn add(&mut self, line: &Line<'_>, now: SystemTime) {
        match line.kind {
            Kind::Delivery => self.add_delivery(line, now),
            Kind::Tls => self.encryption.established(line),
            _ => {
                let started = line.message.strip_prefix(STARTED);
                if let Some(rest) = started.filter(|_| line.service == Some("master")) {
                    self.events.facts.started(rest.split(',').next().unwrap_or_default());
                }
            }
        }
    }

    fn add_delivery(&mut self, line: &Line<'_>, now: SystemTime) {
        if let (Some(id), Some("deferred")) = (line.queue_id, line.fields.status) {
            self.events.waiting.add(id);
        }
        let event = json(&LineEvent {
            v: VERSION,
            event: line.kind.name(),
            time: humantime::format_rfc3339_millis(now).to_string(),
            level: line.level,
            line,
            encrypted: self.encryption.covers(line),
            smarthost: self.smarthosts.contain(line.fields.relay),
        });
        if self.datagram.len() + event.len() > MAX_DATAGRAM {
            self.send();
        }
        self.datagram.extend_from_slice(&event);
        self.count += 1;
    }

    /// How long the deliveries that were gathered still wait; `None` when there are none.
    pub fn due_in(&self, now: Instant) -> Option<Duration> {
        let left = self.gathering.map(|until| until.saturating_duration_since(now));
        (!self.datagram.is_empty()).then(|| left.unwrap_or_default())
    }

    pub fn send_if_due(&mut self, now: Instant) {
        if self.due_in(now).is_some_and(|left| left.is_zero()) {
            self.send();
            self.gathering = Some(now + GATHER);
        }
    }

    pub fn send(&mut self) {
        if self.datagram.is_empty() {
            return;
        }
        if !self.events.send(&self.datagram) {
            self.events.lost.fetch_add(self.count, Ordering::Relaxed);
        }
        self.datagram.clear();
        self.count = 0;
    }
}

/// An event and a newline.
pub fn json(event: &impl Serialize) -> Vec<u8> {
    // Only maps with keys other than strings can fail, and no event has one.
    let mut json = serde_json::to_vec(event).unwrap_or_default();
    json.push(b'\n');
    json
}

#[derive(Debug, Serialize)]
struct LineEvent<'a> {
    v: u8,
    event: &'a str,
    time: String,
    level: &'a str,
    #[serde(flatten)]
    line: &'a Line<'a>,
    #[serde(skip_serializing_if = "is_false")]
    encrypted: bool,
    #[serde(skip_serializing_if = "is_false")]
    smarthost: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests;
