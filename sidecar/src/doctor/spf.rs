//! SPF records as text: what they name, and how this relay gets into one (RFC 7208). Pure.
//!
//! What a record means for an address is mail-auth's affair; this is about what to publish.

use std::net::IpAddr;

use crate::dkim::published::{Txt, text};

/// The limit of RFC 7208 section 4.6.4.
pub const MOST_LOOKUPS: usize = 10;

/// The SPF records among a name's TXT records, each as one text.
pub fn records(txt: &[Txt]) -> Vec<String> {
    let is_spf = |text: &String| {
        let mut words = text.split(' ');
        words.next().is_some_and(|first| first.eq_ignore_ascii_case("v=spf1"))
    };
    txt.iter().map(text).filter(is_spf).collect()
}

/// A term without its qualifier, in small letters, and the qualifier.
fn parts(term: &str) -> (char, String) {
    let qualifier = term.chars().next().filter(|first| "+-~?".contains(*first));
    let mechanism = match qualifier {
        Some(_) => term.get(1..).unwrap_or_default(),
        None => term,
    };
    (qualifier.unwrap_or('+'), mechanism.to_ascii_lowercase())
}

/// Mechanisms (section 5) and the modifier that leads elsewhere (section 6.1).
const MECHANISMS: [&str; 8] = ["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists"];

/// Whether a term is one that receivers know. One that they do not is a mistake in the whole record (section 4.6.1),
/// unless it looks like a modifier (section 6).
fn is_known(mechanism: &str) -> bool {
    let name = mechanism.split([':', '/']).next().unwrap_or_default();
    MECHANISMS.contains(&name) || name.contains('=')
}

/// What of a record matters to advice.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outline {
    /// Terms of this record alone that cost the receiver a query.
    pub lookups: usize,
    /// Records that are part of it: `include` and `redirect`, without those that have macros in them.
    pub others: Vec<String>,
    /// The qualifier of `all`.
    pub all: Option<char>,
    pub has_redirect: bool,
    /// `ptr` costs receivers much and is not to be used (section 5.5).
    pub has_ptr: bool,
    /// The first term that receivers do not know.
    pub unknown: Option<String>,
}

pub fn outline(record: &str) -> Outline {
    let mut outline = Outline::default();
    for term in record.split_ascii_whitespace().skip(1) {
        let (qualifier, mechanism) = parts(term);
        if outline.unknown.is_none() && !is_known(&mechanism) {
            outline.unknown = Some(mechanism.clone());
        }
        let name = mechanism.split([':', '/', '=']).next().unwrap_or_default();
        let target = mechanism.split_once([':', '=']).map(|(_, target)| target);
        outline.lookups +=
            usize::from(matches!(name, "include" | "a" | "mx" | "ptr" | "exists" | "redirect"));
        match name {
            "all" => outline.all = outline.all.or(Some(qualifier)),
            "ptr" => outline.has_ptr = true,
            "redirect" => outline.has_redirect = true,
            _ => {}
        }
        if matches!(name, "include" | "redirect") {
            outline.others.extend(target.filter(|name| !name.contains('%')).map(str::to_owned));
        }
    }
    // Section 6.1: with `all`, a redirect is never followed.
    if outline.all.is_some() && outline.has_redirect {
        outline.has_redirect = false;
    }
    outline
}

