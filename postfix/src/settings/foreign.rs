//! Variables that people bring along from other images, and those that Kubernetes sets.

use std::net::IpAddr;

use super::environment::Environment;

/// Names in well-known images and their counterparts here: boky/postfix, wader/postfix-relay,
/// cplieger/docker-smtp-relay, juanluisbaptiste/docker-postfix, panubo/docker-postfix,
/// docker-mailserver, Mailu, mailcow and some smaller ones.
const FOREIGN: &[(&str, &str)] = &[
    // The next hop.
    ("RELAY_HOST", USE_RELAYHOST),
    ("RELAY_PORT", USE_RELAYHOST),
    ("DEFAULT_RELAY_HOST", USE_RELAYHOST),
    ("SMTP_SERVER", SMTP_SERVER),
    ("SMTP_HOST", SMTP_SERVER),
    ("SMTP_PORT", SMTP_SERVER),
    ("SASL_RELAYHOST", USE_RELAYHOST),
    ("RELAY_LOGIN", USE_USERNAME),
    ("RELAY_USER", USE_USERNAME),
    ("RELAY_USERNAME", USE_USERNAME),
    ("RELAYUSER", USE_USERNAME),
    ("RELAYHOST_USER", USE_USERNAME),
    ("RELAY_PASSWORD", USE_PASSWORD),
    ("RELAY_PASSWORD_FILE", USE_PASSWORD),
    ("RELAY_PASS", USE_PASSWORD),
    ("RELAYPASSWORD", USE_PASSWORD),
    ("RELAYHOST_PASSWORDMAP", "use RELAYHOST_MAP with RELAYHOST_MAP_PASSWORDS_FILE"),
    ("SMTP_TLS_SECURITY_LEVEL", "use RELAYHOST_TLS_LEVEL"),
    ("RELAY_SUBMISSIONS", "set RELAYHOST with port 465"),
    ("RELAY_TLS_CA", "use TLS_CA"),
    // Who may send.
    ("MYNETWORKS", USE_NETWORKS),
    ("MY_NETWORKS", USE_NETWORKS),
    ("RELAY_MYNETWORKS", USE_NETWORKS),
    ("RELAY_NETWORKS", USE_NETWORKS),
    ("ACCEPTED_NETWORKS", USE_NETWORKS),
    ("SMTP_NETWORKS", USE_NETWORKS),
    ("RELAYNETS", USE_NETWORKS),
    ("PERMIT_DOCKER", USE_NETWORKS),
    ("SMTPD_SASL_USERS", USE_USERS),
    ("SMTPD_USERS", USE_USERS),
    ("SASL_PASSWDS", USE_USERS),
    ("SASL_Passwds", USE_USERS),
    (
        "ALLOW_EMPTY_SENDER_DOMAINS",
        "remove it: without ALLOWED_SENDER_DOMAINS any sender address is accepted",
    ),
    ("MESSAGE_RATELIMIT", "use RATE_LIMIT_USER, like 200/day"),
    ("AUTH_RATELIMIT_IP", "use LOGIN_FAILURES_ADDRESS"),
    ("AUTH_RATELIMIT_USER", "use LOGIN_FAILURES_USER"),
    ("SMTP_ONLY_RECIPIENTS", "has no counterpart here"),
    ("RECIPIENT_RESTRICTIONS", "use POSTFIX_smtpd_recipient_restrictions"),
    ("RELAY_STRICT_SENDER_MYDOMAIN", "use ALLOWED_SENDER_DOMAINS"),
    (
        "RELAY_MODE",
        "use ALLOWED_NETWORKS for clients without a login, and relay user add for clients with one",
    ),
    // Names.
    ("SERVER_HOSTNAME", USE_HOSTNAME),
    ("SMTP_HOSTNAME", USE_HOSTNAME),
    ("MAILNAME", USE_HOSTNAME),
    ("MAILCOW_HOSTNAME", USE_HOSTNAME),
    ("OVERRIDE_HOSTNAME", USE_HOSTNAME),
    ("AUTOSET_HOSTNAME", USE_HOSTNAME),
    // TLS.
    ("SMTPD_TLS_CERT_FILE", USE_CERTIFICATE),
    ("SMTPD_TLS_KEY_FILE", USE_CERTIFICATE),
    ("SSL_CERT_PATH", USE_CERTIFICATE),
    ("SSL_KEY_PATH", USE_CERTIFICATE),
    ("TLS_FLAVOR", USE_CERTIFICATE),
    ("TLS_CRT", USE_CERTIFICATE),
    ("USE_TLS", "use ENABLE_TLS"),
    // The rest.
    ("SIZELIMIT", "use MESSAGE_SIZE_LIMIT"),
    ("MASQUERADED_DOMAINS", "use POSTFIX_masquerade_domains"),
    (
        "SMTP_HEADER_CHECKS",
        "use POSTFIX_smtp_header_checks, with a table mounted into the container",
    ),
    ("ALWAYS_ADD_MISSING_HEADERS", "remove it: missing headers are always added"),
    ("SMTPUTF8_ENABLE", "use POSTFIX_smtputf8_enable"),
    ("ANONYMIZE_EMAILS", "use LOG_REDACT=mask or hash"),
    ("INBOUND_DEBUGGING", "use LOG_LEVEL=debug"),
    ("POSTCONF", USE_POSTFIX),
    ("XOAUTH2_CLIENT_ID", "XOAUTH2 is not supported; use RELAYHOST_USERNAME with an app password"),
];

