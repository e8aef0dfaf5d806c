//! One connection of Postfix's (or another client's) to the SASL server.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::answer;
use super::authenticator::Authenticator;
use super::connection::{ConnectionError, LineConnection};
use super::mechanism::{self, Credentials, Mechanism, Step};
use super::metrics::AuthMetrics;
use super::outcome::{AuthResult, Outcome};
use super::pending::{Pending, Request};
use super::protocol::{self, Auth, Command, Reply};
use crate::addresses;
use crate::clock::now;
use crate::printable::Printable;
use crate::recorder::Recorder;
use crate::service::{Service, ServiceMetrics};

/// Every answer but yes comes this long after the request, whatever the reason and however little
/// it cost, so that its time tells nothing. It also slows down guessing on one connection. A wrong
/// password of a user with eight passwords takes a quarter of it.
pub const REFUSAL_DELAY: Duration = Duration::from_secs(1);

/// What all sessions share.
#[derive(Debug)]
pub struct SaslService {
    pub authenticator: Authenticator,
    metrics: AuthMetrics,
    services: ServiceMetrics,
    history: Recorder,
    refusal_delay: Duration,
    connections: AtomicU64,
}

impl SaslService {
    pub fn new(
        authenticator: Authenticator,
        metrics: AuthMetrics,
        services: ServiceMetrics,
        history: Recorder,
        refusal_delay: Duration,
    ) -> Self {
        let connections = AtomicU64::new(0);
        Self { authenticator, metrics, services, history, refusal_delay, connections }
    }
}

/// Why a session ended early.
#[derive(Debug, Error)]
pub enum SessionError {
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Postfix turns a closed connection into 454, and every FAIL into a permanent 535. The login
    /// itself is in the log already.
    #[error("closed, so that the client tries again later")]
    ComeBack,
}

/// Serves one connection until the peer closes it, or the process stops and nothing is pending.
///
/// # Errors
///
/// When the peer breaks the protocol or the connection, or when a password cannot be checked now.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    service: Arc<SaslService>,
    stopping: CancellationToken,
) -> Result<(), SessionError> {
    let mut session = Session {
        connection: LineConnection::new(stream),
        service,
        minor_version: 0,
        pending: Pending::default(),
    };
    match session.run(stopping).await {
        Err(SessionError::Connection(error)) if error.is_hang_up() => Ok(()),
        Err(SessionError::ComeBack) => Ok(()),
        end => end,
    }
}

