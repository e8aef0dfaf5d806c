//! The container's gateways and own addresses, kept up to date while it runs.
//!
//! A network that is attached later (`docker network connect`) brings another gateway that every
//! stranger may appear under, so the kernel's tables are read again and again.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::access::gateways;
use crate::access::networks::Networks;

/// How often the kernel's tables are read: four small files. relay-init looks as often.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// A handle to the addresses; clones see the same.
#[derive(Debug, Clone)]
pub struct Gateways {
    addresses: Arc<RwLock<Vec<IpAddr>>>,
    /// `TRUST_GATEWAY`: they count as clients like any other.
    trusted: bool,
}

impl Gateways {
    /// Reads the addresses, and warns about the allowed networks that cover one.
    pub fn new(trusted: bool, allowed: &Networks) -> Self {
        let addresses = read();
        warn_if_covered(allowed, &addresses, trusted);
        Self { addresses: Arc::new(RwLock::new(addresses)), trusted }
    }

    /// These addresses, for tests and for who has no container around it.
    pub fn of(addresses: &[&str]) -> Self {
        let addresses = addresses.iter().filter_map(|text| text.parse().ok()).collect();
        Self { addresses: Arc::new(RwLock::new(addresses)), trusted: false }
    }

    /// Whether strangers may appear under this address.
    pub fn contains(&self, client: IpAddr) -> bool {
        !self.trusted && self.is_shared(client)
    }

    /// Whether many clients may appear under this address, trusted or not: what one of them does
    /// cannot be held against it.
    pub fn is_shared(&self, client: IpAddr) -> bool {
        let addresses = self.addresses.read().unwrap_or_else(PoisonError::into_inner);
        addresses.contains(&client.to_canonical())
    }

    /// Reads the addresses again until the process stops.
    pub async fn watch(self, allowed: Networks, stopping: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => self.update(read(), &allowed),
                () = stopping.cancelled() => return,
            }
        }
    }

    fn update(&self, found: Vec<IpAddr>, allowed: &Networks) {
        let mut addresses = self.addresses.write().unwrap_or_else(PoisonError::into_inner);
        // Tables that cannot be read for a moment are no reason to trust a gateway.
        if found.is_empty() || *addresses == found {
            return;
        }
        let new: Vec<IpAddr> =
            found.iter().filter(|address| !addresses.contains(address)).copied().collect();
        *addresses = found;
        drop(addresses);
        tracing::info!(?new, "this container's networks have changed");
        warn_if_covered(allowed, &new, self.trusted);
    }
}

fn warn_if_covered(allowed: &Networks, addresses: &[IpAddr], trusted: bool) {
    for (network, gateway) in allowed.covering(addresses) {
        if trusted {
            tracing::warn!(
                %network, %gateway,
                "TRUST_GATEWAY: anybody who reaches this host through the gateway may send without \
                 a login"
            );
        } else {
            tracing::warn!(
                %network, %gateway,
                "ALLOWED_NETWORKS covers this container's gateway or own address, which strangers \
                 can appear under: that address still needs a login"
            );
        }
    }
}

/// The gateways and own addresses that the kernel knows.
fn read() -> Vec<IpAddr> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let mut found = gateways::in_ipv4_routes(&read("/proc/net/route"));
    found.extend(gateways::in_ipv6_routes(&read("/proc/net/ipv6_route")));
    found.extend(gateways::own_ipv4(&read("/proc/net/fib_trie")));
    found.extend(gateways::own_ipv6(&read("/proc/net/if_inet6")));
    found.iter().map(IpAddr::to_canonical).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::networks;

    fn gateways(trusted: bool) -> (Gateways, Networks) {
        let allowed = Networks::new(networks::parse("172.16.0.0/12").unwrap());
        let handle = Gateways { addresses: Arc::default(), trusted };
        handle.update(vec!["172.18.0.1".parse().unwrap()], &allowed);
        (handle, allowed)
    }

    #[test]
    fn a_network_that_is_attached_later_brings_its_gateway() {
        let (handle, allowed) = gateways(false);
        let (first, second) = ("172.18.0.1".parse().unwrap(), "172.19.0.1".parse().unwrap());
        assert!(handle.contains(first) && !handle.contains(second));
        assert!(handle.contains("::ffff:172.18.0.1".parse().unwrap()));
        handle.update(vec![first, second], &allowed);
        assert!(handle.contains(first) && handle.contains(second));
    }

    #[test]
    fn tables_that_cannot_be_read_make_no_gateway_trusted() {
        let (handle, allowed) = gateways(false);
        handle.update(Vec::new(), &allowed);
        assert!(handle.contains("172.18.0.1".parse().unwrap()));
    }

    #[test]
    fn a_trusted_gateway_is_still_shared_by_many() {
        let (handle, _) = gateways(true);
        let gateway = "172.18.0.1".parse().unwrap();
        assert!(!handle.contains(gateway) && handle.is_shared(gateway));
    }
}
