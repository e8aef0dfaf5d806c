//! "Where is my mail?" has an answer, on real Postfix.

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME_NETWORK, Lab, SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::{Builder, Relay};
use relay_tests::sink::Manner;
use relay_tests::wait::{A_WHILE, until};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";

fn settings(lab: &Lab) -> Builder<'_> {
    lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).env("RELAYHOST", SINK_RELAYHOST)
}

/// What `relay history` prints.
fn history(relay: &Relay<'_>, arguments: &[&str]) -> Result<String> {
    let arguments = [&["history"], arguments].concat();
    let output = relay.place().run(&arguments, "")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "relay {arguments:?}: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

fn wait_for(relay: &Relay<'_>, arguments: &[&str], expected: &[&str]) -> Result<String> {
    until(&format!("{expected:?} in relay history {arguments:?}"), A_WHILE, || {
        let text = history(relay, arguments).ok()?;
        expected.iter().all(|part| text.contains(part)).then_some(text)
    })
}

fn send(relay: &Relay<'_>, recipient: &str) -> Result<()> {
    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
    client.send("alice@example.org", &[recipient], &message("where is it"))?.expect(250)?;
    Ok(())
}

#[test]
fn a_message_is_followed_from_its_sender_to_each_answer() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = settings(lab).start()?;
        relay.add_user("alice", PASSWORD)?;
        send(&relay, "taken@example.net")?;
        wait_for(&relay, &["taken@"], &["accepted ", "sent ", "250 2.0.0 kept"])?;
        sink.behave(Manner::RefuseRecipients("451 4.7.1 greylisted, come back"));
        send(&relay, "later@example.net")?;
        let text = wait_for(&relay, &["--recipient", "later@"], &["451 4.7.1 greylisted"])?;
        let lines: Vec<&str> = text.lines().collect();
        ensure!(lines.len() == 3, "one message with one delivery, and a sum: {text}");
        ensure!(lines[0].contains("user=alice client=198.51.100.7"), "{text}");
        ensure!(
            lines[1].contains("deferred") && lines[1].contains("; next try after 20"),
            "{text}"
        );
        sink.behave(Manner::RefuseRecipients("550 5.1.1 there is nobody here"));
        send(&relay, "nobody@example.net")?;
        wait_for(&relay, &["nobody@"], &["bounced ", "550 5.1.1 there is nobody here"])?;

        // Each is found by whatever is known of it, with all that belongs to it.
        let id = lines[0].split(' ').nth(3).context("no queue id")?;
        for search in [
            &["--queue-id", id][..],
            &["greylisted"],
            &["--user", "alice", "later@example.net"],
            &["--sender", "alice@example.org", "--recipient", "LATER@"],
        ] {
            ensure!(history(&relay, search)?.lines().count() == 3, "{search:?}");
        }
        ensure!(history(&relay, &["elsewhere"])?.starts_with("nothing matches among "));
        Ok(())
    })
}

#[test]
fn refusals_are_remembered_apart_and_json_has_the_same() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = settings(lab).start()?;
        relay.manage_user(
            &["add", "alice", "--password-stdin", "--sender", "alice@example.org"],
            PASSWORD,
        )?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.command("MAIL FROM:<boss@example.org>")?.expect(250)?;
        client.command("RCPT TO:<bob@example.net>")?.expect(553)?;
        let mut stranger = relay.session(STRANGER, 587)?;
        stranger.command("MAIL FROM:<eve@example.com>")?.expect(250)?;
        stranger.command("RCPT TO:<bob@example.net>")?.expect(554)?;
        let text = wait_for(&relay, &["--reason", "sender_not_allowed"], &["refused "])?;
        ensure!(text.contains("user=alice") && text.contains("from=boss@example.org"), "{text}");
        wait_for(&relay, &["198.51.100.7"], &["(not_allowed)"])?;
        let found: Value = serde_json::from_str(&history(&relay, &["--json", "eve@"])?)?;
        ensure!(found["entries"][0]["event"] == "refused", "{found}");
        ensure!(found["entries"][0]["reason"] == "not_allowed", "{found}");
        Ok(())
    })
}

#[test]
fn log_redact_masks_addresses_and_they_are_found_all_the_same() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = settings(lab).env("LOG_REDACT", "mask").start()?;
        relay.add_user("alice", PASSWORD)?;
        send(&relay, "taken@example.net")?;
        let text = wait_for(&relay, &["taken@example.net"], &["accepted ", "sent "])?;
        ensure!(text.contains("t***@example.net") && text.contains("a***@example.org"), "{text}");
        ensure!(!text.contains("taken@") && !text.contains("alice@"), "{text}");
        Ok(())
    })
}
