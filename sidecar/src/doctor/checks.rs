//! Facts to findings. Pure.

mod closed;
mod dkim;
mod dmarc;
mod domain;
mod here;
mod lists;
mod name;
mod ports;
mod spf;
mod way_out;

use super::facts::Facts;
use super::finding::Finding;

/// Everything that can be said of the facts, in the order in which an operator mends it.
pub fn all(facts: &Facts) -> Vec<Finding> {
    let mut findings = name::check(facts);
    findings.extend(way_out::check(facts));
    for domain in &facts.domains {
        findings.extend(domain::check(domain));
        findings.extend(spf::check(domain, facts));
        findings.extend(dkim::check(domain));
        findings.extend(dmarc::check(domain));
    }
    findings.extend(lists::check(facts));
    findings.extend(ports::check(facts));
    findings.extend(closed::check(facts));
    findings.extend(here::check(facts));
    findings
}
