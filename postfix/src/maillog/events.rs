//! Events for the sidecar's metrics: what Postfix does, as datagrams to `events.sock`.
//!
//! Each datagram is one JSON object (UTF-8, no newline, at most 16 KiB). Receivers ignore members and
//! events they do not know, so that either side can be newer.
//!
//! * A line of Postfix's log that reports something, sent when it is written:
//!   `{"v":1,"event":EVENT,"time":"2026-11-23T05:10:16.123Z","level":"info","service":"smtp","pid":7,
//!   "queue_id":"…", …}` where `EVENT` is one of `connect disconnect tls received message_id queued
//!   delivery removed bounce reject`, or `other` for any other warning or error (with its text in
//!   `message`). The remaining members are those of the JSON log, each present only if the line has
//!   it: `client sasl_username message_id from to orig_to relay delay delays dsn status reason tls
//!   notification size nrcpt`. Addresses are not redacted: LOG_REDACT is about the log.
//! * The queue, every ten seconds:
//!   `{"v":1,"event":"queue","time":"…","dropped":0,"queues":{"incoming":{"count":0,"bytes":0},
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

/// Version of the format, the member `v`.
const VERSION: u8 = 1;

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

    /// Sends the event of a line, if the line reports one.
    pub fn send_line(&self, line: &Line<'_>, now: SystemTime) {
        if line.kind != Kind::Other || line.level != "info" {
            self.send(&LineEvent::new(line, now));
        }
    }

    pub fn send_queue(&self, state: &QueueState, now: SystemTime) {
        self.send(&QueueEvent::new(state, self.dropped.load(Ordering::Relaxed), now));
    }

    fn send(&self, event: &impl Serialize) {
        // Only maps with keys other than strings can fail, and no event has one.
        let Ok(datagram) = serde_json::to_vec(event) else { return };
        match self.socket.send_to(&datagram, &self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // Any other error means that nobody listens.
            _ => {}
        }
    }
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
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
}

impl<'a> LineEvent<'a> {
    fn new(line: &'a Line<'a>, now: SystemTime) -> Self {
        Self {
            v: VERSION,
            event: line.kind.name(),
            time: humantime::format_rfc3339_millis(now).to_string(),
            level: line.level,
            line,
            message: (line.kind == Kind::Other).then_some(line.message),
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

    #[test]
    fn lines_that_report_something_are_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let events = Events::to(path.clone()).unwrap();
        let head = "Nov 23 05:10:16 relay postfix";
        let delivery = format!(
            "{head}/smtp[7]: 4hLkX53kNtzjk: to=<b@c>, relay=none, delay=0.5, \
                                delays=0/0/0/0, dsn=4.4.1, status=deferred (connect: refused)"
        );
        // Nobody listens yet.
        events.send_line(&parse(&delivery), NOW);
        let sidecar = UnixDatagram::bind(&path).unwrap();
        events.send_line(&parse(&delivery), NOW);
        events.send_line(&parse(&format!("{head}/master[1]: daemon started")), NOW);
        events.send_line(&parse(&format!("{head}/smtp[7]: warning: no")), NOW);
        assert_eq!(
            received(&sidecar).unwrap(),
            "{\"v\":1,\"event\":\"delivery\",\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"info\",\
             \"service\":\"smtp\",\"pid\":7,\"queue_id\":\"4hLkX53kNtzjk\",\"to\":\"b@c\",\"relay\":\
             \"none\",\"delays\":\"0/0/0/0\",\"dsn\":\"4.4.1\",\"status\":\"deferred\",\"reason\":\
             \"connect: refused\",\"delay\":0.5}"
        );
        assert_eq!(
            received(&sidecar).unwrap(),
            "{\"v\":1,\"event\":\"other\",\"time\":\"1970-01-01T00:00:00.000Z\",\"level\":\"warning\",\
             \"service\":\"smtp\",\"pid\":7,\"message\":\"warning: no\"}"
        );
        assert_eq!(received(&sidecar), None);
    }

    #[test]
    fn a_sidecar_that_does_not_read_delays_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let _sidecar = UnixDatagram::bind(&path).unwrap();
        let events = Events::to(path).unwrap();
        let line = "Nov 23 05:10:16 relay postfix/smtpd[7]: connect from a[192.0.2.1]";
        for _ in 0..10_000 {
            events.send_line(&parse(line), NOW);
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
            "{\"v\":1,\"event\":\"queue\",\"time\":\"1970-01-01T00:00:05.000Z\",\"dropped\":3,\
             \"queues\":{\"active\":{\"count\":2,\"bytes\":7012,\"oldest_seconds\":5},\
             \"hold\":{\"count\":0,\"bytes\":0}}}"
        );
    }
}
