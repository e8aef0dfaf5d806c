//! What Postfix did, as relay-init tells it: datagrams on `events.sock`, for the metrics. Each has
//! JSON objects, one on a line.
//!
//! Best effort on both sides: what cannot be read is skipped, and nothing waits for it. relay-init's
//! `events.rs` has the format; only deliveries are counted here.

use serde::Deserialize;
use tokio::net::UnixDatagram;
use tokio_util::sync::CancellationToken;

use crate::labels::{Label, label_enum};
use crate::metrics::{Counters, Registry};

/// relay-init sends at most 16 KiB.
const MAX_DATAGRAM: usize = 16 * 1024;

label_enum! {
    /// How a delivery to one recipient ended.
    pub enum Status("status") {
        Sent = "sent",
        Deferred = "deferred",
        Bounced = "bounced",
        Other = "other",
    }
}

impl Status {
    fn of(word: &str) -> Self {
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

/// Deliveries by status and cause.
#[derive(Debug, Clone)]
pub struct DeliveryMetrics(Counters<(Status, Cause)>);

impl DeliveryMetrics {
    /// # Errors
    ///
    /// When the name is taken.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let help = "Deliveries by Postfix, one for each recipient";
        Ok(Self(registry.counters("relay_deliveries_total", help)?))
    }
}

#[derive(Deserialize)]
struct Event<'a> {
    event: &'a str,
    #[serde(default)]
    status: &'a str,
    #[serde(default)]
    dsn: &'a str,
}

/// The deliveries that a datagram reports.
fn deliveries(datagram: &[u8]) -> impl Iterator<Item = (Status, Cause)> {
    datagram.split(|byte| *byte == b'\n').filter_map(delivery)
}

fn delivery(line: &[u8]) -> Option<(Status, Cause)> {
    let event: Event<'_> = serde_json::from_slice(line).ok()?;
    (event.event == "delivery").then(|| (Status::of(event.status), Cause::of(event.dsn)))
}

/// Counts until the process stops.
pub async fn count(socket: UnixDatagram, metrics: DeliveryMetrics, stopping: CancellationToken) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        let length = tokio::select! {
            received = socket.recv(&mut datagram) => received,
            () = stopping.cancelled() => return,
        };
        match length {
            Ok(length) => {
                let datagram = datagram.get(..length).unwrap_or_default();
                deliveries(datagram).for_each(|delivery| metrics.0.inc(delivery));
            }
            Err(error) => {
                tracing::error!(%error, "deliveries are no longer counted");
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::bind_unix;

    #[test]
    fn deliveries_are_sorted_by_status_and_cause() {
        let cases = [
            ("sent", "2.0.0", Status::Sent, Cause::None),
            ("deferred", "4.4.1", Status::Deferred, Cause::Network),
            ("deferred", "4.7.5", Status::Deferred, Cause::Tls),
            ("deferred", "4.7.4", Status::Deferred, Cause::Tls),
            ("bounced", "5.7.1", Status::Bounced, Cause::Policy),
            ("bounced", "5.1.1", Status::Bounced, Cause::Address),
            ("bounced", "5.2.2", Status::Bounced, Cause::Mailbox),
            ("expired", "4.4.7", Status::Other, Cause::Network),
            ("deferred", "nonsense", Status::Deferred, Cause::Other),
        ];
        for (status, dsn, expected_status, expected_cause) in cases {
            let json = format!(
                "{{\"v\":2,\"event\":\"delivery\",\"status\":\"{status}\",\"dsn\":\"{dsn}\",\"delay\":0.5}}"
            );
            assert_eq!(
                delivery(json.as_bytes()),
                Some((expected_status, expected_cause)),
                "{json}"
            );
        }
    }

    #[test]
    fn anything_but_a_delivery_is_skipped() {
        for text in ["", "{", "[]", "{\"event\":\"queue\",\"queues\":{}}", "{\"v\":1}", "\u{0}"] {
            assert_eq!(delivery(text.as_bytes()), None, "{text}");
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
        let metrics = DeliveryMetrics::register(&registry).unwrap();
        let stopping = CancellationToken::new();
        let counting = tokio::spawn(count(socket, metrics, stopping.clone()));
        let sender = UnixDatagram::unbound().unwrap();
        let json = "{\"event\":\"delivery\",\"status\":\"deferred\",\"dsn\":\"4.7.5\"}\n";
        sender.send_to(json.repeat(3).as_bytes(), &path).await.unwrap();
        let expected = "relay_deliveries_total{cause=\"tls\",status=\"deferred\"} 3";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !String::from_utf8(registry.text().unwrap()).unwrap().contains(expected) {
            assert!(std::time::Instant::now() < deadline, "not counted");
            tokio::task::yield_now().await;
        }
        stopping.cancel();
        counting.await.unwrap();
    }
}
