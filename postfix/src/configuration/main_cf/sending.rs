//! The part of main.cf about next hops.

use super::document::MainCf;
use crate::certificates::watcher::CLIENT_COPY;
use crate::configuration::files::PASSWORD_TABLE;
use crate::configuration::host::Host;
use crate::settings::smarthosts::NextHops;
use crate::settings::tls_level::TlsLevel;
use crate::settings::variables::{
    RELAYHOST, RELAYHOST_CERT, RELAYHOST_FALLBACK, RELAYHOST_FALLBACK_USERNAME, RELAYHOST_KEY,
    RELAYHOST_MAP, RELAYHOST_TLS_LEVEL, RELAYHOST_USERNAME, TLS_CA, Variable,
};

/// The public certificate authorities of Debian's ca-certificates.
pub const PUBLIC_CAS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The variables that decide the TLS level.
const LEVEL: &[&Variable] = &[&RELAYHOST_TLS_LEVEL, &RELAYHOST, &RELAYHOST_USERNAME];

pub fn add(cf: &mut MainCf, hops: &NextHops, host: &Host) {
    let ca = hops.ca.as_deref().map(|path| path.to_string_lossy());
    cf.set("smtp_tls_CAfile", ca.as_deref().unwrap_or(PUBLIC_CAS), &[&TLS_CA]);
    let level = level(hops, host);
    if let Some(hop) = &hops.main {
        cf.set("relayhost", &hop.to_string(), &[&RELAYHOST]);
        if !level.needs_dnssec() {
            // The next hop may be a name in /etc/hosts (extra_hosts in compose.yaml), which a DNS
            // lookup would not find.
            cf.set("smtp_host_lookup", "native", &[&RELAYHOST]);
        }
    }
    cf.set("smtp_tls_security_level", &level.to_string(), LEVEL);
    if level.needs_dnssec() {
        cf.set("smtp_dns_support_level", "dnssec", LEVEL);
    }
    if hops.main.as_ref().is_some_and(|hop| hop.implicit_tls()) {
        cf.set("smtp_tls_wrappermode", "yes", &[&RELAYHOST]);
    }
    if let Some(hop) = &hops.fallback {
        cf.set("smtp_fallback_relay", &hop.to_string(), &[&RELAYHOST_FALLBACK]);
        if hop.level != level {
            let policy = format!("inline:{{ {{ {hop} = {} }} }}", hop.level);
            let from: &[&Variable] = &[&RELAYHOST_FALLBACK, &RELAYHOST_FALLBACK_USERNAME];
            cf.set("smtp_tls_policy_maps", &policy, from);
        }
    }
    if hops.logs_in() {
        login(cf, hops);
    }
    if hops.client_pair.is_some() {
        cf.set("smtp_tls_chain_files", CLIENT_COPY, &[&RELAYHOST_CERT, &RELAYHOST_KEY]);
    }
    if !hops.by_sender.is_empty() {
        // Each next hop has its own transport in master.cf, so that no login is ever tried elsewhere.
        let entries = hops.by_sender.iter().zip(1..).map(|(entry, number)| {
            format!("    {{ {} = hop{number}:{} }}", entry.sender, entry.hop)
        });
        let table = format!("inline:{{\n{} }}", entries.collect::<Vec<_>>().join("\n"));
        cf.set("sender_dependent_default_transport_maps", &table, &[&RELAYHOST_MAP]);
    }
}

/// The TLS level of the default transport.
fn level(hops: &NextHops, host: &Host) -> TlsLevel {
    match (&hops.main, hops.level) {
        (Some(hop), _) => hop.level,
        (None, Some(level)) => level,
        // DANE is only as good as the resolver: unless it is on loopback, its answers can be forged.
        (None, None) if host.validating_resolver => TlsLevel::Dane,
        (None, None) => TlsLevel::May,
    }
}

fn login(cf: &mut MainCf, hops: &NextHops) {
    const FROM: &[&Variable] = &[&RELAYHOST_USERNAME, &RELAYHOST_FALLBACK_USERNAME];
    cf.set("smtp_sasl_auth_enable", "yes", FROM);
    cf.set("smtp_sasl_password_maps", &format!("lmdb:{PASSWORD_TABLE}"), FROM);
    cf.set("smtp_sasl_mechanism_filter", "plain, login", FROM);
    cf.set("smtp_sasl_security_options", "noplaintext, noanonymous", FROM);
    // Send a password only to a host that has proved its name, unless the operator lowered the level.
    let mut with_login = hops.main.iter().chain(&hops.fallback).filter(|hop| hop.login.is_some());
    let unverified = match with_login.all(|hop| hop.level.proves_host()) {
        true => "noplaintext, noanonymous",
        false => "noanonymous",
    };
    cf.set("smtp_sasl_tls_security_options", unverified, &[&RELAYHOST_TLS_LEVEL]);
    cf.set("smtp_sasl_tls_verified_security_options", "noanonymous", FROM);
}
