//! ALLOWED_NETWORKS: the addresses that may send without login.
//!
//! IPv4-mapped addresses become IPv4 (`::ffff:192.0.2.1` is `192.0.2.1`), because that is how Postfix
//! compares them. A list that would let the Internet in is refused, and so is anything that an
//! operator may have meant differently from how it parses: host bits, leading zeros, exclusions.
//!
//! This file stands alone, because a fuzz target compares it with the sidecar's own parser.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Parses a list separated by spaces or commas.
///
/// # Errors
///
/// Names every bad entry, with what to write instead.
pub fn parse_list(text: &str) -> Result<Vec<IpNet>, String> {
    let entries = text.split(|c: char| c == ',' || c.is_ascii_whitespace());
    let (networks, mistakes): (Vec<_>, Vec<_>) = entries
        .filter(|entry| !entry.is_empty())
        .map(|entry| parse_entry(entry).map_err(|why| format!("{entry} {why}")))
        .partition(Result::is_ok);
    let mistakes: Vec<String> = mistakes.into_iter().filter_map(Result::err).collect();
    if !mistakes.is_empty() {
        return Err(mistakes.join("; "));
    }
    let networks: Vec<IpNet> = networks.into_iter().flatten().collect();
    check_size(&networks)?;
    Ok(networks)
}

/// Shortest prefixes of a public network. An IPv4 /8 is a 256th of the address space; providers get
/// IPv6 networks from /32 on, and all of the IPv6 Internet is 2000::/3.
const MIN_PUBLIC_PREFIX: (u8, u8) = (8, 16);
/// A public network with a shorter prefix is warned about: hardly anybody owns one that large.
const MIN_USUAL_PREFIX: (u8, u8) = (16, 32);

/// Refuses public networks that are a large part of the Internet. Adjacent networks count as one.
fn check_size(networks: &[IpNet]) -> Result<(), String> {
    let mistakes: Vec<String> = public_networks_larger_than(MIN_PUBLIC_PREFIX, networks)
        .map(|network| {
            let which =
                if networks.contains(&network) { "" } else { " (several entries together)" };
            let limit = of_family(MIN_PUBLIC_PREFIX, &network);
            format!(
                "{network}{which} would let a large part of the Internet send; list only the \
                 networks that may, none of them larger than a /{limit}"
            )
        })
        .collect();
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes.join("; ")) }
}

/// One warning per public network that is allowed but suspiciously large.
pub fn size_warnings(networks: &[IpNet]) -> Vec<String> {
    public_networks_larger_than(MIN_USUAL_PREFIX, networks)
        .map(|network| {
            let clients = match network {
                IpNet::V4(v4) => format!("{} addresses", grouped(1 << (32 - v4.prefix_len()))),
                // A /64 is the network of one site.
                IpNet::V6(v6) => {
                    format!("{} networks of size /64", grouped(1 << (64 - v6.prefix_len())))
                }
            };
            format!("{network} lets {clients} send without login; list smaller networks if you can")
        })
        .collect()
}

fn public_networks_larger_than(
    prefixes: (u8, u8),
    networks: &[IpNet],
) -> impl Iterator<Item = IpNet> {
    let joined = IpNet::aggregate(&networks.to_vec()).into_iter();
    joined.filter(move |network| {
        network.prefix_len() < of_family(prefixes, network) && !is_private(network)
    })
}

fn of_family((v4, v6): (u8, u8), network: &IpNet) -> u8 {
    if network.addr().is_ipv4() { v4 } else { v6 }
}

