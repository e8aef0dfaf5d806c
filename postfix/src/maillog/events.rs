//! What Postfix does, told to the sidecar: datagrams to `events.sock`, for its metrics.
//!
//! Each datagram is one JSON object (UTF-8, no newline, at most 16 KiB). Unknown members and unknown
//! events are to be ignored, so that either side can be newer.
//!
//! * A line of Postfix's log that tells something, the moment it is written:
//!   `{"v":1,"event":EVENT,"time":"2026-11-23T05:10:16.123Z","level":"info","service":"smtp","pid":7,
//!   "queue_id":"…", …}` with `EVENT` one of `connect disconnect tls received message_id queued
//!   delivery removed bounce reject`, or `other` for the remaining warnings and errors (their text is
//!   in `message`). The further members are those of the JSON log, each only when the line has it:
//!   `client sasl_username message_id from to orig_to relay delay delays dsn status reason tls
//!   notification size nrcpt`. Addresses are not redacted: LOG_REDACT is about the log.
//! * The queue, every ten seconds:
//!   `{"v":1,"event":"queue","time":"…","dropped":0,"queues":{"incoming":{"count":0,"bytes":0},
//!   "active":{"count":2,"bytes":7012,"oldest_seconds":3}, "deferred":…, "hold":…, "corrupt":…}}`.
//!   `dropped` counts the datagrams that did not fit into the socket since the relay was started.
//!
//! Best effort: without a reader, or with one that does not read, datagrams are dropped at once, and
//! neither Postfix nor its log waits.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use crate::json::Object;
use crate::maillog::format::push_fields;
use crate::maillog::line::{Kind, Line};
use crate::queue::state::{self, QueueState};

/// How often the queue's state is told.
const QUEUE_PERIOD: Duration = Duration::from_secs(10);

/// Bound by the sidecar.
pub const SOCKET: &str = "/run/relay/events.sock";

/// A way to the sidecar; clones are the same way.
#[derive(Debug, Clone)]
pub struct Events {
    socket: Arc<UnixDatagram>,
    path: PathBuf,
    dropped: Arc<AtomicU64>,
}

impl Events {
    pub fn to(path: PathBuf) -> std::io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket: Arc::new(socket), path, dropped: Arc::default() })
    }

    /// Tells of a line, when it is worth telling.
    pub fn line(&self, line: &Line<'_>, now: SystemTime) {
        if line.kind != Kind::Other || line.level != "info" {
            self.send(&of_line(line, now));
        }
    }

    pub fn queue(&self, state: &QueueState, now: SystemTime) {
        self.send(&of_queue(state, self.dropped.load(Ordering::Relaxed), now));
    }

    fn send(&self, event: &str) {
        match self.socket.send_to(event.as_bytes(), &self.path) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            // Nobody is there, now or ever.
            _ => {}
        }
    }
}

/// Tells the state of the queue for as long as the process lives.
///
/// On a thread of its own: a disk that stands still must delay neither signals nor the log.
pub fn report_queue(events: Events, queue_directory: PathBuf) -> std::io::Result<()> {
    thread::Builder::new().name("queue-state".to_owned()).spawn(move || {
        loop {
            // Nobody asks for the state: without a reader nothing is read either.
            if events.path.exists() {
                events.queue(&state::read(&queue_directory), SystemTime::now());
            }
            thread::sleep(QUEUE_PERIOD);
        }
    })?;
    Ok(())
}

fn begin(event: &str, now: SystemTime) -> Object {
    let mut json = Object::new();
    json.number("v", 1).text("event", event);
    json.text("time", &humantime::format_rfc3339_millis(now).to_string());
    json
}

fn of_line(line: &Line<'_>, now: SystemTime) -> String {
    let mut json = begin(line.kind.word(), now);
    json.text("level", line.level).text_if_any("service", line.service);
    json.number_in_words("pid", line.pid).text_if_any("queue_id", line.queue_id);
    push_fields(&mut json, line);
    if line.kind == Kind::Other {
        json.text("message", line.message);
    }
    json.finish()
}

fn of_queue(state: &QueueState, dropped: u64, now: SystemTime) -> String {
    let mut queues = Object::new();
    for (name, queue) in &state.queues {
        let mut object = Object::new();
        object.number("count", queue.count).number("bytes", queue.bytes);
        if let Some(arrival) = queue.oldest {
            // A clock that was set back makes no negative age.
            let age = now.duration_since(arrival).unwrap_or_default();
            object.number("oldest_seconds", age.as_secs());
        }
        queues.object(name, object);
    }
    let mut json = begin("queue", now);
    json.number("dropped", dropped).object("queues", queues);
    json.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maillog::line::parse;
    use crate::queue::state::Totals;

    const NOW: SystemTime = SystemTime::UNIX_EPOCH;

    fn received(socket: &UnixDatagram) -> Option<String> {
        let mut buffer = [0; 16 << 10];
        socket.set_nonblocking(true).unwrap();
        let length = socket.recv(&mut buffer).ok()?;
        Some(String::from_utf8(buffer[..length].to_vec()).unwrap())
    }

    #[test]
    fn lines_that_tell_something_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let events = Events::to(path.clone()).unwrap();
        let head = "Nov 23 05:10:16 relay postfix";
        let delivery = format!(
            "{head}/smtp[7]: 4hLkX53kNtzjk: to=<b@c>, relay=none, delay=0.5, \
                                delays=0/0/0/0, dsn=4.4.1, status=deferred (connect: refused)"
        );
        // Nobody is there yet.
        events.line(&parse(&delivery), NOW);
        let sidecar = UnixDatagram::bind(&path).unwrap();
        events.line(&parse(&delivery), NOW);
        events.line(&parse(&format!("{head}/master[1]: daemon started")), NOW);
        events.line(&parse(&format!("{head}/smtp[7]: warning: no")), NOW);
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
    fn a_reader_that_does_not_read_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let _sidecar = UnixDatagram::bind(&path).unwrap();
        let events = Events::to(path).unwrap();
        let line = "Nov 23 05:10:16 relay postfix/smtpd[7]: connect from a[192.0.2.1]";
        for _ in 0..10_000 {
            events.line(&parse(line), NOW);
        }
        assert!(events.dropped.load(Ordering::Relaxed) > 0);
    }

    #[test]
    fn the_queue_is_told_with_the_age_of_its_oldest_message() {
        let oldest = Some(NOW);
        let active = Totals { count: 2, bytes: 7012, oldest };
        let state = QueueState { queues: vec![("active", active), ("hold", Totals::default())] };
        assert_eq!(
            of_queue(&state, 3, NOW + Duration::from_secs(5)),
            "{\"v\":1,\"event\":\"queue\",\"time\":\"1970-01-01T00:00:05.000Z\",\"dropped\":3,\
             \"queues\":{\"active\":{\"count\":2,\"bytes\":7012,\"oldest_seconds\":5},\
             \"hold\":{\"count\":0,\"bytes\":0}}}"
        );
    }
}
