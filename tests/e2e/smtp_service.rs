//! What the ports offer, and what they do not.

use anyhow::Result;
use relay_tests::lab::{HOME, HOME_NETWORK, STRANGER, in_a_lab};
use relay_tests::relay::PORTS;

const OFFERED: [&str; 6] =
    ["PIPELINING", "SIZE", "ENHANCEDSTATUSCODES", "8BITMIME", "DSN", "SMTPUTF8"];

#[test]
fn only_what_is_needed_is_offered() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        for port in PORTS {
            let mut client = relay.session(STRANGER, port)?;
            let ehlo = client.ehlo()?;
            for line in ehlo.lines.iter().skip(1) {
                let keyword = line.split(' ').next().unwrap_or_default();
                let may_log_in = port != 25 && keyword == "AUTH";
                let may_start_tls = port == 25 && keyword == "STARTTLS";
                let is_known = OFFERED.contains(&keyword) || may_log_in || may_start_tls;
                assert!(is_known, "port {port} offers {line}");
            }
            assert_eq!(ehlo.offers("AUTH"), port != 25, "port {port}: {ehlo}");
            for command in ["VRFY bob", "EXPN staff", "ETRN example.org", "XCLIENT ADDR=127.0.0.1"]
            {
                let reply = client.command(command)?;
                assert!(reply.code >= 500, "port {port}: {command}: {reply}");
            }
        }
        Ok(())
    })
}

#[test]
fn a_message_above_the_limit_is_refused_before_it_is_sent() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("ALLOWED_NETWORKS", HOME_NETWORK)
            .env("MESSAGE_SIZE_LIMIT", "2M")
            .start()?;
        let mut client = relay.session(HOME, 25)?;
        let ehlo = client.ehlo()?;
        assert!(ehlo.lines.contains(&"SIZE 2097152".to_owned()), "{ehlo}");
        client.command("MAIL FROM:<alice@example.org> SIZE=2097153")?.expect(552)?;
        client.command("MAIL FROM:<alice@example.org> SIZE=2097152")?.expect(250)?;
        Ok(())
    })
}

#[test]
fn without_tls_there_is_no_login_and_no_port_465() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("ENABLE_TLS", "false")
            .env("ENABLE_SASL", "false")
            .env("ALLOWED_NETWORKS", HOME_NETWORK)
            .ports(&[25])
            .start()?;
        let mut client = relay.connect(HOME, 25)?;
        let ehlo = client.ehlo()?;
        assert!(!ehlo.offers("STARTTLS") && !ehlo.offers("AUTH"), "{ehlo}");
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<bob@example.net>")?.expect(250)?;
        assert!(!relay.namespace().listens(465)?);
        Ok(())
    })
}
