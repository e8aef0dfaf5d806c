//! Events for the sidecar's metrics: what became of mail, as datagrams to `events.sock`.
//!
//! Each datagram has one JSON object or more, each on a line of its own (UTF-8, at most 16 KiB in all).
//! Receivers ignore members and events they do not know, so that either side can be newer.
//!
//! * Deliveries, sent together when a burst of Postfix's log has been read:
//!   `{"v":2,"event":"delivery","time":"2026-11-23T05:10:16.123Z","level":"info","service":"smtp",
//!   "pid":7,"queue_id":"…", …}`. The remaining members are those of the JSON log, each present only if
//!   the line has it: `to orig_to relay delay delays dsn status reason`. Addresses are not redacted:
//!   LOG_REDACT is about the log. Nothing else that Postfix logs is sent, because nothing else is counted.
//! * The queue, every ten seconds:
//!   `{"v":2,"event":"queue","time":"…","dropped":0,"queues":{"incoming":{"count":0,"bytes":0},
//!   "active":{"count":2,"bytes":7012,"oldest_seconds":3}, "deferred":…, "hold":…, "corrupt":…}}`.
//!   `dropped` counts the datagrams that did not fit into the socket since the relay was started.
//!
//! Best effort: if nobody reads, or not fast enough, datagrams are dropped at once. Neither Postfix
//! nor its log ever waits.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

use super::line::Line;
use super::message::Kind;
use crate::queue::state::{self, QueueState, Totals};

/// How often the state of the queue is sent.
const QUEUE_PERIOD: Duration = Duration::from_secs(10);

/// Version of the format, the member `v`. With 1, every datagram was one object.
const VERSION: u8 = 2;
/// Bytes of a datagram. One line of Postfix's log becomes less than half of it.
const MAX_DATAGRAM: usize = 16 << 10;

/// The sender of events. Clones share one socket and one count of dropped datagrams.
#[derive(Debug, Clone)]
pub struct Events {
    socket: Arc<UnixDatagram>,
    path: PathBuf,
    dropped: Arc<AtomicU64>,
}

impl Events {
    /// `path` is bound by the sidecar, now or later.
    pub fn to(path: PathBuf) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Arc::new(socket), path, dropped: Arc::default() })
    }

    pub fn send_queue(&self, state: &QueueState, now: SystemTime) {
        self.send(&json(&QueueEvent::new(state, self.dropped.load(Ordering::Relaxed), now)));
    }

    fn send(&self, datagram: &[u8]) {
        match self.socket.send_to(datagram, &self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // Any other error means that nobody listens.
            _ => {}
        }
    }
}

/// Deliveries that are sent together.
#[derive(Debug)]
pub struct Batch {
    events: Events,
    datagram: Vec<u8>,
}

impl Batch {
    pub fn new(events: Events) -> Self {
        Self { events, datagram: Vec::with_capacity(MAX_DATAGRAM) }
    }

    /// Adds a line if it reports a delivery, and sends what is there when there is no room for more.
    pub fn add(&mut self, line: &Line<'_>, now: SystemTime) {
        if line.kind != Kind::Delivery {
            return;
        }
        let event = json(&LineEvent::new(line, now));
        if self.datagram.len() + event.len() > MAX_DATAGRAM {
            self.send();
        }
        self.datagram.extend_from_slice(&event);
    }

    pub fn send(&mut self) {
        if !self.datagram.is_empty() {
            self.events.send(&self.datagram);
            self.datagram.clear();
        }
    }
}

/// An event and a newline.
fn json(event: &impl Serialize) -> Vec<u8> {
    // Only maps with keys other than strings can fail, and no event has one.
    let mut json = serde_json::to_vec(event).unwrap_or_default();
    json.push(b'\n');
    json
}

/// Sends the state of the queue for as long as the process lives.
///
/// It has a thread of its own because a disk that hangs must delay neither signals nor the log.
pub fn report_queue(events: Events, queue_directory: PathBuf) -> std::io::Result<()> {
    thread::Builder::new().name("queue-state".to_owned()).spawn(move || {
        loop {
            // No need to read the queue when nobody listens.
            if events.path.exists() {
                events.send_queue(&state::read(&queue_directory), SystemTime::now());
            }
            thread::sleep(QUEUE_PERIOD);
        }
    })?;
    Ok(())
}

#[derive(Debug, Serialize)]
struct LineEvent<'a> {
    v: u8,
    event: &'a str,
    time: String,
    level: &'a str,
    #[serde(flatten)]
    line: &'a Line<'a>,
}

impl<'a> LineEvent<'a> {
    fn new(line: &'a Line<'a>, now: SystemTime) -> Self {
        Self {
            v: VERSION,
            event: line.kind.name(),
            time: humantime::format_rfc3339_millis(now).to_string(),
            level: line.level,
            line,
        }
    }
}