/// Whether a network lies inside a range that no client on the Internet has: private (RFC 1918, RFC
/// 4193), loopback, link-local, shared (RFC 6598) and documentation (RFC 5737, RFC 3849, RFC 9637).
fn is_private(network: &IpNet) -> bool {
    const V4: [Ipv4Net; 9] = [
        Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 8),
        Ipv4Net::new_assert(Ipv4Addr::new(172, 16, 0, 0), 12),
        Ipv4Net::new_assert(Ipv4Addr::new(192, 168, 0, 0), 16),
        Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8),
        Ipv4Net::new_assert(Ipv4Addr::new(169, 254, 0, 0), 16),
        Ipv4Net::new_assert(Ipv4Addr::new(100, 64, 0, 0), 10),
        Ipv4Net::new_assert(Ipv4Addr::new(192, 0, 2, 0), 24),
        Ipv4Net::new_assert(Ipv4Addr::new(198, 51, 100, 0), 24),
        Ipv4Net::new_assert(Ipv4Addr::new(203, 0, 113, 0), 24),
    ];
    const V6: [Ipv6Net; 5] = [
        Ipv6Net::new_assert(Ipv6Addr::new(0xfc00, 0, 0, 0, 0, 0, 0, 0), 7),
        Ipv6Net::new_assert(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10),
        Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128),
        Ipv6Net::new_assert(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        Ipv6Net::new_assert(Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    match network {
        IpNet::V4(network) => V4.iter().any(|range| range.contains(network)),
        IpNet::V6(network) => V6.iter().any(|range| range.contains(network)),
    }
}

/// A number with thousands separators: `16,777,216`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

const EVERYBODY: &str = "would let the whole Internet send; list only the networks that may";

fn parse_entry(entry: &str) -> Result<IpNet, String> {
    let (address_text, prefix_text) = match entry.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (entry, None),
    };
    let address = parse_address(address_text)?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match prefix_text {
        Some(text) => parse_prefix(text, longest)?,
        None => longest,
    };
    let network = unmapped(address, prefix)?;
    if network.prefix_len() == 0 {
        return Err(EVERYBODY.to_owned());
    }
    if network.addr() != network.network() {
        let right = in_postfix_form(&network.trunc());
        return Err(format!("has host bits set; write {right}, or the address without a prefix"));
    }
    Ok(network)
}

fn parse_address(text: &str) -> Result<IpAddr, String> {
    if text.starts_with('!') {
        return Err(
            "excludes an address, which is not supported; list only what may send".to_owned()
        );
    }
    if text.split('.').any(|part| part.len() > 1 && part.starts_with('0')) && !text.contains(':') {
        return Err("has a number with a leading zero; write it without the zero".to_owned());
    }
    if let Some(inner) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner
            .parse::<Ipv6Addr>()
            .map(IpAddr::from)
            .map_err(|_| "must have an IPv6 address inside the brackets".to_owned());
    }
    text.parse().map_err(|_| {
        "is not an address or network; write it like 192.0.2.7, 192.168.1.0/24 or [2001:db8::]/32"
            .to_owned()
    })
}

fn parse_prefix(text: &str, longest: u8) -> Result<u8, String> {
    let is_number = !text.is_empty() && text.chars().all(|character| character.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    match text.parse() {
        Ok(prefix) if is_number && !has_leading_zero && prefix <= longest => Ok(prefix),
        _ => Err(format!("must have a prefix length from 1 to {longest} after the slash")),
    }
}

/// An IPv4-mapped network becomes the IPv4 network.
fn unmapped(address: IpAddr, prefix: u8) -> Result<IpNet, String> {
    const MAPPED: Ipv6Net = Ipv6Net::new_assert(Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0), 96);
    let too_long = |_| "has a prefix length that is too large".to_owned();
    let IpAddr::V6(v6) = address else {
        return IpNet::new(address, prefix).map_err(too_long);
    };
    match (v6.to_ipv4_mapped(), prefix.checked_sub(MAPPED.prefix_len())) {
        (Some(v4), Some(v4_prefix)) => {
            Ipv4Net::new(v4, v4_prefix).map(IpNet::from).map_err(too_long)
        }
        _ => {
            let network = Ipv6Net::new(v6, prefix).map_err(too_long)?;
            // A network that contains all mapped addresses contains every IPv4 address.
            if prefix > 0 && network.contains(&MAPPED) {
                let all = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, 0).map_err(too_long)?;
                return Ok(all.into());
            }
            Ok(network.into())
        }
    }
}

