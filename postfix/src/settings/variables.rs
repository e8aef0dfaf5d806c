//! The table of variables: what exists, its default, what it means; and what is a typo.

use super::environment::{Environment, Problem};
use super::{foreign, overrides};

/// A variable that relay-init reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    /// As an operator would write it; empty when there is none.
    pub default: &'static str,
    pub meaning: &'static str,
    /// A secret is never printed and has a `_FILE` twin.
    pub secret: bool,
}

impl Variable {
    const fn new(name: &'static str, default: &'static str, meaning: &'static str) -> Self {
        Self { name, default, meaning, secret: false }
    }

    /// The variable that names a file with the secret.
    pub fn file_name(&self) -> String {
        format!("{}_FILE", self.name)
    }
}

pub const RELAY_MYHOSTNAME: Variable = Variable::new(
    "RELAY_MYHOSTNAME",
    "",
    "required: full name of this relay, as in its PTR record and certificate, like relay.example.org",
);
pub const RELAY_DOMAIN: Variable = Variable::new(
    "RELAY_DOMAIN",
    "",
    "domain for addresses without one; default: RELAY_MYHOSTNAME without its first label",
);
pub const ALLOWED_NETWORKS: Variable = Variable::new(
    "ALLOWED_NETWORKS",
    "127.0.0.0/8 [::1]/128",
    "addresses and networks that may send without login, separated by spaces or commas",
);
pub const TRUST_GATEWAY: Variable = Variable::new(
    "TRUST_GATEWAY",
    "false",
    "let ALLOWED_NETWORKS cover the container's gateway, as which every stranger may appear",
);
pub const ENABLE_SASL: Variable =
    Variable::new("ENABLE_SASL", "true", "offer login on ports 587 and 465");
pub const ENABLE_TLS: Variable =
    Variable::new("ENABLE_TLS", "true", "offer TLS; without it port 465 and login are off");
pub const TLS_CERT: Variable = Variable::new(
    "TLS_CERT",
    "",
    "path of the certificate with its chain, PEM; default: a self-signed one is made",
);
pub const TLS_KEY: Variable = Variable::new("TLS_KEY", "", "path of the key of TLS_CERT, PEM");
pub const TLS_CA: Variable = Variable::new(
    "TLS_CA",
    "",
    "path of the CA certificates the next hop is checked with, PEM; default: the public ones",
);
pub const RELAYHOST: Variable = Variable::new(
    "RELAYHOST",
    "",
    "send everything through this host, as host, host:port or [IPv6]:port (no MX lookup; port 587 \
     with login, otherwise 25; 465 is implicit TLS); default: deliver directly",
);
pub const RELAYHOST_USERNAME: Variable =
    Variable::new("RELAYHOST_USERNAME", "", "name to log in to RELAYHOST with");
pub const RELAYHOST_PASSWORD: Variable = Variable {
    name: "RELAYHOST_PASSWORD",
    default: "",
    meaning: "password to log in to RELAYHOST with",
    secret: true,
};
pub const RELAYHOST_TLS_LEVEL: Variable = Variable::new(
    "RELAYHOST_TLS_LEVEL",
    "",
    "what the next hop has to prove: none, may, encrypt, dane, dane-only or secure; default: secure \
     with a login; delivering directly dane with a validating resolver on loopback; else may \
     (encrypt on port 465)",
);
pub const RELAYHOST_CERT: Variable = Variable::new(
    "RELAYHOST_CERT",
    "",
    "path of the certificate RELAYHOST knows this relay by, PEM",
);
pub const RELAYHOST_KEY: Variable =
    Variable::new("RELAYHOST_KEY", "", "path of the key of RELAYHOST_CERT, PEM");
