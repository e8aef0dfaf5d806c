//! A login that is about to be checked, and what it counts for if its password is wrong. Pure.

use std::net::IpAddr;

use crate::addresses::{client_network, client_site};

/// Identifies a user and password without being either: a keyed hash.
pub type Fingerprint = u64;

/// A login about to be checked.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// `None` where many clients share the address, so that nothing can be held against it.
    pub address: Option<IpAddr>,
    pub user: &'a str,
    pub target: Target,
    pub password: Fingerprint,
    /// Whether this address logged in as this user lately.
    pub known: bool,
}

/// Who a login claims to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Nobody. Treated as somebody with a password that could be guessed.
    Nobody,
    /// A user with at least one password that could be guessed.
    Guessable,
    /// A user whose passwords are all too long and random for that.
    Unguessable,
}

/// What wrong passwords are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Counter {
    /// An IPv4 address, or a /64 of IPv6.
    Address(IpAddr),
    /// A /48 of IPv6, which has 65,536 of /64.
    Site(IpAddr),
    User(String),
    /// A name that is nobody's.
    Nobody(String),
}

impl Attempt<'_> {
    /// What the password counts for if it is wrong.
    pub fn counters(&self) -> impl Iterator<Item = Counter> {
        let user = self.user.to_owned();
        let user = match self.target {
            Target::Nobody => Counter::Nobody(user),
            Target::Guessable | Target::Unguessable => Counter::User(user),
        };
        let address = self.address.map(client_network).map(Counter::Address);
        let site = self.address.and_then(client_site).map(Counter::Site);
        address.into_iter().chain(site).chain([user])
    }

    /// Whether a limit does not hold this login up. What strangers guess is no reason to slow down
    /// a password that cannot be guessed or an address that is known, and neighbours in a /48 none
    /// to refuse a known one.
    pub fn is_exempt_from(&self, counter: &Counter) -> bool {
        match counter {
            Counter::Address(_) => false,
            Counter::Site(_) => self.known,
            Counter::User(_) | Counter::Nobody(_) => {
                self.known || self.target == Target::Unguessable
            }
        }
    }

    /// Whether this login never waits for others that are looked at. From an address where the user
    /// logs in anyway, nobody guesses a password that cannot be guessed.
    pub fn is_beyond_guessing(&self) -> bool {
        self.known && self.target == Target::Unguessable
    }
}
