//! Who may send as whom: the envelope sender is checked at RCPT, the header's authors at the end.

use anyhow::{Context, Result};
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::message::message;
use relay_tests::relay::Relay;
use relay_tests::sink::Sink;
use relay_tests::smtp::{Client, Reply};

const PASSWORD: &str = "correct horse battery";
const BOB: &[&str] = &["bob@recipient.test"];

/// Alice may send as herself and as anybody of example.net.
const SENDERS: [&str; 4] = ["--sender", "alice@example.org", "--sender", "*@example.net"];

fn relay_with_alice<'lab>(lab: &'lab Lab, rights: &[&str]) -> Result<Relay<'lab>> {
    let relay = lab.relay().env("RELAYHOST", SINK_RELAYHOST).start()?;
    let said =
        relay.manage_user(&[&["add", "alice", "--password-stdin"], rights].concat(), PASSWORD)?;
    assert!(rights.is_empty() || said.contains("may send as alice@example.org, *@example.net"));
    Ok(relay)
}

/// A message with these header fields and no other author.
fn message_with(fields: &str) -> Vec<u8> {
    let fields = if fields.is_empty() { String::new() } else { format!("{fields}\r\n") };
    format!("{fields}To: bob@recipient.test\r\nSubject: hello\r\n\r\nhello\r\n").into_bytes()
}

/// 553 5.7.1, and the address that may not be used is named.
fn assert_refused(reply: &Reply, named: &str, what: &str) {
    assert_eq!((reply.code, reply.enhanced()), (553, Some("5.7.1")), "{what}: {reply}");
    assert!(reply.to_string().contains(named), "{what}: {named} is not named: {reply}");
}

/// Nothing else comes before the last message: the relay delivers in order of arrival, nearly; so each
/// message is looked at.
fn assert_only_arrived(sink: &Sink, expected: usize) -> Result<()> {
    let arrived = sink.wait_for(expected)?;
    assert_eq!(arrived.len(), expected, "{arrived:#?}");
    Ok(())
}

#[test]
fn the_envelope_sender_is_checked_at_rcpt() -> Result<()> {
    let allowed = [
        "alice@example.org",
        "Alice@EXAMPLE.org",
        "anybody@example.net",
        "a+tag@example.net",
        "\"two words\"@example.net",
        "",
    ];
    // What the client writes, and how the refusal names it.
    let refused = [
        ("bob@example.org", "<bob@example.org>"),
        ("alice+tag@example.org", "<alice+tag@example.org>"),
        ("alice@sub.example.org", "<alice@sub.example.org>"),
        ("anybody@sub.example.net", "<anybody@sub.example.net>"),
        ("anybody@notexample.net", "<anybody@notexample.net>"),
        ("alice@example.org.evil.test", "<alice@example.org.evil.test>"),
        ("alice%example.net@evil.test", "<alice%example.net@evil.test>"),
        ("\"alice@example.org\"@evil.test", "<alice@example.org@evil.test>"),
        ("*@example.org", "<*@example.org>"),
        ("alice@[192.0.2.1]", "<alice@[192.0.2.1]>"),
    ];
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &SENDERS)?;
        for (port, (sender, named)) in [587, 465].into_iter().cycle().zip(refused) {
            let mut client = relay.login(STRANGER, port, "alice", PASSWORD)?;
            client.command(&format!("MAIL FROM:<{sender}>"))?.expect(250)?;
            assert_refused(&client.command("RCPT TO:<bob@recipient.test>")?, named, sender);
        }
        for (port, sender) in [587, 465].into_iter().cycle().zip(allowed) {
            let mut client = relay.login(STRANGER, port, "alice", PASSWORD)?;
            let sent = message_with("From: alice@example.org");
            client.send(sender, BOB, &sent)?.expect(250).with_context(|| sender.to_owned())?;
        }
        assert_only_arrived(&sink, allowed.len())
    })
}

