use super::*;

const HOSTNAME: (&str, &str) = ("RELAY_MYHOSTNAME", "relay.example.org");

fn problems(pairs: &[(&str, &str)]) -> Vec<String> {
    let problems = read(&Environment::from(pairs)).problems;
    problems.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn settings_of(pairs: &[(&str, &str)]) -> Settings {
    let reading = read(&Environment::from(pairs));
    assert_eq!(reading.problems, []);
    reading.settings.unwrap()
}

#[test]
fn only_the_host_name_must_be_set() {
    let settings = settings_of(&[HOSTNAME]);
    assert_eq!(settings.hostname, "relay.example.org");
    assert_eq!(settings.domain, "example.org");
    assert_eq!(settings.tls, ServerTls::SelfSigned);
    assert_eq!(settings.message_size_limit, 50 << 20);
    assert!(settings.login && !settings.trust_gateway && settings.next_hops.main.is_none());
}

#[test]
fn an_empty_value_is_an_unset_one() {
    let all: Vec<(&str, &str)> = variables::VARIABLES.iter().map(|v| (v.name, "")).collect();
    let empty = [all.as_slice(), &[HOSTNAME]].concat();
    assert_eq!(settings_of(&empty), settings_of(&[HOSTNAME]));
}

#[test]
fn defaults_in_the_table_are_valid() {
    let set = variables::VARIABLES.iter().filter(|variable| !variable.default.is_empty());
    let pairs: Vec<_> = set.map(|variable| (variable.name, variable.default)).collect();
    let settings = settings_of(&[pairs.as_slice(), &[HOSTNAME]].concat());
    assert_eq!(settings, settings_of(&[HOSTNAME]));
}

/// Variables besides a good host name, and the start of each problem they cause.
type Row = (&'static [(&'static str, &'static str)], &'static [&'static str]);

const ROWS: &[Row] = &[
    (
        &[("RELAY_DOMAIN", "example")],
        &["RELAY_DOMAIN=example: must be a fully qualified host name"],
    ),
    (
        &[("ALLOWED_NETWORKS", "0.0.0.0/0")],
        &["ALLOWED_NETWORKS=0.0.0.0/0: 0.0.0.0/0 would let the whole Internet send"],
    ),
    (
        &[("ALLOWED_NETWORKS", "192.168.1.5/16")],
        &[
            "ALLOWED_NETWORKS=192.168.1.5/16: 192.168.1.5/16 has host bits set; write 192.168.0.0/16",
        ],
    ),
    (
        &[("ALLOWED_NETWORKS", "home")],
        &["ALLOWED_NETWORKS=home: home is not an address or network; write it like"],
    ),
    (&[("TRUST_GATEWAY", "maybe")], &["TRUST_GATEWAY=maybe: must be true or false"]),
    (&[("ENABLE_SASL", "on")], &["ENABLE_SASL=on: must be true or false"]),
    (&[("ENABLE_TLS", "tls")], &["ENABLE_TLS=tls: must be true or false"]),
    (
        &[("ENABLE_TLS", "no")],
        &["ENABLE_TLS=false: login needs TLS, because passwords could be read on the way"],
    ),
    (&[("TLS_CERT", "/c.pem")], &["TLS_KEY: must be set too, because TLS_CERT is set"]),
    (&[("TLS_KEY", "/k.pem")], &["TLS_CERT: must be set too, because TLS_KEY is set"]),
    (
        &[("TLS_CERT", "/no/c.pem"), ("TLS_KEY", "/no/k.pem")],
        &["TLS_CERT=/no/c.pem: cannot read this file: No such file or directory"],
    ),
    (
        &[("TLS_CERT", "c.pem"), ("TLS_KEY", "/k pem")],
        &["TLS_CERT: must be an absolute path", "TLS_KEY=/k pem: may only contain letters, digits"],
    ),
    (&[("TLS_CA", "/dev/null")], &["TLS_CA=/dev/null: there is no certificate in this file"]),
    (&[("RELAYHOST", "a:b")], &["RELAYHOST=a:b: the port after the colon must be a number"]),
    (
        &[("RELAYHOST_USERNAME", "me")],
        &["RELAYHOST: must be set too", "RELAYHOST_PASSWORD: must be set too"],
    ),
    (
        &[("RELAYHOST", "a"), ("RELAYHOST_USERNAME", "a:b"), ("RELAYHOST_PASSWORD", "x")],
        &["RELAYHOST_USERNAME: must not contain a colon"],
    ),
    (
        &[
            ("RELAYHOST", "a"),
            ("RELAYHOST_USERNAME", "b"),
            ("RELAYHOST_PASSWORD", "x"),
            ("RELAYHOST_PASSWORD_FILE", "/x"),
        ],
        &["RELAYHOST_PASSWORD: set this or RELAYHOST_PASSWORD_FILE, not both"],
    ),
    (
        &[
            ("RELAYHOST", "a"),
            ("RELAYHOST_USERNAME", "b"),
            ("RELAYHOST_PASSWORD_FILE", "/no/secret"),
        ],
        &["RELAYHOST_PASSWORD_FILE=/no/secret: cannot read this file: No such file"],
    ),
    (&[("MESSAGE_SIZE_LIMIT", "0")], &["MESSAGE_SIZE_LIMIT=0: must be between 1M and 1G"]),
    (&[("MESSAGE_SIZE_LIMIT", "2G")], &["MESSAGE_SIZE_LIMIT=2G: must be between 1M and 1G"]),
    (&[("MESSAGE_SIZE_LIMIT", "50MB")], &["MESSAGE_SIZE_LIMIT=50MB: must be a number of"]),
    (&[("MESSAGE_SIZE_LIMIT", "-1")], &["MESSAGE_SIZE_LIMIT=-1: must be a number of bytes"]),
    (&[("LOG_FORMAT", "xml")], &["LOG_FORMAT=xml: must be text or json"]),
    (&[("LOG_DETAIL", "some")], &["LOG_DETAIL=some: must be all or messages"]),
    (&[("LOG_REDACT", "yes")], &["LOG_REDACT=yes: must be none, mask or hash"]),
    (&[("DRAIN_SECONDS", "1h")], &["DRAIN_SECONDS=1h: must be a number of seconds from 0 to 600"]),
    (&[("DRAIN_SECONDS", "-1")], &["DRAIN_SECONDS=-1: must be a number of seconds"]),
    (&[("DRAIN_SECONDS", "601")], &["DRAIN_SECONDS=601: must be a number of seconds"]),
    (&[("TLS_CRT", "/c")], &["TLS_CRT: is a setting of another image; use TLS_CERT and TLS_KEY"]),
    (&[("INET_PROTOCOLS", "4")], &["INET_PROTOCOLS=4: must be all, ipv4 or ipv6"]),
    (&[("RELAYHOST_CERT", "/c.pem")], &["RELAYHOST_KEY: must be set too, because RELAYHOST_CERT"]),
];

#[test]
fn each_mistake_is_reported_with_value_and_advice() {
    for (pairs, expected) in ROWS {
        let problems = problems(&[pairs, [HOSTNAME].as_slice()].concat());
        assert_eq!(problems.len(), expected.len(), "{pairs:?}: {problems:?}");
        for (problem, expected) in problems.iter().zip(*expected) {
            assert!(problem.starts_with(expected), "{problem:?} is not {expected:?}");
        }
    }
}

#[test]
fn a_missing_or_bad_host_name_is_reported() {
    for (pairs, expected) in [
        (vec![], "RELAY_MYHOSTNAME: must be set to the fully qualified host name of this relay"),
        (
            vec![("RELAY_MYHOSTNAME", "relay")],
            "RELAY_MYHOSTNAME=relay: must be a fully qualified host name",
        ),
        (
            vec![("RELAY_MYHOSTNAME", "relay.example.org.")],
            "RELAY_MYHOSTNAME=relay.example.org.: must not end with a dot; write relay.example.org",
        ),
        (
            vec![("RELAY_MYHOSTNAME", "192.0.2.1")],
            "RELAY_MYHOSTNAME=192.0.2.1: must be a fully qualified",
        ),
    ] {
        let problems = problems(&pairs);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with(expected), "{problems:?}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    let problems = problems(&[
        ("ALLOWED_NETWORKS", "0.0.0.0/0"),
        ("ENABLE_TLS", "perhaps"),
        ("TLS_CERT", "/no/cert.pem"),
        ("RELAYHOST", "a b"),
        ("MESSAGE_SIZE_LIMIT", "big"),
        ("LOG_FORMAT", "xml"),
        ("RELAYHOST_USER", "me"),
    ]);
    let named: Vec<&str> =
        problems.iter().map(|line| line.split([':', '=']).next().unwrap()).collect();
    assert_eq!(
        named,
        [
            "LOG_FORMAT",
            "RELAY_MYHOSTNAME",
            "ALLOWED_NETWORKS",
            "ENABLE_TLS",
            "TLS_KEY",
            "RELAYHOST",
            "MESSAGE_SIZE_LIMIT",
            "RELAYHOST_USER",
        ]
    );
}

#[test]
fn a_large_public_network_is_taken_with_a_warning() {
    let settings = settings_of(&[HOSTNAME, ("ALLOWED_NETWORKS", "20.0.0.0/8 10.0.0.0/8")]);
    let [warning] = settings.warnings.as_slice() else { panic!("{:?}", settings.warnings) };
    assert!(warning.starts_with("ALLOWED_NETWORKS: 20.0.0.0/8 lets 16,777,216"), "{warning}");
}

#[test]
fn sizes_are_read_with_and_without_a_unit() {
    for (text, bytes) in
        [("1048576", 1 << 20), ("1024K", 1 << 20), ("10m", 10 << 20), ("1G", 1 << 30)]
    {
        assert_eq!(parse_message_size_limit(text), Ok(bytes), "{text}");
    }
    for text in ["", "M", "1.5M", "1 M", "ü", "99999999999999999999", "99999999999999999G"] {
        assert!(parse_message_size_limit(text).is_err(), "{text}");
    }
}
