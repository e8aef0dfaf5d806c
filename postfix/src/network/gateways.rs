//! Untrusted addresses: the container's gateways and its own addresses, which a stranger can seem to
//! come from.
//!
//! Published ports, the userland proxy, rootless networking and swarm's routing mesh can each make
//! every client appear to connect from the bridge's gateway or from the container's own address. With
//! the bridge's network in ALLOWED_NETWORKS the relay would then be open to the whole Internet, so
//! these addresses never match.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use nix::ifaddrs;

/// RTF_GATEWAY of linux/route.h: the route goes through a router instead of directly to a neighbour.
const RTF_GATEWAY: u32 = 0x2;

/// Finds every untrusted address: the gateways of all routes, the first address of each network that
/// the container is attached to, and the addresses of all interfaces.
///
/// The first address is where container engines put the bridge. Only one network has the default route,
/// so the gateways of the others are in no routing table.
pub fn untrusted_addresses() -> io::Result<BTreeSet<IpAddr>> {
    let mut addresses: BTreeSet<IpAddr> = BTreeSet::new();
    addresses.extend(ipv4_gateways(&read_if_there("/proc/net/route")?).map(IpAddr::from));
    addresses.extend(ipv6_gateways(&read_if_there("/proc/net/ipv6_route")?).map(IpAddr::from));
    addresses.extend(own_addresses()?);
    Ok(addresses)
}

/// The untrusted addresses that a network contains.
pub fn covered<'a>(
    untrusted: &'a BTreeSet<IpAddr>,
    network: &'a IpNet,
) -> impl Iterator<Item = &'a IpAddr> {
    untrusted.iter().filter(|address| network.contains(*address))
}

/// A kernel without IPv6 has no table of IPv6 routes.
fn read_if_there(path: &str) -> io::Result<String> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        other => other,
    }
}

/// Lines are `Iface Destination Gateway Flags RefCnt Use Metric Mask …`, with addresses as hexadecimal
/// words in host byte order.
fn ipv4_gateways(table: &str) -> impl Iterator<Item = Ipv4Addr> {
    table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [interface, destination, gateway, flags, _, _, _, mask, ..] = fields.as_slice() else {
            return None;
        };
        let word = |text: &str| u32::from_str_radix(text, 16).ok();
        if word(flags)? & RTF_GATEWAY != 0 {
            return Some(Ipv4Addr::from(word(gateway)?.to_ne_bytes()));
        }
        let is_network = *interface != "lo" && !matches!(word(mask)?, 0 | u32::MAX);
        let network = Ipv4Addr::from(word(destination)?.to_ne_bytes());
        is_network.then(|| Ipv4Addr::from_bits(network.to_bits() | 1))
    })
}

/// Lines are `destination length source length next-hop metric references uses flags interface`.
fn ipv6_gateways(table: &str) -> impl Iterator<Item = Ipv6Addr> {
    table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let [destination, length, _, _, gateway, _, _, _, flags, interface] = fields.as_slice()
        else {
            return None;
        };
        let address = |text: &str| u128::from_str_radix(text, 16).ok();
        if u32::from_str_radix(flags, 16).ok()? & RTF_GATEWAY != 0 {
            return address(gateway).map(Ipv6Addr::from);
        }
        let is_network = *interface != "lo" && !matches!(*length, "00" | "80");
        is_network.then_some(Ipv6Addr::from(address(destination)? | 1))
    })
}

/// Loopback is left out: whoever connects from there is already inside.
fn own_addresses() -> io::Result<Vec<IpAddr>> {
    let addresses = ifaddrs::getifaddrs()?.filter_map(|interface| {
        let address = interface.address?;
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::from(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::from(v6.ip())))
    });
    Ok(addresses.filter(|address| !address.is_loopback()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_gateways_are_read_from_the_routing_table() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n\
                     eth0\t00000000\t010012AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t000012AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth1\t0000A8C0\tFE01A8C0\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0\n\
                     eth2\t0007E70A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
                     broken line\n\neth2\tzz\tzz\tzz\n";
        let gateways: Vec<String> = ipv4_gateways(table).map(|ip| ip.to_string()).collect();
        #[cfg(target_endian = "little")]
        assert_eq!(gateways, ["172.18.0.1", "172.18.0.1", "192.168.1.254", "10.231.7.1"]);
    }

    #[test]
    fn ipv6_gateways_are_read_from_the_routing_table() {
        let any = "00000000000000000000000000000000";
        let table = format!(
            "{any} 00 {any} 00 fd000000000000000000000000000001 00000400 00000001 00000000 00000003     eth0\n\
             fd000000000000000000000000000000 40 {any} 00 {any} 00000100 00000001 00000000 00000001     eth0\n\
             short line\n"
        );
        let gateways: Vec<String> = ipv6_gateways(&table).map(|ip| ip.to_string()).collect();
        assert_eq!(gateways, ["fd00::1", "fd00::1"]);
    }

    #[test]
    fn a_network_covers_the_untrusted_addresses_in_it() {
        let untrusted: BTreeSet<IpAddr> =
            ["172.18.0.1", "fd00::1", "192.0.2.1"].map(|ip| ip.parse().unwrap()).into();
        let covered_by = |network: &str| {
            let network = network.parse().unwrap();
            covered(&untrusted, &network).map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(covered_by("172.16.0.0/12"), ["172.18.0.1"]);
        assert_eq!(covered_by("fd00::/8"), ["fd00::1"]);
        assert_eq!(covered_by("10.0.0.0/8"), Vec::<String>::new());
    }

    #[test]
    fn loopback_is_never_untrusted() {
        let found = untrusted_addresses().unwrap();
        assert!(found.iter().all(|address| !address.is_loopback()), "{found:?}");
    }
}
