//! What is signed holds at the next hop, in the eyes of verifiers that other people wrote.

mod corpus;
mod load;

use anyhow::{Context, Result, ensure};
use relay_tests::dkim::{
    NAME_SERVER, NameServer, Opendkim, dkimpy, mail_auth, opendkim, write_messages,
};
use relay_tests::lab::{HOME, HOME_NETWORK, Lab, SINK_RELAYHOST, STRANGER, in_a_lab};
use relay_tests::milter_proxy::MilterProxy;
use relay_tests::relay::{Builder, Relay};
use relay_tests::sink::{Manner, Message, Sink};
use relay_tests::smtp::Client;

use corpus::{Case, corpus};

const PASSWORD: &str = "correct horse battery";
const BOB: &[&str] = &["bob@example.net"];

fn builder(lab: &Lab) -> Builder<'_> {
    lab.relay().env("ALLOWED_NETWORKS", HOME_NETWORK).env("RELAYHOST", SINK_RELAYHOST)
}

/// The lines for a zone file that `relay dkim show` prints.
fn records(relay: &Relay<'_>, domain: &str) -> Result<String> {
    let shown = relay.manage_dkim(&["show", domain])?;
    let lines: Vec<&str> = shown.lines().filter(|line| line.contains(" IN TXT (")).collect();
    Ok(lines.join("\n"))
}

/// The selectors of a domain's keys: RSA, then Ed25519, as `relay dkim list` has them.
fn selector(relay: &Relay<'_>, domain: &str, algorithm: &str) -> Result<String> {
    let list = relay.manage_dkim(&["list"])?;
    let line = list.lines().find(|line| line.starts_with(domain) && line.contains(algorithm));
    let selector = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(selector.with_context(|| format!("no {algorithm} key of {domain} in:\n{list}"))?.to_owned())
}

/// A relay that signs for these domains, whose records are served.
fn signing_relay<'lab>(
    lab: &'lab Lab,
    builder: Builder<'lab>,
    domains: &[&str],
) -> Result<(Relay<'lab>, NameServer)> {
    let mut relay = builder.build()?;
    relay.use_name_server(NAME_SERVER.into())?;
    for domain in domains {
        relay.manage_dkim(&["add", domain])?;
    }
    let zones: Vec<(&str, String)> = domains
        .iter()
        .map(|domain| Ok((*domain, records(&relay, domain)?)))
        .collect::<Result<_>>()?;
    let zones: Vec<(&str, &str)> =
        zones.iter().map(|(zone, text)| (*zone, text.as_str())).collect();
    let server = NameServer::serve(lab, &zones)?;
    for domain in domains {
        relay.manage_dkim(&["check", domain])?;
    }
    relay.start()?;
    Ok((relay, server))
}

fn message(from: &str, fields: &str) -> Vec<u8> {
    format!(
        "Date: Mon, 23 Nov 2026 08:00:00 +0100\r\nFrom: {from}\r\nTo: bob@example.net\r\n\
         Message-ID: <1@example.org>\r\nSubject: hello\r\n{fields}\r\nHello Bob.\r\n"
    )
    .into_bytes()
}

fn signatures(message: &Message) -> usize {
    let text = String::from_utf8_lossy(&message.data).to_lowercase();
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    header.lines().filter(|line| line.starts_with("dkim-signature:")).count()
}

/// Sends the corpus, each message to a recipient that is its number.
fn send_corpus(relay: &Relay<'_>, domain: &str, cases: &[Case]) -> Result<()> {
    let mut client = relay.session(HOME, 25)?;
    for (number, case) in cases.iter().enumerate() {
        send_case(&mut client, domain, number, case).with_context(|| case.name)?;
    }
    client.quit()
}

