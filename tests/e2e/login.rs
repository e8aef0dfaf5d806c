//! Who logs in may send, from anywhere; nothing is said about why a login failed.

use std::net::IpAddr;

use anyhow::Result;
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, SINK_RELAYHOST, STRANGER, STRANGER_V6, in_a_lab};
use relay_tests::message::{message, split_received};
use relay_tests::relay::Relay;
use relay_tests::smtp::Mechanism;

const PASSWORD: &str = "correct horse battery";

fn relay_with_alice(lab: &Lab) -> Result<Relay<'_>> {
    let relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
    relay.add_user("alice", PASSWORD)?;
    Ok(relay)
}

#[test]
fn every_mechanism_on_both_ports_delivers_byte_for_byte() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab)?;
        let mut sent = Vec::new();
        for port in [587, 465] {
            for mechanism in Mechanism::ALL {
                let message = message(&format!("{mechanism:?}-{port}"));
                let mut client = relay.session(STRANGER, port)?;
                client.login(mechanism, "alice", PASSWORD)?.expect(235)?;
                client.send("alice@example.org", &["bob@example.net"], &message)?.expect(250)?;
                client.quit()?;
                sent.push(message);
            }
        }
        let mut arrived = Vec::new();
        for message in sink.wait_for(sent.len())? {
            assert_eq!(message.sender, "alice@example.org");
            assert_eq!(message.recipients, ["bob@example.net"]);
            let (received, rest) = split_received(&message.data)?;
            // Where people are when they send is nobody's affair.
            assert!(
                !received.contains("198.51.100.7") && !received.contains("alice"),
                "{received}"
            );
            arrived.push(rest);
        }
        sent.sort();
        arrived.sort();
        assert!(sent == arrived, "messages were changed on the way");
        Ok(())
    })
}

#[test]
fn login_works_over_ipv6() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab)?;
        for port in [587, 465] {
            let mut client = relay.login(STRANGER_V6, port, "alice", PASSWORD)?;
            client.send("alice@example.org", &["bob@example.net"], &message("v6"))?.expect(250)?;
        }
        sink.wait_for(2)?;
        Ok(())
    })
}

#[test]
fn many_clients_at_once_are_each_served() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab)?;
        let one_client = &|number: u8| -> Result<()> {
            let from = IpAddr::from([198, 51, 100, number]);
            let port = if number.is_multiple_of(2) { 587 } else { 465 };
            let mut client = relay.login(from, port, "alice", PASSWORD)?;
            let sent = message(&format!("client-{number}"));
            client.send("alice@example.org", &["bob@example.net"], &sent)?.expect(250)?;
            Ok(())
        };
        let outcomes: Vec<Result<()>> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (10..40).map(|number| scope.spawn(move || one_client(number))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for outcome in outcomes {
            outcome?;
        }
        sink.wait_for(30)?;
        Ok(())
    })
}

#[test]
fn wrong_password_unknown_user_and_disabled_user_read_the_same() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_alice(lab)?;
        relay.add_user("mallory", PASSWORD)?;
        relay.manage_user(&["disable", "mallory"], "")?;
        let mut replies = Vec::new();
        for port in [587, 465] {
            for mechanism in Mechanism::ALL {
                for (name, password) in
                    [("alice", "wrong"), ("nobody", PASSWORD), ("mallory", PASSWORD)]
                {
                    let mut client = relay.session(STRANGER, port)?;
                    let reply = client.login(mechanism, name, password)?;
                    replies.push((name, mechanism, reply));
                }
            }
        }
        let (_, _, first) = replies[0].clone();
        assert_eq!((first.code, first.enhanced()), (535, Some("5.7.8")));
        for (name, mechanism, reply) in replies {
            assert_eq!(reply, first, "{name} by {mechanism:?}");
        }
        Ok(())
    })
}

#[test]
fn a_failed_login_lets_nothing_through() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab)?;
        for port in [587, 465] {
            let mut client = relay.session(STRANGER, port)?;
            client.login(Mechanism::Plain, "alice", "wrong")?.expect(535)?;
            let reply = client.send("alice@example.org", &["bob@example.net"], &message("no"))?;
            assert_eq!((reply.code, reply.enhanced()), (554, Some("5.7.1")), "{reply}");
        }
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn login_before_tls_is_refused() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_alice(lab)?;
        let mut client = relay.connect(STRANGER, 587)?;
        let ehlo = client.ehlo()?;
        assert!(ehlo.offers("STARTTLS") && !ehlo.offers("AUTH"), "{ehlo}");
        let reply = client.login(Mechanism::Plain, "alice", PASSWORD)?;
        assert!(matches!(reply.code, 503 | 530 | 538), "{reply}");
        Ok(())
    })
}

#[test]
fn port_587_serves_nobody_before_tls() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).start()?;
        let mut client = relay.connect(HOME, 587)?;
        client.ehlo()?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(530)?;
        Ok(())
    })
}

#[test]
fn port_25_offers_no_login() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_alice(lab)?;
        let mut client = relay.connect(STRANGER, 25)?;
        assert!(!client.ehlo()?.offers("AUTH"));
        assert!(!client.starttls()?.offers("AUTH"));
        let reply = client.login(Mechanism::Plain, "alice", PASSWORD)?;
        assert!(matches!(reply.code, 502 | 503), "{reply}");
        Ok(())
    })
}

#[test]
fn with_login_switched_off_no_port_offers_it_and_allowed_networks_still_relay() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay()
            .env("ENABLE_SASL", "false")
            .env("ALLOWED_NETWORKS", HOME_NETWORK)
            .env("RELAYHOST", SINK_RELAYHOST)
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        for port in [25, 587, 465] {
            let mut client = relay.session(STRANGER, port)?;
            assert!(!client.ehlo()?.offers("AUTH"), "port {port}");
            let reply = client.login(Mechanism::Plain, "alice", PASSWORD)?;
            assert!(matches!(reply.code, 502 | 503), "port {port}: {reply}");
        }
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &message("home"))?.expect(250)?;
        sink.one_message()?;
        Ok(())
    })
}
