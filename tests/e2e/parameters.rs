//! Postfix's own parameters, set by POSTFIX_ variables.

use std::collections::BTreeSet;

use anyhow::Result;
use relay_tests::lab::{STRANGER, in_a_lab};

/// What relay-init takes for the names of parameters, where it cannot ask Postfix.
const KNOWN: &str = include_str!("../../postfix/src/settings/parameters.txt");

#[test]
fn the_names_that_relay_init_knows_are_those_of_the_image_s_postfix() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        let output = relay.postfix()?.exec(&["/usr/sbin/postconf", "-d"])?;
        let text = String::from_utf8(output.stdout)?;
        let names: BTreeSet<&str> =
            text.lines().filter_map(|line| Some(line.split_once(" =")?.0)).collect();
        let known: BTreeSet<&str> = KNOWN.lines().collect();
        assert_eq!(known.difference(&names).collect::<Vec<_>>(), Vec::<&&str>::new());
        // postconf adds what each transport of master.cf has.
        let is_of_a_service = |name: &&&str| {
            ["smtp_", "error_", "retry_", "discard_"].iter().any(|front| name.starts_with(front))
        };
        let unknown: Vec<_> =
            names.difference(&known).filter(|name| !is_of_a_service(name)).collect();
        assert_eq!(unknown, Vec::<&&str>::new());
        Ok(())
    })
}

#[test]
fn a_parameter_is_set_for_all_ports_or_for_one() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("POSTFIX_smtpd_banner", "$myhostname ESMTP all")
            .env("POSTFIXMASTER_submission__inet__smtpd_banner", "$myhostname ESMTP { one }")
            .start()?;
        for (port, expected) in [(25, "all"), (587, "{ one }"), (465, "all")] {
            let mut client = relay.connect(STRANGER, port)?;
            client.ehlo()?;
            let log = client.quit();
            log?;
            let configuration = relay.postfix()?.exec(&["/usr/sbin/postconf", "-P"])?;
            let services = String::from_utf8(configuration.stdout)?;
            let own = services
                .lines()
                .find(|line| line.starts_with(&format!("{port}/inet/smtpd_banner")));
            assert_eq!(own.is_some(), port == 587, "{services}");
            assert!(port != 587 || own.is_some_and(|line| line.ends_with(expected)), "{own:?}");
        }
        // Nothing of what is rendered makes Postfix complain.
        let log = relay.postfix()?.output();
        assert!(!log.contains("warning:"), "{log}");
        Ok(())
    })
}

#[test]
fn what_opens_the_relay_needs_the_operator_s_word_and_is_warned_about() -> Result<()> {
    in_a_lab(|lab| {
        let mut refused = lab.relay().postfix_env("POSTFIX_smtpd_tls_auth_only", "no").build()?;
        let said = refused.refusal_of_postfix()?;
        assert!(
            said.contains("POSTFIX_smtpd_tls_auth_only=no: would let clients send passwords"),
            "{said}"
        );
        let insisted = lab
            .relay()
            .postfix_env("POSTFIX_smtpd_tls_auth_only", "no")
            .postfix_env("ALLOW_UNSAFE_POSTFIX", "true")
            .start()?;
        let log = insisted.postfix()?.output();
        assert!(log.contains("warning: POSTFIX_smtpd_tls_auth_only=no: would let"), "{log}");
        Ok(())
    })
}