fn send_case(client: &mut Client, domain: &str, number: usize, case: &Case) -> Result<()> {
    let utf8 = if case.smtputf8 { " SMTPUTF8" } else { "" };
    client.command(&format!("MAIL FROM:<alice@{domain}> BODY=8BITMIME{utf8}"))?.expect(250)?;
    client.command(&format!("RCPT TO:<{number}@example.net>"))?.expect(250)?;
    client.data(&case.data)?.expect(250)?;
    Ok(())
}

/// What arrived, in the order of the corpus.
fn arrived(sink: &Sink, count: usize) -> Result<Vec<Vec<u8>>> {
    let messages = sink.wait_for(count)?;
    let of = |number: usize| {
        let recipient = format!("{number}@example.net");
        let found = messages.iter().find(|message| message.recipients.contains(&recipient));
        Ok(found.with_context(|| format!("no message to {recipient}"))?.data.clone())
    };
    (0..count).map(of).collect()
}

/// The message with one byte of what was signed changed: the first visible one of its body, or else the
/// last of its author field.
fn changed(message: &[u8]) -> Result<Vec<u8>> {
    let mut changed = message.to_vec();
    let end = message.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap_or(message.len());
    let visible = |byte: &u8| byte.is_ascii_graphic();
    let in_body = changed.iter().skip(end + 4).position(visible).map(|place| end + 4 + place);
    let in_header = || {
        let lower = message.to_ascii_lowercase();
        let from = lower.windows(7).position(|bytes| bytes == b"\r\nfrom:")?;
        changed.iter().skip(from + 7).position(visible).map(|place| from + 7 + place)
    };
    let place = in_body.or_else(in_header).context("nothing to change")?;
    let byte = changed.get_mut(place).context("no such byte")?;
    // Another visible byte, so that no blank appears or goes.
    *byte = if *byte == b'Q' { b'R' } else { b'Q' };
    Ok(changed)
}

/// Our signatures come first; others may follow.
fn assert_all(lab: &Lab, cases: &[Case], messages: &[Vec<u8>], hold: bool) -> Result<()> {
    let mut wrong = Vec::new();
    let folder = lab.evidence.directory()?.join(if hold { "arrived" } else { "changed" });
    let by_dkimpy = dkimpy(lab, &write_messages(&folder, messages)?)?;
    for ((case, message), dkimpy) in cases.iter().zip(messages).zip(by_dkimpy) {
        let name = case.name;
        let foreign = usize::from(name.contains("somebody else"));
        let ours = dkimpy.len().saturating_sub(foreign);
        if ours == 0 || dkimpy.iter().take(ours).any(|holds| *holds != hold) {
            wrong.push(format!("dkimpy: {name}: {dkimpy:?}"));
        }
        let by_mail_auth = mail_auth(&lab.namespace, message)?;
        let as_expected = by_mail_auth.iter().take(ours).all(|holds| *holds == hold);
        if by_mail_auth.len() < ours || !(as_expected || case.mail_auth_errs) {
            wrong.push(format!("mail-auth: {name}: {by_mail_auth:?}"));
        }
        let expected = match (case.malformed, hold) {
            (true, _) => Opendkim::Malformed,
            (false, true) => Opendkim::Holds,
            (false, false) => Opendkim::Fails,
        };
        let by_opendkim = opendkim(lab, message)?;
        if by_opendkim != expected {
            wrong.push(format!("opendkim-testmsg: {name}: {by_opendkim:?}"));
        }
    }
    ensure!(wrong.is_empty(), "verdicts other than {hold}:\n{}", wrong.join("\n"));
    Ok(())
}

