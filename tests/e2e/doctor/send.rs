//! `relay doctor --send` takes the way of every message, and leaves no login behind.

use anyhow::{Result, ensure};
use relay_tests::lab::{SINK_RELAYHOST, in_a_lab};
use relay_tests::sink::Manner;
use relay_tests::wait::{A_WHILE, until};

use super::setup::{World, in_world, relay};
use super::words;

#[test]
fn a_message_is_followed_to_the_receivers_answer() -> Result<()> {
    in_a_lab(|lab| {
        let _world = World::new(lab, &[], "")?;
        let sink = lab.sink()?;
        let mut relay = in_world(relay(lab).env("RELAYHOST", SINK_RELAYHOST))?;
        relay.start()?;
        relay.add_user("alice", "correct horse battery")?;
        relay.manage_user(&["set", "alice", "--sender", "alice@example.org"], "")?;
        // Of a run that was killed long ago, and an operator's own.
        for (name, expires) in [("relay-doctor-0000beef", "1s"), ("relay-doctor-mine", "never")] {
            relay.add_user(name, "correct horse battery")?;
            let set = relay.user(&["set", name, "--expires", expires], "")?;
            ensure!(set.status.success(), "{name}: {}", words(&set));
        }
        until("a login to expire", A_WHILE, || {
            let shown = relay.manage_user(&["show", "relay-doctor-0000beef"], "").ok()?;
            shown.contains("expired").then_some(())
        })?;
        let send = ["doctor", "--send", "bob@example.net", "--at", "192.0.2.1"];

        let output = relay.place().run(&send, "")?;
        let said = words(&output);
        ensure!(output.status.success(), "{said}");
        ensure!(
            said.contains("the relay took the message from postmaster@example.org as "),
            "{said}"
        );
        ensure!(said.contains("took it for bob@example.net: 250 2.0.0 kept"), "{said}");
        let message = sink.one_message()?;
        ensure!(message.sender == "postmaster@example.org", "{message:?}");
        ensure!(
            String::from_utf8_lossy(&message.data).contains("Subject: A test of relay.example.org")
        );

        sink.behave(Manner::RefuseRecipients(
            "550 5.7.1 [192.0.2.1] Service refused, listed at spamhaus",
        ));
        let from = [&send[..], &["--from", "alice@example.org"]].concat();
        let output = relay.place().run(&from, "")?;
        let said = words(&output);
        ensure!(output.status.code() == Some(11) && said.contains("bounced: "), "{said}");
        ensure!(said.contains("  → Spamhaus: "), "{said}");

        let users = relay.manage_user(&["list"], "")?;
        ensure!(users.contains("relay-doctor-mine"), "an operator's user is gone: {users}");
        ensure!(users.matches("relay-doctor").count() == 1, "a login is left: {users}");
        Ok(())
    })
}
