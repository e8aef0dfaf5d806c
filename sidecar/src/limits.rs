//! How much somebody may send, and how often a password may be guessed.
//!
//! Pure: counters and tables that are told the time, in seconds since 1970. Who keeps them, locks
//! them and writes them to disk is `ledger`'s and `sasl`'s business.

pub mod account;
pub mod guessing;
pub mod rate;

use std::net::{IpAddr, Ipv6Addr};

/// The addresses that count as one client: an IPv4 address, or a /64 of IPv6, of which anybody has
/// eighteen trillion addresses to change between.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_client_is_its_64_and_a_mapped_one_its_ipv4_address() {
        for (address, expected) in [
            ("192.0.2.7", "192.0.2.7"),
            ("::ffff:192.0.2.7", "192.0.2.7"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(client_network(address.parse().unwrap()).to_string(), expected);
        }
    }
}
