//! What to publish in DNS, and what of it is there. Pure.

use mail_auth::common::parse::TxtRecordParser as _;
use mail_auth::dmarc::Dmarc;
use serde::Serialize;

use super::dmarc;
use super::facts::{DomainFacts, Facts, WayOut};
use super::spf::{merged, outline, records as spf_records};
use crate::dkim::key::NamedKey;
use crate::dkim::record::{Record, txt_line};
use crate::dns::Found;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Right,
    Missing,
    /// There is another one, which this one replaces.
    Change,
    /// Good to have.
    Optional,
    /// DNS did not answer, or the value cannot be known here.
    Unknown,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Without a dot at its end.
    pub name: String,
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// As one piece, for a web form. Empty when it cannot be known.
    pub value: String,
    pub state: State,
    /// What else there is to know.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Row {
    fn new(name: impl ToString, kind: &'static str, value: impl ToString, state: State) -> Self {
        let (name, value) = (name.to_string(), value.to_string());
        Self { name, kind, value, state, note: String::new() }
    }

    fn noting(self, note: impl ToString) -> Self {
        Self { note: note.to_string(), ..self }
    }

    /// A line for the zone file of a domain; what is another zone's, or cannot be written yet, is a comment.
    pub fn zone_line(&self, domain: &str) -> String {
        let line = match self.kind {
            "TXT" => txt_line(&self.name, &self.value),
            kind => format!("{}. IN {kind} {}", self.name, self.value),
        };
        let is_inside = self.name == domain || self.name.ends_with(&format!(".{domain}"));
        let is_known = !self.value.is_empty() && !self.value.contains('<');
        match (is_inside && is_known, is_known) {
            (true, _) => line,
            (false, true) => format!("; in another zone: {line}"),
            (false, false) => format!("; {} {}: {}", self.name, self.kind, self.note),
        }
    }
}

/// Every record of a domain, then those of the relay itself.
pub fn of(
    facts: &Facts,
    domain: &DomainFacts,
    keys: &[NamedKey],
    tlsa: &[(String, Found<String>)],
) -> Vec<Row> {
    let mut rows = vec![mx(domain), spf(facts, domain)];
    rows.extend(dkim(domain, keys));
    rows.push(policy(domain));
    rows.extend(host(facts));
    rows.extend(pins(facts, tlsa));
    rows.extend(reverse(facts));
    rows
}

fn unknown(name: &str, kind: &'static str, why: impl ToString) -> Row {
    Row::new(name, kind, "", State::Unknown).noting(why)
}

fn mx(domain: &DomainFacts) -> Row {
    let name = domain.domain.as_str();
    match &domain.mx {
        Err(error) => unknown(name, "MX", error),
        Ok(found) => match found.records.first() {
            Some((preference, host)) if !host.is_empty() => {
                Row::new(name, "MX", format!("{preference} {host}."), State::Right)
            }
            _ => Row::new(name, "MX", "10 <the server that receives its mail>.", State::Missing)
                .noting("bounces go there"),
        },
    }
}

fn spf(facts: &Facts, domain: &DomainFacts) -> Row {
    let name = domain.domain.as_str();
    let records = match &domain.txt {
        Ok(found) => spf_records(&found.records),
        Err(error) => return unknown(name, "TXT", error),
    };
    if let Some(WayOut::Smarthost(smarthost)) = &facts.way_out {
        let why = format!(
            "SPF: mail leaves through {}, whose owner says what to include",
            smarthost.name
        );
        return unknown(name, "TXT", why);
    }
    let addresses = facts.sending();
    if addresses.is_empty() {
        return unknown(
            name,
            "TXT",
            "SPF: the relay's address is not known; publish its A record first",
        );
    }
    let passes = domain.spf.as_ref().is_some_and(|spf| {
        !spf.results.is_empty() && spf.results.iter().all(|(_, result)| result == "Pass")
    });
    let ends_well = |record: &String| {
        let outline = outline(record);
        outline.has_redirect || matches!(outline.all, Some('-' | '~'))
    };
    match records.as_slice() {
        [record] if passes && ends_well(record) => Row::new(name, "TXT", record, State::Right),
        [] => Row::new(name, "TXT", merged(&[], &addresses), State::Missing),
        several => {
            let note = match several.len() {
                1 => format!("instead of: {}", several.concat()),
                number => format!("one record instead of {number}"),
            };
            Row::new(name, "TXT", merged(several, &addresses), State::Change).noting(note)
        }
    }
}

