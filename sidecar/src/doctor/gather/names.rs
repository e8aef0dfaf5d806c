//! The relay's name and addresses in DNS.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio::task::JoinSet;

use super::bounded;
use crate::dns::{Answer, Dns, Found};
use crate::doctor::facts::AddressFacts;

/// Names of an address that are looked at; one is usual.
const MOST_NAMES: usize = 4;
/// Its signatures are wrong on purpose (operated by Comcast for tests of resolvers): one that checks DNSSEC says SERVFAIL.
const BROKEN: &str = "dnssec-failed.org";

pub async fn forward(dns: &Dns, host: &str) -> (Found<Ipv4Addr>, Found<Ipv6Addr>) {
    if host.is_empty() {
        return (Ok(Answer::nothing()), Ok(Answer::nothing()));
    }
    tokio::join!(bounded(host, dns.a(host)), bounded(host, dns.aaaa(host)))
}

/// What each address is called, and whether those names lead back to it.
pub async fn reverse(
    dns: &Dns,
    addresses: &BTreeSet<IpAddr>,
    seen: &BTreeSet<IpAddr>,
) -> Vec<AddressFacts> {
    let mut asking = JoinSet::new();
    for &address in addresses {
        let (dns, was_seen) = (dns.clone(), seen.contains(&address));
        asking.spawn(async move {
            let names = names(&dns, address).await;
            AddressFacts { address, was_seen, names }
        });
    }
    let mut facts = asking.join_all().await;
    facts.sort_by_key(|facts| facts.address);
    facts
}

async fn names(dns: &Dns, address: IpAddr) -> Found<(String, Vec<IpAddr>)> {
    let found = bounded(&address.to_string(), dns.ptr(address)).await?;
    let mut records = Vec::new();
    for name in found.records.into_iter().take(MOST_NAMES) {
        let back = match address {
            IpAddr::V4(_) => {
                bounded(&name, dns.a(&name)).await?.records.into_iter().map(IpAddr::V4).collect()
            }
            IpAddr::V6(_) => {
                bounded(&name, dns.aaaa(&name)).await?.records.into_iter().map(IpAddr::V6).collect()
            }
        };
        records.push((name, back));
    }
    Ok(Answer { records, name_exists: found.name_exists })
}

/// Whether the resolver refuses a name whose signatures are wrong; the error says that it does not answer.
pub async fn validates(dns: &Dns) -> Result<bool, String> {
    match bounded(BROKEN, dns.a(BROKEN)).await {
        Ok(_) => Ok(false),
        Err(trouble) if trouble.is_servfail => Ok(true),
        Err(trouble) => Err(trouble.to_string()),
    }
}
