//! What the sidecar is told every ten seconds, whether anything happened or not: the queue, and how
//! Postfix is. And if anything was deferred, when it is tried again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

use super::events::{Events, VERSION, json};
use super::facts::Known;
use crate::queue::state::{self, QueueState, Totals};

const PERIOD: Duration = Duration::from_secs(10);
/// Messages in one event; each takes at most 70 of a datagram's 16 KiB.
const RETRIES: usize = 200;

/// Reports for as long as the process lives.
///
/// It has a thread of its own because a disk that hangs must delay neither signals nor the log.
pub fn start(events: Events, queue_directory: PathBuf) -> std::io::Result<()> {
    thread::Builder::new().name("report".to_owned()).spawn(move || {
        loop {
            // No need to read the queue when nobody listens.
            if events.is_wanted() {
                let mut search = events.waiting().look();
                let queue = state::read(&queue_directory, &mut |id, metadata| {
                    if let Ok(modified) = metadata.modified() {
                        search.see(id, modified);
                    }
                });
                let known = events.facts().known();
                let volume = Volume::of(&queue_directory);
                events.send(&report(&queue, &known, volume, events.lost(), SystemTime::now()));
                for some in search.found.chunks(RETRIES) {
                    // What the sidecar has no room for is told with the next report.
                    if events.send(&retries(some, SystemTime::now())) {
                        events.waiting().found(some);
                    }
                }
            }
            thread::sleep(PERIOD);
        }
    })?;
    Ok(())
}

/// Next tries, by queue id.
fn retries(found: &[(String, u64)], now: SystemTime) -> Vec<u8> {
    let time = humantime::format_rfc3339_millis(now).to_string();
    let next = found.iter().map(|(id, time)| (id.as_str(), *time)).collect();
    json(&RetriesEvent { v: VERSION, event: "retries", time: &time, next })
}

#[derive(Debug, Serialize)]
struct RetriesEvent<'a> {
    v: u8,
    event: &'a str,
    time: &'a str,
    next: BTreeMap<&'a str, u64>,
}

/// Both events, in one datagram.
fn report(
    queue: &QueueState,
    known: &Known,
    volume: Option<Volume>,
    lost: u64,
    now: SystemTime,
) -> Vec<u8> {
    let time = humantime::format_rfc3339_millis(now).to_string();
    let seconds = |time: &SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let certificates = known.certificates.iter();
    let not_renewed = certificates.clone().filter(|known| known.is_not_renewed);
    let not_renewed = not_renewed.map(|known| known.role).collect();
    let certificates = certificates.map(|known| (known.role, seconds(&known.expires))).collect();
    let queues = queue.queues.iter().map(|(name, totals)| (*name, QueueTotals::new(totals, now)));
    let queue = QueueEvent { v: VERSION, event: "queue", time: &time, queues: queues.collect() };
    let postfix = PostfixEvent {
        v: VERSION,
        event: "postfix",
        time: &time,
        version: known.version.as_deref(),
        lost,
        certificates,
        not_renewed,
        volume,
    };
    [json(&queue), json(&postfix)].concat()
}

#[derive(Debug, Serialize)]
struct QueueEvent<'a> {
    v: u8,
    event: &'a str,
    time: &'a str,
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

impl QueueTotals {
    fn new(totals: &Totals, now: SystemTime) -> Self {
        // Zero if the clock was set back after the message arrived.
        let age = |arrival| now.duration_since(arrival).unwrap_or_default().as_secs();
        Self { count: totals.count, bytes: totals.bytes, oldest_seconds: totals.oldest.map(age) }
    }
}

#[derive(Debug, Serialize)]
struct PostfixEvent<'a> {
    v: u8,
    event: &'a str,
    time: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    lost: u64,
    #[serde(serialize_with = "as_map")]
    certificates: Vec<(&'static str, u64)>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_renewed: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    volume: Option<Volume>,
}

/// The volume that the queue is on, in bytes.
#[derive(Debug, Clone, Copy, Serialize)]
struct Volume {
    size: u64,
    free: u64,
    /// How many files there can be in all, and how many more; 0 where the file system has no such bound.
    inodes: u64,
    inodes_free: u64,
}

impl Volume {
    fn of(folder: &Path) -> Option<Self> {
        let volume = rustix::fs::statvfs(folder).ok()?;
        Some(Self {
            size: volume.f_blocks * volume.f_frsize,
            // Postfix is not root.
            free: volume.f_bavail * volume.f_frsize,
            inodes: volume.f_files,
            inodes_free: volume.f_favail,
        })
    }
}

fn as_map<S: Serializer, T: Serialize>(
    pairs: &[(&'static str, T)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maillog::facts::{CertificateState, Facts};

    fn text(queue: &QueueState, known: &Known, volume: Option<Volume>) -> String {
        let now = UNIX_EPOCH + Duration::from_secs(5);
        String::from_utf8(report(queue, known, volume, 3, now)).unwrap()
    }

    #[test]
    fn the_queue_is_told_with_the_age_of_its_oldest_message() {
        let oldest = Some(UNIX_EPOCH);
        let active = Totals { count: 2, bytes: 7012, oldest };
        let state = QueueState { queues: vec![("active", active), ("hold", Totals::default())] };
        assert_eq!(
            text(&state, &Known::default(), None),
            "{\"v\":2,\"event\":\"queue\",\"time\":\"1970-01-01T00:00:05.000Z\",\"queues\":\
             {\"active\":{\"count\":2,\"bytes\":7012,\"oldest_seconds\":5},\
             \"hold\":{\"count\":0,\"bytes\":0}}}\n\
             {\"v\":2,\"event\":\"postfix\",\"time\":\"1970-01-01T00:00:05.000Z\",\"lost\":3,\
             \"certificates\":{}}\n"
        );
    }

    #[test]
    fn next_tries_are_told_by_queue_id() {
        let event = retries(&[("4hLkX53kNtzjk".to_owned(), 1_795_435_200)], UNIX_EPOCH);
        assert_eq!(
            String::from_utf8(event).unwrap(),
            "{\"v\":2,\"event\":\"retries\",\"time\":\"1970-01-01T00:00:00.000Z\",\
             \"next\":{\"4hLkX53kNtzjk\":1795435200}}\n"
        );
    }

    #[test]
    fn version_certificates_and_volume_are_told_once_they_are_known() {
        let facts = Facts::default();
        facts.started("3.10.13");
        let expires = UNIX_EPOCH + Duration::from_secs(7);
        let server = CertificateState { role: "server", expires, is_not_renewed: true };
        facts.certificates(vec![server]);
        let volume = Some(Volume { size: 100, free: 40, inodes: 9, inodes_free: 8 });
        let known = facts.known();
        let text = text(&QueueState { queues: Vec::new() }, &known, volume);
        let (_, postfix) = text.split_once('\n').unwrap();
        assert_eq!(
            postfix,
            "{\"v\":2,\"event\":\"postfix\",\"time\":\"1970-01-01T00:00:05.000Z\",\
             \"version\":\"3.10.13\",\"lost\":3,\"certificates\":{\"server\":7},\"not_renewed\":[\"server\"],\
             \"volume\":{\"size\":100,\"free\":40,\"inodes\":9,\"inodes_free\":8}}\n"
        );
    }
}
