//! main.cf, rendered from checked settings. Pure: the same settings give the same text.
//!
//! Every value of an operator that stands in the text has a type or a check of its own (host names,
//! networks, plain paths, numbers), so no value can hold a newline, a `$` or a second parameter. What
//! POSTFIX_ variables set is one line, and has passed the guard.

pub mod fixed;
mod sending;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::configuration::explain::Source;
use crate::network::gateways;
use crate::settings::networks::in_postfix_form;
use crate::settings::variables::{
    ALLOWED_NETWORKS, ENABLE_TLS, INET_PROTOCOLS, MESSAGE_SIZE_LIMIT, RELAY_DOMAIN,
    RELAY_MYHOSTNAME, TLS_CERT, TLS_KEY, TRUST_GATEWAY, Variable,
};
use crate::settings::{Protocols, ServerTls, Settings};
pub use fixed::ASK_THE_SIDECAR;
use fixed::Fixed;

/// The sidecar's sockets, on the volume that both containers share.
pub const SASL_SOCKET: &str = "/run/relay/sasl.sock";
pub const POLICY_SOCKET: &str = "/run/relay/policy.sock";
pub const MILTER_SOCKET: &str = "/run/relay/milter.sock";
pub const MILTER: &str = "unix:/run/relay/milter.sock";

/// The table with the login for the next hop; postmap makes `sasl_passwd.lmdb` of it.
pub const PASSWORD_TABLE: &str = "/run/postfix/sasl_passwd";

/// What main.cf depends on besides the settings.
#[derive(Debug, Default)]
pub struct Surroundings {
    /// Addresses that must not match ALLOWED_NETWORKS.
    pub dangerous: BTreeSet<IpAddr>,
    /// A resolver on loopback that checks signatures.
    pub validating_resolver: bool,
}

#[derive(Debug)]
pub struct MainCf {
    pub sections: Vec<Section>,
}

#[derive(Debug)]
pub struct Section {
    pub title: &'static str,
    pub parameters: Vec<Parameter>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    pub name: String,
    pub value: String,
    pub from: Source,
}

/// What main.cf says.
pub fn build(settings: &Settings, surroundings: &Surroundings) -> MainCf {
    let mut cf = MainCf { sections: Vec::new() };
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
    cf.section("Nothing is delivered here: no local users, no own domains.", fixed::NOT_LOCAL);
    cf.section("Who may relay: what the sidecar says comes first.", fixed::RELAY_ACCESS);
    let networks = my_networks(settings, &surroundings.dangerous);
    cf.set("mynetworks", &networks, &[&ALLOWED_NETWORKS, &TRUST_GATEWAY]);
    let title = "The sidecar sees every message; without it mail waits.";
    cf.section(title, fixed::SIDECAR_MILTER);
    cf.section("Login, switched on for 587 and 465 in master.cf.", fixed::LOGIN);
    cf.section("What clients may do.", fixed::CLIENTS);
    cf.server_tls(&settings.tls);
    cf.section("Sizes.", &[]);
    let size = settings.message_size_limit;
    cf.set("message_size_limit", &size.to_string(), &[&MESSAGE_SIZE_LIMIT]);
    // Postfix asks for at least 1.5 times a message, or the disk fills while one arrives.
    cf.set("queue_minfree", &(size * 2).to_string(), &[&MESSAGE_SIZE_LIMIT]);
    cf.section("Sending on.", fixed::SENDING);
    sending::add(&mut cf, &settings.next_hops, surroundings);
    cf.section("Operation.", fixed::OPERATION);
    cf.overrides(settings);
    cf
}

impl MainCf {
    fn section(&mut self, title: &'static str, fixed: &Fixed) {
        let parameters = fixed.iter().map(|(name, value)| Parameter {
            name: (*name).to_owned(),
            value: (*value).to_owned(),
            from: Source::Fixed,
        });
        self.sections.push(Section { title, parameters: parameters.collect() });
    }

    fn set(&mut self, name: &str, value: &str, from: &[&'static Variable]) {
        let from = Source::Variables(from.to_vec());
        let parameter = Parameter { name: name.to_owned(), value: value.to_owned(), from };
        if let Some(section) = self.sections.last_mut() {
            section.parameters.push(parameter);
        }
    }

    fn server_tls(&mut self, tls: &ServerTls) {
        const TITLE: &str = "TLS towards clients.";
        if *tls == ServerTls::Off {
            self.section(TITLE, &[]);
            self.set("smtpd_tls_security_level", "none", &[&ENABLE_TLS]);
            return;
        }
        self.section(TITLE, fixed::SERVER_TLS);
        self.set("smtpd_tls_security_level", "may", &[&ENABLE_TLS]);
        // Our copy of the pair, which changes only from one good pair to another.
        let copy = crate::certificates::watcher::SERVER_COPY;
        self.set("smtpd_tls_chain_files", copy, &[&TLS_CERT, &TLS_KEY]);
    }

    /// What is set last takes the place of what was set before: Postfix warns of a second line.
    fn overrides(&mut self, settings: &Settings) {
        let overrides = &settings.overrides.main;
        if overrides.is_empty() {
            return;
        }
        for section in &mut self.sections {
            let is_overridden = |name: &str| overrides.iter().any(|set| set.parameter == name);
            section.parameters.retain(|parameter| !is_overridden(&parameter.name));
        }
        self.section("Set by POSTFIX_ variables.", &[]);
        let parameters = overrides.iter().map(|set| Parameter {
            name: set.parameter.clone(),
            value: set.value.clone(),
            from: Source::Override(set.variable.clone()),
        });
        if let Some(section) = self.sections.last_mut() {
            section.parameters.extend(parameters);
        }
    }
}

const HEADER: &str = "\
# Generated by relay-init at every start. Changes to this file are lost: set the environment
# variables of the container instead (see .env.example).
";

impl std::fmt::Display for MainCf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HEADER)?;
        for section in &self.sections {
            writeln!(f, "\n# {}", section.title)?;
            for Parameter { name, value, .. } in &section.parameters {
                let space = if value.is_empty() { "" } else { " " };
                writeln!(f, "{name} ={space}{value}")?;
            }
        }
        Ok(())
    }
}

/// ALLOWED_NETWORKS, with the dangerous addresses in them taken out first: the first match wins.
fn my_networks(settings: &Settings, dangerous: &BTreeSet<IpAddr>) -> String {
    let mut entries: BTreeSet<String> = BTreeSet::new();
    if !settings.trust_gateway {
        let covered = settings
            .allowed_networks
            .iter()
            .flat_map(|network| gateways::covered(dangerous, network));
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
