//! Client addresses: as Postfix writes them, and as they are counted. Pure.

use std::net::{IpAddr, Ipv6Addr};

/// Reads an address as Postfix writes it; an IPv4-mapped one becomes IPv4. `None` for `unknown`
/// and anything else that is not an address.
pub fn parse(text: &[u8]) -> Option<IpAddr> {
    let address: IpAddr = std::str::from_utf8(text).ok()?.parse().ok()?;
    Some(address.to_canonical())
}

/// Reads an address as Postfix's macro {client_addr} has it: IPv6 with a prefix (RFC 5321 section
/// 4.1.3).
pub fn parse_macro(text: &[u8]) -> Option<IpAddr> {
    parse(text.strip_prefix(b"IPv6:").unwrap_or(text))
}

/// The addresses that count as one client: an IPv4 address, or a /64 of IPv6, since anyone with
/// IPv6 has eighteen quintillion addresses to rotate through.
pub fn client_network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 64 << 64)),
    }
}

/// The /48 of an IPv6 address, the most that a customer is usually given; `None` for IPv4.
pub fn client_site(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        IpAddr::V4(_) => None,
        IpAddr::V6(v6) => Some(IpAddr::V6(Ipv6Addr::from(u128::from(v6) >> 80 << 80))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_macro_marks_ipv6() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("IPv6:2001:db8::1", Some("2001:db8::1")),
            ("IPv6:::ffff:192.0.2.1", Some("192.0.2.1")),
            ("unknown", None),
            ("IPv6:", None),
            ("", None),
        ] {
            let expected = expected.map(|address| address.parse::<IpAddr>().unwrap());
            assert_eq!(parse_macro(text.as_bytes()), expected, "{text}");
        }
    }

    #[test]
    fn addresses_are_unmapped_and_unknown_is_none() {
        for (text, expected) in [
            ("192.0.2.1", Some("192.0.2.1")),
            ("::ffff:192.0.2.1", Some("192.0.2.1")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("unknown", None),
            ("", None),
            ("192.0.2.1 ", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected.map(|a| a.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn an_ipv6_client_is_its_64_and_a_mapped_one_its_ipv4_address() {
        for (address, expected, site) in [
            ("192.0.2.7", "192.0.2.7", None),
            ("::ffff:192.0.2.7", "192.0.2.7", None),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::", Some("2001:db8:1::")),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(client_network(address).to_string(), expected);
            assert_eq!(client_site(address).map(|site| site.to_string()).as_deref(), site);
        }
    }
}
