//! Faults of the relay's name, its way out, lists, ports and machine, each planted in a world where all else is right.

use std::net::{IpAddr, SocketAddr};

use anyhow::Result;
use relay_tests::authority::Authority;
use relay_tests::lab::in_a_lab;
use relay_tests::peer::{GOOD, Peer, Script};

use super::setup::{World, in_world, relay};
use super::{Fault, doctor, fault};

#[test]
fn a_set_up_that_is_right_has_no_finding() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = in_world(relay(lab))?;
        relay.manage_dkim(&["add", "example.org"])?;
        let _world = World::new(lab, &[], &relay.dkim_records("example.org")?)?;
        relay.start()?;
        relay.add_user("alice", "correct horse battery")?;
        let report = doctor(&relay, &["--at", "192.0.2.1"])?;
        report.is_clean()?;
        assert_eq!(report.json["can_mail_arrive"], "yes", "{}", report.text);
        for (check, subject, found) in [
            ("name", "192.0.2.1", "is called relay.example.org"),
            ("way-out", "port 25", "mx.gmail.com greets"),
            ("spf", "example.org", "192.0.2.1 may send"),
            ("dkim", "_domainkey.example.org", "the record is right"),
            ("dmarc", "example.org", "refused"),
            ("lists", "Spamhaus ZEN 192.0.2.1", "not listed"),
            ("lists", "Spamhaus DBL example.org", "not listed"),
            ("ports", "port 587", "TLS 1.3, with the relay's own certificate"),
            ("ports", "port 465", "TLS 1.3, with the relay's own certificate"),
            ("closed", "port 25", "refuses strangers"),
            ("closed", "port 587", "refuses strangers"),
            ("closed", "port 465", "refuses strangers"),
            ("here", "clock", "right"),
            ("here", "resolver", "answers"),
        ] {
            report.check(&fault(check, subject, "ok", found, ""))?;
        }
        let output = relay.place().run(&["doctor", "--at", "192.0.2.1"], "")?;
        let table = super::words(&output);
        assert!(
            table.starts_with("Can mail arrive: yes\n\nname\n  ok      relay.example.org: "),
            "{table}"
        );
        Ok(())
    })
}

/// Zones that differ from the right ones, settings, arguments, and what has to be found.
type Planted =
    (&'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)], Fault);

const NAMES: &[Planted] = &[
    (
        &[],
        &[("RELAY_MYHOSTNAME", "relay")],
        fault("name", "relay", "fail", "none that the Internet knows", "RELAY_MYHOSTNAME="),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "mail.lan")],
        fault("name", "mail.lan", "fail", "none that", "RELAY_MYHOSTNAME="),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "gone.example.org")],
        fault("name", "gone.example.org", "fail", "does not exist", "gone.example.org. IN A"),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "bare.example.org")],
        fault("name", "bare.example.org", "fail", "has no address", "bare.example.org. IN A"),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "nameless.example.org")],
        fault(
            "name",
            "192.0.2.2",
            "fail",
            "has no PTR record",
            "PTR record 192.0.2.2 → nameless.example.org",
        ),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "stray.example.org")],
        fault("name", "192.0.2.3", "fail", "is not at 192.0.2.3", "PTR record 192.0.2.3"),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "pool.example.org")],
        fault(
            "name",
            "192.0.2.4",
            "fail",
            "as the addresses of home users",
            "PTR record 192.0.2.4",
        ),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "alias.example.org")],
        fault("name", "192.0.2.1", "warn", "greets as alias.example.org", "PTR record 192.0.2.1"),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "other.example.org")],
        fault(
            "name",
            "192.0.2.1",
            "fail",
            "a receiver sees mail come from 192.0.2.1",
            "other.example.org. IN A 192.0.2.1",
        ),
    ),
    (
        &[],
        &[("RELAY_MYHOSTNAME", "v6.example.org")],
        fault("name", "2001:db8::1", "fail", "has no PTR record", "PTR record 2001:db8::1"),
    ),
    (
        &[],
        &[("TRUST_GATEWAY", "true")],
        fault(
            "here",
            "TRUST_GATEWAY=true",
            "warn",
            "may send without a login",
            "take TRUST_GATEWAY=true out",
        ),
    ),
    (
        &[],
        &[("ALLOW_UNSAFE_POSTFIX", "true")],
        fault("here", "ALLOW_UNSAFE_POSTFIX", "warn", "can open the relay", "out of .env"),
    ),
    (&[], &[], fault("here", "relay serve", "fail", "does not run here", "docker compose up -d")),
];

const MORE_NAMES: &str = "bare TXT x\nnameless A 192.0.2.2\nstray A 192.0.2.3\npool A 192.0.2.4\n\
    192-0-2-4.dyn A 192.0.2.4\nalias A 192.0.2.1\nother A 192.0.2.5\nv6 A 192.0.2.1\nv6 AAAA 2001:db8::1";
