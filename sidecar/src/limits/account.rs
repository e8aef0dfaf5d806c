//! What is kept of one user or client besides the user record: usage and logins. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::usage::Usage;
use crate::addresses::client_network;
use crate::user_name::UserName;

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccountKey {
    User(UserName),
    /// A client that sends without a login: an IPv4 address, or the first address of a /64.
    Network(IpAddr),
}

impl AccountKey {
    pub fn of_client(address: IpAddr) -> Self {
        Self::Network(client_network(address))
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(name) => write!(f, "user:{name}"),
            Self::Network(address) => write!(f, "network:{address}"),
        }
    }
}

impl FromStr for AccountKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.split_once(':').ok_or(())? {
            ("user", name) => UserName::parse(name).map(Self::User).map_err(|_| ()),
            ("network", address) => address.parse().map(Self::Network).map_err(|_| ()),
            _ => Err(()),
        }
    }
}

/// Addresses remembered for one user; beyond that, the one unused for longest is forgotten.
const MAX_KNOWN: usize = 16;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The id of the user record that this belongs to, so that somebody who is given the name of a
    /// removed user inherits nothing. 0 for clients, and for records of the first release.
    #[serde(default)]
    pub owner: u64,
    pub usage: Usage,
    /// The last login with each password, by the password's label.
    pub last_logins: BTreeMap<String, LastLogin>,
    /// When each address last logged in successfully.
    known: Vec<(IpAddr, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLogin {
    /// Seconds since 1970.
    pub time: u64,
    pub address: Option<IpAddr>,
}

impl Account {
    /// An account in which nothing is counted yet.
    pub fn of(owner: u64) -> Self {
        Self { owner, ..Self::default() }
    }

    /// Remembers a successful login.
    pub fn record_login(&mut self, now: u64, label: &str, address: Option<IpAddr>) {
        self.last_logins.insert(label.to_owned(), LastLogin { time: now, address });
        let Some(address) = address.map(client_network) else { return };
        self.known.retain(|(known, _)| *known != address);
        self.known.push((address, now));
        if self.known.len() > MAX_KNOWN {
            self.known.remove(0);
        }
    }

    /// Whether this address logged in successfully in the last `trust` seconds. A clock that was
    /// ahead is not trusted until real time catches up.
    pub fn knows(&self, now: u64, address: IpAddr, trust: u64) -> bool {
        self.last_login_from(address).is_some_and(|when| now.abs_diff(when) < trust)
    }

    /// Whether this address may have logged in since this time: it has, or so many others have that
    /// it could be among those forgotten.
    pub fn may_have_logged_in_since(&self, address: IpAddr, since: u64) -> bool {
        match self.last_login_from(address) {
            Some(when) => when >= since,
            None => self.known.len() >= MAX_KNOWN && self.known.iter().all(|(_, w)| *w >= since),
        }
    }

    /// When this address last logged in successfully, if that is remembered.
    pub fn last_login_from(&self, address: IpAddr) -> Option<u64> {
        let address = client_network(address);
        self.known.iter().find(|(known, _)| *known == address).map(|(_, when)| *when)
    }

    /// Whether nothing in it is of use any longer.
    pub fn is_over(&self, now: u64) -> bool {
        self.last_logins.is_empty() && self.usage.is_over(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_known_for_some_days_after_a_login() {
        let mut account = Account::default();
        let home: IpAddr = "2001:db8::1".parse().unwrap();
        account.record_login(1_000, "default", Some(home));
        assert!(account.knows(1_999, "2001:db8::2".parse().unwrap(), 1_000));
        assert!(!account.knows(2_000, home, 1_000));
        assert!(!account.knows(1_000, "192.0.2.1".parse().unwrap(), 1_000));
        for last in 0..MAX_KNOWN {
            account.record_login(1_001, "default", Some(IpAddr::from([192, 0, 2, last as u8])));
        }
        assert!(!account.knows(1_001, home, 1_000), "the one unused for longest is forgotten");
    }

    #[test]
    fn an_address_that_may_have_been_forgotten_is_not_said_to_be_outdated() {
        let mut account = Account::default();
        let home: IpAddr = "203.0.113.5".parse().unwrap();
        account.record_login(1_000, "default", Some(home));
        assert!(account.may_have_logged_in_since(home, 1_000));
        assert!(!account.may_have_logged_in_since(home, 1_001));
        for last in 0..MAX_KNOWN {
            assert!(!account.may_have_logged_in_since("192.0.2.200".parse().unwrap(), 1_001));
            account.record_login(1_001, "default", Some(IpAddr::from([192, 0, 2, last as u8])));
        }
        assert!(account.may_have_logged_in_since(home, 1_001), "sixteen others have since");
        assert!(!account.may_have_logged_in_since(home, 1_002));
    }

    #[test]
    fn an_account_of_the_first_release_is_read() {
        let mut json = serde_json::to_value(Account::default()).unwrap();
        json.as_object_mut().unwrap().remove("owner");
        assert_eq!(serde_json::from_value::<Account>(json).unwrap().owner, 0);
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in ["user:alice", "user:a:b", "network:192.0.2.7", "network:2001:db8::"] {
            assert_eq!(text.parse::<AccountKey>().map(|key| key.to_string()).as_deref(), Ok(text));
        }
        for text in ["", "alice", "user:", "network:x", "other:x"] {
            assert!(text.parse::<AccountKey>().is_err(), "{text}");
        }
    }
}
