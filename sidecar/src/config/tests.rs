use std::collections::BTreeMap;

use super::*;
use crate::logging::LogFormat;

impl Environment for BTreeMap<&str, &str> {
    fn get(&self, name: &str) -> Option<String> {
        BTreeMap::get(self, name).map(|value| (*value).to_owned())
    }

    fn names(&self) -> Vec<String> {
        self.keys().map(|name| (*name).to_owned()).collect()
    }
}

fn read(variables: &[(&str, &str)]) -> Result<Config, Mistakes> {
    let environment: BTreeMap<&str, &str> = variables.iter().copied().collect();
    Config::read(&environment)
}

#[test]
fn without_any_variable_only_loopback_may_send_without_login() {
    let config = read(&[]).unwrap();
    let expected: Vec<IpNet> = vec!["127.0.0.0/8".parse().unwrap(), "::1/128".parse().unwrap()];
    assert_eq!(config.access.allowed_networks, expected);
    assert!(config.access.login_enabled && !config.access.trust_gateway);
    assert!(config.first_user.is_none());
    assert_eq!(config.passwords.cost, Cost::default());
    assert_eq!(config.log, LogConfig { format: LogFormat::Text, level: tracing::Level::INFO });
}

#[test]
fn an_empty_value_is_an_unset_one() {
    let config = read(&[("ALLOWED_NETWORKS", ""), ("ENABLE_SASL", ""), ("HASHING_THREADS", "")]);
    assert_eq!(config.unwrap().access.allowed_networks.len(), 2);
}

#[test]
fn booleans_are_read_in_every_spelling() {
    for (value, expected) in
        [("true", true), ("YES", true), ("1", true), ("False", false), ("no", false), ("0", false)]
    {
        let config = read(&[("TRUST_GATEWAY", value)]).unwrap();
        assert_eq!(config.access.trust_gateway, expected, "{value}");
    }
}

#[test]
fn each_mistake_names_the_variable_its_value_and_what_would_be_right() {
    let cases = [
        (("ENABLE_SASL", "on"), "ENABLE_SASL=\"on\": expected true or false"),
        (
            ("ALLOWED_NETWORKS", "0.0.0.0/0"),
            "ALLOWED_NETWORKS: \"0.0.0.0/0\" is the whole Internet",
        ),
        (("DKIM_DOMAINS", "example.org, org"), "DKIM_DOMAINS: \"org\" is not a domain"),
        (("DKIM_RESIGN", "yes"), "DKIM_RESIGN=\"yes\": expected never or always"),
        (("STRIP_HEADERS", "From"), "STRIP_HEADERS: From cannot be taken out"),
        (("STRIP_HEADERS_FOR", "x"), "STRIP_HEADERS_FOR=\"x\": expected all or users"),
        (("ADD_HEADERS", "To: x"), "ADD_HEADERS: To is the sender's business"),
        (
            ("SASL_LISTEN", "/run/x"),
            "SASL_LISTEN=\"/run/x\": expected unix:/path or inet:host:port",
        ),
        (("ARGON2_MEMORY_KIB", "7"), "ARGON2_MEMORY_KIB=\"7\": expected a number from 8 to"),
        (("ARGON2_ITERATIONS", "0"), "ARGON2_ITERATIONS=\"0\": expected a number from 1 to"),
        (("HASHING_THREADS", "many"), "HASHING_THREADS=\"many\": expected a number from 1 to 64"),
        (("EVENTS_LISTEN", "inet:h:1"), "EVENTS_LISTEN=\"inet:h:1\": expected unix:/path"),
        (("LOG_FORMAT", "xml"), "LOG_FORMAT=\"xml\": expected text or json"),
        (("LOG_LEVEL", "loud"), "LOG_LEVEL=\"loud\": expected error, warn, info or debug"),
        (("SMTP_USERNAME", "alice"), "SMTP_USERNAME is set without a password"),
        (("SMTP_PASSWORD", "hunter2"), "SMTP_PASSWORD is set without SMTP_USERNAME"),
        (
            ("SMTP_PASSWORD_FILE", "/nonexistent"),
            "SMTP_PASSWORD_FILE=\"/nonexistent\": cannot read",
        ),
        (
            ("ALLOWED_SENDER_DOMAINS", "exa mple..org"),
            "ALLOWED_SENDER_DOMAINS: \"mple..org\" is not a domain",
        ),
        (("RATE_LIMIT_USER", "many"), "RATE_LIMIT_USER: \"many\" is not a limit: write 500/day"),
        (("RATE_LIMIT_NETWORK", "5"), "RATE_LIMIT_NETWORK: \"5\" is not a limit"),
        (("SUSPEND_AFTER", "1x"), "SUSPEND_AFTER: \"1x\": write 20x"),
        (
            ("LOGIN_FAILURES_ADDRESS", "0"),
            "LOGIN_FAILURES_ADDRESS: \"0\" is not a limit: write 10/hour",
        ),
        (("LOGIN_TRUST_DAYS", "-1"), "LOGIN_TRUST_DAYS=\"-1\": expected a number from 0 to 365"),
        (("LOGIN_CACHE_SIZE", "big"), "LOGIN_CACHE_SIZE=\"big\": expected a number from 0"),
        (("METRICS_USERS", "1001"), "METRICS_USERS=\"1001\": expected a number from 0 to 1000"),
        (("METRICS_TOKEN", "hunter2"), "METRICS_TOKEN: expected at least 16"),
        (("METRICS_TLS_CERT", "/nowhere"), "METRICS_TLS_CERT and METRICS_TLS_KEY: set both"),
        (("ALERT_WEBHOOK", "ftp://hunter2"), "ALERT_WEBHOOK is not a URL: expected https://"),
        (("POLICY_LISTEN", "unix:/run/relay/sasl.sock"), "each needs its own"),
        (("ALLOWED_NETWORK", "10.0.0.0/8"), "did you mean ALLOWED_NETWORKS?"),
    ];
    for (variable, expected) in cases {
        let mistakes = read(&[variable]).unwrap_err().to_string();
        assert!(mistakes.contains(expected), "{variable:?}: {mistakes}");
        assert!(!mistakes.contains("hunter2"), "{mistakes}");
    }
}

