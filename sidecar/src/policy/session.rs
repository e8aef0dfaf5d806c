//! One connection of an smtpd process to the policy server.

use std::io;
use std::pin::pin;
use std::sync::Arc;

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::protocol::{self, DecodeError, Request};
use super::rules::{self, Tally};
use crate::access::{Action, Verdict};
use crate::clock::now;
use crate::decision::metrics::Asker;
use crate::decision::{Decider, Stage};
use crate::history::{Entry, Event};
use crate::labels::Label;
use crate::listener::{hung_up, write_answer};
use crate::printable::Printable;
use crate::reply::Reply;
use crate::store::StoreError;

/// What is read at a time; a request is rarely longer.
const PIECE: usize = 2048;

/// Why a session ended early. The connection is then closed without an answer: Postfix asks again,
/// and then tells its client 451. A guess could relay mail that must not be relayed.
#[derive(Debug, Error)]
pub enum SessionError {
    #[error("the peer breaks the protocol: {0}")]
    Protocol(#[from] DecodeError),
    #[error("{0}")]
    Io(#[from] io::Error),
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
    decider: Arc<Decider>,
    stopping: CancellationToken,
) -> Result<(), SessionError> {
    match run(stream, &decider, &stopping).await {
        Err(SessionError::Io(error)) if hung_up(&error) => Ok(()),
        end => end,
    }
}

async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    decider: &Decider,
    stopping: &CancellationToken,
) -> Result<(), SessionError> {
    // Filled once: room that is not would be cleared before every read.
    let (mut buffer, mut piece) = (Vec::with_capacity(PIECE), vec![0; PIECE]);
    let mut tally = Tally::default();
    // Registered once, and not again for every request.
    let mut stopped = pin!(stopping.cancelled());
    loop {
        while let Some((lines, used)) = protocol::next_request(&buffer)? {
            let verdict = answer(decider, &mut tally, &protocol::decode(lines)?).await?;
            buffer.drain(..used);
            let text = protocol::encode(&verdict.action);
            write_answer(&mut stream, &text).await?;
        }
        let read = tokio::select! {
            biased;
            read = stream.read(&mut piece) => read?,
            () = stopped.as_mut() => return Ok(()),
        };
        if read == 0 {
            return Ok(());
        }
        buffer.extend_from_slice(piece.get(..read).unwrap_or_default());
    }
}

/// Question, answer, effects.
async fn answer(
    decider: &Decider,
    tally: &mut Tally,
    request: &Request<'_>,
) -> Result<Verdict, SessionError> {
    let question = rules::question(request, tally);
    let at_rcpt = matches!(question.stage, Stage::Recipient { .. });
    let verdict = decider.answer(Asker::Policy, question).await?;
    let permitted = verdict.action == Action::Permit;
    if at_rcpt && permitted {
        tally.permitted();
    }
    log(request, &verdict);
    if let Action::Refuse(reply) = &verdict.action {
        decider.history.add(refusal(request, &verdict, reply));
    }
    Ok(verdict)
}

/// For the history. What is permitted is there once it is a message.
fn refusal(request: &Request<'_>, verdict: &Verdict, reply: &Reply) -> Entry {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Entry {
        queue_id: text(request.queue_id),
        user: text(request.sasl_username),
        client: text(request.client_address),
        sender: if request.sender.is_empty() { "<>".to_owned() } else { text(request.sender) },
        recipients: text(request.recipient),
        reason: verdict.reason.label().to_owned(),
        answer: reply.text().to_owned(),
        ..Entry::new(now(), Event::Refused)
    }
}

/// One line for every refusal. What is permitted shows at debug level; if it becomes a message, the
/// milter has a line for that.
fn log(request: &Request<'_>, verdict: &Verdict) {
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                action = %verdict.reason.action(),
                reason = %verdict.reason.label(),
                client = %Printable(request.client_address),
                port = %Printable(request.server_port),
                stage = %Printable(request.protocol_state),
                user = %Printable(request.sasl_username),
                sender = %Printable(request.sender),
                recipient = %Printable(request.recipient),
                queue_id = %Printable(request.queue_id),
                "policy"
            )
        };
    }
    match verdict.action {
        Action::Permit => line!(debug),
        Action::Refuse(_) => line!(info),
    }
}

#[cfg(test)]
mod tests;