const USE_RELAYHOST: &str = "use RELAYHOST, like RELAYHOST=smtp.example.net:587";
const SMTP_SERVER: &str = "use RELAYHOST, like RELAYHOST=smtp.example.net:587, and for its login \
                           RELAYHOST_USERNAME and RELAYHOST_PASSWORD; here SMTP_USERNAME and \
                           SMTP_PASSWORD are the login of your own clients";
const USE_USERNAME: &str = "use RELAYHOST_USERNAME";
const USE_PASSWORD: &str = "use RELAYHOST_PASSWORD or RELAYHOST_PASSWORD_FILE";
const USE_NETWORKS: &str = "use ALLOWED_NETWORKS";
const USE_USERS: &str = "use SMTP_USERNAME and SMTP_PASSWORD, or relay user add for more users";
const USE_HOSTNAME: &str = "use RELAY_MYHOSTNAME";
const USE_CERTIFICATE: &str = "use TLS_CERT and TLS_KEY";
const USE_POSTFIX: &str = "use POSTFIX_<parameter>, one variable per parameter";

/// What to use instead of a variable of another image.
pub fn advice(name: &str) -> Option<&'static str> {
    let known = FOREIGN.iter().find(|(foreign, _)| *foreign == name).map(|(_, advice)| *advice);
    known.or_else(|| name.starts_with("POSTCONF_").then_some(USE_POSTFIX))
}

/// Whether a variable is a service link.
pub fn is_service_link_in(environment: &Environment, name: &str) -> bool {
    let value = environment.get(name).and_then(|value| value.to_str());
    value.is_some_and(|value| is_service_link(name, value))
}

/// Whether Kubernetes (or Docker's legacy links) set it, for a service whose name starts like our
/// variables: `RELAY_SERVICE_HOST=10.0.0.1`, `RELAY_PORT=tcp://10.0.0.1:587`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = |text: &str| {
        let rest = ["tcp://", "udp://", "sctp://"].iter().find_map(|kind| text.strip_prefix(kind));
        rest.is_some_and(|rest| rest.rsplit_once(':').is_some_and(|(_, port)| is_port(port)))
    };
    if name.ends_with("_SERVICE_HOST") {
        return value.parse::<IpAddr>().is_ok();
    }
    if name.ends_with("_SERVICE_PORT") || name.contains("_SERVICE_PORT_") {
        return is_port(value);
    }
    let Some((_, suffix)) = name.split_once("_PORT") else { return false };
    let Some(suffix) = suffix.strip_prefix('_') else {
        return suffix.is_empty() && is_address(value);
    };
    let mut parts = suffix.split('_');
    let (port, kind) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    if !is_port(port) || !["TCP", "UDP", "SCTP"].contains(&kind) {
        return false;
    }
    match parts.next() {
        None => is_address(value),
        Some("PROTO") => ["tcp", "udp", "sctp"].contains(&value),
        Some("PORT") => is_port(value),
        Some("ADDR") => value.parse::<IpAddr>().is_ok(),
        Some(_) => false,
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_links_are_recognised_by_name_and_value() {
        for (name, value) in [
            ("RELAY_SERVICE_HOST", "10.0.0.1"),
            ("RELAY_SERVICE_HOST", "fd00::1"),
            ("RELAY_SERVICE_PORT", "587"),
            ("RELAY_SERVICE_PORT_SMTP", "25"),
            ("RELAY_PORT", "tcp://10.0.0.1:587"),
            ("POSTFIX_PORT", "tcp://[fd00::1]:587"),
            ("POSTFIX_MAIL_PORT_587_TCP", "tcp://10.0.0.1:587"),
            ("POSTFIX_MAIL_PORT_587_TCP_PROTO", "tcp"),
            ("POSTFIX_MAIL_PORT_587_TCP_PORT", "587"),
            ("POSTFIX_MAIL_PORT_587_TCP_ADDR", "10.0.0.1"),
        ] {
            assert!(is_service_link(name, value), "{name}={value}");
        }
        for (name, value) in [
            ("RELAY_PORT", "587"),
            ("RELAY_HOST", "10.0.0.1"),
            ("RELAY_PORT", "tcp://"),
            ("RELAY_PORT", "smtp://10.0.0.1:587"),
            ("RELAY_SERVICE_HOST", "mail.example.org"),
            ("POSTFIX_smtp_tcp_port", "25"),
            ("RELAY_PORTS", "tcp://10.0.0.1:587"),
            ("RELAY_PORT_587", "tcp://10.0.0.1:587"),
            ("RELAY_PORT_587_TCP_X", "1"),
        ] {
            assert!(!is_service_link(name, value), "{name}={value}");
        }
    }

    #[test]
    fn advice_only_names_settings_that_exist() {
        let known = super::super::variables::known_names();
        for (foreign, advice) in FOREIGN {
            assert!(!known.iter().any(|name| name == foreign), "{foreign} is a setting");
            let words = advice.split([' ', ',', ':', '=']);
            let names = words.filter(|word| {
                word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
            });
            for name in names {
                assert!(
                    known.iter().any(|known| known == name),
                    "{foreign}: {name} is not a setting"
                );
            }
        }
    }
}
