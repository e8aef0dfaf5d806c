//! master.cf: which programs of Postfix run, and what differs between the ports.

use crate::configuration::explain::Source;
use crate::configuration::main_cf::{PASSWORD_TABLE, Parameter};
use crate::settings::next_hop::NextHop;
use crate::settings::variables::{
    ENABLE_SASL, ENABLE_TLS, RELAYHOST_MAP, RELAYHOST_MAP_PASSWORDS, Variable,
};
use crate::settings::{ServerTls, Settings};

#[derive(Debug)]
pub struct MasterCf {
    pub services: Vec<Service>,
}

#[derive(Debug)]
pub struct Service {
    pub name: String,
    pub kind: &'static str,
    /// The other columns.
    columns: &'static str,
    pub parameters: Vec<Parameter>,
    pub from: Source,
}

const PORT_COLUMNS: &str = "n - n - - smtpd";
const HOP_COLUMNS: &str = "- - n - - smtp";

/// The programs behind the ports. The ones for local delivery, address probes and lookup proxies
/// are left out: what does not run cannot be misused. pickup is for `postsuper -r`.
const PROGRAMS: &[(&str, &str, &str)] = &[
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

/// What master.cf says.
pub fn build(settings: &Settings) -> MasterCf {
    let mut services = ports(settings);
    for (name, kind, columns) in PROGRAMS {
        services.push(Service::new(name, kind, columns, Source::Fixed));
        if *name == "smtp" {
            let hops = settings.next_hops.by_sender.iter().zip(1..);
            services.extend(hops.map(|(entry, number)| hop(number, &entry.hop)));
        }
    }
    let mut cf = MasterCf { services };
    for set in &settings.overrides.services {
        let (name, kind) = &set.service;
        if let Some(service) = cf.find(name, kind) {
            service.parameters.retain(|parameter| parameter.name != set.set.parameter);
            service.parameters.push(Parameter {
                name: set.set.parameter.clone(),
                value: set.set.value.clone(),
                from: Source::Override(set.set.variable.clone()),
            });
        }
    }
    cf
}

impl MasterCf {
    fn find(&mut self, name: &str, kind: &str) -> Option<&mut Service> {
        self.services.iter_mut().find(|service| service.name == name && service.kind == kind)
    }
}

impl Service {
    fn new(name: &str, kind: &'static str, columns: &'static str, from: Source) -> Self {
        Self { name: name.to_owned(), kind, columns, parameters: Vec::new(), from }
    }

    fn set(&mut self, name: &str, value: &str, from: &[&'static Variable]) {
        let from = match from {
            [] => Source::Fixed,
            from => Source::Variables(from.to_vec()),
        };
        self.parameters.push(Parameter { name: name.to_owned(), value: value.to_owned(), from });
    }

    /// Its line, without its parameters.
    pub fn line(&self) -> String {
        format!("{:<9} {:<10} {}", self.name, self.kind, self.columns)
    }
}

fn ports(settings: &Settings) -> Vec<Service> {
    // Port 25 has no login, so that it stays up when the sidecar's SASL socket is away.
    let smtp = Service::new("25", "inet", PORT_COLUMNS, Source::Fixed);
    let mut submission = Service::new("587", "inet", PORT_COLUMNS, Source::Fixed);
    submission.set("syslog_name", "postfix/submission", &[]);
    if settings.tls == ServerTls::Off {
        for_users(&mut submission, settings);
        return vec![smtp, submission];
    }
    submission.set("smtpd_tls_security_level", "encrypt", &[&ENABLE_TLS]);
    for_users(&mut submission, settings);
    let from = Source::Variables(vec![&ENABLE_TLS]);
    let mut submissions = Service::new("465", "inet", PORT_COLUMNS, from);
    submissions.set("syslog_name", "postfix/submissions", &[]);
    submissions.set("smtpd_tls_wrappermode", "yes", &[]);
    submissions.set("smtpd_tls_security_level", "encrypt", &[]);
    for_users(&mut submissions, settings);
    vec![smtp, submission, submissions]
}

fn for_users(service: &mut Service, settings: &Settings) {
    let login = if settings.login { "yes" } else { "no" };
    service.set("smtpd_sasl_auth_enable", login, &[&ENABLE_SASL]);
    // Where the owner of a message sits is nobody's business. Not on 25: a relay before us wants its
    // hop in the trace.
    service.set("smtpd_hide_client_session", "yes", &[]);
}

/// The transport of one next hop of RELAYHOST_MAP. A transport for each keeps logins apart also where
/// two senders have the same host, and lets 465 stand beside 587.
fn hop(number: usize, hop: &NextHop) -> Service {
    let from: &'static [&'static Variable] = &[&RELAYHOST_MAP];
    let name = format!("hop{number}");
    let mut service =
        Service::new(&name, "unix", HOP_COLUMNS, Source::Variables(vec![&RELAYHOST_MAP]));
    service.set("smtp_tls_security_level", &hop.level.to_string(), from);
    let wrapper = if hop.implicit_tls() { "yes" } else { "no" };
    service.set("smtp_tls_wrappermode", wrapper, from);
    service.set("smtp_host_lookup", "native", from);
    // What is for RELAYHOST is for no other.
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

/// The login of one next hop of RELAYHOST_MAP, counted from 1.
pub fn hop_password_table(number: usize) -> String {
    format!("{PASSWORD_TABLE}_hop{number}")
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
                    // Braces keep a value with spaces together.
                    false => writeln!(f, "    -o {{ {name} = {value} }}")?,
                }
            }
        }
        Ok(())
    }
}

