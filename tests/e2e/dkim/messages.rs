//! Which messages are signed, at what cost, and how their header is changed.

use anyhow::{Context, Result};
use relay_tests::dkim::{dkimpy, write_messages};
use relay_tests::lab::{HOME, STRANGER, in_a_lab};
use relay_tests::milter_proxy::MilterProxy;
use relay_tests::relay::Relay;
use relay_tests::sink::Message;

use super::{BOB, PASSWORD, message, selector, signatures, signing_relay};

#[test]
fn a_message_costs_two_round_trips_without_a_signature_and_three_with_one() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().sidecar_env("DKIM_REQUIRE_DNS", "false").build()?;
        relay.manage_dkim(&["add", "example.org"])?;
        let behind = relay.socket("milter-behind.sock");
        relay.set_sidecar_env("MILTER_LISTEN", &format!("unix:{}", behind.display()));
        let proxy = MilterProxy::listen(&relay.socket("milter.sock"), behind)?;
        relay.start()?;
        let body = "x".repeat(70).repeat(10_000);
        let mut long = message("alice@elsewhere.test", "X-Long: yes\r\n");
        long.extend_from_slice(body.as_bytes());
        long.extend_from_slice(b"\r\n");
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@elsewhere.test", BOB, &long)?.expect(250)?;
        client.quit()?;
        // 'a' is ACCEPT at the end of the header: the body is not sent at all.
        assert_eq!(proxy.answers(), ['O', 'a']);
        assert!(proxy.bytes_sent() < 10_000, "{} bytes of a message", proxy.bytes_sent());

        let own = String::from_utf8(long)?.replace("elsewhere.test", "example.org");
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", BOB, own.as_bytes())?.expect(250)?;
        client.quit()?;
        // Continue at the end of the header, two signatures and continue at the end of the message.
        assert_eq!(proxy.answers().get(2..), Some(&['O', 'c', 'i', 'i', 'c'][..]));
        assert_eq!(sink.wait_for(2)?.iter().map(signatures).collect::<Vec<_>>(), [0, 2]);

        // A refusal ends there, too.
        relay.add_user("mallory", PASSWORD)?;
        relay.manage_user(&["set", "mallory", "--sender", "mallory@example.org"], "")?;
        let mut client = relay.login(STRANGER, 587, "mallory", PASSWORD)?;
        client.send("mallory@example.org", BOB, own.as_bytes())?.expect(553)?;
        client.quit()?;
        assert_eq!(proxy.answers().get(7..), Some(&['O', 'y'][..]));
        Ok(())
    })
}

#[test]
fn who_is_signed_for() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay_to_sink().sidecar_env("DKIM_REQUIRE_DNS", "false").start()?;
        relay.manage_dkim(&["add", "example.org"])?;
        relay.add_user("alice", PASSWORD)?;
        let signed_by = |domain: &str| {
            format!(
                "DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s=x; h=from; bh=AAAA; b=AAAA\r\n"
            )
        };
        let own = signed_by("example.org");
        let cases: Vec<(&str, &str, &str, usize)> = vec![
            ("alice@example.org", "", "signed", 2),
            ("Alice <alice@EXAMPLE.ORG>", "", "signed", 2),
            ("alice@mail.example.org", "", "signed", 2),
            ("alice@example.organic", "", "no_key", 0),
            ("alice@notexample.org", "", "no_key", 0),
            ("alice@example.org, bob@example.org", "", "author_unclear", 0),
            ("alice@example.org\r\nFrom: alice@example.org", "", "author_unclear", 0),
            ("alice@example.org", &own, "already_signed", 1),
            ("alice@mail.example.org", &own, "already_signed", 1),
        ];
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        for (from, fields, ..) in &cases {
            client.send("alice@example.org", BOB, &message(from, fields))?.expect(250)?;
        }
        let foreign = signed_by("list.test");
        client.send("x@example.org", BOB, &message("x@example.org", &foreign))?.expect(250)?;
        let arrived = sink.wait_for(cases.len() + 1)?;
        let mut counts: Vec<usize> = arrived.iter().map(signatures).collect();
        let mut expected: Vec<usize> = cases.iter().map(|case| case.3).chain([3]).collect();
        counts.sort_unstable();
        expected.sort_unstable();
        assert_eq!(counts, expected);
        let sidecar = relay.sidecar()?;
        for (result, count) in
            [("signed", "4"), ("no_key", "2"), ("author_unclear", "2"), ("already_signed", "2")]
        {
            let series = format!("relay_dkim_messages_total{{result=\"{result}\"}}");
            assert_eq!(sidecar.metric(&series)?, count, "{result}");
        }
        let made = sidecar.metric("relay_dkim_signatures_total{algorithm=\"ed25519-sha256\"}")?;
        assert_eq!(made, "4");
        let rsa = selector(&relay, "example.org", "rsa")?;
        sidecar.output_with(&format!("dkim=example.org/{rsa},example.org/ed-"))?;
        Ok(())
    })
}

#[test]
fn resign_always_signs_what_the_author_signed() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay_to_sink()
            .sidecar_env("DKIM_REQUIRE_DNS", "false")
            .sidecar_env("DKIM_RESIGN", "always")
            .start()?;
        relay.manage_dkim(&["add", "example.org"])?;
        let own = "DKIM-Signature: v=1; d=example.org; s=x; h=from; bh=AAAA; b=AAAA\r\n";
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", own))?.expect(250)?;
        assert_eq!(signatures(&sink.one_message()?), 3);
        Ok(())
    })
}

