//! The table of variables: name, default and meaning of each, and whether it is a secret.

/// A variable that relay-init reads.
#[derive(Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    /// As an operator would write it; empty if there is none.
    pub default: &'static str,
    pub meaning: &'static str,
    /// A secret is never printed, and can be read from a file named by the variable's `_FILE` twin.
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
    "required: fully qualified host name of this relay, as in its PTR record and certificate",
);
pub const RELAY_DOMAIN: Variable = Variable::new(
    "RELAY_DOMAIN",
    "",
    "domain appended to addresses without one; default: RELAY_MYHOSTNAME without its first label",
);
pub const ALLOWED_NETWORKS: Variable = Variable::new(
    "ALLOWED_NETWORKS",
    "127.0.0.0/8 [::1]/128",
    "addresses and networks that may send without login, separated by spaces or commas",
);
pub const TRUST_GATEWAY: Variable = Variable::new(
    "TRUST_GATEWAY",
    "false",
    "let ALLOWED_NETWORKS include the container's gateway, which any stranger may seem to come from",
);
pub const PROXY_PROTOCOL_FROM: Variable = Variable::new(
    "PROXY_PROTOCOL_FROM",
    "",
    "addresses and networks of load balancers, which may use ports 10025, 10587 and 10465 with the PROXY protocol",
);
pub const ENABLE_SASL: Variable =
    Variable::new("ENABLE_SASL", "true", "offer login on ports 587 and 465");
pub const ENABLE_TLS: Variable = Variable::new(
    "ENABLE_TLS",
    "true",
    "offer TLS; without it there is neither port 465 nor login",
);
pub const TLS_CERT: Variable = Variable::new(
    "TLS_CERT",
    "",
    "path of the certificate with its chain, in PEM; default: make and keep a self-signed one",
);
pub const TLS_KEY: Variable =
    Variable::new("TLS_KEY", "", "path of the private key for TLS_CERT, in PEM");
pub const TLS_CA: Variable = Variable::new(
    "TLS_CA",
    "",
    "path of the CA certificates to check the next hop against, in PEM; default: the public CAs",
);
pub const RELAYHOST: Variable = Variable::new(
    "RELAYHOST",
    "",
    "host to send all mail through, as host, host:port or [IPv6]:port; no MX lookup; port 587 with a \
     login, otherwise 25; 465 means implicit TLS; default: deliver directly",
);
pub const RELAYHOST_USERNAME: Variable =
    Variable::new("RELAYHOST_USERNAME", "", "user name for the login at RELAYHOST");
pub const RELAYHOST_PASSWORD: Variable = Variable {
    name: "RELAYHOST_PASSWORD",
    default: "",
    meaning: "password for the login at RELAYHOST",
    secret: true,
};
pub const RELAYHOST_TLS_LEVEL: Variable = Variable::new(
    "RELAYHOST_TLS_LEVEL",
    "",
    "TLS required of the next hop: none, may, encrypt, dane, dane-only or secure; default: secure \
     with a login; dane for direct delivery with a validating resolver on loopback; otherwise may, \
     or encrypt on port 465",
);
pub const RELAYHOST_CERT: Variable =
    Variable::new("RELAYHOST_CERT", "", "path of the client certificate to show RELAYHOST, in PEM");
pub const RELAYHOST_KEY: Variable =
    Variable::new("RELAYHOST_KEY", "", "path of the private key for RELAYHOST_CERT, in PEM");
