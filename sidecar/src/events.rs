//! What Postfix did, as relay-init tells it: datagrams of JSON on `events.sock`, for the metrics.
//!
//! Best effort on both sides: what cannot be read is left out, and nothing waits for it. The format
//! stands in relay-init's `events.rs`; only deliveries are counted here.

use serde::Deserialize;
use tokio::net::UnixDatagram;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// relay-init sends at most 16 KiB.
const MAX_DATAGRAM: usize = 16 * 1024;

/// How a delivery to one recipient ended, as label value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Sent,
    Deferred,
    Bounced,
    Other,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::Sent, Self::Deferred, Self::Bounced, Self::Other];

    pub fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Deferred => "deferred",
            Self::Bounced => "bounced",
            Self::Other => "other",
        }
    }

    fn of(word: &str) -> Self {
        Self::ALL.into_iter().find(|status| status.label() == word).unwrap_or(Self::Other)
    }
}

/// What a delivery failed of, by the subject of its enhanced status code (RFC 3463 section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    None,
    Address,
    Mailbox,
    System,
    Network,
    Protocol,
    Content,
    /// No TLS, or a certificate that does not prove the next hop's name.
    Tls,
    Policy,
    Other,
}

impl Cause {
    pub const ALL: [Self; 10] = [
        Self::None,
        Self::Address,
        Self::Mailbox,
        Self::System,
        Self::Network,
        Self::Protocol,
        Self::Content,
        Self::Tls,
        Self::Policy,
        Self::Other,
    ];

    pub fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Address => "address",
            Self::Mailbox => "mailbox",
            Self::System => "system",
            Self::Network => "network",
            Self::Protocol => "protocol",
            Self::Content => "content",
            Self::Tls => "tls",
            Self::Policy => "policy",
            Self::Other => "other",
        }
    }

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
            // Postfix: 4.7.4 for TLS that is not offered, 4.7.5 for a certificate.
            (Some("4"), Some("7"), Some("4" | "5")) => Self::Tls,
            (_, Some("7"), _) => Self::Policy,
            _ => Self::Other,
        }
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

/// The delivery that a datagram tells of.
fn delivery(datagram: &[u8]) -> Option<(Status, Cause)> {
    let event: Event<'_> = serde_json::from_slice(datagram).ok()?;
    (event.event == "delivery").then(|| (Status::of(event.status), Cause::of(event.dsn)))
}

/// Counts until the process stops.
pub async fn count(socket: UnixDatagram, metrics: Metrics, stopping: CancellationToken) {
    let mut datagram = vec![0; MAX_DATAGRAM];
    loop {
        let length = tokio::select! {
            received = socket.recv(&mut datagram) => received,
            () = stopping.cancelled() => return,
        };
        match length {
            Ok(length) => {
                if let Some((status, cause)) = datagram.get(..length).and_then(delivery) {
                    metrics.delivery(status, cause);
                }
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
    fn deliveries_are_told_apart_by_status_and_cause() {
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
                "{{\"v\":1,\"event\":\"delivery\",\"status\":\"{status}\",\"dsn\":\"{dsn}\",\"delay\":0.5}}"
            );
            assert_eq!(
                delivery(json.as_bytes()),
                Some((expected_status, expected_cause)),
                "{json}"
            );
        }
    }

    #[test]
    fn what_is_no_delivery_is_left_out() {
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
        let metrics = Metrics::new().unwrap();
        let stopping = CancellationToken::new();
        let counting = tokio::spawn(count(socket, metrics.clone(), stopping.clone()));
        let sender = UnixDatagram::unbound().unwrap();
        let json = b"{\"event\":\"delivery\",\"status\":\"deferred\",\"dsn\":\"4.7.5\"}";
        sender.send_to(json, &path).await.unwrap();
        let expected = "relay_deliveries_total{cause=\"tls\",status=\"deferred\"} 1";
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
        while !String::from_utf8(metrics.text(None).unwrap()).unwrap().contains(expected) {
            assert!(std::time::Instant::now() < deadline, "not counted");
            tokio::task::yield_now().await;
        }
        stopping.cancel();
        counting.await.unwrap();
    }
}
