//! The settings of this relay: environment variables, checked. Nothing else reads the environment.
//!
//! The settings know nothing of main.cf and master.cf, which are made from them.

pub mod alert_mail;
pub mod environment;
mod foreign;
mod hostname;
pub mod networks;
pub mod next_hop;
pub mod overrides;
pub mod parameters;
mod paths;
mod reader;
pub mod secret;
pub mod sender_map;
pub mod smarthosts;
pub mod tls_level;
mod typos;
pub mod variables;

use std::ffi::OsString;
use std::time::Duration;

use ipnet::IpNet;

use alert_mail::Recipients;
use environment::{Environment, Problem};
use overrides::Overrides;
use reader::Reader;
use smarthosts::NextHops;
use variables::{
    ALERT_MAIL, ALLOW_UNSAFE_POSTFIX, ALLOWED_NETWORKS, DRAIN_SECONDS, ENABLE_SASL, ENABLE_TLS,
    INET_PROTOCOLS, LOG_DETAIL, LOG_FORMAT, LOG_REDACT, MESSAGE_SIZE_LIMIT, PROXY_PROTOCOL_FROM,
    RELAY_DOMAIN, RELAY_MYHOSTNAME, TLS_CERT, TLS_KEY, TRUST_GATEWAY,
};

use crate::certificates::watcher::ServerTls;
use crate::log::LogFormat;
use crate::maillog::detail::Detail;
use crate::maillog::redact::Redaction;

/// Bytes. With a smaller limit, ordinary mail with a photo is rejected.
const MIN_MESSAGE_SIZE_LIMIT: u64 = 1 << 20;
/// Bytes. With a larger limit, one message can fill the disk of a small server.
const MAX_MESSAGE_SIZE_LIMIT: u64 = 1 << 30;
/// Seconds: how long Postfix's smtp client waits for the reply to a message (smtp_data_done_timeout), so
/// no delivery takes longer.
const MAX_DRAIN: u64 = 600;

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub hostname: String,
    pub domain: String,
    pub allowed_networks: Vec<IpNet>,
    pub trust_gateway: bool,
    /// Load balancers; empty if there is none.
    pub proxy_from: Vec<IpNet>,
    /// Whether ports 587 and 465 offer a login.
    pub login: bool,
    pub tls: ServerTls,
    pub next_hops: NextHops,
    pub protocols: Protocols,
    /// Bytes.
    pub message_size_limit: u64,
    pub log_format: LogFormat,
    pub log_detail: Detail,
    pub log_redaction: Redaction,
    /// Who gets alerts by mail.
    pub alert_mail: Recipients,
    /// How long deliveries in progress may take to finish when the container is stopped.
    pub drain: Duration,
    pub time_zone: Option<OsString>,
    /// What works, but the operator should know.
    pub warnings: Vec<String>,
}

/// What to listen on and to deliver over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    All,
    Ipv4,
    Ipv6,
}

/// Everything found in the environment.
#[derive(Debug)]
pub struct Reading {
    /// `None` only if there are problems.
    pub settings: Option<Settings>,
    pub overrides: Overrides,
    pub problems: Vec<Problem>,
    pub log_format: LogFormat,
}

/// Reads and checks all settings, and the files they name, so that every mistake shows at the first
/// start.
pub fn read(environment: &Environment) -> Reading {
    let mut reader = Reader::new(environment);
    let log_format = reader.parse(&LOG_FORMAT, LogFormat::parse).unwrap_or_default();
    let unsafe_allowed = reader.boolean(&ALLOW_UNSAFE_POSTFIX);
    let (overrides, of_overrides) = overrides::read(environment, unsafe_allowed);
    let mut settings = read_settings(&mut reader, environment, log_format);
    if let Some(settings) = &mut settings {
        settings.warnings = warnings(environment, settings);
    }
    let mut problems = reader.problems;
    problems.extend(of_overrides);
    problems.extend(typos::unknown(environment));
    Reading { settings, overrides, problems, log_format }
}

