//! `relay history`: where is my mail?

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, Lab, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::sink::Manner;
use relay_tests::smtp::Mechanism;
use relay_tests::wait::{A_WHILE, until};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";
const WRONG: &str = "wrong horse battery";

fn history(relay: &Relay<'_>, arguments: &[&str]) -> Result<String> {
    let output = relay.place().run(&[&["history"], arguments].concat(), "")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "relay history {arguments:?}: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}

fn entries(relay: &Relay<'_>, arguments: &[&str]) -> Result<Vec<Value>> {
    let found: Value = serde_json::from_str(&history(relay, &[&["--json"], arguments].concat())?)?;
    Ok(found.get("entries").and_then(Value::as_array).context("no entries")?.clone())
}

/// Waits until the history says all of this.
fn wait_for(relay: &Relay<'_>, arguments: &[&str], texts: &[&str]) -> Result<String> {
    let mut last = String::new();
    until(&format!("{texts:?} in relay history {arguments:?}"), 2 * A_WHILE, || {
        last = history(relay, arguments).ok()?;
        texts.iter().all(|text| last.contains(text)).then(|| last.clone())
    })
    .with_context(|| last.clone())
}

/// One message that was put off and then delivered, one that bounced, one refusal of a sender, one of a stranger,
/// and one of a login.
fn some_mail(lab: &Lab, relay: &Relay<'_>) -> Result<()> {
    relay.add_user("alice", PASSWORD)?;
    relay.manage_user(&["set", "alice", "--sender", "alice@example.org"], "")?;
    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
    client.send("alice@example.org", &["bob@example.net"], &message("late"))?.expect(250)?;
    client.send("eve@example.org", &["bob@example.net"], &message("forged"))?.expect(553)?;
    wait_for(relay, &[], &["deferred", "next try after"])?;
    let sink = lab.sink()?;
    relay.postfix()?.exec(&["/usr/bin/relay-init", "queue", "flush"])?;
    sink.one_message()?;
    sink.behave(Manner::RefuseRecipients("550 5.1.1 no such user"));
    let mut client = relay.session(HOME, 25)?;
    client.send("home@example.com", &["carol@example.net"], &message("lost"))?.expect(250)?;
    let mut client = relay.session(STRANGER, 25)?;
    client.send("spam@example.com", &["dave@example.net"], &message("spam"))?.expect(554)?;
    lab.evidence.secret(WRONG);
    let mut client = relay.session(STRANGER, 587)?;
    client.login(Mechanism::Plain, "alice", WRONG)?.expect(535)?;
    // The bounce goes to the next hop, which knows nobody.
    wait_for(relay, &[], &["bounced", "sent", "login refused"])?;
    Ok(())
}

#[test]
fn every_message_is_followed_from_its_client_to_the_next_hops_answer() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay_to_sink().start()?;
        some_mail(lab, &relay)?;
        let late = entries(&relay, &["--user", "alice", "--reason", "sent"])?;
        let events: Vec<_> = late.iter().map(|entry| entry["event"].as_str()).collect();
        assert_eq!(events, [Some("accepted"), Some("deferred"), Some("sent")], "{late:?}");
        let (accepted, deferred, sent) = (&late[0], &late[1], &late[2]);
        assert_eq!(accepted["client"], STRANGER.to_string());
        assert_eq!(accepted["sender"], "alice@example.org");
        assert_eq!(accepted["recipients"], "bob@example.net");
        let answer = deferred["answer"].as_str().unwrap_or_default();
        assert!(answer.contains("Connection refused"), "{answer}");
        // Postfix waits five minutes at least, by its default.
        let wait = deferred["next_try"].as_u64().zip(deferred["time"].as_u64());
        let wait = wait.map(|(next_try, time)| next_try - time);
        assert!(wait.is_some_and(|wait| (290..=400).contains(&wait)), "{deferred}");
        assert_eq!(sent["next_hop"], "192.0.2.25[192.0.2.25]:2525");
        assert!(sent["answer"].as_str().is_some_and(|text| text.contains("250 2.0.0 kept")));
        let bounced = entries(&relay, &["--recipient", "carol@example.net"])?;
        let last = bounced.last().context("no bounce")?;
        assert_eq!((&last["event"], &bounced[0]["reason"]), (&"bounced".into(), &"network".into()));
        assert!(last["answer"].as_str().is_some_and(|text| text.contains("no such user")));
        Ok(())
    })
}

