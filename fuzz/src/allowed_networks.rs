//! ALLOWED_NETWORKS, which must never open the relay.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use relay_sidecar::access::networks::{self, Networks};

/// relay-init's own reading of the same setting, for Postfix. It is a program and no library.
#[path = "../../postfix/src/settings/networks.rs"]
mod of_relay_init;

/// The networks, and the warnings about them.
fn parse(text: &str) -> Result<(Vec<IpNet>, Vec<String>), Vec<String>> {
    let networks = networks::parse(text)?;
    let warnings = networks::check_size(&networks)?;
    Ok((networks, warnings))
}

/// The networks that warnings begin with.
fn warned_about(warnings: &[String]) -> Vec<&str> {
    warnings.iter().filter_map(|warning| warning.split(' ').next()).collect()
}

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = parse(text);
    let of_relay_init = of_relay_init::parse_list(text);
    assert_eq!(
        parsed.is_ok(),
        of_relay_init.is_ok(),
        "both containers take the same lists: {text:?} {parsed:?} {of_relay_init:?}"
    );
    let (Ok((networks, warnings)), Ok(of_relay_init)) = (&parsed, &of_relay_init) else {
        assert!(parsed.err().is_none_or(|mistakes| !mistakes.is_empty()));
        return;
    };
    assert_eq!(networks, of_relay_init, "both containers read the same networks");
    assert_eq!(
        warned_about(warnings),
        warned_about(&of_relay_init::size_warnings(of_relay_init)),
        "both containers warn about the same networks"
    );
    let in_postfix_form: Vec<String> =
        networks.iter().map(of_relay_init::in_postfix_form).collect();
    assert_eq!(parse(&in_postfix_form.join(" ")), parsed);
    let membership = Networks::new(networks.clone());
    for network in networks {
        check_network(network);
        for inside in [network.network(), network.broadcast()] {
            assert!(membership.contains(inside), "{network}");
        }
    }
    check_strangers(networks, &membership);
}

/// No entry lets everybody in, in whichever clothes.
fn check_network(network: &IpNet) {
    assert!(network.prefix_len() > 0, "{network}");
    assert_eq!(network.addr(), network.network(), "{network}");
    let mapped = |v4: Ipv4Addr| IpAddr::V6(v4.to_ipv6_mapped());
    for address in [mapped(Ipv4Addr::UNSPECIFIED), mapped(Ipv4Addr::BROADCAST)] {
        assert!(!network.contains(&address), "{network} has mapped addresses");
    }
}

/// Somebody is outside of any list; and who is, is told by arithmetic of our own.
fn check_strangers(networks: &[IpNet], membership: &Networks) {
    let probes = networks.iter().flat_map(neighbours).chain([
        IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V4(Ipv4Addr::BROADCAST),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        IpAddr::V6(Ipv6Addr::from(u128::MAX)),
    ]);
    for probe in probes.collect::<Vec<_>>() {
        let inside = networks.iter().any(|network| holds(network, probe));
        assert_eq!(membership.contains(probe), inside, "{probe}");
        if let IpAddr::V4(v4) = probe {
            let mapped = IpAddr::V6(v4.to_ipv6_mapped());
            assert_eq!(membership.contains(mapped), membership.contains(probe), "{mapped}");
        }
    }
    let whole = |bits: u32, is_v4: bool| {
        // Shares of the address space in units of its smallest network; they may overlap.
        let mut ranges: Vec<(u128, u128)> =
            networks.iter().filter(|n| n.addr().is_ipv4() == is_v4).map(range).collect();
        ranges.sort_unstable();
        let mut next = 0_u128;
        for (first, last) in ranges {
            if first > next {
                return false;
            }
            match last.checked_add(1) {
                Some(after) => next = next.max(after),
                None => return true,
            }
        }
        bits < 128 && next == 1 << bits
    };
    assert!(!whole(32, true) && !whole(128, false), "everybody is in: {networks:?}");
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

fn range(network: &IpNet) -> (u128, u128) {
    let bits = u32::from(network.max_prefix_len() - network.prefix_len());
    let first = number(network.addr());
    // A shift by all 128 bits would be a /0, which there is none of.
    (first, first + ((1 << bits) - 1))
}

fn holds(network: &IpNet, address: IpAddr) -> bool {
    let (first, last) = range(network);
    network.addr().is_ipv4() == address.is_ipv4() && (first..=last).contains(&number(address))
}

/// The addresses just outside.
fn neighbours(network: &IpNet) -> Vec<IpAddr> {
    let (first, last) = range(network);
    let numbers = [first.checked_sub(1), last.checked_add(1)];
    let as_address = |number: u128| {
        if network.addr().is_ipv4() {
            u32::try_from(number).ok().map(|number| IpAddr::V4(number.into()))
        } else {
            Some(IpAddr::V6(number.into()))
        }
    };
    numbers
        .into_iter()
        .flatten()
        .filter_map(as_address)
        .filter(|a| *a == a.to_canonical())
        .collect()
}
