use super::*;
use crate::configuration::Configuration;
use crate::configuration::tests::configuration;
use crate::settings::environment::Environment;
use crate::sidecar::{MILTER_SOCKET, POLICY_SOCKET, SASL_SOCKET};

fn rendered_with(pairs: &[(&str, &str)], untrusted: &[&str]) -> String {
    let untrusted = untrusted.iter().map(|address| address.parse().unwrap()).collect();
    let host = Host { untrusted, validating_resolver: false };
    configuration(pairs).main_cf(&host).to_string()
}

/// The value of a parameter; `None` when it is not set.
fn value<'a>(text: &'a str, parameter: &str) -> Option<&'a str> {
    let prefix = format!("{parameter} =");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::trim)
}

#[track_caller]
fn check(pairs: &[(&str, &str)], expected: &[(&str, Option<&str>)]) {
    let text = rendered_with(pairs, &[]);
    for (parameter, expected) in expected {
        assert_eq!(value(&text, parameter), *expected, "{parameter}");
    }
}

#[test]
fn the_defaults_allow_only_loopback_and_lose_no_mail() {
    check(
        &[],
        &[
            ("compatibility_level", Some("3.10")),
            ("myhostname", Some("relay.example.org")),
            ("mydomain", Some("example.org")),
            ("mynetworks", Some("127.0.0.0/8 [::1]/128")),
            ("mydestination", Some("")),
            ("relay_domains", Some("")),
            ("local_transport", Some("error:5.1.1 no local delivery")),
            ("smtpd_forbid_bare_newline_exclusions", Some("")),
            ("smtpd_client_event_limit_exceptions", Some("")),
            ("notify_classes", Some("")),
            ("service_throttle_time", Some("1s")),
            ("milter_default_action", Some("tempfail")),
            ("smtpd_sasl_auth_enable", Some("no")),
            ("smtpd_tls_auth_only", Some("yes")),
            ("smtpd_tls_security_level", Some("may")),
            ("smtpd_tls_chain_files", Some("/run/postfix/server.pem")),
            ("message_size_limit", Some("52428800")),
            ("queue_minfree", Some("104857600")),
            ("relayhost", None),
            ("smtp_tls_security_level", Some("may")),
            ("smtp_sasl_auth_enable", None),
        ],
    );
}

#[test]
fn the_sidecar_is_asked_before_the_first_permit_and_reject_comes_last() {
    let text = rendered_with(&[], &[]);
    let (_, restrictions) = text.split_once("smtpd_relay_restrictions").unwrap();
    let places =
        ["check_policy_service", "permit_mynetworks", "permit_sasl_authenticated", "reject"]
            .map(|word| restrictions.find(word).unwrap());
    assert!(places.is_sorted(), "{places:?}");
    for socket in [SASL_SOCKET, POLICY_SOCKET, MILTER_SOCKET] {
        assert!(text.contains(&format!("unix:{socket}")), "{socket}");
    }
}

#[test]
fn the_policy_service_is_asked_at_rcpt_and_not_at_data() {
    let text = rendered_with(&[], &[]);
    assert_eq!(text.matches("check_policy_service").count(), 1);
    assert_eq!(value(&text, "smtpd_data_restrictions"), Some("reject_unauth_pipelining"));
}

#[test]
fn each_parameter_is_set_once() {
    let login = [
        ("RELAYHOST", "mail.example.org:465"),
        ("RELAYHOST_USERNAME", "me"),
        ("RELAYHOST_PASSWORD", "hunter2"),
    ];
    let text = rendered_with(&login, &[]);
    let mut seen = BTreeSet::new();
    for line in text.lines().filter(|line| !line.starts_with(['#', ' ']) && !line.is_empty()) {
        let (name, _) = line.split_once(" =").unwrap();
        assert!(seen.insert(name), "{name} is set twice");
    }
    assert!(!text.contains("hunter2"));
}

