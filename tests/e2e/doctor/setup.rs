//! A world in which everything is right, to be spoilt in one place at a time.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use relay_tests::dkim::{NAME_SERVER, NameServer};
use relay_tests::lab::Lab;
use relay_tests::namespace::Namespace;
use relay_tests::peer::{Clock, GOOD, Peer};
use relay_tests::relay::{Builder, Relay};

/// Where the receivers and the time server are: in a network of their own (RFC 2544), because Postfix takes port 25 of
/// every address here.
const WORLD: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 25);

/// What the doctor asks for, beside the domains of a test.
const ZONES: &[(&str, &str)] = &[
    ("gmail.com", "@ MX 5 mx.gmail.com.\nmx A 198.18.0.25"),
    ("outlook.com", "@ MX 5 mx.outlook.com.\nmx A 198.18.0.25"),
    ("ntp.org", "pool A 198.18.0.25"),
    ("dnssec-failed.org", "@ A 198.18.0.25"),
    ("zen.spamhaus.org", ""),
    ("dbl.spamhaus.org", ""),
    ("bl.spamcop.net", ""),
    ("b.barracudacentral.org", ""),
    ("psbl.surriel.com", ""),
    ("dnsbl-1.uceprotect.net", ""),
    ("all.s5h.net", ""),
    ("2.0.192.in-addr.arpa", "1 PTR relay.example.org."),
    (
        "example.org",
        "@ MX 10 home\n@ TXT \"v=spf1 ip4:192.0.2.1 -all\"\nhome A 203.0.113.5\nrelay A 192.0.2.1\n\
         _dmarc TXT \"v=DMARC1; p=reject; rua=mailto:postmaster@example.org\"",
    ),
];

/// The world, until it is dropped.
pub struct World {
    pub receiver: Peer,
    pub clock: Clock,
    names: Option<NameServer>,
}

impl World {
    /// Serves the usual zones; those of the test win over one of the same name, and `more` are records in the zone of
    /// example.org.
    pub fn new(lab: &Lab, zones: &[(&str, &str)], more: &str) -> Result<Self> {
        let outside = Namespace::new()?;
        lab.namespace.cable("198.18.0.1/24", &outside, "198.18.0.25/24")?;
        let mut world = Self {
            receiver: Peer::listen(&outside, SocketAddr::new(WORLD.into(), 25), GOOD)?,
            clock: Clock::listen(&outside, SocketAddr::new(WORLD.into(), 123))?,
            names: None,
        };
        world.publish(lab, zones, more)?;
        Ok(world)
    }

    /// Serves other zones from now on.
    pub fn publish(&mut self, lab: &Lab, zones: &[(&str, &str)], more: &str) -> Result<()> {
        let usual = ZONES.iter().filter(|(name, _)| zones.iter().all(|(other, _)| other != name));
        let zones: Vec<(&str, String)> = usual
            .chain(zones)
            .map(|(name, records)| match *name {
                "example.org" => (*name, format!("{records}\n{more}")),
                name => (name, (*records).to_owned()),
            })
            .collect();
        let zones: Vec<_> = zones.iter().map(|(name, records)| (*name, records.as_str())).collect();
        // Two cannot have one address.
        self.names = None;
        self.names = Some(NameServer::serve(lab, &zones)?);
        Ok(())
    }
}

/// A relay that is called relay.example.org.
pub fn relay(lab: &Lab) -> Builder<'_> {
    lab.relay().env("RELAY_MYHOSTNAME", "relay.example.org")
}

/// The relay's resolver is the world's.
pub fn in_world<'lab>(builder: Builder<'lab>) -> Result<Relay<'lab>> {
    let relay = builder.build()?;
    relay.use_name_server(NAME_SERVER.into())?;
    Ok(relay)
}
