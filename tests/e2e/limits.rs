//! How much a user or a network client may send, across restarts.

use std::net::IpAddr;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, HOME_NETWORK, HOME_NETWORK_V6, HOME_V6, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::{Builder, Relay};
use relay_tests::smtp::Reply;
use relay_tests::wait::{A_WHILE, until};

pub const PASSWORD: &str = "correct horse battery";
/// A killed sidecar may forget this much.
const WRITTEN: Duration = Duration::from_millis(1_300);

pub fn start_with_alice<'lab>(builder: Builder<'lab>, rights: &[&str]) -> Result<Relay<'lab>> {
    let relay = builder.start()?;
    let add = [&["add", "alice", "--password-stdin"], rights].concat();
    relay.manage_user(&add, PASSWORD)?;
    Ok(relay)
}

/// Alice sends one message in a session of its own.
fn send_to(relay: &Relay<'_>, recipients: &[&str]) -> Result<Reply> {
    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
    client.send("alice@example.org", recipients, &message("limited"))
}

pub fn send(relay: &Relay<'_>) -> Result<Reply> {
    send_to(relay, &["bob@recipient.test"])
}

fn send_from(relay: &Relay<'_>, client: IpAddr) -> Result<Reply> {
    let mut client = relay.session(client, 25)?;
    client.send("printer@example.org", &["bob@recipient.test"], &message("limited"))
}

/// 450 4.7.1, and the limit is named.
pub fn assert_limited(reply: &Reply, limit: &str) {
    assert_eq!((reply.code, reply.enhanced()), (450, Some("4.7.1")), "{limit}: {reply}");
    assert!(reply.to_string().contains(limit), "{limit} is not named: {reply}");
}

#[test]
fn who_has_used_up_a_limit_is_asked_to_come_later() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "3/day"), &[])?;
        for _ in 0..3 {
            send(&relay)?.expect(250)?;
        }
        assert_limited(&send(&relay)?, "3/day");
        // On the other port too, and in the same session.
        let mut client = relay.login(STRANGER, 465, "alice", PASSWORD)?;
        for _ in 0..2 {
            client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
            assert_limited(&client.command("RCPT TO:<bob@recipient.test>")?, "3/day");
            client.command("RSET")?.expect(250)?;
        }
        // Another user has limits of its own.
        relay.add_user("carol", PASSWORD)?;
        let mut client = relay.login(STRANGER, 587, "carol", PASSWORD)?;
        client
            .send("carol@example.org", &["bob@recipient.test"], &message("carol"))?
            .expect(250)?;
        Ok(())
    })
}

#[test]
fn who_is_added_again_under_the_same_name_inherits_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "1/day"), &[])?;
        send(&relay)?.expect(250)?;
        assert_limited(&send(&relay)?, "1/day");
        relay.manage_user(&["remove", "alice"], "")?;
        relay.add_user("alice", PASSWORD)?;
        let shown = relay.manage_user(&["show", "alice"], "")?;
        assert!(shown.contains("never used") && !shown.contains("198.51.100.7"), "{shown}");
        send(&relay)?.expect(250)?;
        assert_limited(&send(&relay)?, "1/day");
        Ok(())
    })
}

#[test]
fn each_recipient_counts_and_a_message_to_too_many_is_cut() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "5/day"), &[])?;
        send_to(&relay, &["a@recipient.test", "b@recipient.test", "c@recipient.test"])?
            .expect(250)?;
        // Room for two more: the third comes back later, with a message of its own.
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<d@recipient.test>")?.expect(250)?;
        client.command("RCPT TO:<e@recipient.test>")?.expect(250)?;
        assert_limited(&client.command("RCPT TO:<f@recipient.test>")?, "5/day");
        client.data(&message("cut"))?.expect(250)?;
        assert_limited(&send(&relay)?, "5/day");
        let shown = relay.manage_user(&["show", "alice"], "")?;
        assert!(shown.contains("5/day"), "{shown}");
        Ok(())
    })
}

