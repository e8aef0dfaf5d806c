//! Who tries to send far more than allowed is suspended, and the operator is told.

use std::net::SocketAddr;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use relay_tests::lab::{Lab, RELAY, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::smtp::{Client, Mechanism, Reply};
use relay_tests::webhook::{Answer, Webhook};

use crate::limits::{PASSWORD, assert_limited, send, start_with_alice};

const WEBHOOK: SocketAddr = SocketAddr::new(RELAY, 8099);

/// A relay on which more than three recipients an hour are a sign of theft.
fn suspending<'lab>(lab: &'lab Lab, webhook: &Webhook) -> Result<Relay<'lab>> {
    let url = format!("http://{}/hook?token=canary-webhook-token", webhook.address);
    lab.evidence.secret("canary-webhook-token");
    let settings = lab.relay().env("SUSPEND_AFTER", "3/day").env("ALERT_WEBHOOK", &url);
    start_with_alice(settings, &[])
}

/// Sends until Alice is suspended, and returns a session that was logged in before.
fn pass_the_ceiling(relay: &Relay<'_>) -> Result<Client> {
    let open = relay.login(STRANGER, 465, "alice", PASSWORD)?;
    for _ in 0..3 {
        send(relay)?.expect(250)?;
    }
    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
    client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
    client.command("RCPT TO:<bob@recipient.test>")?.expect(250)?;
    assert_suspended(&client.data(&message("one too many"))?);
    Ok(open)
}

fn assert_suspended(reply: &Reply) {
    assert_eq!((reply.code, reply.enhanced()), (554, Some("5.7.1")), "{reply}");
    assert!(reply.to_string().contains("suspended"), "{reply}");
}

fn login_code(relay: &Relay<'_>) -> Result<u16> {
    Ok(relay.session(STRANGER, 587)?.login(Mechanism::Plain, "alice", PASSWORD)?.code)
}

fn suspensions(relay: &Relay<'_>) -> Result<String> {
    relay.sidecar()?.metric("relay_users_suspended_total")
}

#[test]
fn who_passes_the_ceiling_is_suspended_until_enabled() -> Result<()> {
    in_a_lab(|lab| {
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Status(204)])?;
        let relay = suspending(lab, &webhook)?;
        assert_eq!(suspensions(&relay)?, "0");
        let mut open = pass_the_ceiling(&relay)?;

        // Neither a new login nor an open session helps.
        let reply = open.send("alice@example.org", &["bob@recipient.test"], &message("x"))?;
        assert_suspended(&reply);
        assert_eq!(login_code(&relay)?, 535);
        let shown = relay.manage_user(&["show", "alice"], "")?;
        assert!(shown.contains("state     suspended"), "{shown}");
        let output = relay.sidecar()?.output_with("result=user_suspended")?;
        let errors: Vec<&str> = output.lines().filter(|line| line.contains("ERROR")).collect();
        assert_eq!(errors.len(), 1, "{errors:#?}");
        assert!(errors[0].contains("user=alice client=198.51.100.7"), "{errors:?}");
        assert!(errors[0].contains("relay user enable alice"), "{errors:?}");
        assert_eq!(suspensions(&relay)?, "1");

        let said = relay.manage_user(&["enable", "alice"], "")?;
        assert!(said.contains("alice enabled"), "{said}");
        for _ in 0..3 {
            send(&relay)?.expect(250)?;
        }
        assert_suspended(&send(&relay)?);
        assert_eq!(suspensions(&relay)?, "2");
        assert_eq!(webhook.wait_for(2)?.len(), 2);
        Ok(())
    })
}

#[test]
fn a_suspension_is_still_there_after_the_sidecar_was_killed() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = start_with_alice(lab.relay().env("SUSPEND_AFTER", "3/day"), &[])?;
        drop(pass_the_ceiling(&relay)?);
        relay.sidecar.take().context("no sidecar")?.kill();
        relay.start()?;
        assert_eq!(login_code(&relay)?, 535);
        Ok(())
    })
}

#[test]
fn a_ceiling_of_times_the_limit_counts_what_was_refused() -> Result<()> {
    in_a_lab(|lab| {
        let settings = lab.relay().env("RATE_LIMIT_USER", "2/day").env("SUSPEND_AFTER", "2x");
        let relay = start_with_alice(settings, &[])?;
        for _ in 0..2 {
            send(&relay)?.expect(250)?;
        }
        for _ in 0..2 {
            assert_limited(&send(&relay)?, "2/day");
        }
        assert_suspended(&send(&relay)?);
        // The suspension can be lifted; the limit is still used up.
        relay.manage_user(&["enable", "alice"], "")?;
        assert_limited(&send(&relay)?, "2/day");
        Ok(())
    })
}

#[test]
fn the_webhook_is_told_once_and_again_until_it_takes_it() -> Result<()> {
    in_a_lab(|lab| {
        let answers = [Answer::Status(500), Answer::Status(200)];
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &answers)?;
        let relay = suspending(lab, &webhook)?;
        drop(pass_the_ceiling(&relay)?);
        let posts = webhook.wait_for(2)?;
        let waited = posts[1].at - posts[0].at;
        assert!(waited >= Duration::from_millis(900), "tried again after {waited:?}");
        for post in &posts {
            assert!(post.head.starts_with("POST /hook?token=canary-webhook-token "), "{post:?}");
            let head = post.head.to_ascii_lowercase();
            assert!(head.contains("content-type: application/json"), "{post:?}");
            let body = &post.body;
            assert_eq!(body["event"], "user_suspended", "{body}");
            assert_eq!(body["user"], "alice", "{body}");
            assert_eq!(body["client"], STRANGER.to_string(), "{body}");
            assert!(body["time"].is_u64(), "{body}");
            let text = body["text"].as_str().context("no text")?;
            assert!(text.contains("relay user enable alice"), "{text}");
        }
        // What is taken is not told again.
        sleep(Duration::from_secs(2));
        assert_eq!(webhook.posts().len(), 2);
        Ok(())
    })
}

#[test]
fn mail_does_not_wait_for_a_webhook_that_hangs() -> Result<()> {
    in_a_lab(|lab| {
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Hang])?;
        let mut relay = suspending(lab, &webhook)?;
        relay.add_user("carol", PASSWORD)?;
        let started = Instant::now();
        drop(pass_the_ceiling(&relay)?);
        webhook.wait_for(1)?;
        for _ in 0..3 {
            let mut client = relay.login(STRANGER, 587, "carol", PASSWORD)?;
            client.send("c@example.org", &["bob@recipient.test"], &message("x"))?.expect(250)?;
        }
        // A try is given up after ten seconds; all this fits into less.
        assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
        let stopping = Instant::now();
        relay.sidecar.take().context("no sidecar")?.stop()?;
        assert!(stopping.elapsed() < Duration::from_secs(8), "{:?}", stopping.elapsed());
        Ok(())
    })
}
