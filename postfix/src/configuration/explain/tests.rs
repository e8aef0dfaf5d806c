use super::*;
use crate::configuration::Configuration;
use crate::configuration::host::Host;

fn explained(pairs: &[(&str, &str)]) -> String {
    let environment = Environment::from(pairs);
    let configuration = Configuration::load(&environment).unwrap();
    main_cf(&configuration.main_cf(&Host::default()), &environment)
        + &master_cf(&configuration.master_cf(), &environment)
}

/// The source given for a line.
fn source<'a>(text: &'a str, line: &str) -> &'a str {
    let found = text.lines().find_map(|found| found.strip_prefix(line)).unwrap();
    found.rsplit_once(" # ").unwrap().1
}

#[test]
fn every_line_has_its_source() {
    let text = explained(&[
        ("RELAY_MYHOSTNAME", "relay.example.org"),
        ("RELAYHOST", "smtp.example.net"),
        ("POSTFIX_smtpd_banner", "hello"),
        ("POSTFIXMASTER_587__inet__smtpd_banner", "hi"),
    ]);
    for (line, expected) in [
        ("myhostname = relay.example.org", "RELAY_MYHOSTNAME"),
        ("mydomain = example.org", "RELAY_MYHOSTNAME"),
        ("mynetworks = 127.0.0.0/8 [::1]/128", "default of ALLOWED_NETWORKS, TRUST_GATEWAY"),
        ("smtp_tls_security_level = may", "RELAYHOST"),
        ("notify_classes = ", "fixed by the relay"),
        ("smtpd_banner = hello", "POSTFIX_smtpd_banner"),
        ("    -o smtpd_banner=hi", "POSTFIXMASTER_587__inet__smtpd_banner"),
        ("    -o smtpd_sasl_auth_enable=yes", "default of ENABLE_SASL"),
        ("465       inet", "default of ENABLE_TLS"),
    ] {
        assert_eq!(source(&text, line), expected, "{line}");
    }
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        assert!(line.contains(" # "), "{line}");
    }
}