struct Session<S> {
    connection: LineConnection<S>,
    service: Arc<SaslService>,
    minor_version: u32,
    pending: Pending,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Session<S> {
    async fn greet(&mut self) -> Result<(), SessionError> {
        let mut cookie = [0; 16];
        getrandom::fill(&mut cookie)
            .map_err(|error| ConnectionError::Io(io::Error::other(error.to_string())))?;
        let connection_id = self.service.connections.fetch_add(1, Ordering::Relaxed) + 1;
        let handshake = protocol::handshake(std::process::id(), connection_id, cookie);
        Ok(self.connection.write(&handshake).await?)
    }

    async fn run(&mut self, stopping: CancellationToken) -> Result<(), SessionError> {
        self.greet().await?;
        // Registered once, and not again for every line.
        let mut stopped = pin!(stopping.cancelled());
        while let Some(line) = self.connection.next_line(stopped.as_mut()).await? {
            self.handle(&line).await?;
        }
        Ok(())
    }

    async fn handle(&mut self, line: &[u8]) -> Result<(), SessionError> {
        match protocol::decode(line).map_err(ConnectionError::from)? {
            Command::Version { minor, .. } => {
                self.minor_version = minor;
                Ok(())
            }
            Command::Auth(auth) => self.begin(&auth).await,
            Command::Cont { id, response } => self.go_on(id, response).await,
            Command::Cancel { id } => {
                self.pending.abandon(id);
                Ok(())
            }
            Command::Cpid | Command::Unknown => Ok(()),
        }
    }

    async fn begin(&mut self, auth: &Auth<'_>) -> Result<(), SessionError> {
        let started = Instant::now();
        // Using an open id again is the peer's way of abandoning the older exchange.
        self.pending.abandon(auth.id);
        let client = Printable(auth.remote_address.unwrap_or(b"unknown")).to_string();
        let Some(mechanism) = Mechanism::by_name(auth.mechanism) else {
            let outcome = Outcome::of(AuthResult::UnsupportedMechanism);
            return self.finish(auth.id, None, &client, &outcome, started).await;
        };
        let address = auth.remote_address.and_then(addresses::parse);
        let request = Request { id: auth.id, mechanism, client, address };
        let refusal = if !self.service.authenticator.enabled() {
            Some(AuthResult::LoginOff)
        } else if !auth.secured {
            Some(AuthResult::NotSecured)
        } else {
            None
        };
        if let Some(result) = refusal {
            return self.end(&request, &Outcome::of(result), started).await;
        }
        // Before version 1.2 an empty `resp=` meant that there is none (Exim always sends it).
        let initial = auth.initial_response.filter(|r| !r.is_empty() || self.minor_version >= 2);
        let decoded = match initial.map(mechanism::decode_base64) {
            None => None,
            Some(Some(decoded)) => Some(decoded),
            Some(None) => {
                return self.end(&request, &Outcome::of(AuthResult::Malformed), started).await;
            }
        };
        let step = mechanism::start(mechanism, decoded.as_ref().map(|d| d.as_slice()));
        self.step(request, step, started).await
    }

    async fn go_on(&mut self, id: u32, response: &[u8]) -> Result<(), SessionError> {
        let started = Instant::now();
        let Some((request, exchange)) = self.pending.take(id) else {
            let reason = "Authentication request timed out";
            let reply = Reply::Fail { id, user: None, code: None, reason };
            return Ok(self.connection.write(&protocol::encode(&reply)).await?);
        };
        let Some(response) = mechanism::decode_base64(response) else {
            let outcome = Outcome::of(AuthResult::Malformed);
            return self.end(&request, &outcome, started).await;
        };
        let step = mechanism::resume(exchange, &response);
        self.step(request, step, started).await
    }

    async fn step(
        &mut self,
        request: Request,
        step: Step,
        started: Instant,
    ) -> Result<(), SessionError> {
        match step {
            Step::Challenge(challenge, exchange) => {
                let challenge = mechanism::encode_base64(challenge);
                let reply = Reply::Cont { id: request.id, challenge: &challenge };
                let line = protocol::encode(&reply);
                self.pending.add(request, exchange, started);
                Ok(self.connection.write(&line).await?)
            }
            Step::Malformed => {
                self.end(&request, &Outcome::of(AuthResult::Malformed), started).await
            }
            Step::Verify(credentials) => self.verify(&request, credentials, started).await,
        }
    }

    async fn verify(
        &mut self,
        request: &Request,
        credentials: Credentials,
        started: Instant,
    ) -> Result<(), SessionError> {
        let checked = self.service.authenticator.check(&credentials, request.address).await;
        let outcome = checked.unwrap_or_else(|trouble| {
            self.service.services.trouble.inc(Service::Sasl);
            tracing::error!(
                client = request.client,
                mechanism = request.mechanism.name(),
                error = %trouble,
                "login not decided; the client is told to try again later"
            );
            Outcome::of(AuthResult::Trouble)
        });
        if outcome.result != AuthResult::Accepted {
            let due = tokio::time::Instant::from_std(started + self.service.refusal_delay);
            tokio::time::sleep_until(due).await;
        }
        self.end(request, &outcome, started).await
    }

    async fn end(
        &mut self,
        request: &Request,
        outcome: &Outcome,
        started: Instant,
    ) -> Result<(), SessionError> {
        self.finish(request.id, Some(request.mechanism), &request.client, outcome, started).await
    }

    /// All effects of a decided login, in one order: counters, one log line, the one final reply.
    async fn finish(
        &mut self,
        id: u32,
        mechanism: Option<Mechanism>,
        client: &str,
        outcome: &Outcome,
        started: Instant,
    ) -> Result<(), SessionError> {
        let took = started.elapsed();
        self.service.metrics.finished(mechanism, outcome.result, took);
        answer::log(mechanism, client, outcome, took);
        if outcome.result != AuthResult::Accepted {
            self.service.history.add(answer::refusal(client, outcome, now()));
        }
        if outcome.result.asks_to_come_back() && self.minor_version == 0 {
            return Err(SessionError::ComeBack);
        }
        let line = answer::final_reply(id, outcome);
        Ok(self.connection.write(&line).await?)
    }
}

#[cfg(test)]
mod tests;