#[derive(Debug, Serialize)]
struct QueueEvent {
    v: u8,
    event: &'static str,
    time: String,
    dropped: u64,
    #[serde(serialize_with = "as_map")]
    queues: Vec<(&'static str, QueueTotals)>,
}

#[derive(Debug, Serialize)]
struct QueueTotals {
    count: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    oldest_seconds: Option<u64>,
}

impl QueueEvent {
    fn new(state: &QueueState, dropped: u64, now: SystemTime) -> Self {
        let totals = |totals: &Totals| {
            // Zero if the clock was set back after the message arrived.
            let age = |arrival| now.duration_since(arrival).unwrap_or_default().as_secs();
            QueueTotals {
                count: totals.count,
                bytes: totals.bytes,
                oldest_seconds: totals.oldest.map(age),
            }
        };
        Self {
            v: VERSION,
            event: "queue",
            time: humantime::format_rfc3339_millis(now).to_string(),
            dropped,
            queues: state.queues.iter().map(|(name, queue)| (*name, totals(queue))).collect(),
        }
    }
}

fn as_map<S: Serializer>(
    queues: &[(&'static str, QueueTotals)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(queues.iter().map(|(name, totals)| (name, totals)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maillog::line::parse;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 16 << 10];
        socket.set_nonblocking(true).unwrap();
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    const HEAD: &str = "Nov 23 05:10:16 relay postfix";
    const DELIVERY: &str = "to=<b@c>, relay=none, delay=0.5, delays=0/0/0/0, dsn=4.4.1, \
                            status=deferred (connect: refused)";

    #[test]
    fn deliveries_are_sent_together_and_nothing_else_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let mut batch = Batch::new(Events::to(path.clone()).unwrap());
        let delivery = format!("{HEAD}/smtp[7]: 4hLkX53kNtzjk: {DELIVERY}");
        // Nobody listens yet.
        batch.add(&parse(&delivery), NOW);
        batch.send();
        let sidecar = UnixDatagram::bind(&path).unwrap();
        batch.add(&parse(&delivery), NOW);
        batch.add(&parse(&format!("{HEAD}/master[1]: daemon started")), NOW);
        batch.add(&parse(&format!("{HEAD}/smtp[7]: warning: no")), NOW);
        batch.add(&parse(&delivery), NOW);
        batch.send();
        batch.send();
        let event = "{\"v\":2,\"event\":\"delivery\",\"time\":\"1970-01-01T00:00:00.000Z\",\
             \"level\":\"info\",\"service\":\"smtp\",\"pid\":7,\"queue_id\":\"4hLkX53kNtzjk\",\
             \"to\":\"b@c\",\"relay\":\"none\",\"delays\":\"0/0/0/0\",\"dsn\":\"4.4.1\",\
             \"status\":\"deferred\",\"reason\":\"connect: refused\",\"delay\":0.5}\n";
        assert_eq!(received(&sidecar).unwrap(), event.repeat(2));
        assert_eq!(received(&sidecar), None);
    }

    #[test]
    fn a_burst_is_cut_into_datagrams_of_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let sidecar = UnixDatagram::bind(&path).unwrap();
        let mut batch = Batch::new(Events::to(path).unwrap());
        let long = "x".repeat(4000);
        let delivery =
            format!("{HEAD}/smtp[7]: 4hLkX53kNtzjk: {DELIVERY}").replace("refused", &long);
        (0..10).for_each(|_| batch.add(&parse(&delivery), NOW));
        batch.send();
        let datagrams: Vec<String> = std::iter::from_fn(|| received(&sidecar)).collect();
        assert!(datagrams.iter().all(|datagram| datagram.ends_with("}\n")), "{datagrams:?}");
        assert_eq!(datagrams.concat().lines().count(), 10);
    }

    #[test]
    fn a_sidecar_that_does_not_read_delays_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let _sidecar = UnixDatagram::bind(&path).unwrap();
        let events = Events::to(path).unwrap();
        for _ in 0..10_000 {
            events.send(b"{}\n");
        }
        assert!(events.dropped.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn the_queue_is_sent_with_the_age_of_its_oldest_message() {
        let oldest = Some(NOW);
        let active = Totals { count: 2, bytes: 7012, oldest };
        let state = QueueState { queues: vec![("active", active), ("hold", Totals::default())] };
        let event = QueueEvent::new(&state, 3, NOW + Duration::from_secs(5));
        assert_eq!(
            serde_json::to_string(&event).unwrap(),
            "{\"v\":2,\"event\":\"queue\",\"time\":\"1970-01-01T00:00:05.000Z\",\"dropped\":3,\
             \"queues\":{\"active\":{\"count\":2,\"bytes\":7012,\"oldest_seconds\":5},\
             \"hold\":{\"count\":0,\"bytes\":0}}}"
        );
    }
}
