//! Who sends from an allowed network needs no login; everybody else is refused on every port.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use anyhow::Result;
use relay_tests::lab::{
    HOME, HOME_NETWORK, HOME_NETWORK_V6, HOME_V6, SINK_RELAYHOST, STRANGER, STRANGER_V6, in_a_lab,
};
use relay_tests::message::{message, split_received};
use relay_tests::namespace::Namespace;
use relay_tests::relay::{PORTS, Relay};
use relay_tests::smtp::{Client, Reply};

/// Opens a session and tries one recipient of a foreign domain.
fn recipient(relay: &Relay<'_>, from: IpAddr, port: u16) -> Result<Reply> {
    let mut client = relay.session(from, port)?;
    client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
    client.command("RCPT TO:<bob@example.net>")
}

fn assert_refused(reply: &Reply, what: &str) {
    assert_eq!((reply.code, reply.enhanced()), (554, Some("5.7.1")), "{what}: {reply}");
}

#[test]
fn an_allowed_network_relays_without_login() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay()
            .env("ALLOWED_NETWORKS", &format!("{HOME_NETWORK}, {HOME_NETWORK_V6}"))
            .env("RELAYHOST", SINK_RELAYHOST)
            .start()?;
        let sent = message("home");
        for port in PORTS {
            for from in [HOME, HOME_V6] {
                let mut client = relay.session(from, port)?;
                client.send("alice@example.org", &["bob@example.net"], &sent)?.expect(250)?;
            }
        }
        for arrived in sink.wait_for(6)? {
            assert_eq!(split_received(&arrived.data)?.1, sent);
        }
        Ok(())
    })
}

#[test]
fn any_other_address_is_refused_at_rcpt_on_all_ports() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay()
            .env("ALLOWED_NETWORKS", &format!("{HOME_NETWORK} {HOME_NETWORK_V6}"))
            .env("RELAYHOST", SINK_RELAYHOST)
            .start()?;
        for port in PORTS {
            for from in [STRANGER, STRANGER_V6] {
                let reply = recipient(&relay, from, port)?;
                assert_refused(&reply, &format!("{from} on {port}"));
            }
        }
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn a_single_address_allows_only_itself() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().env("ALLOWED_NETWORKS", "203.0.113.5").start()?;
        recipient(&relay, HOME, 25)?.expect(250)?;
        assert_refused(&recipient(&relay, "203.0.113.6".parse()?, 25)?, "the neighbour");
        Ok(())
    })
}

#[test]
fn by_default_nothing_but_loopback_is_allowed() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        let mut client = loopback(&relay)?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<bob@example.net>")?.expect(250)?;
        for from in [HOME, HOME_V6, STRANGER] {
            assert_refused(&recipient(&relay, from, 25)?, &from.to_string());
        }
        Ok(())
    })
}

fn loopback(relay: &Relay<'_>) -> Result<Client> {
    let localhost = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let mut client = Client::connect(relay.namespace(), localhost, (localhost, 25).into())?;
    client.reply()?.expect(220)?;
    client.ehlo()?;
    Ok(client)
}

#[test]
fn bare_postmaster_skips_policy_and_is_refused_at_end_of_message() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
        for port in PORTS {
            let mut client = relay.session(STRANGER, port)?;
            client.command("MAIL FROM:<mallory@example.org>")?.expect(250)?;
            client.command("RCPT TO:<postmaster>")?.expect(250)?;
            assert_refused(&client.data(&message("bare"))?, &format!("port {port}"));
        }
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn no_local_name_makes_a_recipient_local() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().start()?;
        let mut client = relay.session(STRANGER, 25)?;
        client.command("MAIL FROM:<mallory@example.org>")?.expect(250)?;
        for recipient in
            ["root", "bob", "root@localhost", "postmaster@relay.test", "root@[192.0.2.1]"]
        {
            let reply = client.command(&format!("RCPT TO:<{recipient}>"))?;
            assert_eq!(reply.code, 554, "{recipient}: {reply}");
        }
        Ok(())
    })
}