#[test]
fn a_password_only_goes_to_a_next_hop_that_proves_its_name() {
    let login = [("RELAYHOST_USERNAME", "me"), ("RELAYHOST_PASSWORD", "hunter2")];
    for (relayhost, with_login, expected) in [
        ("mail.example.org", false, ["[mail.example.org]:25", "may", "", ""]),
        ("mail.example.org", true, ["[mail.example.org]:587", "secure", "", "yes"]),
        ("mail.example.org:465", false, ["[mail.example.org]:465", "encrypt", "yes", ""]),
        ("mail.example.org:465", true, ["[mail.example.org]:465", "secure", "yes", "yes"]),
    ] {
        let login = if with_login { login.as_slice() } else { &[] };
        let text = rendered_with(&[&[("RELAYHOST", relayhost)], login].concat(), &[]);
        let parameters = [
            "relayhost",
            "smtp_tls_security_level",
            "smtp_tls_wrappermode",
            "smtp_sasl_auth_enable",
        ];
        assert_eq!(parameters.map(|name| value(&text, name).unwrap_or_default()), expected);
        if with_login {
            let table = value(&text, "smtp_sasl_password_maps");
            assert_eq!(table, Some("lmdb:/run/postfix/sasl_passwd"));
            // A password in the clear only after the certificate was checked.
            let unverified = value(&text, "smtp_sasl_tls_security_options");
            assert_eq!(unverified, Some("noplaintext, noanonymous"));
        }
    }
}

#[test]
fn gateways_are_excluded_from_the_networks_that_contain_them() {
    const UNTRUSTED: [&str; 4] = ["172.18.0.1", "172.18.0.3", "fd00::1", "192.0.2.1"];
    for (networks, trust, expected) in [
        ("172.16.0.0/12", "no", "!172.18.0.1 !172.18.0.3 172.16.0.0/12"),
        ("172.16.0.0/12", "yes", "172.16.0.0/12"),
        ("10.0.0.0/8 fd00::/8", "no", "![fd00::1] 10.0.0.0/8 [fd00::]/8"),
        ("172.18.0.1", "no", "!172.18.0.1 172.18.0.1/32"),
        (
            "172.18.0.0/16 172.16.0.0/12",
            "no",
            "!172.18.0.1 !172.18.0.3 172.18.0.0/16 172.16.0.0/12",
        ),
        ("10.0.0.0/8", "no", "10.0.0.0/8"),
    ] {
        let pairs = [("ALLOWED_NETWORKS", networks), ("TRUST_GATEWAY", trust)];
        let text = rendered_with(&pairs, &UNTRUSTED);
        assert_eq!(value(&text, "mynetworks"), Some(expected));
    }
}

#[test]
fn without_tls_no_certificate_is_configured() {
    check(
        &[("ENABLE_TLS", "no"), ("ENABLE_SASL", "no")],
        &[("smtpd_tls_security_level", Some("none")), ("smtpd_tls_chain_files", None)],
    );
}

/// The names of all parameters; no value may add one.
fn names(text: &str) -> Vec<&str> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=').map(|(name, _)| name.trim())).collect()
}

#[test]
fn no_value_can_add_a_line() {
    const VARIABLES: [&str; 10] = [
        "RELAY_MYHOSTNAME",
        "RELAY_DOMAIN",
        "ALLOWED_NETWORKS",
        "TLS_CERT",
        "TLS_KEY",
        "TLS_CA",
        "RELAYHOST",
        "RELAYHOST_USERNAME",
        "RELAYHOST_PASSWORD",
        "MESSAGE_SIZE_LIMIT",
    ];
    const POISON: [&str; 8] = [
        "{}\nmynetworks=0.0.0.0/0",
        "{}\r\nmynetworks = 0.0.0.0/0",
        "\n{}",
        "$mynetworks",
        "{}$x",
        "${x?{y}}",
        "{}\n    permit",
        "{} \\",
    ];
    let good = [
        ("RELAY_MYHOSTNAME", "relay.example.org"),
        ("RELAYHOST", "mail.example.org"),
        ("RELAYHOST_USERNAME", "me"),
        ("RELAYHOST_PASSWORD", "hunter2"),
    ];
    let expected = rendered_with(&good, &[]);
    for variable in VARIABLES {
        for poison in POISON {
            let current = good.iter().find(|(name, _)| *name == variable).map_or("", |pair| pair.1);
            let value = poison.replace("{}", current);
            let mut pairs: Vec<_> = good.into_iter().filter(|pair| pair.0 != variable).collect();
            pairs.push((variable, &value));
            let environment = Environment::from(pairs.as_slice());
            let Ok(configuration) = Configuration::load(&environment) else { continue };
            let text = configuration.main_cf(&Host::default()).to_string();
            assert_eq!(names(&text), names(&expected), "{variable}={value:?}");
            assert!(!text.contains("$mynetworks") && !text.contains("$x"), "{variable}={value:?}");
        }
    }
}
