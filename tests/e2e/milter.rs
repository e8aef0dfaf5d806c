//! The milter decides once a message, and costs Postfix no more round trips than that.

use anyhow::Result;
use relay_tests::lab::{HOME, HOME_NETWORK, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::milter_proxy::MilterProxy;
use relay_tests::wait::{A_WHILE, until};

#[test]
fn a_message_costs_two_round_trips_the_negotiation_and_the_end_of_its_header() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = lab.relay_to_sink().build()?;
        let behind = relay.socket("milter-behind.sock");
        relay.set_sidecar_env("MILTER_LISTEN", &format!("unix:{}", behind.display()));
        let proxy = MilterProxy::listen(&relay.socket("milter.sock"), behind)?;
        relay.start()?;

        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &message("counted"))?.expect(250)?;
        client.quit()?;
        sink.one_message()?;
        // ACCEPT: nothing else of this message is sent.
        assert_eq!(proxy.answers(), ['O', 'a']);

        // A refusal is an answer like any other. Policy has nothing against this message, whose
        // author only its header tells.
        relay.add_user("mallory", "correct horse battery")?;
        relay.user(&["set", "mallory", "--sender", "mallory@example.org"], "")?;
        let mut client = relay.login(STRANGER, 587, "mallory", "correct horse battery")?;
        client
            .send("mallory@example.org", &["bob@example.net"], &message("forged"))?
            .expect(553)?;
        client.quit()?;
        assert_eq!(proxy.answers(), ['O', 'a', 'O', 'y']);
        Ok(())
    })
}

#[test]
fn each_message_of_a_session_is_decided_by_itself() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay_to_sink().start()?;
        relay.add_user("alice", "correct horse battery")?;
        // Logged in for the first message; the second session has the same address and no login.
        let mut client = relay.login(STRANGER, 587, "alice", "correct horse battery")?;
        for subject in ["one", "two"] {
            client
                .send("alice@example.org", &["bob@example.net"], &message(subject))?
                .expect(250)?;
        }
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RSET")?.expect(250)?;
        client.send("alice@example.org", &["bob@example.net"], &message("three"))?.expect(250)?;
        sink.wait_for(3)?;
        let mut client = relay.session(STRANGER, 587)?;
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<postmaster>")?.expect(250)?;
        client.data(&message("four"))?.expect(554)?;
        Ok(())
    })
}

#[test]
fn a_message_is_decided_whatever_it_lacks() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay_to_sink().start()?;
        let odd: [&[u8]; 5] = [
            b"\r\n",
            b"\r\nno header\r\n",
            b"no header and no empty line\r\n",
            b"From: alice@example.org\r\nSubject: no body\r\n",
            b"Subject: no author\r\n\r\nHello.\r\n",
        ];
        let mut client = relay.session(HOME, 25)?;
        for text in odd {
            client.send("alice@example.org", &["bob@example.net"], text)?.expect(250)?;
        }
        // Nothing at all.
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<bob@example.net>")?.expect(250)?;
        client.command("DATA")?.expect(354)?;
        client.command(".")?.expect(250)?;
        sink.wait_for(odd.len() + 1)?;
        let counted = format!("relay_messages_total{{client=\"network\"}} {}\n", odd.len() + 1);
        until("each of them in the metrics", A_WHILE, || {
            relay.sidecar().ok()?.get("/metrics").ok()?.contains(&counted).then_some(())
        })
    })
}

#[test]
fn decisions_show_in_the_metrics() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &message("counted"))?.expect(250)?;
        let mut client = relay.session(STRANGER, 25)?;
        client.send("mallory@example.org", &["bob@example.net"], b"no\r\n")?.expect(554)?;
        until("both decisions in the metrics", A_WHILE, || {
            let page = relay.sidecar().ok()?.get("/metrics").ok()?;
            let shows = |service: &str, action: &str, reason: &str| {
                let labels =
                    format!("action=\"{action}\",reason=\"{reason}\",service=\"{service}\"");
                page.contains(&format!("relay_decisions_total{{{labels}}} 1\n"))
            };
            let all_show = shows("policy", "permit", "network")
                && shows("policy", "refuse", "not_allowed")
                && shows("milter", "permit", "network");
            all_show.then_some(())
        })?;
        Ok(())
    })
}