const REVERSE: (&str, &str) = (
    "2.0.192.in-addr.arpa",
    "1 PTR relay.example.org.\n3 PTR elsewhere.example.org.\n4 PTR 192-0-2-4.dyn.example.org.\n5 PTR other.example.org.",
);

#[test]
fn every_fault_of_name_and_settings_is_found_with_its_remedy() -> Result<()> {
    in_a_lab(|lab| {
        let zones = [REVERSE, ("8.b.d.0.1.0.0.2.ip6.arpa", "")];
        let _world = World::new(lab, &zones, MORE_NAMES)?;
        for (_, settings, fault) in NAMES {
            let set = |builder, (name, value): &(&str, &str)| {
                relay_tests::relay::Builder::env(builder, name, value)
            };
            let relay = in_world(settings.iter().fold(relay(lab), set))?;
            doctor(&relay, &["--only", "name", "--only", "here"])?.check(fault)?;
        }
        Ok(())
    })
}

#[test]
fn listings_are_found_with_where_to_be_removed_and_a_refused_resolver_is_no_listing() -> Result<()>
{
    in_a_lab(|lab| {
        let zones = [
            ("zen.spamhaus.org", "1.2.0.192 A 127.0.0.2"),
            ("bl.spamcop.net", "1.2.0.192 A 127.0.0.2"),
            ("b.barracudacentral.org", "1.2.0.192 A 127.255.255.254"),
            ("psbl.surriel.com", "1.2.0.192 A 127.0.0.2"),
            ("dnsbl-1.uceprotect.net", "1.2.0.192 A 127.0.0.2"),
            ("all.s5h.net", "1.2.0.192 A 198.51.100.1"),
            ("dbl.spamhaus.org", "relay.example.org A 127.0.1.2"),
        ];
        let _world = World::new(lab, &zones, "")?;
        let relay = in_world(relay(lab))?;
        let report = doctor(&relay, &["--only", "lists"])?;
        for fault in [
            fault("lists", "Spamhaus ZEN", "fail", "listed (127.0.0.2)", "check.spamhaus.org"),
            fault("lists", "SpamCop", "fail", "listed", "spamcop.net/bl"),
            fault("lists", "Barracuda", "skipped", "refuses this resolver (127.255.255.254)", ""),
            fault("lists", "PSBL", "warn", "listed", "psbl.org/remove"),
            fault("lists", "UCEPROTECT-1", "warn", "listed", "seven days"),
            fault("lists", "s5h", "skipped", "makes answers up", ""),
            fault(
                "lists",
                "Spamhaus DBL relay.example.org",
                "fail",
                "listed",
                "check.spamhaus.org",
            ),
        ] {
            report.check(&fault)?;
        }
        Ok(())
    })
}

#[test]
fn a_blocked_way_out_is_found_with_who_opens_it() -> Result<()> {
    in_a_lab(|lab| {
        let world = World::new(lab, &[], "")?;
        let direct = in_world(relay(lab))?;
        let way = |relay, fault| doctor(relay, &["--only", "way-out"])?.check(&fault);
        world.receiver.say(Script { banner: "554 5.7.1 [192.0.2.1] is on our list", ..GOOD });
        way(
            &direct,
            fault("way-out", "port 25", "warn", "refuses this server: 554 5.7.1", "lists"),
        )?;
        world.receiver.say(Script { banner: "", ..GOOD });
        let silent = fault("way-out", "port 25", "fail", "none of 2 receivers answers", "Hetzner");
        way(&direct, silent)?;
        Ok(())
    })
}

#[test]
fn every_fault_of_a_smarthost_is_found_with_its_remedy() -> Result<()> {
    in_a_lab(|lab| {
        let way = |relay, fault| doctor(relay, &["--only", "way-out"])?.check(&fault);
        let smarthost = |name: &str| in_world(relay(lab).env("RELAYHOST", name));
        let world = World::new(lab, &[], "smart A 198.18.0.25")?;
        let open = smarthost("[smart.example.org]:25")?;
        world.receiver.say(Script { ehlo: &["smart", "SIZE 1000"], ..GOOD });
        way(&open, fault("way-out", "smart.example.org", "warn", "offers no TLS", "587 or 465"))?;
        world.receiver.say(Script { other: "454 4.7.0 not now", ..GOOD });
        way(
            &open,
            fault(
                "way-out",
                "smart.example.org",
                "fail",
                "TLS, and it does not work: 454",
                "its owner",
            ),
        )?;
        world.receiver.say(Script { banner: "554 no", ..GOOD });
        way(
            &open,
            fault(
                "way-out",
                "smart.example.org",
                "fail",
                "refuses this server: 554 no",
                "let this address in",
            ),
        )?;
        let closed = smarthost("[smart.example.org]:2526")?;
        way(
            &closed,
            fault(
                "way-out",
                "smart.example.org",
                "fail",
                "does not answer",
                "host and port of RELAYHOST",
            ),
        )?;
        let unknown = smarthost("[gone.example.org]:25")?;
        way(
            &unknown,
            fault("way-out", "gone.example.org", "fail", "no address in DNS", "check RELAYHOST"),
        )?;
        Ok(())
    })
}

