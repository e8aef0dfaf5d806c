//! Moving to another host, with the commands of docs/operations.md: two stacks that share nothing but what is carried over.

use std::process::Command;

use anyhow::{Result, ensure};
use relay_tests::wait;

use crate::command::{docker, output_of};
use crate::stack::{DELIVERY, Stack, with_a_checkout, with_a_stack};

const MESSAGES: usize = 3;
const ALICE: (&str, &str) = ("alice", "canary-of-alice-4711");
const ENV: [&str; 2] = ["RELAY_MYHOSTNAME=relay.example.org", "RELAYHOST=[sink]:25"];

#[test]
fn users_keys_counters_certificate_and_waiting_mail_come_along() -> Result<()> {
    with_a_stack(&ENV, |old| {
        old.add_user(ALICE.0, ALICE.1)?;
        old.exec("sidecar", &["relay", "user", "set", ALICE.0, "--limit", "messages=100/day"])?;
        old.exec("sidecar", &["relay", "dkim", "add", "example.org"])?;
        let keys = old.exec("sidecar", &["relay", "dkim", "list"])?;
        old.pause_sink(true)?;
        for _ in 0..MESSAGES {
            let (accepted, said) = old.swaks(&["--to", "bob@example.net"], ALICE, 587)?;
            ensure!(accepted, "{said}");
        }
        let certificate = certificate(old)?;
        let used = format!("100/day: {MESSAGES} used");
        let show = ["relay", "user", "show", ALICE.0];
        // What is counted is in the database within a second.
        wait::until("what was sent to be in the database", DELIVERY, || {
            old.exec("sidecar", &show).ok()?.contains(&used).then_some(())
        })?;
        let backup = ["exec", "-T", "sidecar", "relay", "backup", "-"];
        let backup = old.compose(&backup, b"")?;
        old.compose(&["stop"], b"")?;
        let volumes = tar(old, &["-C", "/", "-c", "q", "c"], b"")?;

        with_a_checkout(&ENV, |new| {
            new.compose(&["create"], b"")?;
            tar(new, &["-C", "/", "-xp"], &volumes)?;
            let restore = ["run", "--rm", "-T", "--no-deps", "sidecar", "restore", "-"];
            new.compose(&restore, &backup)?;
            new.up()?;

            assert_eq!(new.arrived(MESSAGES)?.len(), MESSAGES);
            assert_eq!(new.exec("sidecar", &["relay", "dkim", "list"])?, keys);
            let shown = new.exec("sidecar", &show)?;
            ensure!(shown.contains(&used), "{shown}");
            ensure!(self::certificate(new)? == certificate, "clients have pinned another one");
            let (accepted, said) = new.swaks(&["--to", "bob@example.net"], ALICE, 465)?;
            ensure!(accepted, "{said}");
            new.arrived(MESSAGES + 1)?;
            Ok(())
        })
    })
}

/// tar in a container that has the queue's and the certificate's volume.
fn tar(stack: &Stack, arguments: &[&str], input: &[u8]) -> Result<Vec<u8>> {
    let mut command = Command::new("docker");
    command.args(["run", "--rm", "-i"]);
    for (volume, place) in [("queue", "/q"), ("certs", "/c")] {
        command.args(["-v", &format!("{}:{place}", stack.volume(volume))]);
    }
    command.args(["debian:trixie-slim", "tar"]).args(arguments);
    output_of(command, input)
}

fn certificate(stack: &Stack) -> Result<String> {
    let container = stack.container("postfix")?;
    docker(&["cp", &format!("{container}:/var/lib/relay-tls/cert.pem"), "-"])
}