fn the_corpus_holds(algorithm: &str, other: &str, manner: Manner) -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        sink.behave(manner);
        let (relay, _server) = signing_relay(lab, builder(lab), &["example.org"])?;
        let unused = selector(&relay, "example.org", other)?;
        relay.manage_dkim(&["remove", "example.org", &unused])?;
        let mut cases = corpus("example.org");
        assert!(cases.len() >= 60, "{}", cases.len());
        // Postfix returns what needs SMTPUTF8 where that is not offered.
        cases.retain(|case| manner == Manner::Accept || !case.smtputf8);
        send_corpus(&relay, "example.org", &cases)?;
        let messages = arrived(&sink, cases.len())?;
        for (case, message) in cases.iter().zip(&messages) {
            let text = String::from_utf8_lossy(message);
            let signed = format!("DKIM-Signature: v=1; a={algorithm};");
            assert!(text.starts_with(&signed), "{}: {text:.300}", case.name);
        }
        assert_all(lab, &cases, &messages, true)?;
        let changed: Vec<Vec<u8>> = messages.iter().map(|m| changed(m)).collect::<Result<_>>()?;
        assert_all(lab, &cases, &changed, false)
    })
}

#[test]
fn the_corpus_holds_with_rsa() -> Result<()> {
    the_corpus_holds("rsa-sha256", "ed25519-sha256", Manner::Accept)
}

#[test]
fn the_corpus_holds_with_ed25519() -> Result<()> {
    the_corpus_holds("ed25519-sha256", "rsa-sha256", Manner::Accept)
}

#[test]
fn the_corpus_holds_at_a_next_hop_without_8bitmime_and_smtputf8() -> Result<()> {
    the_corpus_holds("rsa-sha256", "ed25519-sha256", Manner::SevenBit)
}

/// The messages whose signatures would not arrive whole with Postfix's own defaults: why main.cf is as
/// it is.
fn spoiled_by_postfix(manner: Manner) -> Result<Vec<&'static str>> {
    let mut spoiled = Vec::new();
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        sink.behave(manner);
        let settings = builder(lab)
            .postfix_env("POSTFIX_disable_mime_output_conversion", "no")
            .postfix_env("POSTFIX_smtp_line_length_limit", "998");
        let (relay, _server) = signing_relay(lab, settings, &["example.org"])?;
        let mut cases = corpus("example.org");
        cases.retain(|case| !case.smtputf8 && case.data.len() < 1_000_000);
        send_corpus(&relay, "example.org", &cases)?;
        let messages = arrived(&sink, cases.len())?;
        let folder = lab.evidence.directory()?.join("arrived");
        let verdicts = dkimpy(lab, &write_messages(&folder, &messages)?)?;
        let holds = |verdicts: &[bool]| verdicts.iter().take(2).all(|holds| *holds);
        let with_verdicts = cases.iter().zip(verdicts);
        spoiled = with_verdicts.filter(|(_, v)| !holds(v)).map(|(case, _)| case.name).collect();
        Ok(())
    })?;
    Ok(spoiled)
}

#[test]
fn postfix_by_itself_would_spoil_signatures_of_long_lines() -> Result<()> {
    let expected = [
        "a line of 999 bytes",
        "a line of 2048 bytes",
        "a line of 10000 bytes with blanks",
        "a line of 100000 bytes",
    ];
    assert_eq!(spoiled_by_postfix(Manner::Accept)?, expected);
    Ok(())
}

#[test]
fn postfix_by_itself_would_spoil_signatures_of_8_bit_text() -> Result<()> {
    let spoiled = spoiled_by_postfix(Manner::SevenBit)?;
    for name in ["8-bit text", "multipart"] {
        assert!(spoiled.contains(&name), "{name} is not among {spoiled:?}");
    }
    Ok(())
}

