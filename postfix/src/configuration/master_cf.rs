//! Renders master.cf: which Postfix services run, and how the ports differ. Pure.

use super::files::hop_password_table;
use super::source::{Parameter, Source};
use crate::balancer;
use crate::certificates::watcher::ServerTls;
use crate::settings::Settings;
use crate::settings::environment::Problem;
use crate::settings::next_hop::NextHop;
use crate::settings::overrides::{Overrides, ServiceOverride};
use crate::settings::variables::{
    ENABLE_SASL, ENABLE_TLS, PROXY_PROTOCOL_FROM, RELAYHOST_MAP, RELAYHOST_MAP_PASSWORDS, Variable,
};

#[derive(Debug)]
pub struct MasterCf {
    pub services: Vec<Service>,
}

#[derive(Debug)]
pub struct Service {
    pub name: String,
    pub kind: &'static str,
    /// The columns after name and type.
    columns: &'static str,
    pub parameters: Vec<Parameter>,
    pub source: Source,
}

const PORT_COLUMNS: &str = "n - n - - smtpd";
const PROXY_COLUMNS: &str = "- - n - 200 smtpd";
const HOP_COLUMNS: &str = "- - n - - smtp";

/// The services behind the ports. Those for local delivery, address probes and lookup proxies are left
/// out: what does not run cannot be abused. pickup is needed for `postsuper -r`.
const SERVICES: &[(&str, &str, &str)] = &[
    ("pickup", "unix", "n - n 60 1 pickup"),
    ("cleanup", "unix", "n - n - 0 cleanup"),
    ("qmgr", "unix", "n - n 300 1 qmgr"),
    ("tlsmgr", "unix", "- - n 1000? 1 tlsmgr"),
    ("rewrite", "unix", "- - n - - trivial-rewrite"),
    ("bounce", "unix", "- - n - 0 bounce"),
    ("defer", "unix", "- - n - 0 bounce"),
    ("trace", "unix", "- - n - 0 bounce"),
    ("flush", "unix", "n - n 1000? 0 flush"),
    ("smtp", "unix", HOP_COLUMNS),
    ("showq", "unix", "n - n - - showq"),
    ("error", "unix", "- - n - - error"),
    ("retry", "unix", "- - n - - error"),
    ("discard", "unix", "- - n - - discard"),
    ("anvil", "unix", "- - n - 1 anvil"),
    ("scache", "unix", "- - n - 1 scache"),
    ("postlog", "unix-dgram", "n - n - 1 postlogd"),
];

/// The smtpd services behind the ports for load balancers, each like the port that it stands for. Their sockets are in the
/// private folder, where only Postfix and relay-init come, and relay-init has checked who is there.
fn behind_balancers(settings: &Settings, ports: &[Service]) -> Vec<Service> {
    if settings.proxy_from.is_empty() {
        return Vec::new();
    }
    let twin = |(port, of): &(u16, u16)| {
        let like = ports.iter().find(|service| service.name == of.to_string())?;
        let source = Source::Variables(vec![&PROXY_PROTOCOL_FROM]);
        let mut service = Service::new(&balancer::service(*port), "unix", PROXY_COLUMNS, source);
        service.set("smtpd_upstream_proxy_protocol", "haproxy", &[&PROXY_PROTOCOL_FROM]);
        service.parameters.extend(like.parameters.iter().cloned());
        Some(service)
    };
    balancer::PORTS.iter().filter_map(twin).collect()
}

/// Builds master.cf. An override replaces the parameter's line.
pub fn build(settings: &Settings, overrides: &[ServiceOverride]) -> MasterCf {
    let mut services = ports(settings);
    services.extend(behind_balancers(settings, &services));
    for (name, kind, columns) in SERVICES {
        services.push(Service::new(name, kind, columns, Source::Fixed));
        if *name == "smtp" {
            let hops = settings.next_hops.by_sender.iter().zip(1..);
            services.extend(hops.map(|(entry, number)| hop(number, &entry.hop)));
        }
    }
    let mut cf = MasterCf { services };
    for set in overrides {
        let (name, kind) = &set.service;
        if let Some(service) = cf.find(name, kind) {
            service.parameters.retain(|parameter| parameter.name != set.set.parameter);
            service.parameters.push(Parameter {
                name: set.set.parameter.clone(),
                value: set.set.value.clone(),
                source: Source::Override(set.set.variable.clone()),
            });
        }
    }
    cf
}

/// Overrides for services that these settings do not have.
pub fn unknown_services(settings: &Settings, overrides: &Overrides) -> Vec<Problem> {
    let mut cf = build(settings, &[]);
    let names: Vec<String> =
        cf.services.iter().map(|service| format!("{}__{}", service.name, service.kind)).collect();
    let advice = format!("there is no such service; there are {}", names.join(", "));
    let unknown =
        overrides.services.iter().filter(|set| cf.find(&set.service.0, &set.service.1).is_none());
    unknown.map(|set| Problem::without_value(&set.set.variable, &advice)).collect()
}

impl MasterCf {
    fn find(&mut self, name: &str, kind: &str) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.name == name && service.kind == kind)
    }
}