pub const RELAYHOST_FALLBACK: Variable = Variable::new(
    "RELAYHOST_FALLBACK",
    "",
    "host that gets what RELAYHOST, or a recipient's own server, cannot be reached for; as RELAYHOST",
);
pub const RELAYHOST_FALLBACK_USERNAME: Variable =
    Variable::new("RELAYHOST_FALLBACK_USERNAME", "", "name to log in to RELAYHOST_FALLBACK with");
pub const RELAYHOST_FALLBACK_PASSWORD: Variable = Variable {
    name: "RELAYHOST_FALLBACK_PASSWORD",
    default: "",
    meaning: "password to log in to RELAYHOST_FALLBACK with",
    secret: true,
};
pub const RELAYHOST_MAP: Variable = Variable::new(
    "RELAYHOST_MAP",
    "",
    "next hops for senders, each as @example.org=[smtp.example.net]:587:name or \
     alice@example.org=host:port, separated by spaces or commas",
);
pub const RELAYHOST_MAP_PASSWORDS: Variable = Variable {
    name: "RELAYHOST_MAP_PASSWORDS",
    default: "",
    meaning: "the passwords for the names in RELAYHOST_MAP, a line for each: @example.org=password",
    secret: true,
};
pub const INET_PROTOCOLS: Variable = Variable::new(
    "INET_PROTOCOLS",
    "all",
    "all, ipv4 or ipv6: how to listen and to deliver; ipv4 where IPv6 has no PTR record",
);
pub const ALLOW_UNSAFE_POSTFIX: Variable = Variable::new(
    "ALLOW_UNSAFE_POSTFIX",
    "false",
    "take also such POSTFIX_ variables that open the relay, with a warning at each start",
);
pub const MESSAGE_SIZE_LIMIT: Variable = Variable::new(
    "MESSAGE_SIZE_LIMIT",
    "52428800",
    "largest message in bytes, or with K, M or G at the end; from 1M to 1G",
);
pub const LOG_FORMAT: Variable = Variable::new("LOG_FORMAT", "text", "text or json");
pub const LOG_REDACT: Variable = Variable::new(
    "LOG_REDACT",
    "none",
    "mail addresses in Postfix's log: none leaves them, mask makes a***@example.org, hash makes \
     the same code of the same address",
);
pub const DRAIN_SECONDS: Variable = Variable::new(
    "DRAIN_SECONDS",
    "45",
    "how long deliveries that run may go on when the container is stopped; below stop_grace_period",
);
/// Everything relay-init reads, in the order an operator should meet it.
pub const VARIABLES: &[&Variable] = &[
    &RELAY_MYHOSTNAME,
    &RELAY_DOMAIN,
    &ALLOWED_NETWORKS,
    &TRUST_GATEWAY,
    &ENABLE_SASL,
    &ENABLE_TLS,
    &TLS_CERT,
    &TLS_KEY,
    &TLS_CA,
    &RELAYHOST,
    &RELAYHOST_USERNAME,
    &RELAYHOST_PASSWORD,
    &RELAYHOST_TLS_LEVEL,
    &RELAYHOST_CERT,
    &RELAYHOST_KEY,
    &RELAYHOST_FALLBACK,
    &RELAYHOST_FALLBACK_USERNAME,
    &RELAYHOST_FALLBACK_PASSWORD,
    &RELAYHOST_MAP,
    &RELAYHOST_MAP_PASSWORDS,
    &INET_PROTOCOLS,
    &MESSAGE_SIZE_LIMIT,
    &LOG_FORMAT,
    &LOG_REDACT,
    &DRAIN_SECONDS,
    &ALLOW_UNSAFE_POSTFIX,
];