#[test]
fn a_message_that_is_given_up_before_its_content_costs_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "1/day"), &[])?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        for _ in 0..3 {
            client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
            client.command("RCPT TO:<bob@recipient.test>")?.expect(250)?;
            client.command("RSET")?.expect(250)?;
        }
        send(&relay)?.expect(250)?;
        assert_limited(&send(&relay)?, "1/day");
        Ok(())
    })
}

#[test]
fn a_message_that_is_refused_for_its_content_costs_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let limit = lab.relay().env("RATE_LIMIT_USER", "1/day");
        let relay = start_with_alice(limit, &["--sender", "alice@example.org"])?;
        let forged = b"From: boss@victim.test\r\nSubject: forged\r\n\r\ntext\r\n";
        for _ in 0..3 {
            let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
            client.send("alice@example.org", &["bob@recipient.test"], forged)?.expect(553)?;
        }
        let honest = b"From: alice@example.org\r\nSubject: honest\r\n\r\ntext\r\n";
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.send("alice@example.org", &["bob@recipient.test"], honest)?.expect(250)?;
        assert_limited(&send(&relay)?, "1/day");
        Ok(())
    })
}

#[test]
fn refused_recipients_cost_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "3/day"), &[])?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<a@recipient.test>")?.expect(250)?;
        // Refused by Postfix itself, before the milter hears of it.
        for refused in ["RCPT TO:<no one@recipient.test>", "RCPT TO:<b@>"] {
            assert!(!client.command(refused)?.is_positive(), "{refused}");
        }
        client.data(&message("one recipient"))?.expect(250)?;
        until("the use to be written down", A_WHILE, || {
            let shown = relay.manage_user(&["show", "alice"], "").ok()?;
            shown.contains("limit     3/day: 1 used, 2 left").then_some(())
        })
    })
}

#[test]
fn a_limit_holds_exactly_with_fifty_sessions_at_once() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "20/day"), &[])?;
        let outcomes: Vec<Result<Reply>> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..50_u8)
                .map(|number| {
                    let from = IpAddr::from([198, 51, 100, number + 1]);
                    let relay = &relay;
                    scope.spawn(move || {
                        let mut client = relay.login(from, 587, "alice", PASSWORD)?;
                        client.send(
                            "alice@example.org",
                            &["bob@recipient.test"],
                            &message("at once"),
                        )
                    })
                })
                .collect();
            senders.into_iter().map(|sender| sender.join().expect("no panic")).collect()
        });
        let mut accepted = 0;
        for outcome in outcomes {
            let reply = outcome?;
            match reply.code {
                250 => accepted += 1,
                _ => assert_limited(&reply, "20/day"),
            }
        }
        assert_eq!(accepted, 20);
        Ok(())
    })
}

#[test]
fn bare_postmaster_is_counted_though_policy_is_not_asked_about_it() -> Result<()> {
    in_a_lab(|lab| {
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", "3/day"), &[])?;
        send_to(&relay, &["bob@recipient.test", "postmaster"])?.expect(250)?;
        send_to(&relay, &["postmaster"])?.expect(250)?;
        // Postfix takes the recipient without asking; the limit is met at end of message.
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<postmaster>")?.expect(250)?;
        assert_limited(&client.data(&message("over"))?, "3/day");
        Ok(())
    })
}

#[test]
fn messages_are_limited_whatever_their_recipients() -> Result<()> {
    in_a_lab(|lab| {
        let limits = "messages=2/day,20/day";
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", limits), &[])?;
        for _ in 0..2 {
            send_to(&relay, &["a@recipient.test", "b@recipient.test"])?.expect(250)?;
        }
        assert_limited(&send(&relay)?, "messages=2/day");
        Ok(())
    })
}

#[test]
fn a_user_may_have_limits_of_its_own_or_none() -> Result<()> {
    in_a_lab(|lab| {
        let limit = lab.relay().env("RATE_LIMIT_USER", "1/day");
        let relay = start_with_alice(limit, &["--limit", "2/day"])?;
        send(&relay)?.expect(250)?;
        send(&relay)?.expect(250)?;
        assert_limited(&send(&relay)?, "2/day");
        relay.manage_user(&["set", "alice", "--limit", "none"], "")?;
        for _ in 0..5 {
            send(&relay)?.expect(250)?;
        }
        let shown = relay.manage_user(&["show", "alice"], "")?;
        assert!(shown.contains("limit     none"), "{shown}");
        relay.manage_user(&["set", "alice", "--limit", "default"], "")?;
        assert_limited(&send(&relay)?, "1/day");
        Ok(())
    })
}