#[test]
fn mail_needs_both_keys() -> Result<()> {
    let cases = [
        ("only the sidecar allows", "127.0.0.0/8", HOME_NETWORK),
        ("only Postfix allows", HOME_NETWORK, "127.0.0.0/8"),
    ];
    for (what, postfix, sidecar) in cases {
        in_a_lab(|lab| {
            let relay = lab
                .relay()
                .postfix_env("ALLOWED_NETWORKS", postfix)
                .sidecar_env("ALLOWED_NETWORKS", sidecar)
                .start()?;
            for port in PORTS {
                assert_refused(&recipient(&relay, HOME, port)?, &format!("{what}, port {port}"));
            }
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn the_milter_is_a_key_of_its_own() -> Result<()> {
    in_a_lab(|lab| {
        // Bare postmaster skips both Postfix's list and policy, so only the milter's answer is seen.
        let sink = lab.sink()?;
        let relay = lab
            .relay()
            .postfix_env("ALLOWED_NETWORKS", HOME_NETWORK)
            .sidecar_env("ALLOWED_NETWORKS", "127.0.0.0/8")
            .env("RELAYHOST", SINK_RELAYHOST)
            .start()?;
        let mut client = relay.session(HOME, 25)?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<postmaster>")?.expect(250)?;
        assert_refused(&client.data(&message("bare"))?, "end of message");
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn the_relays_own_address_is_never_trusted() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().env("ALLOWED_NETWORKS", "192.0.2.0/24").start()?;
        for port in PORTS {
            assert_refused(&recipient(&relay, "192.0.2.1".parse()?, port)?, "its own address");
            recipient(&relay, "192.0.2.77".parse()?, port)?.expect(250)?;
        }
        Ok(())
    })
}

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 18, 0, 1));
const NEIGHBOUR: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 18, 0, 9));
const CONTAINER: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 18, 0, 2));

/// A network like Docker's: the relay behind a gateway, from which strangers may seem to come.
fn bridge() -> Result<(Namespace, Namespace)> {
    let (container, host) = (Namespace::new()?, Namespace::new()?);
    host.cable(&format!("{GATEWAY}/16"), &container, &format!("{CONTAINER}/16"))?;
    host.ip(&format!("address add {NEIGHBOUR}/16 dev cable0\n"))?;
    container.ip(&format!("route add default via {GATEWAY}\n"))?;
    Ok((container, host))
}

fn recipient_over_bridge(host: &Namespace, from: IpAddr, port: u16) -> Result<Reply> {
    let mut client = Client::connect(host, from, SocketAddr::new(CONTAINER, port))?;
    if port == 465 {
        client.handshake()?;
    }
    client.reply()?.expect(220)?;
    client.ehlo()?;
    if port == 587 {
        client.starttls()?;
    }
    client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
    client.command("RCPT TO:<bob@example.net>")
}

#[test]
fn the_gateway_is_refused_though_its_network_is_allowed() -> Result<()> {
    in_a_lab(|lab| {
        let (container, host) = bridge()?;
        let relay =
            lab.relay_in("relay", &container).env("ALLOWED_NETWORKS", "172.16.0.0/12").start()?;
        for port in PORTS {
            assert_refused(&recipient_over_bridge(&host, GATEWAY, port)?, "the gateway");
            recipient_over_bridge(&host, NEIGHBOUR, port)?.expect(250)?;
        }
        // The operator is told why: both parts name the network and the gateway.
        for output in [relay.postfix()?.output(), relay.sidecar()?.output()] {
            let warns = |line: &str| line.contains("172.16.0.0/12") && line.contains("172.18.0.1");
            assert!(output.lines().any(warns), "no warning in:\n{output}");
        }
        Ok(())
    })
}

#[test]
fn each_key_refuses_the_gateway_by_itself() -> Result<()> {
    for (postfix, sidecar) in [("true", "false"), ("false", "true")] {
        in_a_lab(|lab| {
            let (container, host) = bridge()?;
            let _relay = lab
                .relay_in("relay", &container)
                .env("ALLOWED_NETWORKS", "172.16.0.0/12")
                .postfix_env("TRUST_GATEWAY", postfix)
                .sidecar_env("TRUST_GATEWAY", sidecar)
                .start()?;
            let what = format!("Postfix trusts: {postfix}, the sidecar trusts: {sidecar}");
            assert_refused(&recipient_over_bridge(&host, GATEWAY, 25)?, &what);
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn trust_gateway_lets_the_gateway_in() -> Result<()> {
    in_a_lab(|lab| {
        let (container, host) = bridge()?;
        let _relay = lab
            .relay_in("relay", &container)
            .env("ALLOWED_NETWORKS", "172.16.0.0/12")
            .env("TRUST_GATEWAY", "true")
            .start()?;
        for port in PORTS {
            recipient_over_bridge(&host, GATEWAY, port)?.expect(250)?;
        }
        Ok(())
    })
}
