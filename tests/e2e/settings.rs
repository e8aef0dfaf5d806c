//! A bad setting is named with its value and what would be right, and nothing starts.

use anyhow::{Context, Result, ensure};
use relay_tests::authority::Authority;
use relay_tests::lab::{Lab, in_a_lab};

struct Case {
    settings: &'static [(&'static str, &'static str)],
    /// What relay-init has to say; nothing where the setting is not its affair.
    relay_init: &'static str,
    /// What the sidecar has to say.
    relay: &'static str,
}

const fn case(
    settings: &'static [(&'static str, &'static str)],
    relay_init: &'static str,
    relay: &'static str,
) -> Case {
    Case { settings, relay_init, relay }
}

const CASES: &[Case] = &[
    case(
        &[("RELAY_MYHOSTNAME", "")],
        "RELAY_MYHOSTNAME: must be set to the fully qualified host name",
        "",
    ),
    case(
        &[("RELAY_MYHOSTNAME", "relay")],
        "RELAY_MYHOSTNAME=relay: must be a fully qualified host name",
        "",
    ),
    case(&[("RELAY_MYHOSTNAME", "192.0.2.1")], "not an IP address", ""),
    case(
        &[("RELAY_MYHOSTNAME", "relay.test\nmynetworks = 0.0.0.0/0")],
        r"RELAY_MYHOSTNAME=relay.test\nmynetworks = 0.0.0.0/0: must be a fully qualified host name",
        "",
    ),
    case(&[("ALLOWED_NETWORKS", "0.0.0.0/0")], "would let the whole Internet send", "0.0.0.0/0"),
    case(
        &[("ALLOWED_NETWORKS", "0.0.0.0/1 128.0.0.0/1")],
        "0.0.0.0/0 (several entries together) would let a large part",
        "ALLOWED_NETWORKS",
    ),
    case(&[("ALLOWED_NETWORKS", "::/0")], "would let the whole Internet send", "::/0"),
    case(
        &[("ALLOWED_NETWORKS", "::ffff:0:0/96")],
        "would let the whole Internet send",
        "ALLOWED_NETWORKS",
    ),
    case(&[("ALLOWED_NETWORKS", "192.168.1.5/16")], "write 192.168.0.0/16", "192.168.0.0/16"),
    case(
        &[("ALLOWED_NETWORKS", "10.0.0.0/33")],
        "10.0.0.0/33 must have a prefix length",
        "10.0.0.0/33",
    ),
    case(
        &[("ALLOWED_NETWORKS", "010.0.0.1")],
        "010.0.0.1 has a number with a leading",
        "010.0.0.1",
    ),
    case(
        &[("ALLOWED_NETWORKS", "127.0.0.0/8 home.example.org")],
        "home.example.org is not an address or network",
        "home.example.org",
    ),
    case(
        &[("TRUST_GATEWAY", "maybe")],
        "TRUST_GATEWAY=maybe: must be true or false",
        "true or false",
    ),
    case(&[("ENABLE_TLS", "false")], "ENABLE_TLS=false: login needs TLS", ""),
    case(&[("TLS_CERT", "/certs/cert.pem")], "TLS_KEY: must be set too", ""),
    case(
        &[("TLS_CERT", "/certs/missing.pem"), ("TLS_KEY", "/certs/key.pem")],
        "TLS_CERT=/certs/missing.pem: ",
        "",
    ),
    case(
        &[("TLS_CERT", "/certs/cert.pem"), ("TLS_KEY", "/certs/other-key.pem")],
        "TLS_KEY=/certs/other-key.pem: ",
        "",
    ),
    case(
        &[("TLS_CERT", "/certs/key.pem"), ("TLS_KEY", "/certs/cert.pem")],
        "TLS_CERT=/certs/key.pem: ",
        "",
    ),
    case(&[("TLS_CA", "/certs/key.pem")], "TLS_CA=/certs/key.pem: ", ""),
    case(&[("RELAYHOST", "mail.example.org:99999")], "RELAYHOST=mail.example.org:99999: ", ""),
    case(&[("RELAYHOST_USERNAME", "relay")], "RELAYHOST: must be set too", ""),
    case(
        &[
            ("RELAYHOST", "mail.example.org"),
            ("RELAYHOST_USERNAME", "relay"),
            ("RELAYHOST_PASSWORD", "canary-31415926"),
            ("RELAYHOST_PASSWORD_FILE", "/certs/password"),
        ],
        "RELAYHOST_PASSWORD: set this or RELAYHOST_PASSWORD_FILE, not both",
        "",
    ),
    case(
        &[
            ("RELAYHOST", "mail.example.org"),
            ("RELAYHOST_USERNAME", "relay"),
            ("RELAYHOST_PASSWORD_FILE", "/certs/missing"),
        ],
        "RELAYHOST_PASSWORD_FILE=/certs/missing: cannot read this file",
        "",
    ),
    case(&[("MESSAGE_SIZE_LIMIT", "50 MB")], "MESSAGE_SIZE_LIMIT=50 MB: must be a number", ""),
    case(&[("MESSAGE_SIZE_LIMIT", "0")], "MESSAGE_SIZE_LIMIT=0: must be between 1M and 1G", ""),
    case(
        &[("POSTFIX_mynetworks", "10.0.0.0/8")],
        "POSTFIX_mynetworks=10.0.0.0/8: is set by ALLOWED_NETWORKS",
        "",
    ),
    case(
        &[("ALOWED_NETWORKS", "10.0.0.0/8")],
        "ALOWED_NETWORKS: is not a setting; did you mean ALLOWED_NETWORKS?",
        "ALOWED_NETWORKS is not a setting: did you mean ALLOWED_NETWORKS?",
    ),
    case(&[("LOG_FORMAT", "xml")], "LOG_FORMAT=xml: must be text or json", "expected text or json"),
    case(&[("SMTP_PASSWORD", "canary-27182818")], "", "SMTP_PASSWORD is set without SMTP_USERNAME"),
    case(&[("SMTP_USERNAME", "home")], "", "SMTP_USERNAME is set without a password"),
    case(
        &[("SMTP_USERNAME", "my home"), ("SMTP_PASSWORD", "canary-27182818")],
        "",
        "SMTP_USERNAME: a user name can have",
    ),
    case(
        &[("SMTP_USERNAME", "home"), ("SMTP_PASSWORD_FILE", "/certs/missing")],
        "",
        "SMTP_PASSWORD_FILE=\"/certs/missing\": cannot read this file",
    ),
    case(&[("LOG_LEVEL", "loud")], "", "LOG_LEVEL=\"loud\": expected error, warn, info or debug"),
    case(&[("HTTP_LISTEN", "9154")], "", "HTTP_LISTEN=\"9154\": "),
    case(&[("ARGON2_MEMORY_KIB", "1")], "", "ARGON2_MEMORY_KIB=\"1\": expected a number from"),
];