#[test]
fn network_clients_are_limited_by_address_and_ipv6_by_its_64() -> Result<()> {
    in_a_lab(|lab| {
        let networks = format!("{HOME_NETWORK} {HOME_NETWORK_V6}");
        let settings = lab
            .relay()
            .env("ALLOWED_NETWORKS", &networks)
            .env("RATE_LIMIT_NETWORK", "2/day")
            .env("RATE_LIMIT_USER", "1/day");
        let relay = start_with_alice(settings, &[])?;
        for _ in 0..2 {
            send_from(&relay, HOME)?.expect(250)?;
        }
        assert_limited(&send_from(&relay, HOME)?, "2/day");
        send_from(&relay, "203.0.113.6".parse()?)?.expect(250)?;
        // A user at the same address is counted as user.
        let mut client = relay.login(HOME, 587, "alice", PASSWORD)?;
        client.send("alice@example.org", &["bob@recipient.test"], &message("x"))?.expect(250)?;

        send_from(&relay, HOME_V6)?.expect(250)?;
        send_from(&relay, "2001:db8:a::6".parse()?)?.expect(250)?;
        assert_limited(&send_from(&relay, "2001:db8:a::7".parse()?)?, "2/day");
        Ok(())
    })
}

#[test]
fn counts_survive_a_stop_and_a_kill_of_the_sidecar() -> Result<()> {
    in_a_lab(|lab| {
        let settings = lab
            .relay()
            .env("ALLOWED_NETWORKS", HOME_NETWORK)
            .env("RATE_LIMIT_NETWORK", "3/day")
            .env("RATE_LIMIT_USER", "3/day");
        let mut relay = start_with_alice(settings, &[])?;
        let send_both = |relay: &Relay<'_>| -> Result<[Reply; 2]> {
            Ok([send(relay)?, send_from(relay, HOME)?])
        };
        for reply in send_both(&relay)? {
            reply.expect(250)?;
        }
        // What is stopped in order writes down what it has, however fresh.
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start()?;
        for reply in send_both(&relay)? {
            reply.expect(250)?;
        }
        sleep(WRITTEN);
        relay.sidecar.take().context("no sidecar")?.kill();
        relay.start()?;
        for reply in send_both(&relay)? {
            reply.expect(250)?;
        }
        sleep(WRITTEN);
        relay.kill()?;
        relay.start()?;
        for reply in send_both(&relay)? {
            assert_limited(&reply, "3/day");
        }
        Ok(())
    })
}

#[test]
fn what_is_used_and_left_is_shown() -> Result<()> {
    in_a_lab(|lab| {
        let limits = "messages=5/hour,10/day";
        let relay = start_with_alice(lab.relay().env("RATE_LIMIT_USER", limits), &[])?;
        let show = |text: &str| relay.manage_user(&["show", "alice"], "").map(|t| t.contains(text));
        assert!(show("limit     messages=5/hour: 0 used, 5 left")?);
        send_to(&relay, &["a@recipient.test", "b@recipient.test"])?.expect(250)?;
        send(&relay)?.expect(250)?;
        until("the use to be written down", A_WHILE, || {
            let shown = relay.manage_user(&["show", "alice"], "").ok()?;
            let both = shown.contains("limit     messages=5/hour: 2 used, 3 left")
                && shown.contains("limit     10/day: 3 used, 7 left");
            both.then_some(())
        })?;
        let shown = relay.manage_user(&["show", "alice", "--json"], "")?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        let expected = serde_json::json!([
            { "limit": "messages=5/hour", "used": 2, "left": 3 },
            { "limit": "10/day", "used": 3, "left": 7 },
        ]);
        assert_eq!(shown["usage"], expected, "{shown}");
        Ok(())
    })
}