#[test]
fn a_message_that_cannot_be_signed_is_not_accepted_unless_told_so() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().sidecar_env("DKIM_REQUIRE_DNS", "false").build()?;
        relay.manage_dkim(&["add", "example.org"])?;
        relay.start()?;
        let huge = format!("To: {}\r\n", "x".repeat(900)).repeat(300);
        let send = |relay: &Relay<'_>, from: &str| {
            relay.session(HOME, 25)?.send("a@example.org", BOB, &message(from, &huge))
        };
        let reply = send(&relay, "a@example.org")?.expect(554)?;
        assert!(reply.to_string().contains("too large to be signed"), "{reply}");
        send(&relay, "a@elsewhere.test")?.expect(250)?;
        let failed = "relay_dkim_messages_total{result=\"failed\"}";
        assert_eq!(relay.sidecar()?.metric(failed)?, "1");
        relay.set_sidecar_env("DKIM_FAIL_OPEN", "true");
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start()?;
        send(&relay, "a@example.org")?.expect(250)?;
        assert_eq!(sink.wait_for(2)?.iter().map(signatures).collect::<Vec<_>>(), [0, 0]);
        let failed = "relay_dkim_messages_total{result=\"failed_open\"}";
        assert_eq!(relay.sidecar()?.metric(failed)?, "1");
        Ok(())
    })
}

#[test]
fn a_session_older_than_the_first_key_lets_nothing_pass_unsigned() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay_to_sink().sidecar_env("DKIM_REQUIRE_DNS", "false").start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
        relay.manage_dkim(&["add", "example.org"])?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(451)?;
        client.send("a@elsewhere.test", BOB, &message("a@elsewhere.test", ""))?.expect(250)?;
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
        let mut counts: Vec<_> = sink.wait_for(3)?.iter().map(signatures).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 2]);
        Ok(())
    })
}

#[test]
fn header_fields_go_and_come_before_the_message_is_signed() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let settings = lab
            .relay_to_sink()
            .env("STRIP_HEADERS", "submission, Precedence")
            .env("STRIP_HEADERS_FOR", "users")
            .env("ADD_HEADERS", "Feedback-ID: camp:%u:relay; X-Relay-User: %u");
        let (relay, _server) = signing_relay(lab, settings, &["example.org"])?;
        relay.add_user("alice", PASSWORD)?;
        let telling = "Received: from laptop ([192.168.1.7]) by home ([192.168.1.2]); today\r\n\
            Received: from mx.test (mx.test [8.8.4.4]) by home; today\r\n\
            User-Agent: Thing\r\nX-Mailer: Thing\r\nPrecedence: bulk\r\nX-Mailer: Other\r\n\
            X-Relay-User: root\r\nX-Kept: yes\r\n";
        let text = |message: &Message| String::from_utf8_lossy(&message.data).into_owned();
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.send("a@example.org", BOB, &message("a@example.org", telling))?.expect(250)?;
        let arrived = text(&sink.one_message()?);
        for gone in ["192.168.1.7", "User-Agent", "X-Mailer", "Precedence: bulk", ": root"] {
            assert!(!arrived.contains(gone), "{gone}: {arrived}");
        }
        for there in
            ["8.8.4.4", "X-Kept: yes", "Feedback-ID: camp:alice:relay", "X-Relay-User: alice"]
        {
            assert!(arrived.contains(there), "{there}: {arrived}");
        }
        let file =
            write_messages(&lab.evidence.directory()?.join("edited"), &[arrived.into_bytes()])?;
        assert_eq!(dkimpy(lab, &file)?, [[true, true]]);
        // A network's mail keeps its fields, and what a signature covers stays for all.
        let covered = format!(
            "DKIM-Signature: v=1; d=x.test; s=x; h=from:x-mailer:feedback-id; bh=A; b=A\r\n{telling}"
        );
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client
            .send("a@elsewhere.test", BOB, &message("a@elsewhere.test", &covered))?
            .expect(250)?;
        relay
            .session(HOME, 25)?
            .send("a@elsewhere.test", BOB, &message("a@elsewhere.test", telling))?
            .expect(250)?;
        let arrived = sink.wait_for(3)?;
        let of_user =
            arrived.iter().map(text).find(|text| text.contains("d=x.test")).context("no")?;
        assert_eq!(of_user.matches("X-Mailer").count(), 2, "{of_user}");
        assert!(!of_user.contains("User-Agent") && !of_user.contains("Feedback-ID: camp"));
        let of_network =
            arrived.iter().map(text).find(|t| t.contains("192.168.1.7")).context("no")?;
        assert!(of_network.contains("Precedence: bulk"), "{of_network}");
        Ok(())
    })
}

#[test]
fn header_fields_go_and_come_without_any_key_and_any_body() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab
            .relay_to_sink()
            .env("STRIP_HEADERS", "X-Mailer")
            .env("ADD_HEADERS", "X-Relay: here; X-Relay-User: %u")
            .build()?;
        let behind = relay.socket("milter-behind.sock");
        relay.set_sidecar_env("MILTER_LISTEN", &format!("unix:{}", behind.display()));
        let proxy = MilterProxy::listen(&relay.socket("milter.sock"), behind)?;
        relay.start()?;
        let mut client = relay.session(HOME, 25)?;
        let telling = message("a@example.org", "X-Mailer: Thing\r\n");
        client.send("a@example.org", BOB, &telling)?.expect(250)?;
        client.quit()?;
        // The negotiation; then one field changed, one added, and continue, in one round trip.
        assert_eq!(proxy.answers(), ['O', 'm', 'h', 'c']);
        let arrived = String::from_utf8(sink.one_message()?.data)?;
        assert!(arrived.contains("X-Relay: here") && !arrived.contains("X-Mailer"), "{arrived}");
        assert!(!arrived.contains("X-Relay-User"), "nobody logged in: {arrived}");
        Ok(())
    })
}
