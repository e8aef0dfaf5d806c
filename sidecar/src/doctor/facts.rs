//! All that the checks are based on, gathered before. Pure.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::dkim::published::Finding as KeyFinding;
use crate::dkim::published::Txt;
use crate::dns::{Exchanger, Found};
use crate::history::Entry;
use crate::status::Status;

/// A fact that was not gathered is `None`: its check was not asked for.
#[derive(Debug, Default)]
pub struct Facts {
    pub settings: Settings,
    pub name: Option<NameFacts>,
    pub way_out: Option<WayOut>,
    pub domains: Vec<DomainFacts>,
    pub lists: Vec<ListAnswer>,
    pub ports: Vec<PortFacts>,
    /// This container's address, where `ALLOWED_NETWORKS` has it: then it is no stranger to its own ports.
    pub is_allowed: Option<IpAddr>,
    pub here: Option<HereFacts>,
}

impl Facts {
    /// The addresses that mail may come from.
    pub fn sending(&self) -> Vec<IpAddr> {
        let of_name = self.name.iter().flat_map(|name| &name.addresses);
        of_name.map(|address| address.address).collect()
    }
}

/// What the environment says.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// `RELAY_MYHOSTNAME`; empty if it is not set.
    pub hostname: String,
    /// `RELAYHOST`; empty if mail goes to receivers directly.
    pub relayhost: String,
    pub inet_protocols: String,
    /// Settings that are allowed and dangerous, as `NAME=value`, and what they do.
    pub dangerous: Vec<(String, &'static str)>,
    /// What was said of other settings when they were read.
    pub warnings: Vec<String>,
}

impl Settings {
    /// What stands in EHLO; an address literal would be refused more often than any name.
    pub fn greeting_name(&self) -> &str {
        if self.hostname.is_empty() { "localhost" } else { &self.hostname }
    }

    pub fn sends_over_ipv6(&self) -> bool {
        self.inet_protocols != "ipv4"
    }
}

/// The relay's name in DNS.
#[derive(Debug)]
pub struct NameFacts {
    pub v4: Found<Ipv4Addr>,
    pub v6: Found<Ipv6Addr>,
    /// Of every address that mail may come from: those of the name, and those that receivers saw.
    pub addresses: Vec<AddressFacts>,
}

impl NameFacts {
    /// Every address of the name in DNS.
    pub fn published(&self) -> Vec<IpAddr> {
        published(&self.v4, &self.v6)
    }
}

/// Every address in two answers.
pub fn published(v4: &Found<Ipv4Addr>, v6: &Found<Ipv6Addr>) -> Vec<IpAddr> {
    let v4 = v4.iter().flat_map(|found| &found.records).copied().map(IpAddr::V4);
    let v6 = v6.iter().flat_map(|found| &found.records).copied().map(IpAddr::V6);
    v4.chain(v6).collect()
}

#[derive(Debug)]
pub struct AddressFacts {
    pub address: IpAddr,
    /// Whether a receiver saw the relay come from here.
    pub was_seen: bool,
    /// Its PTR records, each with the addresses of that name.
    pub names: Found<(String, Vec<IpAddr>)>,
}

/// How mail leaves.
#[derive(Debug)]
pub enum WayOut {
    /// Port 25 of receivers, each tried until the connection or the greeting failed.
    Direct(Vec<Receiver>),
    Smarthost(Smarthost),
}

#[derive(Debug)]
pub struct Receiver {
    pub host: String,
    pub greeting: Result<Greeting, NoGreeting>,
}

/// What a server says before and after EHLO.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Greeting {
    pub reply: String,
    /// The address that it says the client has, if it does.
    pub seen: Option<IpAddr>,
    /// In capital letters, such as `STARTTLS`.
    pub extensions: Vec<String>,
}

