//! The table of environment variables: names, defaults and meaning.

/// A variable that the sidecar reads.
#[derive(Debug)]
pub struct Variable {
    pub name: &'static str,
    /// Empty if there is none.
    pub default: &'static str,
    /// Its value is never printed, and it has a `_FILE` twin.
    pub secret: bool,
}

const fn variable(name: &'static str, default: &'static str) -> Variable {
    Variable { name, default, secret: false }
}

/// Every variable that the sidecar reads. README and `.env.example` are tested against it.
pub const VARIABLES: [Variable; 51] = [
    variable("ALLOWED_NETWORKS", "127.0.0.0/8 [::1]/128"),
    variable("TRUST_GATEWAY", "false"),
    variable("ENABLE_SASL", "true"),
    variable("SMTP_USERNAME", ""),
    Variable { name: "SMTP_PASSWORD", default: "", secret: true },
    variable("ALLOWED_SENDER_DOMAINS", ""),
    variable("RATE_LIMIT_USER", "none"),
    variable("RATE_LIMIT_NETWORK", "none"),
    variable("SUSPEND_AFTER", "off"),
    Variable { name: "ALERT_WEBHOOK", default: "", secret: true },
    variable("ALERT_FORMAT", "json"),
    variable("ALERT_MAIL", ""),
    variable("DOCTOR_DAILY", "false"),
    variable("FLEET_URL", ""),
    variable("FLEET_NODE", ""),
    variable("FLEET_CREDENTIALS_FILE", ""),
    variable("FLEET_CA", ""),
    variable("FLEET_CERT", ""),
    variable("FLEET_KEY", ""),
    variable("FLEET_INSECURE", "false"),
    variable("DKIM_DOMAINS", ""),
    variable("DKIM_REQUIRE_DNS", "true"),
    variable("DKIM_RESIGN", "never"),
    variable("DKIM_FAIL_OPEN", "false"),
    variable("STRIP_HEADERS", ""),
    variable("STRIP_HEADERS_FOR", "all"),
    variable("ADD_HEADERS", ""),
    variable("METRICS_USERS", "20"),
    Variable { name: "METRICS_TOKEN", default: "", secret: true },
    variable("METRICS_TLS_CERT", ""),
    variable("METRICS_TLS_KEY", ""),
    variable("LOGIN_FAILURES_ADDRESS", "10/hour"),
    variable("LOGIN_FAILURES_USER", "100/day"),
    variable("LOGIN_TRUST_DAYS", "14"),
    variable("LOGIN_CACHE_SIZE", "4096"),
    variable("LOGIN_CACHE_SECONDS", "900"),
    variable("LOG_FORMAT", "text"),
    variable("LOG_LEVEL", "info"),
    variable("LOG_REDACT", "none"),
    variable("SASL_LISTEN", "unix:/run/relay/sasl.sock"),
    variable("POLICY_LISTEN", "unix:/run/relay/policy.sock"),
    variable("MILTER_LISTEN", "unix:/run/relay/milter.sock"),
    variable("EVENTS_LISTEN", "unix:/run/relay/events.sock"),
    variable("ALERTS_LISTEN", "unix:/run/relay/alerts.sock"),
    variable("HTTP_LISTEN", "inet:0.0.0.0:9154"),
    variable("DATA_DIR", "/var/lib/relay"),
    variable("ARGON2_MEMORY_KIB", "19456"),
    variable("ARGON2_ITERATIONS", "2"),
    variable("ARGON2_PARALLELISM", "1"),
    variable("HASHING_THREADS", ""),
    // Used by relay-init, in the other container.
    variable("RELAY_MYHOSTNAME", ""),
];

