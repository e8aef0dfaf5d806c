//! `docker compose down` and `up` again: nothing a user or a sender relies on is lost.

use anyhow::Result;

use crate::command::docker;
use crate::stack::{Stack, with_a_stack};

const MESSAGES: usize = 5;
const ALICE: (&str, &str) = ("alice", "canary-of-alice-1729");

/// The next hop holds deliveries open, so that the queue is full when the stack goes down: it leaves by
/// itself only if Postfix's master may wake the queue manager.
#[test]
fn users_certificate_and_queued_mail_survive() -> Result<()> {
    let env = ["RELAY_MYHOSTNAME=relay.example.org", "RELAYHOST=[sink]:25"];
    with_a_stack(&env, |stack| {
        stack.add_user(ALICE.0, ALICE.1)?;
        let before = certificate(stack)?;
        stack.pause_sink(true)?;
        for _ in 0..MESSAGES {
            let (accepted, said) = stack.swaks(&["--to", "bob@example.net"], ALICE, 587)?;
            assert!(accepted, "{said}");
        }
        let queue = stack.exec("postfix", &["postqueue", "-j"])?;
        assert_eq!(queue.lines().count(), MESSAGES, "{queue}");
        let list = ["relay-init", "queue", "list", "--user", ALICE.0];
        let listed = stack.exec("postfix", &list)?;
        assert_eq!(listed.matches("bob@example.net").count(), MESSAGES, "{listed}");

        stack.down()?;
        stack.pause_sink(false)?;
        stack.up()?;

        let arrived = stack.arrived(MESSAGES)?;
        assert_eq!(arrived.len(), MESSAGES);
        assert!(certificate(stack)? == before, "the certificate changed");
        let (accepted, said) = stack.swaks(&["--to", "bob@example.net"], ALICE, 465)?;
        assert!(accepted, "{said}");
        stack.arrived(MESSAGES + 1)?;
        Ok(())
    })
}

fn certificate(stack: &Stack) -> Result<String> {
    let container = stack.container("postfix")?;
    docker(&["cp", &format!("{container}:/var/lib/relay-tls/cert.pem"), "-"])
}
