//! `DOCTOR_DAILY`: what became worse is told once, shown, and remembered over a restart.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use relay_tests::lab::{RELAY, in_a_lab};
use relay_tests::wait::until;
use relay_tests::webhook::{Answer, Webhook};
use serde_json::{Value, json};

use super::setup::{World, in_world, relay};

const WEBHOOK: SocketAddr = SocketAddr::new(RELAY, 8099);
/// Postfix reports every ten seconds, and it is looked as often whether a run is due.
const SOON: Duration = Duration::from_secs(60);

#[test]
fn what_became_worse_since_yesterday_is_told_and_shown() -> Result<()> {
    in_a_lab(|lab| {
        let zones = [
            ("zen.spamhaus.org", "1.2.0.192 A 127.0.0.2"),
            ("psbl.surriel.com", "1.2.0.192 A 127.0.0.2"),
        ];
        let _world = World::new(lab, &zones, "")?;
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Status(200)])?;
        let builder = relay(lab)
            .env("ALLOWED_SENDER_DOMAINS", "example.org")
            .sidecar_env("ALERT_WEBHOOK", &format!("http://{WEBHOOK}/"))
            .sidecar_env("DOCTOR_DAILY", "true");
        let mut relay = in_world(builder)?;
        // Yesterday the relay was on one list already, and had no key.
        let was = |check: &str, subject: &str, state: &str| json!({"check": check, "subject": subject, "state": state, "found": ""});
        let yesterday = json!({"time": 1_000, "findings": [
            was("lists", "PSBL 192.0.2.1", "warn"),
            was("lists", "Spamhaus ZEN 192.0.2.1", "ok"),
            was("dkim", "example.org", "warn"),
        ]});
        let file = relay.users().join("doctor.json");
        std::fs::write(&file, serde_json::to_vec(&yesterday)?)?;
        std::os::unix::fs::chown(
            &file,
            Some(relay_tests::sidecar::USER),
            Some(relay_tests::sidecar::GROUP),
        )?;
        relay.start()?;
        let post = until("an alert of the doctor", SOON, || {
            webhook.posts().into_iter().find(|post| post.body["event"] == "doctor")
        })?;
        let text = post.body["text"].as_str().context("no text")?;
        ensure!(post.body["title"] == "relay doctor found 1 thing to mend", "{post:?}");
        ensure!(text.contains("Spamhaus ZEN 192.0.2.1: listed"), "{text}");
        ensure!(text.contains("check.spamhaus.org") && !text.contains("PSBL"), "{text}");

        let status = relay.place().run(&["status", "--json"], "")?;
        let status: Value = serde_json::from_slice(&status.stdout)?;
        ensure!(status["checkup"]["can_mail_arrive"] == false, "{status}");
        let advice = status["checkup"]["advice"].to_string();
        ensure!(advice.contains("PSBL 192.0.2.1: listed"), "{advice}");
        let page = relay.sidecar()?.get("/")?;
        ensure!(page.contains("Receivers may refuse mail"), "{page}");
        ensure!(!page.contains("PSBL"), "the page shows domains to strangers");

        let kept: Value = serde_json::from_slice(&std::fs::read(&file)?)?;
        ensure!(kept["time"].as_u64().is_some_and(|time| time > 1_000), "{kept}");
        Ok(())
    })
}
