//! `ALLOWED_NETWORKS`, and the gateways that are taken out of it.
//!
//! Postfix has the same list as `mynetworks`, written and read by other code: a mistake here
//! cannot open the relay alone.

use std::net::{IpAddr, Ipv6Addr};

use ipnet::IpNet;

/// The networks whose clients may relay without login.
#[derive(Debug, Clone, Default)]
pub struct Networks {
    allowed: Vec<IpNet>,
    /// Addresses that never match, because strangers may appear under them.
    gateways: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Membership {
    Allowed,
    /// Within an allowed network, but the address of a gateway.
    Gateway,
    Outside,
}

impl Networks {
    pub fn new(allowed: Vec<IpNet>, gateways: Vec<IpAddr>) -> Self {
        Self { allowed, gateways: gateways.iter().map(IpAddr::to_canonical).collect() }
    }

    pub fn membership(&self, client: IpAddr) -> Membership {
        let client = client.to_canonical();
        if !self.allowed.iter().any(|network| network.contains(&client)) {
            Membership::Outside
        } else if self.gateways.contains(&client) {
            Membership::Gateway
        } else {
            Membership::Allowed
        }
    }

    /// The allowed networks that contain a gateway, for a warning at start.
    pub fn covering_a_gateway(&self) -> Vec<(IpNet, IpAddr)> {
        let pairs = self.allowed.iter().flat_map(|network| {
            self.gateways
                .iter()
                .filter(|gateway| network.contains(*gateway))
                .map(|g| (*network, *g))
        });
        pairs.collect()
    }
}

/// Reads a list of networks separated by spaces or commas.
///
/// Takes `192.0.2.0/24`, `2001:db8::/32`, `[2001:db8::]/32` as Postfix writes it, and single
/// addresses. IPv4-mapped IPv6 networks become IPv4.
///
/// # Errors
///
/// Returns one sentence for each entry that is wrong.
pub fn parse(list: &str) -> Result<Vec<IpNet>, Vec<String>> {
    let mut networks = Vec::new();
    let mut mistakes = Vec::new();
    for entry in list.split(is_separator).filter(|entry| !entry.is_empty()) {
        match parse_one(entry) {
            Ok(network) => networks.push(network),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    // Two halves of the Internet are as open as the whole.
    if IpNet::aggregate(&networks).iter().any(|network| network.prefix_len() == 0) {
        mistakes.push(format!("\"{list}\" together is the whole Internet: name smaller networks"));
    }
    if mistakes.is_empty() { Ok(networks) } else { Err(mistakes) }
}

/// What stands between the entries of a list, in every setting that is one.
pub fn is_separator(c: char) -> bool {
    c == ',' || c.is_ascii_whitespace()
}

fn parse_one(entry: &str) -> Result<IpNet, String> {
    let (address_text, length_text) = match entry.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (entry, None),
    };
    let bare = address_text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
        .filter(|inner| inner.contains(':'))
        .unwrap_or(address_text);
    let address: IpAddr = bare.parse().map_err(|_| {
        format!("\"{entry}\" is no network: write 192.0.2.0/24, 2001:db8::/32 or one address")
    })?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length_text {
        None => longest,
        // `u8::from_str` also takes "+8" and "008", which Postfix does not.
        Some(digits)
            if digits.bytes().all(|byte| byte.is_ascii_digit())
                && (digits == "0" || !digits.starts_with('0')) =>
        {
            digits
                .parse()
                .ok()
                .filter(|length| *length <= longest)
                .ok_or_else(|| format!("\"{entry}\": the prefix length goes from 1 to {longest}"))?
        }
        Some(_) => {
            return Err(format!("\"{entry}\": the prefix length is a number from 1 to {longest}"));
        }
    };
    checked(entry, address, length)
}

fn checked(entry: &str, address: IpAddr, length: u8) -> Result<IpNet, String> {
    let (address, length) = unmapped(entry, address, length)?;
    if length == 0 {
        return Err(format!(
            "\"{entry}\" is the whole Internet, which would make an open relay: name the networks \
             that may send without login"
        ));
    }
    let network = IpNet::new(address, length)
        .map_err(|_| format!("\"{entry}\": the prefix length is out of range"))?;
    if network.trunc() == network {
        Ok(network)
    } else {
        Err(format!(
            "\"{entry}\" has host bits set: write {} for the network, or {address} for one address",
            network.trunc()
        ))
    }
}

/// `::ffff:192.0.2.0/120` names IPv4 clients; a shorter prefix than /96 around the mapped range
/// would let all of IPv4 in.
fn unmapped(entry: &str, address: IpAddr, length: u8) -> Result<(IpAddr, u8), String> {
    let IpAddr::V6(v6) = address else { return Ok((address, length)) };
    match v6.to_ipv4_mapped() {
        Some(v4) if length >= 96 => Ok((IpAddr::V4(v4), length - 96)),
        Some(_) => Err(format!("\"{entry}\" covers all IPv4 addresses: write the IPv4 networks")),
        None if length > 0 && covers_mapped_range(v6, length) => {
            Err(format!("\"{entry}\" covers all IPv4 addresses: write a longer prefix"))
        }
        None => Ok((address, length)),
    }
}

fn covers_mapped_range(address: Ipv6Addr, length: u8) -> bool {
    ipnet::Ipv6Net::new(address, length)
        .is_ok_and(|network| network.contains(&Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_read_in_every_way_people_write_them() {
        let cases = [
            ("192.0.2.0/24", vec!["192.0.2.0/24"]),
            ("192.0.2.7", vec!["192.0.2.7/32"]),
            ("2001:db8::/32", vec!["2001:db8::/32"]),
            ("[::1]/128", vec!["::1/128"]),
            ("[::1]", vec!["::1/128"]),
            ("::1", vec!["::1/128"]),
            ("127.0.0.0/8 [::1]/128", vec!["127.0.0.0/8", "::1/128"]),
            (
                "10.0.0.0/8,192.168.0.0/16 , 172.16.0.0/12",
                vec!["10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12"],
            ),
            ("::ffff:192.0.2.0/120", vec!["192.0.2.0/24"]),
            ("::ffff:192.0.2.7", vec!["192.0.2.7/32"]),
            ("", vec![]),
        ];
        for (list, expected) in cases {
            let expected: Vec<IpNet> = expected.iter().map(|text| text.parse().unwrap()).collect();
            assert_eq!(parse(list).unwrap(), expected, "{list}");
        }
    }

    #[test]
    fn a_network_that_is_wrong_is_named_with_what_would_be_right() {
        let cases = [
            ("0.0.0.0/0", "whole Internet"),
            ("::/0", "whole Internet"),
            ("0.0.0.0/1 128.0.0.0/1", "whole Internet"),
            ("::ffff:0:0/96", "whole Internet"),
            ("::ffff:0:0/80", "covers all IPv4"),
            ("::/64", "covers all IPv4"),
            ("192.168.1.5/16", "write 192.168.0.0/16 for the network"),
            ("192.0.2.0/33", "from 1 to 32"),
            ("192.0.2.0/+8", "from 1 to 32"),
            ("192.0.2.0/008", "from 1 to 32"),
            ("192.0.2.0/", "from 1 to 32"),
            ("2001:db8::/129", "from 1 to 128"),
            ("192.0.2", "is no network"),
            ("192.0.02.1", "is no network"),
            ("example.org", "is no network"),
            ("!192.0.2.1", "is no network"),
            ("[192.0.2.1]", "is no network"),
            ("fe80::1%eth0", "is no network"),
        ];
        for (list, expected) in cases {
            let mistakes = parse(list).unwrap_err();
            assert!(mistakes[0].contains(expected), "{list}: {mistakes:?}");
            assert!(mistakes[0].contains(list), "{list}: {mistakes:?}");
        }
        assert_eq!(parse("0.0.0.0/0 10.0.0.0/8 nonsense").unwrap_err().len(), 2);
    }

    #[test]
    fn a_mapped_client_is_the_same_client() {
        let networks = Networks::new(parse("192.0.2.0/24").unwrap(), vec![]);
        assert_eq!(networks.membership("::ffff:192.0.2.9".parse().unwrap()), Membership::Allowed);
        assert_eq!(networks.membership("::ffff:192.0.3.9".parse().unwrap()), Membership::Outside);
    }

    #[test]
    fn a_gateway_never_matches() {
        let gateway: IpAddr = "::ffff:172.18.0.1".parse().unwrap();
        let networks = Networks::new(parse("172.16.0.0/12").unwrap(), vec![gateway]);
        assert_eq!(networks.membership("172.18.0.1".parse().unwrap()), Membership::Gateway);
        assert_eq!(networks.membership("172.18.0.2".parse().unwrap()), Membership::Allowed);
        assert_eq!(networks.covering_a_gateway().len(), 1);
    }
}