/// Variables that only the sidecar reads. Both containers get the same `.env`, so these are known.
const OF_THE_SIDECAR: &[&str] = &[
    "SMTP_USERNAME",
    "SMTP_PASSWORD",
    "SMTP_PASSWORD_FILE",
    "ALLOWED_SENDER_DOMAINS",
    "RATE_LIMIT_USER",
    "RATE_LIMIT_NETWORK",
    "SUSPEND_AFTER",
    "ALERT_WEBHOOK",
    "ALERT_WEBHOOK_FILE",
    "LOGIN_FAILURES_ADDRESS",
    "LOGIN_FAILURES_USER",
    "LOGIN_TRUST_DAYS",
    "LOGIN_CACHE_SIZE",
    "LOGIN_CACHE_SECONDS",
    "LOG_LEVEL",
    "SASL_LISTEN",
    "POLICY_LISTEN",
    "MILTER_LISTEN",
    "EVENTS_LISTEN",
    "HTTP_LISTEN",
    "DATA_DIR",
    "ARGON2_MEMORY_KIB",
    "ARGON2_ITERATIONS",
    "ARGON2_PARALLELISM",
    "HASHING_THREADS",
];

/// A variable with such a name is meant for this relay; anything else may belong to the runtime.
const OUR_PREFIXES: &[&str] = &[
    "RELAY_",
    "RELAYHOST",
    "ALLOWED_",
    "ALLOW_",
    "INET_",
    "ENABLE_",
    "TLS_",
    "SASL_",
    "SMTP_",
    "SMTPD_",
    "TRUST_",
    "MESSAGE_",
    "POLICY_",
    "MILTER_",
    "DRAIN_",
    "ARGON2_",
    "RATE_LIMIT_",
    "SUSPEND_",
    "ALERT_",
    "LOGIN_",
];

/// Variables that look like ours and are none, each with a suggestion.
pub fn unknown(environment: &Environment) -> Vec<Problem> {
    let known = known_names();
    let names = environment.names().filter(|name| !is_service_link(environment, name));
    names.filter_map(|name| unknown_one(name, &known)).collect()
}

/// Variables that would be mistakes, had an operator written them, and not Kubernetes.
pub fn service_links(environment: &Environment) -> Vec<&str> {
    let known = known_names();
    let links = environment.names().filter(|name| is_service_link(environment, name));
    let ours = |name: &str| overrides::is_ours(name) || unknown_one(name, &known).is_some();
    links.filter(|name| ours(name)).collect()
}

pub fn is_service_link(environment: &Environment, name: &str) -> bool {
    let value = environment.get(name).and_then(|value| value.to_str());
    value.is_some_and(|value| foreign::is_service_link(name, value))
}

pub fn known_names() -> Vec<String> {
    let ours = VARIABLES.iter().map(|variable| variable.name.to_owned());
    let files = VARIABLES.iter().filter(|variable| variable.secret).map(|v| v.file_name());
    ours.chain(files).chain(OF_THE_SIDECAR.iter().map(|name| (*name).to_owned())).collect()
}

fn unknown_one(name: &str, known: &[String]) -> Option<Problem> {
    // PUBLISH_… are read by compose.yaml for the host's side of the ports.
    if known.iter().any(|known| known == name) || name.starts_with("PUBLISH_") {
        return None;
    }
    if overrides::is_ours(name) {
        return None;
    }
    if let Some(advice) = foreign::advice(name) {
        let advice = format!("is a setting of another image; {advice}");
        return Some(Problem::without_value(name, advice));
    }
    let upper = name.to_ascii_uppercase();
    let closest = known
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&upper, known), known))
        // In a short name two letters are most of it: HOME is no typo of anything.
        .filter(|(distance, known)| *distance <= if known.len() > 6 { 2 } else { 1 })
        .min();
    if let Some((_, suggestion)) = closest {
        let advice = format!("is not a setting; did you mean {suggestion}?");
        return Some(Problem::without_value(name, advice));
    }
    let looks_like_ours = OUR_PREFIXES.iter().any(|prefix| upper.starts_with(prefix));
    looks_like_ours.then(|| {
        let advice = "is not a setting of this relay; .env.example lists them all";
        Problem::without_value(name, advice)
    })
}

#[cfg(test)]
mod tests;
