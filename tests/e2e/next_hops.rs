//! What a next hop has to prove, and that every sender's mail takes its own: with a second real
//! Postfix as smarthost, whose certificate a private authority vouches for.

use anyhow::Result;
use relay_tests::authority::Authority;
use relay_tests::lab::{HOME, HOME_NETWORK, HOME_V6, Lab, SINK_RELAYHOST, in_a_lab};
use relay_tests::message::message;
use relay_tests::namespace::Namespace;
use relay_tests::relay::{Builder, Relay};
use relay_tests::wait;

use crate::smarthost::{PASSWORD, network_behind, smarthost};

/// How the smarthost is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    WrongName,
    Expired,
    SelfSigned,
    NoTls,
}

fn faulty_smarthost<'lab>(
    lab: &'lab Lab,
    authority: &Authority,
    fault: Fault,
) -> Result<Relay<'lab>> {
    let builder = lab.relay_in("smarthost", &lab.namespace).env("RELAYHOST", SINK_RELAYHOST);
    if fault == Fault::NoTls {
        return builder
            .env("ENABLE_TLS", "false")
            .env("ENABLE_SASL", "false")
            .ports(&[25, 587])
            .start();
    }
    if fault == Fault::SelfSigned {
        return builder.start();
    }
    let builder = builder.env("TLS_CERT", "/certs/cert.pem").env("TLS_KEY", "/certs/key.pem");
    let mut smarthost = builder.build()?;
    let (certificate, key) =
        (smarthost.certs().join("cert.pem"), smarthost.certs().join("key.pem"));
    match fault {
        Fault::WrongName => authority.write_pair("other.test", &certificate, &key)?,
        _ => authority.write_expired_pair("smarthost.test", &certificate, &key)?,
    }
    smarthost.start()?;
    Ok(smarthost)
}

fn relay_in<'lab>(lab: &'lab Lab, namespace: &Namespace) -> Builder<'lab> {
    lab.relay_in("relay", namespace)
        .env("ALLOWED_NETWORKS", HOME_NETWORK)
        .env("TLS_CA", "/certs/ca.pem")
}

fn start<'lab>(builder: Builder<'lab>, authority: &Authority) -> Result<Relay<'lab>> {
    let mut relay = builder.build()?;
    authority.write_certificate(&relay.certs().join("ca.pem"))?;
    relay.start()?;
    Ok(relay)
}

fn send(relay: &Relay<'_>, sender: &str, subject: &str) -> Result<()> {
    let mut client = relay.session(HOME, 25)?;
    client.send(sender, &["bob@example.net"], &message(subject))?.expect(250)?;
    client.quit()
}

fn wait_for_log(relay: &Relay<'_>, what: &str) -> Result<()> {
    wait::until(&format!("{what:?} in the log"), wait::A_WHILE, || {
        relay.postfix().ok()?.output().contains(what).then_some(())
    })
}

const NOT_VERIFIED: &str = "Server certificate not verified";

#[test]
fn mail_waits_when_the_smarthost_does_not_prove_its_name_and_log_and_metric_say_why() -> Result<()>
{
    for (fault, detail, reason) in [
        (Fault::WrongName, "hostname mismatch", NOT_VERIFIED),
        (Fault::Expired, "certificate has expired", NOT_VERIFIED),
        (Fault::SelfSigned, "self-signed certificate", NOT_VERIFIED),
        (Fault::NoTls, "", "TLS is required, but was not offered"),
    ] {
        in_a_lab(|lab| {
            let authority = Authority::new()?;
            let sink = lab.sink()?;
            let smarthost = faulty_smarthost(lab, &authority, fault)?;
            let (namespace, _dns) = network_behind(lab)?;
            let builder = relay_in(lab, &namespace)
                .env("RELAYHOST", "smarthost.test:587")
                .env("RELAYHOST_USERNAME", "relay")
                .env("RELAYHOST_PASSWORD", PASSWORD);
            let relay = start(builder, &authority)?;
            send(&relay, "alice@example.org", "kept")?;
            wait_for_log(&relay, "status=deferred")?;
            let log = relay.postfix()?.output();
            for expected in [detail, reason] {
                assert!(log.contains(expected), "{fault:?}: no {expected:?} in {log}");
            }
            wait::until("the cause in the metrics", wait::A_WHILE, || {
                let metrics = relay.sidecar().ok()?.get("/metrics").ok()?;
                let counted = "relay_deliveries_total{cause=\"tls\",status=\"deferred\"} 1\n";
                metrics.contains(counted).then_some(())
            })?;
            let queue = relay.postfix()?.exec(&["/usr/sbin/postqueue", "-j"])?;
            let queue = String::from_utf8(queue.stdout)?;
            assert!(queue.contains("bob@example.net") && queue.contains(reason), "{queue}");
            assert_eq!(sink.messages(), []);
            // Nor was the login tried.
            let log = smarthost.postfix()?.output();
            assert!(!log.contains("sasl_"), "{log}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn without_a_login_the_operator_decides_what_the_smarthost_has_to_prove() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let sink = lab.sink()?;
        let mut smarthost = lab
            .relay_in("smarthost", &lab.namespace)
            .env("RELAYHOST", SINK_RELAYHOST)
            .env("ALLOWED_NETWORKS", "10.99.0.1")
            .env("TRUST_GATEWAY", "true")
            .build()?;
        smarthost.start()?;
        let (namespace, _dns) = network_behind(lab)?;
        let builder = relay_in(lab, &namespace).env("RELAYHOST", "smarthost.test");
        let relay = start(builder.env("RELAYHOST_TLS_LEVEL", "encrypt"), &authority)?;
        send(&relay, "alice@example.org", "unproven")?;
        sink.wait_for(1)?;
        assert!(relay.postfix()?.output().contains("Untrusted TLS connection established to"));
        Ok(())
    })
}

#[test]
fn every_sender_logs_in_at_the_next_hop_as_its_own() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let (smarthost, sink) = smarthost(lab, &authority)?;
        let (namespace, _dns) = network_behind(lab)?;
        for (user, password) in [("one", "pass=word one"), ("two", "password two")] {
            smarthost.add_user(user, password)?;
        }
        let builder = relay_in(lab, &namespace)
            .env("RELAYHOST", "smarthost.test:587")
            .env("RELAYHOST_USERNAME", "relay")
            .env("RELAYHOST_PASSWORD", PASSWORD)
            .env(
                "RELAYHOST_MAP",
                "@One.test=[smarthost.test]:587:one alice@two.test=smarthost.test:465:two",
            )
            .env("RELAYHOST_MAP_PASSWORDS_FILE", "/certs/passwords");
        let mut relay = builder.build()?;
        let passwords = "@one.test=pass=word one\nalice@two.test=password two\n";
        std::fs::write(relay.certs().join("passwords"), passwords)?;
        authority.write_certificate(&relay.certs().join("ca.pem"))?;
        relay.start()?;
        for (count, (sender, user)) in [
            ("bob@ONE.test", "one"),
            ("Alice@two.test", "two"),
            ("bob@two.test", "relay"),
            ("bob@sub.one.test", "relay"),
        ]
        .into_iter()
        .enumerate()
        {
            let before = smarthost.postfix()?.output().len();
            send(&relay, sender, sender)?;
            sink.wait_for(count + 1)?;
            let log = smarthost.postfix()?.output();
            let new = log.get(before..).unwrap_or_default();
            assert!(new.contains(&format!("sasl_username={user}")), "{sender}: {new}");
        }
        Ok(())
    })
}