#[test]
fn a_sender_with_an_umlaut_is_its_a_label() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &[])?;
        relay.manage_user(&["set", "alice", "--sender", "*@bücher.example"], "")?;
        let smtputf8 = |relay: &Relay<'_>, sender: &str| -> Result<Reply> {
            let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
            client.command(&format!("MAIL FROM:<{sender}> SMTPUTF8"))?.expect(250)?;
            client.command("RCPT TO:<bob@recipient.test>")
        };
        smtputf8(&relay, "alice@bücher.example")?.expect(250)?;
        smtputf8(&relay, "älice@BÜCHER.example")?.expect(250)?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let sent = message_with("From: alice@xn--bcher-kva.example");
        client.send("alice@xn--bcher-kva.example", BOB, &sent)?.expect(250)?;
        assert_refused(&smtputf8(&relay, "alice@bucher.example")?, "bucher.example", "no umlaut");
        // Cyrillic letters that look the same.
        assert_eq!(smtputf8(&relay, "alice@bücher.ехаmple")?.code, 553);
        assert_only_arrived(&sink, 1)
    })
}

/// Header fields under which Alice may send.
const HEADERS_ALLOWED: [&str; 15] = [
    "From: alice@example.org",
    "from: Alice <ALICE@EXAMPLE.ORG>",
    "From: \"Smith, Alice\" <alice@example.org> (at work)",
    "From: \"mallory@evil.test\" <alice@example.org>",
    "From: (comment (in a comment) with mallory@evil.test) alice@example.org",
    "From: =?utf-8?q?Al=C3=ADce?= <alice@example.org>",
    "From: =?utf-8?b?bWFsbG9yeUBldmlsLnRlc3Q=?= <alice@example.org>",
    "From: Alice\r\n\t<alice@example.org>",
    "From:\r\n alice@example.org",
    "From: alice@example.org, Bob <bob@example.net>",
    "From: Us: alice@example.org, Bob <bob@example.net>;",
    "From: alice@example.org\r\nSender: office@example.net",
    "From: alice@example.org\r\nReply-To: mallory@evil.test",
    "From: alice@example.org\r\nX-From: mallory@evil.test\r\nResent-From: mallory@evil.test",
    // Postfix puts the envelope sender there.
    "",
];

/// Header fields under which she may not, and what the refusal names.
const HEADERS_REFUSED: [(&str, &str); 24] = [
    ("From: mallory@evil.test", "<mallory@evil.test>"),
    ("From: Alice <mallory@evil.test>", "<mallory@evil.test>"),
    ("From: \"alice@example.org\" <mallory@evil.test>", "<mallory@evil.test>"),
    ("From: (alice@example.org) mallory@evil.test", "<mallory@evil.test>"),
    ("From: mallory@evil.test (alice@example.org)", "<mallory@evil.test>"),
    ("From: =?utf-8?q?alice=40example.org?= <mallory@evil.test>", "<mallory@evil.test>"),
    ("From: Alice\r\n <mallory@evil.test>", "<mallory@evil.test>"),
    ("From:\r\n\tmallory@evil.test", "<mallory@evil.test>"),
    ("From: alice@example.org, mallory@evil.test", "<mallory@evil.test>"),
    ("From: mallory@evil.test, alice@example.org", "<mallory@evil.test>"),
    ("From: Us: alice@example.org, mallory@evil.test;", "<mallory@evil.test>"),
    ("From: alice@sub.example.org", "<alice@sub.example.org>"),
    ("From: alice@example.org\r\nSender: mallory@evil.test", "<mallory@evil.test>"),
    ("Sender: alice@example.org\r\nFrom: mallory@evil.test", "<mallory@evil.test>"),
    ("Date: x\r\nFrom : mallory@evil.test", "<mallory@evil.test>"),
    // Two programs could read two authors.
    ("From: alice@example.org\r\nFrom: mallory@evil.test", "more than one From"),
    ("From: alice@example.org\r\nfrom : alice@example.org", "more than one From"),
    (
        "From: alice@example.org\r\nSender: a@example.net\r\nSender: a@example.net",
        "more than one Sender",
    ),
    ("From: <@evil.test:alice@example.org>", "From header field can be read in more than one way"),
    ("From: <alice@example.org> <mallory@evil.test>", "<mallory@evil.test>"),
    ("From: alice@example.org mallory@evil.test", "<mallory@evil.test>"),
    ("From: =?utf-8?q?mallory=40evil.test?=", "From header field can be read in more than one way"),
    (
        "From: alice@example.org (a comment without end",
        "From header field can be read in more than one way",
    ),
    ("From:", "From header field can be read in more than one way"),
];

