//! One test's world: a network, a directory for everything that is written, and the machine's programs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::Result;

use crate::dns::Dns;
use crate::evidence::Evidence;
use crate::namespace::Namespace;
use crate::relay::Builder;
use crate::requirements::Requirements;
use crate::sink::Sink;

/// The relay's address (RFC 5737 and RFC 3849: addresses for documentation).
pub const RELAY: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
pub const RELAY_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));
/// A client in [`HOME_NETWORK`], which tests may allow.
pub const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5));
pub const HOME_NETWORK: &str = "203.0.113.0/24";
pub const HOME_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xa, 0, 0, 0, 0, 5));
pub const HOME_NETWORK_V6: &str = "[2001:db8:a::]/64";
/// A client in no network that any test allows.
pub const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7));
pub const STRANGER_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0xb, 0, 0, 0, 0, 7));
/// The next hop, and how RELAYHOST names it.
pub const SINK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 25)), 2525);
pub const SINK_RELAYHOST: &str = "[192.0.2.25]:2525";

/// Only the servers' addresses are assigned: the relay never trusts an address of its own, as a gateway
/// may use it for strangers. The clients' networks are local by route, so a client may bind any of them.
const NETWORK: &str = "address add 192.0.2.1/32 dev lo\n\
    address add 192.0.2.25/32 dev lo\n\
    address add 2001:db8::1/128 dev lo nodad\n\
    route add local 192.0.2.0/24 dev lo\n\
    route add local 203.0.113.0/24 dev lo\n\
    route add local 198.51.100.0/24 dev lo\n\
    route add local 2001:db8:a::/64 dev lo\n\
    route add local 2001:db8:b::/64 dev lo\n";

/// What a test has to build with.
#[derive(Debug)]
pub struct Lab {
    pub namespace: Namespace,
    pub requirements: Requirements,
    pub evidence: Evidence,
    _dns: Dns,
}

/// Runs a test, ends everything it started, and keeps the evidence when it fails.
pub fn in_a_lab(test: impl FnOnce(&Lab) -> Result<()>) -> Result<()> {
    let lab = Lab::open(Requirements::find()?)?;
    // A failed assertion leaves from here, too: the evidence is kept whenever it is not discarded.
    test(&lab)?;
    lab.evidence.check_secrets()?;
    lab.evidence.discard()
}

impl Lab {
    /// A lab that is the caller's to end, which the benchmark wants: it has several at once.
    pub fn open(requirements: Requirements) -> Result<Self> {
        let namespace = Namespace::new()?;
        namespace.ip(NETWORK)?;
        let dns = Dns::serve(&namespace, &[])?;
        Ok(Self { namespace, requirements, evidence: Evidence::new()?, _dns: dns })
    }

    /// A relay in the lab's network, to be given its settings and started.
    #[must_use]
    pub fn relay(&self) -> Builder<'_> {
        Builder::new(self, "relay", self.namespace.clone())
    }

    /// The same for the clients of [`HOME_NETWORK`], with [`SINK`] as its next hop.
    #[must_use]
    pub fn relay_to_sink(&self) -> Builder<'_> {
        self.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).env("RELAYHOST", SINK_RELAYHOST)
    }

    /// Another relay, in a network of its own.
    #[must_use]
    pub fn relay_in(&self, name: &str, namespace: &Namespace) -> Builder<'_> {
        Builder::new(self, name, namespace.clone())
    }

    /// The next hop at [`SINK`].
    pub fn sink(&self) -> Result<Sink> {
        Sink::listen(&self.namespace, SINK)
    }
}
