//! No password shows anywhere. Every lab looks through its logs at the end; this one gives them cause.

use anyhow::Result;
use relay_tests::lab::{SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::smtp::Mechanism;

const RIGHT: &str = "canary-right-27182818";
const WRONG: &str = "canary-wrong-31415926";
const RELAYHOST: &str = "canary-relayhost-14142135";
const FROM_ENVIRONMENT: &str = "canary-environment-16180339";

#[test]
fn no_password_shows_in_logs_metrics_or_arguments() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        lab.evidence.secret(WRONG);
        let relay = lab
            .relay()
            .env("LOG_LEVEL", "debug")
            .env("RELAYHOST", SINK_RELAYHOST)
            .env("SMTP_USERNAME", "home")
            .env("SMTP_PASSWORD", FROM_ENVIRONMENT)
            .start()?;
        relay.add_user("alice", RIGHT)?;
        for mechanism in Mechanism::ALL {
            let mut client = relay.session(STRANGER, 587)?;
            client.login(mechanism, "alice", WRONG)?.expect(535)?;
            client.login(mechanism, "alice", RIGHT)?.expect(235)?;
            client.send("alice@example.org", &["bob@example.net"], &message("ok"))?.expect(250)?;
        }
        // And in clear, where nobody asked for it.
        relay.connect(STRANGER, 25)?.login(Mechanism::Plain, "alice", RIGHT)?;
        relay.login(STRANGER, 465, "home", FROM_ENVIRONMENT)?;
        for arguments in [["list", "--json"].as_slice(), &["show", "alice", "--json"]] {
            let page = relay.manage_user(arguments, "")?;
            assert!(!page.contains("argon2"), "{page}");
        }
        let metrics = relay.sidecar()?.get("/metrics")?;
        assert!(!metrics.contains("canary") && !metrics.contains("bob"), "{metrics}");
        // The name of a user shows where users are counted by name, and nowhere else.
        let mut with_name = metrics.lines().filter(|line| line.contains("alice"));
        assert!(with_name.all(|line| line.starts_with("relay_user_")), "{metrics}");
        sink.wait_for(Mechanism::ALL.len())?;
        Ok(())
    })
}

#[test]
fn the_smarthosts_password_is_in_no_log_and_not_in_main_cf() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab
            .relay()
            .env("LOG_LEVEL", "debug")
            .env("RELAYHOST", "[smarthost.test]:587")
            .env("RELAYHOST_USERNAME", "relay")
            .env("RELAYHOST_PASSWORD", RELAYHOST)
            .start()?;
        let main_cf = relay.postfix()?.exec(&["/usr/sbin/postconf", "-n"])?;
        assert!(!String::from_utf8(main_cf.stdout)?.contains(RELAYHOST));
        Ok(())
    })
}
