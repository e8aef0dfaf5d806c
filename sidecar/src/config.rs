//! The environment, read once, into one checked struct per service.
//!
//! All mistakes are found before any is reported, so that an operator can fix them in one go.

mod dkim;
mod doctor;
pub mod fleet;
mod reader;
mod sections;
pub mod variables;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::access::senders::SenderPattern;
use crate::alerts::Channels;
use crate::dkim::choice::Rules as DkimRules;
use crate::dkim::names::Domain;
use crate::history::Redaction;
use crate::http::access::Token;
use crate::http::tls::Tls;
use crate::limits::guessing::GuessLimits;
use crate::limits::limit::{DefaultLimits, Limits};
use crate::listener::Endpoint;
use crate::logging::LogConfig;
use crate::milter::header_edits::HeaderRules;
use crate::password::{Cost, Password};
use crate::user_name::UserName;
pub use doctor::DoctorConfig;
pub use fleet::FleetConfig;
use reader::Reader;

/// Where the environment comes from: the process's own, or a table in tests.
pub trait Environment {
    fn get(&self, name: &str) -> Option<String>;
    /// The names of everything that is set.
    fn names(&self) -> Vec<String>;
}

/// The environment of this process.
#[derive(Debug)]
pub struct ProcessEnvironment;

impl Environment for ProcessEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }

    fn names(&self) -> Vec<String> {
        std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect()
    }
}

/// All that `relay serve` needs to know.
#[derive(Debug)]
pub struct Config {
    pub access: AccessConfig,
    pub sockets: Sockets,
    pub passwords: PasswordConfig,
    pub limits: LimitsConfig,
    pub dkim: DkimConfig,
    pub headers: HeaderRules,
    pub alerts: Channels,
    pub doctor: DoctorConfig,
    pub fleet: Option<FleetConfig>,
    pub http: HttpConfig,
    pub data_folder: PathBuf,
    pub first_user: Option<FirstUser>,
    pub log: LogConfig,
    /// `LOG_REDACT`, for the history.
    pub redaction: Redaction,
    /// What works, but an operator should know.
    pub warnings: Vec<String>,
}

#[derive(Debug)]
pub struct AccessConfig {
    pub allowed_networks: Vec<IpNet>,
    pub trust_gateway: bool,
    pub login_enabled: bool,
    pub sender_domains: Vec<SenderPattern>,
}

/// How much may be sent, and how often a password may be guessed.
#[derive(Debug)]
pub struct LimitsConfig {
    pub sending: DefaultLimits,
    pub guessing: GuessLimits,
    /// For how long an address is known after a good login.
    pub trust: Duration,
}

#[derive(Debug, Clone)]
pub struct DkimConfig {
    /// Domains that get keys at the start, unless they have some.
    pub domains: Vec<Domain>,
    pub rules: DkimRules,
}

#[derive(Debug, Clone)]
pub struct Sockets {
    pub sasl: Endpoint,
    pub policy: Endpoint,
    pub milter: Endpoint,
    pub http: Endpoint,
    /// A datagram socket on which relay-init reports what Postfix does.
    pub events: PathBuf,
    /// Where relay-init asks for alerts that are to go by mail.
    pub alerts: PathBuf,
}

/// What the metrics tell, and whom.
#[derive(Debug)]
pub struct HttpConfig {
    /// How many users are counted by name.
    pub users: usize,
    pub token: Option<Token>,
    pub tls: Option<Tls>,
}

#[derive(Debug)]
pub struct PasswordConfig {
    pub cost: Cost,
    pub threads: usize,
    pub cache_size: usize,
    pub cache_lifetime: Duration,
}

/// `SMTP_USERNAME` and its password: a user that exists from the start.
#[derive(Debug, Clone)]
pub struct FirstUser {
    pub name: UserName,
    pub password: Password,
}

/// Everything that is wrong, one sentence each.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for mistake in &self.0 {
            writeln!(f, "  {mistake}")?;
        }
        write!(f, "fix {} and start again", if self.0.len() == 1 { "it" } else { "them" })
    }
}

impl std::error::Error for Mistakes {}

impl Config {
    /// Reads and checks every variable.
    ///
    /// # Errors
    ///
    /// All mistakes at once.
    pub fn read(environment: &impl Environment) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(environment);
        reader.mistakes.extend(variables::typos(&environment.names()));
        let config = reader.config();
        match (reader.mistakes.is_empty(), config) {
            (true, Some(config)) => Ok(config),
            (_, _) => Err(Mistakes(reader.mistakes)),
        }
    }

    /// The cost of new hashes alone, for the commands that set a password.
    ///
    /// # Errors
    ///
    /// All mistakes of these variables.
    pub fn cost(environment: &impl Environment) -> Result<Cost, Mistakes> {
        let mut reader = Reader::new(environment);
        let cost = reader.cost();
        if reader.mistakes.is_empty() { Ok(cost) } else { Err(Mistakes(reader.mistakes)) }
    }

    /// `RATE_LIMIT_USER` alone, for the command that shows what is left of it.
    ///
    /// # Errors
    ///
    /// When it is no list of limits.
    pub fn user_limits(environment: &impl Environment) -> Result<Limits, Mistakes> {
        let mut reader = Reader::new(environment);
        let limits = reader.parsed("RATE_LIMIT_USER");
        limits.ok_or(Mistakes(reader.mistakes))
    }

    /// What `relay doctor` needs to know.
    ///
    /// # Errors
    ///
    /// All mistakes of these variables.
    pub fn doctor(environment: &impl Environment) -> Result<DoctorConfig, Mistakes> {
        let mut reader = Reader::new(environment);
        let (senders, networks) = (reader.sender_domains(), reader.networks());
        let config = reader.doctor(&senders, &networks);
        if reader.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(reader.mistakes)) }
    }

    /// The fleet that this relay belongs to, if it does.
    ///
    /// # Errors
    ///
    /// All mistakes of these variables.
    pub fn fleet(environment: &impl Environment) -> Result<Option<FleetConfig>, Mistakes> {
        let mut reader = Reader::new(environment);
        let config = reader.fleet();
        if reader.mistakes.is_empty() { Ok(config) } else { Err(Mistakes(reader.mistakes)) }
    }

    /// Where `/readyz` is, and whether behind TLS, for the health check.
    ///
    /// # Errors
    ///
    /// When `HTTP_LISTEN` is no endpoint.
    pub fn readyz(environment: &impl Environment) -> Result<(Endpoint, bool), Mistakes> {
        let mut reader = Reader::new(environment);
        let is_encrypted = reader.value("METRICS_TLS_CERT").is_some();
        let endpoint = reader.endpoint("HTTP_LISTEN").ok_or(Mistakes(reader.mistakes))?;
        Ok((endpoint, is_encrypted))
    }
}

#[cfg(test)]
mod tests;