#[test]
fn each_filter_finds_what_it_is_for_and_no_match_says_how_far_back_that_goes() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay_to_sink().start()?;
        some_mail(lab, &relay)?;
        let late = entries(&relay, &["--recipient", "bob@example.net", "--reason", "sent"])?;
        let queue_id = late[0]["queue_id"].as_str().context("no queue id")?;
        let lines = |arguments: &[&str]| -> Result<usize> {
            // The last line is about the memory.
            Ok(history(&relay, arguments)?.lines().count() - 1)
        };
        // The sender that is not alice's, and the login.
        for (arguments, expected) in [
            (&["--queue-id", queue_id][..], 3),
            (&["--sender", "eve@example.org"], 1),
            (&["--user", "alice", "--reason", "sender_not_allowed"], 1),
            (&["--reason", "not_allowed"], 1),
            (&["--reason", "wrong_password"], 1),
            (&["--reason", "deferred"], 3),
            (&["--sender", "home@example.com"], 2),
            (&["no such user", "--sender", "home@example.com"], 2),
            (&["Connection refused"], 3),
            (&["--user", "alice"], 5),
            (&["--user", "alice", "--limit", "1"], 1),
        ] {
            assert_eq!(
                lines(arguments)?,
                expected,
                "{arguments:?}: {}",
                history(&relay, arguments)?
            );
        }
        let nothing = history(&relay, &["--user", "mallory"])?;
        assert!(nothing.starts_with("nothing matches among "), "{nothing}");
        assert!(nothing.contains("none is missing since 20"), "{nothing}");
        let refusal = history(&relay, &["--reason", "not_allowed"])?;
        assert!(
            refusal.contains(" refused client=198.51.100.7 from=spam@example.com"),
            "{refusal}"
        );
        assert!(refusal.contains("is not in an allowed network"), "{refusal}");
        Ok(())
    })
}

#[test]
fn addresses_are_redacted_as_in_the_log_and_found_all_the_same() -> Result<()> {
    for redaction in ["mask", "hash"] {
        in_a_lab(|lab| {
            let relay = lab.relay_to_sink().env("LOG_REDACT", redaction).start()?;
            some_mail(lab, &relay)?;
            let all = [history(&relay, &[])?, history(&relay, &["--json"])?].concat();
            for address in ["alice@example.org", "bob@", "carol@", "dave@", "home@", "eve@"] {
                assert!(!all.contains(address), "{address} in {all}");
            }
            let found = entries(&relay, &["--recipient", "bob@example.net", "--reason", "sent"])?;
            assert_eq!(found.len(), 3, "{found:?}");
            Ok(())
        })?;
    }
    Ok(())
}

#[test]
fn a_thousand_of_strangers_are_kept_and_a_new_sidecar_knows_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay_to_sink().start()?;
        let sink = lab.sink()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.com", &["bob@example.net"], &message("kept"))?.expect(250)?;
        sink.one_message()?;
        wait_for(&relay, &[], &[" sent "])?;
        let mut policy = UnixStream::connect(relay.socket("policy.sock"))?;
        policy.set_read_timeout(Some(A_WHILE))?;
        let mut answers = BufReader::new(policy.try_clone()?).lines();
        for number in 0..1_010 {
            write!(
                policy,
                "request=smtpd_access_policy\nprotocol_state=RCPT\nclient_address=198.51.100.7\n\
                 sender=s{number}@example.com\nrecipient=bob@example.net\n\n"
            )?;
            let answer = answers.next().context("no answer")??;
            ensure!(answer.starts_with("action=554"), "{answer}");
            answers.next().context("no end of the answer")??;
        }
        let all = history(&relay, &["--limit", "5000"])?;
        assert_eq!(all.matches("(not_allowed)").count(), 1_000);
        assert!(all.contains("s1009@") && !all.contains("s9@"), "the oldest go");
        assert!(all.contains(" sent "), "and mail stays");
        assert!(all.contains("1,002 of 1,002 entries; none is missing since "));
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start_sidecar()?;
        let nothing = history(&relay, &[])?;
        assert!(nothing.starts_with("nothing matches among 0 entries"), "{nothing}");
        Ok(())
    })
}

#[test]
fn what_happens_is_printed_as_it_happens() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay_to_sink().start()?;
        let _sink = lab.sink()?;
        let followed = relay.place().start_on_terminal(&["history", "--follow"])?;
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.com", &["bob@example.net"], &message("seen"))?.expect(250)?;
        followed.wait_for(" sent ", 0)?;
        let shown = followed.shown();
        for text in [" accepted ", " sent "] {
            assert_eq!(shown.matches(text).count(), 1, "{text} once in {shown}");
        }
        Ok(())
    })
}