pub const RELAYHOST_FALLBACK: Variable = Variable::new(
    "RELAYHOST_FALLBACK",
    "",
    "next hop for mail when RELAYHOST, or a recipient's own server, is unreachable; as RELAYHOST",
);
pub const RELAYHOST_FALLBACK_USERNAME: Variable = Variable::new(
    "RELAYHOST_FALLBACK_USERNAME",
    "",
    "user name for the login at RELAYHOST_FALLBACK",
);
pub const RELAYHOST_FALLBACK_PASSWORD: Variable = Variable {
    name: "RELAYHOST_FALLBACK_PASSWORD",
    default: "",
    meaning: "password for the login at RELAYHOST_FALLBACK",
    secret: true,
};
pub const RELAYHOST_MAP: Variable = Variable::new(
    "RELAYHOST_MAP",
    "",
    "next hops by envelope sender, like @example.org=[smtp.example.net]:587:username or \
     alice@example.org=host:port, separated by spaces or commas",
);
pub const RELAYHOST_MAP_PASSWORDS: Variable = Variable {
    name: "RELAYHOST_MAP_PASSWORDS",
    default: "",
    meaning: "passwords for the logins in RELAYHOST_MAP, one per line: @example.org=password",
    secret: true,
};
pub const INET_PROTOCOLS: Variable = Variable::new(
    "INET_PROTOCOLS",
    "all",
    "all, ipv4 or ipv6: what to listen on and deliver over; ipv4 if the IPv6 address has no PTR record",
);
pub const ALLOW_UNSAFE_POSTFIX: Variable = Variable::new(
    "ALLOW_UNSAFE_POSTFIX",
    "false",
    "accept POSTFIX_ variables that open the relay or leak passwords, with a warning at each start",
);
pub const MESSAGE_SIZE_LIMIT: Variable = Variable::new(
    "MESSAGE_SIZE_LIMIT",
    "52428800",
    "largest message in bytes, or with suffix K, M or G; from 1M to 1G",
);
pub const LOG_FORMAT: Variable =
    Variable::new("LOG_FORMAT", "text", "format of all log lines: text or json");
pub const LOG_DETAIL: Variable = Variable::new(
    "LOG_DETAIL",
    "all",
    "Postfix's log: all writes every line, messages one for each message and one for each delivery",
);
pub const LOG_REDACT: Variable = Variable::new(
    "LOG_REDACT",
    "none",
    "mail addresses in Postfix's log: none keeps them, mask writes a***@example.org, hash writes a \
     code that is the same for the same address",
);
pub const ALERT_MAIL: Variable = Variable::new(
    "ALERT_MAIL",
    "",
    "who gets alerts by mail: addresses separated by spaces or commas, at most 10",
);
pub const DRAIN_SECONDS: Variable = Variable::new(
    "DRAIN_SECONDS",
    "45",
    "seconds that deliveries in progress may take to finish when the container stops, up to 600; keep \
     it below stop_grace_period",
);

/// Every variable that relay-init reads, in the order of its help text.
pub const VARIABLES: &[&Variable] = &[
    &RELAY_MYHOSTNAME,
    &RELAY_DOMAIN,
    &ALLOWED_NETWORKS,
    &TRUST_GATEWAY,
    &PROXY_PROTOCOL_FROM,
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
    &LOG_DETAIL,
    &LOG_REDACT,
    &ALERT_MAIL,
    &DRAIN_SECONDS,
    &ALLOW_UNSAFE_POSTFIX,
];

/// Variables that only the sidecar reads. Both containers get the same `.env`, so these are no typos.
const OF_THE_SIDECAR: &[&str] = &[
    "DOCTOR_DAILY",
    "FLEET_URL",
    "FLEET_NODE",
    "FLEET_CREDENTIALS_FILE",
    "FLEET_CA",
    "FLEET_CERT",
    "FLEET_KEY",
    "FLEET_INSECURE",
    "SMTP_USERNAME",
    "SMTP_PASSWORD",
    "SMTP_PASSWORD_FILE",
    "ALLOWED_SENDER_DOMAINS",
    "RATE_LIMIT_USER",
    "RATE_LIMIT_NETWORK",
    "SUSPEND_AFTER",
    "ALERT_WEBHOOK",
    "ALERT_WEBHOOK_FILE",
    "ALERT_FORMAT",
    "DKIM_DOMAINS",
    "DKIM_REQUIRE_DNS",
    "DKIM_RESIGN",
    "DKIM_FAIL_OPEN",
    "STRIP_HEADERS",
    "STRIP_HEADERS_FOR",
    "ADD_HEADERS",
    "METRICS_USERS",
    "METRICS_TOKEN",
    "METRICS_TOKEN_FILE",
    "METRICS_TLS_CERT",
    "METRICS_TLS_KEY",
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
    "ALERTS_LISTEN",
    "HTTP_LISTEN",
    "DATA_DIR",
    "ARGON2_MEMORY_KIB",
    "ARGON2_ITERATIONS",
    "ARGON2_PARALLELISM",
    "HASHING_THREADS",
];

/// Every name that is not a typo, `_FILE` twins included.
pub fn known_names() -> Vec<String> {
    let ours = VARIABLES.iter().map(|variable| variable.name.to_owned());
    let files = VARIABLES.iter().filter(|variable| variable.secret).map(|v| v.file_name());
    ours.chain(files).chain(OF_THE_SIDECAR.iter().map(|name| (*name).to_owned())).collect()
}