#[test]
fn the_fallback_gets_what_the_next_hop_cannot_be_reached_for() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let (_smarthost, sink) = smarthost(lab, &authority)?;
        let (namespace, _dns) = network_behind(lab)?;
        // Nobody listens there, at the relay's own address.
        let builder = relay_in(lab, &namespace)
            .env("RELAYHOST", "10.99.0.1:2525")
            .env("RELAYHOST_FALLBACK", "smarthost.test")
            .env("RELAYHOST_FALLBACK_USERNAME", "relay")
            .env("RELAYHOST_FALLBACK_PASSWORD", PASSWORD);
        let relay = start(builder, &authority)?;
        send(&relay, "alice@example.org", "fallback")?;
        sink.wait_for(1)?;
        let log = relay.postfix()?.output();
        assert!(log.contains("Verified TLS connection established to smarthost.test"), "{log}");
        Ok(())
    })
}

#[test]
fn the_next_hop_can_know_the_relay_by_its_certificate() -> Result<()> {
    in_a_lab(|lab| {
        let authority = Authority::new()?;
        let sink = lab.sink()?;
        let mut smarthost = lab
            .relay_in("smarthost", &lab.namespace)
            .env("RELAYHOST", SINK_RELAYHOST)
            .env("ALLOWED_NETWORKS", "10.99.0.1")
            .env("TRUST_GATEWAY", "true")
            .env("TLS_CERT", "/certs/cert.pem")
            .env("TLS_KEY", "/certs/key.pem")
            .env("POSTFIX_smtpd_tls_ask_ccert", "yes")
            .env("POSTFIX_smtpd_tls_CAfile", "/certs/ca.pem")
            .build()?;
        let certs = smarthost.certs();
        authority.write_pair("smarthost.test", &certs.join("cert.pem"), &certs.join("key.pem"))?;
        authority.write_certificate(&certs.join("ca.pem"))?;
        smarthost.start()?;
        let (namespace, _dns) = network_behind(lab)?;
        let mut relay = relay_in(lab, &namespace)
            .env("RELAYHOST", "smarthost.test")
            .env("RELAYHOST_TLS_LEVEL", "secure")
            .env("RELAYHOST_CERT", "/certs/client.pem")
            .env("RELAYHOST_KEY", "/certs/client-key.pem")
            .build()?;
        let certs = relay.certs();
        let (certificate, key) = (certs.join("client.pem"), certs.join("client-key.pem"));
        authority.write_pair("relay.test", &certificate, &key)?;
        authority.write_certificate(&certs.join("ca.pem"))?;
        relay.start()?;
        send(&relay, "alice@example.org", "client certificate")?;
        sink.wait_for(1)?;
        let log = smarthost.postfix()?.output();
        assert!(log.contains("Trusted TLS connection established from"), "{log}");
        Ok(())
    })
}

#[test]
fn ipv4_alone_serves_and_delivers_and_nothing_listens_on_ipv6() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay()
            .env("ALLOWED_NETWORKS", &format!("{HOME_NETWORK} [::1]/128"))
            .env("RELAYHOST", SINK_RELAYHOST)
            .env("INET_PROTOCOLS", "ipv4")
            .start()?;
        send(&relay, "alice@example.org", "ipv4")?;
        sink.wait_for(1)?;
        assert!(relay.connect(HOME_V6, 25).is_err());
        let log = relay.postfix()?.output();
        assert!(!log.contains("warning:"), "{log}");
        Ok(())
    })
}