/// The syntax of Postfix's mynetworks: `192.0.2.0/24`, `[2001:db8::]/32`.
pub fn in_postfix_form(network: &IpNet) -> String {
    match network {
        IpNet::V4(v4) => v4.to_string(),
        IpNet::V6(v6) => format!("[{}]/{}", v6.addr(), v6.prefix_len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        parse_list(text)
            .map(|networks| networks.iter().map(in_postfix_form).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn networks_are_read_in_every_form_that_people_write() {
        for (text, expected) in [
            ("127.0.0.0/8 [::1]/128", "127.0.0.0/8 [::1]/128"),
            ("127.0.0.0/8,[::1]/128", "127.0.0.0/8 [::1]/128"),
            (" 10.0.0.0/8 ,\t192.0.2.7\n", "10.0.0.0/8 192.0.2.7/32"),
            ("2001:db8::/32", "[2001:db8::]/32"),
            ("[2001:db8::]/32", "[2001:db8::]/32"),
            ("[2001:db8::7]", "[2001:db8::7]/128"),
            ("2001:db8::7", "[2001:db8::7]/128"),
            ("::ffff:192.0.2.7", "192.0.2.7/32"),
            ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
            ("[::ffff:10.0.0.0]/104", "10.0.0.0/8"),
            ("20.0.0.0/8 2a00::/16", "20.0.0.0/8 [2a00::]/16"),
            ("fc00::/7 fe80::/10", "[fc00::]/7 [fe80::]/10"),
            ("", ""),
        ] {
            assert_eq!(parsed(text), Ok(expected.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_bad_entry_is_refused_with_what_to_write_instead() {
        for (text, expected) in [
            ("0.0.0.0/0", "0.0.0.0/0 would let the whole Internet send"),
            ("::/0", "::/0 would let the whole Internet send"),
            ("[::]/0", "[::]/0 would let the whole Internet send"),
            ("::ffff:0:0/96", "::ffff:0:0/96 would let the whole Internet send"),
            ("::ffff:0.0.0.0/96", "would let the whole Internet send"),
            ("::/80", "::/80 would let the whole Internet send"),
            ("10.1.2.3/0", "10.1.2.3/0 would let the whole Internet send"),
            ("0.0.0.0/1", "0.0.0.0/1 would let a large part of the Internet send"),
            ("64.0.0.0/3", "none of them larger than a /8"),
            ("2000::/3", "2000::/3 would let a large part of the Internet send"),
            ("2a00::/15", "none of them larger than a /16"),
            ("0.0.0.0/1 128.0.0.0/1", "0.0.0.0/0 (several entries together) would let"),
            ("::/1 8000::/1", "::/1 would let the whole Internet send"),
            ("20.0.0.0/9 20.128.0.0/9 21.0.0.0/8", "20.0.0.0/7 (several entries together)"),
            // Some of it is private, but not all.
            ("10.0.0.0/7", "10.0.0.0/7 would let"),
            ("fc00::/6", "fc00::/6 would let"),
            ("192.168.1.5/16", "write 192.168.0.0/16"),
            ("2001:db8::7/32", "write [2001:db8::]/32"),
            ("::ffff:10.1.0.0/104", "write 10.0.0.0/8"),
            ("010.0.0.0/8", "has a number with a leading zero"),
            ("10.0.0.0/08", "a prefix length from 1 to 32"),
            ("10.0.0.0/33", "a prefix length from 1 to 32"),
            ("10.0.0.0/", "a prefix length from 1 to 32"),
            ("10.0.0.0/+8", "a prefix length from 1 to 32"),
            ("2001:db8::/129", "a prefix length from 1 to 128"),
            ("10.0.0.0/255.0.0.0", "a prefix length from 1 to 32"),
            ("!10.0.0.1", "excludes an address"),
            ("[10.0.0.1]", "must have an IPv6 address inside the brackets"),
            ("fe80::1%eth0", "is not an address or network"),
            ("10.0.0/8", "is not an address or network"),
            ("example.org", "is not an address or network"),
            ("$mynetworks", "is not an address or network"),
        ] {
            let advice = parsed(text).unwrap_err();
            assert!(advice.contains(expected), "{text}: {advice}");
        }
    }

    #[test]
    fn a_large_public_network_is_warned_about_with_its_size() {
        for (text, expected) in [
            ("20.0.0.0/8", "20.0.0.0/8 lets 16,777,216 addresses send"),
            ("20.0.0.0/15", "20.0.0.0/15 lets 131,072 addresses send"),
            ("20.0.0.0/16 20.1.0.0/16", "20.0.0.0/15 lets 131,072 addresses send"),
            ("2a00::/16", "2a00::/16 lets 281,474,976,710,656 networks of size /64 send"),
            ("2a00::/31", "2a00::/31 lets 8,589,934,592 networks of size /64 send"),
            ("20.0.0.0/16 2a00::/32", ""),
            ("10.0.0.0/8 172.16.0.0/12 127.0.0.0/8 100.64.0.0/10 fc00::/7 fe80::/10 ::1", ""),
        ] {
            let warnings = size_warnings(&parse_list(text).unwrap()).join("; ");
            assert!(warnings.starts_with(expected), "{text}: {warnings}");
            assert_eq!(warnings.is_empty(), expected.is_empty(), "{text}: {warnings}");
        }
    }

    #[test]
    fn every_bad_entry_is_named_at_once() {
        let advice = parsed("10.0.0.0/8 0.0.0.0/0 here").unwrap_err();
        assert!(advice.contains("0.0.0.0/0 would") && advice.contains("here is not"), "{advice}");
    }
}