#[test]
fn a_message_costs_two_round_trips_without_a_signature_and_three_with_one() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = builder(lab).sidecar_env("DKIM_REQUIRE_DNS", "false").build()?;
        relay.manage_dkim(&["add", "example.org"])?;
        let behind = relay.socket("milter-behind.sock");
        relay.set_sidecar_env("MILTER_LISTEN", &format!("unix:{}", behind.display()));
        let proxy = MilterProxy::listen(&relay.socket("milter.sock"), behind)?;
        relay.start()?;
        let body = "x".repeat(70).repeat(10_000);
        let mut long = message("alice@elsewhere.test", "X-Long: yes\r\n");
        long.extend_from_slice(body.as_bytes());
        long.extend_from_slice(b"\r\n");
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@elsewhere.test", BOB, &long)?.expect(250)?;
        client.quit()?;
        // 'a' is ACCEPT at the end of the header: the body is not sent at all.
        assert_eq!(proxy.answers(), ['O', 'a']);
        assert!(proxy.bytes_sent() < 10_000, "{} bytes of a message", proxy.bytes_sent());

        let own = String::from_utf8(long)?.replace("elsewhere.test", "example.org");
        let mut client = relay.session(HOME, 25)?;
        client.send("alice@example.org", BOB, own.as_bytes())?.expect(250)?;
        client.quit()?;
        // Continue at the end of the header, two signatures and continue at the end of the message.
        assert_eq!(proxy.answers().get(2..), Some(&['O', 'c', 'i', 'i', 'c'][..]));
        assert_eq!(sink.wait_for(2)?.iter().map(signatures).collect::<Vec<_>>(), [0, 2]);

        // A refusal ends there, too.
        relay.add_user("mallory", PASSWORD)?;
        relay.manage_user(&["set", "mallory", "--sender", "mallory@example.org"], "")?;
        let mut client = relay.login(STRANGER, 587, "mallory", PASSWORD)?;
        client.send("mallory@example.org", BOB, own.as_bytes())?.expect(553)?;
        client.quit()?;
        assert_eq!(proxy.answers().get(7..), Some(&['O', 'y'][..]));
        Ok(())
    })
}

#[test]
fn who_is_signed_for() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = builder(lab).sidecar_env("DKIM_REQUIRE_DNS", "false").start()?;
        relay.manage_dkim(&["add", "example.org"])?;
        relay.add_user("alice", PASSWORD)?;
        let signed_by = |domain: &str| {
            format!(
                "DKIM-Signature: v=1; a=rsa-sha256; d={domain}; s=x; h=from; bh=AAAA; b=AAAA\r\n"
            )
        };
        let own = signed_by("example.org");
        let cases: Vec<(&str, &str, &str, usize)> = vec![
            ("alice@example.org", "", "signed", 2),
            ("Alice <alice@EXAMPLE.ORG>", "", "signed", 2),
            ("alice@mail.example.org", "", "signed", 2),
            ("alice@example.organic", "", "no_key", 0),
            ("alice@notexample.org", "", "no_key", 0),
            ("alice@example.org, bob@example.org", "", "author_unclear", 0),
            ("alice@example.org\r\nFrom: alice@example.org", "", "author_unclear", 0),
            ("alice@example.org", &own, "already_signed", 1),
            ("alice@mail.example.org", &own, "already_signed", 1),
        ];
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        for (from, fields, ..) in &cases {
            client.send("alice@example.org", BOB, &message(from, fields))?.expect(250)?;
        }
        let foreign = signed_by("list.test");
        client.send("x@example.org", BOB, &message("x@example.org", &foreign))?.expect(250)?;
        let arrived = sink.wait_for(cases.len() + 1)?;
        let mut counts: Vec<usize> = arrived.iter().map(signatures).collect();
        let mut expected: Vec<usize> = cases.iter().map(|case| case.3).chain([3]).collect();
        counts.sort_unstable();
        expected.sort_unstable();
        assert_eq!(counts, expected);
        let sidecar = relay.sidecar()?;
        for (result, count) in
            [("signed", "4"), ("no_key", "2"), ("author_unclear", "2"), ("already_signed", "2")]
        {
            let series = format!("relay_dkim_messages_total{{result=\"{result}\"}}");
            assert_eq!(sidecar.metric(&series)?, count, "{result}");
        }
        let made = sidecar.metric("relay_dkim_signatures_total{algorithm=\"ed25519-sha256\"}")?;
        assert_eq!(made, "4");
        let rsa = selector(&relay, "example.org", "rsa")?;
        sidecar.output_with(&format!("dkim=example.org/{rsa},example.org/ed-"))?;
        Ok(())
    })
}

