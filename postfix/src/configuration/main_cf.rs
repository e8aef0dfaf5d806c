//! Renders main.cf from checked settings. Pure: the same settings give the same text.
//!
//! Every operator's value in the text has a type or a check of its own (host names, networks, plain
//! paths, numbers), so none can contain a newline, a `$` or a second parameter. What POSTFIX_ variables
//! set is one line and has passed the guard.

mod document;
pub mod fixed;
mod sending;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use document::MainCf;
pub use sending::PUBLIC_CAS;

use super::host::Host;
use super::source::{Parameter, Source};
use crate::certificates::watcher::{SERVER_COPY, ServerTls};
use crate::network::gateways;
use crate::settings::networks::in_postfix_form;
use crate::settings::overrides::Override;
use crate::settings::variables::{
    ALLOWED_NETWORKS, ENABLE_TLS, INET_PROTOCOLS, MESSAGE_SIZE_LIMIT, RELAY_DOMAIN,
    RELAY_MYHOSTNAME, TLS_CERT, TLS_KEY, TRUST_GATEWAY,
};
use crate::settings::{Protocols, Settings};

/// Builds main.cf, with the overrides last.
pub fn build(settings: &Settings, overrides: &[Override], host: &Host) -> MainCf {
    let mut cf = MainCf::default();
    cf.section("Where things are in this image.", fixed::PLACES);
    cf.section("Who this relay is.", &[]);
    cf.set("myhostname", &settings.hostname, &[&RELAY_MYHOSTNAME]);
    cf.set("mydomain", &settings.domain, &[&RELAY_DOMAIN, &RELAY_MYHOSTNAME]);
    cf.set("myorigin", &settings.domain, &[&RELAY_DOMAIN, &RELAY_MYHOSTNAME]);
    let protocols = match settings.protocols {
        Protocols::All => "all",
        Protocols::Ipv4 => "ipv4",
        Protocols::Ipv6 => "ipv6",
    };
    cf.set("inet_protocols", protocols, &[&INET_PROTOCOLS]);
    cf.section("No local delivery: no local users and no domains of our own.", fixed::NOT_LOCAL);
    cf.section("Who may relay. The sidecar is asked first.", fixed::RELAY_ACCESS);
    let networks = my_networks(settings, &host.untrusted);
    cf.set("mynetworks", &networks, &[&ALLOWED_NETWORKS, &TRUST_GATEWAY]);
    let title = "The sidecar checks every message; while it is down, mail is deferred.";
    cf.section(title, fixed::SIDECAR_MILTER);
    cf.section("Login; master.cf enables it on 587 and 465.", fixed::LOGIN);
    cf.section("What clients may do.", fixed::CLIENTS);
    server_tls(&mut cf, &settings.tls);
    cf.section("Sizes.", &[]);
    let size = settings.message_size_limit;
    cf.set("message_size_limit", &size.to_string(), &[&MESSAGE_SIZE_LIMIT]);
    // Postfix requires at least 1.5 times the message size, or the disk fills up while one arrives.
    cf.set("queue_minfree", &(size * 2).to_string(), &[&MESSAGE_SIZE_LIMIT]);
    cf.section("Delivery.", fixed::SENDING);
    sending::add(&mut cf, &settings.next_hops, host);
    cf.section("Operation.", fixed::OPERATION);
    add_overrides(&mut cf, overrides);
    cf
}

fn server_tls(cf: &mut MainCf, tls: &ServerTls) {
    const TITLE: &str = "TLS with clients.";
    if *tls == ServerTls::Off {
        cf.section(TITLE, &[]);
        cf.set("smtpd_tls_security_level", "none", &[&ENABLE_TLS]);
        return;
    }
    cf.section(TITLE, fixed::SERVER_TLS);
    cf.set("smtpd_tls_security_level", "may", &[&ENABLE_TLS]);
    // relay-init's copy of the pair, which only ever changes from one good pair to another.
    cf.set("smtpd_tls_chain_files", SERVER_COPY, &[&TLS_CERT, &TLS_KEY]);
}

/// An override replaces the parameter's line, because Postfix warns about a second one.
fn add_overrides(cf: &mut MainCf, overrides: &[Override]) {
    if overrides.is_empty() {
        return;
    }
    for set in overrides {
        cf.remove(&set.parameter);
    }
    cf.section("Set by POSTFIX_ variables.", &[]);
    for set in overrides {
        cf.push(Parameter {
            name: set.parameter.clone(),
            value: set.value.clone(),
            source: Source::Override(set.variable.clone()),
        });
    }
}

/// ALLOWED_NETWORKS, preceded by exclusions of the untrusted addresses in it: the first match wins.
fn my_networks(settings: &Settings, untrusted: &BTreeSet<IpAddr>) -> String {
    let mut entries: BTreeSet<String> = BTreeSet::new();
    if !settings.trust_gateway {
        let covered = settings
            .allowed_networks
            .iter()
            .flat_map(|network| gateways::covered(untrusted, network));
        entries.extend(covered.map(|address| match address {
            IpAddr::V4(v4) => format!("!{v4}"),
            IpAddr::V6(v6) => format!("![{v6}]"),
        }));
    }
    let networks = settings.allowed_networks.iter().map(in_postfix_form);
    entries.into_iter().chain(networks).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
