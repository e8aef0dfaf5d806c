//! Whether signatures of a sender's domain can be verified. Pure.

use crate::doctor::facts::DomainFacts;
use crate::doctor::finding::{Check, Finding};

pub fn check(facts: &DomainFacts) -> Vec<Finding> {
    let domain = facts.domain.as_str();
    if facts.keys.is_empty() {
        return vec![Finding::warn(
            Check::Dkim,
            domain,
            "the relay has no key for it: unless your own server signs, its mail has no signature, and Google \
             and others want one",
            format!("relay dkim add {domain}"),
        )];
    }
    facts
        .keys
        .iter()
        .map(|key| {
            let record = key.record.as_str();
            let show = format!("relay dkim show {domain} prints the record as it has to be");
            match &key.findings {
                Err(error) => Finding::skipped(Check::Dkim, record, error),
                Ok(findings) if findings.is_empty() => {
                    Finding::ok(Check::Dkim, record, "the record is right")
                }
                Ok(findings) => {
                    let words: Vec<_> = findings.iter().map(ToString::to_string).collect();
                    match findings.iter().any(|finding| finding.spoils()) {
                        true => Finding::fail(Check::Dkim, record, words.join("; "), show),
                        false => Finding::warn(Check::Dkim, record, words.join("; "), show),
                    }
                }
            }
        })
        .collect()
}