#[test]
fn resign_always_signs_what_the_author_signed() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = builder(lab)
            .sidecar_env("DKIM_REQUIRE_DNS", "false")
            .sidecar_env("DKIM_RESIGN", "always")
            .start()?;
        relay.manage_dkim(&["add", "example.org"])?;
        let own = "DKIM-Signature: v=1; d=example.org; s=x; h=from; bh=AAAA; b=AAAA\r\n";
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", own))?.expect(250)?;
        assert_eq!(signatures(&sink.one_message()?), 3);
        Ok(())
    })
}

#[test]
fn a_key_signs_when_dns_has_it_and_dns_trouble_changes_nothing() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = builder(lab).env("DKIM_DOMAINS", "example.org").build()?;
        relay.use_name_server(NAME_SERVER.into())?;
        relay.start()?;
        relay.sidecar()?.output_with("DKIM keys made")?;
        let send = |relay: &Relay<'_>, expected: &[usize]| -> Result<()> {
            let mut client = relay.session(HOME, 25)?;
            client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
            let arrived = sink.wait_for(expected.len())?;
            assert_eq!(arrived.iter().map(signatures).collect::<Vec<_>>(), expected);
            Ok(())
        };
        // No name server at all: the key waits.
        let silent = relay.dkim(&["check"])?;
        assert_eq!(silent.status.code(), Some(1), "{silent:?}");
        send(&relay, &[0])?;
        // One that says there is no record.
        let server = NameServer::serve(lab, &[("example.org", "")])?;
        let missing = relay.dkim(&["check", "example.org"])?;
        assert_eq!(missing.status.code(), Some(8), "{missing:?}");
        assert!(String::from_utf8_lossy(&missing.stdout).contains("there is no record"));
        send(&relay, &[0, 0])?;
        drop(server);
        // One that has them.
        let records = records(&relay, "example.org")?;
        let server = NameServer::serve(lab, &[("example.org", &records)])?;
        let said = relay.manage_dkim(&["check", "example.org"])?;
        assert_eq!(said.matches("the record is right").count(), 2, "{said}");
        send(&relay, &[0, 0, 2])?;
        drop(server);
        // Silence again, and a restart, at which DNS is asked.
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start()?;
        relay.sidecar()?.output_with("DNS does not answer; this key stays as it is")?;
        send(&relay, &[0, 0, 2, 2])?;
        // The record is gone for certain.
        let _server = NameServer::serve(lab, &[("example.org", "")])?;
        assert_eq!(relay.dkim(&["check"])?.status.code(), Some(8));
        send(&relay, &[0, 0, 2, 2, 0])
    })
}

#[test]
fn the_relay_notices_at_its_start_that_dns_has_a_key() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = builder(lab).build()?;
        relay.use_name_server(NAME_SERVER.into())?;
        relay.manage_dkim(&["add", "example.org"])?;
        let _server = NameServer::serve(lab, &[("example.org", &records(&relay, "example.org")?)])?;
        relay.start()?;
        let ed25519 = selector(&relay, "example.org", "ed25519")?;
        relay
            .sidecar()?
            .output_with(&format!("it signs from now on dkim=example.org/{ed25519}"))?;
        let rsa = selector(&relay, "example.org", "rsa")?;
        relay.sidecar()?.output_with(&format!("it signs from now on dkim=example.org/{rsa}"))?;
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
        assert_eq!(signatures(&sink.one_message()?), 2);
        Ok(())
    })
}