/// The ports that a master.cf lets master listen on.
pub fn listening_ports(text: &str) -> Vec<u16> {
    let services = text.lines().filter(|line| !line.starts_with([' ', '\t', '#']));
    services
        .filter_map(|line| {
            let mut fields = line.split_ascii_whitespace();
            let name = fields.next()?;
            let is_inet = fields.next()? == "inet";
            let port = name.rsplit_once(':').map_or(name, |(_, port)| port);
            port.parse().ok().filter(|_| is_inet)
        })
        .collect()
}

/// Whether some port of a master.cf offers login, and so needs the sidecar's SASL socket.
pub fn offers_login(text: &str) -> bool {
    text.lines().any(|line| line.trim() == "-o smtpd_sasl_auth_enable=yes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, Environment};

    fn rendered(pairs: &[(&str, &str)]) -> String {
        let hostname = [("RELAY_MYHOSTNAME", "relay.example.org")];
        let environment = Environment::from([hostname.as_slice(), pairs].concat().as_slice());
        build(&settings::load(&environment).unwrap()).to_string()
    }

    /// The lines of one port, without the others.
    fn port(text: &str, port: &str) -> String {
        let own = text.lines().skip_while(|line| !line.starts_with(&format!("{port} ")));
        let own = own.enumerate().take_while(|(at, line)| *at == 0 || line.starts_with(' '));
        own.map(|(_, line)| line.trim()).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn login_is_offered_on_587_and_465_only_and_only_over_tls() {
        let text = rendered(&[]);
        assert_eq!(listening_ports(&text), [25, 587, 465]);
        assert!(offers_login(&text));
        assert_eq!(port(&text, "25"), "25        inet       n - n - - smtpd");
        for name in ["587", "465"] {
            let overrides = port(&text, name);
            assert!(overrides.contains("-o smtpd_sasl_auth_enable=yes"), "{overrides}");
            assert!(overrides.contains("-o smtpd_tls_security_level=encrypt"), "{overrides}");
            assert!(overrides.contains("-o smtpd_hide_client_session=yes"), "{overrides}");
            assert_eq!(overrides.contains("wrappermode=yes"), name == "465");
        }
    }

    #[test]
    fn without_login_no_port_offers_it() {
        let text = rendered(&[("ENABLE_SASL", "no")]);
        assert_eq!(listening_ports(&text), [25, 587, 465]);
        assert!(!offers_login(&text));
    }

    #[test]
    fn without_tls_there_is_no_465() {
        let text = rendered(&[("ENABLE_SASL", "no"), ("ENABLE_TLS", "no")]);
        assert_eq!(listening_ports(&text), [25, 587]);
        assert!(!text.contains("tls_security_level") && !text.contains("wrappermode"));
    }

    #[test]
    fn nothing_is_chrooted_and_the_log_has_its_service() {
        for line in rendered(&[]).lines().filter(|line| !line.starts_with([' ', '#'])) {
            assert_eq!(line.split_ascii_whitespace().nth(4), Some("n"), "{line}");
        }
        assert!(rendered(&[]).contains("postlog   unix-dgram n - n - 1 postlogd"));
    }

    #[test]
    fn ports_are_read_from_any_master_cf() {
        let text = "# 1 inet\n127.0.0.1:26 inet n - n - - smtpd\n[::1]:27 inet n\n  28 inet n\n\
                    29 unix n\nsmtp inet n\n\n30\n";
        assert_eq!(listening_ports(text), [26, 27]);
    }
}
