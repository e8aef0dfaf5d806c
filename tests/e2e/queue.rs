//! The queue by hand: seen, selected, held, released, flushed and deleted, inside the container.

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{HOME, Lab, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::wait::{A_WHILE, until};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";

/// A relay whose next hop is away, with three messages that wait: two of alice, one from home.
fn relay_with_a_queue(lab: &Lab) -> Result<Relay<'_>> {
    let relay = lab.relay_to_sink().start()?;
    relay.add_user("alice", PASSWORD)?;
    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
    for recipient in ["bob@example.net", "carol@example.com"] {
        client.send("alice@example.org", &[recipient], &message("of-alice"))?.expect(250)?;
    }
    let mut client = relay.session(HOME, 25)?;
    client.send("", &["dave@example.net", "erin@example.net"], &message("bounce"))?.expect(250)?;
    until("three deferred messages", A_WHILE, || {
        let entries = list(&relay, &[]).ok()?;
        (entries.len() == 3 && entries.iter().all(|e| e["queue"] == "deferred")).then_some(())
    })?;
    Ok(relay)
}

fn queue(relay: &Relay<'_>, arguments: &[&str]) -> Result<String> {
    let output = relay.postfix()?.exec(&[&["/usr/bin/relay-init", "queue"], arguments].concat())?;
    Ok(String::from_utf8(output.stdout)?)
}

fn list(relay: &Relay<'_>, arguments: &[&str]) -> Result<Vec<Value>> {
    let text = queue(relay, &[&["list", "--json"], arguments].concat())?;
    text.lines().map(|line| Ok(serde_json::from_str(line)?)).collect()
}

fn refusal(relay: &Relay<'_>, arguments: &[&str]) -> Result<String> {
    let error = queue(relay, arguments).err().with_context(|| format!("{arguments:?} was done"))?;
    Ok(format!("{error:#}"))
}

#[test]
fn the_queue_is_shown_with_users_reasons_and_selections() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_a_queue(lab)?;
        let table = queue(&relay, &["list"])?;
        for words in [
            "alice@example.org  bob@example.net",
            "dave@example.net (+1)",
            "refused",
            "3 messages, ",
        ] {
            assert!(table.contains(words), "{words} in\n{table}");
        }
        for (selection, count) in [
            (vec!["--user", "alice"], 2),
            (vec!["--sender", "<>"], 1),
            (vec!["--sender", "@example.org"], 2),
            (vec!["--recipient", "erin@example.net"], 1),
            (vec!["--recipient", "@example.net"], 2),
            (vec!["--user", "alice", "--recipient", "@example.net"], 1),
            (vec!["--older", "1h"], 0),
            (vec!["--older", "0s"], 3),
        ] {
            assert_eq!(list(&relay, &selection)?.len(), count, "{selection:?}");
        }
        let bounce = list(&relay, &["--sender", "<>"])?.remove(0);
        assert_eq!((&bounce["user"], &bounce["sender"]), (&Value::Null, &"".into()));
        let id = bounce["queue_id"].as_str().context("no id")?;
        let shown = queue(&relay, &["show", id])?;
        for words in ["sender     <>", "recipient  erin@example.net", "Subject: bounce"] {
            assert!(shown.contains(words), "{words} in\n{shown}");
        }
        assert!(!shown.contains("From here"), "{shown}");
        assert!(queue(&relay, &["show", id, "--body"])?.contains("From here"));
        assert!(refusal(&relay, &["show", "4jXvlj465Sz1Sm1P"])?.contains("no such message"));
        Ok(())
    })
}

#[test]
fn messages_are_held_released_and_flushed() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_a_queue(lab)?;
        assert_eq!(queue(&relay, &["hold", "--user", "alice"])?, "2 messages held\n");
        let sink = lab.sink()?;
        queue(&relay, &["flush"])?;
        sink.one_message()?;
        // The next hop has it a moment before it leaves the queue.
        let held = until("the flushed message to leave the queue", A_WHILE, || {
            list(&relay, &[]).ok().filter(|entries| entries.len() == 2)
        })?;
        ensure!(held.iter().all(|entry| entry["queue"] == "hold"), "{held:?}");
        assert_eq!(
            queue(&relay, &["release", "--recipient", "bob@example.net"])?,
            "1 message released\n"
        );
        queue(&relay, &["flush", "--user", "alice"])?;
        assert_eq!(sink.wait_for(2)?.len(), 2);
        assert!(refusal(&relay, &["hold"])?.contains("specify the messages"));
        Ok(())
    })
}

#[test]
fn messages_are_deleted_only_by_who_is_sure_and_are_counted() -> Result<()> {
    in_a_lab(|lab| {
        let relay = relay_with_a_queue(lab)?;
        let error = refusal(&relay, &["delete", "--user", "alice"])?;
        assert!(error.contains("2 messages") && error.contains("add --yes"), "{error}");
        assert_eq!(list(&relay, &[])?.len(), 3);
        let result = queue(&relay, &["delete", "--user", "alice", "--yes", "--json"])?;
        let result: Value = serde_json::from_str(&result)?;
        assert_eq!((&result["action"], &result["count"]), (&"delete".into(), &2.into()));
        assert_eq!(list(&relay, &[])?.len(), 1);
        assert!(refusal(&relay, &["delete", "--yes"])?.contains("specify the messages"));
        assert_eq!(queue(&relay, &["delete", "--all", "--yes"])?, "1 message deleted\n");
        assert_eq!(queue(&relay, &["list"])?, "no messages\n");
        Ok(())
    })
}
