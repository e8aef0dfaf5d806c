//! The exchanges of a connection that wait for a response. Pure, but for their age.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::mechanism::{Exchange, Mechanism};

/// Exchanges that one connection may have open. Postfix has one at a time, but leaves it open when
/// its client hangs up and never says so: the oldest makes room for a new one.
const MAX_PENDING: usize = 8;
/// An exchange older than this is over: Dovecot's AUTH_REQUEST_TIMEOUT_SECS.
const MAX_AGE: Duration = Duration::from_secs(150);
/// What an AUTH line said.
#[derive(Debug, Clone)]
pub struct Request {
    pub id: u32,
    pub mechanism: Mechanism,
    /// The client's address, as Postfix wrote it and safe to print.
    pub client: String,
    pub address: Option<IpAddr>,
}

/// The exchanges that are open, oldest first.
#[derive(Debug, Default)]
pub struct Pending(VecDeque<(Request, Exchange, Instant)>);

impl Pending {
    pub fn add(&mut self, request: Request, exchange: Exchange, since: Instant) {
        if self.0.len() >= MAX_PENDING {
            self.0.pop_front();
        }
        self.0.push_back((request, exchange, since));
    }

    /// Takes an exchange out, unless it is too old.
    pub fn take(&mut self, id: u32) -> Option<(Request, Exchange)> {
        let is_wanted = |(request, _, since): &(Request, Exchange, Instant)| {
            request.id == id && since.elapsed() < MAX_AGE
        };
        let position = self.0.iter().position(is_wanted)?;
        self.0.remove(position).map(|(request, exchange, _)| (request, exchange))
    }

    /// Forgets an exchange, and all that are too old.
    pub fn abandon(&mut self, id: u32) {
        self.0.retain(|(request, _, since)| request.id != id && since.elapsed() < MAX_AGE);
    }
}
