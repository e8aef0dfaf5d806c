//! The monitoring that comes with the relay, as real Prometheus and promtool see it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use relay_tests::authority::Authority;
use relay_tests::lab::{HOME, Lab, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::prometheus::{Prometheus, deploy, promtool};
use relay_tests::relay::Relay;
use relay_tests::sidecar::{GROUP, USER};
use relay_tests::smtp::Mechanism;
use relay_tests::wait::{A_WHILE, until};
use serde_json::Value;

const PASSWORD: &str = "correct horse battery";

#[test]
fn promtool_accepts_the_configuration_and_every_alert_fires_when_it_has_to() -> Result<()> {
    promtool(&["check", "config", "prometheus.yml"], "")?;
    promtool(&["check", "rules", "relay.rules.yml"], "")?;
    promtool(&["test", "rules", "relay.test.yml"], "")?;
    let tests = std::fs::read_to_string(deploy().join("prometheus/relay.test.yml"))?;
    let rules = std::fs::read_to_string(deploy().join("prometheus/relay.rules.yml"))?;
    let alerts: Vec<&str> =
        rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts.len(), rules.matches("runbook:").count(), "one runbook for each alert");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} is never tested");
    }
    Ok(())
}

/// A relay that has sent a message, has another that waits, and has refused a login and a stranger.
fn busy_relay(lab: &Lab) -> Result<Relay<'_>> {
    let relay = lab.relay_to_sink().start()?;
    relay.add_user("alice", PASSWORD)?;
    let sink = lab.sink()?;
    let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
    client.send("alice@example.org", &["bob@example.net"], &message("sent"))?.expect(250)?;
    sink.one_message()?;
    drop(sink);
    let mut client = relay.session(HOME, 25)?;
    client.send("home@example.org", &["bob@example.net"], &message("waits"))?.expect(250)?;
    let mut client = relay.session(STRANGER, 587)?;
    client.login(Mechanism::Plain, "alice", "wrong")?.expect(535)?;
    client.command("MAIL FROM:<x@example.org>")?.expect(250)?;
    client.command("RCPT TO:<y@example.net>")?.expect(554)?;
    until("the message that waits in the metrics", A_WHILE, || {
        let page = relay.sidecar().ok()?.get("/metrics").ok()?;
        page.contains("relay_queue_oldest_age_seconds{queue=\"deferred\"}").then_some(())
    })?;
    Ok(relay)
}

/// The queries of every panel, with Grafana's variables as it would fill them in.
fn dashboard_queries() -> Result<Vec<String>> {
    let text = std::fs::read_to_string(deploy().join("grafana/relay.json"))?;
    let dashboard: Value = serde_json::from_str(&text)?;
    let panels =
        dashboard.get("panels").and_then(Value::as_array).context("the dashboard has no panels")?;
    let targets = panels.iter().filter_map(|panel| panel.get("targets")?.as_array()).flatten();
    let queries = targets.map(|target| {
        let query =
            target.get("expr").and_then(Value::as_str).context("a target without a query")?;
        Ok(query.replace("$__rate_interval", "1m").replace("$instance", ".*"))
    });
    queries.collect()
}

/// The names of the relay's metrics in a text.
fn metrics_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let names = words.filter(|word| word.starts_with("relay_") || word.starts_with("process_"));
    names.map(|name| name.trim_end_matches("_bucket").to_owned()).collect()
}

#[test]
fn prometheus_scrapes_a_relay_runs_every_rule_and_answers_every_query() -> Result<()> {
    in_a_lab(|lab| {
        let relay = busy_relay(lab)?;
        let page = relay.sidecar()?.get("/metrics")?;
        let (_, metrics) = page.split_once("\r\n\r\n").context("no body")?;
        promtool(&["check", "metrics"], metrics)?;

        let folder = lab.evidence.directory()?.join("prometheus");
        let log = lab.evidence.log("prometheus.log")?;
        let prometheus = Prometheus::start(relay.namespace(), &folder, &log, "")?;
        let rules = until("every rule to be evaluated", A_WHILE, || {
            let rules = prometheus.rules().ok()?;
            (!rules.iter().any(|rule| rule["health"] == "unknown")).then_some(rules)
        })?;
        assert_eq!(rules.len(), 12);
        for rule in &rules {
            ensure!(rule["health"] == "ok", "{rule}");
        }
        // Nothing is wrong with this relay. Before the first scrape there was nothing to tell so.
        until("every alert to be quiet", A_WHILE, || {
            prometheus.query("ALERTS").ok()?.is_empty().then_some(())
        })?;

        // A rate needs two scrapes.
        until("two scrapes", A_WHILE, || {
            let scrapes = prometheus.query("count_over_time(up[1m]) >= 3").ok()?;
            (!scrapes.is_empty()).then_some(())
        })?;
        let documentation =
            metrics_in(&std::fs::read_to_string(deploy().join("../docs/metrics.md"))?);
        let queries = dashboard_queries()?;
        assert!(queries.len() > 30, "{} queries", queries.len());
        for query in queries {
            ensure!(!prometheus.query(&query)?.is_empty(), "no data: {query}");
            assert!(metrics_in(&query).is_subset(&documentation), "unknown metric: {query}");
        }
        let rules = std::fs::read_to_string(deploy().join("prometheus/relay.rules.yml"))?;
        let unknown: Vec<_> = metrics_in(&rules).difference(&documentation).cloned().collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        Ok(())
    })
}

#[test]
fn metrics_behind_a_token_and_tls_are_scraped_by_who_has_both() -> Result<()> {
    in_a_lab(|lab| {
        const TOKEN: &str = "0123456789abcdef";
        lab.evidence.secret(TOKEN);
        let mut relay = lab.relay().build()?;
        let authority = Authority::new()?;
        let [certificate, key] =
            ["metrics.pem", "metrics.key"].map(|name| relay.users().join(name));
        authority.write_pair("relay.test", &certificate, &key)?;
        for path in [&certificate, &key] {
            std::os::unix::fs::chown(path, Some(USER), Some(GROUP))?;
        }
        relay.set_sidecar_env("METRICS_TOKEN", TOKEN);
        relay.set_sidecar_env("METRICS_TLS_CERT", &certificate.display().to_string());
        relay.set_sidecar_env("METRICS_TLS_KEY", &key.display().to_string());
        let _sidecar = relay.place().spawn(&lab.evidence.log("sidecar.log")?)?;
        until("the health check to succeed over TLS", A_WHILE, || {
            let checked = relay.place().run(&["healthcheck"], "").ok()?;
            checked.status.success().then_some(())
        })?;

        let access = |token: &str| {
            format!(
                "    scheme: https\n    tls_config: {{ca_file: ca.pem, server_name: relay.test}}\n    \
                 authorization: {{credentials: {token}}}\n"
            )
        };
        let start = |name: &str, token: &str| {
            let folder = lab.evidence.directory()?.join(name);
            std::fs::create_dir_all(&folder)?;
            authority.write_certificate(&folder.join("ca.pem"))?;
            let log = lab.evidence.log(&format!("{name}.log"))?;
            Prometheus::start(relay.namespace(), &folder, &log, &access(token))
        };
        let prometheus = start("prometheus", TOKEN)?;
        assert!(!prometheus.query("relay_build_info")?.is_empty());
        drop(prometheus);
        assert!(start("stranger", "0123456789abcdee").is_err());
        Ok(())
    })
}
