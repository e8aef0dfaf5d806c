//! The relay's name, its addresses, and what the addresses are called. Pure.

use std::net::IpAddr;

use crate::doctor::facts::{AddressFacts, Facts, NameFacts};
use crate::doctor::finding::{Check, Finding};

pub fn check(facts: &Facts) -> Vec<Finding> {
    let Some(name) = &facts.name else { return Vec::new() };
    let host = facts.settings.hostname.as_str();
    if let Some(finding) = bad_name(host) {
        return vec![finding];
    }
    let mut findings = vec![forward(host, name)];
    for address in &name.addresses {
        findings.push(reverse(host, address));
        if address.was_seen && !is_of_name(name, address.address) {
            findings.push(elsewhere(host, address.address));
        }
    }
    if let Some(finding) = ipv6(facts, name) {
        findings.push(finding);
    }
    findings
}

fn fail(subject: impl ToString, found: impl ToString, remedy: impl ToString) -> Finding {
    Finding::fail(Check::Name, subject, found, remedy)
}

/// A name that no receiver can look up (RFC 5321 section 2.3.5; RFC 6761 and RFC 8375 for the endings).
fn bad_name(host: &str) -> Option<Finding> {
    const PRIVATE: [&str; 8] =
        ["local", "localhost", "localdomain", "lan", "home", "internal", "arpa", "invalid"];
    let remedy = "set RELAY_MYHOSTNAME=mail.example.org, a name in a domain of yours that has this \
                  server's address";
    if host.is_empty() {
        return Some(fail("RELAY_MYHOSTNAME", "it is not set", remedy));
    }
    let top = host.rsplit('.').next().unwrap_or_default();
    let is_address = host.parse::<IpAddr>().is_ok();
    if !host.contains('.') || is_address || PRIVATE.contains(&top) {
        let found = "the name is none that the Internet knows; receivers refuse a server that greets with it";
        return Some(fail(host, found, remedy));
    }
    None
}

fn forward(host: &str, name: &NameFacts) -> Finding {
    let addresses = name.published();
    match (&name.v4, &name.v6) {
        _ if !addresses.is_empty() => {
            let list: Vec<_> = addresses.iter().map(IpAddr::to_string).collect();
            Finding::ok(Check::Name, host, format!("has the address {}", list.join(" and ")))
        }
        (Ok(v4), Ok(_)) => {
            let found = if v4.name_exists { "has no address" } else { "does not exist" };
            fail(host, found, format!("publish: {host}. IN A <this server's address>"))
        }
        (Err(error), _) | (_, Err(error)) => Finding::skipped(Check::Name, host, error),
    }
}

fn is_of_name(name: &NameFacts, address: IpAddr) -> bool {
    // What DNS did not tell is no reason to complain.
    name.v4.is_err() || name.v6.is_err() || name.published().contains(&address)
}

fn reverse(host: &str, facts: &AddressFacts) -> Finding {
    let address = facts.address;
    let ask = format!(
        "ask the provider of the server (its web console or support) for the PTR record {address} → {host}"
    );
    let names = match &facts.names {
        Ok(found) => &found.records,
        Err(error) => return Finding::skipped(Check::Name, address, error),
    };
    let Some((first, _)) = names.first() else {
        return fail(address, "has no PTR record: most receivers refuse mail from it", ask);
    };
    let agrees = |(_, back): &&(String, Vec<IpAddr>)| back.contains(&address);
    let agreeing: Vec<_> = names.iter().filter(agrees).map(|(name, _)| name).collect();
    match agreeing.first() {
        None => fail(address, format!("is called {first}, and {first} is not at {address}"), ask),
        Some(name) if looks_like_a_pool(name, address) => {
            fail(address, format!("is called {name}, as the addresses of home users are"), ask)
        }
        Some(_) if agreeing.iter().any(|name| name.eq_ignore_ascii_case(host)) => {
            Finding::ok(Check::Name, address, format!("is called {host}, as it should"))
        }
        Some(name) => Finding::warn(
            Check::Name,
            address,
            format!("is called {name}, and greets as {host}: some receivers want one name"),
            ask,
        ),
    }
}

fn elsewhere(host: &str, address: IpAddr) -> Finding {
    let kind = if address.is_ipv4() { "A" } else { "AAAA" };
    fail(
        address,
        format!("a receiver sees mail come from {address}, which is no address of {host}"),
        format!("publish: {host}. IN {kind} {address} — and its PTR record as above"),
    )
}

/// An address over which mail may leave, but which receivers cannot look up. Google and others refuse that outright.
fn ipv6(facts: &Facts, name: &NameFacts) -> Option<Finding> {
    let host = &facts.settings.hostname;
    let seen = name.addresses.iter().any(|address| address.was_seen && address.address.is_ipv6());
    let has_name = name.v6.as_ref().is_ok_and(|found| !found.records.is_empty());
    (facts.settings.sends_over_ipv6() && seen && !has_name).then(|| {
        Finding::warn(
            Check::Name,
            "IPv6",
            format!("mail leaves over IPv6, and {host} has no AAAA record"),
            "publish AAAA and PTR, or set INET_PROTOCOLS=ipv4",
        )
    })
}

/// Whether a name has its address in it, as providers name what they hand out to home users.
fn looks_like_a_pool(name: &str, address: IpAddr) -> bool {
    const WORDS: [&str; 9] =
        ["dyn", "dynamic", "dynip", "dhcp", "dsl", "pool", "ppp", "dialup", "broadband"];
    let has_word = name.split(['.', '-']).any(|part| {
        let letters = part.trim_matches(|c: char| c.is_ascii_digit());
        WORDS.contains(&letters)
    });
    let IpAddr::V4(v4) = address else { return has_word };
    let numbers = |name: &str| -> Vec<u16> {
        let digits = name.split(|c: char| !c.is_ascii_digit()).filter(|run| !run.is_empty());
        digits.filter_map(|run| run.parse().ok()).collect()
    };
    let mut octets = v4.octets().map(u16::from);
    let found = numbers(name);
    let has = |octets: &[u16]| found.windows(octets.len()).any(|window| window == octets);
    let forward = has(&octets);
    octets.reverse();
    has_word || forward || has(&octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_providers_give_to_home_users_are_told_from_servers() {
        for (name, expected) in [
            ("mail.example.org", false),
            ("p5b0c1a2b.dip0.t-ipconnect.example", false),
            ("dynamic-192-000-002-001.example.net", true),
            ("1.2.0.192.pool.example.net", true),
            ("192-0-2-1.example.net", true),
            ("host1.2.0.192.example.net", true),
            ("dsl.example.net", true),
            ("dyn17.example.net", true),
            ("dynamite.example.net", false),
            ("mx2.192.example.net", false),
        ] {
            assert_eq!(looks_like_a_pool(name, "192.0.2.1".parse().unwrap()), expected, "{name}");
        }
    }
}
