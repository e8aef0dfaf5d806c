//! `ALLOWED_NETWORKS`: whose clients may relay without a login. Pure.
//!
//! Postfix has the same list as `mynetworks`, rendered and read by other code: a mistake here
//! cannot open the relay by itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::lists;

/// The networks whose clients may relay without a login.
#[derive(Debug, Clone, Default)]
pub struct Networks(Vec<IpNet>);

impl Networks {
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self(allowed)
    }

    pub fn contains(&self, client: IpAddr) -> bool {
        let client = client.to_canonical();
        self.0.iter().any(|network| network.contains(&client))
    }

    /// The networks that contain one of these addresses, each with the address.
    pub fn covering<'a>(
        &'a self,
        addresses: &'a [IpAddr],
    ) -> impl Iterator<Item = (IpNet, IpAddr)> {
        self.0.iter().flat_map(|network| {
            let covered = addresses.iter().filter(|address| network.contains(*address));
            covered.map(|address| (*network, *address))
        })
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
    for entry in lists::entries(list) {
        match parse_one(entry) {
            Ok(network) => networks.push(network),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() { Ok(networks) } else { Err(mistakes) }
}

/// Public networks with a shorter prefix than this are refused. A /8 is a 256th of all IPv4
/// addresses; the IPv6 Internet is 2000::/3, of which providers get /32s and shorter.
const SHORTEST_PUBLIC_V4: u8 = 8;
const SHORTEST_PUBLIC_V6: u8 = 16;
/// Those with a shorter prefix than this are worth a warning: nobody's own network is that large.
const SHORTEST_USUAL_V4: u8 = 16;
const SHORTEST_USUAL_V6: u8 = 32;

/// Checks that networks which need no login are not a large part of the Internet. Returns warnings
/// about those that are merely suspicious.
///
/// Adjacent networks count together: two halves of the Internet are as open as the whole.
///
/// # Errors
///
/// Returns one sentence for each network that is too large.
pub fn check_size(networks: &[IpNet]) -> Result<Vec<String>, Vec<String>> {
    let joined = IpNet::aggregate(&networks.to_vec());
    let public: Vec<IpNet> = joined.into_iter().filter(|network| !is_private(network)).collect();
    let too_large = public.iter().filter(|network| {
        let v4 = matches!(network, IpNet::V4(_));
        network.prefix_len() < if v4 { SHORTEST_PUBLIC_V4 } else { SHORTEST_PUBLIC_V6 }
    });
    let mistakes: Vec<String> = too_large
        .map(|network| {
            format!(
                "{network} is so much of the Internet that this would be an open relay: name the \
                 networks that may send without a login"
            )
        })
        .collect();
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let unusual = public.iter().filter(|network| {
        let v4 = matches!(network, IpNet::V4(_));
        network.prefix_len() < if v4 { SHORTEST_USUAL_V4 } else { SHORTEST_USUAL_V6 }
    });
    Ok(unusual
        .map(|network| format!("{network} lets {} send without a login", size(network)))
        .collect())
}

/// How many clients a network has, in words.
fn size(network: &IpNet) -> String {
    match network {
        IpNet::V4(v4) => format!("{} public addresses", grouped(1 << (32 - v4.prefix_len()))),
        // The size of one customer's network, which is what can be told apart.
        IpNet::V6(v6) => {
            let bits = 64_u8.saturating_sub(v6.prefix_len());
            format!("{} public /64 networks", grouped(1 << bits))
        }
    }
}

/// A number with its thousands apart: `16,777,216`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Whether a network lies within ranges that no client on the Internet has: private (RFC 1918, RFC
/// 4193), loopback, link-local, shared by a provider's customers (RFC 6598), and documentation (RFC
/// 5737, RFC 3849, RFC 9637).
pub fn is_private(network: &IpNet) -> bool {
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
        format!("\"{entry}\" is not a network: write 192.0.2.0/24, 2001:db8::/32 or one address")
    })?;
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match length_text {
        None => longest,
        Some(digits) => {
            prefix_length(digits).filter(|length| *length <= longest).ok_or_else(|| {
                format!("\"{entry}\": the prefix length must be a number from 1 to {longest}")
            })?
        }
    };
    checked(entry, address, length)
}

/// `u8::from_str` would also take "+8" and "008", which Postfix does not.
fn prefix_length(digits: &str) -> Option<u8> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0');
    digits.parse().ok().filter(|_| plain && !leading_zero)
}

fn checked(entry: &str, address: IpAddr, length: u8) -> Result<IpNet, String> {
    let (address, length) = unmapped(entry, address, length)?;
    if length == 0 {
        return Err(format!("\"{entry}\" is the whole Internet: name smaller networks"));
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

/// `::ffff:192.0.2.0/120` names IPv4 clients. A shorter prefix than /96 around the mapped range
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
    Ipv6Net::new(address, length)
        .is_ok_and(|network| network.contains(&Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0, 0)))
}

#[cfg(test)]
mod tests;