#[test]
fn each_bad_setting_is_named_and_nothing_starts() -> Result<()> {
    in_a_lab(|lab| {
        let mut failures = Vec::new();
        for case in CASES {
            if let Err(error) = check(lab, case) {
                failures.push(format!("{:?}: {error:#}", case.settings));
            }
        }
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        Ok(())
    })
}

fn check(lab: &Lab, case: &Case) -> Result<()> {
    let mut builder = lab.relay();
    for (name, value) in case.settings {
        builder = builder.env(name, value);
    }
    let mut relay = builder.build()?;
    let authority = Authority::new()?;
    let certs = relay.certs();
    authority.write_pair("relay.test", &certs.join("cert.pem"), &certs.join("key.pem"))?;
    authority.write_pair("relay.test", &certs.join("other.pem"), &certs.join("other-key.pem"))?;
    for (expected, is_postfix) in [(case.relay_init, true), (case.relay, false)] {
        if expected.is_empty() {
            continue;
        }
        let said =
            if is_postfix { relay.refusal_of_postfix()? } else { relay.refusal_of_sidecar()? };
        let (name, _) = case.settings.first().context("a case without a setting")?;
        ensure!(said.contains(expected), "expected {expected:?} in:\n{said}");
        // The variable at fault is named, whichever of a pair it is.
        ensure!(case.settings.iter().any(|(name, _)| said.contains(name)), "no {name} in:\n{said}");
    }
    Ok(())
}

#[test]
fn all_mistakes_are_named_at_once() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab
            .relay()
            .env("ALLOWED_NETWORKS", "10.0.0.0/99")
            .env("TRUST_GATEWAY", "perhaps")
            .env("LOG_FORMAT", "xml")
            .env("ENABLE_SSL", "true")
            .env("MESSAGE_SIZE_LIMIT", "much")
            .env("LOG_LEVEL", "loud")
            .build()?;
        let postfix = relay.refusal_of_postfix()?;
        let sidecar = relay.refusal_of_sidecar()?;
        for name in ["ALLOWED_NETWORKS", "TRUST_GATEWAY", "LOG_FORMAT", "ENABLE_SSL"] {
            assert!(postfix.contains(name), "no {name} in:\n{postfix}");
            assert!(sidecar.contains(name), "no {name} in:\n{sidecar}");
        }
        assert!(postfix.contains("MESSAGE_SIZE_LIMIT"), "{postfix}");
        assert!(sidecar.contains("LOG_LEVEL"), "{sidecar}");
        Ok(())
    })
}

#[test]
fn an_empty_value_is_an_unset_one() -> Result<()> {
    in_a_lab(|lab| {
        let names = [
            "RELAY_DOMAIN",
            "ALLOWED_NETWORKS",
            "TRUST_GATEWAY",
            "ENABLE_SASL",
            "ENABLE_TLS",
            "TLS_CERT",
            "TLS_KEY",
            "TLS_CA",
            "RELAYHOST",
            "RELAYHOST_USERNAME",
            "RELAYHOST_PASSWORD",
            "RELAYHOST_PASSWORD_FILE",
            "SMTP_USERNAME",
            "SMTP_PASSWORD",
            "SMTP_PASSWORD_FILE",
            "MESSAGE_SIZE_LIMIT",
            "LOG_FORMAT",
            "LOG_LEVEL",
            "HTTP_LISTEN",
        ];
        let builder = names.iter().fold(lab.relay(), |builder, name| builder.env(name, ""));
        let relay = builder.start()?;
        relay.session("127.0.0.1".parse()?, 25)?.quit()
    })
}
