//! The settings of the container: environment variables, checked. Nothing else reads the environment.

mod environment;
mod foreign;
mod hostname;
pub mod networks;
pub mod next_hop;
pub mod overrides;
pub mod parameters;
mod sender_map;
pub mod smarthosts;
pub mod tls_level;
pub mod variables;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use environment::Reader;
pub use environment::{Environment, Problem};

use overrides::Overrides;
pub use smarthosts::NextHops;

use crate::certificates::pair;
use crate::configuration::master_cf;
use variables::{
    ALLOW_UNSAFE_POSTFIX, ALLOWED_NETWORKS, DRAIN_SECONDS, ENABLE_SASL, ENABLE_TLS, INET_PROTOCOLS,
    LOG_FORMAT, LOG_REDACT, MESSAGE_SIZE_LIMIT, RELAY_DOMAIN, RELAY_MYHOSTNAME, TLS_CERT, TLS_KEY,
    TRUST_GATEWAY, Variable,
};

/// Below this, ordinary mail with a photo no longer passes.
const SMALLEST_MESSAGE_SIZE_LIMIT: u64 = 1 << 20;
/// Above this, one message can fill the disk of a small server.
const LARGEST_MESSAGE_SIZE_LIMIT: u64 = 1 << 30;
/// Postfix's smtp waits ten minutes for the answer to a message; longer than that nothing is left.
const LONGEST_DRAIN: u64 = 600;

#[derive(Debug, PartialEq, Eq)]
pub struct Settings {
    pub hostname: String,
    pub domain: String,
    pub allowed_networks: Vec<IpNet>,
    pub trust_gateway: bool,
    pub login: bool,
    pub tls: ServerTls,
    pub next_hops: NextHops,
    pub protocols: Protocols,
    pub message_size_limit: u64,
    pub log_format: LogFormat,
    pub log_redaction: LogRedaction,
    /// How long running deliveries may go on when the container is stopped.
    pub drain: Duration,
    pub time_zone: Option<OsString>,
    pub overrides: Overrides,
    /// What works, but should be known.
    pub warnings: Vec<String>,
}

/// How to listen and to deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocols {
    All,
    Ipv4,
    Ipv6,
}

/// How clients are spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerTls {
    Off,
    SelfSigned,
    Files { certificate: PathBuf, key: PathBuf },
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    #[default]
    Text,
    Json,
}

/// What becomes of mail addresses in Postfix's log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogRedaction {
    #[default]
    None,
    Mask,
    Hash,
}

/// What is wrong with the settings, and the format to say it in.
#[derive(Debug)]
pub struct Mistakes {
    pub problems: Vec<Problem>,
    pub log_format: LogFormat,
}

/// Reads and checks everything, files included, so that every mistake shows at the first start.
pub fn load(environment: &Environment) -> Result<Settings, Mistakes> {
    let mut reader = Reader::new(environment);
    let log_format = reader.parse(&LOG_FORMAT, parse_log_format).unwrap_or_default();
    let settings = read(&mut reader, environment, log_format);
    let mut problems = reader.problems;
    problems.extend(settings.iter().flat_map(unknown_services));
    problems.extend(variables::unknown(environment));
    match settings {
        Some(settings) if problems.is_empty() => Ok(settings),
        _ => Err(Mistakes { problems, log_format }),
    }
}

/// POSTFIXMASTER_ variables for services that these settings do not have.
fn unknown_services(settings: &Settings) -> Vec<Problem> {
    let services = master_cf::build(settings).services;
    let names: Vec<String> =
        services.iter().map(|service| format!("{}__{}", service.name, service.kind)).collect();
    let wanted = settings.overrides.services.iter();
    let unknown = wanted.filter(|wanted| {
        let (name, kind) = &wanted.service;
        !services.iter().any(|service| service.name == *name && service.kind == kind)
    });
    let advice = format!("is for no service there is; there are {}", names.join(", "));
    unknown.map(|unknown| Problem::without_value(&unknown.set.variable, &advice)).collect()
}

/// `None` only after a problem was noted. Every variable is read before the first `?`.
fn read(
    reader: &mut Reader<'_>,
    environment: &Environment,
    log_format: LogFormat,
) -> Option<Settings> {
    let hostname = reader.parse(&RELAY_MYHOSTNAME, hostname::full_name);
    if !reader.is_set(&RELAY_MYHOSTNAME) {
        let advice = "must be set to the full host name of this relay, like relay.example.org";
        reader.problems.push(Problem::without_value(RELAY_MYHOSTNAME.name, advice));
    }
    let domain = reader.parse(&RELAY_DOMAIN, hostname::full_name);
    let allowed_networks = reader.parse(&ALLOWED_NETWORKS, networks::parse_list);
    let trust_gateway = reader.boolean(&TRUST_GATEWAY);
    let login = reader.boolean(&ENABLE_SASL);
    let tls = read_tls(reader);
    if login && tls == Some(ServerTls::Off) {
        let advice = "login needs TLS, or passwords could be read on the way; set ENABLE_TLS=true \
                      or ENABLE_SASL=false";
        reader.problems.push(Problem::new(ENABLE_TLS.name, "false", advice));
    }
    let next_hops = smarthosts::read(reader);
    let protocols = reader.parse(&INET_PROTOCOLS, parse_protocols);
    let message_size_limit = reader.parse(&MESSAGE_SIZE_LIMIT, parse_message_size_limit);
    let log_redaction = reader.parse(&LOG_REDACT, parse_log_redaction);
    let drain = reader.parse(&DRAIN_SECONDS, parse_drain);
    let (overrides, problems) = read_overrides(reader, environment);
    reader.problems.extend(problems);
    let hostname = hostname?;
    let warnings = warnings(environment, &overrides, &next_hops);
    Some(Settings {
        domain: domain.unwrap_or_else(|| hostname::domain_of(&hostname)),
        hostname,
        allowed_networks: allowed_networks?,
        trust_gateway,
        login,
        tls: tls?,
        next_hops,
        protocols: protocols?,
        message_size_limit: message_size_limit?,
        log_format,
        log_redaction: log_redaction?,
        drain: drain?,
        // Not a setting of ours, but what every program in a container listens to.
        time_zone: environment.get("TZ").cloned(),
        overrides,
        warnings,
    })
}