#[test]
fn an_open_relay_and_a_login_in_the_clear_are_found() -> Result<()> {
    in_a_lab(|lab| {
        let _world = World::new(lab, &[], "")?;
        let address = |port| SocketAddr::new(IpAddr::from([192, 0, 2, 77]), port);
        lab.namespace.ip("address add 192.0.2.77/32 dev lo\n")?;
        let open = Script { ehlo: &["open", "AUTH PLAIN"], other: "250 2.1.5 ok", ..GOOD };
        let _ports: Vec<_> = [25, 587]
            .into_iter()
            .map(|port| Peer::listen(&lab.namespace, address(port), open))
            .collect::<Result<_>>()?;
        let other = in_world(relay(lab))?;
        let report = doctor(
            &other,
            &["--only", "closed", "--only", "ports", "--only", "name", "--at", "192.0.2.77"],
        )?;
        for fault in [
            fault(
                "name",
                "relay.example.org",
                "fail",
                "Postfix calls itself mx.example",
                "docker compose up -d",
            ),
            fault("closed", "port 25", "fail", "OPEN RELAY", "stop Postfix"),
            fault("closed", "port 25", "fail", "offers a login on port 25", "relay-init render"),
            fault("closed", "port 587", "fail", "OPEN RELAY", "stop Postfix"),
            fault("closed", "port 587", "fail", "without encryption", "relay-init render"),
            fault("ports", "port 587", "fail", "offers no STARTTLS", "ENABLE_TLS"),
            fault("ports", "port 465", "fail", "does not answer", "docker compose logs postfix"),
        ] {
            report.check(&fault)?;
        }
        Ok(())
    })
}

#[test]
fn a_certificate_that_clients_refuse_is_found() -> Result<()> {
    in_a_lab(|lab| {
        let _world = World::new(lab, &[], "")?;
        let authority = Authority::new()?;
        for (name, found) in [
            ("relay.example.org", "do not know who signed it"),
            ("mail.example.net", "for another name"),
        ] {
            let own =
                lab.relay_in(name, &lab.namespace).env("RELAY_MYHOSTNAME", "relay.example.org");
            let own = own
                .postfix_env("TLS_CERT", "/certs/cert.pem")
                .postfix_env("TLS_KEY", "/certs/key.pem");
            let mut own = in_world(own)?;
            let (certificate, key) = (own.certs().join("cert.pem"), own.certs().join("key.pem"));
            authority.write_pair(name, &certificate, &key)?;
            own.start()?;
            let report = doctor(&own, &["--only", "ports", "--at", "192.0.2.1"])?;
            report.check(&fault(
                "ports",
                "port 465",
                "fail",
                found,
                "a certificate for relay.example.org",
            ))?;
            own.kill()?;
        }
        Ok(())
    })
}

#[test]
fn a_wrong_clock_and_refused_deliveries_are_found() -> Result<()> {
    in_a_lab(|lab| {
        let world = World::new(lab, &[], "")?;
        world.clock.set_ahead(600);
        let mut relay = in_world(relay(lab).env("RELAYHOST", "[192.0.2.25]:2525"))?;
        let sink = lab.sink()?;
        sink.behave(relay_tests::sink::Manner::RefuseRecipients(
            "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
        ));
        relay.start()?;
        relay.add_user("alice", "correct horse battery")?;
        let mut client =
            relay.login(relay_tests::lab::STRANGER, 587, "alice", "correct horse battery")?;
        let text = relay_tests::message::message("refused");
        client.send("alice@example.org", &["bob@gmail.com"], &text)?.expect(250)?;
        relay_tests::wait::until("the refusal", relay_tests::wait::A_WHILE, || {
            let report = doctor(&relay, &["--only", "here", "--only", "way-out"]).ok()?;
            let deliveries = fault("here", "deliveries", "warn", "5.7.26", "");
            let explained = fault("here", "deliveries", "warn", "Google", "");
            report.check(&explained).or_else(|_| report.check(&deliveries)).ok()
        })?;
        let report = doctor(&relay, &["--only", "here", "--only", "way-out"])?;
        report
            .check(&fault("here", "clock", "fail", "600 seconds behind", "systemd-timesyncd"))
            .or_else(|_| {
                report.check(&fault(
                    "here",
                    "clock",
                    "fail",
                    "599 seconds behind",
                    "systemd-timesyncd",
                ))
            })?;
        report.check(&fault(
            "way-out",
            "192.0.2.25",
            "fail",
            "did not take the last message",
            "",
        ))?;
        Ok(())
    })
}