#[test]
fn the_next_keys_take_over_when_dns_has_them() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let (relay, server) = signing_relay(lab, builder(lab), &["example.org"])?;
        let old = selector(&relay, "example.org", "rsa")?;
        // Keys are told apart by the second in which they were made.
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        relay.manage_dkim(&["rotate", "example.org"])?;
        let new = format!("{old}-2");
        let send = |expected: &str| -> Result<()> {
            let count = sink.messages().len() + 1;
            let mut client = relay.session(HOME, 25)?;
            client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
            let arrived = sink.wait_for(count)?;
            let text =
                String::from_utf8_lossy(&arrived.last().context("nothing")?.data).into_owned();
            assert!(text.contains(&format!("s={expected};")), "{expected}: {text}");
            Ok(())
        };
        send(&old)?;
        let again = relay.dkim(&["rotate", "example.org"])?;
        assert_eq!(again.status.code(), Some(7), "{again:?}");
        drop(server);
        let all = records(&relay, "example.org")?;
        let _server = NameServer::serve(lab, &[("example.org", &all)])?;
        let said = relay.manage_dkim(&["check", "example.org"])?;
        assert_eq!(said.matches("replaced, but leave its record until").count(), 2, "{said}");
        send(&new)
    })
}

#[test]
fn a_message_that_cannot_be_signed_is_not_accepted_unless_told_so() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let mut relay = builder(lab).sidecar_env("DKIM_REQUIRE_DNS", "false").build()?;
        relay.manage_dkim(&["add", "example.org"])?;
        relay.start()?;
        let huge = format!("To: {}\r\n", "x".repeat(900)).repeat(300);
        let send = |relay: &Relay<'_>, from: &str| {
            relay.session(HOME, 25)?.send("a@example.org", BOB, &message(from, &huge))
        };
        let reply = send(&relay, "a@example.org")?.expect(554)?;
        assert!(reply.to_string().contains("too large to be signed"), "{reply}");
        send(&relay, "a@elsewhere.test")?.expect(250)?;
        let failed = "relay_dkim_messages_total{result=\"failed\"}";
        assert_eq!(relay.sidecar()?.metric(failed)?, "1");
        relay.set_sidecar_env("DKIM_FAIL_OPEN", "true");
        relay.sidecar.take().context("no sidecar")?.stop()?;
        relay.start()?;
        send(&relay, "a@example.org")?.expect(250)?;
        assert_eq!(sink.wait_for(2)?.iter().map(signatures).collect::<Vec<_>>(), [0, 0]);
        let failed = "relay_dkim_messages_total{result=\"failed_open\"}";
        assert_eq!(relay.sidecar()?.metric(failed)?, "1");
        Ok(())
    })
}

#[test]
fn a_session_older_than_the_first_key_lets_nothing_pass_unsigned() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let relay = builder(lab).sidecar_env("DKIM_REQUIRE_DNS", "false").start()?;
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
        relay.manage_dkim(&["add", "example.org"])?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(451)?;
        client.send("a@elsewhere.test", BOB, &message("a@elsewhere.test", ""))?.expect(250)?;
        let mut client = relay.session(HOME, 25)?;
        client.send("a@example.org", BOB, &message("a@example.org", ""))?.expect(250)?;
        let mut counts: Vec<_> = sink.wait_for(3)?.iter().map(signatures).collect();
        counts.sort_unstable();
        assert_eq!(counts, [0, 0, 2]);
        Ok(())
    })
}

