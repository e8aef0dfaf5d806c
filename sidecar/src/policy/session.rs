//! One connection of an smtpd process to the policy server.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_util::sync::CancellationToken;

use super::protocol::{self, DecodeError, Request};
use super::rules::{self, Stage, Tally};
use crate::access::{self, Action, Facts, Rules, Verdict};
use crate::alerts::Alerts;
use crate::ledger::{Charged, Ledger, Subject};
use crate::listener::hung_up;
use crate::metrics::{Metrics, Service};
use crate::printable::Printable;
use crate::users::store::{ChangeError, StoreError, UserStore};
use crate::users::{self, UserName};

/// A peer that does not take our answer for this long is gone; Postfix reads at once.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// What all sessions share.
#[derive(Debug)]
pub struct PolicyService {
    pub rules: Arc<Rules>,
    pub store: UserStore,
    pub ledger: Arc<Ledger>,
    pub alerts: Alerts,
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
    stream: S,
    service: Arc<PolicyService>,
    stopping: CancellationToken,
) -> Result<(), SessionError> {
    match run(stream, &service, &stopping).await {
        Err(SessionError::Io(error)) if hung_up(&error) => Ok(()),
        end => end,
    }
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    service: &PolicyService,
    stopping: &CancellationToken,
) -> Result<(), SessionError> {
    let mut buffer = Vec::with_capacity(2048);
    let mut tally = Tally::default();
    loop {
        while let Some((lines, used)) = protocol::next_request(&buffer)? {
            let verdict = answer(service, &mut tally, &protocol::decode(lines)?).await?;
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
async fn answer(
    service: &PolicyService,
    tally: &mut Tally,
    request: &Request<'_>,
) -> Result<Verdict, SessionError> {
    let claim = rules::claim(request);
    let now = users::now();
    let found = claim.user.map(|user| users::find(&service.store, user)).transpose()?.flatten();
    let facts = Facts {
        client: claim.client,
        login: claim.user.map(|user| users::login(user, found.as_ref(), now)),
        tls: claim.tls,
        sender: claim.sender.clone(),
        authors: Ok(Vec::new()),
    };
    let mut verdict = access::decide(&service.rules, &facts);
    if verdict.action == Action::Permit {
        let subject = match (&found, claim.client) {
            (Some((name, user)), _) => Some(service.ledger.user(name, user)),
            (None, client) => client.map(|client| service.ledger.network(client)),
        };
        match subject.map(|subject| charge(service, tally, request, claim.stage, &subject, now)) {
            None | Some(Charged::Within) => {}
            Some(Charged::Exceeded(exceeded)) => verdict = access::over_limit(&exceeded.limit),
            Some(Charged::PassedCeiling) => {
                if let Some((name, _)) = found {
                    suspend(service, name, Printable(request.client_address).to_string()).await?;
                }
                verdict = access::suspended();
            }
        }
    }
    // At DATA a message is charged; that it may go on was told for each of its recipients already.
    if claim.stage == Stage::Recipient || verdict.action != Action::Permit {
        service.metrics.decision(Service::Policy, &verdict);
        log(request, &verdict);
    }
    Ok(verdict)
}

fn charge(
    service: &PolicyService,
    tally: &mut Tally,
    request: &Request<'_>,
    stage: Stage,
    subject: &Subject,
    now: u64,
) -> Charged {
    match stage {
        Stage::Recipient => {
            let recipients = tally.with_one_more(request.instance);
            let charged = service.ledger.look_ahead(subject, now, recipients);
            if charged == Charged::Within {
                tally.permitted();
            }
            charged
        }
        Stage::Data { recipients } => service.ledger.charge(subject, now, recipients),
        Stage::Other => Charged::Within,
    }
}

/// Marks the user in the database, so that login and mail are refused from now on, and tells it
/// once: a user sends over many connections.
async fn suspend(
    service: &PolicyService,
    name: UserName,
    client: String,
) -> Result<(), SessionError> {
    let (store, user) = (service.store.clone(), name.clone());
    let marked = tokio::task::spawn_blocking(move || {
        let mut first = false;
        store.update(&user, |user| {
            first = user.suspended.is_none();
            user.suspended.get_or_insert_with(users::now);
        })?;
        Ok::<bool, ChangeError>(first)
    });
    match marked.await {
        Ok(Ok(true)) => {}
        // Marked by another connection, or removed a moment ago.
        Ok(Ok(false) | Err(ChangeError::Unknown(_) | ChangeError::Exists(_))) => return Ok(()),
        Ok(Err(ChangeError::Store(error))) => return Err(error.into()),
        Err(error) => return Err(io::Error::other(error).into()),
    }
    tracing::error!(
        user = %name, %client,
        "user suspended: it tried to send more than SUSPEND_AFTER allows; its password may be \
         stolen. Change it, then run: relay user enable {name}"
    );
    service.metrics.suspended();
    service.alerts.suspended(&name, &client, users::now());
    Ok(())
}

fn log(request: &Request<'_>, verdict: &Verdict) {
    tracing::info!(
        action = %verdict.action.label(),
        reason = %verdict.reason.label(),
        client = %Printable(request.client_address),
        port = %Printable(request.server_port),
        stage = %Printable(request.protocol_state),
        user = %Printable(request.sasl_username),
        sender = %Printable(request.sender),
        recipient = %Printable(request.recipient),
        queue_id = %Printable(request.queue_id),
        "policy"
    );
}

#[cfg(test)]
mod tests;