#[test]
fn every_author_in_the_header_is_checked_at_the_end_of_the_message() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &SENDERS)?;
        let send = |port: u16, fields: &str| -> Result<Reply> {
            let mut client = relay.login(STRANGER, port, "alice", PASSWORD)?;
            client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
            client.command("RCPT TO:<bob@recipient.test>")?.expect(250)?;
            client.data(&message_with(fields))
        };
        for (port, (fields, named)) in [587, 465].into_iter().cycle().zip(HEADERS_REFUSED) {
            assert_refused(&send(port, fields)?, named, fields);
        }
        for (port, fields) in [587, 465].into_iter().cycle().zip(HEADERS_ALLOWED) {
            send(port, fields)?.expect(250).with_context(|| fields.to_owned())?;
        }
        assert_only_arrived(&sink, HEADERS_ALLOWED.len())
    })
}

#[test]
fn an_author_that_a_long_header_hides_is_found() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &SENDERS)?;
        let many = "alice@example.org,\r\n ".repeat(300);
        let padding: String = (0..500).map(|n| format!("X-Padding-{n}: x\r\n")).collect();
        for fields in [
            format!("From: {many}mallory@evil.test"),
            format!("From: {}<mallory@evil.test>", "very\r\n ".repeat(300)),
            format!("{padding}From: mallory@evil.test"),
        ] {
            let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
            let reply = client.send("alice@example.org", BOB, &message_with(&fields))?;
            assert_refused(&reply, "<mallory@evil.test>", "hidden in a long header");
        }
        assert_eq!(sink.messages(), []);
        Ok(())
    })
}

#[test]
fn what_postfix_cuts_off_a_long_header_reaches_nobody() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &SENDERS)?;
        let send = |fields: &str| -> Result<Reply> {
            let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
            client.send("alice@example.org", BOB, &message_with(fields))
        };
        // Postfix keeps 60,000 bytes of a field and 10,240 words of an address list, for the milter and for
        // the queue; were it not the same for both, an author could be hidden behind the cut.
        let comments = format!("({})\r\n ", "x".repeat(95));
        let mut accepted = 0;
        for (count, shift) in [(600, 0), (610, 0), (610, 1), (610, 50), (700, 2), (990, 0)] {
            let filling = comments.repeat(count);
            let first = "y".repeat(shift);
            let reply = send(&format!(
                "From: alice@example.org ({first})\r\n {filling}, mallory@evil.test"
            ))?;
            assert!(matches!(reply.code, 250 | 553), "{count} comments: {reply}");
            accepted += usize::from(reply.is_positive());
        }
        let many = "alice@example.org,\r\n ".repeat(6_000);
        send(&format!("From: {many}mallory@evil.test"))?.expect(250)?;
        for arrived in sink.wait_for(accepted + 1)? {
            assert!(!String::from_utf8_lossy(&arrived.data).contains("mallory"));
        }
        let words = format!("{}\r\n ", "x".repeat(100)).repeat(700);
        let reply = send(&format!("From: {words}<alice@example.org>"))?;
        assert_refused(
            &reply,
            "From header field can be read in more than one way",
            "an address behind the cut",
        );
        Ok(())
    })
}

#[test]
fn an_attached_message_may_be_from_anybody() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &SENDERS)?;
        let sent = b"From: alice@example.org\r\nContent-Type: message/rfc822\r\n\r\n\
            From: mallory@evil.test\r\nSubject: forwarded\r\n\r\nhello\r\n";
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.send("alice@example.org", BOB, sent)?.expect(250)?;
        assert_only_arrived(&sink, 1)
    })
}

#[test]
fn a_bounce_has_no_sender_but_an_author() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &SENDERS)?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let reply = client.send("", BOB, &message_with("From: mallory@evil.test"))?;
        assert_refused(&reply, "<mallory@evil.test>", "a bounce of somebody else");
        client.send("", BOB, &message_with("From: MAILER-DAEMON@example.net"))?.expect(250)?;
        assert_eq!(sink.one_message()?.sender, "");
        assert_only_arrived(&sink, 1)
    })
}

#[test]
fn a_user_with_no_sender_set_may_use_any() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &[])?;
        let shown = relay.manage_user(&["show", "alice"], "")?;
        assert!(shown.contains("any address"), "{shown}");
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        for (sender, fields) in [
            ("anybody@anywhere.test", "From: somebody@elsewhere.test"),
            ("", "From: somebody@elsewhere.test"),
            ("x@y.test", "From: a@x.test\r\nFrom: b@y.test"),
        ] {
            client.send(sender, BOB, &message_with(fields))?.expect(250)?;
        }
        assert_only_arrived(&sink, 3)
    })
}

