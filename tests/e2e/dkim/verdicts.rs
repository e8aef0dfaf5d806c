//! A corpus of messages, and what three verifiers say of it.

use anyhow::{Context, Result, ensure};
use relay_tests::dkim::{Opendkim, dkimpy, mail_auth, opendkim, write_messages};
use relay_tests::lab::{HOME, Lab, in_a_lab};
use relay_tests::relay::Relay;
use relay_tests::sink::{Manner, Sink};
use relay_tests::smtp::Client;

use super::corpus::{Case, corpus};
use super::{selector, signing_relay};

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
        let (relay, _server) = signing_relay(lab, lab.relay_to_sink(), &["example.org"])?;
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
        let settings = lab
            .relay_to_sink()
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
