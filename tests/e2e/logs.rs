//! One line for each message and each refusal, with its reason; a peer cannot write lines of its own.

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, HOME_NETWORK, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::sasl::{Connection, plain};

#[test]
fn each_message_and_each_refusal_is_one_line_with_its_reason() -> Result<()> {
    in_a_lab(|lab| {
        let relay = lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &message("home"))?.expect(250)?;
        let mut client = relay.session(STRANGER, 25)?;
        client.send("mallory@example.org", &["bob@example.net"], b"no\r\n")?.expect(554)?;
        let log = relay.sidecar()?.output_with("policy action=refuse")?;
        for (words, count) in [
            (["policy", "permit", "network", "203.0.113.5"], 0),
            (["milter", "permit", "network", "to=<bob@example.net> "], 1),
            (["policy", "refuse", "not_allowed", "198.51.100.7"], 1),
            (["login", "accepted", "", ""], 0),
        ] {
            let lines = log.lines().filter(|line| words.iter().all(|word| line.contains(word)));
            assert_eq!(lines.count(), count, "{words:?} in:\n{log}");
        }
        Ok(())
    })
}

#[test]
fn json_lines_are_json_with_the_same_words() -> Result<()> {
    in_a_lab(|lab| {
        let relay =
            lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).env("LOG_FORMAT", "json").start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", &["bob@example.net"], &message("home"))?.expect(250)?;
        let mut lines = Vec::new();
        for line in relay.sidecar()?.output_with("\"network\"")?.lines() {
            let line: serde_json::Value =
                serde_json::from_str(line).with_context(|| format!("no JSON: {line}"))?;
            lines.push(line.to_string());
        }
        let decision = |line: &&String| line.contains("milter") && line.contains("\"network\"");
        assert_eq!(lines.iter().filter(decision).count(), 1, "{lines:?}");
        Ok(())
    })
}

#[test]
fn a_peer_cannot_forge_a_line_or_colour_the_terminal() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().env("LOG_LEVEL", "debug").build()?;
        relay.start_sidecar()?;
        let mut connection = Connection::ready(&relay.socket("sasl.sock"))?;
        let name = "alice\nFORGED login result=accepted\r\x1b[31m\u{202e}\u{85}";
        connection.send(plain(1, name, "x"))?;
        connection.line()?;
        connection
            .send("AUTH\t2\tPL\x1b[31mAIN\tservice=smtp\tsecured\trip=\x1b[31m\tresp=eA==\n")?;
        connection.line()?;
        // The second of two refusals.
        let log = relay.sidecar()?.output_with("result=unsupported_mechanism")?;
        assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
        let is_control = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!log.contains(is_control), "{log:?}");
        Ok(())
    })
}
