//! Addresses that a stranger's connection may appear to come from.
//!
//! Docker, Podman and others can make every client appear to come from the bridge's gateway
//! (userland proxy, rootless networking, IPv6 to an IPv4-only network). The kernel's routing tables
//! name those gateways. This module parses them; the caller reads the files.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The next hops in `/proc/net/route`, and the first address of every attached network: that is where
/// container engines put the bridge, and only one network has a default route that names it.
///
/// Addresses are hexadecimal words in the machine's byte order. Lines that cannot be parsed are
/// skipped.
pub fn in_ipv4_routes(table: &str) -> Vec<IpAddr> {
    let gateways = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, destination, next_hop, _, _, _, _, mask, ..] = fields.as_slice() else {
            return None;
        };
        let word = |field: &str| u32::from_str_radix(field, 16).ok();
        let next_hop = word(next_hop)?;
        if next_hop != 0 {
            return Some(IpAddr::V4(Ipv4Addr::from(next_hop.to_ne_bytes())));
        }
        let is_network = *interface != "lo" && !matches!(word(mask)?, 0 | u32::MAX);
        let network = Ipv4Addr::from(word(destination)?.to_ne_bytes());
        is_network.then(|| IpAddr::V4(Ipv4Addr::from_bits(network.to_bits() | 1)))
    });
    distinct(gateways)
}

/// The same for `/proc/net/ipv6_route`, where addresses are 32 hexadecimal digits in network byte
/// order.
pub fn in_ipv6_routes(table: &str) -> Vec<IpAddr> {
    let gateways = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [destination, length, _, _, next_hop, _, _, _, _, interface] = fields.as_slice() else {
            return None;
        };
        let word = |field: &str| u128::from_str_radix(field, 16).ok();
        let next_hop = word(next_hop)?;
        if next_hop != 0 {
            return Some(IpAddr::V6(Ipv6Addr::from(next_hop)));
        }
        let is_network = *interface != "lo" && !matches!(*length, "00" | "80");
        is_network.then_some(IpAddr::V6(Ipv6Addr::from(word(destination)? | 1)))
    });
    distinct(gateways)
}

/// This host's IPv4 addresses in `/proc/net/fib_trie`, without loopback.
///
/// A local address is a leaf (`|-- 172.18.0.3`) followed by `/32 host LOCAL`.
pub fn own_ipv4(trie: &str) -> Vec<IpAddr> {
    let mut leaf = None;
    let mut found = Vec::new();
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse::<Ipv4Addr>().ok();
        } else if line.starts_with("/32 host LOCAL") {
            found.extend(leaf.filter(|address| !address.is_loopback()).map(IpAddr::V4));
        }
    }
    distinct(found.into_iter())
}

/// This host's IPv6 addresses in `/proc/net/if_inet6`, without loopback.
pub fn own_ipv6(table: &str) -> Vec<IpAddr> {
    let addresses = table.lines().filter_map(|line| {
        let word = u128::from_str_radix(line.split_ascii_whitespace().next()?, 16).ok()?;
        let address = Ipv6Addr::from(word);
        (!address.is_loopback()).then_some(IpAddr::V6(address))
    });
    distinct(addresses)
}

fn distinct(addresses: impl Iterator<Item = IpAddr>) -> Vec<IpAddr> {
    let mut sorted: Vec<IpAddr> = addresses.collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn the_gateway_is_read_from_the_ipv4_routes() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth1\t0007E70A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        // The table comes from a little-endian machine.
        if cfg!(target_endian = "little") {
            assert_eq!(in_ipv4_routes(table), addresses(&["10.231.7.1", "172.18.0.1"]));
        }
        assert_eq!(in_ipv4_routes(""), addresses(&[]));
    }

    #[test]
    fn the_gateway_is_read_from_the_ipv6_routes() {
        let table = "00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
                     fd000000000000000000000000000001 00000400 00000001 00000000 00000003 eth0\n\
                     fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
                     00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0\n";
        assert_eq!(in_ipv6_routes(table), addresses(&["fd00::1"]));
    }

    #[test]
    fn own_addresses_are_read_without_loopback() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n\
                    Local:\n           |-- 127.0.0.1\n              /32 host LOCAL\n\
                    \x20          |-- 172.18.0.0\n              /16 link UNICAST\n\
                    \x20          |-- 172.18.0.3\n              /32 host LOCAL\n\
                    \x20          |-- 172.18.255.255\n              /32 link BROADCAST\n";
        assert_eq!(own_ipv4(trie), addresses(&["172.18.0.3"]));
        let table = "00000000000000000000000000000001 01 80 10 80       lo\n\
                     fd000000000000000000000000000003 02 40 00 80     eth0\n";
        assert_eq!(own_ipv6(table), addresses(&["fd00::3"]));
    }
}