/// `None` only after a problem was reported. Every variable is read before the first `?`.
fn read_settings(
    reader: &mut Reader<'_>,
    environment: &Environment,
    log_format: LogFormat,
) -> Option<Settings> {
    let hostname = reader.parse(&RELAY_MYHOSTNAME, hostname::full_name);
    if !reader.is_set(&RELAY_MYHOSTNAME) {
        let advice =
            "must be set to the fully qualified host name of this relay, like relay.example.org";
        reader.problems.push(Problem::without_value(RELAY_MYHOSTNAME.name, advice));
    }
    let domain = reader.parse(&RELAY_DOMAIN, hostname::full_name);
    let allowed_networks = reader.parse(&ALLOWED_NETWORKS, networks::parse_list);
    let trust_gateway = reader.boolean(&TRUST_GATEWAY);
    let proxy_from = reader.parse(&PROXY_PROTOCOL_FROM, networks::parse_list).unwrap_or_default();
    let login = reader.boolean(&ENABLE_SASL);
    let tls = read_tls(reader);
    if login && tls == Some(ServerTls::Off) {
        let advice = "login needs TLS, because passwords could be read on the way; set \
                      ENABLE_TLS=true or ENABLE_SASL=false";
        reader.problems.push(Problem::new(ENABLE_TLS.name, "false", advice));
    }
    let next_hops = smarthosts::read(reader);
    let protocols = reader.parse(&INET_PROTOCOLS, parse_protocols);
    let message_size_limit = reader.parse(&MESSAGE_SIZE_LIMIT, parse_message_size_limit);
    let log_detail = reader.parse(&LOG_DETAIL, Detail::parse);
    let log_redaction = reader.parse(&LOG_REDACT, Redaction::parse);
    let alert_mail = reader.parse(&ALERT_MAIL, alert_mail::parse).unwrap_or_default();
    let drain = reader.parse(&DRAIN_SECONDS, parse_drain);
    let hostname = hostname?;
    Some(Settings {
        domain: domain.unwrap_or_else(|| hostname::domain_of(&hostname)),
        hostname,
        allowed_networks: allowed_networks?,
        trust_gateway,
        proxy_from,
        login,
        tls: tls?,
        next_hops,
        protocols: protocols?,
        message_size_limit: message_size_limit?,
        log_format,
        log_detail: log_detail?,
        log_redaction: log_redaction?,
        alert_mail,
        drain: drain?,
        // Not a variable of ours, but every program in a container honours it.
        time_zone: environment.get("TZ").cloned(),
        warnings: Vec::new(),
    })
}

fn warnings(environment: &Environment, settings: &Settings) -> Vec<String> {
    let mut warnings = Vec::new();
    let links = typos::service_links(environment);
    if !links.is_empty() {
        warnings.push(format!(
            "ignoring {}, which look like service links of Kubernetes; enableServiceLinks: false in \
             the pod's spec removes them",
            links.join(", ")
        ));
    }
    let too_many = networks::size_warnings(&settings.allowed_networks);
    warnings.extend(too_many.iter().map(|warning| format!("{}: {warning}", ALLOWED_NETWORKS.name)));
    let hops = &settings.next_hops;
    for hop in hops.main.iter().chain(&hops.fallback) {
        if hop.login.is_some() && !hop.level.proves_host() {
            warnings.push(format!(
                "RELAYHOST_TLS_LEVEL={}: the password for {hop} goes to whoever answers there, \
                 because its certificate is not checked",
                hop.level
            ));
        }
    }
    warnings
}

fn read_tls(reader: &mut Reader<'_>) -> Option<ServerTls> {
    let enabled = reader.boolean(&ENABLE_TLS);
    if !enabled {
        return Some(ServerTls::Off);
    }
    Some(match paths::read_pair(reader, &TLS_CERT, &TLS_KEY)? {
        Some((certificate, key)) => ServerTls::Files { certificate, key },
        None => ServerTls::SelfSigned,
    })
}

fn parse_protocols(text: &str) -> Result<Protocols, String> {
    match text {
        "all" => Ok(Protocols::All),
        "ipv4" => Ok(Protocols::Ipv4),
        "ipv6" => Ok(Protocols::Ipv6),
        _ => Err("must be all, ipv4 or ipv6".to_owned()),
    }
}

/// Seconds, with or without the unit that compose.yaml's stop_grace_period has.
fn parse_drain(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.parse().ok().filter(|seconds| is_number && *seconds <= MAX_DRAIN);
    let seconds = seconds
        .ok_or_else(|| format!("must be a number of seconds from 0 to {MAX_DRAIN}, like 45"))?;
    Ok(Duration::from_secs(seconds))
}

fn parse_message_size_limit(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (text.get(..at), 1 << 10),
        Some((at, 'm' | 'M')) => (text.get(..at), 1 << 20),
        Some((at, 'g' | 'G')) => (text.get(..at), 1 << 30),
        _ => (Some(text), 1),
    };
    let number = digits.filter(|digits| digits.chars().all(|c| c.is_ascii_digit()));
    let bytes = number.and_then(|digits| digits.parse::<u64>().ok()?.checked_mul(unit));
    match bytes {
        Some(bytes) if (MIN_MESSAGE_SIZE_LIMIT..=MAX_MESSAGE_SIZE_LIMIT).contains(&bytes) => {
            Ok(bytes)
        }
        Some(_) => Err("must be between 1M and 1G".to_owned()),
        None => Err("must be a number of bytes, or a number with K, M or G, like 50M".to_owned()),
    }
}

#[cfg(test)]
mod tests;