fn read_overrides(reader: &mut Reader<'_>, environment: &Environment) -> (Overrides, Vec<Problem>) {
    let unsafe_allowed = reader.boolean(&ALLOW_UNSAFE_POSTFIX);
    overrides::read(environment, unsafe_allowed)
}

fn warnings(environment: &Environment, overrides: &Overrides, hops: &NextHops) -> Vec<String> {
    let mut warnings = overrides.warnings.clone();
    let links = variables::service_links(environment);
    if !links.is_empty() {
        warnings.push(format!(
            "{} look like service links of Kubernetes and are ignored; enableServiceLinks: false \
             keeps them out",
            links.join(", ")
        ));
    }
    for hop in hops.main.iter().chain(&hops.fallback) {
        if hop.login.is_some() && !hop.level.proves_host() {
            warnings.push(format!(
                "RELAYHOST_TLS_LEVEL={}: the password for {hop} goes to whoever answers there, \
                 because no certificate is checked",
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
    Some(match read_pair(reader, &TLS_CERT, &TLS_KEY)? {
        Some((certificate, key)) => ServerTls::Files { certificate, key },
        None => ServerTls::SelfSigned,
    })
}

/// Two paths, set both or not at all, of a certificate and the key that belongs to it. `None` is a
/// mistake that was noted.
fn read_pair(
    reader: &mut Reader<'_>,
    certificate_variable: &Variable,
    key_variable: &Variable,
) -> Option<Option<(PathBuf, PathBuf)>> {
    let certificate = reader.parse(certificate_variable, parse_path);
    let key = reader.parse(key_variable, parse_path);
    let both = [(certificate_variable, key_variable), (key_variable, certificate_variable)];
    for (variable, other) in both {
        if reader.is_set(other) && !reader.is_set(variable) {
            let advice = format!("must be set too, because {} is set", other.name);
            reader.problems.push(Problem::without_value(variable.name, advice));
        }
    }
    let any_is_set = reader.is_set(certificate_variable) || reader.is_set(key_variable);
    let (Some(certificate), Some(key)) = (certificate, key) else {
        return (!any_is_set).then_some(None);
    };
    if let Err(error) = pair::Pair::load(&certificate, &key) {
        let (variable, path) = match error.concerns_key() {
            true => (key_variable, &key),
            false => (certificate_variable, &certificate),
        };
        let path = path.to_string_lossy();
        reader.problems.push(Problem::new(variable.name, &path, error.to_string()));
        return None;
    }
    Some(Some((certificate, key)))
}

/// A path that stands in main.cf as it is: whatever means something there is refused.
fn parse_path(text: &str) -> Result<PathBuf, String> {
    if !text.starts_with('/') {
        return Err("must be an absolute path inside of the container, like /certs/cert.pem".into());
    }
    let is_plain = |character: char| {
        character.is_alphanumeric() || matches!(character, '/' | '.' | '-' | '_' | '+' | '@' | ':')
    };
    if !text.chars().all(is_plain) {
        return Err("only letters, digits and / . - _ + @ : may stand in a path here".into());
    }
    Ok(PathBuf::from(text))
}

fn parse_protocols(text: &str) -> Result<Protocols, String> {
    match text {
        "all" => Ok(Protocols::All),
        "ipv4" => Ok(Protocols::Ipv4),
        "ipv6" => Ok(Protocols::Ipv6),
        _ => Err("must be all, ipv4 or ipv6".to_owned()),
    }
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("must be text or json".to_owned()),
    }
}

fn parse_log_redaction(text: &str) -> Result<LogRedaction, String> {
    match text {
        "none" => Ok(LogRedaction::None),
        "mask" => Ok(LogRedaction::Mask),
        "hash" => Ok(LogRedaction::Hash),
        _ => Err("must be none, mask or hash".to_owned()),
    }
}

/// compose.yaml's stop_grace_period has a unit, so seconds may have theirs here.
fn parse_drain(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let seconds = digits.parse().ok().filter(|seconds| is_number && *seconds <= LONGEST_DRAIN);
    let seconds = seconds
        .ok_or_else(|| format!("must be a number of seconds from 0 to {LONGEST_DRAIN}, like 45"))?;
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
        Some(bytes)
            if (SMALLEST_MESSAGE_SIZE_LIMIT..=LARGEST_MESSAGE_SIZE_LIMIT).contains(&bytes) =>
        {
            Ok(bytes)
        }
        Some(_) => Err("must be between 1M and 1G".to_owned()),
        None => Err("must be a number of bytes, or a number with K, M or G, like 50M".to_owned()),
    }
}

#[cfg(test)]
mod tests;
