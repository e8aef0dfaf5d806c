//! What is kept of one user or network client besides its record: usage and logins. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::client_network;
use super::rate::Usage;
use crate::users::UserName;

/// Whose account it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum AccountKey {
    User(UserName),
    /// A client known by its network: an IPv4 address, or the first address of a /64.
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

/// Addresses that are remembered for one user; of more, the longest unused is forgotten.
const MAX_KNOWN: usize = 16;

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub usage: Usage,
    /// The last login with each password, by its label.
    pub last_logins: BTreeMap<String, LastLogin>,
    /// When each address last logged in well.
    known: Vec<(IpAddr, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastLogin {
    /// Seconds since 1970.
    pub time: u64,
    pub address: Option<IpAddr>,
}

impl Account {
    /// Notes a good login.
    pub fn note_login(&mut self, now: u64, label: &str, address: Option<IpAddr>) {
        self.last_logins.insert(label.to_owned(), LastLogin { time: now, address });
        let Some(address) = address.map(client_network) else { return };
        self.known.retain(|(known, _)| *known != address);
        self.known.push((address, now));
        if self.known.len() > MAX_KNOWN {
            self.known.remove(0);
        }
    }

    /// Whether this address logged in well in the last `trust` seconds.
    pub fn knows(&self, now: u64, address: IpAddr, trust: u64) -> bool {
        let address = client_network(address);
        self.known
            .iter()
            .any(|(known, when)| *known == address && now.saturating_sub(*when) < trust)
    }

    /// Whether nothing in it is of use any more.
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
        account.note_login(1_000, "default", Some(home));
        assert!(account.knows(1_999, "2001:db8::2".parse().unwrap(), 1_000));
        assert!(!account.knows(2_000, home, 1_000));
        assert!(!account.knows(1_000, "192.0.2.1".parse().unwrap(), 1_000));
        for last in 0..MAX_KNOWN {
            account.note_login(1_001, "default", Some(IpAddr::from([192, 0, 2, last as u8])));
        }
        assert!(!account.knows(1_001, home, 1_000), "the longest unused is forgotten");
    }
}
