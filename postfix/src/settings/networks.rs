//! ALLOWED_NETWORKS: the addresses that may send without login.
//!
//! IPv4-mapped addresses become IPv4 (`::ffff:192.0.2.1` is `192.0.2.1`), because that is how Postfix
//! compares them. A list that would let the whole Internet in is refused, and so is anything that an
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
    // Two halves are as open as the whole: 0.0.0.0/1 with 128.0.0.0/1.
    if IpNet::aggregate(&networks).iter().any(|network| network.prefix_len() == 0) {
        return Err(format!("together these networks {EVERYBODY}"));
    }
    Ok(networks)
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
            ("0.0.0.0/1", "0.0.0.0/1"),
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
            ("0.0.0.0/1 128.0.0.0/1", "together these networks would let the whole Internet send"),
            ("::/1 8000::/1", "would let the whole Internet send"),
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
    fn every_bad_entry_is_named_at_once() {
        let advice = parsed("10.0.0.0/8 0.0.0.0/0 here").unwrap_err();
        assert!(advice.contains("0.0.0.0/0 would") && advice.contains("here is not"), "{advice}");
    }
}
