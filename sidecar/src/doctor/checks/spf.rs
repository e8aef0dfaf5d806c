//! Which servers a sender's domain allows to send. Pure.

use std::net::IpAddr;

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::spf::Spf;

use crate::doctor::facts::{DomainFacts, Facts, SpfFacts, WayOut};
use crate::doctor::finding::{Check, Finding};
use crate::doctor::spf::{MOST_LOOKUPS, merged, outline, records};
use crate::printable::on_a_terminal;

pub fn check(domain: &DomainFacts, facts: &Facts) -> Vec<Finding> {
    let name = domain.domain.as_str();
    let records = match &domain.txt {
        Ok(txt) => records(&txt.records),
        Err(error) => return vec![Finding::skipped(Check::Spf, name, error)],
    };
    if let Some(WayOut::Smarthost(smarthost)) = &facts.way_out {
        let why = format!(
            "mail leaves through {}: its owner says what the record must include",
            smarthost.name
        );
        return vec![Finding::skipped(Check::Spf, name, why)];
    }
    let addresses = facts.sending();
    let publish = format!("publish: {name}. IN TXT \"{}\"", merged(&records, &addresses));
    let record = match records.as_slice() {
        [] => return vec![missing(domain, &publish)],
        [record] => record,
        several => {
            let found = format!("has {} SPF records: receivers take none of them", several.len());
            return vec![Finding::fail(Check::Spf, name, found, publish)];
        }
    };
    let unknown = outline(record).unknown;
    if unknown.is_some() || Spf::parse(record.as_bytes()).is_err() {
        let wrong = unknown.as_deref().unwrap_or(record);
        let found = format!("the record has a mistake in it: {}", on_a_terminal(wrong));
        return vec![Finding::fail(Check::Spf, name, found, publish)];
    }
    let mut findings = Vec::new();
    if let Some(spf) = &domain.spf {
        findings.extend(cost(name, spf));
        let sound = findings.is_empty();
        findings.extend(
            spf.results
                .iter()
                .map(|(address, result)| judge(name, (*address, result), sound, &publish)),
        );
    }
    findings.extend(habits(name, record, &publish));
    if findings.is_empty() {
        findings.push(Finding::skipped(Check::Spf, name, "the relay's address is not known"));
    }
    findings
}

fn missing(domain: &DomainFacts, publish: &str) -> Finding {
    let is_signed = domain
        .keys
        .iter()
        .any(|key| key.findings.as_ref().is_ok_and(|found| !found.iter().any(|f| f.spoils())));
    let found = "has no SPF record";
    match is_signed {
        true => Finding::warn(Check::Spf, &domain.domain, found, publish),
        false => Finding::fail(
            Check::Spf,
            &domain.domain,
            format!(
                "{found}, and no signature stands in for it: Google and others refuse such mail"
            ),
            publish,
        ),
    }
}

/// What makes receivers give the record up (RFC 7208 section 4.6.4).
fn cost(name: &str, spf: &SpfFacts) -> Vec<Finding> {
    let mut findings = Vec::new();
    if spf.lookups > MOST_LOOKUPS {
        let found = format!(
            "the record costs {} DNS queries, and {MOST_LOOKUPS} are allowed: receivers give it up",
            spf.lookups
        );
        let remedy =
            "take out what you no longer use, or write ip4:/ip6: instead of include:, a and mx";
        findings.push(Finding::fail(Check::Spf, name, found, remedy));
    }
    for missing in &spf.missing {
        let found = format!("includes {missing}, which has no SPF record: receivers give it up");
        let remedy = format!("take include:{missing} out");
        findings.push(Finding::fail(Check::Spf, name, found, remedy));
    }
    findings
}

fn judge(name: &str, (address, result): (IpAddr, &str), sound: bool, publish: &str) -> Finding {
    match result {
        "Pass" => Finding::ok(Check::Spf, name, format!("{address} may send")),
        "TempError" => {
            let why = format!("DNS did not answer for all of the record of {address}");
            Finding::skipped(Check::Spf, name, why)
        }
        // The reason is a finding of its own.
        "PermError" if !sound => {
            Finding::skipped(Check::Spf, name, format!("{address}: see the finding above"))
        }
        "PermError" => {
            let found = format!("receivers give the record up for {address}");
            Finding::fail(Check::Spf, name, found, publish)
        }
        result => {
            let found = format!("{address} may not send ({})", result.to_ascii_lowercase());
            Finding::fail(Check::Spf, name, found, publish)
        }
    }
}

/// What works, and should not be.
fn habits(name: &str, record: &str, publish: &str) -> Vec<Finding> {
    let outline = outline(record);
    let mut findings = Vec::new();
    let mut warn =
        |found: &str, remedy: &str| findings.push(Finding::warn(Check::Spf, name, found, remedy));
    match outline.all {
        Some('+') => warn("+all lets everybody on the Internet send in its name", publish),
        Some('?') => warn("?all says nothing of strangers", publish),
        None if !outline.has_redirect => {
            warn("does not end in ~all or -all: it says nothing of strangers", publish);
        }
        _ => {}
    }
    if outline.has_ptr {
        warn("uses ptr, which many receivers do not look at", "write ip4: or a: instead of ptr");
    }
    findings
}
