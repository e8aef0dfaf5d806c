//! What the metrics tell of a relay: of mail, of Postfix, and of what is not known.

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::wait::{A_WHILE, until};

const PASSWORD: &str = "correct horse battery";

fn page(relay: &Relay<'_>) -> Result<String> {
    relay.sidecar()?.get("/metrics")
}

/// Waits until the page has all of these lines.
fn wait_for(relay: &Relay<'_>, lines: &[&str]) -> Result<String> {
    let mut missing = lines.to_vec();
    until(&format!("{lines:?} in the metrics"), A_WHILE, || {
        let page = page(relay).ok()?;
        missing.retain(|wanted| !page.lines().any(|line| line.starts_with(*wanted)));
        missing.is_empty().then_some(page)
    })
}

#[test]
fn mail_is_counted_by_client_and_user_and_where_it_went() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab.relay_to_sink().start()?;
        relay.add_user("alice", PASSWORD)?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let recipients = ["bob@example.net", "carol@example.net"];
        client.send("alice@example.org", &recipients, &message("one"))?.expect(250)?;
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.org", &["bob@example.net"], &message("two"))?.expect(250)?;
        sink.wait_for(2)?;
        let page = wait_for(
            &relay,
            &[
                "relay_messages_total{client=\"user\"} 1",
                "relay_messages_total{client=\"network\"} 1",
                "relay_recipients_total{client=\"user\"} 2",
                "relay_user_messages_total{user=\"alice\"} 1",
                "relay_user_recipients_total{user=\"alice\"} 2",
                "relay_user_messages_total{user=\"other\"} 0",
                "relay_deliveries_by_class_total{class=\"2\",status=\"sent\"} 3",
                "relay_deliveries_by_next_hop_total{next_hop=\"smarthost\",status=\"sent\",tls=\"no\"} 3",
                "relay_delivery_delay_seconds_count{next_hop=\"smarthost\",stage=\"in_queue\"} 3",
                "relay_decision_duration_seconds_count{service=\"milter\"} 2",
                "relay_login_cache_lookups_total{result=\"miss\"} 1",
                "relay_suspended_users 0",
                "relay_blocked_addresses 0",
                "process_resident_memory_bytes ",
                "relay_database_readers ",
                "relay_postfix_up 1",
                "relay_postfix_info{version=\"3.",
                "relay_queue_messages{queue=\"deferred\"} 0",
                "relay_queue_volume_free_bytes ",
                "relay_certificate_expiry_timestamp_seconds{use=\"server\"} ",
                "relay_postfix_deliveries_uncounted_total 0",
            ],
        )?;
        // An empty queue has no oldest message.
        assert!(!page.contains("\nrelay_queue_oldest_age_seconds{queue=\"deferred\"}"), "{page}");
        Ok(())
    })
}

#[test]
fn what_the_sidecar_missed_is_no_zero_and_what_waits_has_an_age() -> Result<()> {
    in_a_lab(|lab| {
        // Nobody listens at the next hop yet.
        let mut relay = lab.relay_to_sink().start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("home@example.org", &["bob@example.net"], &message("late"))?.expect(250)?;
        wait_for(
            &relay,
            &[
                "relay_queue_messages{queue=\"deferred\"} 1",
                "relay_queue_oldest_age_seconds{queue=\"deferred\"} ",
            ],
        )?;
        relay.sidecar.take().context("no sidecar")?.stop()?;
        let sink = lab.sink()?;
        relay.postfix()?.exec(&["/usr/bin/relay-init", "queue", "flush"])?;
        sink.one_message()?;
        let postfix = relay.postfix.take().context("no Postfix")?;
        relay.start_sidecar()?;
        let page = page(&relay)?;
        for unknown in ["relay_queue_messages{", "relay_postfix_up ", "relay_postfix_info{"] {
            assert!(!page.contains(&format!("\n{unknown}")), "{unknown} in {page}");
        }
        wait_for(
            &relay,
            &[
                "relay_postfix_up 1",
                "relay_postfix_deliveries_uncounted_total 1",
                "relay_queue_messages{queue=\"deferred\"} 0",
                "relay_deliveries_total{cause=\"none\",status=\"sent\"} 0",
            ],
        )?;
        // Gone without a word, as with its container.
        postfix.kill()?;
        let page = until("the metrics to say that Postfix is gone", 2 * A_WHILE, || {
            self::page(&relay).ok().filter(|page| page.contains("\nrelay_postfix_up 0\n"))
        })?;
        assert!(page.contains("\nrelay_queue_messages{queue=\"deferred\"} 0\n"), "{page}");
        Ok(())
    })
}