/// Variables that only relay-init reads. Both containers get the same `.env`, so these are not typos.
pub const OF_RELAY_INIT: [&str; 27] = [
    "PROXY_PROTOCOL_FROM",
    "RELAY_DOMAIN",
    "ENABLE_TLS",
    "TLS_CERT",
    "TLS_KEY",
    "TLS_CA",
    "RELAYHOST",
    "RELAYHOST_USERNAME",
    "RELAYHOST_PASSWORD",
    "RELAYHOST_PASSWORD_FILE",
    "RELAYHOST_TLS_LEVEL",
    "RELAYHOST_MAP",
    "RELAYHOST_MAP_PASSWORDS",
    "RELAYHOST_MAP_PASSWORDS_FILE",
    "RELAYHOST_FALLBACK",
    "RELAYHOST_FALLBACK_USERNAME",
    "RELAYHOST_FALLBACK_PASSWORD",
    "RELAYHOST_FALLBACK_PASSWORD_FILE",
    "RELAYHOST_CERT",
    "RELAYHOST_KEY",
    "INET_PROTOCOLS",
    "ALLOW_UNSAFE_POSTFIX",
    "DRAIN_SECONDS",
    "LOG_DETAIL",
    "MESSAGE_SIZE_LIMIT",
    "PUBLISH_587",
    "PUBLISH_465",
];

/// Any name that begins like this was meant for us.
const OUR_PREFIXES: [&str; 18] = [
    "DOCTOR_",
    "FLEET_",
    "ALERT_",
    "RELAY_",
    "RELAYHOST",
    "SMTP_",
    "TLS_",
    "ARGON2_",
    "ALLOWED_",
    "ENABLE_",
    "HASHING_",
    "PUBLISH_",
    "RATE_LIMIT",
    "LOGIN_",
    "SUSPEND_",
    "DKIM_",
    "STRIP_",
    "METRICS_",
];

/// The default of a variable; empty if there is none.
pub fn default(name: &str) -> &'static str {
    VARIABLES.iter().find(|variable| variable.name == name).map_or("", |found| found.default)
}

/// Kubernetes sets variables such as RELAY_SERVICE_HOST and RELAY_PORT_587_TCP_ADDR in every container,
/// for every service. They are made from the service's name, and nobody typed them.
fn is_service_link(name: &str) -> bool {
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || name.contains("_TCP")
        || name.contains("_UDP")
}

/// One sentence for each name that looks like a setting but is not one.
pub fn typos(names: &[String]) -> Vec<String> {
    let known: Vec<String> = VARIABLES
        .iter()
        .flat_map(|variable| {
            let twin = variable.secret.then(|| format!("{}_FILE", variable.name));
            [Some(variable.name.to_owned()), twin].into_iter().flatten()
        })
        .chain(OF_RELAY_INIT.map(str::to_owned))
        .collect();
    let mut mistakes = Vec::new();
    for name in names.iter().filter(|name| !known.contains(name)) {
        // relay-init checks POSTFIX_ variables.
        let of_postfix = name.starts_with("POSTFIX_") || name.starts_with("POSTFIXMASTER_");
        if of_postfix || is_service_link(name) {
            continue;
        }
        let looks_like_ours = OUR_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if let Some(nearest) = nearest(name, &known) {
            mistakes.push(format!("{name} is not a setting: did you mean {nearest}?"));
        } else if looks_like_ours {
            mistakes
                .push(format!("{name} is not a setting: remove it; .env.example lists them all"));
        }
    }
    mistakes
}

/// The known name that is at most two mistakes away.
fn nearest<'a>(name: &str, known: &'a [String]) -> Option<&'a String> {
    const MISTAKES: usize = 2;
    // Comparing is half of a start where all of the environment is compared with all names.
    let candidates = known.iter().filter(|known| known.len().abs_diff(name.len()) <= MISTAKES);
    let distances = candidates.map(|known| (strsim::damerau_levenshtein(name, known), known));
    distances.filter(|(distance, _)| *distance <= MISTAKES).min().map(|(_, nearest)| nearest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_are_told_and_strangers_are_left_alone() {
        let names = [
            "RELAY_PORT",
            "RELAY_SERVICE_HOST",
            "SMTP_PORT_587_TCP_ADDR",
            "ALOWED_NETWORKS",
            "SMTP_USER",
            "PATH",
            "HOSTNAME",
            "SMTP_PASSWORD_FILE",
            "RELAYHOST",
            "HOME",
        ];
        let found = typos(&names.map(str::to_owned));
        assert_eq!(
            found,
            [
                "ALOWED_NETWORKS is not a setting: did you mean ALLOWED_NETWORKS?",
                "SMTP_USER is not a setting: remove it; .env.example lists them all",
            ]
        );
    }
}