impl Greeting {
    pub fn offers(&self, extension: &str) -> bool {
        let same = |line: &&String| line.split([' ', '=']).next() == Some(extension);
        self.extensions.iter().any(|line| same(&line))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoGreeting {
    /// Its name has no address, or DNS did not answer.
    NoAddress(String),
    /// Nobody answered, or it could not be reached.
    NoConnection(String),
    /// It answered with a refusal.
    Refused(String),
}

impl fmt::Display for NoGreeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAddress(text) | Self::NoConnection(text) | Self::Refused(text) => {
                f.write_str(text)
            }
        }
    }
}

#[derive(Debug)]
pub struct Smarthost {
    /// As in RELAYHOST.
    pub name: String,
    pub greeting: Result<Greeting, NoGreeting>,
    /// When it offers TLS.
    pub tls: Option<Result<Certificate, String>>,
    /// What the last delivery through it had for an answer, and whether it took the message.
    pub last_delivery: Option<(bool, String)>,
}

/// A domain that senders of this relay use.
#[derive(Debug)]
pub struct DomainFacts {
    pub domain: String,
    pub mx: Found<Exchanger>,
    pub v4: Found<Ipv4Addr>,
    pub v6: Found<Ipv6Addr>,
    pub txt: Found<Txt>,
    pub spf: Option<SpfFacts>,
    /// This relay's keys for it: the name of each record, and what is wrong with it; `Err` is DNS without an answer.
    pub keys: Vec<KeyFacts>,
    /// At `_dmarc` of the domain, and of its organizational domain where that is another.
    pub dmarc: Vec<(String, Found<Txt>)>,
    /// For receivers of reports in other domains: whether they agree (RFC 7489 section 7.1).
    pub report_permissions: Vec<(String, Found<Txt>)>,
}

#[derive(Debug)]
pub struct KeyFacts {
    pub record: String,
    pub findings: Result<Vec<KeyFinding>, String>,
}

/// What a receiver makes of the SPF record.
#[derive(Debug)]
pub struct SpfFacts {
    /// For each address of the relay, in mail-auth's words.
    pub results: Vec<(IpAddr, String)>,
    /// Terms that cost the receiver a query, those of included records counted (RFC 7208 section 4.6.4).
    pub lookups: usize,
    /// Records that are included or redirected to and are not there.
    pub missing: Vec<String>,
}

/// What a list says of an address or a name.
#[derive(Debug)]
pub struct ListAnswer {
    pub list: &'static super::blocklists::Blocklist,
    pub subject: String,
    pub answer: Found<Ipv4Addr>,
}

/// What a client sees on one of the relay's own ports.
#[derive(Debug)]
pub struct PortFacts {
    pub port: u16,
    pub dialogue: Result<Dialogue, NoGreeting>,
}

#[derive(Debug, Default)]
pub struct Dialogue {
    /// Before TLS; `None` on port 465, where there is nothing before it.
    pub plain: Option<Greeting>,
    /// `None` where none was offered, or none was tried.
    pub tls: Option<Result<Encrypted, String>>,
    /// What was said to a recipient elsewhere; empty if it was not asked.
    pub recipient_reply: String,
}

#[derive(Debug)]
pub struct Encrypted {
    pub greeting: Greeting,
    /// Such as `TLS 1.3`.
    pub version: String,
    pub certificate: Certificate,
    /// SHA-256 of the certificate's public key, in hexadecimal digits.
    pub key_pin: String,
}

/// A certificate held against the authorities that everybody knows and the name that it should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Certificate {
    Good,
    /// Nobody but its owner stands behind it.
    SelfSigned,
    /// What is wrong with it.
    Bad(String),
}

#[derive(Debug, Default)]
pub struct HereFacts {
    /// How the running relay is; the error says why it did not answer.
    pub status: Option<Result<Box<Status>, String>>,
    /// Its latest deliveries that did not work.
    pub troubled: Vec<Entry>,
    /// Seconds that this clock is ahead of a time server's, or why that is not known.
    pub clock: Option<Result<f64, String>>,
    /// Whether the resolver answers at all, and whether it refuses a name with broken signatures.
    pub resolver: Option<Result<bool, String>>,
}