#[test]
fn a_change_holds_for_the_next_message_of_an_open_session() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = relay_with_alice(lab, &[])?;
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        let send = |client: &mut Client, who: &str| {
            client.send(who, BOB, &message_with(&format!("From: {who}")))
        };
        send(&mut client, "mallory@evil.test")?.expect(250)?;
        relay.manage_user(&["set", "alice", "--sender", "alice@example.org"], "")?;
        assert_refused(
            &send(&mut client, "mallory@evil.test")?,
            "<mallory@evil.test>",
            "after set",
        );
        // The client gives this one up, and sends the next.
        client.command("RSET")?.expect(250)?;
        send(&mut client, "alice@example.org")?.expect(250)?;

        // One that has its recipient already is asked about once more at its end.
        client.command("MAIL FROM:<alice@example.org>")?.expect(250)?;
        client.command("RCPT TO:<bob@recipient.test>")?.expect(250)?;
        relay.manage_user(&["set", "alice", "--sender", "*@example.net"], "")?;
        let reply = client.data(&message_with("From: alice@example.org"))?;
        assert_refused(&reply, "<alice@example.org>", "changed before the end");
        client.command("RSET")?.expect(250)?;

        let said = relay.manage_user(&["set", "alice", "--sender", "any"], "")?;
        assert!(said.contains("any address"), "{said}");
        send(&mut client, "mallory@evil.test")?.expect(250)?;
        assert_only_arrived(&sink, 3)
    })
}

#[test]
fn rights_that_cannot_be_read_are_told_all_at_once_and_change_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let mut relay = lab.relay().build()?;
        relay.start_sidecar()?;
        relay.manage_user(
            &[&["add", "alice", "--password-stdin"], &SENDERS[..]].concat(),
            PASSWORD,
        )?;
        let before = relay.manage_user(&["show", "alice", "--json"], "")?;
        let wrong = ["set", "alice", "--sender", "alice", "--limit", "lots", "--expires", "soon"];
        let output = relay.user(&wrong, "")?;
        assert_eq!(output.status.code(), Some(7));
        let said = String::from_utf8(output.stderr)?;
        for expected in ["--sender: \"alice\"", "--limit: \"lots\"", "--expires: \"soon\""] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        assert_eq!(relay.manage_user(&["show", "alice", "--json"], "")?, before);
        Ok(())
    })
}

#[test]
fn clients_known_by_network_send_as_the_allowed_domains() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = lab
            .relay()
            .env("ALLOWED_NETWORKS", HOME_NETWORK)
            .env("ALLOWED_SENDER_DOMAINS", "example.org, example.net")
            .env("RELAYHOST", SINK_RELAYHOST)
            .start()?;
        relay.add_user("alice", PASSWORD)?;
        let send = |sender: &str, fields: &str| -> Result<Reply> {
            relay.session(HOME, 25)?.send(sender, BOB, &message_with(fields))
        };
        for (sender, fields) in [
            ("printer@example.org", "From: printer@example.org"),
            ("printer@EXAMPLE.net", "From: Printer <printer@example.org>"),
            ("", "From: MAILER-DAEMON@example.org"),
        ] {
            send(sender, fields)?.expect(250).with_context(|| sender.to_owned())?;
        }
        for (sender, fields, named) in [
            ("x@evil.test", "From: printer@example.org", "<x@evil.test>"),
            ("x@sub.example.org", "From: printer@example.org", "<x@sub.example.org>"),
            ("printer@example.org", "From: x@evil.test", "<x@evil.test>"),
            ("", "From: x@evil.test", "<x@evil.test>"),
        ] {
            let reply = send(sender, fields)?;
            assert_refused(&reply, named, sender);
            assert!(reply.to_string().contains("203.0.113.5"), "who is refused? {reply}");
        }
        // Who logs in is held to the user's own rights, wherever he comes from.
        let mut client = relay.login(HOME, 587, "alice", PASSWORD)?;
        client.send("alice@elsewhere.test", BOB, &message("user"))?.expect(250)?;
        relay.manage_user(&["set", "alice", "--sender", "alice@elsewhere.test"], "")?;
        let reply = client.send("printer@example.org", BOB, &message("user"))?;
        assert_refused(&reply, "<printer@example.org>", "a user at home");
        assert_only_arrived(&sink, 4)
    })
}
