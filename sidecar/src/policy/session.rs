//! One connection of an smtpd process to the policy server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::protocol::{self, DecodeError, Request};
use super::rules;
use crate::access::{self, Facts, Rules, Verdict};
use crate::metrics::{Metrics, Service};
use crate::printable::Printable;
use crate::users::standing;
use crate::users::store::{StoreError, UserStore};

/// A peer that does not take our answer for this long is gone; Postfix reads at once.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all sessions share.
#[derive(Debug)]
pub struct PolicyService {
    pub rules: Arc<Rules>,
    pub store: UserStore,
    pub metrics: Metrics,
}

/// Why a session ended early. The connection is then closed without an answer: Postfix asks again,
/// and after that tells its client 451. A guess could relay mail that must not be relayed.
#[derive(Debug, Error)]
pub enum SessionError {
    #[error("the peer breaks the protocol: {0}")]
    Protocol(#[from] DecodeError),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the peer does not take our answer")]
    WriteTimeout,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Serves one connection until the peer closes it or the process stops. It is never closed for
/// being idle: smtpd would need a second to notice, at its client's expense.
///
/// # Errors
///
/// When the peer breaks the protocol or the connection, or the database cannot be read.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    service: Arc<PolicyService>,
    stopping: CancellationToken,
) -> Result<(), SessionError> {
    let mut buffer = Vec::with_capacity(2048);
    loop {
        while let Some((lines, used)) = protocol::next_request(&buffer)? {
            let verdict = answer(&service, &protocol::decode(lines)?)?;
            buffer.drain(..used);
            let text = protocol::encode(&verdict.action);
            match tokio::time::timeout(WRITE_TIMEOUT, stream.write_all(text.as_bytes())).await {
                Ok(written) => written?,
                Err(_) => return Err(SessionError::WriteTimeout),
            }
        }
        let read = tokio::select! {
            read = stream.read_buf(&mut buffer) => read?,
            () = stopping.cancelled() => return Ok(()),
        };
        if read == 0 {
            return Ok(());
        }
    }
}

/// Facts, decision, effects.
fn answer(service: &PolicyService, request: &Request<'_>) -> Result<Verdict, StoreError> {
    let claim = rules::claim(request);
    let login = claim.user.map(|user| standing(&service.store, user)).transpose()?;
    let facts = Facts { client: claim.client, login, tls: claim.tls };
    let verdict = access::decide(&service.rules, &facts);
    service.metrics.decision(Service::Policy, &verdict);
    tracing::info!(
        service = Service::Policy.label(),
        action = verdict.action.label(),
        reason = verdict.reason.label(),
        client = %Printable(request.client_address),
        port = %Printable(request.server_port),
        user = %Printable(request.sasl_username),
        sender = %Printable(request.sender),
        recipient = %Printable(request.recipient),
        queue_id = %Printable(request.queue_id),
        "recipient"
    );
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::networks::{self, Networks};
    use crate::users::{User, UserName};

    async fn ask(service: PolicyService, text: &str) -> (String, Result<(), SessionError>) {
        let (mut ours, theirs) = tokio::io::duplex(1 << 20);
        let session = tokio::spawn(serve(theirs, Arc::new(service), CancellationToken::new()));
        ours.write_all(text.as_bytes()).await.unwrap();
        ours.shutdown().await.unwrap();
        let mut answer = String::new();
        ours.read_to_string(&mut answer).await.unwrap();
        (answer, session.await.unwrap())
    }

    fn service(folder: &std::path::Path) -> PolicyService {
        let networks = Networks::new(networks::parse("192.0.2.0/24").unwrap(), Vec::new());
        PolicyService {
            rules: Arc::new(Rules { networks, login_enabled: true }),
            store: UserStore::open(folder).unwrap(),
            metrics: Metrics::new().unwrap(),
        }
    }

    fn request(client: &str, user: &str) -> String {
        format!(
            "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address={client}\n\
             sasl_username={user}\nencryption_protocol=TLSv1.3\n\n"
        )
    }

    #[tokio::test]
    async fn many_requests_on_one_connection() {
        let folder = tempfile::tempdir().unwrap();
        let service = service(folder.path());
        let alice = UserName::parse("alice").unwrap();
        service.store.add(&alice, &User::new("unused".into(), 0, None)).unwrap();
        let text = request("192.0.2.9", "")
            + &request("203.0.113.9", "")
            + &request("203.0.113.9", "alice")
            + &request("203.0.113.9", "bob");
        let (answer, end) = ask(service, &text).await;
        let actions: Vec<_> =
            answer.split("\n\n").map(|action| action.get(..12).unwrap_or(action)).collect();
        assert_eq!(actions, ["action=DUNNO", "action=554 5", "action=DUNNO", "action=554 5", ""]);
        assert!(end.is_ok());
    }

    #[tokio::test]
    async fn trouble_closes_the_connection_without_an_answer() {
        let damaged = request("203.0.113.9", "alice");
        let too_long = "x".repeat(protocol::MAX_REQUEST + 1);
        for text in [damaged.as_str(), "request=junk\n\n", "junk\n\n", &too_long] {
            let folder = tempfile::tempdir().unwrap();
            let service = service(folder.path());
            let alice = UserName::parse("alice").unwrap();
            service.store.add(&alice, &User::new("unused".into(), 0, None)).unwrap();
            service.store.damage(&alice);
            let (answer, end) = ask(service, text).await;
            assert_eq!(answer, "", "{text:.40}");
            assert!(end.is_err(), "{text:.40}");
        }
    }
}
