//! One connection of Postfix's (or another client's) to the SASL server.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::authenticator::Authenticator;
use super::connection::{ConnectionError, LineConnection};
use super::mechanism::{self, Credentials, Exchange, Mechanism, Step};
use super::metrics::AuthMetrics;
use super::outcome::{AuthResult, Outcome};
use super::protocol::{self, Auth, Command, FailCode, Reply};
use crate::addresses;
use crate::labels::Label;
use crate::printable::Printable;
use crate::service::{Service, ServiceMetrics};

/// Exchanges that one connection may have open. Postfix has one at a time, but leaves it open when
/// its client hangs up and never says so: the oldest makes room for a new one.
const MAX_PENDING: usize = 8;
/// An exchange older than this is over: Dovecot's AUTH_REQUEST_TIMEOUT_SECS.
const MAX_AGE: Duration = Duration::from_secs(150);
/// The same words for every refusal, so that they do not tell which it was.
const REFUSED: &str = "wrong user name or password";

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
    refusal_delay: Duration,
    connections: AtomicU64,
}

impl SaslService {
    pub fn new(
        authenticator: Authenticator,
        metrics: AuthMetrics,
        services: ServiceMetrics,
        refusal_delay: Duration,
    ) -> Self {
        Self { authenticator, metrics, services, refusal_delay, connections: AtomicU64::new(0) }
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
        pending: VecDeque::new(),
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
    pending: VecDeque<Pending>,
}

/// An exchange that waits for a response, and what its AUTH line said.
#[derive(Debug)]
struct Pending {
    request: Request,
    exchange: Exchange,
    since: Instant,
}

#[derive(Debug, Clone)]
struct Request {
    id: u32,
    mechanism: Mechanism,
    /// The client's address, as Postfix wrote it and safe to print.
    client: String,
    address: Option<IpAddr>,
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
        while let Some(line) = self.connection.next_line(&stopping).await? {
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
                self.pending.retain(|pending| pending.request.id != id);
                Ok(())
            }
            Command::Cpid | Command::Unknown => Ok(()),
        }
    }

    async fn begin(&mut self, auth: &Auth<'_>) -> Result<(), SessionError> {
        let started = Instant::now();
        // Using an open id again is the peer's way of abandoning the older exchange.
        self.pending.retain(|p| p.request.id != auth.id && p.since.elapsed() < MAX_AGE);
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
        let position = self
            .pending
            .iter()
            .position(|pending| pending.request.id == id && pending.since.elapsed() < MAX_AGE);
        let Some(pending) = position.and_then(|position| self.pending.remove(position)) else {
            let reason = "Authentication request timed out";
            let reply = Reply::Fail { id, user: None, code: None, reason };
            return Ok(self.connection.write(&protocol::encode(&reply)).await?);
        };
        let Some(response) = mechanism::decode_base64(response) else {
            let outcome = Outcome::of(AuthResult::Malformed);
            return self.end(&pending.request, &outcome, started).await;
        };
        let step = mechanism::resume(pending.exchange, &response);
        self.step(pending.request, step, started).await
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
                if self.pending.len() >= MAX_PENDING {
                    self.pending.pop_front();
                }
                self.pending.push_back(Pending { request, exchange, since: started });
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
        log(mechanism, client, outcome, took);
        if outcome.result.asks_to_come_back() && self.minor_version == 0 {
            return Err(SessionError::ComeBack);
        }
        let line = final_reply(id, outcome);
        Ok(self.connection.write(&line).await?)
    }
}

/// One line for every login that is refused; those that succeed show at debug level. README gives
/// the pattern by which fail2ban finds the client's address in the line: the fields before it hold
/// nothing that a client chose.
fn log(mechanism: Option<Mechanism>, client: &str, outcome: &Outcome, took: Duration) {
    let user = outcome.user.as_ref().map(|user| user.as_str()).unwrap_or_default();
    let (result, mechanism) = (outcome.result.label(), mechanism.map_or("other", Mechanism::name));
    let (user, milliseconds) = (Printable(user.as_bytes()), took.as_millis());
    match outcome.result {
        AuthResult::Accepted => {
            tracing::debug!(%result, %client, %mechanism, %user, milliseconds, "login accepted");
        }
        // It did nothing wrong, and has been logged as trouble.
        AuthResult::Trouble => {}
        // Not for fail2ban: the client may well have the right password.
        AuthResult::LimitedUser => {
            tracing::warn!(%result, %client, %mechanism, %user, milliseconds, "login deferred");
        }
        _ => tracing::warn!(%result, %client, %mechanism, %user, milliseconds, "login refused"),
    }
}

/// The reply for an outcome. Wrong password, unknown user and disabled user read the same; `user=`
/// is for Postfix's log, and absent where the name cannot be anybody's.
fn final_reply(id: u32, outcome: &Outcome) -> String {
    let user = outcome.user.as_ref().map(|user| user.as_str());
    let (code, reason) = match (outcome.result, user) {
        (AuthResult::Accepted, Some(user)) => return protocol::encode(&Reply::Ok { id, user }),
        (AuthResult::NotSecured, _) => (None, "encryption required: use STARTTLS or port 465"),
        (AuthResult::LoginOff, _) => (None, "login is switched off"),
        (AuthResult::UnsupportedMechanism, _) => {
            (None, "mechanism not supported: use PLAIN or LOGIN")
        }
        (AuthResult::Malformed, _) => (Some(FailCode::InvalidBase64), "malformed response"),
        (AuthResult::Trouble | AuthResult::LimitedAddress | AuthResult::LimitedUser, _) => {
            (Some(FailCode::TempFail), "Temporary authentication failure")
        }
        (
            AuthResult::Accepted
            | AuthResult::OtherIdentity
            | AuthResult::WrongPassword
            | AuthResult::UserUnknown
            | AuthResult::UserDisabled
            | AuthResult::UserSuspended
            | AuthResult::Expired
            | AuthResult::OtherNetwork,
            _,
        ) => (None, REFUSED),
    };
    protocol::encode(&Reply::Fail { id, user, code, reason })
}

#[cfg(test)]
mod tests;