/// The record to publish: what is there, made one, with this relay's addresses in front of `all`.
pub fn merged(records: &[String], addresses: &[IpAddr]) -> String {
    let mut terms: Vec<String> = Vec::new();
    let mut last = None;
    let mut all = None;
    for term in records.iter().flat_map(|record| record.split_ascii_whitespace().skip(1)) {
        // The mistake that is made most.
        let term = term.replacen("ipv4:", "ip4:", 1).replacen("ipv6:", "ip6:", 1);
        let (qualifier, mechanism) = parts(&term);
        if !is_known(&mechanism) {
            continue;
        }
        if mechanism == "all" {
            all = all.or(Some(qualifier));
        } else if mechanism.starts_with("redirect=") {
            last = last.or(Some(term));
        } else if !terms.iter().any(|other| parts(other) == (qualifier, mechanism.clone())) {
            terms.push(term);
        }
    }
    for address in addresses {
        let term = term_of(*address);
        if !terms.iter().any(|other| parts(other) == ('+', term.clone())) {
            terms.push(term);
        }
    }
    let end = match (all, last) {
        // `+all` lets everybody in, and `?all` says nothing.
        (Some('-'), _) => "-all".to_owned(),
        (None, Some(redirect)) => redirect,
        _ => "~all".to_owned(),
    };
    terms.insert(0, "v=spf1".to_owned());
    terms.push(end);
    terms.join(" ")
}

fn term_of(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => format!("ip4:{address}"),
        IpAddr::V6(address) => format!("ip6:{address}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_relay_gets_into_whatever_is_there() {
        let v4 = "192.0.2.1".parse().unwrap();
        let v6 = "2001:db8::1".parse().unwrap();
        for (records, addresses, expected) in [
            (&[][..], &[v4][..], "v=spf1 ip4:192.0.2.1 ~all"),
            (&["v=spf1 mx -all"], &[v4, v6], "v=spf1 mx ip4:192.0.2.1 ip6:2001:db8::1 -all"),
            (&["v=spf1 mx +all"], &[v4], "v=spf1 mx ip4:192.0.2.1 ~all"),
            (&["v=spf1 all"], &[v4], "v=spf1 ip4:192.0.2.1 ~all"),
            (&["v=spf1 mx ?all"], &[v4], "v=spf1 mx ip4:192.0.2.1 ~all"),
            (&["v=spf1 ip4:192.0.2.1 ~all"], &[v4], "v=spf1 ip4:192.0.2.1 ~all"),
            (
                &["v=spf1 redirect=_spf.example.net"],
                &[v4],
                "v=spf1 ip4:192.0.2.1 redirect=_spf.example.net",
            ),
            (&["v=spf1 ipv4:192.0.2.1 spf2:x -all"], &[v4], "v=spf1 ip4:192.0.2.1 -all"),
            (
                &["v=spf1 a mx -all", "v=spf1 MX include:example.net ~all"],
                &[v4],
                "v=spf1 a mx include:example.net ip4:192.0.2.1 -all",
            ),
        ] {
            let records: Vec<_> = records.iter().map(|record| (*record).to_owned()).collect();
            assert_eq!(merged(&records, addresses), expected);
            assert_eq!(merged(&[expected.to_owned()], addresses), expected, "it is stable");
        }
    }

    #[test]
    fn an_outline_counts_what_costs_a_query() {
        let record = "v=spf1 a mx/24 ptr -include:_spf.example.net exists:%{i}.example.org ip4:192.0.2.0/24 \
                      include:%{d}.example.org redirect=example.com";
        let expected = Outline {
            lookups: 7,
            others: vec!["_spf.example.net".to_owned(), "example.com".to_owned()],
            all: None,
            has_redirect: true,
            has_ptr: true,
            unknown: None,
        };
        assert_eq!(outline(record), expected);
        assert_eq!(
            outline("v=spf1 ipv4:192.0.2.1 x=y all").unknown.as_deref(),
            Some("ipv4:192.0.2.1")
        );
        assert_eq!(outline("v=spf1 redirect=example.com ?all").all, Some('?'));
        assert!(!outline("v=spf1 redirect=example.com ?all").has_redirect);
    }

    #[test]
    fn other_txt_records_are_not_spf() {
        let txt = |text: &str| vec![text.as_bytes().to_vec()];
        let split = vec![b"v=spf1 ip4:192.0.2.1".to_vec(), b" -all".to_vec()];
        let found = records(&[txt("v=spf10 -all"), txt("google-site=1"), split, txt("V=SPF1")]);
        assert_eq!(found, ["v=spf1 ip4:192.0.2.1 -all", "V=SPF1"]);
    }
}
