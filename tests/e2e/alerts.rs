//! An operator without Prometheus is told what needs a human, by webhook and by mail.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, ensure};
use relay_tests::authority::Authority;
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, RELAY, SINK_RELAYHOST, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::{Builder, Relay};
use relay_tests::wait::until;
use relay_tests::webhook::{Answer, Webhook};

const WEBHOOK: SocketAddr = SocketAddr::new(RELAY, 8099);
/// The report comes every ten seconds, and is looked at every fifteen.
const SOON: Duration = Duration::from_secs(60);

fn settings(lab: &Lab) -> Builder<'_> {
    lab.relay().env("RELAYHOST", SINK_RELAYHOST)
}

fn alert_test(relay: &Relay<'_>) -> Result<(Option<i32>, String, String)> {
    let output = relay.place().run(&["alert", "test"], "")?;
    let text = |bytes| String::from_utf8(bytes);
    Ok((output.status.code(), text(output.stdout)?, text(output.stderr)?))
}

#[test]
fn a_test_goes_to_the_webhook_and_by_mail_to_nobody_but_the_operator() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Status(200)])?;
        let url = format!("http://{WEBHOOK}/services/x");
        let relay = settings(lab)
            .env("ALERT_WEBHOOK", &url)
            .env("ALERT_FORMAT", "slack")
            .env("ALERT_MAIL", "you@example.net, me@example.com")
            .start()?;
        let (code, said, complaint) = alert_test(&relay)?;
        ensure!(code == Some(0), "{said}{complaint}");
        ensure!(said.contains("ALERT_WEBHOOK: taken") && said.contains("ALERT_MAIL: handed"));
        let post = webhook.wait_for(1)?.remove(0);
        ensure!(post.body["text"].as_str().is_some_and(|text| text.contains("test")), "{post:?}");
        let mail = sink.wait_for(1)?.remove(0);
        ensure!(mail.sender.is_empty(), "{mail:?}");
        let mut recipients = mail.recipients.clone();
        recipients.sort();
        ensure!(recipients == ["me@example.com", "you@example.net"], "{recipients:?}");
        let text = String::from_utf8(mail.data)?;
        for expected in [
            "From: relay <mailer-daemon@relay.test>\r\n",
            "To: you@example.net,\r\n",
            "Subject: relay.test: test\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "\r\nDate: ",
            "\r\nMessage-Id: <",
            "\r\n\r\nThis is a test",
        ] {
            ensure!(text.contains(expected), "{expected:?} is not in {text}");
        }
        Ok(())
    })
}

#[test]
fn a_test_that_arrives_nowhere_says_so() -> Result<()> {
    in_a_lab(|lab| {
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Status(403)])?;
        let url = format!("http://{WEBHOOK}/?token=canary-webhook-token");
        lab.evidence.secret("canary-webhook-token");
        let mut relay = settings(lab).env("ALERT_WEBHOOK", &url).build()?;
        relay.start_sidecar()?;
        let (code, said, complaint) = alert_test(&relay)?;
        ensure!(code == Some(1) && said.contains("the webhook answered 403"), "{said}");
        ensure!(complaint.contains("not every channel took the test"), "{complaint}");
        webhook.wait_for(1)?;
        relay.sidecar.take().context("it runs")?.stop()?;
        let mut without = settings(lab).build()?;
        without.start_sidecar()?;
        let (code, _, complaint) = alert_test(&without)?;
        ensure!(code == Some(7) && complaint.contains("set ALERT_WEBHOOK"), "{complaint}");
        Ok(())
    })
}

#[test]
fn a_certificate_that_ends_soon_is_told_of_once() -> Result<()> {
    in_a_lab(|lab| {
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Status(200)])?;
        let url = format!("http://{WEBHOOK}/hook");
        let mut relay = settings(lab)
            .env("ALERT_WEBHOOK", &url)
            .env("TLS_CERT", "/certs/cert.pem")
            .env("TLS_KEY", "/certs/key.pem")
            .build()?;
        let end = SystemTime::now() + Duration::from_secs(10 * 86_400 - 3_600);
        let (certificate, key) = (relay.certs().join("cert.pem"), relay.certs().join("key.pem"));
        Authority::new()?.write_pair_until(end, "relay.test", &certificate, &key)?;
        relay.start()?;
        let post = until("an alert about the certificate", SOON, || webhook.posts().pop())?;
        ensure!(post.body["event"] == "certificate_ends" && post.body["what"] == "server");
        ensure!(post.body["state"] == "raised" && post.body["host"] == "relay.test", "{post:?}");
        let output = relay.sidecar()?.output_with("ends in 9 days")?;
        ensure!(output.contains("event=\"certificate_ends\""), "{output}");
        // Two more looks at the same certificate.
        std::thread::sleep(Duration::from_secs(31));
        ensure!(webhook.posts().len() == 1, "{:?}", webhook.posts());
        Ok(())
    })
}

#[test]
fn a_webhook_that_is_away_delays_nothing_and_is_told_when_it_is_back() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = settings(lab)
            .env("ALLOWED_NETWORKS", HOME_NETWORK)
            .env("ALERT_WEBHOOK", &format!("http://{WEBHOOK}/"))
            .env("ALERT_MAIL", "you@example.net")
            .env("SUSPEND_AFTER", "1/day")
            .start()?;
        // What waits there names users, and whoever takes it keeps it from being mailed.
        let mode = std::fs::metadata(relay.socket("alerts.sock"))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        relay.add_user("alice", "correct horse battery")?;
        for _ in 0..2 {
            let mut client = relay.login(HOME, 587, "alice", "correct horse battery")?;
            client.send("alice@example.org", &["bob@example.net"], &message("too many"))?;
        }
        relay.sidecar()?.output_with("alert not delivered, retrying")?;
        let started = Instant::now();
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.org", &["bob@example.net"], &message("x"))?.expect(250)?;
        sink.wait_for(2)?;
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        let webhook = Webhook::listen(&lab.namespace, WEBHOOK, &[Answer::Status(200)])?;
        assert_eq!(webhook.wait_for(1)?[0].body["event"], "user_suspended");
        // The mail comes although the socket is root's alone.
        sink.wait_for(3)?;
        Ok(())
    })
}
