//! LOG_DETAIL=messages on real Postfix: one line for a message, one for a delivery, and every refusal.

use anyhow::Result;
use relay_tests::lab::{HOME, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::wait::{A_WHILE, until};
use serde_json::Value;

/// Two messages, one refusal, and the lines of Postfix's programs once both have left; none of master's
/// or of relay-init's.
fn lines(relay: &Relay<'_>) -> Result<Vec<String>> {
    let user = "alice@example.org";
    relay.add_user(user, "correct horse battery")?;
    let mut client = relay.login(STRANGER, 587, user, "correct horse battery")?;
    client.send(user, &["bob@example.net", "carol@example.net"], &message("one"))?.expect(250)?;
    client.quit()?;
    let mut client = relay.session(HOME, 25)?;
    client.send(user, &["bob@example.net"], &message("two"))?.expect(250)?;
    client.quit()?;
    let mut client = relay.session(STRANGER, 25)?;
    client.command("MAIL FROM:<eve@example.com>")?.expect(250)?;
    client.command("RCPT TO:<bob@example.net>")?.expect(554)?;
    client.quit()?;
    let lines = until("the refusal and both messages in the log", A_WHILE, || {
        let log = relay.postfix().ok()?.output();
        let lines: Vec<String> = log.lines().map(str::to_owned).collect();
        let count = |word| lines.iter().filter(|line| line.contains(word)).count();
        (count("status=sent") == 3 && count("reject: RCPT") == 1).then_some(lines)
    })?;
    let program = |line: &String| {
        ["smtpd[", "cleanup[", "qmgr[", "smtp["].iter().any(|name| line.contains(name))
            || line.contains("\"queue_id\"")
    };
    Ok(lines.into_iter().filter(program).collect())
}

#[test]
fn a_message_takes_one_line_and_each_recipient_another() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = lab.relay_to_sink().postfix_env("LOG_DETAIL", "messages").start()?;
        let lines = lines(&relay)?;
        let queued: Vec<&String> = lines.iter().filter(|line| line.contains("nrcpt=")).collect();
        assert_eq!((queued.len(), lines.len()), (2, 2 + 3 + 1), "{lines:#?}");
        for (line, words) in [
            (queued[0], ["[198.51.100.7]", "sasl_username=alice@example.org", "nrcpt=2"]),
            (queued[1], ["[203.0.113.5]", "from=<alice@example.org>", "message-id=<two@"]),
        ] {
            assert!(words.iter().all(|word| line.contains(word)), "{words:?} in {line}");
        }
        Ok(())
    })
}

#[test]
fn the_fields_of_the_line_are_in_json_too() -> Result<()> {
    in_a_lab(|lab| {
        let _sink = lab.sink()?;
        let relay = lab
            .relay_to_sink()
            .env("LOG_FORMAT", "json")
            .postfix_env("LOG_DETAIL", "messages")
            .start()?;
        let lines = lines(&relay)?;
        let queued = lines.iter().find(|line| line.contains("\"nrcpt\"")).map(String::as_str);
        let queued: Value = serde_json::from_str(queued.unwrap_or_default())?;
        assert_eq!(queued["sasl_username"], "alice@example.org", "{queued}");
        assert_eq!((&queued["from"], &queued["nrcpt"]), (&"alice@example.org".into(), &2.into()));
        assert!(
            queued["client"].as_str().is_some_and(|client| client.contains(&STRANGER.to_string()))
        );
        Ok(())
    })
}