#[test]
fn header_fields_go_and_come_before_the_message_is_signed() -> Result<()> {
    in_a_lab(|lab| {
        let sink = lab.sink()?;
        let settings = builder(lab)
            .env("STRIP_HEADERS", "submission, Precedence")
            .env("STRIP_HEADERS_FOR", "users")
            .env("ADD_HEADERS", "Feedback-ID: camp:%u:relay; X-Relay-User: %u");
        let (relay, _server) = signing_relay(lab, settings, &["example.org"])?;
        relay.add_user("alice", PASSWORD)?;
        let telling = "Received: from laptop ([192.168.1.7]) by home ([192.168.1.2]); today\r\n\
            Received: from mx.test (mx.test [8.8.4.4]) by home; today\r\n\
            User-Agent: Thing\r\nX-Mailer: Thing\r\nPrecedence: bulk\r\nX-Mailer: Other\r\n\
            X-Relay-User: root\r\nX-Kept: yes\r\n";
        let text = |message: &Message| String::from_utf8_lossy(&message.data).into_owned();
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client.send("a@example.org", BOB, &message("a@example.org", telling))?.expect(250)?;
        let arrived = text(&sink.one_message()?);
        for gone in ["192.168.1.7", "User-Agent", "X-Mailer", "Precedence: bulk", ": root"] {
            assert!(!arrived.contains(gone), "{gone}: {arrived}");
        }
        for there in
            ["8.8.4.4", "X-Kept: yes", "Feedback-ID: camp:alice:relay", "X-Relay-User: alice"]
        {
            assert!(arrived.contains(there), "{there}: {arrived}");
        }
        let file =
            write_messages(&lab.evidence.directory()?.join("edited"), &[arrived.into_bytes()])?;
        assert_eq!(dkimpy(lab, &file)?, [[true, true]]);
        // A network's mail keeps its fields, and what a signature covers stays for all.
        let covered = format!(
            "DKIM-Signature: v=1; d=x.test; s=x; h=from:x-mailer:feedback-id; bh=A; b=A\r\n{telling}"
        );
        let mut client = relay.login(STRANGER, 587, "alice", PASSWORD)?;
        client
            .send("a@elsewhere.test", BOB, &message("a@elsewhere.test", &covered))?
            .expect(250)?;
        relay
            .session(HOME, 25)?
            .send("a@elsewhere.test", BOB, &message("a@elsewhere.test", telling))?
            .expect(250)?;
        let arrived = sink.wait_for(3)?;
        let of_user =
            arrived.iter().map(text).find(|text| text.contains("d=x.test")).context("no")?;
        assert_eq!(of_user.matches("X-Mailer").count(), 2, "{of_user}");
        assert!(!of_user.contains("User-Agent") && !of_user.contains("Feedback-ID: camp"));
        let of_network =
            arrived.iter().map(text).find(|t| t.contains("192.168.1.7")).context("no")?;
        assert!(of_network.contains("Precedence: bulk"), "{of_network}");
        Ok(())
    })
}

#[test]
fn keys_are_managed_by_command() -> Result<()> {
    in_a_lab(|lab| {
        let relay = builder(lab).build()?;
        let said = relay.manage_dkim(&["add", "Example.ORG"])?;
        assert!(said.contains("._domainkey.example.org. IN TXT ( \"v=DKIM1; k=rsa; p="), "{said}");
        assert!(said.contains("value  v=DKIM1; k=ed25519; p="), "{said}");
        let code = |arguments: &[&str]| -> Result<Option<i32>> {
            Ok(relay.dkim(arguments)?.status.code())
        };
        assert_eq!(code(&["add", "example.org"])?, Some(3));
        assert_eq!(code(&["show", "other.test"])?, Some(4));
        assert_eq!(code(&["remove", "example.org", "nothing"])?, Some(4));
        assert_eq!(code(&["add", "org"])?, Some(5));
        let rsa = selector(&relay, "example.org", "rsa")?;
        let pem = relay.manage_dkim(&["export", "example.org", &rsa])?;
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n"));
        lab.evidence.secret(pem.lines().nth(1).context("a short key")?);
        let import = ["dkim", "import", "example.net", "--key", "-", "--selector", "s1"];
        let imported = relay.place().run(&import, &pem)?;
        assert!(imported.status.success(), "{imported:?}");
        let again = relay.manage_dkim(&["export", "example.net", "s1"])?;
        assert_eq!(again, pem);
        let list = relay.manage_dkim(&["list"])?;
        assert_eq!(list.matches("waits for DNS").count(), 3, "{list}");
        relay.manage_dkim(&["remove", "example.net", "s1"])?;
        assert_eq!(code(&["show", "example.net"])?, Some(4));
        Ok(())
    })
}
