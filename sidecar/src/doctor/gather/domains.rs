//! What senders' domains publish.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use mail_auth::MessageAuthenticator;
use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dmarc::Dmarc;
use mail_auth::spf::verify::SpfParameters;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::bounded;
use crate::dkim::key::NamedKey;
use crate::dkim::names::{Domain, record_name};
use crate::dkim::published::Txt;
use crate::dns::{Dns, Found};
use crate::doctor::dmarc;
use crate::doctor::facts::{DomainFacts, KeyFacts, SpfFacts};
use crate::doctor::spf::{outline, records};
use crate::signing::upkeep::compare;

/// For an evaluation, whose queries follow each other.
const EVALUATION: Duration = Duration::from_secs(5);
/// Included records that are read; a receiver gives up after ten.
const MOST_INCLUDED: usize = 20;

pub async fn look(dns: &Dns, domains: &[String], keys: &[NamedKey]) -> Vec<DomainFacts> {
    let mut asking = JoinSet::new();
    for domain in domains {
        let (dns, domain) = (dns.clone(), domain.clone());
        let keys: Vec<NamedKey> = nearest(&domain, keys).cloned().collect();
        asking.spawn(async move { look_at(&dns, domain, keys).await });
    }
    let mut facts = asking.join_all().await;
    facts.sort_by(|a, b| a.domain.cmp(&b.domain));
    facts
}

/// The keys that sign for a domain: its own, or else those of the nearest parent that has some.
fn nearest<'a>(domain: &str, keys: &'a [NamedKey]) -> impl Iterator<Item = &'a NamedKey> {
    let owner = Domain::with_parents(domain)
        .find(|name| keys.iter().any(|key| key.domain.as_str() == *name))
        .map(str::to_owned);
    keys.iter().filter(move |key| owner.as_deref() == Some(key.domain.as_str()))
}

async fn look_at(dns: &Dns, domain: String, keys: Vec<NamedKey>) -> DomainFacts {
    let name = domain.as_str();
    let (mx, v4, v6, txt, dmarc, keys) = tokio::join!(
        bounded(name, dns.mx(name)),
        bounded(name, dns.a(name)),
        bounded(name, dns.aaaa(name)),
        bounded(name, dns.txt(name)),
        policies(dns, name),
        published(dns, keys),
    );
    let report_permissions = permissions(dns, name, &dmarc).await;
    DomainFacts { mx, v4, v6, txt, spf: None, keys, dmarc, report_permissions, domain }
}

/// The DMARC records of the domain and its parents, of which the nearest one counts.
async fn policies(dns: &Dns, domain: &str) -> Vec<(String, Found<Txt>)> {
    let mut asking = JoinSet::new();
    for (position, parent) in Domain::with_parents(domain).enumerate() {
        let (dns, name) = (dns.clone(), format!("_dmarc.{parent}"));
        asking.spawn(async move { (position, name.clone(), bounded(&name, dns.txt(&name)).await) });
    }
    let mut found = asking.join_all().await;
    found.sort_by_key(|(position, ..)| *position);
    found.into_iter().map(|(_, name, found)| (name, found)).collect()
}

async fn published(dns: &Dns, keys: Vec<NamedKey>) -> Vec<KeyFacts> {
    let mut asking = JoinSet::new();
    for key in keys {
        let dns = dns.clone();
        asking.spawn(async move {
            let record = record_name(&key.domain, &key.selector);
            let found = bounded(&record, dns.txt(&record)).await;
            let findings = found.map(|found| compare(&key, &found.records));
            let findings = findings.map_err(|error| error.to_string());
            KeyFacts { record, findings }
        });
    }
    let mut facts = asking.join_all().await;
    facts.sort_by(|a, b| a.record.cmp(&b.record));
    facts
}

/// Whether receivers of reports in other domains agree.
async fn permissions(
    dns: &Dns,
    domain: &str,
    dmarc: &[(String, Found<Txt>)],
) -> Vec<(String, Found<Txt>)> {
    let found = dmarc.iter().filter_map(|(_, found)| found.as_ref().ok());
    let record = found.flat_map(|found| dmarc::records(&found.records)).next();
    let Some(policy) = record.and_then(|record| Dmarc::parse(record.as_bytes()).ok()) else {
        return Vec::new();
    };
    let mut others: BTreeSet<String> =
        policy.rua.iter().filter_map(|uri| other(uri.uri(), domain)).collect();
    let mut answers = Vec::new();
    while let Some(other) = others.pop_first() {
        let name = format!("{domain}._report._dmarc.{other}");
        let found = bounded(&name, dns.txt(&name)).await;
        answers.push((name, found));
    }
    answers
}

/// The domain of a report's receiver, where it is another organization's.
fn other(uri: &str, domain: &str) -> Option<String> {
    let address = uri.strip_prefix("mailto:").unwrap_or(uri);
    let (_, receiver) = address.rsplit_once('@')?;
    let receiver = receiver.to_ascii_lowercase();
    let related = Domain::with_parents(domain).any(|parent| parent == receiver)
        || Domain::with_parents(&receiver).any(|parent| parent == domain);
    (!related).then_some(receiver)
}

/// Evaluates each domain's SPF record for each address, as a receiver does.
pub async fn evaluate(
    dns: &Dns,
    domains: &mut [DomainFacts],
    addresses: &BTreeSet<IpAddr>,
    host: &str,
) {
    let mut asking = JoinSet::new();
    for (position, facts) in domains.iter().enumerate() {
        let Ok(txt) = &facts.txt else { continue };
        // Of several, receivers take none.
        let records = records(&txt.records);
        let [record] = records.as_slice() else { continue };
        let record = record.clone();
        let (dns, domain, host) = (dns.clone(), facts.domain.clone(), host.to_owned());
        let addresses = addresses.clone();
        asking.spawn(async move {
            let (results, (lookups, missing)) =
                tokio::join!(results(&dns, &domain, &addresses, &host), cost(&dns, record));
            (position, SpfFacts { results, lookups, missing })
        });
    }
    for (position, spf) in asking.join_all().await {
        if let Some(facts) = domains.get_mut(position) {
            facts.spf = Some(spf);
        }
    }
}

async fn results(
    dns: &Dns,
    domain: &str,
    addresses: &BTreeSet<IpAddr>,
    host: &str,
) -> Vec<(IpAddr, String)> {
    let receiver = MessageAuthenticator(dns.resolver().clone());
    let sender = format!("postmaster@{domain}");
    let mut results = Vec::new();
    for address in addresses {
        let parameters = SpfParameters::verify_mail_from(*address, host, host, &sender);
        let output = timeout(EVALUATION, receiver.verify_spf(parameters)).await;
        let result =
            output.map_or_else(|_| "TempError".to_owned(), |output| output.result().to_string());
        results.push((*address, result));
    }
    results
}

/// What the record and everything that it includes cost a receiver, and what of it is not there.
async fn cost(dns: &Dns, record: String) -> (usize, Vec<String>) {
    let first = outline(&record);
    let (mut lookups, mut missing) = (first.lookups, Vec::new());
    let mut waiting = first.others;
    let mut read = BTreeSet::new();
    while let Some(name) = waiting.pop() {
        if read.len() >= MOST_INCLUDED || !read.insert(name.clone()) {
            continue;
        }
        // What DNS does not tell is not missing.
        let Ok(found) = bounded(&name, dns.txt(&name)).await else { continue };
        match records(&found.records).first() {
            Some(record) => {
                let outline = outline(record);
                lookups += outline.lookups;
                waiting.extend(outline.others);
            }
            None => missing.push(name),
        }
    }
    (lookups, missing)
}