fn dkim(domain: &DomainFacts, keys: &[NamedKey]) -> Vec<Row> {
    if domain.keys.is_empty() {
        let why = format!("there is no key: relay dkim add {}", domain.domain);
        let name = format!("<selector>._domainkey.{}", domain.domain);
        return vec![Row::new(name, "TXT", "", State::Missing).noting(why)];
    }
    let expected: Vec<Record> = keys.iter().filter_map(|key| Record::of(key).ok()).collect();
    domain
        .keys
        .iter()
        .map(|key| {
            let record = expected.iter().find(|record| record.name == key.record);
            let value = record.map(|record| record.value.as_str()).unwrap_or_default();
            match &key.findings {
                Err(error) => Row::new(&key.record, "TXT", value, State::Unknown).noting(error),
                Ok(findings) if !findings.iter().any(|finding| finding.spoils()) => {
                    Row::new(&key.record, "TXT", value, State::Right)
                }
                Ok(findings) => {
                    let words: Vec<_> = findings.iter().map(ToString::to_string).collect();
                    let missing = findings.contains(&crate::dkim::published::Finding::Missing);
                    let state = if missing { State::Missing } else { State::Change };
                    Row::new(&key.record, "TXT", value, state).noting(words.join("; "))
                }
            }
        })
        .collect()
}

fn policy(domain: &DomainFacts) -> Row {
    let own = format!("_dmarc.{}", domain.domain);
    let value = format!("v=DMARC1; p=none; rua=mailto:postmaster@{}", domain.domain);
    for (name, found) in &domain.dmarc {
        let records = match found {
            Ok(found) => dmarc::records(&found.records),
            Err(error) => return unknown(&own, "TXT", error),
        };
        match records.as_slice() {
            [] => {}
            [record] if Dmarc::parse(record.as_bytes()).is_ok() => {
                return Row::new(name, "TXT", record, State::Right);
            }
            _ => {
                return Row::new(name, "TXT", value, State::Change)
                    .noting("what is there cannot be read");
            }
        }
    }
    Row::new(own, "TXT", value, State::Missing)
        .noting("p=quarantine or p=reject when reports show no mistakes")
}

/// The relay's name has the addresses that mail comes from.
fn host(facts: &Facts) -> Vec<Row> {
    let host = facts.settings.hostname.as_str();
    let Some(name) = &facts.name else { return Vec::new() };
    if host.is_empty() {
        return vec![unknown("RELAY_MYHOSTNAME", "A", "RELAY_MYHOSTNAME is not set")];
    }
    let published = name.published();
    let mut rows: Vec<Row> = name
        .addresses
        .iter()
        .map(|facts| {
            let kind = if facts.address.is_ipv4() { "A" } else { "AAAA" };
            let state =
                if published.contains(&facts.address) { State::Right } else { State::Missing };
            Row::new(host, kind, facts.address, state)
        })
        .collect();
    if rows.is_empty() {
        rows.push(match &name.v4 {
            Ok(_) => Row::new(host, "A", "<this server's address>", State::Missing),
            Err(error) => unknown(host, "A", error),
        });
    }
    rows
}

/// RFC 6698, and RFC 7671 section 5.1: the key of the certificate that is served.
fn pins(facts: &Facts, tlsa: &[(String, Found<String>)]) -> Vec<Row> {
    // No mail is received on port 25, so nobody looks a pin up for it.
    let submission = facts.ports.iter().filter(|port| port.port != 25);
    let shown = submission.filter_map(|port| match &port.dialogue.as_ref().ok()?.tls {
        Some(Ok(encrypted)) if !encrypted.key_pin.is_empty() => {
            Some((port.port, &encrypted.key_pin))
        }
        _ => None,
    });
    shown
        .map(|(port, pin)| {
            let name = format!("_{port}._tcp.{}", facts.settings.hostname);
            let value = format!("3 1 1 {pin}");
            match tlsa.iter().find(|(asked, _)| *asked == name).map(|(_, found)| found) {
                Some(Ok(found)) if found.records.contains(&value) => Row::new(name, "TLSA", value, State::Right),
                Some(Ok(found)) if found.records.is_empty() => {
                    let note = "only in a zone that is signed (DNSSEC); change it before the certificate's key changes";
                    Row::new(name, "TLSA", value, State::Optional).noting(note)
                }
                Some(Ok(_)) => {
                    let note = "what is there is another key's: clients that look at it refuse the relay";
                    Row::new(name, "TLSA", value, State::Change).noting(note)
                }
                Some(Err(error)) => Row::new(name, "TLSA", value, State::Unknown).noting(error),
                None => Row::new(name, "TLSA", value, State::Optional),
            }
        })
        .collect()
}

fn reverse(facts: &Facts) -> Vec<Row> {
    let host = facts.settings.hostname.as_str();
    let Some(name) = &facts.name else { return Vec::new() };
    name.addresses
        .iter()
        .filter(|_| !host.is_empty())
        .map(|facts| {
            let value = format!("{host}.");
            let note = "the provider of the server publishes it: ask there";
            match &facts.names {
                Err(error) => Row::new(facts.address, "PTR", value, State::Unknown).noting(error),
                Ok(found) if found.records.iter().any(|(name, _)| name == host) => {
                    Row::new(facts.address, "PTR", value, State::Right)
                }
                Ok(found) => {
                    let state =
                        if found.records.is_empty() { State::Missing } else { State::Change };
                    Row::new(facts.address, "PTR", value, state).noting(note)
                }
            }
        })
        .collect()
}
