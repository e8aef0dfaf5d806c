//! The relay sends through a smarthost that demands a login: here a second relay of ours.

use std::net::Ipv4Addr;

use anyhow::Result;
use relay_tests::authority::Authority;
use relay_tests::dns::Dns;
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::namespace::Namespace;
use relay_tests::relay::Relay;
use relay_tests::sink::Sink;
use relay_tests::wait::{A_WHILE, until};

pub const PASSWORD: &str = "smarthost pass=word: #1";
const SMARTHOST: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

/// A network with the relay under test, joined to the lab's network, where the smarthost is.
pub fn network_behind(lab: &Lab) -> Result<(Namespace, Dns)> {
    let inner = Namespace::new()?;
    inner.cable("10.99.0.1/24", &lab.namespace, &format!("{SMARTHOST}/24"))?;
    inner.ip("address add 192.0.2.1/32 dev lo\nroute add local 203.0.113.0/24 dev lo\n")?;
    let dns = Dns::serve(&inner, &[("smarthost.test", SMARTHOST)])?;
    Ok((inner, dns))
}

/// The smarthost: a relay with a certificate of a private authority, and a user for the other relay.
pub fn smarthost<'lab>(lab: &'lab Lab, authority: &Authority) -> Result<(Relay<'lab>, Sink)> {
    let sink = lab.sink()?;
    let mut smarthost = lab
        .relay_in("smarthost", &lab.namespace)
        .env("RELAYHOST", SINK_RELAYHOST)
        .env("TLS_CERT", "/certs/cert.pem")
        .env("TLS_KEY", "/certs/key.pem")
        .build()?;
    let certs = smarthost.certs();
    authority.write_pair("smarthost.test", &certs.join("cert.pem"), &certs.join("key.pem"))?;
    smarthost.start()?;
    smarthost.add_user("relay", PASSWORD)?;
    Ok((smarthost, sink))
}

fn relay_through<'lab>(
    lab: &'lab Lab,
    namespace: &Namespace,
    authority: &Authority,
    relayhost: &str,
    by_file: bool,
) -> Result<Relay<'lab>> {
    let builder = lab
        .relay_in("relay", namespace)
        .env("ALLOWED_NETWORKS", HOME_NETWORK)
        .env("RELAYHOST", relayhost)
        .env("RELAYHOST_USERNAME", "relay")
        .env("TLS_CA", "/certs/ca.pem");
    let mut relay = if by_file {
        builder.env("RELAYHOST_PASSWORD_FILE", "/certs/password").build()?
    } else {
        builder.env("RELAYHOST_PASSWORD", PASSWORD).build()?
    };
    authority.write_certificate(&relay.certs().join("ca.pem"))?;
    std::fs::write(relay.certs().join("password"), format!("{PASSWORD}\n"))?;
    relay.start()?;
    Ok(relay)
}

/// Connect, TLS, AUTH, QUIT: what `relay-init smarthost` says of a right and a wrong password, and of a smarthost that cannot
/// prove who it is.
#[test]
fn the_login_can_be_tried_without_sending_mail() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let (smarthost, _sink) = smarthost(lab, &authority)?;
        let (namespace, _dns) = network_behind(lab)?;
        let mut number = 0;
        let mut tried = |relayhost: &str, password: &str, knows_authority: bool| {
            number += 1;
            let mut relay = lab
                .relay_in(&format!("relay{number}"), &namespace)
                .env("RELAYHOST", relayhost)
                .env("RELAYHOST_USERNAME", "relay")
                .env("RELAYHOST_PASSWORD", password)
                .env("TLS_CA", "/certs/ca.pem")
                .build()?;
            let known = if knows_authority { &authority } else { &Authority::new()? };
            known.write_certificate(&relay.certs().join("ca.pem"))?;
            relay.start()?;
            let output = relay.run_in_postfix(&["/usr/bin/relay-init", "smarthost"])?;
            relay.kill()?;
            let said = String::from_utf8(output.stdout)?;
            anyhow::ensure!(!said.contains(password), "the password is shown: {said}");
            Ok((output.status.success(), said))
        };
        for (hop, refused) in [("[smarthost.test]:587", 1), ("[smarthost.test]:465", 2)] {
            let (works, said) = tried(hop, PASSWORD, true)?;
            assert!(works && said == format!("{hop}: the login as relay works\n"), "{said}");
            let (works, said) = tried(hop, "wrong-canary", true)?;
            assert!(!works && said.contains("refuses the login as relay: 535 5.7.8"), "{said}");
            let (works, said) = tried(hop, PASSWORD, false)?;
            assert!(!works && said.contains("the password was not sent"), "{said}");
            let log = until("the end of a handshake", A_WHILE, || {
                let log = smarthost.postfix().ok()?.output();
                let (_, rest) = log.rsplit_once("SSL_accept error")?;
                (log.matches("SSL_accept error").count() == refused).then(|| rest.to_owned())
            })?;
            assert!(!log.contains("auth="), "{log}");
        }
        let (works, said) = tried("[smarthost.test]:2526", PASSWORD, true)?;
        assert!(!works && said.contains("Connection refused"), "{said}");
        Ok(())
    })
}

#[test]
fn mail_goes_through_a_smarthost_that_demands_login() -> Result<()> {
    for (relayhost, by_file) in [
        ("[smarthost.test]:587", false),
        ("[smarthost.test]:465", true),
        ("smarthost.test:587", true),
    ] {
        in_a_lab(|lab| {
            let authority = Authority::new()?;
            let (_smarthost, sink) = smarthost(lab, &authority)?;
            let (namespace, _dns) = network_behind(lab)?;
            let relay = relay_through(lab, &namespace, &authority, relayhost, by_file)?;
            let sent = message("smarthost");
            let mut client = relay.session(HOME, 25)?;
            client.send("alice@example.org", &["bob@example.net"], &sent)?.expect(250)?;
            let arrived = sink.one_message()?;
            assert!(arrived.data.ends_with(&sent), "{relayhost}");
            let counted = "relay_deliveries_by_next_hop_total\
                           {next_hop=\"smarthost\",status=\"sent\",tls=\"yes\"} 1\n";
            until("the encrypted delivery in the metrics", A_WHILE, || {
                relay.sidecar().ok()?.get("/metrics").ok()?.contains(counted).then_some(())
            })
        })?;
    }
    Ok(())
}

#[test]
fn the_smarthost_shows_the_certificate_it_was_given() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let (smarthost, _sink) = smarthost(lab, &authority)?;
        let pem = std::fs::read_to_string(smarthost.certs().join("cert.pem"))?;
        for port in [587, 465] {
            let client = smarthost.session(STRANGER, port)?;
            let shown = client.certificate().unwrap_or_default();
            assert_eq!(
                relay_tests::authority::pem_of(&shown),
                pem.replace("\r\n", "\n"),
                "port {port}"
            );
        }
        Ok(())
    })
}

#[test]
fn the_password_is_not_told_to_a_smarthost_that_another_authority_vouches_for() -> Result<()> {
    in_a_lab(|lab| {
        let (_smarthost, sink) = smarthost(lab, &Authority::new()?)?;
        let (namespace, _dns) = network_behind(lab)?;
        let stranger = Authority::new()?;
        let relay = relay_through(lab, &namespace, &stranger, "[smarthost.test]:587", false)?;
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &message("kept"))?.expect(250)?;
        until("the message to be deferred", A_WHILE, || {
            let log = relay.postfix().ok()?.output();
            (log.contains("status=deferred") && log.contains("Server certificate")).then_some(())
        })?;
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}
