//! What receivers do with mail that is neither SPF nor DKIM of its author. Pure.

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dmarc::{Alignment, Dmarc, Policy};

use crate::doctor::dmarc::records;
use crate::doctor::facts::DomainFacts;
use crate::doctor::finding::{Check, Finding};

pub fn check(facts: &DomainFacts) -> Vec<Finding> {
    let domain = facts.domain.as_str();
    let publish = publish(domain);
    for (name, found) in &facts.dmarc {
        let records = match found {
            Ok(found) => records(&found.records),
            Err(error) => return vec![Finding::skipped(Check::Dmarc, domain, error)],
        };
        return match records.as_slice() {
            // The record of a parent domain stands in (RFC 7489 section 6.6.3).
            [] => continue,
            [record] => match Dmarc::parse(record.as_bytes()) {
                Ok(policy) if has_policy(record) => judge(facts, name, &policy),
                _ => {
                    let found =
                        format!("the record at {name} has a mistake in it: receivers skip it");
                    vec![Finding::fail(Check::Dmarc, domain, found, publish)]
                }
            },
            several => {
                let found = format!("{name} has {} records: receivers take none", several.len());
                vec![Finding::fail(Check::Dmarc, domain, found, publish)]
            }
        };
    }
    let found = "has no DMARC record; Google, Yahoo and Microsoft want one of whoever sends much";
    vec![Finding::warn(Check::Dmarc, domain, found, publish)]
}

fn publish(domain: &str) -> String {
    format!("publish: _dmarc.{domain}. IN TXT \"v=DMARC1; p=none; rua=mailto:postmaster@{domain}\"")
}

/// A record without `p=` has no effect (RFC 7489 section 6.3).
fn has_policy(record: &str) -> bool {
    let mut tags = record.split(';').map(|tag| tag.split('=').next().unwrap_or_default().trim());
    tags.any(|tag| tag == "p")
}

fn judge(facts: &DomainFacts, name: &str, policy: &Dmarc) -> Vec<Finding> {
    let domain = facts.domain.as_str();
    let mut findings = vec![unaligned(facts, policy).unwrap_or_else(|| {
        let what = match (policy.p, policy.t) {
            (Policy::Reject, false) => "mail of others in its name is refused",
            (Policy::Quarantine, false) => "mail of others in its name is put aside",
            _ => "p=none: receivers only watch",
        };
        Finding::ok(Check::Dmarc, domain, format!("{name}: {what}"))
    })];
    if policy.rua.is_empty() {
        let found = "nobody gets reports: a mistake of yours would stay unseen";
        let remedy = format!("add to the record: rua=mailto:postmaster@{domain}");
        findings.push(Finding::warn(Check::Dmarc, domain, found, remedy));
    }
    findings.extend(facts.report_permissions.iter().filter_map(|(permission, found)| {
        // Section 7.1: another domain must say that it wants them.
        let found = found.as_ref().ok()?;
        let is_missing = records(&found.records).is_empty();
        is_missing.then(|| {
            let text = "reports go to another domain, which has not said that it wants them: receivers send none";
            let remedy = format!("publish there: {permission}. IN TXT \"v=DMARC1\"");
            Finding::warn(Check::Dmarc, domain, text, remedy)
        })
    }));
    findings
}

/// Where DMARC holds by SPF alone, every forwarding breaks it; where the policy is strict, a parent's key does not count.
fn unaligned(facts: &DomainFacts, policy: &Dmarc) -> Option<Finding> {
    let domain = facts.domain.as_str();
    if policy.adkim != Alignment::Strict || facts.keys.is_empty() {
        return None;
    }
    let is_own = |record: &str| record.ends_with(&format!("._domainkey.{domain}"));
    if facts.keys.iter().any(|key| is_own(&key.record)) {
        return None;
    }
    let found = "adkim=s wants signatures of this very domain, and the relay signs with the key of a parent";
    Some(Finding::fail(Check::Dmarc, domain, found, format!("relay dkim add {domain}")))
}
