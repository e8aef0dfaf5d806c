//! Each part of the configuration, from the variables that it takes.

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use super::reader::Reader;
use super::{
    AccessConfig, Config, Environment, FirstUser, HttpConfig, LimitsConfig, PasswordConfig, Sockets,
};
use crate::access::networks;
use crate::access::senders::{SenderPattern, canonical_domain};
use crate::alerts::format::Format;
use crate::alerts::{Channels, WebhookUrl};
use crate::history::Redaction;
use crate::http::access::Token;
use crate::http::tls::{self, Tls};
use crate::limits::guessing::GuessLimits;
use crate::limits::limit::DefaultLimits;
use crate::listener::Endpoint;
use crate::lists;
use crate::logging::{LogConfig, LogFormat};
use crate::password::{
    Cost, MAX_ITERATIONS, MAX_MEMORY_KIB, MAX_PARALLELISM, MAX_WORK_KIB, Password,
};
use crate::user_name::UserName;

/// Each is two series, and their number should not depend on a typo.
const MAX_METRICS_USERS: u32 = 1_000;

impl<E: Environment> Reader<'_, E> {
    pub fn config(&mut self) -> Option<Config> {
        let access = AccessConfig {
            allowed_networks: self.networks(),
            trust_gateway: self.boolean("TRUST_GATEWAY"),
            login_enabled: self.boolean("ENABLE_SASL"),
            sender_domains: self.sender_domains(),
        };
        let sockets = self.sockets();
        let passwords = self.passwords();
        let limits = self.limits();
        let dkim = self.dkim();
        let headers = self.headers();
        let alerts = self.alerts();
        let doctor = self.doctor(&access.sender_domains, &access.allowed_networks);
        let fleet = self.fleet();
        let http = self.http();
        let first_user = self.first_user();
        let log = self.log();
        let redaction = self.redaction();
        let data_folder = PathBuf::from(self.value_or_default("DATA_DIR"));
        Some(Config {
            access,
            sockets: sockets?,
            passwords: passwords?,
            limits: limits?,
            dkim,
            headers: headers?,
            alerts: alerts?,
            doctor,
            fleet,
            http: http?,
            data_folder,
            first_user,
            log: log?,
            redaction: redaction?,
            warnings: std::mem::take(&mut self.warnings),
        })
    }

    fn sockets(&mut self) -> Option<Sockets> {
        let endpoints = ["SASL_LISTEN", "POLICY_LISTEN", "MILTER_LISTEN", "HTTP_LISTEN"]
            .map(|name| self.endpoint(name));
        let [Some(sasl), Some(policy), Some(milter), Some(http)] = endpoints else { return None };
        self.distinct(&[&sasl, &policy, &milter, &http]);
        // Whoever can connect says who the client is, and sends passwords in the clear.
        for (name, endpoint) in
            [("SASL_LISTEN", &sasl), ("POLICY_LISTEN", &policy), ("MILTER_LISTEN", &milter)]
        {
            if !endpoint.is_local() {
                let expected = "expected a unix socket or an address of loopback: this protocol has \
                                neither encryption nor authentication";
                self.wrong(name, &endpoint.to_string(), expected);
            }
        }
        let (events, alerts) = (self.unix("EVENTS_LISTEN"), self.unix("ALERTS_LISTEN"));
        let (events, alerts) = (events?, alerts?);
        Some(Sockets { sasl, policy, milter, http, events, alerts })
    }

    /// The path of a socket that only the other container's side of a volume can be.
    fn unix(&mut self, name: &str) -> Option<PathBuf> {
        match self.endpoint(name)? {
            Endpoint::Unix(path) => Some(path),
            Endpoint::Inet(address) => {
                self.wrong(name, &format!("inet:{address}"), "expected unix:/path");
                None
            }
        }
    }

    fn http(&mut self) -> Option<HttpConfig> {
        let users = self.number("METRICS_USERS", 0, MAX_METRICS_USERS);
        let token = self.secret("METRICS_TOKEN").and_then(|text| {
            let mistake = |mistake| self.mistakes.push(format!("METRICS_TOKEN: {mistake}"));
            Token::parse(&text).map_err(mistake).ok()
        });
        let files = ["METRICS_TLS_CERT", "METRICS_TLS_KEY"].map(|name| self.value(name));
        let tls = match files.map(|path| path.map(PathBuf::from)) {
            [None, None] => None,
            [Some(certificate), Some(key)] => {
                let started = Tls::start(tls::Files { certificate, key });
                started.map_err(|mistake| self.mistakes.push(mistake)).ok()
            }
            [_, _] => {
                let mistake = "METRICS_TLS_CERT and METRICS_TLS_KEY: set both, or neither";
                self.mistakes.push(mistake.to_owned());
                None
            }
        };
        Some(HttpConfig { users: users? as usize, token, tls })
    }

    fn passwords(&mut self) -> Option<PasswordConfig> {
        let cost = self.cost();
        let threads = match self.value("HASHING_THREADS") {
            None => Some(std::thread::available_parallelism().map_or(1, usize::from)),
            Some(_) => self.number("HASHING_THREADS", 1, 64).map(|threads| threads as usize),
        };
        let cache_size = self.number("LOGIN_CACHE_SIZE", 0, 1_000_000);
        let cache_lifetime = self.number("LOGIN_CACHE_SECONDS", 0, 86_400);
        Some(PasswordConfig {
            cost,
            threads: threads?,
            cache_size: cache_size? as usize,
            cache_lifetime: Duration::from_secs(cache_lifetime?.into()),
        })
    }

    fn limits(&mut self) -> Option<LimitsConfig> {
        let user = self.parsed("RATE_LIMIT_USER");
        let network = self.parsed("RATE_LIMIT_NETWORK");
        let ceiling = self.parsed("SUSPEND_AFTER");
        let per_address = self.parsed("LOGIN_FAILURES_ADDRESS");
        let per_user = self.parsed("LOGIN_FAILURES_USER");
        let days = self.number("LOGIN_TRUST_DAYS", 0, 365);
        Some(LimitsConfig {
            sending: DefaultLimits { user: user?, network: network?, ceiling: ceiling? },
            guessing: GuessLimits { per_address: per_address?, per_user: per_user? },
            trust: Duration::from_secs(u64::from(days?) * 86_400),
        })
    }

    pub fn sender_domains(&mut self) -> Vec<SenderPattern> {
        let value = self.value_or_default("ALLOWED_SENDER_DOMAINS");
        let mut domains = Vec::new();
        for entry in lists::entries(&value) {
            match canonical_domain(entry) {
                Some(domain) => domains.push(SenderPattern::Domain(domain)),
                None => self.mistakes.push(format!(
                    "ALLOWED_SENDER_DOMAINS: {entry:?} is not a domain: write example.org"
                )),
            }
        }
        domains
    }

    fn alerts(&mut self) -> Option<Channels> {
        let webhook = self.webhook();
        let format = self.parsed::<Format>("ALERT_FORMAT");
        let mail = self.value("ALERT_MAIL").is_some();
        let host = self.value("RELAY_MYHOSTNAME").unwrap_or_default();
        Some(Channels { webhook, format: format?, mail, host })
    }

    fn webhook(&mut self) -> Option<WebhookUrl> {
        let url = WebhookUrl::parse(self.secret("ALERT_WEBHOOK")?);
        if url.is_none() {
            let mistake = "ALERT_WEBHOOK is not a URL: expected https://host/path";
            self.mistakes.push(mistake.to_owned());
        }
        url
    }

    pub fn networks(&mut self) -> Vec<IpNet> {
        let value = self.value_or_default("ALLOWED_NETWORKS");
        let checked = networks::parse(&value).and_then(|networks| {
            let warnings = networks::check_size(&networks)?;
            self.warnings
                .extend(warnings.iter().map(|warning| format!("ALLOWED_NETWORKS: {warning}")));
            Ok(networks)
        });
        checked.unwrap_or_else(|mistakes| {
            self.mistakes
                .extend(mistakes.iter().map(|mistake| format!("ALLOWED_NETWORKS: {mistake}")));
            Vec::new()
        })
    }

    fn distinct(&mut self, endpoints: &[&Endpoint]) {
        for (position, endpoint) in endpoints.iter().enumerate() {
            if endpoints.iter().skip(position + 1).any(|other| other == endpoint) {
                self.mistakes.push(format!(
                    "two of SASL_LISTEN, POLICY_LISTEN, MILTER_LISTEN and HTTP_LISTEN are \
                     {endpoint}: each needs its own"
                ));
            }
        }
    }

    pub fn cost(&mut self) -> Cost {
        let default = Cost::default();
        let parallelism = self.number("ARGON2_PARALLELISM", 1, MAX_PARALLELISM);
        let parallelism = parallelism.unwrap_or(default.parallelism);
        // argon2 needs eight blocks of 1 KiB for each lane (RFC 9106 section 3.1).
        let memory_kib = self.number("ARGON2_MEMORY_KIB", 8 * parallelism, MAX_MEMORY_KIB);
        let iterations = self.number("ARGON2_ITERATIONS", 1, MAX_ITERATIONS);
        let work = u64::from(memory_kib.unwrap_or(0)) * u64::from(iterations.unwrap_or(0));
        if work > MAX_WORK_KIB {
            self.mistakes.push(format!(
                "ARGON2_MEMORY_KIB times ARGON2_ITERATIONS is {work}: expected at most \
                 {MAX_WORK_KIB}, or a login would take longer than Postfix waits"
            ));
        }
        Cost {
            memory_kib: memory_kib.unwrap_or(default.memory_kib),
            iterations: iterations.unwrap_or(default.iterations),
            parallelism,
        }
    }

    fn log(&mut self) -> Option<LogConfig> {
        let format_text = self.value_or_default("LOG_FORMAT");
        let format = match format_text.to_ascii_lowercase().as_str() {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        };
        if format.is_none() {
            self.wrong("LOG_FORMAT", &format_text, "expected text or json");
        }
        let level_text = self.value_or_default("LOG_LEVEL");
        let known = ["error", "warn", "info", "debug"];
        let level = known.iter().find(|level| level.eq_ignore_ascii_case(&level_text));
        let level = level.and_then(|level| level.parse().ok());
        if level.is_none() {
            self.wrong("LOG_LEVEL", &level_text, "expected error, warn, info or debug");
        }
        Some(LogConfig { format: format?, level: level? })
    }

    fn redaction(&mut self) -> Option<Redaction> {
        let text = self.value_or_default("LOG_REDACT");
        let redaction = Redaction::parse(&text);
        if redaction.is_none() {
            self.wrong("LOG_REDACT", &text, "expected none, mask or hash");
        }
        redaction
    }

    fn first_user(&mut self) -> Option<FirstUser> {
        let name = self.value("SMTP_USERNAME");
        let password = self.secret("SMTP_PASSWORD");
        match (name, password) {
            (None, None) => None,
            (Some(_), None) => {
                if self.mistakes.iter().all(|mistake| !mistake.starts_with("SMTP_PASSWORD")) {
                    self.mistakes.push(
                        "SMTP_USERNAME is set without a password: set SMTP_PASSWORD or \
                         SMTP_PASSWORD_FILE, too"
                            .to_owned(),
                    );
                }
                None
            }
            (None, Some(_)) => {
                self.mistakes.push(
                    "SMTP_PASSWORD is set without SMTP_USERNAME: these two create a user who may \
                     log in here; for the login at your smarthost use RELAYHOST_USERNAME and \
                     RELAYHOST_PASSWORD"
                        .to_owned(),
                );
                None
            }
            (Some(name), Some(password)) => {
                // Not shown: people write a password into it, too.
                let parsed = UserName::parse(&name)
                    .map_err(|error| self.mistakes.push(format!("SMTP_USERNAME: {error}")));
                let chosen = Password::choose(password.as_bytes())
                    .map_err(|error| self.mistakes.push(format!("SMTP_PASSWORD: {error}")));
                Some(FirstUser { name: parsed.ok()?, password: chosen.ok()? })
            }
        }
    }
}
