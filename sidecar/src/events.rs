//! What Postfix did, as relay-init tells it: datagrams on `events.sock`, for the metrics and the
//! history. Each has JSON objects, one on a line.
//!
//! Best effort on both sides: what cannot be read is skipped, and nothing waits for it. relay-init's
//! `events.rs` and `report.rs` have the format.

pub mod deliveries;
pub mod kinds;
mod loose;
pub mod postfix;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use serde::Deserialize;
use tokio::net::UnixDatagram;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::metrics::Registry;
use crate::recorder::Recorder;
use deliveries::{Delivery, DeliveryMetrics};
use postfix::{PostfixMetrics, Queues, Report};

/// relay-init sends at most 16 KiB.
const MAX_DATAGRAM: usize = 16 * 1024;

#[derive(Debug, Clone)]
pub struct EventMetrics {
    deliveries: DeliveryMetrics,
    pub postfix: Arc<PostfixMetrics>,
}

impl EventMetrics {
    /// # Errors
    ///
    /// When a name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        Ok(Self {
            deliveries: DeliveryMetrics::register(registry)?,
            postfix: Arc::new(PostfixMetrics::register(registry)?),
        })
    }

    /// Counts and remembers what a datagram tells.
    fn count(&self, datagram: &[u8], history: &Recorder, now: Instant) {
        for event in datagram.split(|byte| *byte == b'\n').filter_map(Event::read) {
            self.postfix.heard(now);
            match event {
                Event::Delivery(delivery) => {
                    self.deliveries.count(&delivery);
                    if let Some(entry) = delivery.entry(clock::now()) {
                        history.add(entry);
                    }
                }
                Event::Retries { next } => history.retries(&next),
                Event::Queue { queues } => self.postfix.queues(&queues),
                Event::Postfix(report) => self.postfix.report(report),
            }
        }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "event", rename_all = "lowercase")]
enum Event<'a> {
    #[serde(borrow)]
    Delivery(Delivery<'a>),
    Queue {
        queues: Queues,
    },
    Postfix(Report),
    Retries {
        /// When Postfix tries again, by queue id.
        #[serde(borrow)]
        next: HashMap<&'a str, u64>,
    },
}

impl<'a> Event<'a> {
    /// `None` for what is not an event, or none that this version knows.
    fn read(line: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }
}

/// Counts until the process stops.
pub async fn count(
    socket: UnixDatagram,
    metrics: EventMetrics,
    history: Recorder,
    stopping: CancellationToken,
) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        let length = tokio::select! {
            received = socket.recv(&mut datagram) => received,
            () = stopping.cancelled() => return,
        };
        match length {
            Ok(length) => {
                let datagram = datagram.get(..length).unwrap_or_default();
                metrics.count(datagram, &history, Instant::now());
            }
            Err(error) => {
                tracing::error!(%error, "Postfix's deliveries and its queue are no longer counted");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Filter, Redaction};
    use crate::listener::bind_unix;

    /// As relay-init sends them.
    const EVENTS: [&str; 4] = [
        r#"{"v":2,"event":"delivery","time":"2026-11-23T05:10:16.123Z","level":"info","service":"smtp","pid":7,"queue_id":"4hLkX53kNtzjk","to":"\"\\\"\"@c","relay":"mx.google.com[192.0.2.1]:25","delays":"0/0/0/0","dsn":"4.7.5","status":"deferred","reason":"x","delay":0.5,"encrypted":true}"#,
        r#"{"v":2,"event":"queue","time":"2026-11-23T05:10:16.123Z","queues":{"hold":{"count":1,"bytes":7,"oldest_seconds":3}}}"#,
        r#"{"v":2,"event":"postfix","time":"2026-11-23T05:10:16.123Z","version":"3.10.13","lost":0,"certificates":{"server":1795435200},"volume":{"size":10,"free":5}}"#,
        r#"{"v":2,"event":"retries","time":"2026-11-23T05:10:16.123Z","next":{"4hLkX53kNtzjk":99999999999}}"#,
    ];

    #[test]
    fn the_events_of_relay_init_are_read_and_anything_else_is_skipped() {
        for event in EVENTS {
            assert!(Event::read(event.as_bytes()).is_some(), "{event}");
        }
        let others = ["", "{", "[]", "{\"event\":\"new\"}", "{\"v\":1}", "\u{0}"];
        for text in others {
            assert_eq!(Event::read(text.as_bytes()), None, "{text}");
        }
    }

    #[tokio::test]
    async fn datagrams_are_counted_and_a_stale_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.sock");
        let bind = || bind_unix(&path, |path| UnixDatagram::bind(path)).unwrap();
        drop(bind());
        let socket = bind();
        let registry = Registry::default();
        let metrics = EventMetrics::register(&registry).unwrap();
        let (stopping, history) =
            (CancellationToken::new(), Recorder::new(Redaction::None).unwrap());
        let counting = tokio::spawn(count(socket, metrics, history.clone(), stopping.clone()));
        let sender = UnixDatagram::unbound().unwrap();
        let datagram =
            [EVENTS[0], EVENTS[1], EVENTS[0], EVENTS[2], EVENTS[0], EVENTS[3]].join("\n");
        sender.send_to(datagram.as_bytes(), &path).await.unwrap();
        let expected = [
            "relay_deliveries_total{cause=\"tls\",status=\"deferred\"} 3",
            "relay_queue_bytes{queue=\"hold\"} 7",
            "relay_postfix_info{version=\"3.10.13\"} 1",
        ];
        let deadline = Instant::now() + std::time::Duration::from_secs(5);
        let text = || String::from_utf8(registry.text().unwrap()).unwrap();
        while !expected.iter().all(|series| text().contains(series)) {
            assert!(Instant::now() < deadline, "not counted: {}", text());
            tokio::task::yield_now().await;
        }
        stopping.cancel();
        counting.await.unwrap();
        let entries = history.find(&Filter::default(), 9).entries;
        assert_eq!(entries.len(), 3, "{entries:?}");
        assert!(entries.iter().all(|entry| entry.next_try == Some(99_999_999_999)), "{entries:?}");
    }
}