#[test]
fn all_mistakes_are_told_at_once() {
    let mistakes = read(&[
        ("ENABLE_SASL", "maybe"),
        ("LOG_LEVEL", "loud"),
        ("SASL_LISTEN", "nowhere"),
        ("SMTP_USERNAME", "a b"),
        ("SMTP_PASSWORD", "x"),
    ]);
    assert_eq!(mistakes.unwrap_err().0.len(), 4);
}

#[test]
fn a_password_in_the_name_s_place_is_not_shown() {
    let mistakes = read(&[("SMTP_USERNAME", "alice hunter2"), ("SMTP_PASSWORD", "x")]).unwrap_err();
    let mistakes = mistakes.to_string();
    assert!(mistakes.contains("SMTP_USERNAME: a user name can have"), "{mistakes}");
    assert!(!mistakes.contains("hunter2"), "{mistakes}");
}

#[test]
fn a_secret_comes_from_a_file_without_its_last_newline_only() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    let file = path.to_str().unwrap();
    for (content, expected) in
        [(" a#b \n", Some(" a#b ")), ("x", Some("x")), ("x\n\n", None), ("\n", None)]
    {
        std::fs::write(&path, content).unwrap();
        let config = read(&[("SMTP_USERNAME", "alice"), ("SMTP_PASSWORD_FILE", file)]);
        let password = config.ok().and_then(|config| config.first_user).map(|user| user.password);
        let expected = expected.map(|text| Password::choose(text.as_bytes()).unwrap());
        assert_eq!(password, expected, "{content:?}");
    }
    let both =
        read(&[("SMTP_USERNAME", "alice"), ("SMTP_PASSWORD", "x"), ("SMTP_PASSWORD_FILE", file)]);
    assert_eq!(
        both.unwrap_err().0,
        ["SMTP_PASSWORD and SMTP_PASSWORD_FILE are both set: keep only one"]
    );
}