impl Service {
    fn new(name: &str, kind: &'static str, columns: &'static str, source: Source) -> Self {
        Self { name: name.to_owned(), kind, columns, parameters: Vec::new(), source }
    }

    fn set(&mut self, name: &str, value: &str, variables: &[&'static Variable]) {
        let source = match variables {
            [] => Source::Fixed,
            variables => Source::Variables(variables.to_vec()),
        };
        self.parameters.push(Parameter { name: name.to_owned(), value: value.to_owned(), source });
    }

    /// Its first line, without the parameters.
    pub fn line(&self) -> String {
        format!("{:<9} {:<10} {}", self.name, self.kind, self.columns)
    }
}

fn ports(settings: &Settings) -> Vec<Service> {
    // Port 25 has no login, so that it stays up while the sidecar's SASL socket is down.
    let smtp = Service::new("25", "inet", PORT_COLUMNS, Source::Fixed);
    let mut submission = Service::new("587", "inet", PORT_COLUMNS, Source::Fixed);
    submission.set("syslog_name", "postfix/submission", &[]);
    if settings.tls == ServerTls::Off {
        offer_login(&mut submission, settings);
        return vec![smtp, submission];
    }
    submission.set("smtpd_tls_security_level", "encrypt", &[&ENABLE_TLS]);
    offer_login(&mut submission, settings);
    let source = Source::Variables(vec![&ENABLE_TLS]);
    let mut submissions = Service::new("465", "inet", PORT_COLUMNS, source);
    submissions.set("syslog_name", "postfix/submissions", &[]);
    submissions.set("smtpd_tls_wrappermode", "yes", &[]);
    submissions.set("smtpd_tls_security_level", "encrypt", &[]);
    offer_login(&mut submissions, settings);
    vec![smtp, submission, submissions]
}

fn offer_login(service: &mut Service, settings: &Settings) {
    let login = if settings.login { "yes" } else { "no" };
    service.set("smtpd_sasl_auth_enable", login, &[&ENABLE_SASL]);
    // A user's own address is nobody's business. Not on port 25, where the client is a server whose hop
    // belongs in the trace.
    service.set("smtpd_hide_client_session", "yes", &[]);
}

/// The transport of one next hop of RELAYHOST_MAP. One transport each keeps logins apart even if two
/// senders use the same host, and allows port 465 for one and 587 for another.
fn hop(number: usize, hop: &NextHop) -> Service {
    let from: &'static [&'static Variable] = &[&RELAYHOST_MAP];
    let name = format!("hop{number}");
    let mut service =
        Service::new(&name, "unix", HOP_COLUMNS, Source::Variables(vec![&RELAYHOST_MAP]));
    service.set("smtp_tls_security_level", &hop.level.to_string(), from);
    let wrapper = if hop.implicit_tls() { "yes" } else { "no" };
    service.set("smtp_tls_wrappermode", wrapper, from);
    service.set("smtp_host_lookup", "native", from);
    // What is set for RELAYHOST must not apply here.
    service.set("smtp_tls_chain_files", "", from);
    service.set("smtp_fallback_relay", "", from);
    service.set("smtp_tls_policy_maps", "", from);
    let login = if hop.login.is_some() { "yes" } else { "no" };
    service.set("smtp_sasl_auth_enable", login, from);
    if hop.login.is_some() {
        let table = format!("lmdb:{}", hop_password_table(number));
        service.set("smtp_sasl_password_maps", &table, &[&RELAYHOST_MAP_PASSWORDS]);
        service.set("smtp_sasl_mechanism_filter", "plain, login", from);
        service.set("smtp_sasl_security_options", "noplaintext, noanonymous", from);
        service.set("smtp_sasl_tls_security_options", "noplaintext, noanonymous", from);
        service.set("smtp_sasl_tls_verified_security_options", "noanonymous", from);
    }
    service
}

const HEADER: &str = "\
# Generated by relay-init at every start. Changes to this file are lost: set the environment
# variables of the container instead (see .env.example).
#
# Ports are numbers, because the image has no /etc/services.
";

impl std::fmt::Display for MasterCf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(HEADER)?;
        for service in &self.services {
            writeln!(f, "{}", service.line())?;
            for Parameter { name, value, .. } in &service.parameters {
                let is_word =
                    !value.contains(|c: char| c.is_ascii_whitespace() || "{}".contains(c));
                match is_word {
                    true => writeln!(f, "    -o {name}={value}")?,
                    // A value with spaces needs braces around it.
                    false => writeln!(f, "    -o {{ {name} = {value} }}")?,
                }
            }
        }
        Ok(())
    }
}

/// The ports that have to be open, from the text of any master.cf: master's, and relay-init's for load balancers.
pub fn listening_ports(text: &str) -> Vec<u16> {
    let services = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
    services
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let name = fields.next()?;
            let is_inet = fields.next()? == "inet";
            if let Some(port) = balancer::port_of_service(name) {
                return Some(port);
            }
            let port = name.rsplit_once(':').map_or(name, |(_, port)| port);
            port.parse().ok().filter(|_| is_inet)
        })
        .collect()
}

/// Whether a port in the text of a master.cf offers login, and so needs the sidecar's SASL socket.
pub fn offers_login(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "-o smtpd_sasl_auth_enable=yes")
}

#[cfg(test)]
mod tests;
